//! The file head: 128 sealed bytes that say everything about a file but its name (FORMAT 6).

use super::header;
use super::keys::VaultKeys;
use super::pad;
use crate::clock::Time;
use crate::error::{Class, Error, Result};
use crate::id::{Id, Oid};
use crate::tree::{FileKind, Version, Writer};

/// The greatest generation: nobody reaches it by counting, and one more is still a number.
pub const MAX_GENERATION: u64 = 1 << 62;

/// Bytes of a sealed head: a tag of 32, a record of 128.
pub const SEALED: usize = 160;

/// What a head is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A regular file.
    File = 0,
    /// A symbolic link; its content is the target.
    Link = 1,
    /// The keeper of an empty directory.
    Keeper = 2,
}

/// A file head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// File id; of a keeper: the directory's id.
    pub id: Id,
    /// What it is of.
    pub kind: HeadKind,
    /// Executable bit.
    pub exec: bool,
    /// Private bit.
    pub private: bool,
    /// Modification time.
    pub mtime: Time,
    /// The writer's offset from UTC in minutes.
    pub offset: i16,
    /// True size in bytes.
    pub size: u64,
    /// Generation.
    pub generation: u64,
    /// Content MAC.
    pub mac: [u8; 32],
    /// The device that last set content or mtime; `None` exactly for keepers.
    pub writer: Option<Writer>,
    /// log2 of the segment size; 0 for small files.
    pub segment: u8,
    /// Key epoch.
    pub epoch: u16,
}

impl FileHead {
    /// The head of a version.
    pub fn from_version(v: &Version) -> FileHead {
        FileHead {
            id: v.id,
            kind: match v.kind {
                FileKind::File => HeadKind::File,
                FileKind::Link => HeadKind::Link,
            },
            exec: v.exec,
            private: v.private,
            mtime: v.mtime,
            offset: v.offset,
            size: v.size,
            generation: v.generation,
            mac: v.mac,
            writer: Some(v.writer.clone()),
            segment: v.segment,
            epoch: v.epoch,
        }
    }

    /// The head of a file's first version, without a time; its MAC is set by sealing.
    pub fn file(id: Id, writer: Option<Writer>, size: u64, segment: u8) -> FileHead {
        FileHead { kind: HeadKind::File, size, generation: 1, writer, segment, ..FileHead::keeper(id) }
    }

    /// The head of a directory's keeper; its MAC is set by sealing.
    pub fn keeper(dir: Id) -> FileHead {
        FileHead {
            id: dir,
            kind: HeadKind::Keeper,
            exec: false,
            private: false,
            mtime: Time::default(),
            offset: 0,
            size: 0,
            generation: 0,
            mac: [0; 32],
            writer: None,
            segment: 0,
            epoch: 0,
        }
    }

    /// The version that this head and `oid` make; `None` for a keeper.
    pub fn to_version(&self, oid: Oid) -> Option<Version> {
        let kind = match self.kind {
            HeadKind::File => FileKind::File,
            HeadKind::Link => FileKind::Link,
            HeadKind::Keeper => return None,
        };
        Some(Version {
            id: self.id,
            kind,
            size: self.size,
            mac: self.mac,
            epoch: self.epoch,
            segment: self.segment,
            exec: self.exec,
            private: self.private,
            mtime: self.mtime,
            offset: self.offset,
            generation: self.generation,
            writer: self.writer.clone()?,
            oid,
        })
    }

    fn record(&self) -> [u8; 128] {
        let mut r = [0u8; 128];
        r[..16].copy_from_slice(&self.id.0);
        r[16] = self.kind as u8;
        r[17] = u8::from(self.exec) | u8::from(self.private) << 1;
        r[18] = 1;
        if let Some(w) = &self.writer {
            let w = w.as_str().as_bytes();
            r[19] = w.len() as u8;
            r[80..80 + w.len()].copy_from_slice(w);
        }
        r[20..24].copy_from_slice(&self.mtime.ns.to_be_bytes());
        r[24..32].copy_from_slice(&self.mtime.s.to_be_bytes());
        r[32..40].copy_from_slice(&self.size.to_be_bytes());
        r[40..48].copy_from_slice(&self.generation.to_be_bytes());
        r[48..80].copy_from_slice(&self.mac);
        r[112..114].copy_from_slice(&self.offset.to_be_bytes());
        r[114] = self.segment;
        r
    }

    /// Reads a record, field by field in the order of FORMAT's table, which decides the class of what is wrong twice.
    fn parse(r: &[u8; 128], epoch: u16) -> Result<FileHead> {
        let form = |what: &str| Error::integrity(Class::Form, format!("file head: {what}"));
        let limit = |what: &str| Error::integrity(Class::Limit, format!("file head: {what}"));
        let u64_at = |i: usize| u64::from_be_bytes(r[i..i + 8].try_into().expect("8 bytes of 128"));
        let mut id = [0; 16];
        id.copy_from_slice(&r[..16]);
        let kind = match r[16] {
            0 => HeadKind::File,
            1 => HeadKind::Link,
            2 => HeadKind::Keeper,
            k => return Err(form(&format!("kind {k}"))),
        };
        if r[17] & !3 != 0 || (kind != HeadKind::File && r[17] != 0) {
            return Err(form("unknown flags"));
        }
        if r[18] != 1 {
            return Err(Error::integrity(Class::Version, format!("file head: padding scheme {} is not known here", r[18])));
        }
        let keeper = kind == HeadKind::Keeper;
        let len = usize::from(r[19]);
        if len > 32 || keeper != (len == 0) {
            return Err(form("the writer's name"));
        }
        let ns = u32::from_be_bytes(r[20..24].try_into().expect("4 bytes of 128"));
        if ns >= 1_000_000_000 {
            return Err(form("nanoseconds"));
        }
        let s = u64_at(24) as i64;
        if !(-(1i64 << 40)..=1 << 40).contains(&s) {
            return Err(limit("time"));
        }
        let size = u64_at(32);
        if size > pad::MAX_SIZE {
            return Err(limit("size"));
        }
        if kind == HeadKind::Link && !(1..=4095).contains(&size) {
            return Err(form("length of a link"));
        }
        let generation = u64_at(40);
        if generation > MAX_GENERATION {
            return Err(limit("generation"));
        }
        if keeper != (generation == 0) {
            return Err(form("generation 0"));
        }
        let writer = match keeper {
            true => None,
            false => {
                let name = std::str::from_utf8(&r[80..80 + len]).map_err(|_| form("the writer's name"))?;
                Some(Writer::new(name).ok_or_else(|| form("the writer's name"))?)
            }
        };
        if r[80 + len..112].iter().any(|b| *b != 0) {
            return Err(form("the writer's name"));
        }
        let offset = i16::from_be_bytes([r[112], r[113]]);
        if !(-1440..=1440).contains(&offset) {
            return Err(form("offset from UTC"));
        }
        let segment = r[114];
        let large = pad::padded(size) > pad::SMALL;
        if large != (segment != 0) || (segment != 0 && !(16..=20).contains(&segment)) {
            return Err(form("segment size"));
        }
        if r[115..].iter().any(|b| *b != 0) {
            return Err(form("bytes that must be zero"));
        }
        if keeper && (size != 0 || s != 0 || ns != 0 || offset != 0) {
            return Err(form("a keeper with more than an id"));
        }
        Ok(FileHead {
            id: Id(id),
            kind,
            exec: r[17] & 1 != 0,
            private: r[17] & 2 != 0,
            mtime: Time { s, ns },
            offset,
            size,
            generation,
            mac: r[48..80].try_into().expect("32 bytes of 128"),
            writer,
            segment,
            epoch,
        })
    }

    /// Seals the head for an object of this type: tag 32, record 128.
    pub(super) fn seal(&self, keys: &VaultKeys, kind: header::Type) -> [u8; SEALED] {
        let mut out = [0u8; SEALED];
        out[32..].copy_from_slice(&self.record());
        let hdr = header::bytes(kind, self.epoch);
        let (tag, record) = out.split_at_mut(32);
        tag.copy_from_slice(&keys.head.seal(&[&hdr], record));
        out
    }

    /// Opens a head behind the header `hdr` of an object that stands under an entry with this id.
    pub(super) fn open(keys: &VaultKeys, id: &Id, kind: header::Type, object: &[u8]) -> Result<FileHead> {
        let epoch = header::check(object, kind)?;
        if object.len() < header::HEADER + SEALED {
            return Err(Error::integrity(Class::Form, "file head: cut short"));
        }
        let sealed = &object[header::HEADER..header::HEADER + SEALED];
        let mut record = [0u8; 128];
        record.copy_from_slice(&sealed[32..]);
        if !keys.head.open(&[&object[..header::HEADER]], &sealed[..32], &mut record) {
            return Err(Error::integrity(Class::Auth, "file head: not sealed by this vault, or altered"));
        }
        let head = FileHead::parse(&record, epoch)?;
        if head.id != *id {
            return Err(Error::integrity(Class::Auth, "file head: contents of another file were put under this name"));
        }
        Ok(head)
    }
}
