//! Objects of secure's repository that are damaged or gone: whoever meets them says what mends them.

use crate::support::{Home, git, noise, tree};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn packs(a: &Home) -> Vec<PathBuf> {
    let all = std::fs::read_dir(a.path("secure/.git/objects/pack")).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "pack")).collect()
}

#[test]
fn the_error_of_a_damaged_or_missing_object_names_its_remedy_and_that_mends_it() {
    let a = Home::new();
    a.write("x.txt", "one\n");
    std::fs::write(a.share("large"), noise(400_000, 7)).unwrap();
    a.init(&a.path("node.git").display().to_string());
    a.write("x.txt", "two\n");
    a.ok(["sync"]);
    for damage in ["zeros", "cut short", "gone"] {
        for pack in packs(&a) {
            std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o644)).unwrap();
            let mut bytes = std::fs::read(&pack).unwrap();
            match damage {
                "zeros" => bytes[12..].fill(0),
                "cut short" => bytes.truncate(40),
                _ => {
                    std::fs::remove_file(&pack).unwrap();
                    std::fs::remove_file(pack.with_extension("idx")).unwrap();
                    continue;
                }
            }
            std::fs::write(&pack, bytes).unwrap();
        }
        a.write("x.txt", &format!("{damage}\n"));
        let before = tree(&a.path("share"));
        for args in [&["sync"][..], &["log", "x.txt"], &["restore", "x.txt"]] {
            if damage == "gone" && args[0] != "sync" {
                continue; // A history without any commit looks like a short one.
            }
            let r = a.run(args);
            assert_eq!(r.code, 6, "{damage}, {args:?}: {}{}", r.out, r.err);
            assert!(r.err.ends_with("do: sharelock verify --repair\n"), "{damage}, {args:?}: {}", r.err);
            assert_eq!(tree(&a.path("share")), before, "{damage}, {args:?}");
        }
        a.ok(["verify", "--repair"]);
        a.ok(["sync"]);
        assert_eq!(git(&a.path("secure"), &["fsck", "--strict"]).code, 0, "{damage}");
        assert_eq!(tree(&a.path("share")), before, "{damage}");
    }
}
