//! The entries of one index file, one after the other, and what stands behind them.

use super::{Cached, Entry, bad};
use crate::error::Result;
use crate::files::Open;
use crate::id::Oid;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// A longer path is none.
const LONGEST_PATH: u64 = 1 << 20;

/// Bytes that the shortest entry takes.
const SHORTEST: u64 = 62;

/// Bytes of the checksum at the end of each index.
pub(super) const SUM: u64 = 20;

/// An open file, read from any place by several readers.
struct At<File> {
    file: Rc<File>,
    offset: u64,
}

impl<File: Open> Read for At<File> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(self.offset, buf)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// The head of an index file.
#[derive(Clone)]
pub(super) struct Head<File> {
    pub file: Rc<File>,
    pub size: u64,
    pub version: u32,
    /// How many entries.
    pub count: u32,
}

impl<File: Open> Head<File> {
    /// Reads it. No memory is ever taken for a count that the file is too short for.
    pub fn read(file: File) -> Result<Self> {
        let size = file.stat()?.size;
        let mut head = [0u8; 12];
        if file.read_up_to(0, &mut head)? < head.len() {
            return Err(bad("cut short"));
        }
        let word = |i: usize| u32::from_be_bytes(head[i..i + 4].try_into().expect("4 bytes"));
        if &head[..4] != b"DIRC" || !(2..=4).contains(&word(4)) {
            return Err(bad("not of version 2 to 4"));
        }
        if u64::from(word(8)) * SHORTEST > size {
            return Err(bad("cut short"));
        }
        Ok(Head { file: Rc::new(file), size, version: word(4), count: word(8) })
    }

    /// The checksum at its end.
    pub fn sum(&self) -> Result<Oid> {
        let mut sum = [0; SUM as usize];
        let at = self.size.checked_sub(SUM).ok_or_else(|| bad("cut short"))?;
        match self.file.read_up_to(at, &mut sum)? {
            20 => Ok(Oid(sum)),
            _ => Err(bad("cut short")),
        }
    }
}

/// A walk over entries.
pub(super) struct Entries<File> {
    input: BufReader<At<File>>,
    /// Where the next one begins.
    pub offset: u64,
    version: u32,
    /// How many are still to come.
    pub left: u32,
    path: Vec<u8>,
}

impl<File: Open> Entries<File> {
    /// All of a file.
    pub fn of(head: &Head<File>) -> Self {
        Entries::some(head, 12, head.count)
    }

    /// `count` from `offset` on; before it no entry with a name.
    pub fn some(head: &Head<File>, offset: u64, count: u32) -> Self {
        let input = BufReader::with_capacity(32 * 1024, At { file: head.file.clone(), offset });
        Entries { input, offset, version: head.version, left: count, path: Vec::new() }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.input.read_exact(&mut out).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => bad("cut short"),
            _ => e.into(),
        })?;
        self.offset += N as u64;
        Ok(out)
    }

    /// The next entry into `into`; `false` at the end. Entries of another mode than a regular file come with an oid of
    /// zeros.
    pub fn next(&mut self, into: &mut Entry) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let begin = self.offset;
        let fixed: [u8; 62] = self.take()?;
        let word = |i: usize| u32::from_be_bytes(fixed[4 * i..4 * i + 4].try_into().expect("4 bytes"));
        into.stat = Cached { ctime: (word(0), word(1)), mtime: (word(2), word(3)), ino: word(5), size: word(9) };
        into.oid = Oid(fixed[40..60].try_into().expect("20 bytes"));
        if word(6) != 0o100_644 {
            into.oid = Oid::ZERO;
        }
        if u16::from_be_bytes([fixed[60], fixed[61]]) & 0x4000 != 0 {
            self.take::<2>()?;
        }
        let strip = if self.version == 4 { self.varint()? } else { self.path.len() };
        let keep = self.path.len().checked_sub(strip).ok_or_else(|| bad("a path"))?;
        self.path.truncate(keep);
        let read = (&mut self.input).take(LONGEST_PATH).read_until(0, &mut self.path)?;
        self.offset += read as u64;
        if self.path.pop() != Some(0) || read == 0 || self.path.len() as u64 > LONGEST_PATH {
            return Err(bad("a path"));
        }
        if self.version != 4 {
            // Padded with NULs to a multiple of eight.
            while !(self.offset - begin).is_multiple_of(8) {
                self.take::<1>()?;
            }
        }
        into.path.clear();
        into.path.extend_from_slice(&self.path);
        Ok(true)
    }

    /// How many bytes of the last path fall away.
    fn varint(&mut self) -> Result<usize> {
        let [mut b] = self.take::<1>()?;
        let mut n = usize::from(b & 0x7f);
        while b & 0x80 != 0 {
            [b] = self.take::<1>()?;
            n = n.checked_add(1).and_then(|n| n.checked_mul(128)).ok_or_else(|| bad("a path"))? | usize::from(b & 0x7f);
        }
        Ok(n)
    }
}

/// What stands behind the entries of an index.
#[derive(Default)]
pub(super) struct Extensions {
    /// `link`: where it lies and how long it is.
    pub link: Option<(u64, u32)>,
    /// What `TREE` says of the whole: how many entries, and of which tree they are.
    pub tree: Option<(u32, Oid)>,
}

impl Extensions {
    /// Reads what stands from `at` on.
    pub fn read<File: Open>(head: &Head<File>, mut at: u64) -> Result<Extensions> {
        let mut out = Extensions::default();
        let end = head.size.checked_sub(SUM).ok_or_else(|| bad("cut short"))?;
        while at < end {
            let mut b = [0u8; 8];
            if head.file.read_up_to(at, &mut b)? < 8 || at + 8 > end {
                return Err(bad("an extension that is cut short"));
            }
            let len = u32::from_be_bytes(b[4..].try_into().expect("4 bytes"));
            at += 8;
            if u64::from(len) > end - at {
                return Err(bad("an extension that is cut short"));
            }
            match &b[..4] {
                b"link" => out.link = Some((at, len)),
                b"TREE" => {
                    let mut text = [0u8; 64];
                    let have = head.file.read_up_to(at, &mut text)?.min(len as usize);
                    out.tree = root_record(&text[..have]);
                }
                // Whoever does not know one that begins like this must not go on.
                [b'a'..=b'z', ..] => return Err(bad("an extension that is not known")),
                _ => {}
            }
            at += u64::from(len);
        }
        Ok(out)
    }
}

/// The first record of a cache-tree, if it is valid.
fn root_record(b: &[u8]) -> Option<(u32, Oid)> {
    let b = b.strip_prefix(b"\0")?;
    let line = b.iter().position(|c| *c == b'\n')?;
    let entries = std::str::from_utf8(&b[..line]).ok()?.split(' ').next()?.parse().ok()?;
    let oid = b.get(line + 1..line + 21)?;
    Some((entries, Oid(oid.try_into().ok()?)))
}

/// Appends an entry in the form of version 4; `last` is the path before it, and becomes this one.
pub(super) fn write(e: &Entry, last: &mut Vec<u8>, out: &mut Vec<u8>) {
    for v in [e.stat.ctime.0, e.stat.ctime.1, e.stat.mtime.0, e.stat.mtime.1, 0, e.stat.ino, 0o100_644, 0, 0, e.stat.size] {
        out.extend_from_slice(&v.to_be_bytes());
    }
    out.extend_from_slice(&e.oid.0);
    out.extend_from_slice(&(e.path.len().min(0xfff) as u16).to_be_bytes());
    let shared = last.iter().zip(&e.path).take_while(|(a, b)| a == b).count();
    offset_varint(last.len() - shared, out);
    out.extend_from_slice(&e.path[shared..]);
    out.push(0);
    last.clear();
    last.extend_from_slice(&e.path);
}

/// The number form of pack offsets and of version 4 paths.
fn offset_varint(n: usize, out: &mut Vec<u8>) {
    let mut n = n as u64;
    let mut bytes = [0u8; 10];
    let mut at = 9;
    bytes[at] = (n & 0x7f) as u8;
    n >>= 7;
    while n > 0 {
        n -= 1;
        at -= 1;
        bytes[at] = 0x80 | (n & 0x7f) as u8;
        n >>= 7;
    }
    out.extend_from_slice(&bytes[at..]);
}
