//! What users wrote, replaced and deleted in a seed: what must be there at the end, and what must not.

use super::user::{User, What};
use crate::clock::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A device, and an inode of its share with its time of birth.
type Inode = (usize, u64, Option<Time>);

/// What users did to contents: each content is written once (but for `same`), so it stands for a version.
#[derive(Debug, Default)]
pub struct Ledger {
    next: u64,
    /// Written, and not replaced or deleted by a user who saw it.
    pub(super) live: BTreeSet<String>,
    /// Replaced or deleted by a user who saw it.
    pub(super) dead: BTreeSet<String>,
    /// Not asked for resurrection: renamed, chmodded or touched files (rename and chmod against delete: it stays), and
    /// contents that were written more than once.
    pub(super) exempt: BTreeSet<String>,
    /// What a file had in it when the user of a device first did anything at its name.
    met: BTreeMap<Inode, String>,
    /// A database was lost: deletions that were not committed come undone.
    pub lost: bool,
}

impl Ledger {
    /// A content that nobody has written yet.
    pub fn fresh(&mut self, device: usize) -> String {
        self.next += 1;
        format!("c{}.{device}", self.next)
    }

    /// A user wrote a content.
    pub fn wrote(&mut self, c: &str) {
        self.live.insert(c.into());
    }

    /// A user replaced or deleted this.
    pub fn replaced(&mut self, old: Option<&What>) {
        if let Some(What::File(c, _) | What::Link(c)) = old {
            self.dead.insert(c.clone());
        }
    }

    /// See the field.
    pub fn exempt(&mut self, c: &str) {
        self.exempt.insert(c.into());
    }

    /// A directory was removed: what another device moved out of it, or into it, stays (R-rename-delete).
    pub fn directory_gone(&mut self, below: &[(String, What)]) {
        for (_, w) in below {
            if let What::File(c, _) | What::Link(c) = w {
                self.exempt.insert(c.clone());
            }
        }
    }

    /// The user of a device is about to do something at this path: what stands there is before his eyes.
    pub fn meets(&mut self, device: usize, user: &User, path: &str) {
        if let (Some(stat), Some(What::File(c, _) | What::Link(c))) = (user.stat(path), user.read(path)) {
            self.met.entry((device, stat.ino, stat.birth)).or_insert(c);
        }
    }

    /// A device was killed between putting this inode in its place and noting that, and the directory has gone before it
    /// starts again. It cannot know whether the file ever stood there, and brings it back, even to a user who had seen it
    /// and removed it (MERGE.md, 13). Whoever only lost a temporary has not seen anything: that is not exempt.
    pub fn unknowable(&mut self, device: usize, ino: u64, birth: Option<Time>) {
        if let Some(c) = self.met.get(&(device, ino, birth)) {
            self.exempt.insert(c.clone());
        }
    }
}
