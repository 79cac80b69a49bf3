//! A small git engine: what a work tree on this side and a stock bare repository on the other need, and no more.
//!
//! Objects, packs (written with stored blocks, read as a stream with deltas), idx version 2, the index, refs, and the
//! v0/v1 protocol as state machines over bytes. It knows neither ssh nor the vault: ciphertext is bytes here.
//!
//! Ceilings: an object that claims more than [`limit`] allows for its type is refused before it is inflated.

mod consolidate;
mod delta;
mod entry;
mod idx;
pub mod index;
pub mod ingest;
pub mod local;
pub mod object;
mod oids;
mod pack_send;
mod pack_write;
mod pulse;
mod refs;
pub mod store;
mod walk;
pub mod wire;
mod zlib;

pub use pack_send::Objects;
pub use pulse::Pulse;

use crate::error::Result;
use crate::id::Oid;
use std::collections::BTreeMap;
use std::io::Write;

/// Greatest sizes in bytes, by type of object (FORMAT 12).
pub mod limit {
    /// A `head` of a file of 16 TiB.
    pub const BLOB: u64 = 2_105_480;
    /// A commit.
    pub const COMMIT: u64 = 65_536;
    /// A tree; trees are read as streams where they may be large.
    pub const TREE: u64 = 64 << 20;
}

/// Type of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
    /// An annotated tag (never ours; refused in what we fetch).
    Tag,
}

/// A change of one ref at a remote, compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name, `refs/heads/main`.
    pub name: String,
    /// What it must be now; `None`: it must not exist.
    pub old: Option<Oid>,
    /// What it becomes; `None`: it is deleted.
    pub new: Option<Oid>,
}

/// What became of one [`RefUpdate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefStatus {
    /// Done.
    Ok,
    /// Refused. The text is the server's and differs from version to version: never matched, only shown.
    Refused(String),
}

/// Where the bytes of a pack to be sent come from.
pub trait PackSource {
    /// How many objects; 0 is the empty pack.
    fn objects(&self) -> u32;
    /// Writes the pack: header, entries, trailer. May be called again after a broken line.
    fn write_to(&mut self, out: &mut dyn Write) -> Result<()>;
}

/// Refs by full name.
pub type Refs = BTreeMap<String, Oid>;

/// Which ids of the refs that a node shows are wanted.
pub type Choose<'a> = &'a mut dyn FnMut(&Refs) -> Result<Vec<Oid>>;

/// The remote seam: one storage node. The real ones are a bare repository at a local path (`git::local`) and git's
/// protocol over ssh (`ssh::remote`); the simulated one is `sim::remote`.
///
/// Errors: [`crate::error::Kind::Unreachable`] if the node did not answer or the line broke (then it is not known what
/// the node took: look at [`Remote::refs`] before sending again).
pub trait Remote {
    /// One conversation: `choose` hears the refs of the node (for ssh: the advertisement) and gives those of its ids that
    /// are wanted. Everything reachable from them and not from `have` comes as one pack, written to `sink` as it arrives;
    /// `sink` checks it. Bytes of an empty pack are possible; nothing comes if nothing is wanted. Errors of `choose` as
    /// they are.
    fn fetch(&mut self, choose: Choose<'_>, have: &[Oid], sink: &mut dyn Write) -> Result<()>;
    /// The refs of the node, and nothing else.
    fn refs(&mut self) -> Result<Refs> {
        let mut refs = Refs::new();
        self.fetch(&mut |shown| Ok((refs.clone_from(shown), Vec::new()).1), &[], &mut std::io::sink())?;
        Ok(refs)
    }
    /// Sends a pack and asks for the updates (all or none if `atomic`). One status for each update, in order.
    fn push(&mut self, updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Result<Vec<RefStatus>>;
    /// Makes a bare repository there if there is none (`remote add --create`).
    fn create(&mut self) -> Result<()>;
    /// Points the node's HEAD at `refs/heads/main`, by whatever means the node allows; `false` if it allows none.
    fn set_head(&mut self) -> Result<bool>;
    /// The signs of life of its line, where there is one that may fall silent.
    fn pulse(&self) -> Option<Pulse> {
        None
    }
}
