//! The vocabulary of trees: places, versions, nodes. Plain data, no I/O.

use crate::clock::Time;
use crate::id::{Id, Oid};
use crate::path::Name;
use std::fmt;

/// Where something stands: the id of the directory that holds it, and its name there. Moving a directory changes one
/// place, its own. Ordered by directory id, then by the bytes of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Id of the holding directory; [`Id::ROOT`] at the top.
    pub dir: Id,
    /// The name in it.
    pub name: Name,
}

/// File or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link; its content is the target.
    Link,
}

/// The name of a device as it stands in file heads: 1 to 32 bytes of UTF-8 without `/`, `(`, `)`, spaces and control
/// characters (checked where it is read or set).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer(Box<str>);

impl Writer {
    /// Checks and takes a device's name.
    pub fn new(name: &str) -> Option<Writer> {
        let ok =
            (1..=32).contains(&name.len()) && !name.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '/' | '(' | ')'));
        ok.then(|| Writer(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of a file or link: what its sealed file head says, and the git object that holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// File id.
    pub id: Id,
    /// File or link.
    pub kind: FileKind,
    /// True size in bytes.
    pub size: u64,
    /// Content MAC (under this id's keys).
    pub mac: [u8; 32],
    /// Key epoch of head and parts.
    pub epoch: u16,
    /// log2 of the segment size; 0 for small files.
    pub segment: u8,
    /// Executable bit; false for links.
    pub exec: bool,
    /// Private bit; false for links.
    pub private: bool,
    /// Modification time.
    pub mtime: Time,
    /// The writer's offset from UTC when it wrote, in minutes.
    pub offset: i16,
    /// Generation (FORMAT 6).
    pub generation: u64,
    /// The device that last set content or mtime.
    pub writer: Writer,
    /// The blob (small file, link) or git tree (large file) that holds it. [`Oid::ZERO`] while it is not sealed yet.
    pub oid: Oid,
}

impl Version {
    /// Same plaintext, as far as it can be told without opening anything: `Some` if it can.
    ///
    /// With one id, epoch, kind and segment size, size and MAC decide. With different ids only different kinds or
    /// sizes decide ('differ'); else `None`: both have to be opened and compared.
    pub fn same_plaintext(&self, other: &Version) -> Option<bool> {
        if self.oid == other.oid && self.oid != Oid::ZERO {
            return Some(true);
        }
        if self.kind != other.kind || self.size != other.size {
            return Some(false);
        }
        if self.id == other.id && self.epoch == other.epoch && self.segment == other.segment {
            return Some(self.mac == other.mac);
        }
        None
    }
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory. `tree` is its git tree where it is known and nothing below it has changed since, else
    /// [`Oid::ZERO`].
    Dir {
        /// Directory id.
        id: Id,
        /// Its git tree, or zero.
        tree: Oid,
    },
    /// A file or link.
    File(Version),
}

impl Node {
    /// The id of the directory or file.
    pub fn id(&self) -> Id {
        match self {
            Node::Dir { id, .. } => *id,
            Node::File(v) => v.id,
        }
    }

    /// The version, if it is a file or link.
    pub fn file(&self) -> Option<&Version> {
        match self {
            Node::File(v) => Some(v),
            Node::Dir { .. } => None,
        }
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self, Node::Dir { .. })
    }
}
