//! After a crash: what the intents say was under way (MERGE 7).

use super::check::{fits, same_but_ctime};
use super::delete::{is_the_one, parting};
use super::write::{discard, is_temporary};
use super::{SWEPT, Work};
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::id::Id;
use crate::mirror::Device;
use crate::mirror::overlay::Overlay;
use crate::mirror::scan::is_denied;
use crate::path::{RelPath, shell_word};
use crate::state::{Intent, Row, Seen, State, Table};
use crate::tree::Place;
use std::collections::BTreeMap;

/// Directories that were moved between a crash and the restart, and that are looked for at most; each is an open descriptor.
const MOVED: usize = 32;

/// Settles all intents, then removes temporaries that no intent names (only if the last application did not end, or the
/// database is new: then a value in it is missing). To be called before anything is compared. The share is judged by what the intents
/// say was on disk, so a user who edits or deletes between the crash and now is not overruled.
///
/// Errors: those of the database and of the disk; nothing may be compared then.
pub fn recover_intents<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    let intents = d.state.intents()?;
    let unended = d.state.value(SWEPT)?.is_none();
    if intents.is_empty() && !unended {
        return Ok(());
    }
    let nothing = |_: &Place| false;
    let mut w = Work::new(d, &nothing);
    let mut rest = unended;
    let moved = w.moved(&intents)?;
    for (number, intent) in intents {
        let dir = dir_of(&intent);
        rest |= w.settle(intent, moved.get(&dir)).map_err(|e| w.denied(dir, e))?;
        w.d.state.remove_intent(number)?;
        w.uncommitted += 1;
    }
    w.commit()?;
    if rest {
        w.sweep()?;
        w.d.state.set_value(SWEPT, Some(b"1"))?;
        w.commit()?;
    }
    Ok(())
}

/// The directory that an intent is about.
fn dir_of(intent: &Intent) -> Id {
    let (Intent::Put { row: Row { place, .. }, .. } | Intent::Delete { place, .. }) = intent;
    place.dir
}

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// The directories of intents that the user has moved since, with what was done in them: found by inode and time of
    /// birth. (Without that the inode may be another's by now, and what never stood in it would count as deleted there.)
    /// What is not found counts as removed: a deletion may come undone, or a needless copy come.
    fn moved(&mut self, intents: &[(u64, Intent)]) -> Result<BTreeMap<Id, F::Dir>> {
        let mut missing = BTreeMap::new();
        for (_, intent) in intents {
            let dir = dir_of(intent);
            if self.open(dir).map_err(|e| self.denied(dir, e))?.is_none()
                && let Some(seen) = Overlay::ANC.dir(&self.d.state, dir)?.and_then(|row| row.seen)
                && let Some(birth) = seen.birth
            {
                missing.insert((seen.ino, birth), dir);
            }
        }
        let mut found = BTreeMap::new();
        if !missing.is_empty() {
            self.walk(&mut |w, at, name, stat| {
                let id = stat.birth.and_then(|birth| missing.get(&(stat.ino, birth))).filter(|_| stat.kind == Kind::Dir);
                if let Some(id) = id.filter(|_| found.len() < MOVED)
                    && let Some(dir) = skip_failures(w.d.share.open_dir(at, name))?
                {
                    found.insert(*id, dir);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Settles one intent, in its directory or where that was `moved` to. True if something stays to be swept.
    fn settle(&mut self, intent: Intent, moved: Option<&F::Dir>) -> Result<bool> {
        let at = self.open(dir_of(&intent))?.or_else(|| moved.cloned());
        match intent {
            Intent::Put { temporary, row } => self.settle_put(at, &temporary, row),
            Intent::Delete { place, seen } => self.settle_delete(at, &place, &seen),
        }
    }

    /// What became of our own writes has to be known before anything is compared, else they would count as the user's. So a
    /// folder that may not be looked into or changed holds the round up; and it is named, with those that it lies in.
    fn denied(&self, dir: Id, e: Error) -> Error {
        if !is_denied(&e) {
            return e;
        }
        let state = &self.d.state;
        let row = Overlay::ANC.dir(state, dir).ok().flatten();
        let Some(path) = row.and_then(|row| Overlay::ANC.path(state, &row.place).ok().flatten()) else { return e };
        let (mut folder, mut command) = (RelPath::root(), "chmod u+rwx".to_string());
        for name in path.names() {
            folder = folder.join(&name);
            command = format!("{command} ~/share/{}", shell_word(&folder.to_string()));
        }
        e.at(path).detail("a sync was interrupted there; what became of it has to be seen first. nothing was changed").remedy("do", command)
    }

    /// Was this temporary put in its place? True if it stays to be swept: one that has gone while its intent stands was
    /// put there, so ours is not removed before the intent is, durably.
    fn settle_put(&mut self, at: Option<F::Dir>, temporary: &Place, mut row: Row) -> Result<bool> {
        let old = self.d.state.get(Table::Anc, &row.place)?;
        let Some(seen) = row.seen.clone() else { return Ok(false) };
        // The directory has gone: the user removed it, after or before our rename. What was put there comes back.
        let Some(at) = at else { return Ok(false) };
        let files = self.d.share.clone();
        let tmp = files.stat(&at, temporary.name.as_bytes())?;
        let there = files.stat(&at, row.place.name.as_bytes())?;
        let is = |s: &Stat, seen: &Seen| s.ino == seen.ino && s.birth == seen.birth;
        if let Some(s) = tmp.as_ref().filter(|s| is(s, &seen)) {
            // Not renamed yet: forget it.
            return self.forget(&at, temporary, &row.place, s, &seen);
        }
        let before = old.as_ref().and_then(|r| r.seen.as_ref());
        if tmp.is_some() {
            // Exchanged, and what came out was not yet looked at.
            let expected = tmp.as_ref().zip(before).is_some_and(|(s, seen)| same_but_ctime(s, seen));
            let ours = there.as_ref().is_some_and(|s| same_but_ctime(s, &seen));
            if !expected && ours && files.traits().exchange {
                // The user's own change: it goes back, ours goes.
                files.exchange(&at, temporary.name.as_bytes(), &at, row.place.name.as_bytes())?;
                self.touched(&at);
                return Ok(true);
            }
            let known: Vec<_> = before.into_iter().collect();
            if let Some(name) = discard(&files, &at, &temporary.name, &row.place.name, &known)? {
                self.saved(&row.place, &name)?;
            }
            self.touched(&at);
        } else if let (Some(old), Some(seen), Some(s)) = (&old, before, &there)
            && is(s, seen)
            && (s.birth.is_some() || fits(s, old))
        {
            // The old one stands there, perhaps with a change of the user's: the rename was lost with the power. (Without a
            // birth time its inode may be a new file's.)
            return Ok(false);
        }
        // It was renamed: the share has had it.
        if let (Some(s), Some(seen)) = (&there, &mut row.seen) {
            if same_but_ctime(s, seen) {
                seen.ctime = s.ctime;
            }
            seen.name = self.read_back(&at, &row.place)?;
        }
        // A kill is no power cut: the rename may not be durable yet, and is to be before the row is.
        self.touched(&at);
        self.put(&row)?;
        Ok(false)
    }

    /// Was this file removed? True if it stays, under a temporary's name, to be swept.
    fn settle_delete(&mut self, at: Option<F::Dir>, place: &Place, seen: &Seen) -> Result<bool> {
        let (mut stat, mut rest) = (None, false);
        if let Some(at) = at {
            self.touched(&at); // A kill is no power cut, here either.
            let parting = parting(seen);
            match self.d.share.stat(&at, parting.as_bytes())? {
                Some(s) if same_but_ctime(&s, seen) => rest = true,
                Some(_) => self.part_not(&at, &parting, place)?,
                None => {}
            }
            stat = self.d.share.stat(&at, place.name.as_bytes())?;
        }
        // Still there: the deletion is tried again. Else it was removed; what the user has put there since is a new file,
        // not an edit of the one that we removed.
        if !is_the_one(stat.as_ref(), seen) {
            self.remove(place)?;
        }
        Ok(rest)
    }

    /// A temporary of ours is not wanted: it is left to be swept (true), unless somebody has written to it.
    fn forget(&mut self, at: &F::Dir, temporary: &Place, place: &Place, s: &Stat, seen: &Seen) -> Result<bool> {
        if same_but_ctime(s, seen) {
            return Ok(true);
        }
        let saved = discard(&self.d.share.clone(), at, &temporary.name, &place.name, &[])?;
        self.touched(at);
        saved.map_or(Ok(()), |name| self.saved(place, &name))?;
        Ok(false)
    }

    /// Removes temporaries in all directories of the disk: the ancestor may be new, and know none of them.
    fn sweep(&mut self) -> Result<()> {
        self.walk(&mut |w, dir, name, stat| {
            if matches!(stat.kind, Kind::File | Kind::Link) && is_temporary(name) {
                skip_failures(w.d.share.unlink(dir, name))?;
                w.touched(dir); // Else a power cut could bring it back, when nobody looks for it any more.
            }
            Ok(())
        })
    }

    /// Calls `each` for all that is in the share: its directory, its name there, and what it is.
    fn walk(&mut self, each: &mut dyn FnMut(&mut Self, &F::Dir, &[u8], &Stat) -> Result<()>) -> Result<()> {
        let files = self.d.share.clone();
        // The directories on the way down, each with the names that are still to be looked at.
        let mut stack = vec![(files.root(), None::<Vec<Box<[u8]>>>)];
        while let Some((dir, names)) = stack.last_mut() {
            let names = match names {
                Some(names) => names,
                None => {
                    let list = skip_failures(files.list(dir))?.unwrap_or_default();
                    names.insert(list.into_iter().filter(|(_, k)| may_be_of_use(*k)).map(|(name, _)| name).collect())
                }
            };
            let Some(name) = names.pop() else {
                stack.pop();
                continue;
            };
            let dir = dir.clone();
            let Some(stat) = skip_failures(files.stat(&dir, &name))?.flatten() else { continue };
            each(self, &dir, &name, &stat)?;
            if stat.kind == Kind::Dir {
                stack.extend(skip_failures(files.open_dir(&dir, &name))?.map(|below| (below, None)));
            }
        }
        Ok(())
    }
}

/// Directories are walked, and files and links may be temporaries.
fn may_be_of_use(kind: Option<Kind>) -> bool {
    kind != Some(Kind::Other)
}

/// What cannot be read or removed stays: it is in nobody's way, and the scan says what is wrong with it. Only the death
/// of the device is passed on.
fn skip_failures<T>(r: std::io::Result<T>) -> Result<Option<T>> {
    match r.map_err(Error::from) {
        Err(e) if e.is_stopped() => Err(e),
        r => Ok(r.ok()),
    }
}
