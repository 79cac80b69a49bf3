//! What the index knows of secure's files, read along a walk of theirs.

use crate::clock::Time;
use crate::error::Result;
use crate::files::{Files, Open, Stat};
use crate::git::index::{Cached, Entry, Reader};
use crate::git::store::Store;
use crate::id::Oid;

/// An index, asked for paths in their order.
pub struct Known<File: Open> {
    reader: Option<Reader<File>>,
    at: Entry,
    have: bool,
}

impl<File: Open> Known<File> {
    /// The index of a repository. One that is not there, or cannot be read, knows nothing.
    pub fn open<F: Files<File = File>>(git: &Store<F>) -> Result<Self> {
        let reader = match git.index() {
            Ok(r) => r,
            Err(e) if e.is_stopped() => return Err(e),
            Err(_) => None,
        };
        let mut known = Known { reader, at: Entry::default(), have: false };
        known.advance()?;
        Ok(known)
    }

    /// One that knows nothing.
    pub fn none() -> Self {
        Known { reader: None, at: Entry::default(), have: false }
    }

    fn advance(&mut self) -> Result<()> {
        self.have = match &mut self.reader {
            Some(r) => match r.next(&mut self.at) {
                Ok(more) => more,
                Err(e) if e.is_stopped() => return Err(e),
                Err(_) => false,
            },
            None => false,
        };
        if !self.have {
            self.reader = None;
        }
        Ok(())
    }

    /// The `lstat` of the file at a path when it was last known to hold this object. Paths are asked for in their order.
    pub fn stat_of(&mut self, path: &[u8], oid: &Oid) -> Result<Option<Cached>> {
        while self.have && self.at.path[..] < *path {
            self.advance()?;
        }
        let same = self.have && self.at.path == path && self.at.oid == *oid;
        Ok(same.then_some(self.at.stat))
    }

    /// True if a file with this `lstat` is known to hold this object still. Paths are asked for in their order.
    pub fn is(&mut self, path: &[u8], oid: &Oid, now: &Stat) -> Result<bool> {
        let stat = self.stat_of(path, oid)?;
        let Some(written) = self.reader.as_ref().map(|r| r.written) else { return Ok(false) };
        let fresh = |t: Time| t >= written;
        Ok(stat == Some(Cached::of(now)) && !fresh(now.mtime) && !fresh(now.ctime))
    }
}
