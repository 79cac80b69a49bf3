//! Writing packs (gitformat-pack(5), version 2): entries as stored zlib streams, no deltas.

use super::idx::{self, Entry};
use super::oids::Oids;
use super::store::Temporary;
use super::{Type, object, zlib};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::io::Write;

/// The 12 bytes that a pack begins with.
pub(super) fn pack_header(objects: u32) -> [u8; 12] {
    let mut h = *b"PACK\0\0\0\x02\0\0\0\0";
    h[8..].copy_from_slice(&objects.to_be_bytes());
    h
}

/// Number of a delta whose base is named by id.
pub(super) const REF_DELTA: u8 = 7;

/// Writes an entry in pieces: type and size, then the stored stream.
pub(super) fn encode(kind: Type, content: &[u8], put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut head = Vec::new();
    head_of(kind.to_pack(), content.len() as u64, &mut head);
    put(&head)?;
    zlib::store(content, put)
}

/// Appends type and size.
pub(super) fn head_of(kind: u8, mut size: u64, out: &mut Vec<u8>) {
    let mut byte = kind << 4 | (size & 0xf) as u8;
    size >>= 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
}

/// Writes one pack. Its objects can be read only after [`PackWriter::finish`]; of a writer that is dropped before,
/// nothing is left. Memory: about 40 bytes an object.
pub struct PackWriter<F: Files> {
    pack: Temporary<F>,
    entries: Oids<Entry>,
    len: u64,
    buffer: Vec<u8>,
}

impl<F: Files> PackWriter<F> {
    pub(super) fn new(mut pack: Temporary<F>) -> Result<Self> {
        pack.file.write_all(&pack_header(0))?;
        Ok(PackWriter { pack, entries: Oids::default(), len: 12, buffer: Vec::new() })
    }

    /// Adds an object; one that the pack has already is not written twice.
    pub fn add(&mut self, kind: Type, content: &[u8]) -> Result<Oid> {
        let oid = object::id(kind, content);
        self.add_as(kind, &oid, content)?;
        Ok(oid)
    }

    /// Adds an object whose id the caller has computed.
    pub fn add_as(&mut self, kind: Type, oid: &Oid, content: &[u8]) -> Result<()> {
        if self.entries.contains(oid) {
            return Ok(());
        }
        let (begin, mut crc) = (self.len, crc32fast::Hasher::new());
        encode(kind, content, &mut |piece| {
            crc.update(piece);
            self.put(piece)
        })?;
        self.entries.insert(Entry { oid: *oid, crc: crc.finalize(), offset: begin });
        Ok(())
    }

    /// Copies an entry from another pack under a new head. Its stream, from `body` to `end`, is not inflated: the CRC-32
    /// of the old entry must be what the index says. The caller sees to it that a delta's base is in this pack.
    pub(super) fn copy(&mut self, e: &Entry, head: &[u8], from: &F::File, body: u64, end: u64) -> Result<()> {
        let mut old = crc32fast::Hasher::new();
        let mut crc = crc32fast::Hasher::new();
        crc.update(head);
        let begin = self.len;
        self.put(head)?;
        let mut at = e.offset;
        let mut chunk = [0u8; 16 * 1024];
        while at < end {
            // First the old head alone, then the stream.
            let until = if at < body { body } else { end };
            let chunk = &mut chunk[..(until - at).min(16 * 1024) as usize];
            idx::read_exact(from, at, chunk)?;
            old.update(chunk);
            if at >= body {
                crc.update(chunk);
                self.put(chunk)?;
            }
            at += chunk.len() as u64;
        }
        if old.finalize() != e.crc {
            return Err(Error::integrity(Class::Auth, format!("git object {} is damaged on this disk", e.oid)));
        }
        self.entries.insert(Entry { oid: e.oid, crc: crc.finalize(), offset: begin });
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= 128 * 1024 {
            self.pack.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// True if the pack under way has the object.
    pub fn has(&self, oid: &Oid) -> bool {
        self.entries.contains(oid)
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True before the first object.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Objects so far.
    pub fn objects(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Completes, syncs and installs the pack: after it, everything in it is durable and readable. Gives the pack's
    /// name, without suffix; `None` for an empty one, which is not kept.
    pub fn finish(mut self) -> Result<Option<String>> {
        if self.is_empty() {
            return Ok(None);
        }
        let file = &mut self.pack.file;
        file.write_all(&self.buffer)?;
        self.buffer = Vec::new();
        file.write_at(0, &pack_header(self.entries.len() as u32))?;
        let trailer = checksum(file, self.len)?;
        file.write_at(self.len, &trailer)?;
        let mut entries = self.entries.into_list();
        entries.sort_unstable_by_key(|e| e.oid);
        file.sync()?;
        self.pack.install(&trailer, &entries).map(Some)
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
