//! What the disk does not show: unreadable, ignored, of no kind that is synced, under another name, or not mounted.

use super::*;

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
