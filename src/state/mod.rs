//! The seam to the state database: four tables of tree rows, intents, and single values.
//!
//! Memory does not grow with the number of files, so trees live here and not in memory. `Anc` and `Head` are durable
//! tables keyed by place; `Scan` and `Next` are scratch tables of the same shape that hold *differences* (a row with
//! [`RowNode::Gone`] says that the place is empty): `Scan` against `Anc`, `Next` against `Head`.
//!
//! Everything written since the last [`State::commit`] becomes durable together or not at all. The real one is SQLite
//! (`state::db`), the simulated one an in-memory map whose image at the last commit survives a power cut
//! (`sim::state`).

pub mod db;

use crate::clock::Time;
use crate::error::Result;
use crate::id::Id;
use crate::path::Name;
use crate::tree::{Node, Place};

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// The ancestor: the share as this device last read or wrote it, all of which head has taken in (MERGE 1).
    Anc,
    /// A cache of the tree of the commit named by the value [`key::HEAD`]; rebuilt from git when it does not fit.
    Head,
    /// Scratch: the share as just scanned, as differences against `Anc`. Emptied by [`State::clear`].
    Scan,
    /// Scratch: a tree to be brought about, as differences against `Head`.
    Next,
}

/// Names of single values.
pub mod key {
    /// The commit whose tree the table `Head` holds (20 bytes).
    pub const HEAD: &str = "head";
    /// The commit that secure is being brought to (20 bytes), or absent.
    pub const PENDING: &str = "pending";
    /// Present if `Anc` and `Head` hold the same tree, place by place (so nothing needs to be merged).
    pub const EVEN: &str = "even";
    /// Since when the brake stands for changes of the share, in seconds since 1970 (eight bytes, big-endian); absent while
    /// it does not.
    pub const BRAKE: &str = "brake";
}

/// What this disk showed of an entry right after our own read or write (MERGE 1, 'seen').
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Size in bytes.
    pub size: u64,
    /// Modification time.
    pub mtime: Time,
    /// Executable bit as the disk shows it.
    pub exec: bool,
    /// Private bit as the disk shows it.
    pub private: bool,
    /// Inode number.
    pub ino: u64,
    /// Birth time, where there is one.
    pub birth: Option<Time>,
    /// Change time of the inode.
    pub ctime: Time,
    /// The name's bytes as the disk gave them back, if they differ from the place's name.
    pub name: Option<Name>,
}

/// What a row says of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowNode {
    /// This stands there.
    Here(Node),
    /// Only in scratch tables: nothing stands there (any more).
    Gone,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Key.
    pub place: Place,
    /// What stands there.
    pub node: RowNode,
    /// `Anc` and `Scan` only.
    pub seen: Option<Seen>,
}

impl Row {
    /// The node, unless the row is a tombstone.
    pub fn here(&self) -> Option<&Node> {
        match &self.node {
            RowNode::Here(n) => Some(n),
            RowNode::Gone => None,
        }
    }
}

/// A step in the share that is under way (MERGE 7). Written durably before the step, removed with its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A temporary file will be renamed to the place (replacing or not); then `Anc` gets `row`, whose `seen` is the
    /// temporary file's own.
    Put {
        /// Directory (its id in `Anc`) and name of the temporary file `.sharelock-tmp-<16 hex>`.
        temporary: Place,
        /// The row to set.
        row: Row,
    },
    /// What stands at the place, with this inode and birth time, will be unlinked; then the row goes.
    Delete {
        /// The place.
        place: Place,
        /// What was there.
        seen: Seen,
    },
}

/// The state database. All rows come back in the order of their places ([`Place`]'s order).
pub trait State {
    /// The row at a place.
    fn get(&self, table: Table, place: &Place) -> Result<Option<Row>>;
    /// Up to `limit` rows of one directory with names behind `after`.
    fn children(&self, table: Table, dir: Id, after: Option<&Name>, limit: usize) -> Result<Vec<Row>>;
    /// All rows whose node has this id: files and directories (a file id may stand at several places).
    fn by_id(&self, table: Table, id: Id) -> Result<Vec<Row>>;
    /// All rows with this inode in `seen` (`Anc` and `Scan` only).
    fn by_ino(&self, table: Table, ino: u64) -> Result<Vec<Row>>;
    /// All rows that are files of exactly this size (rename by content).
    fn by_size(&self, table: Table, size: u64) -> Result<Vec<Row>>;
    /// Up to `limit` rows of the whole table behind `after`.
    fn rows(&self, table: Table, after: Option<&Place>, limit: usize) -> Result<Vec<Row>>;
    /// Up to `limit` places behind `after` at which two durable tables differ in node (seen does not count, nor does a
    /// directory's `tree`), with both rows.
    fn differences(&self, a: Table, b: Table, after: Option<&Place>, limit: usize) -> Result<Vec<(Place, Option<Row>, Option<Row>)>>;
    /// How many rows a table has: (files and links, directories, bytes of plaintext).
    fn count(&self, table: Table) -> Result<(u64, u64, u64)>;
    /// Sets a row.
    fn put(&mut self, table: Table, row: &Row) -> Result<()>;
    /// Removes a row, if there.
    fn remove(&mut self, table: Table, place: &Place) -> Result<()>;
    /// Empties a table.
    fn clear(&mut self, table: Table) -> Result<()>;
    /// Applies a scratch table of differences to a durable one (`Scan` to `Anc`, `Next` to `Head`) and empties it.
    /// Tombstones first, so that a row that moved is never lost.
    fn absorb(&mut self, scratch: Table, into: Table) -> Result<()>;
    /// A single value.
    fn value(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Sets or removes a single value.
    fn set_value(&mut self, key: &str, value: Option<&[u8]>) -> Result<()>;
    /// All single values whose key begins with `prefix`, in order of key.
    fn values(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;
    /// All intents, with their numbers.
    fn intents(&self) -> Result<Vec<(u64, Intent)>>;
    /// Adds an intent.
    fn add_intent(&mut self, intent: &Intent) -> Result<u64>;
    /// Removes an intent.
    fn remove_intent(&mut self, number: u64) -> Result<()>;
    /// Makes everything since the last commit durable, as one.
    fn commit(&mut self) -> Result<()>;
    /// Forgets everything since the last commit (scratch tables may keep what they have).
    fn rollback(&mut self) -> Result<()>;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod far;
#[cfg(test)]
mod tests;
