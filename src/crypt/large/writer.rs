//! Sealing a large file.

use super::{GROUP, MAC, Part, Shape, group_mac, list_mac};
use crate::crypt::chunk;
use crate::crypt::head::FileHead;
use crate::crypt::header::{self, HEADER};
use crate::crypt::keys::{FileKeys, VaultKeys};
use crate::crypt::pad::CHUNK;
use crate::crypt::small::segment_mac;
use crate::error::{Error, Result};

/// Seals a large file segment by segment. It keeps only L and one group's list in memory.
///
/// Segments may be sealed by several threads ([`Writer::sealer`]); they are taken in order ([`Writer::take`]). A writer that
/// is dropped without [`Writer::finish`] leaves parts without a head, which nobody reads.
pub struct Writer<'k> {
    keys: &'k VaultKeys,
    head: FileHead,
    sealer: Sealer,
    next: u64,
    list: Vec<u8>,
    group: Vec<u8>,
}

/// Seals segments of one file, in any order. A clone is for another thread.
#[derive(Clone)]
pub struct Sealer {
    file: FileKeys,
    epoch: u16,
    shape: Shape,
}

impl Sealer {
    /// Seals in place what [`Writer::begin`] has laid out and the caller has filled; gives the segment's MAC, which the
    /// writer [takes](Writer::take).
    pub fn seal(&self, s: u64, object: &mut Vec<u8>) -> [u8; MAC] {
        seal_segment(&self.file, self.epoch, &self.shape, s, object)
    }
}

impl<'k> Writer<'k> {
    /// For a file whose head says size, segment size and everything but the content MAC.
    pub fn new(keys: &'k VaultKeys, head: FileHead) -> Result<Writer<'k>> {
        let shape = Shape::of(&head)?;
        let sealer = Sealer { file: keys.file(&head.id), epoch: head.epoch, shape };
        Ok(Writer { keys, head, sealer, next: 0, list: Vec::new(), group: Vec::new() })
    }

    /// How many segments the file has. Past the true size there may be segments that hold padding only.
    pub fn segments(&self) -> u64 {
        self.sealer.shape.segments
    }

    /// What seals this file's segments.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Lays segment `s` out in `object`, whatever that held before: gives the place for exactly the plaintext that the file
    /// holds there. Header and padding are set.
    pub fn begin<'o>(&self, s: u64, object: &'o mut Vec<u8>) -> &'o mut [u8] {
        let shape = &self.sealer.shape;
        let real = self.head.size.saturating_sub(s.saturating_mul(shape.segment)).min(shape.segment);
        begin(shape, self.sealer.epoch, s, real as usize, object)
    }

    /// Takes the next segment's MAC.
    pub fn take(&mut self, mac: &[u8; MAC]) -> Result<Part> {
        let s = self.expected()?;
        if s < GROUP {
            self.list.extend_from_slice(mac)
        } else {
            self.group.extend_from_slice(mac)
        }
        self.next += 1;
        Ok(Part::Segment(s))
    }

    /// Seals the next segment: `plaintext` is exactly what the file holds there, without padding. `out` becomes the
    /// object.
    pub fn segment(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<Part> {
        let s = self.expected()?;
        let place = self.begin(s, out);
        if plaintext.len() != place.len() {
            return Err(Error::failed("a segment's plaintext has not the length that the file's size gives"));
        }
        place.copy_from_slice(plaintext);
        let mac = self.sealer.seal(s, out);
        self.take(&mac)
    }

    /// The number of the next segment.
    fn expected(&self) -> Result<u64> {
        match self.next < self.segments() {
            true => Ok(self.next),
            false => Err(Error::failed("more segments than the file's size gives")),
        }
    }

    /// After the last segment of a group: the group's index and its object.
    pub fn take_index(&mut self) -> Option<(Part, Vec<u8>)> {
        if self.group.is_empty() || (!self.next.is_multiple_of(GROUP) && self.next != self.segments()) {
            return None;
        }
        let g = (self.next - 1) / GROUP;
        let list = std::mem::take(&mut self.group);
        self.list.extend_from_slice(&group_mac(&self.sealer.file, self.sealer.epoch, g, &list));
        let mut object = header::bytes(header::Type::Index, self.head.epoch).to_vec();
        object.extend_from_slice(&list);
        Some((Part::Index(g), object))
    }

    /// After the last segment: `out` becomes the object of `head`; gives the head with its content MAC.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<FileHead> {
        if self.next != self.segments() || !self.group.is_empty() {
            return Err(Error::failed("a large file was finished before its last segment or index"));
        }
        self.head.mac = list_mac(&self.sealer.file, self.sealer.epoch, self.segments(), &self.list);
        head_object(self.keys, &self.head, &self.list, out);
        Ok(self.head)
    }
}

pub(super) fn head_object(keys: &VaultKeys, head: &FileHead, list: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&header::bytes(header::Type::Head, head.epoch));
    out.extend_from_slice(&head.seal(keys, header::Type::Head));
    out.extend_from_slice(list);
}

/// See [`Writer::begin`]; `real` bytes of plaintext.
pub(super) fn begin<'o>(shape: &Shape, epoch: u16, s: u64, real: usize, object: &'o mut Vec<u8>) -> &'o mut [u8] {
    let end = HEADER + shape.len(s);
    object.reserve_exact((shape.object_len(s) as usize).saturating_sub(object.len()));
    object.resize(end, 0);
    object[..HEADER].copy_from_slice(&header::bytes(header::Type::Segment, epoch));
    object[HEADER + real..].fill(0);
    &mut object[HEADER..HEADER + real]
}

/// Seals what [`begin`] has laid out: chunks in place, tags behind them.
pub(super) fn seal_segment(file: &FileKeys, epoch: u16, shape: &Shape, s: u64, object: &mut Vec<u8>) -> [u8; MAC] {
    object.resize(shape.object_len(s) as usize, 0);
    let (hdr, rest) = object.split_at_mut(HEADER);
    let (chunks, tags) = rest.split_at_mut(shape.len(s));
    chunk::seal_all(file, epoch, s * shape.segment / CHUNK as u64, chunks, tags);
    segment_mac(file, hdr, s, tags)
}
