//! Refs of secure's repository: the branch, and what is remembered of nodes.

use crate::support::{Home, git, git_ok, tree};

#[test]
fn a_branch_that_is_damaged_or_gone_goes_back_to_what_the_device_knows() {
    let a = Home::new();
    a.write("x.txt", "one\n");
    a.init(&a.path("node.git").display().to_string());
    let (secure, branch) = (a.path("secure"), a.path("secure/.git/refs/heads/main"));
    let good = std::fs::read_to_string(&branch).unwrap();
    let digit = if good.starts_with('a') { "b" } else { "a" };
    let cases: [(&str, Option<Vec<u8>>); 6] = [
        ("deleted", None),
        ("a digit changed", Some(format!("{digit}{}", &good[1..]).into())),
        ("garbage", Some(b"\xff\x00 nothing".to_vec())),
        ("cut short", Some(good[..20].into())),
        ("empty", Some(Vec::new())),
        ("extended", Some(format!("{}0\n", good.trim()).into())),
    ];
    for (n, (what, bytes)) in cases.into_iter().enumerate() {
        for edited in [false, true] {
            let now = git_ok(&secure, &["rev-parse", "main"]);
            match &bytes {
                Some(bytes) => std::fs::write(&branch, bytes).unwrap(),
                None => std::fs::remove_file(&branch).unwrap(),
            }
            if edited {
                a.write("x.txt", &format!("after {n}\n"));
            }
            let before = tree(&a.path("share"));
            let r = a.run(["sync"]);
            assert_eq!(r.code, 0, "{what}: {}{}", r.out, r.err);
            assert!(r.err.contains("the branch in ~/secure") && r.err.contains("nothing is lost"), "{what}: {}", r.err);
            assert_eq!(tree(&a.path("share")), before, "{what}");
            let fsck = git(&secure, &["fsck", "--strict"]);
            assert_eq!(fsck.code, 0, "{what}: {}{}", fsck.out, fsck.err);
            assert_eq!(git_ok(&secure, &["rev-parse", "main"]) == now, !edited, "{what}");
            assert_eq!(git_ok(&secure, &["rev-parse", "main"]), git_ok(&a.path("node.git"), &["rev-parse", "main"]), "{what}");
            a.ok(["verify", "--remote"]);
        }
    }
}
