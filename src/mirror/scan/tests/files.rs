//! A file at the place where it was: edits, saves, modes, times and kinds.

use super::*;

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
