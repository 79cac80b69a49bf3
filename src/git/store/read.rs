//! Reading objects: whole, their first bytes, or type and size alone; deltas are followed within their pack.

use super::loose::start as loose_start;
use super::{Pack, Store};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::git::entry::{Base, LONGEST, parse_head};
use crate::git::{Type, delta, idx, object, zlib};
use crate::id::Oid;

/// Longest chain of deltas that is followed; git writes at most 50 (`pack.depth`), 4095 by option.
pub(in crate::git) const CHAIN: usize = 4096;

/// Bytes of deltas that are held for one object at most.
const CHAIN_BYTES: u64 = 4 * crate::git::limit::TREE;

/// The start of an entry in a pack.
#[derive(Clone, Copy)]
pub(in crate::git) enum Head {
    /// An object as it is.
    Whole(Type),
    /// A delta; where its base begins.
    Ofs(u64),
    /// A delta; its base.
    Ref(Oid),
}

impl<F: Files> Store<F> {
    /// Type and size, if the repository has the object.
    pub fn header(&self, oid: &Oid) -> Result<Option<(Type, u64)>> {
        if let Some((pack, offset)) = self.find(oid)? {
            let mut at = offset;
            let mut size = None;
            for _ in 0..CHAIN {
                let (head, len, body) = entry_head(&pack, at)?;
                match head {
                    Head::Whole(kind) => return Ok(Some((kind, size.unwrap_or(len)))),
                    _ if size.is_none() => {
                        let mut start = Vec::new();
                        inflate_at(&pack, body, len, len.min(32) as usize, &mut start)?;
                        size = Some(delta::result_size(&start)?);
                    }
                    _ => {}
                }
                at = match head {
                    Head::Ofs(back) => back,
                    Head::Ref(base) => base_in(&pack, &base, at)?,
                    Head::Whole(_) => at,
                };
            }
            return Err(Error::integrity(Class::Form, "a chain of deltas without an end"));
        }
        let Some(file) = self.loose(oid)? else { return Ok(None) };
        let (kind, size, _) = loose_start(file, 0)?;
        Ok(Some((kind, size)))
    }

    /// Reads an object of this type and at most `limit` bytes.
    ///
    /// Errors: `absent` if it is not there, `form` if it is of another type or damaged, `limit`.
    pub fn read(&self, oid: &Oid, kind: Type, limit: u64) -> Result<Vec<u8>> {
        let (found, content) = self.read_any(oid, limit)?;
        if found != kind {
            return Err(Error::integrity(Class::Form, format!("git object {oid} is a {}, not a {}", found.name(), kind.name())));
        }
        Ok(content)
    }

    /// Reads an object of any type and at most `limit` bytes. Its id is computed anew and compared, so a damaged disk
    /// is noticed here.
    pub fn read_any(&self, oid: &Oid, limit: u64) -> Result<(Type, Vec<u8>)> {
        let (kind, content) = self.read_unchecked(oid, limit)?;
        if object::id(kind, &content) != *oid {
            return Err(Error::integrity(Class::Auth, format!("git object {oid} is damaged on this disk")));
        }
        Ok((kind, content))
    }

    fn read_unchecked(&self, oid: &Oid, limit: u64) -> Result<(Type, Vec<u8>)> {
        let Some((pack, offset)) = self.find(oid)? else {
            let file = self.loose(oid)?.ok_or_else(|| Error::integrity(Class::Absent, format!("git object {oid} is missing")))?;
            let (kind, size, content) = loose_start(file, limit)?;
            if size > limit {
                return Err(too_long(oid, size));
            }
            return Ok((kind, content));
        };
        let mut deltas: Vec<Vec<u8>> = Vec::new();
        let (mut at, mut held) = (offset, 0);
        let (kind, mut content) = loop {
            if deltas.len() > CHAIN {
                return Err(Error::integrity(Class::Form, "a chain of deltas without an end"));
            }
            let (head, len, body) = entry_head(&pack, at)?;
            if len > limit.max(crate::git::limit::BLOB) {
                return Err(too_long(oid, len));
            }
            let mut bytes = Vec::new();
            inflate_at(&pack, body, len, len as usize, &mut bytes)?;
            match head {
                Head::Whole(kind) => break (kind, bytes),
                Head::Ofs(base) => at = base,
                Head::Ref(base) => at = base_in(&pack, &base, at)?,
            }
            held += len;
            if held > CHAIN_BYTES {
                return Err(too_long(oid, held));
            }
            deltas.push(bytes);
        };
        while let Some(d) = deltas.pop() {
            content = delta::apply(&content, &d, limit)?;
        }
        if content.len() as u64 > limit {
            return Err(too_long(oid, content.len() as u64));
        }
        Ok((kind, content))
    }

    /// The first `n` bytes of a blob and its whole length; reads no more than it must. The id is not checked: what is
    /// read so far is sealed and verified by who asks.
    pub fn read_start(&self, oid: &Oid, n: usize) -> Result<(Vec<u8>, u64)> {
        if let Some((pack, offset)) = self.find(oid)? {
            let (head, len, body) = entry_head(&pack, offset)?;
            if let Head::Whole(Type::Blob) = head {
                let mut out = Vec::new();
                inflate_at(&pack, body, len, usize::try_from(len).unwrap_or(usize::MAX).min(n), &mut out)?;
                out.truncate(n);
                return Ok((out, len));
            }
        }
        let mut content = self.read(oid, Type::Blob, crate::git::limit::BLOB)?;
        let len = content.len() as u64;
        content.truncate(n);
        Ok((content, len))
    }
}

fn too_long(oid: &Oid, size: u64) -> Error {
    Error::integrity(Class::Limit, format!("git object {oid} has {size} bytes, more than the format allows"))
}

/// Where a delta's base stands. A pack that is complete holds all bases of its deltas; so no chain leads through several.
fn base_in<F: Files>(pack: &Pack<F>, base: &Oid, delta: u64) -> Result<u64> {
    pack.idx.find(base)?.ok_or_else(|| damaged(&pack.name, delta))
}

pub(in crate::git) fn damaged(pack: &str, offset: u64) -> Error {
    Error::integrity(Class::Form, format!("{pack}.pack: damaged at byte {offset}"))
}

/// Reads an entry's head: what it is, the length that it inflates to, and where its stream begins.
pub(in crate::git) fn entry_head<F: Files>(pack: &Pack<F>, offset: u64) -> Result<(Head, u64, u64)> {
    let bad = || damaged(&pack.name, offset);
    let mut b = [0u8; LONGEST];
    let have = pack.file.read_up_to(offset, &mut b)?;
    let head = parse_head(&b[..have]).ok().flatten().ok_or_else(bad)?;
    let what = match (head.kind, head.base) {
        (Some(kind), _) => Head::Whole(kind),
        (None, Base::Ref(oid)) => Head::Ref(oid),
        (None, Base::Ofs(back)) => Head::Ofs(offset.checked_sub(back).filter(|o| *o >= 12 && back > 0).ok_or_else(bad)?),
        (None, Base::None) => return Err(bad()),
    };
    Ok((what, head.size, offset + head.used as u64))
}

/// Inflates the stream at `body` that gives `len` bytes, as far as `want`.
fn inflate_at<F: Files>(pack: &Pack<F>, body: u64, len: u64, want: usize, out: &mut Vec<u8>) -> Result<()> {
    if len > crate::git::limit::TREE {
        return Err(Error::integrity(Class::Limit, "git object: longer than any that the format allows"));
    }
    // Our own packs: one read, no inflating. In a pack of git's, what was read is the start of what is inflated.
    let mut at = body;
    let mut first = None;
    let stored = zlib::stored_len(len);
    if want as u64 == len && body + stored + 20 <= pack.size {
        let mut raw = vec![0u8; stored as usize];
        idx::read_exact(&pack.file, body, &mut raw)?;
        if zlib::unstore(&mut raw, len as usize) {
            *out = raw;
            return Ok(());
        }
        at += stored;
        first = Some(raw);
    }
    zlib::inflate(len as usize, want, out, |input| {
        if let Some(raw) = first.take() {
            *input = raw;
            return Ok(());
        }
        let size = want.clamp(512, 16 * 1024);
        input.resize(size, 0);
        let n = pack.file.read_at(at, input)?;
        input.truncate(n);
        at += n as u64;
        Ok(())
    })
}
