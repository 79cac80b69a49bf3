//! Large files: a directory of parts (FORMAT 6, kind 3).
//!
//! `head`: `hdr(H) | file head 160 | L`; segments `00`..`ff`: `hdr(S) | chunks | tags`; for each further 256 segments a
//! directory `g0001`.. with an index `x`: `hdr(X) | M_s of its segments`, and segments `00`..`ff`. L lists the M_s of
//! segments 0 to 255, then one MAC for each group.
//!
//! Any chunk can be read or written anew without the others, which a mounted folder will do (`sharelock mount`, an issue of
//! its own): [`Reader::read_at`] verifies head, at most one index, one
//! tag table and the chunks it gives out; [`Reader::rewrite`] makes the parts that change.

mod writer;

use super::chunk;
use super::head::{FileHead, HeadKind, SEALED};
use super::header::{self, HEADER};
use super::keys::{FileKeys, VaultKeys};
use super::pad::{self, CHUNK, TAG};
pub use super::part::Part;
use super::part::{GROUP, MAC, Shape};
use super::small::{self, check_padding, segment_mac};
use crate::error::{Class, Error, Result};
use crate::id::Id;
use std::cell::RefCell;
use std::io::Read;
use subtle::ConstantTimeEq;
pub use writer::{Sealer, Writer};
use writer::{head_object, seal_segment};

/// Where L begins in `head`.
const LIST: usize = HEADER + SEALED;

fn list_mac(keys: &FileKeys, epoch: u16, segments: u64, list: &[u8]) -> [u8; 32] {
    keys.list.of(&[&header::bytes(header::Type::Head, epoch), &segments.to_be_bytes(), list])
}

fn group_mac(keys: &FileKeys, epoch: u16, g: u64, list: &[u8]) -> [u8; 32] {
    keys.list.of(&[&header::bytes(header::Type::Index, epoch), &g.to_be_bytes(), list])
}

/// Where the parts of one large file come from.
pub trait Parts {
    /// The whole object of a part, at most `limit` bytes; `None` if it is not there.
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>>;
    /// Bytes `[offset, offset + len)` of a part, or fewer at its end; `None` if it is not there.
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>>;
    /// Length of a part; `None` if it is not there.
    fn len(&self, part: Part) -> Result<Option<u64>>;
}

fn absent(part: Part) -> Error {
    let (dir, name) = part.path();
    Error::integrity(Class::Absent, format!("file: its part {}{name} is missing", dir.map_or(String::new(), |d| d + "/")))
}

/// Reads a large file, any part of it, each byte verified.
pub struct Reader<'k, P: Parts> {
    keys: &'k VaultKeys,
    file: FileKeys,
    head: FileHead,
    shape: Shape,
    list: Vec<u8>,
    /// The group whose index was read last, and its verified list: segments are mostly read in order.
    last: RefCell<Option<(u64, Vec<u8>)>>,
    parts: P,
}

impl<'k, P: Parts> Reader<'k, P> {
    /// Opens and verifies the head and its list.
    pub fn open(keys: &'k VaultKeys, id: &Id, parts: P) -> Result<Self> {
        let object = parts.part(Part::Head, crate::crypt::HEAD_LIMIT)?.ok_or_else(|| absent(Part::Head))?;
        let head = read_head(keys, id, &object, object.len() as u64)?;
        let shape = Shape::of(&head)?;
        let file = keys.file(id);
        let list = object[LIST..].to_vec();
        let mac = list_mac(&file, head.epoch, shape.segments, &list);
        if !bool::from(mac.ct_eq(&head.mac)) {
            return Err(Error::integrity(Class::Auth, "file: its list of segments is not the one that its head names"));
        }
        Ok(Reader { keys, file, head, shape, list, last: RefCell::new(None), parts })
    }

    /// The head.
    pub fn head(&self) -> &FileHead {
        &self.head
    }

    /// How many segments there are.
    pub fn segments(&self) -> u64 {
        self.shape.segments
    }

    /// The verified list of a group's segment MACs, as the part says it now.
    fn index(&self, g: u64) -> Result<Vec<u8>> {
        let part = Part::Index(g);
        let want = HEADER + self.shape.in_group(g) as usize * MAC;
        if self.parts.len(part)?.ok_or_else(|| absent(part))? != want as u64 {
            return Err(Error::integrity(Class::Form, "file: an index of another length than its size gives"));
        }
        let object = self.parts.part(part, want as u64)?.ok_or_else(|| absent(part))?;
        header::check(&object, header::Type::Index)?;
        if object.len() != want {
            return Err(Error::integrity(Class::Form, "file: an index of another length than its size gives"));
        }
        let mac = group_mac(&self.file, self.head.epoch, g, &object[HEADER..]);
        let at = (GROUP + g - 1) as usize * MAC;
        if !bool::from(mac.ct_eq(&self.list[at..at + MAC])) {
            return Err(Error::integrity(Class::Auth, format!("file: the index of group {g} is altered")));
        }
        Ok(object[HEADER..].to_vec())
    }

    fn segment_mac(&self, s: u64) -> Result<[u8; 32]> {
        let at = |list: &[u8]| list[(s % GROUP) as usize * MAC..][..MAC].try_into().expect("32 bytes");
        let g = s / GROUP;
        if g == 0 {
            return Ok(at(&self.list));
        }
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((have, list)) if *have == g => Ok(at(list)),
            _ => Ok(at(&last.insert((g, self.index(g)?)).1)),
        }
    }

    /// The verified tags of a segment.
    fn tags(&self, s: u64) -> Result<Vec<u8>> {
        let part = Part::Segment(s);
        if self.parts.len(part)?.ok_or_else(|| absent(part))? != self.shape.object_len(s) {
            return Err(Error::integrity(Class::Form, format!("file: segment {s} has another length than the size gives")));
        }
        let hdr = self.parts.range(part, 0, HEADER)?.ok_or_else(|| absent(part))?;
        header::check(&hdr, header::Type::Segment)?;
        let len = self.shape.len(s);
        let count = len.div_ceil(CHUNK) * TAG;
        let tags = self.parts.range(part, (HEADER + len) as u64, count)?.ok_or_else(|| absent(part))?;
        let mac = segment_mac(&self.file, &hdr[..HEADER], s, &tags);
        if tags.len() != count || !bool::from(mac.ct_eq(&self.segment_mac(s)?)) {
            return Err(Error::integrity(Class::Auth, format!("file: segment {s} is altered or of another version")));
        }
        Ok(tags)
    }

    /// The plaintext of a segment (without padding), into `out`.
    pub fn read_segment(&self, s: u64, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        if s >= self.shape.segments {
            return Ok(());
        }
        let part = Part::Segment(s);
        let want = self.shape.object_len(s);
        let object = self.parts.part(part, want)?.ok_or_else(|| absent(part))?;
        if object.len() as u64 != want {
            return Err(Error::integrity(Class::Form, format!("file: segment {s} has another length than the size gives")));
        }
        header::check(&object, header::Type::Segment)?;
        let (body, tags) = object[HEADER..].split_at(self.shape.len(s));
        let mac = segment_mac(&self.file, &object[..HEADER], s, tags);
        if !bool::from(mac.ct_eq(&self.segment_mac(s)?)) {
            return Err(Error::integrity(Class::Auth, format!("file: segment {s} is altered or of another version")));
        }
        out.extend_from_slice(body);
        let at = s * self.shape.segment;
        let real = self.head.size.saturating_sub(at).min(out.len() as u64) as usize;
        let opened = chunk::open_all(&self.file, self.head.epoch, at / CHUNK as u64, out, tags).and_then(|()| check_padding(&out[real..]));
        if let Err(e) = opened {
            out.fill(0);
            out.clear();
            return Err(e);
        }
        out.truncate(real);
        Ok(())
    }

    /// Reads every segment, and says what is wrong with the first that is not as it must be.
    pub fn verify_all(&self) -> Result<()> {
        let mut plain = Vec::new();
        (0..self.shape.segments).try_for_each(|s| self.read_segment(s, &mut plain))
    }

    /// Reads at an offset of the plaintext: the bytes there, fewer at the end. Reads and verifies only the chunks that
    /// it gives out, and what vouches for them.
    pub fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(self.head.size);
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let s = at / self.shape.segment;
            let start = s * self.shape.segment;
            let stop = end.min(start + self.shape.segment);
            let tags = self.tags(s)?;
            let (first, last) = ((at - start) as usize / CHUNK, ((stop - start) as usize).div_ceil(CHUNK));
            let from = first * CHUNK;
            let to = (last * CHUNK).min(self.shape.len(s));
            let part = Part::Segment(s);
            let mut body = self.parts.range(part, (HEADER + from) as u64, to - from)?.ok_or_else(|| absent(part))?;
            if body.len() != to - from {
                return Err(Error::integrity(Class::Form, format!("file: segment {s} is cut short")));
            }
            chunk::open_all(&self.file, self.head.epoch, start / CHUNK as u64 + first as u64, &mut body, &tags[first * TAG..last * TAG])?;
            let real = self.head.size.saturating_sub(start + from as u64).min(body.len() as u64) as usize;
            check_padding(&body[real..])?;
            let skip = (at - start) as usize - from;
            out.extend_from_slice(&body[skip..skip + (stop - at) as usize]);
            at = stop;
        }
        Ok(out)
    }

    /// Replaces the bytes at an offset, inside the file's size and inside one segment, without reading the other
    /// segments: gives the new object of that segment, the new index if it has one, and the new `head` for `head`, a
    /// file head with the new generation, times and writer.
    pub fn rewrite(&self, offset: u64, bytes: &[u8], mut head: FileHead) -> Result<Vec<(Part, Vec<u8>)>> {
        let s = offset / self.shape.segment;
        let start = s * self.shape.segment;
        let end = offset.checked_add(bytes.len() as u64).filter(|e| *e <= self.head.size && *e <= start + self.shape.segment);
        if bytes.is_empty()
            || end.is_none()
            || (head.id, head.size, head.segment, head.epoch) != (self.head.id, self.head.size, self.head.segment, self.head.epoch)
        {
            return Err(Error::failed("a chunk is rewritten inside one segment of a file that keeps its size"));
        }
        let mut plain = Vec::new();
        self.read_segment(s, &mut plain)?;
        plain[(offset - start) as usize..][..bytes.len()].copy_from_slice(bytes);
        let mut object = Vec::new();
        writer::begin(&self.shape, head.epoch, s, plain.len(), &mut object).copy_from_slice(&plain);
        let mac = seal_segment(&self.file, head.epoch, &self.shape, s, &mut object);
        let mut out = vec![(Part::Segment(s), object)];
        let mut list = self.list.clone();
        if s < GROUP {
            list[s as usize * MAC..][..MAC].copy_from_slice(&mac);
        } else {
            let g = s / GROUP;
            let mut index = self.index(g)?;
            index[(s % GROUP) as usize * MAC..][..MAC].copy_from_slice(&mac);
            list[(GROUP + g - 1) as usize * MAC..][..MAC].copy_from_slice(&group_mac(&self.file, head.epoch, g, &index));
            let mut object = header::bytes(header::Type::Index, head.epoch).to_vec();
            object.extend_from_slice(&index);
            out.push((Part::Index(g), object));
        }
        head.mac = list_mac(&self.file, head.epoch, self.shape.segments, &list);
        let mut object = Vec::new();
        head_object(self.keys, &head, &list, &mut object);
        out.push((Part::Head, object));
        Ok(out)
    }
}

/// Reads the file head from the first 168 bytes of a `head` object and its whole length. The list behind it is checked
/// by [`Reader::open`].
pub fn read_head(keys: &VaultKeys, id: &Id, start: &[u8], len: u64) -> Result<FileHead> {
    let head = FileHead::open(keys, id, header::Type::Head, start)?;
    if head.kind != HeadKind::File {
        return Err(Error::integrity(Class::Form, "file: a link or keeper as a large file"));
    }
    let shape = Shape::of(&head)?;
    if len != (LIST + shape.list_len()) as u64 {
        return Err(Error::integrity(Class::Form, "file: a list of another length than its size gives"));
    }
    Ok(head)
}

/// Seals a new head over the same content, in a `head` object.
pub fn reseal(keys: &VaultKeys, head: &FileHead, object: &mut [u8]) -> Result<()> {
    let old = read_head(keys, &head.id, object, object.len() as u64)?;
    if (old.size, old.mac, old.epoch, old.segment) != (head.size, head.mac, head.epoch, head.segment) {
        return Err(Error::failed("a new file head must be of the same content"));
    }
    object[HEADER..LIST].copy_from_slice(&head.seal(keys, header::Type::Head));
    Ok(())
}

/// The content MAC that a plaintext of `size` bytes would have under this id, epoch and segment size, without sealing
/// anything: to ask whether a file in the share is a version that the vault has.
///
/// Errors: the reader's, a reader that gives fewer or more bytes than `size`, and a size or segment size that no file
/// has (`limit`, `form`).
pub fn content_mac(keys: &VaultKeys, id: &Id, epoch: u16, segment: u8, size: u64, reader: &mut dyn Read) -> Result<[u8; 32]> {
    if size > pad::MAX_SIZE {
        return Err(Error::integrity(Class::Limit, "file: larger than the format allows"));
    }
    if small::is_small(size) != (segment == 0) || (segment != 0 && !(16..=20).contains(&segment)) {
        return Err(Error::integrity(Class::Form, "file: a segment size that it cannot have"));
    }
    let file = keys.file(id);
    let padded = pad::padded(size);
    let step = if small::is_small(size) { padded } else { 1u64 << segment };
    let kind = if small::is_small(size) { header::Type::Small } else { header::Type::Segment };
    let hdr = header::bytes(kind, epoch);
    let (mut list, mut group, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffer = vec![0u8; step.min(pad::SMALL) as usize];
    let segments = padded.div_ceil(step);
    for s in 0..segments {
        let at = s * step;
        let len = (padded - at).min(step) as usize;
        let real = size.saturating_sub(at).min(len as u64) as usize;
        reader.read_exact(&mut buffer[..real])?;
        buffer[real..len].fill(0);
        tags.clear();
        chunk::tags_only(&file, epoch, at / CHUNK as u64, &buffer[..len], &mut tags);
        let mac = segment_mac(&file, &hdr, s, &tags);
        if small::is_small(size) {
            return one_more_is_too_many(reader).map(|()| mac);
        }
        if s < GROUP {
            list.extend_from_slice(&mac);
        } else {
            group.extend_from_slice(&mac);
            if (s + 1).is_multiple_of(GROUP) || s + 1 == segments {
                let mac = group_mac(&file, epoch, s / GROUP, &group);
                list.extend_from_slice(&mac);
                group.clear();
            }
        }
    }
    one_more_is_too_many(reader)?;
    Ok(list_mac(&file, epoch, segments, &list))
}

fn one_more_is_too_many(reader: &mut dyn Read) -> Result<()> {
    match reader.read_exact(&mut [0u8; 1]) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(e) => Err(e.into()),
        Ok(()) => Err(Error::failed("the file is longer than it was")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod far;
