//! Round trips at the edges of every size, and damage of every region, each with the class it must give.

use super::*;
use crate::crypt::large::{self, Part, Reader};
use crate::crypt::{content_mac, pad, small};

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
fn padding_costs_at_most_a_sixteenth() {
    for n in (0..100_000).chain((0..44).flat_map(|e| [(1u64 << e) - 1, 1 << e, (1 << e) + 1])).chain([pad::MAX_SIZE]) {
        let p = pad::padded(n);
        assert!(p >= n && (n <= 1024 || (p - n) * 16 <= n), "{n} -> {p}");
        assert_eq!(pad::padded(p), p);
    }
}
