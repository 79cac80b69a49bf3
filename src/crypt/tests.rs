//! Round trips at the edges of every size, and damage of every region of every object, each with the class it must give.
#![allow(clippy::unwrap_used)]

use super::head::{FileHead, HeadKind};
use super::large::{self, Part, Parts, Reader};
use super::name::{self, EntryKind};
use super::seal::{self, Details, Label};
use super::{Master, VaultKeys, backend, content_mac, keyfile, notice, pad, siv, small};
use crate::clock::{Random, Time};
use crate::error::{Class, Error, Kind, Result};
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::tree::Writer;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use std::collections::BTreeMap;

fn keys() -> VaultKeys {
    VaultKeys::new(&Master::from_bytes(&std::array::from_fn(|i| i as u8)))
}

fn class<T: std::fmt::Debug>(r: Result<T>) -> Class {
    match r.unwrap_err().kind() {
        Kind::Integrity(c) => c,
        k => panic!("{k:?} where an object must be refused"),
    }
}

fn head(size: usize, segment: u8) -> FileHead {
    FileHead {
        id: Id([7; 16]),
        kind: HeadKind::File,
        exec: true,
        private: false,
        mtime: Time { s: -5, ns: 999_999_999 },
        offset: -90,
        size: size as u64,
        generation: 3,
        mac: [0; 32],
        writer: Writer::new("läptop"),
        segment,
        epoch: 0,
    }
}

fn bytes(n: usize) -> Vec<u8> {
    let mut x = 1u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..n).map(|_| next()).collect()
}

/// The parts of a large file in memory.
#[derive(Clone, Default)]
struct Disk(BTreeMap<Part, Vec<u8>>);

impl Parts for Disk {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b[..b.len().min(limit as usize)].to_vec()))
    }
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b.iter().skip(offset as usize).take(len).copied().collect()))
    }
    fn len(&self, part: Part) -> Result<Option<u64>> {
        Ok(self.0.get(&part).map(|b| b.len() as u64))
    }
}

fn seal_large(keys: &VaultKeys, head: FileHead, plain: &[u8]) -> (FileHead, Disk) {
    let mut disk = Disk::default();
    let mut out = Vec::new();
    let step = 1usize << head.segment;
    let mut w = large::Writer::new(keys, head).unwrap();
    for s in 0..w.segments() as usize {
        let from = (s * step).min(plain.len());
        let part = w.segment(&plain[from..(from + step).min(plain.len())], &mut out).unwrap();
        disk.0.insert(part, out.clone());
        disk.0.extend(w.take_index());
    }
    let head = w.finish(&mut out).unwrap();
    disk.0.insert(Part::Head, out);
    (head, disk)
}

fn open_large(keys: &VaultKeys, disk: &Disk) -> Result<Vec<u8>> {
    open_some(keys, disk, false)
}

fn open_some(keys: &VaultKeys, disk: &Disk, few: bool) -> Result<Vec<u8>> {
    let r = Reader::open(keys, &Id([7; 16]), disk.clone())?;
    let (mut all, mut out) = (Vec::new(), Vec::new());
    for s in 0..r.segments() {
        // Of a file with many segments only those at an edge of something.
        if few && ![0, 1, 255, 256, r.segments() - 1].contains(&s) {
            continue;
        }
        r.read_segment(s, &mut out)?;
        all.extend_from_slice(&out);
    }
    Ok(all)
}

#[test]
fn small_files_of_edge_sizes() {
    let keys = keys();
    let (mut out, mut plain) = (Vec::new(), Vec::new());
    let most = 1 << 20;
    for n in [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 65_535, 65_536, 65_537, most - 1, most] {
        let data = bytes(n);
        let mut h = head(n, 0);
        small::seal(&keys, &mut h, &data, &mut out).unwrap();
        assert_eq!(out.len() as u64, small::object_len(n as u64));
        assert_eq!(small::open(&keys, &h.id, &out, &mut plain).unwrap(), h);
        assert!(plain == data, "{n} bytes");
        assert_eq!(small::read_head(&keys, &h.id, &out[..168], out.len() as u64).unwrap(), h);
        assert_eq!(content_mac(&keys, &h.id, 0, 0, n as u64, &mut &data[..]).unwrap(), h.mac);
        assert!(content_mac(&keys, &h.id, 0, 0, n as u64 + 1, &mut &data[..]).is_err());
        assert!(n == 0 || content_mac(&keys, &h.id, 0, 0, n as u64 - 1, &mut &data[..]).is_err());
    }
    assert!(!small::is_small(most as u64 + 1));
}

#[test]
fn large_files_of_edge_sizes() {
    let keys = keys();
    let (mib, seg) = (1usize << 20, 1usize << 16);
    let sizes = [mib + 1, 17 * seg - 1, 17 * seg, 17 * seg + 1, 255 * seg, 256 * seg, 256 * seg + 1, 513 * seg];
    for (n, segment) in sizes.into_iter().map(|n| (n, 16)).chain([(mib + 1, 20), (2 * mib, 20), (3 * mib + 1, 20)]) {
        let data = bytes(n);
        let (h, disk) = seal_large(&keys, head(n, segment), &data);
        assert!(open_large(&keys, &disk).unwrap() == data, "{n} bytes");
        assert_eq!(content_mac(&keys, &h.id, 0, segment, n as u64, &mut &data[..]).unwrap(), h.mac);
        let r = Reader::open(&keys, &h.id, disk).unwrap();
        r.verify_all().unwrap();
        for (at, len) in [(0, 1), (4095, 2), (n - 1, 5), (n, 1), ((1 << segment) - 1, 4098), (n / 2, 3 << segment)] {
            assert!(r.read_at(at as u64, len).unwrap() == data[at..(at + len).min(n)], "{n}: {len} at {at}");
        }
    }
}

#[test]
fn a_rewritten_chunk_gives_the_bytes_that_sealing_anew_gives() {
    let keys = keys();
    let n = 270 << 16;
    let mut data = bytes(n);
    let (h, mut disk) = seal_large(&keys, head(n, 16), &data);
    for at in [0usize, 4096, 256 << 16, n - 5] {
        data[at..at + 5].copy_from_slice(b"new!!");
        let r = Reader::open(&keys, &h.id, disk.clone()).unwrap();
        let changed = r.rewrite(at as u64, b"new!!", h.clone()).unwrap();
        assert!(changed.len() <= 3);
        disk.0.extend(changed);
        assert!(disk.0 == seal_large(&keys, head(n, 16), &data).1.0, "at {at}");
        assert!(r.rewrite(n as u64, b"", h.clone()).is_err());
        assert!(r.rewrite(n as u64 - 1, b"ab", h.clone()).is_err());
        assert!(r.rewrite(u64::MAX, b"ab", h.clone()).is_err());
        assert!(r.rewrite((1 << 16) - 1, b"ab", h.clone()).is_err());
    }
}

#[test]
fn a_small_object_with_any_byte_flipped_is_refused() {
    let keys = keys();
    let data = bytes(5000);
    let (mut h, mut out, mut plain) = (head(5000, 0), Vec::new(), Vec::new());
    small::seal(&keys, &mut h, &data, &mut out).unwrap();
    for at in 0..out.len() {
        let mut bad = out.clone();
        bad[at] ^= 1 << (at % 8);
        let want = match at {
            0..=4 => Class::Form,
            5..=7 => Class::Version,
            _ => Class::Auth,
        };
        assert_eq!(class(small::open(&keys, &h.id, &bad, &mut plain)), want, "byte {at}");
        assert!(plain.is_empty());
    }
    for len in [0, 1, 7, 8, 167, 168, out.len() - 1] {
        assert_eq!(class(small::open(&keys, &h.id, &out[..len], &mut plain)), Class::Form, "cut to {len}");
    }
    let longer = [&out[..], &[0]].concat();
    assert_eq!(class(small::open(&keys, &h.id, &longer, &mut plain)), Class::Form);
    assert_eq!(class(small::open(&keys, &Id([8; 16]), &out, &mut plain)), Class::Auth);
    let other = VaultKeys::new(&Master::from_bytes(&[9; 32]));
    assert_eq!(class(small::open(&other, &h.id, &out, &mut plain)), Class::Auth);
    // The head of one version over the content of another.
    let (mut h2, mut two) = (head(5000, 0), Vec::new());
    small::seal(&keys, &mut h2, &bytes(5001)[1..], &mut two).unwrap();
    two[8..168].copy_from_slice(&out[8..168]);
    assert_eq!(class(small::open(&keys, &h.id, &two, &mut plain)), Class::Auth);
}

#[test]
fn damage_of_large_files() {
    let keys = keys();
    let n = 260 << 16;
    let (_, disk) = seal_large(&keys, head(n, 16), &bytes(n));
    let parts = [Part::Head, Part::Segment(0), Part::Segment(255), Part::Index(1), Part::Segment(256)];
    for part in parts {
        let len = disk.0[&part].len();
        for at in [0, 4, 5, 7, 8, 9, len / 2, len - 1] {
            let mut bad = disk.clone();
            bad.0.get_mut(&part).unwrap()[at] ^= 1;
            let want = match at {
                0 | 4 => Class::Form,
                5 | 7 => Class::Version,
                _ => Class::Auth,
            };
            assert_eq!(class(open_some(&keys, &bad, true)), want, "{part:?} byte {at}");
        }
        let mut bad = disk.clone();
        bad.0.remove(&part);
        assert_eq!(class(open_some(&keys, &bad, true)), Class::Absent, "{part:?}");
        for cut in [0, 5, len - 1] {
            let mut bad = disk.clone();
            bad.0.get_mut(&part).unwrap().truncate(cut);
            assert_eq!(class(open_some(&keys, &bad, true)), Class::Form, "{part:?} cut to {cut}");
        }
    }
    for (a, b) in [(0, 1), (0, 256), (1, 255)] {
        let mut bad = disk.clone();
        let (x, y) = (disk.0[&Part::Segment(a)].clone(), disk.0[&Part::Segment(b)].clone());
        bad.0.insert(Part::Segment(a), y);
        bad.0.insert(Part::Segment(b), x);
        assert_eq!(class(open_some(&keys, &bad, true)), Class::Auth, "{a} and {b} swapped");
        let r = Reader::open(&keys, &Id([7; 16]), bad).unwrap();
        assert_eq!(class(r.read_at(b << 16, 10)), Class::Auth);
    }
}

#[test]
fn a_new_head_over_the_same_content() {
    let keys = keys();
    let (mut h, mut out, mut plain) = (head(10, 0), Vec::new(), Vec::new());
    small::seal(&keys, &mut h, &[1; 10], &mut out).unwrap();
    let mut new = FileHead { generation: 9, exec: false, ..h.clone() };
    small::reseal(&keys, &new, &mut out).unwrap();
    assert_eq!(small::open(&keys, &h.id, &out, &mut plain).unwrap(), new);
    new.mac[0] ^= 1;
    assert!(small::reseal(&keys, &new, &mut out).is_err());
    let n = 2 << 20;
    let (h, mut disk) = seal_large(&keys, head(n, 20), &bytes(n));
    large::reseal(&keys, &FileHead { generation: 4, ..h }, disk.0.get_mut(&Part::Head).unwrap()).unwrap();
    assert!(open_large(&keys, &disk).is_ok());
}

#[test]
fn names_of_every_length() {
    let keys = keys();
    let (dir, id) = (Id([1; 16]), Id([2; 16]));
    for n in 1..=255usize {
        let text = vec![b'x'; n];
        let s = name::seal(&keys, &dir, EntryKind::Small, &id, &text);
        assert_eq!(s.long.is_some(), n > 143, "{n}");
        assert!(s.entry.len() <= 255 && s.entry.starts_with("AQAA"));
        let long = s.long.as_ref().map(|l| &l.1[..]);
        let e = name::open(&keys, &dir, s.entry.as_bytes(), long).unwrap();
        assert_eq!((e.kind, e.id, e.name), (EntryKind::Small, id, Name::new(text)));
        assert_eq!(class(name::open(&keys, &Id([3; 16]), s.entry.as_bytes(), long)), Class::Auth);
        let kind = name::classify(s.entry.as_bytes());
        assert_eq!(kind, if n > 143 { name::Listed::LongEntry } else { name::Listed::Entry });
        if n > 143 {
            assert_eq!(class(name::open(&keys, &dir, s.entry.as_bytes(), None)), Class::Absent);
        }
    }
    let keeper = name::seal(&keys, &dir, EntryKind::Keeper, &dir, b"");
    assert_eq!(name::open(&keys, &dir, keeper.entry.as_bytes(), None).unwrap().name, None);
}

#[test]
fn entry_names_that_no_writer_makes() {
    let keys = keys();
    let (dir, id) = (Id([1; 16]), Id([2; 16]));
    let open = |kind, id: &Id, text: &[u8]| name::open(&keys, &dir, name::seal(&keys, &dir, kind, id, text).entry.as_bytes(), None);
    for bad in [&b"."[..], b"..", b"a/b", b"a\0b", b""] {
        assert_eq!(class(open(EntryKind::Small, &id, bad)), Class::Form, "{bad:?}");
    }
    assert_eq!(class(open(EntryKind::Dir, &Id::ROOT, b"a")), Class::Form);
    assert_eq!(class(open(EntryKind::Keeper, &id, b"")), Class::Form);
    assert_eq!(class(open(EntryKind::Keeper, &dir, b"a")), Class::Form);
    let good = name::seal(&keys, &dir, EntryKind::Small, &id, b"a").entry.to_string();
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'B' { b'C' } else { b'B' };
        assert!(name::open(&keys, &dir, &bad, None).is_err(), "byte {at}");
    }
    for bad in ["", "A", "AQAA", &format!("{good}="), &good[1..], &format!("{good}AAAA"), ".l", "=.l"] {
        assert!(name::open(&keys, &dir, bad.as_bytes(), Some(b"")).is_err(), "{bad}");
    }
    // A long name that was not put beside its `s.l`.
    let long = name::seal(&keys, &dir, EntryKind::Small, &id, &[b'y'; 200]);
    let (_, content) = long.long.unwrap();
    let whole = data_encoding::BASE64URL_NOPAD.encode(&content[8..]);
    assert_eq!(class(name::open(&keys, &dir, whole.as_bytes(), None)), Class::Form);
    for cut in 0..content.len() {
        assert!(name::open(&keys, &dir, long.entry.as_bytes(), Some(&content[..cut])).is_err());
    }
}

fn device(seq: u64, height: u64, s: i64) -> Details {
    Details {
        device: Some(Id([4; 16])),
        device_name: Writer::new("laptop"),
        time: Time { s, ns: 5 },
        seq: Some(seq),
        height,
        ..Details::default()
    }
}

#[test]
fn commits_there_and_back() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let (a, b) = (Oid([1; 20]), Oid([2; 20]));
    let merge = Details { time: Time { s: 7200, ns: 0 }, height: 9, ..Details::default() };
    let full = Details {
        summary: Some("two files\n".into()),
        vector: vec![(Id([1; 16]), 3), (Id([2; 16]), 1)],
        supersedes: Some(b),
        adopts: vec![a, b],
        ..device(4, 8, 1_700_003_601)
    };
    let cases: [(&[Oid], &Details); 4] = [(&[], &device(1, 1, 3599)), (&[a], &device(2, 2, 3600)), (&[a, b], &merge), (&[], &full)];
    for (parents, details) in cases {
        for label in [Label::Main, Label::Staging] {
            let bytes = seal::write_commit(&keys, &vault, label, &a, parents, details).unwrap();
            let c = seal::open_commit(&keys, &vault, &bytes).unwrap();
            assert_eq!((&c.tree, &c.parents[..], &c.details, c.label), (&a, parents, details, label));
            assert_eq!(class(seal::open_commit(&keys, &Id([6; 16]), &bytes)), Class::Auth);
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert!(seal::open_commit(&keys, &vault, &bad).is_err(), "byte {at}");
                assert!(seal::open_commit(&keys, &vault, &bytes[..at]).is_err(), "cut to {at}");
            }
            assert_eq!(class(seal::open_commit(&keys, &vault, &[&bytes[..], b"x"].concat())), Class::Form);
        }
    }
}

#[test]
fn commits_that_are_of_no_row() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let (a, b) = (Oid([1; 20]), Oid([2; 20]));
    let write = |parents: &[Oid], d: Details| seal::write_commit(&keys, &vault, Label::Main, &a, parents, &d);
    assert_eq!(class(write(&[a, b], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a, b, a], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a], Details { height: 2, ..Details::default() })), Class::Form);
    assert_eq!(class(write(&[a], device(0, 2, 0))), Class::Form);
    assert_eq!(class(write(&[], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a], device(1, 2, -1))), Class::Limit);
    assert_eq!(class(write(&[a], device(1, 2, 1 << 33))), Class::Limit);
    assert_eq!(class(write(&[a], Details { vector: vec![(Id([1; 16]), 1)], ..device(1, 2, 0) })), Class::Form);
    assert_eq!(class(write(&[a], Details { adopts: vec![b, a], ..device(1, 2, 0) })), Class::Form);
    assert_eq!(class(write(&[a], Details { summary: Some("x".repeat(4097)), ..device(1, 2, 0) })), Class::Form);
}

#[test]
fn a_child_is_not_before_its_parent() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let commit = |seq, height, s| {
        let parents: &[Oid] = if height == 1 { &[] } else { &[Oid([1; 20])] };
        let bytes = seal::write_commit(&keys, &vault, Label::Main, &Oid([1; 20]), parents, &device(seq, height, s)).unwrap();
        seal::open_commit(&keys, &vault, &bytes).unwrap()
    };
    let parent = commit(1, 1, 100);
    assert!(seal::check_child(&parent, &commit(2, 2, 100)).is_ok());
    assert_eq!(class(seal::check_child(&parent, &commit(2, 2, 99))), Class::Form);
    assert_eq!(class(seal::check_child(&commit(1, 5, 0), &commit(2, 5, 0))), Class::Form);
    assert!(seal::check_height(1, &commit(2, 2, 100)).is_ok());
    assert_eq!(class(seal::check_height(1, &commit(2, 3, 100))), Class::Form);
    assert_eq!(class(seal::check_height(u64::MAX, &commit(2, 3, 100))), Class::Form);
}

struct Fixed;
impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Error> {
        out.fill(0x42);
        Ok(())
    }
}

#[test]
fn key_files() {
    let (master, vault) = (Master::from_bytes(&[3; 32]), Id([5; 16]));
    let file = keyfile::seal(&master, &vault, "e\u{301}".as_bytes(), keyfile::Cost::LEAST, &mut Fixed).unwrap();
    let (m, v) = keyfile::open(&file, "é".as_bytes()).unwrap();
    assert_eq!((m.as_bytes(), v), (master.as_bytes(), vault));
    assert_eq!(keyfile::open(&file, b"e").unwrap_err().kind(), Kind::Secret);
    let mut bad = file;
    bad[36] ^= 1;
    assert_eq!(keyfile::open(&bad, "é".as_bytes()).unwrap_err().kind(), Kind::Secret);
    let with = |at: usize, new: &[u8]| {
        let mut bad = file;
        bad[at..at + new.len()].copy_from_slice(new);
        class(keyfile::open(&bad, b""))
    };
    assert_eq!(with(24, &[2]), Class::Version);
    assert_eq!(with(25, &[4]), Class::Form);
    for (memory, passes) in
        [(19_455u32, 64u32), (1 << 20, 1), (19_456, 3), ((1 << 20) + 1, 2), (65_536, 65), (1 << 20, 5), (u32::MAX, u32::MAX)]
    {
        assert_eq!(with(28, &[memory.to_be_bytes(), passes.to_be_bytes()].concat()), Class::Limit, "{memory} {passes}");
    }
    assert_eq!(class(keyfile::open(&file[..115], b"")), Class::Form);
    assert_eq!(keyfile::without_newline(b"a\r\n"), b"a");
    assert_eq!(keyfile::without_newline(b"a\n\n"), b"a\n");
    assert_eq!(keyfile::without_newline(b"a\r"), b"a\r");
}

#[test]
fn the_vault_file() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let file = keys.vault_file(&vault);
    assert_eq!(keys.open_vault_file(&file).unwrap(), vault);
    for at in 0..64 {
        let mut bad = file;
        bad[at] ^= 1;
        let want = match at {
            0..=4 | 28..=31 => Class::Form,
            5..=7 | 24..=27 => Class::Version,
            _ => Class::Auth,
        };
        assert_eq!(class(keys.open_vault_file(&bad)), want, "byte {at}");
    }
    assert_eq!(class(keys.open_vault_file(&file[..63])), Class::Form);
}

#[test]
fn notices() {
    let keys = keys();
    let n = notice::Notice { device: Id([1; 16]), counter: 10, seq: 2, height: 3, head: Oid([4; 20]) };
    let text = notice::seal(&keys, &n);
    assert_eq!(text.len(), 171);
    assert_eq!(notice::open(&keys, text.as_bytes(), |_| Some(9)).unwrap(), n);
    assert_eq!(class(notice::open(&keys, text.as_bytes(), |_| Some(10))), Class::Stale);
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] = if bad[at] == b'x' { b'y' } else { b'x' };
        assert!(notice::open(&keys, &bad, |_| None).is_err(), "byte {at}");
    }
}

#[test]
fn padding_costs_at_most_a_sixteenth() {
    for n in (0..100_000).chain((0..44).flat_map(|e| [(1u64 << e) - 1, 1 << e, (1 << e) + 1])).chain([pad::MAX_SIZE]) {
        let p = pad::padded(n);
        assert!(p >= n && (n <= 1024 || (p - n) * 16 <= n), "{n} -> {p}");
        assert_eq!(pad::padded(p), p);
    }
}

#[test]
fn secrets_are_not_printed() {
    let master = Master::from_bytes(&[0xab; 32]);
    for text in [format!("{master:?}"), format!("{:?}", VaultKeys::new(&master))] {
        assert!(text.ends_with("(..)") && !text.contains("171") && !text.contains("ab, "), "{text}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    HEX.decode(text.as_bytes()).unwrap()
}

/// NIST SP 800-38A, F.5.5.
#[test]
fn aes_256_ctr_as_nist_has_it() {
    let key: [u8; 32] = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").try_into().unwrap();
    let iv: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    let mut data = hex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    backend::Cipher::new(&key).apply(&iv, &mut data);
    assert_eq!(
        data,
        hex(
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        )
    );
}

/// RFC 4231, cases 1 to 3 (keys padded with zeros, which HMAC does to them anyway).
#[test]
fn hmac_sha_256_as_rfc_4231_has_it() {
    let key = |k: &[u8]| {
        let mut out = [0; 32];
        out[..k.len()].copy_from_slice(k);
        out
    };
    let cases: [(&[u8], Vec<u8>, &str); 3] = [
        (&[0x0b; 20], b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?".to_vec(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (&[0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    ];
    for (k, m, want) in cases {
        let (a, b) = m.split_at(m.len() / 2);
        assert_eq!(backend::Mac::new(&key(k)).of(&[a, b]).to_vec(), hex(want));
    }
}

/// RFC 5869, A.1, through the crate that `keys` uses.
#[test]
fn hkdf_as_rfc_5869_has_it() {
    let prk = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let mut out = [0; 42];
    hkdf::Hkdf::<sha2::Sha256>::from_prk(&prk).unwrap().expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut out).unwrap();
    assert_eq!(out.to_vec(), hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
}

/// A counter whose low words are all ones carries as a number of 128 bits; under the mask it never has to.
#[test]
fn counters_at_their_edge() {
    let cipher = backend::Cipher::new(&[1; 32]);
    let mut iv = [0xff; 16];
    iv[0] = 0;
    let mut two = [0u8; 32];
    cipher.apply(&iv, &mut two);
    let mut next = [0u8; 16];
    next[0] = 1;
    let mut one = [0u8; 16];
    cipher.apply(&next, &mut one);
    assert_eq!(two[16..], one);
    let masked = siv::iv(&[0xff; 16]);
    assert_eq!((masked[8], masked[12]), (0x7f, 0x7f));
    assert!(u32::from_be_bytes(masked[12..].try_into().unwrap()).checked_add(1 << 31).is_some());
}
