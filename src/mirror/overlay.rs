//! A tree in the state database read through differences: `Scan` over `Anc` is the share as scanned, `Next` over
//! `Head` the tree that secure is being brought to.

use crate::error::{Class, Error, Result};
use crate::id::Id;
use crate::path::RelPath;
use crate::state::{Row, State, Table};
use crate::tree::Place;

/// How many rows are fetched at a time.
const PAGE: usize = 256;

/// Deeper than any tree that is written: a longer climb means that directories lie in each other.
const DEEPEST: usize = 100_000;

/// Refuses a climb from `id` that has come to this many steps.
pub(super) fn check_depth(depth: usize, id: Id) -> Result<()> {
    match depth > DEEPEST {
        true => Err(Error::integrity(Class::Form, format!("directory {id} lies in itself"))),
        false => Ok(()),
    }
}

/// A durable table seen through a scratch table of differences; without one, the table as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    base: Table,
    scratch: Option<Table>,
}

impl Overlay {
    /// The share as scanned.
    pub const SCANNED: Overlay = Overlay { base: Table::Anc, scratch: Some(Table::Scan) };
    /// The tree that is being brought about.
    pub const NEXT: Overlay = Overlay { base: Table::Head, scratch: Some(Table::Next) };
    /// The ancestor alone.
    pub const ANC: Overlay = Overlay { base: Table::Anc, scratch: None };
    /// Head alone.
    pub const HEAD: Overlay = Overlay { base: Table::Head, scratch: None };

    /// The row at a place, never a tombstone.
    pub fn get<S: State>(&self, state: &S, place: &Place) -> Result<Option<Row>> {
        if let Some(scratch) = self.scratch
            && let Some(row) = state.get(scratch, place)?
        {
            return Ok(row.here().is_some().then_some(row));
        }
        state.get(self.base, place)
    }

    /// All rows with this id.
    pub fn by_id<S: State>(&self, state: &S, id: Id) -> Result<Vec<Row>> {
        let Some(scratch) = self.scratch else { return state.by_id(self.base, id) };
        let mut rows = state.by_id(scratch, id)?;
        rows.retain(|r| r.here().is_some());
        for row in state.by_id(self.base, id)? {
            if state.get(scratch, &row.place)?.is_none() {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The place of a directory; `None` if the tree has no such directory. The root has no place: ask before.
    pub fn dir<S: State>(&self, state: &S, id: Id) -> Result<Option<Row>> {
        Ok(self.by_id(state, id)?.into_iter().find(|r| r.here().is_some_and(|n| n.is_dir())))
    }

    /// The directories from the root down to `id`, each as its row; empty for the root, `None` if it is not there.
    pub fn climb<S: State>(&self, state: &S, id: Id) -> Result<Option<Vec<Row>>> {
        let mut up = Vec::new();
        let mut at = id;
        while at != Id::ROOT {
            let Some(row) = self.dir(state, at)? else { return Ok(None) };
            at = row.place.dir;
            up.push(row);
            check_depth(up.len(), id)?;
        }
        up.reverse();
        Ok(Some(up))
    }

    /// The path of a place, as far as it can be told; for messages and for walking.
    pub fn path<S: State>(&self, state: &S, place: &Place) -> Result<Option<RelPath>> {
        let Some(up) = self.climb(state, place.dir)? else { return Ok(None) };
        let dirs = up.iter().fold(RelPath::root(), |p, r| p.join(&r.place.name));
        Ok(Some(dirs.join(&place.name)))
    }

    /// Calls `each` for every row of a directory in order of names. `each` must not change the tables.
    pub fn children<S: State>(&self, state: &S, dir: Id, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut rows = self.within(dir);
        while let Some(row) = rows.next(state)? {
            each(row)?;
        }
        Ok(())
    }

    /// The rows of a directory in order of names, one after another.
    pub fn within(&self, dir: Id) -> Within {
        let over = self.scratch.map(|scratch| Rows::within(scratch, dir));
        Within { base: Rows::within(self.base, dir), over, next: None }
    }

    /// The rows of a directory, all at once.
    pub fn list<S: State>(&self, state: &S, dir: Id) -> Result<Vec<Row>> {
        let mut out = Vec::new();
        self.children(state, dir, |r| {
            out.push(r);
            Ok(())
        })?;
        Ok(out)
    }

    /// True if a directory holds nothing.
    pub fn is_empty<S: State>(&self, state: &S, dir: Id) -> Result<bool> {
        let mut base = Rows::within(self.base, dir);
        while let Some(row) = base.next(state)? {
            match self.scratch {
                Some(scratch) if state.get(scratch, &row.place)?.is_some() => {}
                _ => return Ok(false),
            }
        }
        let Some(scratch) = self.scratch else { return Ok(true) };
        let mut over = Rows::within(scratch, dir);
        while let Some(row) = over.next(state)? {
            if row.here().is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The rows of a table in order of places, a page at a time; the table may change between two rows, but not the order
/// of what is still to come.
pub struct Rows {
    table: Table,
    dir: Option<Id>,
    page: std::vec::IntoIter<Row>,
    last: Option<Place>,
    done: bool,
}

impl Rows {
    /// All rows of a table.
    pub fn of(table: Table) -> Rows {
        Rows { table, dir: None, page: Vec::new().into_iter(), last: None, done: false }
    }

    /// Those of one directory.
    fn within(table: Table, dir: Id) -> Rows {
        Rows { dir: Some(dir), ..Rows::of(table) }
    }

    /// The next row.
    pub fn next<S: State>(&mut self, state: &S) -> Result<Option<Row>> {
        if let Some(row) = self.page.next() {
            return Ok(Some(row));
        }
        if self.done {
            return Ok(None);
        }
        let last = self.last.as_ref();
        let rows = match self.dir {
            Some(dir) => state.children(self.table, dir, last.map(|p| &p.name), PAGE)?,
            None => state.rows(self.table, last, PAGE)?,
        };
        self.done = rows.len() < PAGE;
        self.last = rows.last().map(|r| r.place.clone());
        self.page = rows.into_iter();
        Ok(self.page.next())
    }
}

/// The rows of one directory of an overlay ([`Overlay::within`]), never tombstones.
pub struct Within {
    base: Rows,
    over: Option<Rows>,
    /// What each of the two comes to next, once it has been asked.
    next: Option<[Option<Row>; 2]>,
}

impl Within {
    /// The next row.
    pub fn next<S: State>(&mut self, state: &S) -> Result<Option<Row>> {
        let Some(over) = &mut self.over else { return self.base.next(state) };
        if self.next.is_none() {
            self.next = Some([self.base.next(state)?, over.next(state)?]);
        }
        let Some([a, b]) = &mut self.next else { return Ok(None) };
        loop {
            let order = match (&*a, &*b) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(x), Some(y)) => x.place.name.cmp(&y.place.name),
            };
            if order.is_eq() {
                *a = self.base.next(state)?;
            }
            let row = if order.is_lt() { std::mem::replace(a, self.base.next(state)?) } else { std::mem::replace(b, over.next(state)?) };
            if let Some(row) = row.filter(|r| r.here().is_some()) {
                return Ok(Some(row));
            }
        }
    }
}

/// Calls `each` for every row of a whole table ([`Rows`]).
pub fn each_row<S: State>(state: &mut S, table: Table, mut each: impl FnMut(&mut S, Row) -> Result<()>) -> Result<()> {
    let mut rows = Rows::of(table);
    while let Some(row) = rows.next(state)? {
        each(state, row)?;
    }
    Ok(())
}
