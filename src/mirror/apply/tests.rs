//! Each rule of MERGE 7 by name, on a real disk and a real database.

#![allow(clippy::unwrap_used)]

mod kills;
#[cfg(feature = "sim")]
mod planted;
mod world;

use super::*;
use crate::path::RelPath;
use std::fs;
use std::os::unix::fs::MetadataExt;
use world::{D, F, L, P, Want, World, shown};

type Tree = &'static [(&'static str, Want)];

const FIRST: Tree = &[
    ("a", F(1, "alpha")),
    ("d", D(10)),
    ("d/b", F(2, "beta")),
    ("d/e", D(11)),
    ("d/e/c", P(3, "gamma")),
    ("l", L(4, "d/b")),
    ("x", D(12)),
    ("x/n", F(5, "nu")),
    ("gone", D(13)),
    ("gone/deep", D(14)),
    ("gone/deep/f", F(6, "phi")),
    ("file-to-dir", F(7, "f")),
    ("dir-to-file", D(15)),
    ("dir-to-file/k", F(8, "kappa")),
];

/// Everything at once: an edit, a moved directory with a new file in it, a renamed and edited file, a deleted
/// directory, kinds exchanged.
const SECOND: Tree = &[
    ("a", F(1, "alpha, edited")),
    ("x", D(12)),
    ("x/moved", D(10)),
    ("x/moved/renamed", F(2, "beta and more")),
    ("x/moved/e", D(11)),
    ("x/moved/e/c", F(3, "gamma")),
    ("x/moved/new", F(9, "new")),
    ("l", L(4, "x/moved/renamed")),
    ("n", F(5, "nu")),
    ("file-to-dir", D(16)),
    ("file-to-dir/in", F(20, "in")),
    ("dir-to-file", F(21, "was a directory")),
];

fn at(tree: Tree) -> World {
    let mut w = World::new();
    w.head(tree);
    let done = w.apply().unwrap();
    assert_eq!((done.left, w.tree()), (0, shown(tree)), "{:?}", w.d().report);
    assert!(w.even());
    w
}

#[test]
fn a_tree_is_made_changed_and_made_back() {
    let mut w = at(FIRST);
    for tree in [SECOND, FIRST, &[], SECOND] {
        w.head(tree);
        assert_eq!(w.apply().unwrap().left, 0, "{:?}", w.d().report);
        assert_eq!(w.tree(), shown(tree));
        assert!(w.even() && !w.d().report.again);
        assert!(w.d().report.problems.is_empty(), "{:?}", w.d().report);
    }
}

#[test]
fn when_even_nothing_is_asked_or_done() {
    let mut w = at(FIRST);
    let steps = w.hook.borrow().steps;
    assert_eq!(w.apply().unwrap(), Applied::default());
    assert_eq!(w.hook.borrow().steps, steps);
}

#[test]
fn times_are_set_and_seen_is_what_the_disk_shows() {
    let mut w = at(FIRST);
    let meta = fs::metadata(w.share().join("a")).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_600_000_005, 123_000_000));
    let root = w.d().share.root();
    for row in w.d().state.rows(Table::Anc, None, 100).unwrap() {
        if row.place.dir == Id::ROOT {
            assert!(clean(&w.d().share.clone(), &root, &row).unwrap(), "{row:?}");
        }
    }
    assert_eq!(fs::symlink_metadata(w.share().join("l")).unwrap().mtime(), 1_600_000_003);
}

#[test]
fn a_private_file_is_never_readable_by_others() {
    let mut w = World::new();
    w.head(&[("p", P(1, "secret"))]);
    let share = w.share();
    w.hook.borrow_mut().act = Some(Box::new(move |_| {
        for e in fs::read_dir(&share).unwrap() {
            assert_eq!(e.unwrap().metadata().unwrap().mode() & 0o077, 0);
        }
    }));
    assert_eq!(w.apply().unwrap().done, 1);
}

#[test]
fn a_directory_is_renamed_whole_with_what_nobody_knows_in_it() {
    let mut w = at(&[("d", D(10)), ("d/b", F(2, "beta"))]);
    fs::write(w.share().join("d/ignored.o"), "kept").unwrap();
    let ino = fs::metadata(w.share().join("d/b")).unwrap().ino();
    w.head(&[("m", D(10)), ("m/b", F(2, "beta"))]);
    assert_eq!(w.apply().unwrap().left, 0);
    assert_eq!(fs::read_to_string(w.share().join("m/ignored.o")).unwrap(), "kept");
    assert_eq!(fs::metadata(w.share().join("m/b")).unwrap().ino(), ino);
    assert!(!w.share().join("d").exists());
}

#[test]
fn directories_swap_their_names() {
    let one: Tree = &[("p", D(10)), ("p/f", F(1, "one")), ("q", D(11)), ("q/f", F(2, "two")), ("q/g", F(3, "three"))];
    let two: Tree = &[("p", D(11)), ("p/f", F(2, "two")), ("p/g", F(3, "three")), ("q", D(10)), ("q/f", F(1, "one"))];
    let mut w = at(one);
    w.head(two);
    for _ in 0..3 {
        w.apply().unwrap();
    }
    assert_eq!(w.tree(), shown(two));
    assert!(w.even());
}

#[test]
fn a_directory_and_the_one_in_it_change_places() {
    let mut w = at(&[("o", D(10)), ("o/i", D(11)), ("o/i/f", F(1, "f")), ("o/g", F(2, "g"))]);
    let two: Tree = &[("i", D(11)), ("i/f", F(1, "f")), ("i/o", D(10)), ("i/o/g", F(2, "g"))];
    w.head(two);
    assert_eq!(w.apply().unwrap().left, 0);
    assert_eq!(w.tree(), shown(two));
}

#[test]
fn a_renamed_file_keeps_its_inode() {
    let mut w = at(&[("old", F(1, "same"))]);
    let ino = fs::metadata(w.share().join("old")).unwrap().ino();
    w.head(&[("new", F(1, "same"))]);
    w.apply().unwrap();
    assert_eq!(fs::metadata(w.share().join("new")).unwrap().ino(), ino);
    assert!(w.even());
}

#[test]
fn a_file_moves_into_a_directory_of_its_own_name_and_out_again() {
    // Found by seed 3886 of the simulation: file and directory waited for each other.
    let out: Tree = &[("d", F(1, "f"))];
    let inside: Tree = &[("d", D(10)), ("d/s", F(1, "f"))];
    let mut w = at(out);
    for tree in [inside, out, inside] {
        w.head(tree);
        assert_eq!(w.apply().unwrap().left, 0);
        assert_eq!(w.tree(), shown(tree));
    }
}

#[test]
fn what_the_user_has_changed_is_left() {
    let mut w = at(FIRST);
    fs::write(w.share().join("a"), "the user's").unwrap();
    fs::write(w.share().join("gone/deep/f"), "the user's").unwrap();
    fs::write(w.share().join("d/b"), "the user's").unwrap();
    fs::write(w.share().join("x/moved"), "in the way").unwrap();
    w.head(SECOND);
    let done = w.apply().unwrap();
    assert!(done.left > 0 && w.d().report.again && !w.even());
    for path in ["a", "gone/deep/f", "d/b"] {
        assert_eq!(fs::read_to_string(w.share().join(path)).unwrap(), "the user's", "{path}");
    }
    assert_eq!(fs::read_to_string(w.share().join("x/moved")).unwrap(), "in the way");
    assert!(!w.share().join("d/renamed").exists(), "the new name was made beside the old one");
}

#[test]
fn a_user_who_writes_between_recheck_and_exchange_keeps_what_he_wrote() {
    let mut w = at(&[("a", F(1, "alpha"))]);
    w.head(&[("a", F(1, "from afar"))]);
    let path = w.share().join("a");
    let mut once = false;
    w.hook.borrow_mut().act = Some(Box::new(move |v| {
        if v == "exchange" && !std::mem::replace(&mut once, true) {
            fs::write(&path, "the user's").unwrap();
        }
    }));
    let done = w.apply().unwrap();
    assert_eq!((done.done, done.left), (0, 1));
    assert_eq!(w.tree(), shown(&[("a", F(1, "the user's"))]), "or litter");
}

#[test]
fn a_user_who_writes_after_the_rename_has_edited() {
    let mut w = World::new();
    w.head(&[("a", F(1, "from afar"))]);
    let path = w.share().join("a");
    w.hook.borrow_mut().act = Some(Box::new(move |v| {
        if v == "stat after rename" {
            fs::write(&path, "the user's").unwrap();
        }
    }));
    w.apply().unwrap();
    let root = w.d().share.root();
    let row = w.d().state.rows(Table::Anc, None, 1).unwrap().remove(0);
    assert!(!clean(&w.d().share.clone(), &root, &row).unwrap(), "the edit is taken for what we wrote");
}

#[test]
fn a_user_who_takes_the_name_first_keeps_it() {
    let mut w = World::new();
    w.head(&[("a", F(1, "from afar"))]);
    let path = w.share().join("a");
    w.hook.borrow_mut().act = Some(Box::new(move |v| {
        if v == "rename_noreplace" {
            fs::write(&path, "the user's").unwrap();
        }
    }));
    assert_eq!(w.apply().unwrap().left, 1);
    assert_eq!(w.tree(), shown(&[("a", F(1, "the user's"))]));
}

#[test]
fn a_planted_link_leads_nothing_outside() {
    let mut w = at(&[("d", D(10)), ("d/b", F(2, "beta"))]);
    let outside = w.tmp.path().join("outside");
    fs::rename(w.share().join("d"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, w.share().join("d")).unwrap();
    w.head(&[("d", D(10)), ("d/b", F(2, "evil")), ("d/c", F(3, "evil"))]);
    assert_eq!(w.apply().unwrap().done, 0);
    assert_eq!(fs::read_to_string(outside.join("b")).unwrap(), "beta");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    w.head(&[]);
    w.apply().unwrap();
    assert!(outside.join("b").exists());
}

#[test]
fn a_full_disk_takes_deletions_and_says_what_waits() {
    let mut w = at(&[("a", F(1, "alpha")), ("b", F(2, "beta"))]);
    w.d().settings.min_free = 1000;
    w.hook.borrow_mut().free = Some(1005);
    w.head(&[("a", F(1, "longer than five")), ("c", F(3, "four"))]);
    let done = w.apply().unwrap();
    assert_eq!(done.left, 1);
    assert_eq!(w.tree(), shown(&[("a", F(1, "alpha")), ("c", F(3, "four"))]));
    let named = vec![(RelPath::new(b"a").unwrap(), 16)];
    assert_eq!(w.d().report.full, Some(Full { files: 1, bytes: 16, free: 1005, kept: 1000, named }));
}

#[test]
fn without_exchange_or_noreplace_it_works_too() {
    let mut w = World::new();
    let traits = w.d().share.traits();
    w.hook.borrow_mut().traits = Some(crate::files::Traits { exchange: false, ..traits });
    for tree in [FIRST, SECOND, FIRST] {
        w.head(tree);
        assert_eq!(w.apply().unwrap().left, 0);
        assert_eq!(w.tree(), shown(tree));
    }
}

#[test]
fn a_disk_without_links_reports_them() {
    let mut w = World::new();
    let traits = w.d().share.traits();
    w.hook.borrow_mut().traits = Some(crate::files::Traits { links: false, ..traits });
    w.head(&[("a", F(1, "alpha")), ("l", L(2, "a"))]);
    assert_eq!(w.apply().unwrap().left, 1);
    assert_eq!(w.d().report.problems.len(), 1);
    assert_eq!(w.tree(), shown(&[("a", F(1, "alpha"))]));
}

#[test]
fn a_disk_that_folds_shows_one_name_of_several() {
    let mut w = World::new();
    let traits = w.d().share.traits();
    w.hook.borrow_mut().traits = Some(crate::files::Traits { folds_case: true, ..traits });
    w.head(&[("A", F(1, "upper")), ("a", F(2, "lower")), ("D", D(10)), ("D/f", F(3, "f")), ("d", D(11)), ("d/g", F(4, "g"))]);
    assert_eq!(w.apply().unwrap().left, 3, "a, d, and what is in d");
    assert_eq!(w.tree(), shown(&[("A", F(1, "upper")), ("D", D(10)), ("D/f", F(3, "f"))]));
}

#[test]
fn a_damaged_object_is_reported_and_the_rest_goes_on() {
    let mut w = World::new();
    w.head(&[("a", F(1, "alpha")), ("b", F(2, "beta"))]);
    let mut row = w.d().state.rows(Table::Head, None, 1).unwrap().remove(0);
    if let crate::state::RowNode::Here(Node::File(v)) = &mut row.node {
        v.mac[0] ^= 1;
    }
    w.d().state.put(Table::Head, &row).unwrap();
    assert_eq!(w.apply().unwrap().left, 1);
    let problem = &w.d().report.problems[0];
    assert_eq!(problem.path.as_ref().unwrap().to_string(), "a");
    assert_eq!(w.tree(), shown(&[("b", F(2, "beta"))]));
}

#[test]
fn what_is_skipped_stays() {
    let mut w = at(FIRST);
    w.head(&[]);
    let done = apply(w.d(), &|p: &Place| p.name.as_bytes() == b"f" || p.name.as_bytes() == b"a").unwrap();
    assert_eq!(done.left, 4, "a; gone, gone/deep and f");
    assert_eq!(w.tree().len(), 4);
    assert!(!w.even());
}

#[test]
fn an_ignored_file_keeps_its_directory() {
    let mut w = at(&[("d", D(10)), ("d/b", F(2, "beta"))]);
    fs::write(w.share().join("d/ignored.o"), "kept").unwrap();
    w.head(&[]);
    assert_eq!(w.apply().unwrap().left, 1);
    assert_eq!(w.tree().keys().collect::<Vec<_>>(), ["d/", "d/ignored.o"]);
    assert!(w.d().report.problems[0].note);
}

#[test]
fn only_the_ancestor_changes_where_plaintext_and_times_are_equal() {
    let mut w = at(&[("a", F(1, "alpha"))]);
    let ino = fs::metadata(w.share().join("a")).unwrap().ino();
    w.head(&[("a", F(2, "alpha"))]);
    assert_eq!(w.apply().unwrap().done, 1);
    assert!(w.even());
    assert_eq!(fs::metadata(w.share().join("a")).unwrap().ino(), ino);
}
