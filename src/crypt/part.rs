//! Parts of a large file: how they are named, and what the head's size makes of their number and lengths (FORMAT 6).

use super::head::FileHead;
use super::header::HEADER;
use super::pad::{self, TAG};
use super::small;
use crate::error::{Class, Error, Result};

/// Segments in a group.
pub(super) const GROUP: u64 = 256;
/// Bytes of a MAC in a list.
pub(super) const MAC: usize = 32;

/// One part of a large file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `head`.
    Head,
    /// A segment, counted through the whole file.
    Segment(u64),
    /// The index of a group, 1 and up.
    Index(u64),
}

impl Part {
    /// The group's directory, if the part lies in one, and the part's name.
    pub fn path(&self) -> (Option<String>, String) {
        match *self {
            Part::Head => (None, "head".into()),
            Part::Index(g) => (Some(format!("g{g:04x}")), "x".into()),
            Part::Segment(s) if s < GROUP => (None, format!("{s:02x}")),
            Part::Segment(s) => (Some(format!("g{:04x}", s / GROUP)), format!("{:02x}", s % GROUP)),
        }
    }

    /// The part of a name, in a group's directory or not.
    pub fn parse(group: Option<&[u8]>, name: &[u8]) -> Option<Part> {
        fn hex(digits: &[u8]) -> Option<u64> {
            let lower = digits.iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c));
            lower.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
        }
        let g = match group {
            None => 0,
            Some([b'g', digits @ ..]) if digits.len() == 4 => hex(digits).filter(|g| *g > 0)?,
            Some(_) => return None,
        };
        match name {
            b"head" if g == 0 => Some(Part::Head),
            b"x" if g > 0 => Some(Part::Index(g)),
            [_, _] => Some(Part::Segment(g * GROUP + hex(name)?)),
            _ => None,
        }
    }
}

/// Where every length and count of a large file follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Padded size.
    pub padded: u64,
    /// Bytes in a segment.
    pub segment: u64,
    /// Number of segments.
    pub segments: u64,
}

impl Shape {
    /// Of a head; refuses what is no large file (`form`), and more groups than a list may name (`limit`).
    pub(super) fn of(head: &FileHead) -> Result<Shape> {
        let padded = pad::padded(head.size);
        if small::is_small(head.size) || !(16..=20).contains(&head.segment) {
            return Err(Error::integrity(Class::Form, "file: a small file where a large one must be"));
        }
        let segment = 1u64 << head.segment;
        let segments = padded.div_ceil(segment);
        if segments > 65_536 * GROUP {
            return Err(Error::integrity(Class::Limit, "file: more segments than the format allows"));
        }
        Ok(Shape { padded, segment, segments })
    }

    /// Padded bytes in segment `s`.
    pub(super) fn len(&self, s: u64) -> usize {
        (self.padded - s * self.segment).min(self.segment) as usize
    }

    /// Length of the object of segment `s`.
    pub(super) fn object_len(&self, s: u64) -> u64 {
        let len = self.len(s) as u64;
        HEADER as u64 + len + pad::chunks(len) * TAG as u64
    }

    fn groups(&self) -> u64 {
        self.segments.div_ceil(GROUP)
    }

    /// Length of L in `head`.
    pub(super) fn list_len(&self) -> usize {
        (self.segments.min(GROUP) + self.groups() - 1) as usize * MAC
    }

    /// Segments in group `g`.
    pub(super) fn in_group(&self, g: u64) -> u64 {
        (self.segments - g * GROUP).min(GROUP)
    }
}
