//! `du`: what takes the space.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Home, noise};

/// A vault with a folder that is larger than the others.
fn vault() -> Home {
    let a = Home::new();
    for n in 0..12 {
        a.write(&format!("notes/{n}"), "a note\n");
    }
    std::fs::create_dir_all(a.share("photos/2026")).unwrap();
    std::fs::write(a.share("photos/2026/img.jpg"), noise(3_000_000, 1)).unwrap();
    std::fs::write(a.share("photos/old.jpg"), noise(1_500_000, 2)).unwrap();
    a.write("with\nnewline", "x");
    a.init(&a.path("node.git").display().to_string());
    a
}

/// What a folder takes, as another program counts it.
fn taken(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let size = |p: std::path::PathBuf| {
        let m = p.symlink_metadata().unwrap();
        m.blocks() * 512 + if m.is_dir() { taken(&p) } else { 0 }
    };
    entries.map(size).sum()
}

#[test]
fn what_takes_the_space() {
    let a = vault();
    let out = a.ok(["du"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("the vault takes ") && lines[0].contains(" are free on /"), "{out}");
    assert!(lines[0].ends_with(" (64 MB are kept)"), "{out}");
    assert!(lines[1].starts_with("  share     4.6 MB   ~/share, 15 files"), "{out}");
    assert!(lines[2].starts_with("    4.5 MB   photos/") && lines[2].ends_with("2 files"), "{out}");
    for part in ["\n  secure    ", "\n  history   ", "\n  state     ", "with\\nnewline"] {
        assert!(out.contains(part), "{part}{out}");
    }
    assert!(out.contains("  origin  ") && out.contains("~/node.git, a storage node"), "{out}");
    assert!(out.ends_with("  to look into a folder: sharelock du photos\n"), "{out}");

    let json: serde_json::Value = serde_json::from_str(&a.ok(["du", "--json"])).unwrap();
    assert_eq!(json["share"]["bytes"], taken(&a.path("share")));
    let history = taken(&a.path("secure/.git"));
    let is = |part: &str| json[part]["bytes"].as_u64().unwrap();
    assert!(is("history").abs_diff(history) < 20_000, "{json:#}");
    assert!(is("secure").abs_diff(taken(&a.path("secure")) - history) < 20_000, "{json:#}");
    assert_eq!(json["nodes"][0]["bytes"], taken(&a.path("node.git")));
    assert_eq!((&json["entries"][0]["path"], &json["entries"][0]["files"]), (&"photos".into(), &2.into()));
    let all = ["share", "secure", "history", "state"].map(is).iter().sum::<u64>();
    assert_eq!(json["bytes"], all);
}

#[test]
fn one_folder_or_file() {
    let a = vault();
    let out = a.ok(["du", "photos"]);
    assert!(out.starts_with("photos takes 4.5 MB, 2 files\n  3.0 MB   2026/     1 file\n  1.5 MB   old.jpg\n"), "{out}");
    assert!(a.ok(["du", &a.share("photos/old.jpg").display().to_string()]).starts_with("photos/old.jpg takes 1.5 MB\n"));
    let out = a.ok(["du", "notes"]);
    assert!(out.contains(" more\n") && out.lines().count() == 12, "{out}");
    let json: serde_json::Value = serde_json::from_str(&a.ok(["du", "notes", "--json"])).unwrap();
    assert_eq!((json["entries"].as_array().unwrap().len(), json["files"].as_u64()), (12, Some(12)));
    let r = a.run(["du", "nothing/there"]);
    assert_eq!((r.code, r.err.as_str()), (1, "sharelock: nothing/there is not in ~/share\n"));
    assert_eq!(a.run(["du", "/etc"]).code, 2);
}

/// The password is not needed, and another at work does not matter.
#[test]
fn without_a_password_while_another_is_at_work() {
    let a = vault();
    std::fs::write(a.path("pw"), "wrong").unwrap();
    let lock = std::fs::File::open(a.path(".local/state/sharelock/lock")).unwrap();
    lock.lock().unwrap();
    assert!(a.ok(["du"]).starts_with("the vault takes "));
}
