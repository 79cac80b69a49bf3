//! The index of a pack, version 2 (gitformat-pack(5)): written in one go, read by `pread`.

use crate::error::{Class, Error, Result};
use crate::files::Open;
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::io::Write;

const MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
const HEADER: u64 = 8 + 256 * 4;
/// Marks a word that is no offset but the number of one of eight bytes.
const LARGE: u32 = 1 << 31;

/// Objects in a pack at most: no vault has so many, and a list of more is none that a 32-bit machine could hold.
pub(super) const MOST: u32 = 50_000_000;

/// What the index knows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub oid: Oid,
    /// CRC-32 of its bytes in the pack.
    pub crc: u32,
    /// Where it begins in the pack.
    pub offset: u64,
}

/// Writes an index; `entries` sorted by id, `pack` is the pack's trailer.
pub fn write(entries: &[Entry], pack: &[u8; 20], out: &mut dyn Write) -> Result<()> {
    struct Tee<'a> {
        out: std::io::BufWriter<&'a mut dyn Write>,
        sha: Sha1,
    }
    impl Tee<'_> {
        fn put(&mut self, b: &[u8]) -> std::io::Result<()> {
            self.sha.update(b);
            self.out.write_all(b)
        }
    }
    let mut t = Tee { out: std::io::BufWriter::with_capacity(32 * 1024, out), sha: Sha1::new() };
    t.put(&MAGIC)?;
    let mut at = 0;
    for first in 0..=255u8 {
        while at < entries.len() && entries[at].oid.0[0] <= first {
            at += 1;
        }
        t.put(&(at as u32).to_be_bytes())?;
    }
    for e in entries {
        t.put(&e.oid.0)?;
    }
    for e in entries {
        t.put(&e.crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for e in entries {
        let word = if e.offset < u64::from(LARGE) {
            e.offset as u32
        } else {
            large.push(e.offset);
            LARGE | (large.len() - 1) as u32
        };
        t.put(&word.to_be_bytes())?;
    }
    for offset in large {
        t.put(&offset.to_be_bytes())?;
    }
    t.put(pack)?;
    let sum: [u8; 20] = t.sha.finalize().into();
    t.out.write_all(&sum)?;
    t.out.flush()?;
    Ok(())
}

/// An open index.
pub struct Idx<File: Open> {
    file: File,
    fanout: Box<[u32; 256]>,
}

impl<File: Open> Idx<File> {
    /// Reads header and fan-out; checks them and the file's length.
    pub fn open(file: File) -> Result<Idx<File>> {
        let bad = |what: &str| Error::integrity(Class::Form, format!("index of a pack: {what}"));
        let mut head = vec![0u8; HEADER as usize];
        read_exact(&file, 0, &mut head).map_err(|_| bad("cut short"))?;
        if head[..8] != MAGIC {
            return Err(bad("not version 2"));
        }
        let mut fanout = Box::new([0u32; 256]);
        for (i, b) in head[8..].chunks(4).enumerate() {
            fanout[i] = u32::from_be_bytes(b.try_into().expect("4 bytes"));
        }
        if fanout.windows(2).any(|w| w[0] > w[1]) {
            return Err(bad("its counts fall"));
        }
        if fanout[255] > MOST {
            return Err(Error::integrity(Class::Limit, "index of a pack: it claims more than 50 million objects"));
        }
        let n = u64::from(fanout[255]);
        if file.stat()?.size < HEADER + n * 28 + 40 {
            return Err(bad("cut short"));
        }
        Ok(Idx { file, fanout })
    }

    /// Number of objects.
    pub fn len(&self) -> u32 {
        self.fanout[255]
    }

    /// Where an object begins in the pack.
    pub fn find(&self, oid: &Oid) -> Result<Option<u64>> {
        let first = usize::from(oid.0[0]);
        let (mut lo, mut hi) = (if first == 0 { 0 } else { self.fanout[first - 1] }, self.fanout[first]);
        let mut buffer = [0u8; 20 * 256];
        while lo < hi {
            if hi - lo <= 256 {
                let bytes = &mut buffer[..20 * (hi - lo) as usize];
                read_exact(&self.file, HEADER + 20 * u64::from(lo), bytes)?;
                return match bytes.chunks(20).position(|b| b == oid.0) {
                    Some(i) => Ok(Some(self.offset(lo + i as u32)?)),
                    None => Ok(None),
                };
            }
            let mid = lo + (hi - lo) / 2;
            let mut at = [0u8; 20];
            read_exact(&self.file, HEADER + 20 * u64::from(mid), &mut at)?;
            match at.cmp(&oid.0) {
                std::cmp::Ordering::Equal => return Ok(Some(self.offset(mid)?)),
                std::cmp::Ordering::Less => lo = mid + 1,
                std::cmp::Ordering::Greater => hi = mid,
            }
        }
        Ok(None)
    }

    /// All that it knows, in order of ids.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let count = u64::from(self.len());
        let mut out = Vec::with_capacity(self.len() as usize);
        let mut buffer = [0u8; 20 * 256];
        let mut large = Vec::new();
        for first in (0..self.len()).step_by(256) {
            let n = (self.len() - first).min(256) as usize;
            let oids = &mut buffer[..20 * n];
            read_exact(&self.file, HEADER + 20 * u64::from(first), oids)?;
            for oid in oids.chunks_exact(20) {
                out.push(Entry { oid: Oid(oid.try_into().expect("20 bytes")), crc: 0, offset: 0 });
            }
            let crcs = &mut buffer[..4 * n];
            read_exact(&self.file, HEADER + 20 * count + 4 * u64::from(first), crcs)?;
            for (e, crc) in out[first as usize..].iter_mut().zip(crcs.chunks_exact(4)) {
                e.crc = u32::from_be_bytes(crc.try_into().expect("4 bytes"));
            }
            let words = &mut buffer[..4 * n];
            read_exact(&self.file, HEADER + 24 * count + 4 * u64::from(first), words)?;
            for (i, word) in words.chunks_exact(4).enumerate() {
                match u32::from_be_bytes(word.try_into().expect("4 bytes")) {
                    word if word & LARGE == 0 => out[first as usize + i].offset = u64::from(word),
                    word => large.push((first as usize + i, word)),
                }
            }
        }
        for (i, word) in large {
            out[i].offset = self.large_offset(word)?;
        }
        Ok(out)
    }

    fn offset(&self, n: u32) -> Result<u64> {
        let count = u64::from(self.len());
        let mut b = [0u8; 4];
        read_exact(&self.file, HEADER + 24 * count + 4 * u64::from(n), &mut b)?;
        let word = u32::from_be_bytes(b);
        if word & LARGE == 0 { Ok(u64::from(word)) } else { self.large_offset(word) }
    }

    /// An offset of eight bytes, by the word that stands for it.
    fn large_offset(&self, word: u32) -> Result<u64> {
        let mut b = [0u8; 8];
        read_exact(&self.file, HEADER + 28 * u64::from(self.len()) + 8 * u64::from(word & !LARGE), &mut b)?;
        Ok(u64::from_be_bytes(b))
    }
}

/// Reads exactly `buf.len()` bytes at an offset.
pub fn read_exact<File: Open>(file: &File, offset: u64, buf: &mut [u8]) -> Result<()> {
    match file.read_up_to(offset, buf)? == buf.len() {
        true => Ok(()),
        false => Err(Error::integrity(Class::Form, "a file of the repository ends too early")),
    }
}
