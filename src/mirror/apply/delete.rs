//! Deletions: files in batches, with intents; directories when they are empty.

use super::check::{clean, same_but_ctime};
use super::write::{discard, temporary_name};
use super::{BATCH, Work};
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::id::Id;
use crate::mirror::Problem;
use crate::mirror::overlay::Overlay;
use crate::path::Name;
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
        self.flag()?;
        let mut numbers = Vec::with_capacity(doomed.len());
        for row in &doomed {
            let intent = row.seen.clone().map(|seen| Intent::Delete { place: row.place.clone(), seen });
            let intent = intent.filter(|_| !planted::is(Mistake::NoIntents));
            numbers.push(intent.map(|i| self.d.state.add_intent(&i)).transpose()?);
        }
        self.commit()?;
        for (row, number) in doomed.into_iter().zip(numbers) {
            let gone = self.unlink(&row);
            match self.tolerate(&row.place, gone)? {
                Some(true) => {
                    self.remove(&row.place)?;
                    self.done += 1;
                }
                Some(false) => self.leave(),
                // How far it came is not known: the intent stays, and the next round settles it.
                None => continue,
            }
            if let Some(n) = number {
                self.d.state.remove_intent(n)?;
            }
        }
        self.free = None;
        self.commit()
    }

    /// Removes a file that is what the ancestor says. It goes under a temporary's name first and is looked at once more
    /// there, where nobody who uses its own name reaches it: what was written after the first look goes back.
    fn unlink(&mut self, row: &Row) -> Result<bool> {
        let Some(at) = self.open(row.place.dir)? else { return Ok(false) };
        let files = self.d.share.clone();
        let blind = planted::is(Mistake::NoRecheck);
        if !blind && !clean(&files, &at, row)? {
            return Ok(false);
        }
        let Some(seen) = &row.seen else { return Ok(false) };
        let parting = parting(seen);
        match files.rename_noreplace(&at, row.place.name.as_bytes(), &at, parting.as_bytes()) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                self.litter = true; // It is swept, and then there is room.
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        }
        self.touched(&at);
        // RACE: what is written through a descriptor that was open before, between this look and the removal
        // (microseconds), goes with it.
        match files.stat(&at, parting.as_bytes())? {
            Some(s) if blind || same_but_ctime(&s, seen) => {}
            _ => {
                self.part_not(&at, &parting, &row.place)?;
                return Ok(false);
            }
        }
        files.unlink(&at, parting.as_bytes())?;
        Ok(true)
    }

    /// What was to be removed is somebody's data: it goes back to its place, or, if that is taken, beside it.
    pub(super) fn part_not(&mut self, at: &F::Dir, parting: &Name, place: &Place) -> Result<()> {
        let files = self.d.share.clone();
        match files.rename_noreplace(at, parting.as_bytes(), at, place.name.as_bytes()) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let saved = discard(&files, at, parting, &place.name, &[])?;
                saved.map_or(Ok(()), |name| self.saved(place, &name))
            }
            Err(e) => Err(Error::from(e)),
        }
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

/// The name under which a file is removed: that of a temporary, found again from the intent after a crash.
pub(super) fn parting(seen: &Seen) -> Name {
    temporary_name(seen.ino)
}

/// True if what stands there may be what a deletion was to remove: this inode and birth time.
pub(super) fn is_the_one(now: Option<&crate::files::Stat>, seen: &Seen) -> bool {
    now.is_some_and(|s| s.ino == seen.ino && s.birth == seen.birth)
}
