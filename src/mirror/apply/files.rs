//! Files: which are renamed, which are written, and where only the ancestor changes.

use super::Work;
use super::check::{clean, same_but_ctime};
use super::dirs::Carried;
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::mirror::content::Opened;
use crate::mirror::overlay::Overlay;
use crate::state::{Row, RowNode, State, Table};
use crate::tree::merge::Same;
use crate::tree::planted::{self, Mistake};
use crate::tree::{Node, Place, Version};

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// One atomic step for a file that head has at a new place, and the ancestor at exactly one that goes away. What
    /// head changed in it besides is left to [`Work::replace`].
    pub(super) fn rename_file(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        let (None, Some(v)) = (anc, head.and_then(version)) else { return Ok(()) };
        let Some(from) = self.renamed_from(&v)? else { return Ok(()) };
        if (self.skip)(&from.place) {
            return Ok(());
        }
        let target = match self.carry(&from, place)? {
            Carried::To(target) => target,
            // A copy, and the old one is deleted once the new one stands.
            Carried::Across => return self.stage(place, &v, None),
            Carried::No => return Ok(()),
        };
        let mut row = Row { place: place.clone(), ..from.clone() };
        let name = self.read_back(&target, place)?;
        if let Some(seen) = &mut row.seen {
            // The rename has set the change time; it is taken over only if nothing else has changed.
            match self.d.share.stat(&target, place.name.as_bytes())? {
                Some(s) if same_but_ctime(&s, seen) => seen.ctime = s.ctime,
                _ => {}
            }
            seen.name = name;
        }
        self.remove(&from.place)?;
        self.put(&row)?;
        self.done += 1;
        self.commit_if_many()
    }

    /// The one row of the ancestor with this file's id whose place goes away, if head has the id at one place only.
    fn renamed_from(&self, v: &Version) -> Result<Option<Row>> {
        if planted::is(Mistake::NoApplyRename) || self.file_rows(Table::Head, v.id)?.len() != 1 {
            return Ok(None);
        }
        let mut going = Vec::new();
        for row in self.file_rows(Table::Anc, v.id)? {
            if !self.has_file(&row.place, v.id)? {
                going.push(row);
            }
        }
        Ok(going.pop().filter(|_| going.is_empty()))
    }

    /// True if a file of the ancestor would be renamed, but its new name is still free in the ancestor: then the
    /// rename could not be done, and the old name must not go before it. It does go where the new directory is not
    /// there yet: the file may be what stands in its way (`d` becomes `d/f`).
    pub(super) fn waits_for_rename(&self, row: &Row) -> Result<bool> {
        let Some(v) = row.here().and_then(Node::file) else { return Ok(false) };
        let [to] = &self.file_rows(Table::Head, v.id)?[..] else { return Ok(false) };
        let dir = to.place.dir;
        if self.d.state.get(Table::Anc, &to.place)?.is_some() || dir != Id::ROOT && Overlay::ANC.dir(&self.d.state, dir)?.is_none() {
            return Ok(false);
        }
        Ok(self.renamed_from(v)?.is_some_and(|from| from.place == row.place))
    }

    fn file_rows(&self, table: Table, id: Id) -> Result<Vec<Row>> {
        let mut rows = self.d.state.by_id(table, id)?;
        rows.retain(|r| r.here().is_some_and(|n| !n.is_dir()));
        Ok(rows)
    }

    fn has_file(&self, place: &Place, id: Id) -> Result<bool> {
        let row = self.d.state.get(Table::Head, place)?;
        Ok(row.as_ref().and_then(Row::here).and_then(Node::file).is_some_and(|v| v.id == id))
    }

    /// A file whose name is free.
    pub(super) fn create(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        self.create_if_free(place, anc, head, false)
    }

    /// The same after the deletions: what still stands in the way is nobody's that we know.
    pub(super) fn create_late(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        self.create_if_free(place, anc, head, true)
    }

    fn create_if_free(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>, late: bool) -> Result<()> {
        let (None, Some(v)) = (anc, head.and_then(version)) else { return Ok(()) };
        if self.renamed_from(&v)?.is_some() {
            return Ok(()); // A rename that could not be done: never the new name beside the old one.
        }
        let open = self.open(place.dir);
        let Some(Some(at)) = self.tolerate(place, open)? else { return Ok(()) };
        match self.tolerate(place, self.d.share.stat(&at, place.name.as_bytes()))? {
            Some(None) => self.stage(place, &v, None),
            Some(Some(_)) if late => {
                self.leave();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Another version under the same name.
    pub(super) fn replace(&mut self, place: &Place, anc: Option<Row>, head: Option<Row>) -> Result<()> {
        let (Some(row), Some(v)) = (anc, head.and_then(version)) else { return Ok(()) };
        let Some(old) = row.here().and_then(Node::file) else { return Ok(()) };
        if !self.only_the_row(old, &v)? {
            return self.stage(place, &v, Some(row));
        }
        let open = self.open(place.dir);
        let Some(Some(at)) = self.tolerate(place, open)? else { return Ok(()) };
        match self.tolerate(place, clean(&self.d.share.clone(), &at, &row))? {
            Some(true) => {
                self.put(&Row { node: RowNode::Here(Node::File(v)), ..row })?;
                self.done += 1;
                self.commit_if_many()
            }
            Some(false) => {
                self.leave();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// True if two versions look the same on disk: they differ only in id, writer, generation or how they are sealed.
    fn only_the_row(&self, old: &Version, new: &Version) -> Result<bool> {
        let looks = |v: &Version| (v.kind, v.size, v.mtime, v.exec, v.private);
        if looks(old) != looks(new) {
            return Ok(false);
        }
        if let Some(known) = old.same_plaintext(new) {
            return Ok(known);
        }
        match (Opened { git: &self.d.git, keys: &self.d.keys }).same(old, new) {
            Err(e) if e.is_stopped() => Err(e),
            // What cannot be compared is written: always right, and says what is wrong.
            r => Ok(r.unwrap_or(false)),
        }
    }
}

fn version(row: Row) -> Option<Version> {
    match row.node {
        RowNode::Here(Node::File(v)) => Some(v),
        _ => None,
    }
}
