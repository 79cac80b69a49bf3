//! Directories: moved, exchanged, made anew, and the ids that they get.

use super::*;

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
