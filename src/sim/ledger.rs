//! What users wrote, replaced and deleted in a seed: what must be there at the end, and what must not.

use super::user::What;
use std::collections::BTreeSet;

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
}
