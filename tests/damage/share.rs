//! The mark in the root of the share.

use crate::support::{Home, tree};

#[test]
fn a_damaged_mark_of_the_share_stops_everything_and_has_an_answer() {
    let a = Home::new();
    a.write("x.txt", "one\n");
    a.init(&a.path("node.git").display().to_string());
    let mark = a.share(".sharelock-root");
    let good = std::fs::read_to_string(&mark).unwrap();
    let digit = if good.starts_with('a') { "b" } else { "a" };
    let before = tree(&a.path("share"));
    for (what, bytes) in [
        ("empty", String::new()),
        ("cut short", good[..20].into()),
        ("garbage", "x".repeat(100)),
        ("a digit changed", format!("{digit}{}", &good[1..])),
    ] {
        std::fs::write(&mark, bytes).unwrap();
        let r = a.run(["sync"]);
        assert_eq!(r.code, 1, "{what}: {}", r.err);
        assert!(r.err.contains(".sharelock-root") && r.err.contains("nothing was changed, nothing counts as deleted"), "{what}: {}", r.err);
        assert_eq!(r.err.contains("damaged"), what != "a digit changed", "{what}: {}", r.err);
        assert_eq!(tree(&a.path("share")), before, "{what}");
        // The answer, as it stands.
        let command = r.err.lines().find_map(|l| l.split_once("if it is this vault's share: ")).unwrap().1;
        let done = std::process::Command::new("sh").args(["-c", command]).env("HOME", a.dir.path()).status().unwrap();
        assert!(done.success(), "{command}");
        a.ok(["sync"]);
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), good, "{what}");
    }
}
