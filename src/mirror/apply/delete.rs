//! Deletions: files in batches, with intents; directories when they are empty.

use super::check::clean;
use super::{BATCH, Work};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::mirror::Problem;
use crate::mirror::overlay::Overlay;
use crate::state::{Intent, Row, Seen, State, Table};
use crate::tree::planted::{self, Mistake};
use crate::tree::{Node, Place};
use std::io::ErrorKind;

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// A file of the ancestor that head does not have, or has a directory in the place of.
    pub(super) fn delete_file(&mut self, _: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        let Some(row) = anc.filter(|r| r.here().is_some_and(|n| !n.is_dir())) else { return Ok(()) };
        let replaced = head.as_ref().and_then(Row::here).is_some_and(|n| !n.is_dir());
        if replaced || self.waits_for_rename(&row)? {
            return Ok(());
        }
        self.doomed.push(row);
        if self.doomed.len() >= BATCH { self.flush_doomed() } else { Ok(()) }
    }

    /// Intents, rechecks and removals, directories, rows.
    pub(super) fn flush_doomed(&mut self) -> Result<()> {
        let doomed = std::mem::take(&mut self.doomed);
        if doomed.is_empty() {
            return Ok(());
        }
        let mut numbers = Vec::with_capacity(doomed.len());
        if !planted::is(Mistake::NoIntents) {
            for row in &doomed {
                if let Some(seen) = &row.seen {
                    let intent = Intent::Delete { place: row.place.clone(), seen: seen.clone() };
                    numbers.push(self.d.state.add_intent(&intent)?);
                }
            }
        }
        self.commit()?;
        for row in doomed {
            let gone = self.unlink(&row);
            match self.tolerate(&row.place, gone)? {
                Some(true) => {
                    self.remove(&row.place)?;
                    self.done += 1;
                }
                Some(false) => self.leave(),
                None => {}
            }
        }
        for n in numbers {
            self.d.state.remove_intent(n)?;
        }
        self.free = None;
        self.commit()
    }

    fn unlink(&mut self, row: &Row) -> Result<bool> {
        let Some(at) = self.open(row.place.dir)? else { return Ok(false) };
        let files = self.d.share.clone();
        let name = row.place.name.as_bytes();
        if !planted::is(Mistake::NoRecheck) && !clean(&files, &at, row)? {
            return Ok(false);
        }
        // RACE: what is written into the file between the recheck and this call (microseconds) goes with it.
        match files.unlink(&at, name) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        self.touched(&at);
        Ok(true)
    }

    /// A directory that head does not have there, once nothing is below it; then, in turn, those above.
    pub(super) fn delete_dir(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        let mut next = anc.map(|row| (place.clone(), row, head));
        while let Some((place, row, head)) = next.take() {
            let Some(Node::Dir { id, .. }) = row.here() else { return Ok(()) };
            if head.as_ref().and_then(Row::here).is_some_and(Node::is_dir) || self.stays(&place, false)? {
                return Ok(());
            }
            let removed = self.rmdir(&row, *id);
            if self.tolerate(&place, removed)? != Some(true) || place.dir == Id::ROOT {
                return Ok(());
            }
            let Some(up) = Overlay::ANC.dir(&self.d.state, place.dir)? else { return Ok(()) };
            let above = self.d.state.get(Table::Head, &up.place)?;
            next = Some((up.place.clone(), up, above));
        }
        Ok(())
    }

    fn rmdir(&mut self, row: &Row, id: Id) -> Result<bool> {
        if !self.d.state.children(Table::Anc, id, None, 1)?.is_empty() {
            return Ok(false);
        }
        let Some(at) = self.open(row.place.dir)? else {
            self.leave();
            return Ok(false);
        };
        let files = self.d.share.clone();
        if !clean(&files, &at, row)? {
            self.leave();
            return Ok(false);
        }
        match files.rmdir(&at, row.place.name.as_bytes()) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {
                // Ignored files, or new ones: its row stays, so that it is not taken for a new directory.
                let path = Overlay::ANC.path(&self.d.state, &row.place)?;
                let what = "was deleted elsewhere and stays here: there are files in it that are not followed".into();
                self.d.report.problems.push(Problem { path, what, remedy: None, note: true });
                return Ok(false);
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.leave();
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        }
        self.touched(&at);
        self.remove(&row.place)?;
        self.paths.forget();
        self.done += 1;
        self.commit_if_many()?;
        Ok(true)
    }
}

/// True if what stands there may be what a deletion was to remove: this inode and birth time.
pub(super) fn is_the_one(now: Option<&crate::files::Stat>, seen: &Seen) -> bool {
    now.is_some_and(|s| s.ino == seen.ino && s.birth == seen.birth)
}
