//! Writing the index: whole, as a new base, or as what differs from the base that is there.

use super::entries;
use super::split::{self, State, base_name};
use super::{Cached, Entry, LOCK, NAME, Parts, TEMPORARY};
use crate::error::{Error, Kind, Result};
use crate::files::{Files, Open};
use crate::git::store::{Store, create_anew};
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::io::Write;
use std::iter::Peekable;

/// With fewer entries than this an index is written whole: it is not much longer than what would be written beside a
/// base.
pub const SPLIT_FROM: u32 = 128;

/// A base is touched when it is older than this: git removes those of other indexes that nobody has touched for two
/// weeks (`splitIndex.sharedIndexExpire`).
const FRESH: i64 = 24 * 3600;

/// How many entries may differ from a base of `count` before a new one is written. Each commit writes those that differ
/// already, and one in so many writes the base: with twice the square root both cost about the same, which is least.
fn most(count: u32) -> usize {
    2 * count.isqrt() as usize
}

/// Writes a new index; entries must come in order of paths.
pub struct Writer<F: Files> {
    store: Store<F>,
    file: F::File,
    sha: Sha1,
    buffer: Vec<u8>,
    last: Vec<u8>,
    left: u32,
    /// What is written becomes the base of a split index.
    base: bool,
    /// The cache-tree extension as far as it goes, for it stands behind all entries.
    trees: Vec<u8>,
}

impl<F: Files> Writer<F> {
    /// Begins an index of `count` entries; from `split_from` entries on it is split ([`SPLIT_FROM`]).
    pub fn new(store: &Store<F>, count: u32, split_from: u32) -> Result<Writer<F>> {
        let file = create_anew(&store.files, &store.dir, TEMPORARY)?;
        let (buffer, base) = (header(count), count >= split_from);
        let (sha, last, trees) = (Sha1::new(), Vec::new(), Vec::new());
        Ok(Writer { store: store.clone(), file, sha, buffer, last, left: count, base, trees })
    }

    /// Adds an entry.
    pub fn add(&mut self, e: &Entry) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::failed("more entries than the index was begun for"))?;
        entries::write(e, &mut self.last, &mut self.buffer);
        if self.buffer.len() >= 64 * 1024 {
            self.put()?;
        }
        Ok(())
    }

    /// Adds a cache-tree record, so that a stock `git commit` need not write all trees anew. Records come in pre-order,
    /// the root's first with an empty path. A split index keeps only that one, for it is written at each commit.
    pub fn tree(&mut self, component: &[u8], entries: u32, subtrees: u32, oid: Oid) {
        if self.base && !self.trees.is_empty() {
            return;
        }
        tree_record(component, entries, if self.base { 0 } else { subtrees }, &oid, &mut self.trees);
    }

    fn put(&mut self) -> Result<()> {
        self.sha.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the index and puts it in place, under git's lock.
    pub fn finish(mut self) -> Result<()> {
        if self.left != 0 {
            return Err(Error::failed("fewer entries than the index was begun for"));
        }
        if !self.base {
            extension(b"TREE", &self.trees, &mut self.buffer);
        }
        self.put()?;
        let sum: [u8; 20] = self.sha.finalize().into();
        self.file.write_all(&sum)?;
        self.file.sync()?;
        let store = self.store;
        if !self.base {
            return replace(&store, true, None);
        }
        let base = Oid(sum);
        let name = base_name(&base);
        let new = store.files.stat(&store.dir, name.as_bytes())?.is_none();
        store.files.rename(&store.dir, TEMPORARY, &store.dir, name.as_bytes())?;
        store.files.sync_dir(&store.dir)?;
        let mut index = header(0);
        extension(b"link", &split::link(&base, &[], &[]), &mut index);
        extension(b"TREE", &self.trees, &mut index);
        write_small(&store, index)?;
        let put = replace(&store, true, Some(&base));
        // Another git holds the index: one base after the other would be left until it lets go.
        if new && matches!(&put, Err(e) if e.kind() == Kind::Raced) {
            store.unlink_if_there(&store.dir, name.as_bytes())?;
        }
        put
    }
}

fn header(count: u32) -> Vec<u8> {
    let mut out = b"DIRC\0\0\0\x04".to_vec();
    out.extend_from_slice(&count.to_be_bytes());
    out
}

/// Nothing if it is empty.
fn extension(name: &[u8; 4], content: &[u8], out: &mut Vec<u8>) {
    if !content.is_empty() {
        out.extend_from_slice(name);
        out.extend_from_slice(&(content.len() as u32).to_be_bytes());
        out.extend_from_slice(content);
    }
}

fn tree_record(component: &[u8], entries: u32, subtrees: u32, oid: &Oid, out: &mut Vec<u8>) {
    out.extend_from_slice(component);
    out.extend_from_slice(format!("\0{entries} {subtrees}\n").as_bytes());
    out.extend_from_slice(&oid.0);
}

/// Writes an index that fits into memory, durably, under its temporary name.
fn write_small<F: Files>(store: &Store<F>, mut index: Vec<u8>) -> Result<F::File> {
    let sum: [u8; 20] = Sha1::digest(&index).into();
    index.extend_from_slice(&sum);
    let mut file = create_anew(&store.files, &store.dir, TEMPORARY)?;
    file.write_all(&index)?;
    file.sync()?;
    Ok(file)
}

/// Puts the index that is complete under its temporary name in place. `clear`: then the bases but `base` go, which
/// nobody names any more; under the lock, for a stock git makes its own bases under it.
///
/// RACE: a stock git that has just read the old index may look for its base in vain; it says so and works when it is
/// called again.
fn replace<F: Files>(store: &Store<F>, clear: bool, base: Option<&Oid>) -> Result<()> {
    let (files, dir) = (&store.files, &store.dir);
    let put = store.locked(dir, LOCK, || {
        files.rename(dir, TEMPORARY, dir, NAME)?;
        files.sync_dir(dir)?;
        if clear {
            let keep = base.map(base_name).unwrap_or_default();
            for (name, _) in files.list(dir)? {
                if name.starts_with(b"sharedindex.") && *name != *keep.as_bytes() {
                    store.unlink_if_there(dir, &name)?;
                }
            }
        }
        Ok(())
    });
    put.map_err(|e| match e.kind() {
        Kind::Raced => e.detail("another git is at work in ~/secure"),
        _ => e,
    })
}

/// What becomes of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes.
    Gone,
    /// It holds this object, with this `lstat`; new or not.
    Is(Cached, Oid),
    /// Its `lstat` is another one, and its object as it was.
    Seen(Cached),
}

/// A split index that can be brought to another tree without being written anew.
#[derive(Clone, Copy, Debug)]
pub struct Splits {
    /// The tree whose entries it holds.
    pub tree: Oid,
    /// More changes than this are never taken.
    pub most: usize,
}

impl<F: Files> Store<F> {
    /// How the index is split; `None` if it is not, or does not say of which tree it is.
    ///
    /// Errors: as [`Store::index`].
    pub fn index_splits(&self) -> Result<Option<Splits>> {
        let Some(parts) = Parts::open(self)? else { return Ok(None) };
        Ok(parts.tree.zip(parts.base).map(|(tree, base)| Splits { tree, most: most(base.count) }))
    }

    /// Brings a split index from one tree to another and leaves all entries as they are that no change names. Reads the
    /// base and writes what differs from it. `false`: nothing was done, and it must be written anew, for it is another
    /// one than was thought or would differ too much from its base.
    ///
    /// Errors: as [`Store::index`]; Raced if another git holds it.
    pub fn update_index(&self, from: &Oid, to: &Oid, changes: &BTreeMap<Vec<u8>, Change>) -> Result<bool> {
        let Some(parts) = Parts::open(self)? else { return Ok(false) };
        let (Some(mut base), true) = (parts.base, parts.tree == Some(*from)) else { return Ok(false) };
        let mut side = Side { own: parts.own, next: Some(Entry::default()), changes: changes.iter().peekable() };
        side.advance()?;
        let mut differs = Differs { most: most(base.count), ..Differs::default() };
        let mut entry = Entry::default();
        while let Some((position, state)) = base.next(&mut entry)? {
            while let Some(path) = side.before(Some(&entry.path)) {
                if !side.take(path, None)?.is_ok_and(|new| differs.add(new)) {
                    return Ok(false);
                }
            }
            if !side.has(&entry.path) {
                match state {
                    State::Same => {}
                    State::Deleted => differs.deleted.push(position),
                    State::Replaced if entry.oid == Oid::ZERO => return Ok(false),
                    State::Replaced => differs.replace(position, &entry),
                }
            } else {
                let here = (state != State::Deleted).then(|| Entry { path: Vec::new(), ..entry });
                match side.take(std::mem::take(&mut entry.path), here)? {
                    Ok(Some(new)) => differs.replace(position, &new),
                    Ok(None) => differs.deleted.push(position),
                    Err(Misfit) => return Ok(false),
                }
            }
            if differs.too_much() {
                return Ok(false);
            }
        }
        while let Some(path) = side.before(None) {
            if !side.take(path, None)?.is_ok_and(|new| differs.add(new)) {
                return Ok(false);
            }
        }
        let Some(count) = (u64::from(base.count) + differs.added.len() as u64)
            .checked_sub(differs.deleted.len() as u64)
            .and_then(|n| u32::try_from(n).ok())
        else {
            return Ok(false);
        };
        let file = write_small(self, differs.index(&base.sum, count, to))?;
        let now = file.stat()?.mtime;
        let name = base_name(&base.sum);
        match self.files.stat(&self.dir, name.as_bytes())? {
            Some(s) if s.mtime.s > now.s - FRESH => {}
            Some(_) => self.files.set_link_mtime(&self.dir, name.as_bytes(), now)?,
            None => return Ok(false),
        }
        replace(self, false, None)?;
        Ok(true)
    }
}

/// A change of what is not there, or an entry that no vault has: the index is not what it was taken for.
struct Misfit;

/// What stands beside the base: the index's own entries, and the changes; both in order of paths.
struct Side<'c, File> {
    own: entries::Entries<File>,
    next: Option<Entry>,
    changes: Peekable<Iter<'c, Vec<u8>, Change>>,
}

impl<File: Open> Side<'_, File> {
    fn advance(&mut self) -> Result<()> {
        if let Some(entry) = &mut self.next
            && !self.own.next(entry)?
        {
            self.next = None;
        }
        Ok(())
    }

    /// The first path before `limit`, if there is one.
    fn before(&mut self, limit: Option<&[u8]>) -> Option<Vec<u8>> {
        let own = self.next.as_ref().map(|e| &e.path);
        let change = self.changes.peek().map(|c| c.0);
        let first = own.into_iter().chain(change).min()?;
        limit.is_none_or(|l| first[..] < *l).then(|| first.clone())
    }

    fn has(&mut self, path: &[u8]) -> bool {
        self.next.as_ref().is_some_and(|e| e.path == path) || self.changes.peek().is_some_and(|c| c.0 == path)
    }

    /// What the entry of this path becomes, whose turn it is; `here`: what the base has for it.
    fn take(&mut self, path: Vec<u8>, here: Option<Entry>) -> Result<std::result::Result<Option<Entry>, Misfit>> {
        let mut here = here;
        if let Some(own) = self.next.as_ref().filter(|e| e.path == path) {
            here = Some(own.clone());
            self.advance()?;
        }
        let change = self.changes.next_if(|c| *c.0 == path).map(|c| *c.1);
        Ok(match (change, here) {
            (None | Some(Change::Seen(_)), Some(e)) if e.oid == Oid::ZERO => Err(Misfit),
            (None, here) => Ok(here),
            (Some(Change::Gone | Change::Seen(_)), None) => Err(Misfit),
            (Some(Change::Gone), Some(_)) => Ok(None),
            (Some(Change::Is(stat, oid)), _) => Ok(Some(Entry { path, stat, oid })),
            (Some(Change::Seen(stat)), Some(e)) => Ok(Some(Entry { stat, ..e })),
        })
    }
}

/// How an index differs from its base.
#[derive(Default)]
struct Differs {
    deleted: Vec<u32>,
    replaced: Vec<u32>,
    /// Those that replace, in the same order, without names.
    replacing: Vec<Entry>,
    added: Vec<Entry>,
    most: usize,
}

impl Differs {
    fn replace(&mut self, position: u32, e: &Entry) {
        self.replaced.push(position);
        self.replacing.push(Entry { path: Vec::new(), ..*e });
    }

    /// `false`: it is too much.
    fn add(&mut self, e: Option<Entry>) -> bool {
        self.added.extend(e);
        !self.too_much()
    }

    fn too_much(&self) -> bool {
        self.deleted.len() + self.replaced.len() + self.added.len() > self.most
    }

    fn index(&self, base: &Oid, count: u32, tree: &Oid) -> Vec<u8> {
        let mut out = header((self.replacing.len() + self.added.len()) as u32);
        let mut last = Vec::new();
        self.replacing.iter().chain(&self.added).for_each(|e| entries::write(e, &mut last, &mut out));
        extension(b"link", &split::link(base, &self.deleted, &self.replaced), &mut out);
        let mut record = Vec::new();
        tree_record(b"", count, 0, tree, &mut record);
        extension(b"TREE", &record, &mut out);
        out
    }
}
