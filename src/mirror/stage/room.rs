//! Room in secure: what would fill its disk waits, and the rest goes on.

use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::mirror::{Device, Full};
use crate::path::RelPath;
use crate::state::State;

/// The first files that wait are named, so many of them.
const NAMED: u64 = 5;
/// What a file takes beside its content, in its place and in the pack: tags, padding, the rest of a block, its share of trees.
const BESIDE: u64 = 10_240;

/// What is left in secure.
#[derive(Default)]
pub(super) struct Room {
    free: Option<u64>,
}

impl Room {
    /// True if a file of this size may be sealed; else it is reported as one that waits.
    ///
    /// # Errors
    /// The disk does not say what is free.
    pub(super) fn takes<F: Files, S: State, C: Clock, R: Random>(
        &mut self,
        d: &mut Device<F, S, C, R>,
        path: &RelPath,
        size: u64,
    ) -> Result<bool> {
        let free = match self.free {
            Some(free) => free,
            None => d.secure.free()?,
        };
        // Once in the pack and once in its place.
        let needs = size.saturating_add(size / 16).saturating_mul(2).saturating_add(BESIDE);
        let rest = free.checked_sub(needs).filter(|rest| *rest >= d.settings.min_free);
        self.free = Some(rest.unwrap_or(free));
        if rest.is_none() {
            self.waits(d, path, size);
        }
        Ok(rest.is_some())
    }

    fn waits<F: Files, S: State, C: Clock, R: Random>(&self, d: &mut Device<F, S, C, R>, path: &RelPath, size: u64) {
        let (free, kept) = (self.free.unwrap_or(0), d.settings.min_free);
        let full = d.report.full_secure.get_or_insert(Full { free, kept, ..Full::default() });
        full.files += 1;
        full.bytes = full.bytes.saturating_add(size.saturating_mul(2));
        if full.files <= NAMED {
            full.named.push((path.clone(), size));
            full.named.sort();
        }
    }
}
