//! What is stopped, what is let through, and what stands where it stood.

use super::super::scan::tests::world::{World, real};
use super::*;

#[test]
fn how_many_are_too_many() {
    let s = Settings::default();
    for (files, of, stop) in
        [(19, 20, false), (20, 39, true), (20, 40, false), (21, 40, true), (999, 9_000, false), (1000, 9_000, true), (1000, 10_000, false)]
    {
        assert_eq!(too_many(&s, files, of), stop, "{files} of {of}");
    }
}

#[test]
fn a_code_allows_its_own_set_only() {
    let s = Settings { allowed: vec!["9F3C".into(), "ab".into(), "1234567".into()], ..Settings::default() };
    assert!(allowed(&s, "9f3c0011"));
    assert!(!allowed(&s, "9f3d0011"));
    assert!(!allowed(&s, "ab000011"), "two digits are too few");
    assert!(allowed(&s, "12345678"));
    assert!(!allowed(&s, "12345688"), "all digits that were given count");
}

type Real = World<crate::files::real::Disk, crate::state::db::Db>;

/// 40 files: 30 in `d`, 5 of them in `d/s`, and 10 at the top.
fn forty() -> Real {
    let mut w = real();
    w.mkdir("d");
    w.mkdir("d/s");
    for n in 0..25 {
        w.write(&format!("d/{n}"), &format!("file {n}"));
    }
    for n in 0..5 {
        w.write(&format!("d/s/{n}"), &format!("file {n} of s"));
    }
    for n in 0..10 {
        w.write(&format!("{n}"), &format!("file {n} at the top"));
    }
    w.round();
    w
}

fn paths(w: &Real) -> Vec<String> {
    w.scanned().into_keys().collect()
}

#[test]
fn a_deletion_of_more_than_half_is_held_and_the_rest_goes_on() {
    let mut w = forty();
    let before = paths(&w);
    w.rmtree("d");
    w.write("new", "new");
    w.chmod("1", 0o700);
    w.seal();
    let stop = outgoing(&mut w.d).unwrap().expect("30 of 40");
    assert_eq!((stop.made, stop.files, stop.of, stop.bytes), (Made::InShare, 30, 40, 10 * 6 + 15 * 7 + 5 * 11));
    assert_eq!(stop.folders, [(RelPath::new(b"d"), 30)]);
    let mut expected = before;
    expected.push("new".into());
    expected.sort();
    assert_eq!(paths(&w), expected);
    assert_eq!(w.rows().len(), 2, "the new file and the mode");
    // The next round says the same, with the same code.
    w.take();
    w.seal();
    let again = outgoing(&mut w.d).unwrap().expect("still");
    assert_eq!(again.code, stop.code);
    // One more is another set.
    w.rm("2");
    w.seal();
    let more = outgoing(&mut w.d).unwrap().expect("one more");
    assert_ne!(more.code, stop.code);
    assert_eq!(more.folders, [(RelPath::new(b"d"), 30), (None, 1)]);
    w.d.settings.allowed = vec![stop.code];
    w.seal();
    assert!(outgoing(&mut w.d).unwrap().is_some(), "the other set is not allowed");
    w.d.settings.allowed = vec![more.code];
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap(), None);
    assert_eq!(paths(&w).len(), 10);
}

#[test]
fn half_or_fewer_than_twenty_are_let_through() {
    let mut w = forty();
    for n in 0..20 {
        w.rm(&format!("d/{n}"));
    }
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap(), None, "20 of 40 is half");
    w.take();
    w.rmtree("d");
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap(), None, "10 of 20");
    w.d.settings.brake_files = 5;
    assert_eq!(outgoing(&mut w.d).unwrap().map(|b| b.files), Some(10), "the user's own limit");
}

#[test]
fn renames_and_moves_do_not_count_nor_do_times_and_modes() {
    let mut w = forty();
    w.mv("d", "e");
    w.mkdir("f");
    for n in 0..25 {
        w.mv(&format!("e/{n}"), &format!("f/{n}"));
    }
    for n in 0..10 {
        w.touch(&format!("{n}"), 1_000_000);
    }
    for n in 0..5 {
        w.chmod(&format!("e/s/{n}"), 0o700);
    }
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap(), None);
}

#[test]
fn what_is_overwritten_counts_too() {
    let mut w = forty();
    let before = w.scanned();
    for n in 0..25 {
        w.write(&format!("d/{n}"), "encrypted by malware");
    }
    w.seal();
    let stop = outgoing(&mut w.d).unwrap().expect("25 of 40");
    assert_eq!((stop.files, stop.gone), (25, 0));
    assert_eq!(w.scanned(), before);
}

#[test]
fn a_directory_whose_name_was_taken_stays_with_what_is_held_in_it() {
    let mut w = forty();
    let before = w.scanned();
    w.mv("d/s", "s");
    w.rmtree("d");
    w.mv("1", "d"); // A known file now has the directory's name.
    w.rm("2");
    w.mkdir("2"); // And a directory a known file's.
    w.mv("3", "2/3");
    w.seal();
    let stop = outgoing(&mut w.d).unwrap().expect("26 of 40");
    assert_eq!(stop.files, 26);
    let after = w.scanned();
    for path in ["d", "d/0", "d/24", "1", "2", "3"] {
        assert_eq!(after.get(path), before.get(path), "{path}");
    }
    assert_eq!(after["s"], before["d/s"], "a move of its own goes on");
    assert_eq!(after["s/0"], before["d/s/0"]);
}

#[test]
fn what_would_be_deleted_here_is_not_applied() {
    let mut w = forty();
    let rows = w.d.state.rows(Table::Head, None, 1000).unwrap();
    let d = w.id("d");
    let (inside, other): (Vec<_>, Vec<_>) = rows.into_iter().filter(|r| !r.here().unwrap().is_dir()).partition(|r| r.place.dir == d);
    for row in &inside {
        w.d.state.remove(Table::Head, &row.place).unwrap();
    }
    // A rename at the same time.
    let moved = &other[0];
    let to = Place { dir: d, name: Name::new(*b"moved").unwrap() };
    w.d.state.remove(Table::Head, &moved.place).unwrap();
    w.d.state.put(Table::Head, &Row { place: to.clone(), ..moved.clone() }).unwrap();
    let (stop, held) = incoming(&w.d).unwrap().expect("25 of 40");
    assert_eq!((stop.made, stop.files, stop.of), (Made::Elsewhere, 25, 40));
    assert!(inside.iter().all(|r| held.contains(&r.place)));
    assert!(!held.contains(&moved.place) && !held.contains(&to));
    w.d.settings.allowed = vec![stop.code];
    assert!(incoming(&w.d).unwrap().is_none());
    assert_eq!(keep(&mut w.d.state, &held).unwrap(), 25);
    assert_eq!(w.d.state.count(Table::Anc).unwrap().0, 15);
}

#[test]
fn since_when_it_stands_is_noted_once_and_forgotten() {
    let mut w = forty();
    w.rmtree("d");
    w.seal();
    let first = outgoing(&mut w.d).unwrap().expect("25 of 40").since.expect("a time");
    assert_eq!(first, w.d.clock.now());
    // As a round at an earlier time would have noted it.
    w.d.state.set_value(key::BRAKE, Some(&7i64.to_be_bytes())).unwrap();
    w.rm("1");
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap().expect("26 of 40").since, Some(Time { s: 7, ns: 0 }), "more of the same");
    w.seal();
    w.d.settings.allowed = vec![outgoing(&mut w.d).unwrap().expect("the same").code];
    w.seal();
    assert_eq!(outgoing(&mut w.d).unwrap(), None, "allowed");
    assert_eq!(w.d.state.value(key::BRAKE).unwrap(), None);
}
