//! A file at another place: renames, copies, hard links, and what others have put there.

use super::*;

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
