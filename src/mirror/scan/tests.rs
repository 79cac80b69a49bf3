//! Each rule of MERGE 3 by name, on the simulated disk and on the real one.

pub(crate) mod world;

use super::*;
use crate::path::Name;
use crate::state::RowNode;
use crate::tree::{Node, Place};
use world::{World, real};

/// A test on both disks.
macro_rules! on_both {
    ($(#[$meta:meta])* fn $name:ident($w:ident) $body:block) => {
        mod $name {
            use super::*;
            #[allow(unused_mut)]
            fn run<F: Files + 'static, S: State>(mut $w: World<F, S>) $body
            #[test]
            fn real_disk() {
                run(real());
            }
            #[cfg(feature = "sim")]
            #[test]
            fn simulated() {
                run(super::world::sim());
            }
        }
    };
}

/// `d/` with two files and `d/s/` with one, `f`, all in the ancestor.
fn settled<F: Files, S: State>(w: &mut World<F, S>) {
    w.mkdir("d");
    w.mkdir("d/s");
    for (path, content) in [("d/a", "alpha"), ("d/b", "beta of d"), ("d/s/c", "gamma ray"), ("f", "final")] {
        w.write(path, content);
    }
    w.round();
}

on_both! {
    fn a_first_scan_takes_all_and_a_second_nothing(w) {
        settled(&mut w);
        w.link("l", "d/a");
        w.mkdir("empty");
        let scanned = w.seal();
        assert_eq!((scanned.files, scanned.stable), (5, true));
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "d/a", "d/b", "d/s", "d/s/c", "empty", "f", "l"]);
        assert_eq!(tree["l"].file().unwrap().kind, FileKind::Link);
        assert_eq!(tree["d"].id(), w.d.keys.dir_id(&Id::ROOT, &Name::new(*b"d").unwrap()), "derived");
        assert_eq!(tree["d/s"].id(), w.d.keys.dir_id(&tree["d"].id(), &Name::new(*b"s").unwrap()));
        let f = tree["f"].file().unwrap();
        assert_eq!((f.size, f.generation, f.writer.as_str(), f.offset, f.mtime), (5, 1, "laptop", 60, w.stat("f").mtime));
        w.take();
        w.seal();
        assert_eq!(w.rows(), []);
    }
}

on_both! {
    fn an_edit_keeps_the_id(w) {
        settled(&mut w);
        let old = w.file("f");
        w.write("f", "final, changed");
        w.seal();
        let new = w.file("f");
        assert_eq!((new.id, new.generation, new.size), (old.id, old.generation + 1, 14));
        assert_ne!(new.mac, old.mac);
        assert_eq!(w.rows().len(), 1);
    }
}

on_both! {
    fn an_editors_save_by_rename_keeps_the_id(w) {
        settled(&mut w);
        let old = w.id("f");
        w.save("f", "saved");
        w.seal();
        assert_eq!((w.id("f"), w.file("f").generation, w.rows().len()), (old, 2, 1));
    }
}

on_both! {
    fn the_id_stays_with_the_name_where_the_old_file_is_kept_beside(w) {
        settled(&mut w);
        let old = w.id("f");
        w.mv("f", "f.bak"); // The rename of a backup, then a new file.
        w.write("f", "new");
        w.seal();
        assert_eq!(w.id("f"), old);
        assert_ne!(w.id("f.bak"), old, "a new file, whatever its inode says");
    }
}

on_both! {
    fn a_generation_is_above_the_greatest_known(w) {
        settled(&mut w);
        let mut elsewhere = w.file("f");
        elsewhere.generation = 7;
        w.head("g", Node::File(elsewhere));
        w.write("f", "final, changed");
        w.seal();
        assert_eq!(w.file("f").generation, 8);
    }
}

/// On a simulated disk only: not all real ones keep such a time.
#[cfg(feature = "sim")]
#[test]
fn a_time_that_no_file_head_can_say_is_the_nearest_that_can() {
    let mut w = world::sim();
    settled(&mut w);
    for (s, want) in [(1 << 41, 1 << 40), (i64::MAX, 1 << 40), (-(1 << 41), -(1 << 40))] {
        w.touch("f", s);
        w.seal();
        assert_eq!(w.file("f").mtime.s, want);
    }
}

on_both! {
    fn a_touch_changes_the_time_and_the_writer(w) {
        settled(&mut w);
        let old = w.file("f");
        w.d.name = crate::tree::Writer::new("pi").unwrap();
        w.touch("f", 1_234_567_890);
        w.seal();
        let new = w.file("f");
        assert_eq!((new.id, new.mac, new.mtime.s, new.writer.as_str(), new.generation), (old.id, old.mac, 1_234_567_890, "pi", 2));
    }
}

on_both! {
    fn a_chmod_is_known_without_reading(w) {
        settled(&mut w);
        let old = w.file("f");
        w.d.name = crate::tree::Writer::new("pi").unwrap();
        w.chmod("f", 0o700);
        w.d.share.denied.borrow_mut().push("f");
        w.scan();
        let new = w.file("f");
        assert_eq!((new.mac, new.oid), (old.mac, Oid::ZERO), "only the file head is sealed anew");
        w.seal();
        let new = w.file("f");
        assert_eq!((new.exec, new.private, new.writer.as_str(), new.generation), (true, true, "laptop", 2));
        assert_ne!(new.oid, old.oid);
        assert_eq!(w.problems(), [""; 0]);
    }
}

on_both! {
    fn a_new_inode_with_the_same_content_is_no_change(w) {
        settled(&mut w);
        let old = w.file("f");
        let time = w.stat("f").mtime;
        w.write("f.new", "final");
        w.touch("f.new", time.s);
        let (dir, name) = (w.disk.root(), b"f.new");
        w.disk.set_link_mtime(&dir, name, time).unwrap();
        w.mv("f.new", "f");
        w.scan();
        assert_eq!(w.file("f").mac, [0; 32], "to be read");
        w.seal();
        assert_eq!(w.file("f"), old);
        w.take();
        w.scan();
        assert_eq!(w.rows(), [], "what the disk shows is remembered");
    }
}

on_both! {
    fn a_new_inode_with_another_content_and_the_old_time_is_this_devices(w) {
        settled(&mut w);
        let time = w.stat("f").mtime;
        w.d.name = crate::tree::Writer::new("pi").unwrap();
        w.write("f.new", "FINAL");
        let dir = w.disk.root();
        w.disk.set_link_mtime(&dir, b"f.new", time).unwrap();
        w.mv("f.new", "f");
        w.seal();
        assert_eq!((w.file("f").writer.as_str(), w.file("f").mtime, w.file("f").generation), ("pi", time, 2));
    }
}

on_both! {
    fn a_rename_takes_the_version_over_whole(w) {
        settled(&mut w);
        let old = w.file("f");
        w.mv("f", "d/g");
        w.scan();
        assert_eq!(w.file("d/g"), old, "nothing is read");
        assert!(!w.scanned().contains_key("f"));
    }
}

on_both! {
    fn a_rename_and_an_edit_at_once(w) {
        settled(&mut w);
        let old = w.file("f");
        w.mv("f", "g");
        w.write("g", "final words");
        w.seal();
        assert_eq!((w.id("g"), w.file("g").generation, w.file("g").size), (old.id, 2, 11));
    }
}

on_both! {
    fn a_rename_without_birth_times(w) {
        w.d.share.no_birth.set(true);
        settled(&mut w);
        let old = w.file("f");
        w.mv("f", "g");
        w.seal();
        assert_eq!(w.file("g"), old);
    }
}

on_both! {
    fn an_inode_used_again_is_no_rename(w) {
        // Without birth times the size and the time must fit, too.
        w.d.share.no_birth.set(true);
        settled(&mut w);
        let old = w.file("f");
        w.mv("f", "g");
        w.write("g", "another file that got the same inode number");
        w.seal();
        assert_ne!(w.id("g"), old.id);
    }
}

on_both! {
    fn a_rename_by_content(w) {
        settled(&mut w);
        let old = w.file("f");
        w.rm("f");
        w.write("d/g", "final");
        w.seal();
        let new = w.file("d/g");
        assert_eq!((new.id, new.mac, new.generation), (old.id, old.mac, 2));
    }
}

on_both! {
    fn a_rename_by_content_must_be_the_only_one(w) {
        settled(&mut w);
        let old = w.file("f");
        w.rm("f");
        w.write("g", "final");
        w.write("h", "final");
        w.write("i", "other");
        w.seal();
        for path in ["g", "h", "i"] {
            assert_ne!(w.id(path), old.id, "{path}");
        }
        w.take();
        // And of two that are gone it is neither.
        let (g, h) = (w.id("g"), w.id("h"));
        w.rm("g");
        w.rm("h");
        w.write("j", "final");
        w.seal();
        assert!(![g, h].contains(&w.id("j")));
    }
}

on_both! {
    fn an_empty_file_is_not_renamed_by_content(w) {
        w.write("e", "");
        w.round();
        let old = w.id("e");
        w.rm("e");
        w.write("g", "");
        w.seal();
        assert_ne!(w.id("g"), old);
    }
}

on_both! {
    fn head_has_a_file_at_this_path(w) {
        settled(&mut w);
        let mut other = w.file("f");
        (other.id, other.generation, other.segment) = (Id([5; 16]), 3, 0);
        w.head("d/new", Node::File(other));
        w.write("d/new", "mine");
        w.rm("f");
        w.write("d/newer", "mine, too");
        w.seal();
        assert_eq!((w.id("d/new"), w.file("d/new").generation), (Id([5; 16]), 0));
        assert_ne!(w.id("d/newer"), Id([5; 16]));
    }
}

on_both! {
    fn what_head_has_at_this_path_comes_before_a_rename_by_content(w) {
        settled(&mut w);
        let (mut other, old) = (w.file("f"), w.id("f"));
        other.id = Id([5; 16]);
        w.head("g", Node::File(other));
        w.rm("f");
        w.write("g", "final");
        w.seal();
        assert_ne!(w.id("g"), old);
        assert_eq!(w.id("g"), Id([5; 16]));
    }
}

on_both! {
    fn a_copy_gets_new_ids(w) {
        settled(&mut w);
        w.mkdir("copy");
        for (path, content) in [("copy/a", "alpha"), ("copy/b", "beta of d")] {
            w.write(path, content);
        }
        w.seal();
        let tree = w.scanned();
        assert_ne!(tree["copy"].id(), tree["d"].id());
        assert_ne!(tree["copy/a"].id(), tree["d/a"].id());
    }
}

#[test]
fn a_hard_link_gets_a_new_id_and_follows_when_the_old_name_goes() {
    let mut w = real();
    settled(&mut w);
    let share = w._tmp.as_ref().unwrap().path().join("share");
    std::fs::hard_link(share.join("f"), share.join("g")).unwrap();
    w.round();
    let (f, g) = (w.id("f"), w.id("g"));
    assert_ne!(f, g);
    w.mv("f", "h");
    w.seal();
    assert_eq!((w.id("h"), w.id("g")), (f, g));
}

on_both! {
    fn a_directory_moves_with_all_in_it(w) {
        settled(&mut w);
        let old = w.scanned();
        w.mv("d", "e");
        w.write("e/new", "new");
        w.seal();
        let tree = w.scanned();
        for (path, was) in [("e", "d"), ("e/a", "d/a"), ("e/s", "d/s"), ("e/s/c", "d/s/c")] {
            assert_eq!(tree[path], old[was], "{path}");
        }
        assert_eq!(w.rows().len(), 3, "its old place, its new one, and the new file: places below did not change");
    }
}

on_both! {
    fn a_directory_moves_into_a_new_one_and_is_edited(w) {
        settled(&mut w);
        let old = w.scanned();
        w.mkdir("n");
        w.mv("d", "n/d");
        w.write("n/d/s/c", "gamma rays");
        w.seal();
        let tree = w.scanned();
        assert_eq!((tree["n/d"].id(), tree["n/d/s/c"].id()), (old["d"].id(), old["d/s/c"].id()));
        assert_eq!(w.file("n/d/s/c").generation, 2);
    }
}

on_both! {
    fn a_directory_comes_out_of_a_deleted_one(w) {
        settled(&mut w);
        let old = w.scanned();
        w.mv("d/s", "s");
        w.rmtree("d");
        w.seal();
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["f", "s", "s/c"]);
        assert_eq!((tree["s"].id(), tree["s/c"].id()), (old["d/s"].id(), old["d/s/c"].id()));
    }
}

on_both! {
    fn the_path_comes_before_the_inode(w) {
        settled(&mut w);
        w.mkdir("e");
        w.round();
        let (d, e) = (w.id("d"), w.id("e"));
        w.mv("d", "x");
        w.mv("e", "d");
        w.mv("x", "e");
        w.seal();
        assert_eq!((w.id("d"), w.id("e")), (d, e));
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "e", "e/a", "e/b", "e/s", "e/s/c", "f"]);
    }
}

on_both! {
    fn without_birth_times_half_of_the_entries_must_be_there(w) {
        w.d.share.no_birth.set(true);
        settled(&mut w);
        let d = w.id("d");
        w.mv("d", "e");
        w.rm("e/a");
        w.seal();
        assert_eq!(w.id("e"), d, "two of three");
        w.take();
        w.mv("e", "d");
        w.rm("d/b");
        w.save("d/s/c", "gamma rays");
        w.seal();
        assert_eq!(w.id("d"), d, "one of two");
        w.take();
        let s = w.id("d/s");
        w.mv("d/s", "t");
        w.save("t/c", "another inode");
        w.seal();
        assert_ne!(w.id("t"), s, "none of one");
        w.take();
        w.mkdir("empty");
        w.round();
        let empty = w.id("empty");
        w.mv("empty", "full");
        w.seal();
        assert_ne!(w.id("full"), empty, "none of none");
    }
}

on_both! {
    fn head_has_a_directory_at_this_path(w) {
        settled(&mut w);
        w.head("n", Node::Dir { id: Id([6; 16]), tree: Oid::ZERO });
        w.head("n/m", Node::Dir { id: Id([7; 16]), tree: Oid::ZERO });
        w.mkdir("n");
        w.mkdir("n/m");
        w.write("n/m/x", "x");
        w.seal();
        assert_eq!((w.id("n"), w.id("n/m")), (Id([6; 16]), Id([7; 16])));
        w.take();
        // But not one that stands elsewhere in the share.
        w.mv("n/m", "m");
        w.mkdir("n/m");
        w.seal();
        assert_eq!(w.id("n/m"), Id([7; 16]), "its path");
        assert_ne!(w.id("m"), Id([7; 16]));
    }
}

on_both! {
    fn a_derived_id_that_is_taken_is_replaced_by_a_random_one(w) {
        settled(&mut w);
        let d = w.id("d");
        w.mv("d", "e");
        w.round();
        assert_eq!(w.id("e"), d);
        w.mkdir("d"); // Derives the id that `e` has.
        w.write("d/x", "x");
        w.seal();
        let tree = w.scanned();
        assert_eq!(tree["e"].id(), d);
        assert_ne!(tree["d"].id(), d);
        assert_eq!(tree["d"].id().0[8..], [0xaa; 8], "random");
    }
}

on_both! {
    fn a_directory_made_anew_has_its_old_id(w) {
        settled(&mut w);
        let d = w.id("d");
        w.rmtree("d");
        w.round();
        w.mkdir("d");
        w.seal();
        assert_eq!(w.id("d"), d);
    }
}

on_both! {
    fn a_file_becomes_a_directory_and_the_reverse(w) {
        settled(&mut w);
        w.rm("f");
        w.mkdir("f");
        w.write("f/x", "x");
        w.rmtree("d");
        w.write("d", "a file now");
        w.seal();
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "f", "f/x"]);
        assert!(tree["f"].is_dir() && !tree["d"].is_dir());
        w.take();
        w.seal();
        assert_eq!(w.rows(), []);
    }
}

on_both! {
    fn a_file_becomes_a_directory_with_itself_in_it(w) {
        settled(&mut w);
        let f = w.file("f");
        w.mv("f", "g");
        w.mkdir("f");
        w.mv("g", "f/f");
        w.seal();
        assert_eq!(w.file("f/f"), f);
        assert!(w.scanned()["f"].is_dir());
    }
}

on_both! {
    fn a_file_becomes_a_link(w) {
        settled(&mut w);
        let old = w.file("f");
        w.chmod("f", 0o755);
        w.round();
        w.rm("f");
        w.link("f", "d/a");
        w.seal();
        let new = w.file("f");
        assert_eq!((new.id, new.kind, new.size, new.exec, new.private), (old.id, FileKind::Link, 3, false, false));
    }
}

on_both! {
    fn a_disk_without_executable_bits_makes_no_changes(w) {
        w.write("x", "script");
        w.chmod("x", 0o755);
        w.round();
        assert!(w.file("x").exec);
        w.d.share.no_exec.set(true);
        w.write("x", "script, edited");
        w.seal();
        assert!(w.file("x").exec, "kept from the ancestor");
    }
}

on_both! {
    fn a_socket_is_told_once_and_an_unreadable_file_with_its_remedy(w) {
        settled(&mut w);
        w.write("socket", "");
        w.write("secret", "new and unreadable");
        w.d.share.sockets.borrow_mut().push("socket");
        w.d.share.denied.borrow_mut().push("secret");
        w.seal();
        assert_eq!(
            w.problems(),
            [
                "socket: is a socket, pipe or device and is not synced []",
                "secret: can't be read: permission denied [chmod u+r ~/share/secret]",
            ]
        );
        assert_eq!(w.rows(), []);
        assert!(!w.d.report.again, "it is not looked at again before somebody does something");
    }
}

on_both! {
    fn an_unreadable_file_counts_as_equal_to_the_ancestor(w) {
        settled(&mut w);
        w.mkdir("n");
        w.mv("d/a", "n/a");
        w.rmtree("d/s");
        w.rm("d/b");
        w.disk.rmdir(&w.disk.root(), b"d").unwrap();
        w.write("n/a", "edited, but not to be read");
        w.d.share.denied.borrow_mut().push("a");
        w.seal();
        let tree = w.scanned();
        // It counts as being where it was, in a directory that counts as being there.
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "d/a", "f", "n"]);
        assert_eq!(tree, { let mut t = w.anc(); t.remove("d/b"); t.remove("d/s"); t.remove("d/s/c"); t.insert("n".into(), tree["n"].clone()); t });
    }
}

on_both! {
    fn an_unreadable_directory_counts_as_equal_to_the_ancestor(w) {
        settled(&mut w);
        w.rm("d/a");
        w.write("f", "seen");
        w.mkdir("new");
        w.d.share.denied.borrow_mut().extend(["d", "new"]);
        w.seal();
        let tree = w.scanned();
        assert!(tree.contains_key("d/a") && tree.contains_key("d/s/c"));
        assert!(!tree.contains_key("new"));
        assert_eq!(w.rows().len(), 1);
        assert_eq!(w.problems()[0], "d: can't be read: permission denied [chmod u+rx ~/share/d]");
        assert_eq!(w.problems().len(), 2);
    }
}

on_both! {
    fn ignored_files_are_not_taken_and_followed_ones_stay(w) {
        settled(&mut w);
        w.mkdir("build");
        w.write("build/out", "object");
        w.write("d/log", "line");
        w.round();
        assert!(w.scanned().contains_key("build/out"));
        w.write(".sharelockignore", "build/\nlog\n");
        w.round();
        w.write("build/out", "edited");
        w.write("build/more", "new");
        w.rm("d/log");
        w.write("d/s/log", "new");
        w.write("f~", "backup");
        w.write(".sharelock-tmp-0123456789abcdef", "ours");
        w.seal();
        assert_eq!(w.rows(), [], "they count as equal to the ancestor");
        // The directory of an ignored file can go; then the file goes, too.
        w.rmtree("d");
        w.seal();
        assert!(!w.scanned().contains_key("d/log"));
        w.take();
        // The ignored directory keeps its id from others.
        w.rmtree("build");
        w.seal();
        assert!(w.scanned().contains_key("build/out"));
    }
}

on_both! {
    fn rules_in_a_directory_end_there(w) {
        w.mkdir("d");
        w.write("d/.sharelockignore", "*.log\n!keep.log\n");
        w.write("d/a.log", "1");
        w.write("d/keep.log", "2");
        w.write("a.log", "3");
        w.d.settings.ignore = vec!["*.iso".into()];
        w.write("big.iso", "4");
        w.seal();
        assert_eq!(w.scanned().keys().map(String::as_str).collect::<Vec<_>>(), ["a.log", "d", "d/.sharelockignore", "d/keep.log"]);
    }
}

on_both! {
    fn without_its_mark_nothing_is_deduced(w) {
        settled(&mut w);
        w.rm(".sharelock-root");
        let e = scan(&mut w.d).unwrap_err();
        assert!(e.to_string().contains("the share is not there"), "{e}");
        w.write(".sharelock-root", "00000000000000000000000000000000\n");
        let e = scan(&mut w.d).unwrap_err();
        assert!(e.to_string().contains("belongs to another vault"), "{e}");
        assert_eq!(w.rows(), []);
    }
}

on_both! {
    fn a_share_that_vanishes_while_it_is_listed_deletes_nothing(w) {
        settled(&mut w);
        let disk = w.disk.clone();
        let first = w.d.share.lists.get();
        *w.d.share.act.borrow_mut() = Some(Box::new(move |n| {
            if n == first + 1 {
                for name in [&b"f"[..], b".sharelock-root"] {
                    disk.unlink(&disk.root(), name).unwrap();
                }
            }
        }));
        assert!(scan(&mut w.d).is_err());
    }
}

on_both! {
    fn what_moves_while_it_is_listed_is_not_deleted(w) {
        // `b` is listed before `d`: the names of a level are taken from the end.
        settled(&mut w);
        w.mkdir("b");
        w.write("b/f", "moves back and forth");
        w.round();
        for (from, to) in [("b", "d"), ("d", "b")] {
            let disk = w.disk.clone();
            let first = w.d.share.lists.get();
            *w.d.share.act.borrow_mut() = Some(Box::new(move |n| {
                // Before each listing of a first walk the file moves where the walk was, or will not come again.
                if n == first + 3 {
                    let at = |name: &str| disk.open_dir(&disk.root(), name.as_bytes()).unwrap();
                    disk.rename(&at(from), b"f", &at(to), b"f").unwrap();
                }
            }));
            let scanned = w.seal();
            *w.d.share.act.borrow_mut() = None;
            assert!(scanned.stable, "at the second try");
            assert!(w.scanned().contains_key(&format!("{to}/f")), "{from} to {to}");
            w.take();
        }
    }
}

on_both! {
    fn a_directory_that_moved_has_a_successor_before_its_old_place_is_listed(w) {
        settled(&mut w);
        let old = w.scanned();
        w.mv("d/s", "b");
        let disk = w.disk.clone();
        let second = w.d.share.lists.get() + 2;
        *w.d.share.act.borrow_mut() = Some(Box::new(move |n| {
            if n == second {
                let d = disk.open_dir(&disk.root(), b"d").unwrap();
                disk.mkdir(&d, b"s", 0o755).unwrap();
            }
        }));
        w.seal();
        *w.d.share.act.borrow_mut() = None;
        let tree = w.scanned();
        assert_eq!(tree["b"].id(), old["d/s"].id());
        assert_ne!(tree["d/s"].id(), old["d/s"].id(), "one directory at two places");
        assert!(tree.contains_key("b/c") && !tree.contains_key("d/s/c"));
    }
}

on_both! {
    fn a_directory_moves_out_of_one_that_cannot_be_read_any_more(w) {
        settled(&mut w);
        let old = w.scanned();
        w.mv("d/s", "b");
        w.d.share.denied.borrow_mut().push("d");
        w.seal();
        let tree = w.scanned();
        assert_eq!(tree["b"].id(), old["d/s"].id());
        assert!(tree.contains_key("d/a") && !tree.contains_key("d/s"), "one directory at two places");
    }
}

on_both! {
    fn names_that_keep_changing_delete_nothing(w) {
        settled(&mut w);
        let old = w.scanned();
        w.rm("f");
        w.rmtree("d/s");
        w.mv("d/a", "g");
        w.write("h", "new");
        let disk = w.disk.clone();
        *w.d.share.act.borrow_mut() = Some(Box::new(move |n| {
            let name = format!("busy-{n}");
            disk.create(&disk.root(), name.as_bytes(), 0o644).unwrap();
            disk.unlink(&disk.root(), name.as_bytes()).unwrap();
        }));
        let scanned = w.seal();
        assert!(!scanned.stable && w.d.report.again);
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "d/b", "d/s", "d/s/c", "f", "g", "h"]);
        assert_eq!(tree["g"], old["d/a"], "a rename is believed");
        *w.d.share.act.borrow_mut() = None;
        w.take();
        w.seal();
        assert_eq!(w.scanned().keys().map(String::as_str).collect::<Vec<_>>(), ["d", "d/b", "g", "h"]);
    }
}

on_both! {
    fn a_disk_that_folds_shows_one_of_two_names_and_deletes_none(w) {
        settled(&mut w);
        // The ancestor has a name, from a disk that does not fold, that this one cannot show beside `f`.
        let upper = Place { dir: Id::ROOT, name: Name::new(*b"F").unwrap() };
        let row = w.d.state.get(Table::Anc, &Place { dir: Id::ROOT, name: Name::new(*b"f").unwrap() }).unwrap().unwrap();
        w.d.state.put(Table::Anc, &Row { place: upper, ..row }).unwrap();
        w.d.share.folds.set(true);
        w.seal();
        assert_eq!(w.rows(), []);
        // With both gone, both are deleted.
        w.rm("f");
        w.seal();
        assert_eq!(w.rows().iter().filter(|r| r.node == RowNode::Gone).count(), 2);
    }
}

on_both! {
    fn a_name_that_was_read_back_otherwise_is_that_name(w) {
        settled(&mut w);
        let place = |name: &str| Place { dir: Id::ROOT, name: Name::new(name.as_bytes()).unwrap() };
        for (written, shown) in [("caf\u{e9}", "f"), ("dir", "d")] {
            let mut row = w.d.state.get(Table::Anc, &place(shown)).unwrap().unwrap();
            w.d.state.remove(Table::Anc, &row.place).unwrap();
            row.seen.as_mut().unwrap().name = Some(row.place.name.clone());
            row.place = place(written);
            w.d.state.put(Table::Anc, &row).unwrap();
        }
        w.seal();
        assert_eq!(w.rows(), []);
        w.write("f", "edited under the name that the disk shows");
        w.seal();
        assert_eq!(w.rows().len(), 1);
        assert_eq!(w.rows()[0].place, place("caf\u{e9}"));
        assert_eq!(w.rows()[0].seen.as_ref().unwrap().name, Some(place("f").name));
    }
}

on_both! {
    fn a_deep_tree_needs_no_stack(w) {
        let mut dir = w.disk.root();
        for _ in 0..300 {
            w.disk.mkdir(&dir, b"a-directory-with-quite-a-long-name", 0o755).unwrap();
            dir = w.disk.open_dir(&dir, b"a-directory-with-quite-a-long-name").unwrap();
        }
        w.disk.create(&dir, b"f", 0o644).unwrap();
        assert_eq!(w.scan().files, 1);
        assert_eq!(w.rows().len(), 301);
        w.round();
        w.scan();
        assert_eq!(w.rows(), []);
    }
}

/// Whatever is held, what is left of a scan is a tree.
#[cfg(feature = "sim")]
#[test]
fn what_is_held_leaves_a_tree() {
    use crate::sim::clock::SimRandom;
    for seed in 0..300 {
        let mut random = SimRandom::new(seed);
        let mut w = world::sim();
        settled(&mut w);
        w.mkdir("e");
        w.write("e/a", "in e");
        w.round();
        const PATHS: [&str; 12] = ["d", "d/a", "d/b", "d/s", "d/s/c", "e", "e/a", "e/d", "f", "g", "g/a", "d/s/e"];
        let user = crate::sim::user::User::new(&w.disk);
        for _ in 0..random.below(8) + 1 {
            let (a, b) = (*random.pick(&PATHS), *random.pick(&PATHS));
            let _ = match random.below(6) {
                0 => user.rm(a),
                1 => user.rmtree(a),
                2 => user.mkdir(a),
                3 => user.write(a, &format!("content {}", random.below(3))),
                _ => user.mv(a, b),
            };
        }
        w.seal();
        w.scanned();
        let places: Vec<Place> = w.rows().into_iter().map(|r| r.place).collect();
        for place in &places {
            if random.chance(25) {
                hold(&mut w.d.state, place).unwrap();
                assert_eq!(w.d.state.get(Table::Scan, place).unwrap(), None);
                w.scanned();
            }
        }
        for place in &places {
            hold(&mut w.d.state, place).unwrap();
        }
        assert_eq!(w.rows(), [], "seed {seed}");
    }
}

#[test]
fn what_is_unchanged_costs_one_look_for_each_name_and_one_listing_for_each_directory() {
    let mut w = real();
    for dir in 0..20 {
        w.mkdir(&format!("d{dir}"));
        for file in 0..30 {
            w.write(&format!("d{dir}/f{file}"), "content");
        }
    }
    w.round();
    w.d.share.lists.set(0);
    w.d.share.stats.set(0);
    w.scan();
    assert_eq!((w.d.share.lists.get(), w.d.share.stats.get()), (21, 20 * 31 + 1));
}

/// Takes minutes with a slow disk: `cargo test --release --features sim -- --ignored unchanged_files`.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_unchanged_files() {
    let mut w = real();
    for dir in 0..1000 {
        w.mkdir(&format!("d{dir}"));
        for file in 0..100 {
            w.write(&format!("d{dir}/some-file-{file}"), "");
        }
    }
    w.scan();
    w.d.state.absorb(Table::Scan, Table::Anc).unwrap();
    w.d.state.commit().unwrap();
    let start = std::time::Instant::now();
    assert_eq!(w.scan().files, 100_000);
    eprintln!("{:?}", start.elapsed());
    assert_eq!(w.rows(), []);
}
