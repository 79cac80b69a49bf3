//! Writing packs (gitformat-pack(5), version 2): entries as stored zlib streams, no deltas.

use super::idx::{self, Entry};
use super::store::Store;
use super::{Type, object, zlib};
use crate::error::Result;
use crate::files::{Files, Open};
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::io::Write;

/// The 12 bytes that a pack begins with.
pub(super) fn pack_header(objects: u32) -> [u8; 12] {
    let mut h = *b"PACK\0\0\0\x02\0\0\0\0";
    h[8..].copy_from_slice(&objects.to_be_bytes());
    h
}

/// Appends an entry: type and size, then the stored stream.
pub(super) fn encode(kind: Type, content: &[u8], out: &mut Vec<u8>) {
    let mut size = content.len() as u64;
    let mut byte = kind.to_pack() << 4 | (size & 0xf) as u8;
    size >>= 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
    zlib::store(content, out);
}

/// Writes one pack. Its objects can be read only after [`PackWriter::finish`]; a writer that is dropped before leaves
/// a temporary file, which [`Store::open`] removes. Memory: about 40 bytes an object.
pub struct PackWriter<F: Files> {
    store: Store<F>,
    temporary: String,
    file: F::File,
    entries: HashMap<Oid, (u32, u64)>,
    len: u64,
    buffer: Vec<u8>,
}

impl<F: Files> PackWriter<F> {
    pub(super) fn new(store: Store<F>, temporary: String, mut file: F::File) -> Result<Self> {
        file.write_all(&pack_header(0))?;
        Ok(PackWriter { store, temporary, file, entries: HashMap::new(), len: 12, buffer: Vec::new() })
    }

    /// Adds an object; one that the pack has already is not written twice.
    pub fn add(&mut self, kind: Type, content: &[u8]) -> Result<Oid> {
        let oid = object::id(kind, content);
        self.add_as(kind, &oid, content)?;
        Ok(oid)
    }

    /// Adds an object whose id the caller has computed.
    pub fn add_as(&mut self, kind: Type, oid: &Oid, content: &[u8]) -> Result<()> {
        if self.entries.contains_key(oid) {
            return Ok(());
        }
        let begin = self.buffer.len();
        encode(kind, content, &mut self.buffer);
        let entry = &self.buffer[begin..];
        self.entries.insert(*oid, (crc32fast::hash(entry), self.len));
        self.len += entry.len() as u64;
        if self.buffer.len() >= 128 * 1024 {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// True if the pack under way has the object.
    pub fn has(&self, oid: &Oid) -> bool {
        self.entries.contains_key(oid)
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True before the first object.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Objects so far.
    pub fn objects(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Completes, syncs and installs the pack: after it, everything in it is durable and readable.
    pub fn finish(mut self) -> Result<()> {
        if self.entries.is_empty() {
            return self.store.discard(&self.temporary);
        }
        self.file.write_all(&self.buffer)?;
        self.file.write_at(0, &pack_header(self.entries.len() as u32))?;
        let trailer = checksum(&self.file, self.len)?;
        self.file.write_at(self.len, &trailer)?;
        let mut entries: Vec<Entry> = self.entries.drain().map(|(oid, (crc, offset))| Entry { oid, crc, offset }).collect();
        entries.sort_unstable_by_key(|e| e.oid);
        self.file.sync()?;
        self.store.install(&self.temporary, &trailer, &entries)
    }
}

/// SHA-1 over the first `len` bytes of a file.
pub(super) fn checksum<File: Open>(file: &File, len: u64) -> Result<[u8; 20]> {
    let mut sha = Sha1::new();
    let mut buffer = vec![0u8; 64 * 1024];
    let mut at = 0;
    while at < len {
        let want = (len - at).min(buffer.len() as u64) as usize;
        idx::read_exact(file, at, &mut buffer[..want])?;
        sha.update(&buffer[..want]);
        at += want as u64;
    }
    Ok(sha.finalize().into())
}
