//! Offsets, counts and names of parts beyond 32 bits: files of which only some segments are there.

use super::*;
use crate::clock::Time;
use crate::crypt::Master;
use crate::tree::Writer as Name;
use std::collections::BTreeMap;

/// What is there of a large file; whatever else is asked for is missing.
#[derive(Clone)]
struct Have(BTreeMap<Part, Vec<u8>>);

impl Parts for Have {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        assert!(self.0.get(&part).is_none_or(|b| b.len() as u64 <= limit));
        Ok(self.0.get(&part).cloned())
    }
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b.iter().skip(usize::try_from(offset).unwrap()).take(len).copied().collect()))
    }
    fn len(&self, part: Part) -> Result<Option<u64>> {
        Ok(self.0.get(&part).map(|b| b.len() as u64))
    }
}

fn keys() -> VaultKeys {
    VaultKeys::new(&Master::from_bytes(&[9; 32]))
}

/// The byte of the plaintext at an offset: other ones in every chunk, and on either side of 32 bits.
fn byte(at: u64) -> u8 {
    (at ^ at >> 12 ^ at >> 32).wrapping_mul(0x9e37_79b9).to_le_bytes()[3]
}

fn plaintext(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(byte).collect()
}

/// A file of this size with segments of 2^`segment` bytes, of which only those that hold these offsets are sealed.
fn file(keys: &VaultKeys, size: u64, segment: u8, offsets: &[u64]) -> (FileHead, Have) {
    let mtime = Time { s: (1 << 32) + 5, ns: 1 };
    let mut head = FileHead { mtime, ..FileHead::file(Id([7; 16]), Name::new("pi"), size, segment) };
    let shape = Shape::of(&head).unwrap();
    let file = keys.file(&head.id);
    let (mut parts, mut macs) = (BTreeMap::new(), BTreeMap::new());
    for s in offsets.iter().map(|o| o / shape.segment) {
        let at = s * shape.segment;
        let mut out = Vec::new();
        let plain = plaintext(at, (at + shape.segment).min(size));
        writer::begin(&shape, 0, s, plain.len(), &mut out).copy_from_slice(&plain);
        macs.insert(s, writer::seal_segment(&file, 0, &shape, s, &mut out));
        parts.insert(Part::Segment(s), out);
    }
    let mac_of = |s: u64| macs.get(&s).copied().unwrap_or([0x55; MAC]);
    let mut list: Vec<u8> = (0..shape.segments.min(GROUP)).flat_map(mac_of).collect();
    for g in 1..shape.segments.div_ceil(GROUP) {
        if !macs.keys().any(|s| s / GROUP == g) {
            list.extend_from_slice(&[0x66; MAC]);
            continue;
        }
        let index: Vec<u8> = (g * GROUP..g * GROUP + shape.in_group(g)).flat_map(mac_of).collect();
        list.extend_from_slice(&group_mac(&file, 0, g, &index));
        parts.insert(Part::Index(g), [&header::bytes(header::Type::Index, 0)[..], &index].concat());
    }
    head.mac = list_mac(&file, 0, shape.segments, &list);
    let mut object = Vec::new();
    head_object(keys, &head, &list, &mut object);
    parts.insert(Part::Head, object);
    (head, Have(parts))
}

const G4: u64 = 1 << 32;

#[test]
fn reading_across_four_gigabytes() {
    let keys = keys();
    for (segment, size) in [(16, G4 + 200_000), (16, G4 + 1), (20, 3 * G4 + 12_345)] {
        let last = size - 1;
        let ends = [0, G4 - 1, G4.min(last), last];
        let (head, parts) = file(&keys, size, segment, &ends);
        let r = Reader::open(&keys, &head.id, parts).unwrap();
        assert_eq!(r.head().size, size);
        for (from, to) in [(0, 9), (G4 - 5000, (G4 + 5000).min(size)), (G4.min(last), size.min(G4 + 10)), (size - 1, size)] {
            let want = plaintext(from, to);
            assert!(r.read_at(from, want.len()).unwrap() == want, "{size} in {segment}: {from} to {to}");
        }
        assert!(r.read_at(last, 100).unwrap() == plaintext(last, size), "less at the end");
        assert!(r.read_at(size, 100).unwrap().is_empty() && r.read_at(u64::MAX, 100).unwrap().is_empty());
        // In a whole segment.
        let (s, mut plain) = (G4 / (1 << segment), Vec::new());
        r.read_segment(s, &mut plain).unwrap();
        assert!(plain == plaintext(G4, (G4 + (1 << segment)).min(size)));
    }
}

#[test]
fn rewriting_beyond_four_gigabytes() {
    let keys = keys();
    let size = G4 + (300 << 16);
    let (head, mut parts) = file(&keys, size, 16, &[0, G4, size - 1]);
    let at = G4 + 4094;
    let r = Reader::open(&keys, &head.id, parts.clone()).unwrap();
    let changed = r.rewrite(at, b"new", FileHead { generation: 2, ..head.clone() }).unwrap();
    assert_eq!(changed.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [Part::Segment(65_536), Part::Index(256), Part::Head]);
    parts.0.extend(changed);
    let r = Reader::open(&keys, &head.id, parts).unwrap();
    assert_eq!(r.read_at(at - 1, 5).unwrap(), [&plaintext(at - 1, at)[..], b"new", &plaintext(at + 3, at + 4)].concat());
    assert!(r.read_at(4094, 3).unwrap() == plaintext(4094, 4097), "not at the same place 4 GiB before");
}

#[test]
fn the_largest_file() {
    let keys = keys();
    let size = pad::MAX_SIZE;
    let (head, parts) = file(&keys, size, 20, &[size - 1]);
    assert_eq!(parts.0[&Part::Head].len() as u64, crate::crypt::HEAD_LIMIT);
    let r = Reader::open(&keys, &head.id, parts).unwrap();
    assert_eq!(r.segments(), 1 << 24);
    assert!(r.read_at(size - 20, 100).unwrap() == plaintext(size - 20, size));
    // A segment of the greatest number, and one that there cannot be.
    let last = Part::Segment((1 << 24) - 1);
    assert_eq!(last.path(), (Some("gffff".into()), "ff".into()));
    assert_eq!(Part::parse(Some(b"gffff"), b"ff"), Some(last));
    assert!(Shape::of(&FileHead { segment: 16, ..head }).is_err(), "more groups than four digits name");
}

#[test]
fn parts_are_numbered_through_the_whole_file() {
    for (offset, group, name) in [(G4 - 1, "g000f", "ff"), (G4, "g0010", "00"), (G4 + (1 << 20), "g0010", "01"), (3 * G4, "g0030", "00")] {
        let part = Part::Segment(offset >> 20);
        assert_eq!(part.path(), (Some(group.into()), name.into()), "{offset}");
        assert_eq!(Part::parse(Some(group.as_bytes()), name.as_bytes()), Some(part));
    }
}
