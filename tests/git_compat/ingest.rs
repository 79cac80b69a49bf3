//! Packs from elsewhere: what stock git makes is taken, what nobody honest makes is refused, and leaves nothing.

use crate::support::*;
use flate2::{Compression, write::ZlibEncoder};
use proptest::prelude::*;
use sha1::{Digest, Sha1};
use sharelock::error::{Class, Kind, Result};
use sharelock::git::object::id;
use sharelock::git::store::{Expect, Store};
use sharelock::git::{Type, limit};
use sharelock::id::Oid;
use std::io::Write;
use std::path::Path;

fn take(store: &Store<sharelock::files::real::Disk>, bytes: &[u8], piece: usize) -> Result<u32> {
    let mut sink = store.ingest()?;
    let written = bytes.chunks(piece).try_for_each(|p| sink.write_all(p));
    let finished = sink.finish();
    written?;
    Ok(finished?.objects)
}

/// Nothing that was refused stays behind.
fn nothing_left(dir: &Path) {
    let left: Vec<_> = std::fs::read_dir(dir.join("objects/pack")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

// --- packs by hand ----------------------------------------------------------

fn head(kind: u8, mut size: u64, out: &mut Vec<u8>) {
    let mut byte = kind << 4 | (size & 15) as u8;
    size >>= 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut z = ZlibEncoder::new(Vec::new(), Compression::best());
    z.write_all(content).unwrap();
    z.finish().unwrap()
}

fn entry(kind: u8, claimed: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    head(kind, claimed, &mut out);
    out.extend_from_slice(base);
    out.extend(zlib(content));
    out
}

fn whole(kind: u8, content: &[u8]) -> Vec<u8> {
    entry(kind, content.len() as u64, &[], content)
}

fn on(base: &Oid, d: &[u8]) -> Vec<u8> {
    entry(7, d.len() as u64, &base.0, d)
}

fn seal(count: u32, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"PACK\0\0\0\x02".to_vec();
    out.extend(count.to_be_bytes());
    entries.iter().for_each(|e| out.extend(e));
    let sum = Sha1::digest(&out);
    out.extend_from_slice(&sum);
    out
}

fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    seal(entries.len() as u32, entries)
}

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A delta that says its sizes and then whatever `ops` are.
fn delta(base: u64, result: u64, ops: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(base, &mut out);
    varint(result, &mut out);
    out.extend_from_slice(ops);
    out
}

/// A delta that appends one byte to a base of `n` bytes.
fn append(n: usize, byte: u8) -> Vec<u8> {
    let mut ops = vec![0x80 | 0x10 | 0x20 | 0x40, n as u8, (n >> 8) as u8, (n >> 16) as u8, 1, byte];
    if n == 0 {
        ops = vec![1, byte];
    }
    delta(n as u64, n as u64 + 1, &ops)
}

// --- what is refused ---------------------------------------------------------

#[test]
fn refused_by_name() {
    let base = whole(3, b"base");
    let alone = std::slice::from_ref(&base);
    let of = id(Type::Blob, b"base");
    let mut wrong_sum = pack(alone);
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut more = pack(alone);
    more.push(0);
    let good = pack(alone);
    let form = Kind::Integrity(Class::Form);
    let limit_ = Kind::Integrity(Class::Limit);
    let absent = Kind::Integrity(Class::Absent);
    let bomb = vec![0; 4 << 20];
    let rows: Vec<(&str, Vec<u8>, Kind)> = vec![
        ("no pack", b"HTTP/1.1 200 OK\r\n\r\n<html>...............".to_vec(), form),
        ("version 3", [b"PACK\0\0\0\x03", &good[8..]].concat(), form),
        ("wrong checksum", wrong_sum, form),
        ("bytes behind the end", more, form),
        ("an object too few", seal(2, alone), form),
        ("an object too many", seal(1, &[base.clone(), whole(3, b"more")]), form),
        ("one object twice", pack(&[base.clone(), base.clone()]), form),
        ("a tag", pack(&[whole(4, b"object 0")]), form),
        ("type 0", pack(&[whole(0, b"x")]), form),
        ("type 5", pack(&[whole(5, b"x")]), form),
        ("a blob beyond the limit", pack(&[entry(3, limit::BLOB + 1, &[], b"x")]), limit_),
        ("a commit beyond the limit", pack(&[entry(1, limit::COMMIT + 1, &[], b"x")]), limit_),
        ("a tree beyond the limit", pack(&[entry(2, limit::TREE + 1, &[], b"x")]), limit_),
        ("a delta beyond the limit", pack(&[entry(7, limit::TREE + 1, &of.0, b"x")]), limit_),
        ("a size without an end", pack(&[vec![0xff; 30]]), form),
        ("longer than it says", pack(&[entry(3, 1, &[], b"two")]), limit_),
        ("shorter than it says", pack(&[entry(3, 9, &[], b"two")]), form),
        ("a bomb", pack(&[entry(3, 100, &[], &bomb)]), limit_),
        ("no zlib", pack(&[[vec![0x33], b"no zlib stream".to_vec()].concat()]), form),
        ("a delta of another base", pack(&[base.clone(), on(&of, &append(5, 1))]), form),
        ("a copy from beyond the base", pack(&[base.clone(), on(&of, &delta(4, 9, &[0x80 | 0x10, 9]))]), form),
        ("a copy at 4 GB", pack(&[base.clone(), on(&of, &delta(4, 9, &[0xff, 255, 255, 255, 255, 255, 255, 255]))]), form),
        ("instruction 0", pack(&[base.clone(), on(&of, &delta(4, 1, &[0]))]), form),
        ("an insertion cut short", pack(&[base.clone(), on(&of, &delta(4, 9, &[9, 1]))]), form),
        ("a result too short", pack(&[base.clone(), on(&of, &delta(4, 9, &[1, 1]))]), form),
        ("a result too long", pack(&[base.clone(), on(&of, &delta(4, 1, &[2, 1, 1]))]), form),
        ("a result beyond a blob's limit", pack(&[base.clone(), on(&of, &delta(4, limit::BLOB + 1, &[1, 1]))]), limit_),
        ("a result beyond all limits", pack(&[base.clone(), on(&of, &delta(4, 1 << 60, &[1, 1]))]), limit_),
        ("an empty delta", pack(&[base.clone(), on(&of, b"")]), form),
        ("a base that is nowhere", pack(&[on(&of, &append(4, 1))]), absent),
        ("a base in the header", pack(&[entry(6, 4, &[12], &append(0, 1))]), form),
        ("a base before the pack", pack(&[entry(6, 4, &[0xff, 0x7f], &append(0, 1))]), form),
        ("a delta of itself by offset", pack(&[entry(6, 4, &[0], &append(0, 1))]), form),
        ("a base between objects", pack(&[base.clone(), entry(6, append(4, 1).len() as u64, &[3], &append(4, 1))]), form),
        ("a delta of itself by id", pack(&[on(&Oid([7; 20]), &append(4, 1)), on(&Oid([8; 20]), &append(5, 1))]), absent),
    ];
    for (name, bytes, kind) in rows {
        for piece in [1, 7, 1 << 20] {
            let ours = Ours::new();
            let e = take(&ours.store, &bytes, piece).err();
            assert_eq!(e.as_ref().map(|e| e.kind()), Some(kind), "{name}, by {piece}: {e:?}");
            nothing_left(ours.dir());
        }
    }
}

#[test]
fn cut_short_anywhere() {
    let blob = noise(1, 200);
    let bytes = pack(&[whole(3, b"base"), whole(3, &blob), on(&id(Type::Blob, b"base"), &append(4, 9))]);
    for cut in 1..bytes.len() {
        let ours = Ours::new();
        assert_eq!(take(&ours.store, &bytes[..cut], 64).unwrap_err().kind(), Kind::Integrity(Class::Form), "at {cut}");
        nothing_left(ours.dir());
    }
    let ours = Ours::new();
    assert_eq!(take(&ours.store, &bytes, 64).unwrap(), 3);
    assert_eq!(ours.store.read(&id(Type::Blob, b"base\x09"), Type::Blob, 100).unwrap(), b"base\x09");
}

#[test]
fn nothing_is_visible_before_finish() {
    let ours = Ours::new();
    let mut sink = ours.store.ingest().unwrap();
    sink.write_all(&pack(&[whole(3, b"base")])).unwrap();
    assert!(!open(ours.dir()).contains(&id(Type::Blob, b"base")).unwrap());
    sink.finish().unwrap();
    assert!(open(ours.dir()).contains(&id(Type::Blob, b"base")).unwrap());
    fsck(ours.dir());
}

#[test]
fn a_dropped_pack_is_swept() {
    let ours = Ours::new();
    let mut sink = ours.store.ingest().unwrap();
    sink.write_all(&pack(&[whole(3, b"base")])[..20]).unwrap();
    drop(sink);
    ours.store.tidy().unwrap();
    nothing_left(ours.dir());
}

// --- what is taken ------------------------------------------------------------

#[test]
fn long_chains_in_any_order() {
    for (backwards, n) in [(false, 4000), (true, 4000)] {
        let mut entries = vec![whole(3, b"")];
        let mut content = Vec::new();
        for i in 0..n {
            let base = id(Type::Blob, &content);
            entries.push(on(&base, &append(content.len(), i as u8)));
            content.push(i as u8);
        }
        if backwards {
            entries.reverse();
        }
        let ours = Ours::new();
        assert_eq!(take(&ours.store, &pack(&entries), 1 << 16).unwrap(), n + 1);
        assert_eq!(ours.store.read(&id(Type::Blob, &content), Type::Blob, 1 << 20).unwrap(), content);
    }
}

#[test]
fn children_of_one_base_by_offset_and_by_id() {
    let big = noise(5, 1_500_000);
    let of = id(Type::Blob, &big);
    let mut entries = vec![whole(3, &big)];
    for i in 0..20 {
        entries.push(on(&of, &append(big.len(), i)));
    }
    let d = append(big.len(), 99);
    let back: usize = entries.iter().map(Vec::len).sum();
    // The offset form of gitformat-pack(5).
    let mut n = back as u64;
    let mut ofs = vec![(n & 0x7f) as u8];
    n >>= 7;
    while n > 0 {
        n -= 1;
        ofs.insert(0, 0x80 | (n & 0x7f) as u8);
        n >>= 7;
    }
    entries.push(entry(6, d.len() as u64, &ofs, &d));
    let ours = Ours::new();
    assert_eq!(take(&ours.store, &pack(&entries), 1 << 20).unwrap(), 22);
    for last in (0..20).chain([99]) {
        let content = [&big[..], &[last]].concat();
        assert_eq!(ours.store.read(&id(Type::Blob, &content), Type::Blob, limit::BLOB).unwrap(), content);
    }
    git(ours.dir(), &["fsck", "--full", "--strict"]);
}

#[test]
fn a_thin_pack_is_completed() {
    let ours = Ours::new();
    let mut w = ours.store.pack_writer().unwrap();
    let (a, b) = (w.add(Type::Blob, b"a").unwrap(), w.add(Type::Blob, b"b").unwrap());
    w.finish().unwrap();
    let ab = [&b"a"[..], &[1]].concat();
    let bytes = pack(&[on(&id(Type::Blob, &ab), &append(2, 2)), on(&a, &append(1, 1)), on(&b, &append(1, 1)), on(&b, &append(1, 2))]);
    assert_eq!(take(&ours.store, &bytes, 100).unwrap(), 6);
    fsck(ours.dir());
    assert_eq!(ours.store.read(&id(Type::Blob, b"a\x01\x02"), Type::Blob, 9).unwrap(), b"a\x01\x02");
}

#[test]
fn a_thin_pack_with_an_object_that_is_here_already() {
    let ours = Ours::new();
    let mut w = ours.store.pack_writer().unwrap();
    let a = w.add(Type::Blob, b"a").unwrap();
    let x = w.add(Type::Blob, b"a\x01").unwrap();
    w.finish().unwrap();
    // x is here, comes again as a delta on a, and is itself a base.
    assert_eq!(take(&ours.store, &pack(&[on(&x, &append(2, 2)), on(&a, &append(1, 1))]), 100).unwrap(), 3);
    fsck(ours.dir());
    assert_eq!(open(ours.dir()).read(&id(Type::Blob, b"a\x01\x02"), Type::Blob, 9).unwrap(), b"a\x01\x02");
}

#[test]
fn two_deltas_that_build_on_each_other_never_reach_the_disk() {
    // Both objects are here, so both deltas can be resolved; but in the new pack they would find only each other.
    let ours = Ours::new();
    let mut w = ours.store.pack_writer().unwrap();
    let (x, y) = (w.add(Type::Blob, b"x").unwrap(), w.add(Type::Blob, b"y").unwrap());
    w.finish().unwrap();
    let bytes = pack(&[on(&x, &delta(1, 1, b"\x01y")), on(&y, &delta(1, 1, b"\x01x"))]);
    let e = take(&ours.store, &bytes, 100).unwrap_err();
    assert_eq!(e.kind(), Kind::Integrity(Class::Form), "{e}");
    assert_eq!(open(ours.dir()).read(&x, Type::Blob, 9).unwrap(), b"x");
    fsck(ours.dir());
}

#[test]
fn thin_packs_of_stock_git() {
    let (temp, dir) = bare();
    let work = temp.path().join("work");
    git(temp.path(), &["clone", "-q", dir.to_str().unwrap(), "work"]);
    let mut big = noise(9, 100_000);
    std::fs::create_dir(work.join("d")).unwrap();
    let mut heads = Vec::new();
    for i in 0..8usize {
        big[i * 5000] ^= 0xff;
        std::fs::write(work.join("d/big"), &big).unwrap();
        std::fs::write(work.join(format!("d/f{i}")), noise(i as u64, 40)).unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "c"]);
        heads.push(oid(&git(&work, &["rev-parse", "HEAD"])));
    }
    for offsets in [true, false] {
        let ours = Ours::new();
        let mut have: Option<Oid> = None;
        for head in [heads[0], heads[4], heads[7]] {
            let mut args = vec!["pack-objects", "--thin", "--stdout", "--revs", "-q"];
            if offsets {
                args.push("--delta-base-offset");
            }
            let revs = format!("{head}\n") + &have.map(|h| format!("^{h}\n")).unwrap_or_default();
            let bytes = git_bytes(&work, &args, revs.as_bytes());
            if have.is_some() {
                assert!(bytes.len() < 20_000, "not thin: {} bytes", bytes.len());
            }
            take(&ours.store, &bytes, 1000).unwrap();
            ours.store.complete(&head, have.as_slice()).unwrap();
            have = Some(head);
        }
        ours.store.set_ref("refs/heads/main", Expect::Absent, Some(heads[7])).unwrap();
        fsck(ours.dir());
        assert_eq!(git_bytes(ours.dir(), &["cat-file", "blob", "main:d/big"], b""), big);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// One damaged byte anywhere is refused, whatever it hits.
    #[test]
    fn a_damaged_byte(at in any::<prop::sample::Index>(), with in 1..=255u8) {
        let mut bytes = pack(&[whole(3, b"base"), whole(3, &noise(1, 300)), on(&id(Type::Blob, b"base"), &append(4, 9))]);
        let i = at.index(bytes.len());
        bytes[i] ^= with;
        let ours = Ours::new();
        prop_assert!(matches!(take(&ours.store, &bytes, 50).unwrap_err().kind(), Kind::Integrity(_)));
        nothing_left(ours.dir());
    }

    /// Random bytes with a right header and checksum neither panic nor get in.
    #[test]
    fn random_entries(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..4)) {
        let ours = Ours::new();
        prop_assert!(take(&ours.store, &pack(&entries), 13).is_err());
        nothing_left(ours.dir());
    }
}

/// How often this thread has asked the kernel for bytes (proc_pid_io(5)).
#[cfg(target_os = "linux")]
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|l| l.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// Each copy of a base asked all its deltas again: with as many copies as deltas a pack of some megabytes took hours.
#[cfg(target_os = "linux")]
#[test]
fn copies_of_a_base_do_not_ask_its_children_again() {
    const MANY: usize = 1000;
    let base = b"a base that stands there often";
    let copy = whole(3, base);
    let of = id(Type::Blob, base);
    let cost = |copied: &Vec<u8>| {
        let mut entries: Vec<Vec<u8>> = vec![copied.clone(); MANY];
        entries.push(copy.clone());
        entries.extend((0..MANY).map(|n| on(&of, &append(base.len(), n as u8))));
        let sent = pack(&entries);
        let ours = Ours::new();
        let before = reads();
        let e = take(&ours.store, &sent, 1 << 16).unwrap_err();
        assert_eq!(e.kind(), Kind::Integrity(Class::Form), "one object twice: {e}");
        reads() - before
    };
    let (other, same) = (cost(&whole(3, b"another, with no deltas on it")), cost(&copy));
    // Each delta is read once, in two pieces; the rest is what a pack of any content costs.
    assert!(other >= MANY as u64 && same <= other + 10, "{same} reads where {other} are due");
}
