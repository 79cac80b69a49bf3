//! `verify --repair` with real damage: the history of this device comes whole again from a storage node.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::{Home, git, noise, tree};

fn packs(h: &Home) -> Vec<PathBuf> {
    let all = std::fs::read_dir(h.path("secure/.git/objects/pack")).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "pack")).collect()
}

fn writable(path: &std::path::Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_damaged_history_comes_back_from_a_node() {
    let a = Home::new();
    std::fs::write(a.share("large"), noise(400_000, 7)).unwrap();
    a.write("x.txt", "one\n");
    let node = a.path("node.git");
    a.init(&node.display().to_string());
    a.write("x.txt", "two\n");
    a.ok(["sync"]);
    let before = tree(&a.path("share"));
    for damage in ["flipped", "cut short", "lost"] {
        for pack in packs(&a) {
            writable(&pack);
            let mut bytes = std::fs::read(&pack).unwrap();
            let middle = bytes.len() / 2;
            match damage {
                "flipped" => bytes[middle] ^= 1,
                "cut short" => bytes.truncate(middle),
                _ => {
                    std::fs::remove_file(&pack).unwrap();
                    std::fs::remove_file(pack.with_extension("idx")).unwrap();
                    continue;
                }
            }
            std::fs::write(&pack, bytes).unwrap();
        }
        let r = a.run(["verify"]);
        assert!(r.code == 6 && r.err.ends_with("sharelock verify --repair\n"), "{damage}: {}{}", r.out, r.err);
        // A repair that was killed in the middle has put an index aside; or all of a pack.
        if let Some(pack) = packs(&a).first() {
            let aside = |suffix: &str| {
                let own = pack.with_extension(suffix);
                std::fs::rename(&own, format!("{}.aside", own.display())).unwrap();
            };
            aside("idx");
            if damage == "flipped" {
                aside("pack");
            }
            assert_eq!(a.run(["verify"]).code, 6, "{damage}");
            std::fs::rename(&node, a.path("away.git")).unwrap();
            assert_eq!(a.run(["verify", "--repair"]).code, 6, "{damage}");
            assert!(pack.exists() && pack.with_extension("idx").exists(), "{damage}: it is put back");
            std::fs::rename(a.path("away.git"), &node).unwrap();
        }
        // Without a node nothing gets worse.
        std::fs::rename(&node, a.path("away.git")).unwrap();
        let left = packs(&a);
        assert_eq!(a.run(["verify", "--repair"]).code, 6, "{damage}");
        assert_eq!(packs(&a), left, "{damage}");
        std::fs::rename(a.path("away.git"), &node).unwrap();
        let said = a.ok(["verify", "--repair"]);
        assert!(said.starts_with("the history was damaged on this device, and is whole again, from origin\n"), "{damage}: {said}");
        a.ok(["verify", "--remote"]);
        assert_eq!(git(&a.path("secure"), &["fsck", "--strict"]).code, 0, "{damage}");
        assert_eq!(tree(&a.path("share")), before, "{damage}");
    }
    a.ok(["restore", "x.txt"]);
    assert_eq!(a.read("x.txt"), "one\n");
}
