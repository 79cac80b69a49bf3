//! The database against its simulated twin, and what only the real one can get wrong.

#![allow(clippy::unwrap_used)]

use super::db::Db;
use super::*;
use crate::error::{Class, Kind};
use crate::id::Oid;
use crate::tree::{FileKind, Version, Writer};
use std::path::PathBuf;

fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    (dir, path)
}

/// SplitMix64, so that the tests need no feature.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

fn id(n: u64) -> Id {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Id(id)
}

fn place(dir: u64, name: &str) -> Place {
    Place { dir: id(dir), name: Name::new(name.as_bytes()).unwrap() }
}

fn file(n: u64) -> Version {
    Version {
        id: id(n),
        kind: FileKind::File,
        size: n,
        mac: [n as u8; 32],
        epoch: 1,
        segment: 0,
        exec: false,
        private: false,
        mtime: Time { s: 1_780_000_000, ns: 123_456_789 },
        offset: 120,
        generation: 1,
        writer: Writer::new("laptop").unwrap(),
        oid: Oid([n as u8; 20]),
    }
}

fn seen(ino: u64) -> Seen {
    let t = Time { s: 1_780_000_000, ns: 987_654_321 };
    Seen { size: 5, mtime: t, exec: true, private: false, ino, birth: Some(t), ctime: t, name: None }
}

fn row(place: Place, node: Node, seen: Option<Seen>) -> Row {
    Row { place, node: RowNode::Here(node), seen }
}

#[test]
fn extreme_rows_and_intents_come_back_whole() {
    let (_t, path) = temp();
    let mut db = Db::open(&path).unwrap();
    let extreme = Version {
        size: u64::MAX >> 1,
        epoch: u16::MAX,
        segment: 255,
        exec: true,
        private: true,
        kind: FileKind::Link,
        mtime: Time { s: i64::MIN, ns: 999_999_999 },
        offset: i16::MIN,
        generation: u64::MAX,
        oid: Oid::ZERO,
        writer: Writer::new("ä".repeat(16).as_str()).unwrap(),
        ..file(3)
    };
    let odd = Seen { ino: u64::MAX, birth: None, name: Name::new(*b"\xff\n"), size: u64::MAX, mtime: Time { s: -1, ns: 0 }, ..seen(0) };
    let name = Name::new([0xff; 255]).unwrap();
    let rows = [
        row(Place { dir: Id([0xff; 16]), name: name.clone() }, Node::File(extreme.clone()), Some(odd.clone())),
        row(place(0, "f"), Node::File(file(0)), None),
        row(place(0, "d"), Node::Dir { id: id(9), tree: Oid([7; 20]) }, Some(seen(2))),
        row(place(0, "e"), Node::Dir { id: id(8), tree: Oid::ZERO }, None),
    ];
    for table in [Table::Anc, Table::Scan] {
        for r in &rows {
            db.put(table, r).unwrap();
            assert_eq!(db.get(table, &r.place).unwrap().as_ref(), Some(r), "{table:?}");
        }
    }
    assert_eq!(db.by_ino(Table::Anc, u64::MAX).unwrap(), [rows[0].clone()]);
    let gone = Row { place: place(1, "g"), node: RowNode::Gone, seen: None };
    db.put(Table::Scan, &gone).unwrap();
    assert_eq!(db.get(Table::Scan, &gone.place).unwrap(), Some(gone));
    let mut intents: Vec<Intent> = rows.iter().map(|r| Intent::Put { temporary: place(4, ".sharelock-tmp-1"), row: r.clone() }).collect();
    intents.push(Intent::Delete { place: rows[0].place.clone(), seen: odd });
    let numbers: Vec<u64> = intents.iter().map(|i| db.add_intent(i).unwrap()).collect();
    db.commit().unwrap();
    drop(db);
    let mut db = Db::open(&path).unwrap();
    assert_eq!(db.intents().unwrap(), numbers.iter().copied().zip(intents).collect::<Vec<_>>());
    assert_eq!(db.rows(Table::Anc, None, 10).unwrap().len(), 4);
    assert_eq!(db.rows(Table::Scan, None, 10).unwrap(), [], "scratch is gone with its connection");
    db.remove_intent(numbers[1]).unwrap();
    assert_eq!(db.intents().unwrap().len(), 4);
}

#[test]
fn what_was_not_committed_is_gone() {
    let (_t, path) = temp();
    let mut db = Db::open(&path).unwrap();
    db.put(Table::Anc, &row(place(0, "a"), Node::File(file(1)), None)).unwrap();
    db.set_value("k", Some(b"v")).unwrap();
    db.commit().unwrap();
    db.put(Table::Anc, &row(place(0, "b"), Node::File(file(2)), None)).unwrap();
    db.set_value("k", None).unwrap();
    db.rollback().unwrap();
    assert_eq!(db.count(Table::Anc).unwrap(), (1, 0, 1));
    db.put(Table::Anc, &row(place(0, "c"), Node::File(file(2)), None)).unwrap();
    drop(db);
    let db = Db::open(&path).unwrap();
    assert_eq!(db.count(Table::Anc).unwrap(), (1, 0, 1));
    assert_eq!(db.value("k").unwrap().as_deref(), Some(&b"v"[..]));
    db.check().unwrap();
}

#[test]
fn the_file_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (t, path) = temp();
    let mut db = Db::open(&path).unwrap();
    db.set_value("k", Some(b"v")).unwrap();
    db.commit().unwrap();
    for entry in std::fs::read_dir(t.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[test]
fn a_second_program_reads_while_the_first_writes() {
    let (_t, path) = temp();
    let mut db = Db::open(&path).unwrap();
    db.set_value("k", Some(b"1")).unwrap();
    db.commit().unwrap();
    db.set_value("k", Some(b"2")).unwrap();
    assert_eq!(Db::open(&path).unwrap().value("k").unwrap().unwrap(), b"1");
}

#[test]
fn damaged_foreign_and_newer_files_are_told_apart() {
    let bytes = |path: &PathBuf| std::fs::read(path).unwrap();
    // No database at all, cut short, and overwritten in the middle.
    let damage: [fn(&PathBuf); 3] = [
        |p| std::fs::write(p, [b'x'; 4096]).unwrap(),
        |p| std::fs::OpenOptions::new().write(true).open(p).unwrap().set_len(5000).unwrap(),
        |p| {
            let mut all = std::fs::read(p).unwrap();
            let middle = all.len() / 2;
            all[middle - 2048..middle + 2048].fill(0xa5);
            std::fs::write(p, all).unwrap();
        },
    ];
    for (i, spoil) in damage.into_iter().enumerate() {
        let (t, path) = temp();
        let mut db = Db::open(&path).unwrap();
        for n in 0..500 {
            db.put(Table::Anc, &row(place(0, &format!("{n}")), Node::File(file(n)), Some(seen(n)))).unwrap();
        }
        db.commit().unwrap();
        drop(db);
        spoil(&path);
        let bad = bytes(&path);
        let (db, rebuilt) = Db::open_or_rebuild(&path).unwrap();
        assert!(rebuilt, "case {i}");
        assert_eq!(db.count(Table::Anc).unwrap(), (0, 0, 0));
        drop(db);
        assert_eq!(bytes(&t.path().join("state.db.damaged-1")), bad, "put aside whole, case {i}");
        // Once more: another number, and the first one stays.
        std::fs::write(&path, [b'y'; 4096]).unwrap();
        assert!(Db::open_or_rebuild(&path).unwrap().1);
        assert_eq!(bytes(&t.path().join("state.db.damaged-1")), bad);
        assert!(t.path().join("state.db.damaged-2").exists());
        assert!(!Db::open_or_rebuild(&path).unwrap().1, "the new one is sound");
    }

    let (_t, path) = temp();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
    drop(foreign);
    assert_eq!(Db::open(&path).err().unwrap().kind(), Kind::Integrity(Class::Form));

    let (t, path) = temp();
    drop(Db::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(Db::open_or_rebuild(&path).err().unwrap().kind(), Kind::Integrity(Class::Version));
    assert!(!t.path().join("state.db.damaged-1").exists(), "a newer program's state is left alone");
}

#[test]
fn each_question_has_its_index() {
    let (_t, path) = temp();
    let db = Db::open(&path).unwrap();
    for (text, index) in db.plans().unwrap() {
        assert!(index.iter().any(|step| step.starts_with("SEARCH")), "{text}");
        for step in index {
            assert!(!step.starts_with("SCAN") && !step.contains("TEMP B-TREE"), "{text}: {step}");
        }
    }
}

/// 41 000 files in 9 000 directories, as they stand in `/usr/share`.
#[test]
fn many_rows_are_small_and_read_in_pages() {
    let (t, path) = temp();
    let mut db = Db::open(&path).unwrap();
    let mut r = Random(1);
    let dirs: Vec<Id> = (0..9_000).map(|_| Id(r.bytes())).collect();
    let mut names: Vec<(Id, Row)> = Vec::new();
    for n in 0..50_000u64 {
        let dir = dirs[r.below(9_000) as usize];
        let at = Place { dir, name: Name::new(format!("a-file-name-{n}.txt").into_bytes()).unwrap() };
        let node = if n < 9_000 {
            Node::Dir { id: dirs[n as usize], tree: Oid(r.bytes()) }
        } else {
            Node::File(Version { id: Id(r.bytes()), mac: r.bytes(), oid: Oid(r.bytes()), size: r.below(200_000), ..file(n) })
        };
        names.push((dir, row(at, node, Some(seen(1_000_000 + n)))));
    }
    for (_, r) in &names {
        db.put(Table::Scan, r).unwrap();
    }
    db.absorb(Table::Scan, Table::Anc).unwrap();
    db.commit().unwrap();
    for (_, r) in &names {
        db.put(Table::Next, &Row { seen: None, ..r.clone() }).unwrap();
    }
    db.absorb(Table::Next, Table::Head).unwrap();
    db.commit().unwrap();
    assert_eq!(db.differences(Table::Anc, Table::Head, None, 10).unwrap(), []);
    for table in [Table::Anc, Table::Head] {
        let mut after = None;
        let mut n = 0;
        loop {
            let page = db.rows(table, after.as_ref(), 1000).unwrap();
            assert!(page.len() <= 1000);
            let Some(last) = page.last() else { break };
            after = Some(last.place.clone());
            n += page.len();
        }
        assert_eq!(n, 50_000);
        assert_eq!((db.count(table).unwrap().0, db.count(table).unwrap().1), (41_000, 9_000));
    }
    drop(db);
    let bytes: u64 = std::fs::read_dir(t.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    // 3 % beside share and secure is the budget for everything; such a tree has about 1 GB.
    assert!(bytes < 350 * 50_000, "{bytes} bytes");
}

#[cfg(feature = "sim")]
mod twin {
    use super::*;
    use crate::sim::hook::Life;
    use crate::sim::state::SimState;

    fn random_row(r: &mut Random, table: Table) -> Row {
        let at = place(r.below(4), ["a", "b", "c", "\u{e9}"][r.below(4) as usize]);
        let scratch = matches!(table, Table::Scan | Table::Next);
        let node = match r.below(10) {
            0..3 if scratch => RowNode::Gone,
            0..5 => RowNode::Here(Node::Dir { id: id(r.below(6)), tree: Oid([r.below(3) as u8; 20]) }),
            _ => RowNode::Here(Node::File(Version {
                kind: if r.below(5) == 0 { FileKind::Link } else { FileKind::File },
                exec: r.below(2) == 0,
                size: r.below(4),
                ..file(r.below(6))
            })),
        };
        let with_seen = matches!(table, Table::Anc | Table::Scan) && node != RowNode::Gone && r.below(4) != 0;
        Row { place: at, node, seen: with_seen.then(|| seen(r.below(5))) }
    }

    fn compare(db: &Db, sim: &SimState, r: &mut Random, seed: u64) {
        let key = |i: Vec<(u64, Intent)>| i.into_iter().map(|(_, i)| i).collect::<Vec<_>>();
        assert_eq!(key(db.intents().unwrap()), key(sim.intents().unwrap()), "seed {seed}");
        assert_eq!(db.values("k").unwrap(), sim.values("k").unwrap(), "seed {seed}");
        assert_eq!(db.values("").unwrap(), sim.values("").unwrap(), "seed {seed}");
        for table in [Table::Anc, Table::Head, Table::Scan, Table::Next] {
            let why = format!("seed {seed}, {table:?}");
            assert_eq!(db.rows(table, None, 100).unwrap(), sim.rows(table, None, 100).unwrap(), "{why}");
            assert_eq!(db.count(table).unwrap(), sim.count(table).unwrap(), "{why}");
            let (n, limit) = (r.below(6), r.below(4) as usize);
            let after = random_row(r, table).place;
            assert_eq!(db.rows(table, Some(&after), limit).unwrap(), sim.rows(table, Some(&after), limit).unwrap(), "{why}");
            assert_eq!(db.get(table, &after).unwrap(), sim.get(table, &after).unwrap(), "{why}");
            for name in [None, Some(&after.name)] {
                let (a, b) = (db.children(table, after.dir, name, limit), sim.children(table, after.dir, name, limit));
                assert_eq!(a.unwrap(), b.unwrap(), "{why}");
            }
            assert_eq!(db.by_id(table, id(n)).unwrap(), sim.by_id(table, id(n)).unwrap(), "{why}");
            assert_eq!(db.by_ino(table, n).unwrap(), sim.by_ino(table, n).unwrap(), "{why}");
            assert_eq!(db.by_size(table, n).unwrap(), sim.by_size(table, n).unwrap(), "{why}");
        }
        let after = random_row(r, Table::Anc).place;
        for (a, b) in [(Table::Anc, Table::Head), (Table::Head, Table::Anc)] {
            for (after, limit) in [(None, 100), (Some(&after), 100), (Some(&after), 2), (None, 1), (None, 0)] {
                let (x, y) = (db.differences(a, b, after, limit).unwrap(), sim.differences(a, b, after, limit).unwrap());
                assert_eq!(x, y, "seed {seed}, {a:?} {b:?} {after:?} {limit}");
            }
        }
    }

    #[test]
    fn both_databases_answer_alike() {
        for seed in 0..60 {
            let mut r = Random(seed);
            let (_t, path) = temp();
            let mut db = Db::open(&path).unwrap();
            let mut sim = SimState::new(Life::new(0));
            let mut numbers: Vec<(u64, u64)> = Vec::new();
            let mut committed = numbers.clone();
            for _ in 0..60 {
                let table = [Table::Anc, Table::Head, Table::Scan, Table::Next][r.below(4) as usize];
                let x = random_row(&mut r, table);
                match r.below(24) {
                    0..10 => {
                        db.put(table, &x).unwrap();
                        sim.put(table, &x).unwrap();
                    }
                    10..12 => {
                        // Half of all puts into head repeat the ancestor's node, as in life.
                        if let Some(mut row) = db.get(Table::Anc, &x.place).unwrap() {
                            row.seen = None;
                            db.put(Table::Head, &row).unwrap();
                            sim.put(Table::Head, &row).unwrap();
                        }
                    }
                    12..14 => {
                        db.remove(table, &x.place).unwrap();
                        sim.remove(table, &x.place).unwrap();
                    }
                    14 => {
                        db.clear(table).unwrap();
                        sim.clear(table).unwrap();
                    }
                    15..17 => {
                        let (from, to) = if r.below(2) == 0 { (Table::Scan, Table::Anc) } else { (Table::Next, Table::Head) };
                        db.absorb(from, to).unwrap();
                        sim.absorb(from, to).unwrap();
                    }
                    17 => {
                        let key = ["k", "k.1", "l"][r.below(3) as usize];
                        let value = (r.below(3) > 0).then(|| vec![r.below(256) as u8; r.below(3) as usize]);
                        db.set_value(key, value.as_deref()).unwrap();
                        sim.set_value(key, value.as_deref()).unwrap();
                        assert_eq!(db.value(key).unwrap(), value);
                    }
                    18 => {
                        let intent = match x.seen {
                            Some(seen) if r.below(2) == 0 => Intent::Delete { place: x.place, seen },
                            _ => Intent::Put { temporary: place(r.below(3), "t"), row: x },
                        };
                        numbers.push((db.add_intent(&intent).unwrap(), sim.add_intent(&intent).unwrap()));
                    }
                    19 if !numbers.is_empty() => {
                        let (a, b) = numbers.remove(r.below(numbers.len() as u64) as usize);
                        db.remove_intent(a).unwrap();
                        sim.remove_intent(b).unwrap();
                    }
                    20 => {
                        db.commit().unwrap();
                        sim.commit().unwrap();
                        committed = numbers.clone();
                    }
                    21 | 22 => {
                        // A rollback, or a kill and a restart. What scratch tables keep is open: they are emptied.
                        if r.below(2) == 0 {
                            db.rollback().unwrap();
                            sim.rollback().unwrap();
                        } else {
                            drop(db);
                            db = Db::open(&path).unwrap();
                            sim.restart();
                        }
                        for table in [Table::Scan, Table::Next] {
                            db.clear(table).unwrap();
                            sim.clear(table).unwrap();
                        }
                        numbers = committed.clone();
                    }
                    _ => compare(&db, &sim, &mut r, seed),
                }
            }
            compare(&db, &sim, &mut r, seed);
            db.commit().unwrap();
            db.check().unwrap();
        }
    }
}

/// What `put_aside` may leave if it is stopped in between.
#[test]
fn a_log_beside_no_database_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
    let mut db = Db::open(&old).unwrap();
    db.set_value("k", Some(b"v")).unwrap();
    db.commit().unwrap();
    let log = std::fs::read(dir.path().join("old.db-wal")).unwrap();
    assert!(!log.is_empty(), "the commit is in the log only");
    std::fs::write(dir.path().join("new.db-wal"), &log).unwrap();
    assert_eq!(Db::open(&new).unwrap().value("k").unwrap(), None);
}
