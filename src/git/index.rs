//! The index of a work tree (gitformat-index(5)): written as version 4, read as 2, 3 or 4, both as streams.

use super::store::{Store, create_anew};
use crate::clock::Time;
use crate::error::{Class, Error, Kind, Result};
use crate::files::{Files, Open, Stat};
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::io::{BufReader, ErrorKind, Read, Write};

/// What the index keeps of a file's `lstat`, cut to 32 bits as git does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cached {
    /// Change time.
    pub ctime: (u32, u32),
    /// Modification time.
    pub mtime: (u32, u32),
    /// Inode number.
    pub ino: u32,
    /// Size.
    pub size: u32,
}

impl Cached {
    /// Of an `lstat`.
    pub fn of(s: &Stat) -> Cached {
        let time = |t: Time| (t.s as u32, t.ns);
        Cached { ctime: time(s.ctime), mtime: time(s.mtime), ino: s.ino as u32, size: s.size as u32 }
    }
}

/// One entry: a regular file of mode 100644.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// Path from the work tree's root.
    pub path: Vec<u8>,
    /// Its `lstat` when it was last known to hold this object.
    pub stat: Cached,
    /// The object.
    pub oid: Oid,
}

const NAME: &[u8] = b"index";
const TEMPORARY: &[u8] = b"index.sharelock-tmp";
const LOCK: &[u8] = b"index.lock";

/// Writes a new index; entries must come in order of paths.
pub struct Writer<F: Files> {
    store: Store<F>,
    file: F::File,
    sha: Sha1,
    buffer: Vec<u8>,
    last: Vec<u8>,
    count: u32,
    /// The cache-tree extension as far as it goes, for it stands behind all entries.
    trees: Vec<u8>,
}

impl<F: Files> Writer<F> {
    /// Begins an index of `count` entries.
    pub fn new(store: &Store<F>, count: u32) -> Result<Writer<F>> {
        let (files, dir) = (&store.files, &store.dir);
        let file = create_anew(files, dir, TEMPORARY)?;
        let mut buffer = b"DIRC\0\0\0\x04".to_vec();
        buffer.extend_from_slice(&count.to_be_bytes());
        Ok(Writer { store: store.clone(), file, sha: Sha1::new(), buffer, last: Vec::new(), count, trees: Vec::new() })
    }

    /// Adds an entry.
    pub fn add(&mut self, e: &Entry) -> Result<()> {
        self.count = self.count.checked_sub(1).ok_or_else(|| Error::failed("more entries than the index was begun for"))?;
        let b = &mut self.buffer;
        for v in [e.stat.ctime.0, e.stat.ctime.1, e.stat.mtime.0, e.stat.mtime.1, 0, e.stat.ino, 0o100_644, 0, 0, e.stat.size] {
            b.extend_from_slice(&v.to_be_bytes());
        }
        b.extend_from_slice(&e.oid.0);
        b.extend_from_slice(&(e.path.len().min(0xfff) as u16).to_be_bytes());
        let shared = self.last.iter().zip(&e.path).take_while(|(a, b)| a == b).count();
        offset_varint(self.last.len() - shared, b);
        b.extend_from_slice(&e.path[shared..]);
        b.push(0);
        self.last.clear();
        self.last.extend_from_slice(&e.path);
        if self.buffer.len() >= 64 * 1024 {
            self.put()?;
        }
        Ok(())
    }

    /// Adds a cache-tree record, so that a stock `git commit` need not write all trees anew. Records come in pre-order,
    /// the root's first with an empty path.
    pub fn tree(&mut self, component: &[u8], entries: u32, subtrees: u32, oid: Oid) {
        self.trees.extend_from_slice(component);
        self.trees.extend_from_slice(format!("\0{entries} {subtrees}\n").as_bytes());
        self.trees.extend_from_slice(&oid.0);
    }

    fn put(&mut self) -> Result<()> {
        self.sha.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the index and puts it in place, under git's lock.
    pub fn finish(mut self) -> Result<()> {
        if self.count != 0 {
            return Err(Error::failed("fewer entries than the index was begun for"));
        }
        if !self.trees.is_empty() {
            self.buffer.extend_from_slice(b"TREE");
            self.buffer.extend_from_slice(&(self.trees.len() as u32).to_be_bytes());
            self.put()?;
            self.buffer = std::mem::take(&mut self.trees);
        }
        self.put()?;
        let sum: [u8; 20] = self.sha.finalize().into();
        self.file.write_all(&sum)?;
        self.file.sync()?;
        let (files, dir) = (&self.store.files, &self.store.dir);
        let put = self.store.locked(dir, LOCK, || Ok(files.rename(dir, TEMPORARY, dir, NAME)?));
        put.map_err(|e| match e.kind() {
            Kind::Raced => e.detail("another git is at work in ~/secure"),
            _ => e,
        })?;
        Ok(files.sync_dir(dir)?)
    }
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

/// Reads an index entry by entry.
pub struct Reader<File: Open> {
    input: BufReader<File>,
    version: u32,
    left: u32,
    path: Vec<u8>,
    /// When the index itself was written: entries not older than this are to be looked at (git's 'racy' entries).
    pub written: Time,
}

fn bad(what: &str) -> Error {
    Error::integrity(Class::Form, format!(".git/index: {what}"))
}

impl<F: Files> Store<F> {
    /// Opens the index; `None` if there is none.
    pub fn index(&self) -> Result<Option<Reader<F::File>>> {
        let file = match self.files.open(&self.dir, NAME) {
            Ok(f) => f,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        Reader::new(file).map(Some)
    }
}

impl<File: Open> Reader<File> {
    fn new(file: File) -> Result<Self> {
        let written = file.stat()?.mtime;
        let mut input = BufReader::with_capacity(32 * 1024, file);
        let mut head = [0u8; 12];
        input.read_exact(&mut head).map_err(|_| bad("cut short"))?;
        let word = |i: usize| u32::from_be_bytes(head[i..i + 4].try_into().expect("4 bytes"));
        if &head[..4] != b"DIRC" || !(2..=4).contains(&word(4)) {
            return Err(bad("not of version 2 to 4"));
        }
        Ok(Reader { input, version: word(4), left: word(8), path: Vec::new(), written })
    }

    /// The next entry into `into`; `false` at the end. Entries of another mode than a regular file come with an oid of
    /// zeros.
    pub fn next(&mut self, into: &mut Entry) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let short = |_| bad("cut short");
        let mut fixed = [0u8; 62];
        self.input.read_exact(&mut fixed).map_err(short)?;
        let word = |i: usize| u32::from_be_bytes(fixed[4 * i..4 * i + 4].try_into().expect("4 bytes"));
        into.stat = Cached { ctime: (word(0), word(1)), mtime: (word(2), word(3)), ino: word(5), size: word(9) };
        into.oid = Oid(fixed[40..60].try_into().expect("20 bytes"));
        if word(6) != 0o100_644 {
            into.oid = Oid::ZERO;
        }
        let flags = u16::from_be_bytes([fixed[60], fixed[61]]);
        let mut len = 62;
        if flags & 0x4000 != 0 {
            self.input.read_exact(&mut [0u8; 2]).map_err(short)?;
            len += 2;
        }
        if self.version == 4 {
            let mut b = [0u8; 1];
            self.input.read_exact(&mut b).map_err(short)?;
            let mut strip = usize::from(b[0] & 0x7f);
            while b[0] & 0x80 != 0 {
                self.input.read_exact(&mut b).map_err(short)?;
                strip = strip.checked_add(1).and_then(|s| s.checked_mul(128)).ok_or_else(|| bad("a path"))? | usize::from(b[0] & 0x7f);
            }
            let keep = self.path.len().checked_sub(strip).ok_or_else(|| bad("a path"))?;
            self.path.truncate(keep);
        } else {
            self.path.clear();
        }
        let begin = self.path.len();
        loop {
            let mut b = [0u8; 1];
            self.input.read_exact(&mut b).map_err(short)?;
            if b[0] == 0 {
                break;
            }
            self.path.push(b[0]);
            if self.path.len() > 1 << 20 {
                return Err(bad("a path"));
            }
        }
        if self.version != 4 {
            // Padded with NULs to a multiple of eight.
            let have = len + (self.path.len() - begin) + 1;
            let mut pad = [0u8; 8];
            self.input.read_exact(&mut pad[..have.next_multiple_of(8) - have]).map_err(short)?;
        }
        into.path.clear();
        into.path.extend_from_slice(&self.path);
        Ok(true)
    }
}
