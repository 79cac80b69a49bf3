//! Rows as bytes: small (FORMAT.md beside `state` has the layout), and one value has exactly one encoding, so that equal
//! nodes are equal bytes and SQL can compare them.

use crate::clock::Time;
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::state::{Intent, Row, RowNode, Seen};
use crate::tree::{FileKind, Node, Place, Version, Writer};

const DIR: u8 = 0;
const FILE: u8 = 1;
const LINK: u8 = 2;

/// A node in columns. A tombstone has no id and an empty `node`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub id: Option<Vec<u8>>,
    /// True size as SQLite's integer (the same 64 bits); none for directories.
    pub size: Option<i64>,
    /// All else that two nodes are compared by.
    pub node: Vec<u8>,
    /// A directory's git tree, if known.
    pub tree: Option<Vec<u8>>,
}

/// The columns of a node.
pub(super) fn node(n: &RowNode) -> Side {
    match n {
        RowNode::Gone => Side::default(),
        RowNode::Here(Node::Dir { id, tree }) => {
            let tree = (*tree != Oid::ZERO).then(|| tree.0.to_vec());
            Side { id: Some(id.0.to_vec()), size: None, node: vec![DIR], tree }
        }
        RowNode::Here(Node::File(v)) => {
            let mut b = Vec::with_capacity(88 + v.writer.as_str().len());
            b.push(if v.kind == FileKind::Link { LINK } else { FILE });
            b.push(u8::from(v.exec) | u8::from(v.private) << 1 | u8::from(v.oid != Oid::ZERO) << 2);
            b.push(v.segment);
            b.extend(v.mac);
            if v.oid != Oid::ZERO {
                b.extend(v.oid.0);
            }
            number(&mut b, u64::from(v.epoch));
            time(&mut b, v.mtime);
            signed(&mut b, i64::from(v.offset));
            number(&mut b, v.generation);
            b.extend(v.writer.as_str().as_bytes());
            Side { id: Some(v.id.0.to_vec()), size: Some(v.size as i64), node: b, tree: None }
        }
    }
}

/// Reads what [`node`] made; `None` for what it never makes.
pub(super) fn read_node(s: &Side) -> Option<RowNode> {
    let Some(id) = &s.id else {
        return s.node.is_empty().then_some(RowNode::Gone);
    };
    let id = Id(id.as_slice().try_into().ok()?);
    let mut r = Reader(&s.node);
    let kind = match r.byte()? {
        DIR => {
            let tree = match &s.tree {
                Some(t) => Oid(t.as_slice().try_into().ok()?),
                None => Oid::ZERO,
            };
            return r.0.is_empty().then_some(RowNode::Here(Node::Dir { id, tree }));
        }
        FILE => FileKind::File,
        LINK => FileKind::Link,
        _ => return None,
    };
    let bits = r.byte()?;
    let segment = r.byte()?;
    let mac = r.array()?;
    let oid = if bits & 4 != 0 { Oid(r.array()?) } else { Oid::ZERO };
    Some(RowNode::Here(Node::File(Version {
        id,
        kind,
        size: s.size? as u64,
        mac,
        epoch: u16::try_from(r.number()?).ok()?,
        segment,
        exec: bits & 1 != 0,
        private: bits & 2 != 0,
        mtime: r.time()?,
        offset: i16::try_from(r.signed()?).ok()?,
        generation: r.number()?,
        writer: Writer::new(std::str::from_utf8(r.0).ok()?)?,
        oid,
    })))
}

/// All of `seen` but the inode number, which has a column of its own.
pub(super) fn seen(s: &Seen) -> Vec<u8> {
    let mut b = Vec::with_capacity(40);
    b.push(u8::from(s.exec) | u8::from(s.private) << 1 | u8::from(s.birth.is_some()) << 2);
    number(&mut b, s.size);
    time(&mut b, s.mtime);
    time(&mut b, s.ctime);
    if let Some(t) = s.birth {
        time(&mut b, t);
    }
    if let Some(n) = &s.name {
        b.extend(n.as_bytes());
    }
    b
}

/// Reads what [`seen`] made.
pub(super) fn read_seen(bytes: &[u8], ino: i64) -> Option<Seen> {
    let mut r = Reader(bytes);
    let bits = r.byte()?;
    Some(Seen {
        exec: bits & 1 != 0,
        private: bits & 2 != 0,
        ino: ino as u64,
        size: r.number()?,
        mtime: r.time()?,
        ctime: r.time()?,
        birth: if bits & 4 != 0 { Some(r.time()?) } else { None },
        name: if r.0.is_empty() { None } else { Some(Name::new(r.0)?) },
    })
}

/// An intent, whole.
pub(super) fn intent(i: &Intent) -> Vec<u8> {
    let mut b = Vec::with_capacity(256);
    match i {
        Intent::Put { temporary, row } => {
            b.push(0);
            place(&mut b, temporary);
            place(&mut b, &row.place);
            let s = node(&row.node);
            for part in
                [s.id.unwrap_or_default(), s.size.map_or(Vec::new(), |n| n.to_be_bytes().to_vec()), s.node, s.tree.unwrap_or_default()]
            {
                long(&mut b, &part);
            }
            match &row.seen {
                Some(s) => {
                    number(&mut b, s.ino);
                    long(&mut b, &seen(s));
                }
                None => number(&mut b, 0),
            }
        }
        Intent::Delete { place: p, seen: s } => {
            b.push(1);
            place(&mut b, p);
            number(&mut b, s.ino);
            long(&mut b, &seen(s));
        }
    }
    b
}

/// Reads what [`intent`] made.
pub(super) fn read_intent(bytes: &[u8]) -> Option<Intent> {
    let mut r = Reader(bytes);
    match r.byte()? {
        0 => {
            let (temporary, at) = (r.place()?, r.place()?);
            let (id, size, node, tree) = (r.long()?, r.long()?, r.long()?, r.long()?);
            let some = |b: &[u8]| (!b.is_empty()).then(|| b.to_vec());
            let size = if size.is_empty() { None } else { Some(i64::from_be_bytes(size.try_into().ok()?)) };
            let node = read_node(&Side { id: some(id), size, node: node.to_vec(), tree: some(tree) })?;
            let ino = r.number()?;
            let seen = if r.0.is_empty() { None } else { Some(read_seen(r.long()?, ino as i64)?) };
            Some(Intent::Put { temporary, row: Row { place: at, node, seen } })
        }
        1 => {
            let place = r.place()?;
            let ino = r.number()?;
            Some(Intent::Delete { place, seen: read_seen(r.long()?, ino as i64)? })
        }
        _ => None,
    }
}

fn place(b: &mut Vec<u8>, p: &Place) {
    b.extend(p.dir.0);
    long(b, p.name.as_bytes());
}

/// Bytes with their length before them.
fn long(b: &mut Vec<u8>, bytes: &[u8]) {
    number(b, bytes.len() as u64);
    b.extend(bytes);
}

/// LEB128: seven bits a byte, lowest first.
fn number(b: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        b.push(n as u8 | 0x80);
        n >>= 7;
    }
    b.push(n as u8);
}

/// Zigzag: small numbers of either sign are short.
fn signed(b: &mut Vec<u8>, n: i64) {
    number(b, ((n << 1) ^ (n >> 63)) as u64);
}

fn time(b: &mut Vec<u8>, t: Time) {
    signed(b, t.s);
    number(b, u64::from(t.ns));
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            let part = u64::from(b & 0x7f);
            // Of the tenth byte only one bit fits.
            if part << shift >> shift != part {
                return None;
            }
            n |= part << shift;
            if b & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn time(&mut self) -> Option<Time> {
        Some(Time { s: self.signed()?, ns: u32::try_from(self.number()?).ok()? })
    }

    fn long(&mut self) -> Option<&'b [u8]> {
        let n = usize::try_from(self.number()?).ok()?;
        self.take(n)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { dir: Id(self.array()?), name: Name::new(self.long()?)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_sizes_come_back() {
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 1, u64::MAX] {
            let mut b = Vec::new();
            number(&mut b, n);
            signed(&mut b, n as i64);
            let mut r = Reader(&b);
            assert_eq!((r.number(), r.signed(), r.0.len()), (Some(n), Some(n as i64), 0));
        }
        assert_eq!(Reader(&[0xff; 9]).number(), None);
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(), None);
    }

    #[test]
    fn cut_rows_are_refused() {
        let v = Version {
            id: Id([7; 16]),
            kind: FileKind::File,
            size: u64::MAX,
            mac: [9; 32],
            epoch: 300,
            segment: 20,
            exec: true,
            private: true,
            mtime: Time { s: i64::MIN, ns: 999_999_999 },
            offset: i16::MIN,
            generation: u64::MAX,
            writer: Writer::new("w").unwrap(),
            oid: Oid([3; 20]),
        };
        let whole = node(&RowNode::Here(Node::File(v.clone())));
        assert_eq!(read_node(&whole), Some(RowNode::Here(Node::File(v))));
        for len in 0..whole.node.len() {
            assert_eq!(read_node(&Side { node: whole.node[..len].to_vec(), ..whole.clone() }), None, "{len}");
        }
        assert_eq!(read_node(&Side { id: Some(vec![1; 15]), ..whole.clone() }), None);
        assert_eq!(read_node(&Side { id: None, ..whole }), None);
    }
}
