//! After a crash: what the intents say was under way (MERGE 7).

use super::check::{fits, same_but_ctime};
use super::delete::is_the_one;
use super::write::{discard, is_temporary};
use super::{LITTER, PAGE, Work};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::id::Id;
use crate::mirror::Device;
use crate::path::Name;
use crate::state::{Intent, Row, State, Table};
use crate::tree::{Node, Place};

/// Settles all intents, then removes temporaries that no intent names (only after an application that did not end: a
/// value in the database says so). To be called before anything is compared. The share is judged by what the intents
/// say was on disk, so a user who edits or deletes between the crash and now is not overruled.
///
/// Errors: those of the database and of the disk; nothing may be compared then.
pub fn recover_intents<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    let intents = d.state.intents()?;
    let unended = d.state.value(LITTER)?.is_some();
    if intents.is_empty() && !unended {
        return Ok(());
    }
    let nothing = |_: &Place| false;
    let mut w = Work::new(d, &nothing);
    for (number, intent) in intents {
        match intent {
            Intent::Put { temporary, row } => w.settle_put(&temporary, row)?,
            Intent::Delete { place, seen } => {
                let stat = match w.open(place.dir)? {
                    Some(at) => w.d.share.stat(&at, place.name.as_bytes())?,
                    None => None,
                };
                // Still there: the deletion is tried again. Else it was removed; what the user has put there since is
                // a new file, not an edit of the one that we removed.
                if !is_the_one(stat.as_ref(), &seen) {
                    w.remove(&place)?;
                }
            }
        }
        w.d.state.remove_intent(number)?;
        w.uncommitted += 1;
    }
    w.commit()?;
    if unended {
        w.remove_litter()?;
        w.d.state.set_value(LITTER, None)?;
        w.commit()?;
    }
    Ok(())
}

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// Was this temporary put in its place?
    fn settle_put(&mut self, temporary: &Place, mut row: Row) -> Result<()> {
        let old = self.d.state.get(Table::Anc, &row.place)?;
        let Some(seen) = row.seen.clone() else { return Ok(()) };
        // The directory is not where it was: it was moved or removed by the user, after or before our rename. The scan
        // finds what is there by its inode; the row as it is makes at most a needless copy of it.
        let Some(at) = self.open(row.place.dir)? else { return Ok(()) };
        let files = self.d.share.clone();
        let tmp = files.stat(&at, temporary.name.as_bytes())?;
        let there = files.stat(&at, row.place.name.as_bytes())?;
        let is_new = |s: &crate::files::Stat| s.ino == seen.ino && s.birth == seen.birth;
        if tmp.as_ref().is_some_and(is_new) {
            // Not renamed yet: forget it.
            let saved = discard(&files, &at, &temporary.name, &row.place.name, &[&seen])?;
            self.touched(&at);
            return saved.map_or(Ok(()), |name| self.saved(&row.place, &name));
        }
        if tmp.is_some() {
            // Exchanged, and what came out was not yet looked at.
            let before = old.as_ref().and_then(|r| r.seen.as_ref());
            let expected = tmp.as_ref().zip(before).is_some_and(|(s, seen)| same_but_ctime(s, seen));
            let ours = there.as_ref().is_some_and(|s| same_but_ctime(s, &seen));
            if !expected && ours && files.traits().exchange {
                // The user's own change: it goes back, ours goes.
                files.exchange(&at, temporary.name.as_bytes(), &at, row.place.name.as_bytes())?;
                self.touched(&at);
                let saved = discard(&files, &at, &temporary.name, &row.place.name, &[&seen])?;
                return saved.map_or(Ok(()), |name| self.saved(&row.place, &name));
            }
            let known: Vec<_> = before.into_iter().collect();
            if let Some(name) = discard(&files, &at, &temporary.name, &row.place.name, &known)? {
                self.saved(&row.place, &name)?;
            }
            self.touched(&at);
        } else if old.as_ref().zip(there.as_ref()).is_some_and(|(old, s)| fits(s, old)) {
            return Ok(()); // The old one stands there, unchanged: the rename was lost with the power.
        }
        // It was renamed: the share has had it.
        if let (Some(s), Some(seen)) = (&there, &mut row.seen) {
            if same_but_ctime(s, seen) {
                seen.ctime = s.ctime;
            }
            seen.name = self.read_back(&at, &row.place)?;
        }
        self.put(&row)
    }

    /// Removes temporaries in all directories that the ancestor knows.
    fn remove_litter(&mut self) -> Result<()> {
        self.remove_litter_in(Id::ROOT)?;
        let mut after: Option<Place> = None;
        loop {
            let page = self.d.state.rows(Table::Anc, after.as_ref(), PAGE)?;
            for row in &page {
                if let Some(Node::Dir { id, .. }) = row.here() {
                    self.remove_litter_in(*id)?;
                }
            }
            match page.into_iter().last() {
                Some(row) => after = Some(row.place),
                None => return Ok(()),
            }
        }
    }

    fn remove_litter_in(&mut self, id: Id) -> Result<()> {
        let place = Place { dir: id, name: Name::new(*b"temporary files").expect("a name") };
        let open = self.open(id);
        let Some(Some(at)) = self.tolerate(&place, open)? else { return Ok(()) };
        let files = self.d.share.clone();
        let Some(names) = self.tolerate(&place, files.list(&at))? else { return Ok(()) };
        for (name, _) in names {
            if is_temporary(&name) && files.stat(&at, &name)?.is_some_and(|s| matches!(s.kind, Kind::File | Kind::Link)) {
                let gone = files.unlink(&at, &name);
                self.tolerate(&place, gone)?;
            }
        }
        Ok(())
    }
}
