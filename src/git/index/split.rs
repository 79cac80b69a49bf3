//! A split index (gitformat-index(5), "Split index"): a base that many commits share, and what differs from it.
//!
//! The extension `link` names the base by its checksum and says by two bitmaps which of its entries are deleted and
//! which replaced. The entries of the index itself are the replacing ones in the base's order, without names, then
//! those that the base has not.

use super::entries::{Entries, Extensions, Head};
use super::ewah::{self, Bits};
use super::{Entry, bad};
use crate::error::Result;
use crate::files::{Files, Open};
use crate::git::store::Store;
use crate::id::Oid;
use std::io::ErrorKind;

/// The file that holds a base.
pub(super) fn base_name(sum: &Oid) -> String {
    format!("sharedindex.{sum}")
}

/// What has become of an entry of the base.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Same,
    Replaced,
    Deleted,
}

/// The base under its index, read along.
pub(super) struct Base<File> {
    /// Its checksum, which is its name.
    pub sum: Oid,
    /// How many entries it has.
    pub count: u32,
    /// How many of them are deleted.
    pub deleted: u32,
    entries: Entries<File>,
    replacing: Entries<File>,
    deletes: Bits,
    replaces: Bits,
    next_deleted: Option<u32>,
    next_replaced: Option<u32>,
    position: u32,
    unnamed: Entry,
}

impl<File: Open> Base<File> {
    /// Opens the base that `link` names; `None` if it names none. `unnamed`: how many entries of the index have no name.
    pub fn open<F: Files<File = File>>(store: &Store<F>, index: &Head<File>, behind: &Extensions, unnamed: u32) -> Result<Option<Self>> {
        let Some((at, len)) = behind.link else { return Ok(None) };
        let mut sum = Oid::ZERO;
        if len < 20 || index.file.read_up_to(at, &mut sum.0)? < 20 {
            return Err(bad("a link that is cut short"));
        }
        if sum == Oid::ZERO {
            return Ok(None);
        }
        let file = match store.files.open(&store.dir, base_name(&sum).as_bytes()) {
            Ok(f) => f,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(bad("its base is missing")),
            Err(e) => return Err(e.into()),
        };
        let head = Head::read(file)?;
        if head.sum()? != sum {
            return Err(bad("its base is another file than it names"));
        }
        let len = u64::from(len) - 20;
        if len > 2 * ewah::longest(head.count) {
            return Err(bad("bitmaps for more than its base has"));
        }
        let (mut deletes, mut replaces) = (Bits::none(), Bits::none());
        if len > 0 {
            let mut data = vec![0; len as usize];
            if index.file.read_up_to(at + 20, &mut data)? < data.len() {
                return Err(bad("a link that is cut short"));
            }
            let rest;
            (deletes, rest) = Bits::parse(&data, head.count)?;
            let (second, rest) = Bits::parse(rest, head.count)?;
            replaces = second;
            if !rest.is_empty() {
                return Err(bad("a link with more behind its bitmaps"));
            }
        }
        let (deleted, replaced) = look_through(deletes.clone(), replaces.clone())?;
        if replaced != unnamed {
            return Err(bad("other entries are replaced than have no name"));
        }
        let (next_deleted, next_replaced) = (deletes.next()?, replaces.next()?);
        Ok(Some(Base {
            sum,
            count: head.count,
            deleted,
            entries: Entries::of(&head),
            replacing: Entries::some(index, 12, unnamed),
            deletes,
            replaces,
            next_deleted,
            next_replaced,
            position: 0,
            unnamed: Entry::default(),
        }))
    }

    /// The next entry of the base into `into`, as it is now; `None` at the end. With it, its place in the base.
    pub fn next(&mut self, into: &mut Entry) -> Result<Option<(u32, State)>> {
        if !self.entries.next(into)? {
            return Ok(None);
        }
        let position = self.position;
        self.position += 1;
        if self.next_deleted == Some(position) {
            self.next_deleted = self.deletes.next()?;
            return Ok(Some((position, State::Deleted)));
        }
        if self.next_replaced == Some(position) {
            self.next_replaced = self.replaces.next()?;
            if !self.replacing.next(&mut self.unnamed)? {
                return Err(bad("other entries are replaced than have no name"));
            }
            (into.stat, into.oid) = (self.unnamed.stat, self.unnamed.oid);
            return Ok(Some((position, State::Replaced)));
        }
        Ok(Some((position, State::Same)))
    }
}

/// How many are set in either; an error if one is set in both.
fn look_through(mut deletes: Bits, mut replaces: Bits) -> Result<(u32, u32)> {
    let (mut deleted, mut replaced) = (0, 0);
    let (mut a, mut b) = (deletes.next()?, replaces.next()?);
    while a.is_some() || b.is_some() {
        if a == b {
            return Err(bad("an entry that is both replaced and deleted"));
        }
        if a.is_some() && b.is_none_or(|b| a.is_some_and(|a| a < b)) {
            deleted += 1;
            a = deletes.next()?;
        } else {
            replaced += 1;
            b = replaces.next()?;
        }
    }
    Ok((deleted, replaced))
}

/// The extension `link` of an index over this base.
pub(super) fn link(base: &Oid, deleted: &[u32], replaced: &[u32]) -> Vec<u8> {
    let mut out = base.0.to_vec();
    ewah::write(deleted, &mut out);
    ewah::write(replaced, &mut out);
    out
}
