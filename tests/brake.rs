//! The brake in a vault of 25 files, in both directions, and both of its answers as they are shown.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Home, assert_equal_trees};

const FILES: usize = 25;

fn two() -> (Home, Home) {
    let (a, b) = (Home::new(), Home::new());
    for n in 0..FILES {
        a.write(&format!("{}/{n}", if n < 15 { "photos" } else { "taxes" }), &format!("{n}"));
    }
    let node = a.path("node.git").display().to_string();
    a.init(&node);
    b.join(&node, &a, "beta");
    (a, b)
}

fn empty(h: &Home) {
    for folder in ["photos", "taxes"] {
        std::fs::remove_dir_all(h.share(folder)).unwrap();
    }
}

fn files(h: &Home) -> usize {
    (0..FILES).filter(|n| ["photos", "taxes"].iter().any(|f| h.has(&format!("{f}/{n}"), &n.to_string()))).count()
}

/// The round stops, and says so with both answers; gives what it says.
fn stopped(h: &Home, lines: &[&str]) -> String {
    let r = h.run(["sync"]);
    assert_eq!(r.code, 3, "{}{}", r.out, r.err);
    for line in lines {
        assert!(r.err.contains(line), "{line}: {}", r.err);
    }
    r.err
}

/// Runs the command that is shown for a purpose.
fn answer(h: &Home, said: &str, purpose: &str) {
    let line = said.lines().find(|l| l.contains(purpose)).unwrap_or_else(|| panic!("{purpose}: {said}"));
    let r = h.run(line.split_once("sharelock ").unwrap().1.split(' '));
    assert_eq!(r.code, 0, "{line}: {}{}", r.out, r.err);
}

const SHARE: [&str; 4] = [
    "sharelock: stopped before deleting 25 of 25 files (40 B) on all devices\n  photos/ (15 files), taxes/ (10 files)\n",
    "  they are gone from ~/share on alpha since today ",
    ". nothing was sent;\n  the other devices and the storage nodes still have them all\n",
    "  to bring them back here:              sharelock undo\n  if you wanted that, this change only: sharelock allow ",
];
const ELSEWHERE: [&str; 2] =
    ["sharelock: stopped before deleting 25 of 25 files (40 B) on this device\n", "they are untouched in ~/share here\n"];

#[test]
fn nineteen_files_are_no_matter_and_twenty_of_25_are() {
    let (a, b) = two();
    for n in 0..15 {
        std::fs::remove_file(a.share(&format!("photos/{n}"))).unwrap();
    }
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_eq!(files(&b), 10);
    a.ok(["restore", "photos"]);
    for n in 0..15 {
        std::fs::remove_file(a.share(&format!("photos/{n}"))).unwrap();
    }
    for n in 15..20 {
        std::fs::remove_file(a.share(&format!("taxes/{n}"))).unwrap();
    }
    stopped(&a, &["stopped before deleting 20 of 25 files"]);
    b.ok(["sync"]);
    assert_eq!(files(&b), FILES);
}

#[test]
fn what_is_undone_here_was_never_sent() {
    let (a, b) = two();
    empty(&a);
    // Other changes go on.
    a.write("new", "goes on");
    let said = stopped(&a, &SHARE);
    b.ok(["sync"]);
    assert_eq!((files(&b), b.read("new")), (FILES, "goes on".to_string()));
    // Another code allows nothing, nor does this one for another change.
    let code = said.rsplit("sharelock allow ").next().unwrap().trim().to_string();
    let other = if code == "0000" { "1111" } else { "0000" };
    assert_eq!(a.run(["allow", other]).code, 3);
    answer(&a, &said, "to bring them back here");
    assert_eq!(files(&a), FILES);
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
}

#[test]
fn what_is_allowed_here_is_asked_once_more_there() {
    let (a, b) = two();
    empty(&a);
    let said = stopped(&a, &SHARE);
    answer(&a, &said, "if you wanted that, this change only");
    a.ok(["sync"]);
    // The other device undoes it: for all.
    let said = stopped(&b, &ELSEWHERE);
    assert_eq!(files(&b), FILES);
    answer(&b, &said, "to bring them back everywhere");
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_eq!((files(&a), files(&b)), (FILES, FILES));
    // Or it allows it, too.
    empty(&a);
    let said = stopped(&a, &SHARE);
    answer(&a, &said, "if you wanted that, this change only");
    let said = stopped(&b, &ELSEWHERE);
    answer(&b, &said, "if you wanted that, this change only");
    assert_eq!((files(&a), files(&b)), (0, 0));
    for h in [&a, &b] {
        h.ok(["sync"]);
        h.ok(["verify"]);
    }
    // It is in the history all the same.
    b.ok(["restore", "photos"]);
    a.ok(["sync"]);
    assert_eq!((files(&a), files(&b)), (15, 15));
}
