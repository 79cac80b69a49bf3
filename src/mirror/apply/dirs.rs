//! Directories: moved whole, made, or given another id.

use super::super::names::fold;
use super::check::{clean, seen_of};
use super::{PAGE, Work};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::id::Id;
use crate::mirror::overlay::Overlay;
use crate::mirror::paths::{exact, lies_in};
use crate::path::Name;
use crate::state::{Row, RowNode, State, Table};
use crate::tree::planted::{self, Mistake};
use crate::tree::{Node, Place};
use std::io::ErrorKind;

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// Repeats until nothing more can be done; then names that another directory holds (a swap) are relabelled, too.
    /// It ends: each step makes one more directory's place equal to head's, and none less.
    pub(super) fn directories(&mut self) -> Result<()> {
        for relabel in [false, true] {
            loop {
                let before = self.done;
                self.pass(if relabel { Work::directory_late } else { Work::directory })?;
                if self.done == before {
                    break;
                }
            }
        }
        Ok(())
    }

    fn directory(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        match (anc, head.and_then(|h| dir_id(&h))) {
            (None, Some(id)) => self.bring(place, id),
            _ => Ok(()),
        }
    }

    pub(super) fn directory_late(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        match (anc, head.and_then(|h| dir_id(&h))) {
            (None, Some(id)) => self.bring(place, id),
            (Some(row), Some(id)) => match dir_id(&row) {
                Some(old) => self.relabel(row, old, id),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A directory whose name is free in the ancestor: moved from where it is, or made, and then all directories that
    /// head has in it.
    fn bring(&mut self, place: &Place, id: Id) -> Result<()> {
        if let Some(from) = self.found_elsewhere(place, id)? {
            return self.move_dir(&from, place, id);
        }
        // (Directory, the name up to which it is done); at most a page for each level.
        let mut stack: Vec<(Id, Option<Name>)> = Vec::new();
        if self.make(place, id)? {
            stack.push((id, None));
        }
        while let Some((dir, after)) = stack.pop() {
            let page = self.d.state.children(Table::Head, dir, after.as_ref(), PAGE)?;
            if let Some(last) = page.last() {
                stack.push((dir, Some(last.place.name.clone())));
            }
            for row in page {
                let Some(id) = dir_id(&row) else { continue };
                let free = self.d.state.get(Table::Anc, &row.place)?.is_none();
                let new = free && !self.stays(&row.place, true)? && self.found_elsewhere(&row.place, id)?.is_none();
                if new && self.make(&row.place, id)? {
                    stack.push((id, None));
                }
            }
        }
        Ok(())
    }

    /// The ancestor's row of a directory at another place.
    fn found_elsewhere(&self, place: &Place, id: Id) -> Result<Option<Row>> {
        if planted::is(Mistake::NoApplyRename) {
            return Ok(None);
        }
        Ok(Overlay::ANC.dir(&self.d.state, id)?.filter(|row| row.place != *place))
    }

    /// One rename of the whole directory, with everything in it.
    fn move_dir(&mut self, from: &Row, to: &Place, id: Id) -> Result<()> {
        if (self.skip)(&from.place) || lies_in(&self.d.state, to.dir, id)? {
            return Ok(());
        }
        let target = match self.carry(from, to)? {
            Carried::To(target) => target,
            // A mount point between the two: a new directory, and the files one by one.
            Carried::Across => return self.make(to, id).map(|_| ()),
            Carried::No => return Ok(()),
        };
        let mut row = Row { place: to.clone(), ..from.clone() };
        if let Some(seen) = &mut row.seen {
            seen.name = self.read_back(&target, to)?;
        }
        self.remove(&from.place)?;
        self.put(&row)?;
        self.paths.forget();
        self.done += 1;
        self.commit()
    }

    /// Renames what the ancestor has at one place to another whose name is free, if it is still what the ancestor says.
    pub(super) fn carry(&mut self, from: &Row, to: &Place) -> Result<Carried<F::Dir>> {
        if self.fresh {
            self.commit()?;
        }
        let open = self.open(from.place.dir);
        let Some(Some(source)) = self.tolerate(&from.place, open)? else { return Ok(Carried::No) };
        let open = self.open(to.dir);
        let Some(Some(target)) = self.tolerate(to, open)? else { return Ok(Carried::No) };
        let files = self.d.share.clone();
        match self.tolerate(&from.place, clean(&files, &source, from))? {
            Some(true) => {}
            Some(false) => {
                self.leave();
                return Ok(Carried::No);
            }
            None => return Ok(Carried::No),
        }
        let (old, new) = (from.place.name.as_bytes(), to.name.as_bytes());
        // `rename_noreplace` takes another spelling of one entry for an entry in the way. Not all directories of a disk
        // fold names (ext4 can for some only): it is one entry only if the disk says so.
        let one_entry = match self.folds_alike(&from.place, to) {
            true => self.tolerate(to, same_entry(&files, &source, old, new))?,
            false => Some(false),
        };
        let Some(one_entry) = one_entry else { return Ok(Carried::No) };
        let moved = match one_entry {
            true => files.rename(&source, old, &target, new),
            false => files.rename_noreplace(&source, old, &target, new),
        };
        match moved {
            Ok(()) => {
                self.touched(&source);
                self.touched(&target);
                Ok(Carried::To(target))
            }
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                self.leave();
                Ok(Carried::No)
            }
            Err(e) if e.kind() == ErrorKind::CrossesDevices => Ok(Carried::Across),
            Err(e) => self.report(to, e.into()).map(|()| Carried::No),
        }
    }

    /// Makes a directory, or takes the one that is there already under this name.
    fn make(&mut self, place: &Place, id: Id) -> Result<bool> {
        let open = self.open(place.dir);
        let Some(Some(at)) = self.tolerate(place, open)? else { return Ok(false) };
        let files = self.d.share.clone();
        let name = place.name.as_bytes();
        let Some(there) = self.tolerate(place, files.stat(&at, name))? else { return Ok(false) };
        let stat = match there {
            Some(stat) => {
                let same_name = self.tolerate(place, exact(&files, &at, name))?;
                (stat.kind == Kind::Dir && same_name == Some(true)).then_some(stat)
            }
            None => {
                if !self.room(place, 0)? || self.tolerate(place, files.mkdir(&at, name, 0o777))?.is_none() {
                    return Ok(false);
                }
                self.touched(&at);
                self.fresh = true;
                files.stat(&at, name)?.filter(|s| s.kind == Kind::Dir)
            }
        };
        let Some(stat) = stat else {
            self.leave();
            return Ok(false);
        };
        let mut seen = seen_of(&stat);
        seen.name = self.read_back(&at, place)?;
        self.set_dir(place, id, Some(seen))?;
        self.done += 1;
        self.commit_if_many()?;
        Ok(true)
    }

    /// Another directory of the ancestor has the name and cannot leave first: its row takes the new id, and what is in
    /// it is moved one by one.
    fn relabel(&mut self, row: Row, old: Id, id: Id) -> Result<()> {
        let open = self.open(row.place.dir);
        let Some(Some(at)) = self.tolerate(&row.place, open)? else { return Ok(()) };
        if self.tolerate(&row.place, clean(&self.d.share.clone(), &at, &row))? != Some(true) {
            self.leave();
            return Ok(());
        }
        self.set_dir(&row.place, id, row.seen.clone())?;
        self.rekey(old, id)?;
        // Places that were equal may differ now.
        self.few = None;
        self.done += 1;
        self.commit()
    }

    /// Sets a directory's row; another row that has its id gets a fresh one in the same transaction, and with it the
    /// rows of what it holds: the ancestor holds no directory twice.
    fn set_dir(&mut self, place: &Place, id: Id, seen: Option<crate::state::Seen>) -> Result<()> {
        for mut row in self.d.state.by_id(Table::Anc, id)? {
            if row.place == *place || dir_id(&row).is_none() || planted::is(Mistake::SecondDirectoryId) {
                continue;
            }
            let mut fresh = Id::default();
            self.d.random.fill(&mut fresh.0)?;
            row.node = RowNode::Here(Node::Dir { id: fresh, tree: Default::default() });
            self.put(&row)?;
            self.rekey(id, fresh)?;
            self.few = None;
        }
        self.paths.forget();
        self.put(&Row { place: place.clone(), node: RowNode::Here(Node::Dir { id, tree: Default::default() }), seen })
    }

    /// Puts the rows of one directory under another id.
    fn rekey(&mut self, from: Id, to: Id) -> Result<()> {
        loop {
            let rows = self.d.state.children(Table::Anc, from, None, PAGE)?;
            if rows.is_empty() {
                return Ok(());
            }
            for mut row in rows {
                self.remove(&row.place)?;
                row.place.dir = to;
                self.put(&row)?;
            }
        }
    }

    /// True if one directory entry is meant by both places: a change of case or of normal form only.
    fn folds_alike(&self, a: &Place, b: &Place) -> bool {
        let traits = self.d.share.traits();
        a.dir == b.dir && (traits.folds_case || traits.folds_form) && fold(&a.name, &traits) == fold(&b.name, &traits)
    }

    /// The name as the disk gives it back, if that is not the name that was asked for (normal forms).
    pub(super) fn read_back(&mut self, dir: &F::Dir, place: &Place) -> Result<Option<Name>> {
        let traits = self.d.share.traits();
        if !traits.folds_form || exact(&self.d.share, dir, place.name.as_bytes())? {
            return Ok(None);
        }
        let want = fold(&place.name, &traits);
        let names = self.d.share.list(dir)?.into_iter().filter_map(|(name, _)| Name::new(name));
        Ok(names.into_iter().find(|name| fold(name, &traits) == want))
    }
}

/// What became of a rename.
pub(super) enum Carried<D> {
    /// Done, into this directory.
    To(D),
    /// A mount point is between the two.
    Across,
    /// Left as it is, for the next round.
    No,
}

/// True if two names of a directory lead to one inode, and no other entry is replaced by a rename between them.
fn same_entry<F: Files>(files: &F, dir: &F::Dir, a: &[u8], b: &[u8]) -> std::io::Result<bool> {
    let (Some(x), Some(y)) = (files.stat(dir, a)?, files.stat(dir, b)?) else { return Ok(false) };
    Ok(x.ino == y.ino)
}

/// The id, if a row is of a directory.
fn dir_id(row: &Row) -> Option<Id> {
    match row.here()? {
        Node::Dir { id, .. } => Some(*id),
        Node::File(_) => None,
    }
}
