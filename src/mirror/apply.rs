//! The share becomes head's tree (MERGE 7).
//!
//! What is about to be replaced, renamed or removed must be what the ancestor says it is; what is not is left as it is,
//! with its row, and the next round merges it. Order: directories; renames of files; creations whose name is free;
//! replacements; deletions; then, once more, directories and creations that had to wait for a deletion.
//!
//! Each step is a pass over the places at which ancestor and head differ. Where these are few, they are kept in memory,
//! and the tables are compared once; else each pass compares them anew, a page at a time. A pass sees each place at
//! most once and in order, so it ends whatever it changes.
//!
//! Durability goes by batch: temporaries are written, one sync, their intents are committed, each is rechecked and
//! renamed, the directories are synced, and one transaction takes the rows in and the intents out. Steps without
//! intents (directories, renames of files) are synced before their rows are committed; a crash between the two shows
//! the next scan what it takes for a rename by the user, which is what head says, too.

mod check;
mod delete;
mod dirs;
mod files;
mod recover;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use check::{clean, same_but_ctime, seen_of};
pub use recover::recover_intents;
pub(crate) use write::{discard, temporary};

use super::names::HeldBack;
use super::overlay::Overlay;
use super::paths::Paths;
use super::{Device, Full, Problem};
use crate::clock::{Clock, Random};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::id::Id;
use crate::mirror::progress;
use crate::path::Name;
use crate::state::{Row, State, Table, key};
use crate::tree::{Node, Place};
use std::rc::Rc;
use write::Staged;

/// Rows that are fetched at a time.
const PAGE: usize = 256;
/// Up to this many differing places are kept in memory.
const FEW: usize = 4096;
/// Rows in one transaction.
const BATCH: usize = 256;
/// Plaintext in one batch, in bytes.
const BATCH_BYTES: u64 = 16 << 20;
/// Directories that wait for their sync at most; each is an open descriptor.
const UNSYNCED: usize = 64;
/// Paths that are reported by name at most; the rest is a number.
const NAMED: u64 = 200;

/// The value that is present while no temporary lies in the share that no intent names. Absent in a new database: the
/// one before it may have been lost in the middle of something.
const SWEPT: &str = "swept";

/// Says durably that a temporary may lie in the share, so that one that a crash leaves there is swept by the next round.
/// To be called before one is written that no intent will name.
///
/// Errors: those of the database.
pub(crate) fn will_litter<S: State>(state: &mut S) -> Result<()> {
    if state.value(SWEPT)?.is_some() {
        state.set_value(SWEPT, None)?;
        state.commit()?;
    }
    Ok(())
}

/// What an application did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Places brought about, in the share or only in the ancestor.
    pub done: u64,
    /// Places that still differ: held back, skipped, or not as expected.
    pub left: u64,
}

/// Makes the share equal to the table `Head`, less what a folding disk cannot show and what `skip` names. Sets
/// [`key::EVEN`] if nothing differs any more, else removes it. With [`key::EVEN`] set there is nothing to do: whoever
/// changes `Head` removes it.
///
/// Errors: those of the database, and the death of a simulated device. What fails for one path is reported in
/// `d.report`, and the rest goes on.
pub fn apply<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, skip: &dyn Fn(&Place) -> bool) -> Result<Applied> {
    if d.state.value(key::EVEN)?.is_some() {
        return Ok(Applied::default());
    }
    let mut w = Work::new(d, skip);
    w.find_few()?;
    w.d.settings.progress.expect(progress::Step::Decrypting, || w.left().map(|files| (files, 0)))?;
    w.quiet = true;
    w.directories()?;
    w.pass(Work::rename_file)?;
    w.pass(Work::create)?;
    w.quiet = false;
    w.pass(Work::replace)?;
    w.pass(Work::delete_file)?;
    w.pass(Work::delete_dir)?;
    w.quiet = true;
    w.directories()?;
    w.quiet = false;
    w.pass(Work::directory_late)?;
    w.pass(Work::rename_file)?;
    w.pass(Work::create_late)?;
    w.finish()
}

/// A step of a pass: a place, the ancestor's row and head's.
type Step<'a, F, S, C, R> = fn(&mut Work<'a, F, S, C, R>, &Place, Option<Row>, Option<Row>) -> Result<()>;

/// An application under way.
pub(crate) struct Work<'a, F: Files, S: State, C: Clock, R: Random> {
    d: &'a mut Device<F, S, C, R>,
    skip: &'a dyn Fn(&Place) -> bool,
    paths: Paths<F>,
    held: HeldBack,
    /// All places that may differ, if they are few.
    few: Option<Rc<[Place]>>,
    /// Temporaries of this batch and their bytes.
    staged: Vec<Staged>,
    staged_bytes: u64,
    /// Temporaries of ours that were not put in their places.
    unwanted: Vec<(F::Dir, Name)>,
    /// Deletions of this batch.
    doomed: Vec<Row>,
    /// Directories whose entries have changed since the last commit.
    unsynced: Vec<F::Dir>,
    /// Directories were made since then. What is moved into one before it is durable could go with it.
    fresh: bool,
    /// Rows since the last commit.
    uncommitted: usize,
    /// The value [`SWEPT`] is removed durably.
    flagged: bool,
    /// A temporary may have stayed: the value does not come back.
    litter: bool,
    /// Free bytes as last asked, less what was written since.
    free: Option<u64>,
    /// What fails now is tried again later, and reported then.
    quiet: bool,
    done: u64,
    problems: u64,
}

impl<'a, F: Files, S: State, C: Clock, R: Random> Work<'a, F, S, C, R> {
    fn new(d: &'a mut Device<F, S, C, R>, skip: &'a dyn Fn(&Place) -> bool) -> Self {
        Work {
            d,
            skip,
            paths: Paths::default(),
            held: HeldBack::default(),
            few: None,
            staged: Vec::new(),
            staged_bytes: 0,
            unwanted: Vec::new(),
            doomed: Vec::new(),
            unsynced: Vec::new(),
            fresh: false,
            uncommitted: 0,
            flagged: false,
            litter: false,
            free: None,
            quiet: false,
            done: 0,
            problems: 0,
        }
    }

    /// Fetches all differing places, if they are few.
    fn find_few(&mut self) -> Result<()> {
        let places = self.d.state.differences(Table::Anc, Table::Head, None, FEW + 1)?;
        if places.len() <= FEW {
            self.few = Some(places.into_iter().map(|(place, _, _)| place).collect());
        }
        Ok(())
    }

    /// Calls `step` for every place that differs and is not skipped or held back, then ends the batch.
    fn pass(&mut self, step: Step<'a, F, S, C, R>) -> Result<()> {
        if let Some(few) = self.few.clone() {
            for place in few.iter() {
                self.one(place, step)?;
            }
            return self.flush();
        }
        let mut after: Option<Place> = None;
        loop {
            let page = self.d.state.differences(Table::Anc, Table::Head, after.as_ref(), PAGE)?;
            for (place, _, _) in &page {
                self.one(place, step)?;
            }
            match page.into_iter().last() {
                Some((place, _, _)) => after = Some(place),
                None => return self.flush(),
            }
        }
    }

    /// The rows are read anew: an earlier step of this pass may have changed them.
    fn one(&mut self, place: &Place, step: Step<'a, F, S, C, R>) -> Result<()> {
        let anc = self.d.state.get(Table::Anc, place)?;
        let head = self.d.state.get(Table::Head, place)?;
        if !differ(anc.as_ref(), head.as_ref()) || self.stays(place, head.is_some())? {
            return Ok(());
        }
        step(self, place, anc, head)
    }

    /// True if a place must be left as it is: skipped, or a name of head that this disk cannot show.
    fn stays(&mut self, place: &Place, in_head: bool) -> Result<bool> {
        if (self.skip)(place) {
            return Ok(true);
        }
        Ok(in_head && self.held.is(&self.d.state, &self.d.share.traits(), place)?)
    }

    /// An open directory of the share; `None` (and another round) if it is not where the ancestor says.
    fn open(&mut self, dir: Id) -> Result<Option<F::Dir>> {
        self.paths.open(&self.d.share, &self.d.state, dir)
    }

    /// Sets a row of the ancestor.
    fn put(&mut self, row: &Row) -> Result<()> {
        self.uncommitted += 1;
        self.d.state.put(Table::Anc, row)
    }

    /// Removes a row of the ancestor.
    fn remove(&mut self, place: &Place) -> Result<()> {
        self.uncommitted += 1;
        self.d.state.remove(Table::Anc, place)
    }

    /// A directory whose entries have changed: synced before the next commit.
    fn touched(&mut self, dir: &F::Dir) {
        self.unsynced.push(dir.clone());
    }

    /// Commits if the batch is full. Only between steps: what is on disk and what is in the rows must fit.
    fn commit_if_many(&mut self) -> Result<()> {
        if self.uncommitted >= BATCH || self.unsynced.len() >= UNSYNCED { self.commit() } else { Ok(()) }
    }

    /// Makes the steps so far durable, then their rows.
    fn commit(&mut self) -> Result<()> {
        self.sync_dirs()?;
        self.uncommitted = 0;
        self.d.state.commit()
    }

    fn sync_dirs(&mut self) -> Result<()> {
        let dirs = std::mem::take(&mut self.unsynced);
        self.fresh = false;
        if dirs.len() > 8 && !cfg!(target_os = "macos") {
            return Ok(self.d.share.sync_all()?);
        }
        for dir in &dirs {
            match self.d.share.sync_dir(dir) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                r => r?,
            }
        }
        Ok(())
    }

    /// Ends the batch: what is staged is renamed, what is doomed removed, all of it committed.
    fn flush(&mut self) -> Result<()> {
        self.flush_staged()?;
        self.flush_doomed()?;
        match self.uncommitted > 0 || !self.unsynced.is_empty() {
            true => self.commit(),
            false => Ok(()),
        }
    }

    /// Counts what is left, and remembers if that is nothing.
    fn finish(mut self) -> Result<Applied> {
        self.flush()?;
        let left = self.left()?;
        self.d.state.set_value(key::EVEN, (left == 0).then_some(b"1"))?;
        if self.flagged && !self.litter {
            self.d.state.set_value(SWEPT, Some(b"1"))?;
        }
        self.d.state.commit()?;
        if self.problems > NAMED {
            let what = format!("{} more paths could not be brought about here", self.problems - NAMED);
            self.d.report.problems.push(Problem { path: None, what, remedy: None, note: false });
        }
        Ok(Applied { done: self.done, left })
    }

    fn left(&self) -> Result<u64> {
        let (mut left, mut after) = (0, None);
        loop {
            let page = self.d.state.differences(Table::Anc, Table::Head, after.as_ref(), PAGE)?;
            left += page.len() as u64;
            match page.into_iter().last() {
                Some((place, _, _)) => after = Some(place),
                None => return Ok(left),
            }
        }
    }

    /// Something is not as expected: its row stays, and the next round looks again.
    fn leave(&mut self) {
        self.d.report.again = true;
    }

    /// Reports a failure of one path and goes on; only the end of this device (or of the process) is passed on.
    fn report(&mut self, place: &Place, e: Error) -> Result<()> {
        match e.kind() {
            Kind::Stopped => return Err(e),
            Kind::Raced => {
                self.leave();
                return Ok(());
            }
            _ if self.quiet => return Ok(()),
            Kind::Full => return self.waits(place),
            _ => {}
        }
        self.problems += 1;
        if self.problems > NAMED {
            return Ok(());
        }
        let path = match Overlay::HEAD.path(&self.d.state, place)? {
            Some(path) => Some(path),
            None => Overlay::ANC.path(&self.d.state, place)?,
        };
        let what = match e.kind() {
            Kind::Integrity(_) => format!("not taken over: {e}"),
            _ => format!("cannot be changed here: {e}"),
        };
        let remedy = e.remedies().first().map(|r| r.command.clone());
        self.d.report.problems.push(Problem { path, what, remedy, note: false });
        Ok(())
    }

    /// A place for which there is no room, with all the files of a folder: the next round tries again.
    fn waits(&mut self, place: &Place) -> Result<()> {
        let free = self.free.map_or_else(|| self.d.share.free(), Ok).unwrap_or(0);
        let kept = self.d.settings.min_free;
        let full = self.d.report.full.get_or_insert(Full { free, kept, ..Full::default() });
        let state = &self.d.state;
        let mut todo: Vec<Row> = state.get(Table::Head, place)?.into_iter().collect();
        while let Some(row) = todo.pop() {
            match row.here() {
                Some(Node::Dir { id, .. }) => todo.extend(Overlay::HEAD.list(state, *id)?),
                Some(Node::File(v)) => {
                    full.files += 1;
                    full.bytes = full.bytes.saturating_add(v.size);
                    if full.files <= NAMED {
                        full.named.extend(Overlay::HEAD.path(state, &row.place)?.map(|path| (path, v.size)));
                    }
                }
                None => {}
            }
        }
        full.named.sort();
        Ok(())
    }

    /// The value, or its failure reported.
    fn tolerate<T>(&mut self, place: &Place, r: Result<T, impl Into<Error>>) -> Result<Option<T>> {
        match r {
            Ok(v) => Ok(Some(v)),
            Err(e) => self.report(place, e.into()).map(|()| None),
        }
    }

    /// True if `bytes` more may be written; else what waits is reported.
    fn room(&mut self, place: &Place, bytes: u64) -> Result<bool> {
        let free = match self.free {
            Some(free) => free,
            None => self.d.share.free()?,
        };
        let rest = free.checked_sub(bytes).filter(|rest| *rest >= self.d.settings.min_free);
        self.free = Some(rest.unwrap_or(free));
        if rest.is_none() {
            self.report(place, Error::new(Kind::Full, "no space left"))?;
        }
        Ok(rest.is_some())
    }
}

/// True if two rows say different things of their place.
fn differ(anc: Option<&Row>, head: Option<&Row>) -> bool {
    match (anc.and_then(Row::here), head.and_then(Row::here)) {
        (None, None) => false,
        (Some(Node::Dir { id: a, .. }), Some(Node::Dir { id: b, .. })) => a != b,
        (Some(a), Some(b)) => a != b,
        _ => true,
    }
}
