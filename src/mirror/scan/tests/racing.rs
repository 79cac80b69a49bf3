//! A share that changes while it is listed.

use super::*;

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
