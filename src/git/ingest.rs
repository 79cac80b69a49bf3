//! Taking in a pack from elsewhere, as a stream (gitformat-pack(5)).
//!
//! Bytes are written to a temporary file as they come; whole objects are inflated and hashed on the way, deltas are
//! resolved afterwards from the file, one at a time. Nothing can be read from the store before
//! [`Ingest::finish`]. Every size is checked against the format's limits before anything is inflated.
//!
//! Memory: 32 bytes an object, about 60 more for each delta, and one base with its delta and result.

mod resolve;

use super::entry::{Base, EntryHead, LONGEST, parse_head};
use super::idx::{self, Entry};
use super::pack_write::{checksum, pack_header};
use super::store::{Store, Temporary};
use super::{Type, delta, object, zlib};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::id::Oid;
use flate2::{Decompress, FlushDecompress, Status};
use sha1::{Digest, Sha1};
use std::io::{self, Write};

/// A pack that is being taken in. Of a value that is dropped before `finish`, or that was refused, nothing is left.
pub struct Ingest<F: Files> {
    store: Store<F>,
    pack: Temporary<F>,
    state: Stage,
    /// Bytes of the pack so far, without the trailer.
    len: u64,
    sha: Sha1,
    declared: u32,
    /// The pack's objects in its order, so by offset too; of deltas without an id at first.
    items: Vec<Entry>,
    /// What the deltas among them build on, by number of the object.
    deltas: Vec<(u32, Base)>,
    pending: Vec<u8>,
    /// What is not in the file yet; empty once the pack is whole.
    buffer: Vec<u8>,
    failed: bool,
}

enum Stage {
    /// The 12 bytes of the pack's header.
    Header,
    /// The head of an entry.
    Head,
    /// A zlib stream.
    Body(Box<Body>),
    /// The 20 bytes of the trailer.
    Trailer,
    /// Nothing more may come.
    Done,
}

struct Body {
    z: Decompress,
    size: u64,
    got: u64,
    crc: crc32fast::Hasher,
    hasher: Option<object::Hasher>,
    offset: u64,
    base: Base,
    /// The first bytes of a delta: they say how long its result is.
    start: Vec<u8>,
}

/// What was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Objects in the pack.
    pub objects: u32,
    /// Bytes received.
    pub bytes: u64,
}

/// Bytes that are written at a time.
const BUFFER: usize = 64 * 1024;

fn bad(what: &str) -> Error {
    Error::integrity(Class::Form, format!("the pack that was sent: {what}"))
}

impl<F: Files> Ingest<F> {
    pub(super) fn new(store: Store<F>, pack: Temporary<F>) -> Self {
        Ingest {
            store,
            pack,
            state: Stage::Header,
            len: 0,
            sha: Sha1::new(),
            declared: 0,
            items: Vec::new(),
            deltas: Vec::new(),
            pending: Vec::new(),
            buffer: Vec::new(),
            failed: false,
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<()> {
        let mut rest = data;
        // What was kept of an unfinished head or trailer comes first.
        let joined;
        if !self.pending.is_empty() {
            let mut p = std::mem::take(&mut self.pending);
            p.extend_from_slice(rest);
            joined = p;
            rest = &joined;
        }
        loop {
            match &mut self.state {
                Stage::Header => {
                    if rest.len() < 12 {
                        break;
                    }
                    let (h, tail) = rest.split_at(12);
                    if h[..8] != *b"PACK\0\0\0\x02" {
                        return Err(bad("it is no pack of version 2"));
                    }
                    self.declared = u32::from_be_bytes(h[8..].try_into().expect("4 bytes"));
                    if self.declared > idx::MOST {
                        return Err(Error::integrity(Class::Limit, "the pack that was sent claims more than 50 million objects"));
                    }
                    self.keep(h)?;
                    rest = tail;
                    self.state = if self.declared == 0 { Stage::Trailer } else { Stage::Head };
                }
                Stage::Head => match parse_head(rest).map_err(bad)? {
                    None => break,
                    Some(EntryHead { used, kind, size, base }) => {
                        let offset = self.len;
                        if let Base::Ofs(back) = base
                            && (back == 0 || back > offset || offset - back < 12)
                        {
                            return Err(bad("a delta whose base lies outside"));
                        }
                        let limit = kind.map_or(super::limit::TREE, Type::limit);
                        if kind == Some(Type::Tag) {
                            return Err(bad("a tag, which no vault has"));
                        }
                        if size > limit {
                            return Err(Error::integrity(
                                Class::Limit,
                                format!("the pack that was sent: an object of {size} bytes, more than the format allows"),
                            ));
                        }
                        let (head, tail) = rest.split_at(used);
                        let mut crc = crc32fast::Hasher::new();
                        crc.update(head);
                        self.keep(head)?;
                        rest = tail;
                        self.state = Stage::Body(Box::new(Body {
                            z: Decompress::new(true),
                            size,
                            got: 0,
                            crc,
                            hasher: kind.map(|k| object::Hasher::new(k, size)),
                            offset,
                            base: match base {
                                Base::Ofs(back) => Base::Ofs(offset - back),
                                b => b,
                            },
                            start: Vec::new(),
                        }));
                    }
                },
                Stage::Body(body) => {
                    let mut buffer = [0u8; 16 * 1024];
                    let (i, o) = (body.z.total_in(), body.z.total_out());
                    let status = body.z.decompress(rest, &mut buffer, FlushDecompress::None).map_err(|_| bad("a damaged zlib stream"))?;
                    let used = (body.z.total_in() - i) as usize;
                    let got = (body.z.total_out() - o) as usize;
                    body.got += got as u64;
                    if body.got > body.size {
                        return Err(Error::integrity(Class::Limit, "the pack that was sent: an object longer than it says"));
                    }
                    match &mut body.hasher {
                        Some(h) => h.update(&buffer[..got]),
                        None if body.start.len() < 20 => body.start.extend(&buffer[..got.min(20)]),
                        None => {}
                    }
                    body.crc.update(&rest[..used]);
                    let (bytes, tail) = rest.split_at(used);
                    let end = status == Status::StreamEnd;
                    let stuck = used == 0 && got == 0;
                    self.keep(bytes)?;
                    rest = tail;
                    if end {
                        let Stage::Body(body) = std::mem::replace(&mut self.state, Stage::Head) else {
                            return Err(bad("a damaged zlib stream"));
                        };
                        self.end_of_entry(*body)?;
                    } else if rest.is_empty() && stuck {
                        break;
                    } else if stuck {
                        return Err(bad("a damaged zlib stream"));
                    }
                    if rest.is_empty() && !end && got < buffer.len() {
                        break;
                    }
                }
                Stage::Trailer => {
                    if rest.len() < 20 {
                        break;
                    }
                    let (sum, tail) = rest.split_at(20);
                    let right: [u8; 20] = self.sha.clone().finalize().into();
                    if *sum != right {
                        return Err(bad("its checksum is wrong"));
                    }
                    self.write_out()?;
                    self.buffer = Vec::new();
                    self.state = Stage::Done;
                    rest = tail;
                }
                Stage::Done if rest.is_empty() => break,
                Stage::Done => return Err(bad("bytes behind its end")),
            }
            if rest.is_empty() && !matches!(self.state, Stage::Body(_)) {
                break;
            }
        }
        if !rest.is_empty() {
            self.pending = rest.to_vec();
        }
        Ok(())
    }

    fn end_of_entry(&mut self, body: Body) -> Result<()> {
        if body.got != body.size {
            return Err(bad("an object shorter than it says"));
        }
        if body.hasher.is_none() && delta::result_size(&body.start)? > super::limit::TREE {
            return Err(Error::integrity(Class::Limit, "the pack that was sent: a delta with a result larger than the format allows"));
        }
        if !matches!(body.base, Base::None) {
            self.deltas.push((self.items.len() as u32, body.base));
        }
        let oid = body.hasher.map_or(Oid::ZERO, object::Hasher::finish);
        self.items.push(Entry { oid, crc: body.crc.finalize(), offset: body.offset });
        self.state = if self.items.len() as u32 == self.declared { Stage::Trailer } else { Stage::Head };
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<()> {
        self.sha.update(bytes);
        self.len += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<()> {
        self.pack.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Resolves all deltas, checks that nothing is missing, makes the pack durable and readable.
    pub fn finish(mut self) -> Result<Ingested> {
        if self.failed {
            return Err(bad("damaged"));
        }
        if matches!(self.state, Stage::Header) && self.len == 0 && self.pending.is_empty() {
            // An empty answer: nothing was sent.
            return Ok(Ingested { objects: 0, bytes: 0 });
        }
        if !matches!(self.state, Stage::Done) {
            return Err(bad("it ends too early"));
        }
        let bytes = self.len + 20;
        if self.items.is_empty() {
            return Ok(Ingested { objects: 0, bytes });
        }
        self.resolve()?;
        let mut entries = std::mem::take(&mut self.items);
        entries.sort_unstable_by_key(|e| e.oid);
        if entries.windows(2).any(|w| w[0].oid == w[1].oid) {
            return Err(bad("one object twice"));
        }
        let objects = entries.len() as u32;
        let trailer = match objects == self.declared {
            true => self.sha.clone().finalize().into(), // As it came, and verified.
            false => {
                self.pack.file.write_at(0, &pack_header(objects))?;
                checksum(&self.pack.file, self.len)?
            }
        };
        self.pack.file.write_at(self.len, &trailer)?;
        self.pack.file.sync()?;
        self.pack.install(&trailer, &entries)?;
        Ok(Ingested { objects, bytes })
    }

    /// The bytes of one entry: an object with its type, or a delta.
    fn read_entry(&self, offset: u64) -> Result<(Option<Type>, Vec<u8>)> {
        let mut head = [0u8; LONGEST];
        let have = self.pack.file.read_up_to(offset, &mut head)?;
        let EntryHead { used, kind, size, .. } = parse_head(&head[..have]).map_err(bad)?.ok_or_else(|| bad("cut short"))?;
        let mut at = offset + used as u64;
        let mut out = Vec::new();
        zlib::inflate(size as usize, size as usize, &mut out, |input| {
            input.resize(16 * 1024, 0);
            let n = self.pack.file.read_at(at, input)?;
            input.truncate(n);
            at += n as u64;
            Ok(())
        })?;
        Ok((kind, out))
    }
}

impl<F: Files> Write for Ingest<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(bad("damaged").into());
        }
        match self.take(data) {
            Ok(()) => Ok(data.len()),
            Err(e) => {
                self.failed = true;
                Err(e.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
