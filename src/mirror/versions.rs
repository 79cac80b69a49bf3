//! The history of files: which commits changed what, found by comparing sealed trees with their parents'.

use super::Device;
use super::commit::{self, Commit};
use super::history;
use super::sealed::{self, Item, Versions};
use crate::clock::{Clock, Random};
use crate::crypt::name::EntryKind;
use crate::error::Result;
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::path::RelPath;
use crate::state::State;
use crate::tree::Version;
use std::collections::{BTreeMap, BTreeSet};

/// How a file changed in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new.
    New,
    /// Its content, mode or time changed.
    Changed,
    /// It was renamed from there.
    Renamed(RelPath),
    /// It was deleted; the path is the one that it had.
    Deleted,
}

/// A change of one file in one commit of a device.
#[derive(Clone, Debug)]
pub struct Change {
    /// The commit.
    pub commit: Oid,
    /// The path after it (before it, if deleted).
    pub path: RelPath,
    /// What happened.
    pub how: How,
    /// The version after it (before it, if deleted).
    pub item: Item,
}

/// All commits that a head contains, newest first (by height, then time).
pub fn commits<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, head: &Oid) -> Result<Vec<(Oid, Commit)>> {
    let mut met = BTreeSet::new();
    let mut todo = vec![*head];
    let mut out = Vec::new();
    while let Some(oid) = todo.pop() {
        if !met.insert(oid) || !d.git.contains(&oid)? {
            continue;
        }
        let c = commit::open(&d.git, &d.keys, &d.vault, &oid)?;
        todo.extend(history::parents(&c));
        out.push((oid, c));
    }
    out.sort_by_key(|(oid, c)| std::cmp::Reverse((c.details.height, c.details.time, *oid)));
    Ok(out)
}

/// Files of a tree by (id, path) that differ from those of another; equal directories are skipped.
fn files<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    tree: &Oid,
    other: &BTreeMap<Id, Oid>,
) -> Result<(BTreeMap<(Id, RelPath), Item>, BTreeMap<Id, Oid>)> {
    let mut out = BTreeMap::new();
    let mut dirs = BTreeMap::from([(Id::ROOT, *tree)]);
    let mut todo = vec![(RelPath::root(), Id::ROOT, *tree)];
    while let Some((path, dir, tree)) = todo.pop() {
        if other.get(&dir) == Some(&tree) {
            continue;
        }
        for item in sealed::list(&d.git, &d.keys, &dir, &tree)? {
            let Some(name) = &item.name else { continue };
            let path = path.join(name);
            if item.kind == EntryKind::Dir {
                dirs.insert(item.id, item.oid);
                todo.push((path, item.id, item.oid));
            } else {
                out.insert((item.id, path), item);
            }
        }
    }
    Ok((out, dirs))
}

/// The directories of a tree with their git trees.
fn dirs<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, tree: &Oid) -> Result<BTreeMap<Id, Oid>> {
    Ok(files(d, tree, &BTreeMap::new())?.1)
}

/// The files at or below a path of a sealed tree, by path; none if nothing is there.
pub fn below<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, tree: &Oid, path: &RelPath) -> Result<Vec<(RelPath, Item)>> {
    let (mut at, mut dir, mut tree) = (RelPath::root(), Id::ROOT, *tree);
    for name in path.names() {
        at = at.join(&name);
        let Some(item) = sealed::list(&d.git, &d.keys, &dir, &tree)?.into_iter().find(|i| i.name.as_ref() == Some(&name)) else {
            return Ok(Vec::new());
        };
        if item.kind != EntryKind::Dir {
            return Ok(if at == *path { vec![(at, item)] } else { Vec::new() });
        }
        (dir, tree) = (item.id, item.oid);
    }
    let mut out = Vec::new();
    let mut todo = vec![(at, dir, tree)];
    while let Some((path, dir, tree)) = todo.pop() {
        for item in sealed::list(&d.git, &d.keys, &dir, &tree)? {
            let Some(name) = &item.name else { continue };
            let path = path.join(name);
            match item.kind {
                EntryKind::Dir => todo.push((path, item.id, item.oid)),
                _ => out.push((path, item)),
            }
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// What a commit changed against its parent. A merge changed nothing by itself.
pub fn changes<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, oid: &Oid, c: &Commit) -> Result<Vec<Change>> {
    let before = match c.parents[..] {
        [] => None,
        [p] => Some(super::secure::tree_of(d, &p)?),
        _ => return Ok(Vec::new()),
    };
    let (old, new) = match before {
        None => (BTreeMap::new(), files(d, &c.tree, &BTreeMap::new())?.0),
        Some(before) => {
            let (had, has) = (dirs(d, &before)?, dirs(d, &c.tree)?);
            (files(d, &before, &has)?.0, files(d, &c.tree, &had)?.0)
        }
    };
    let mut out = Vec::new();
    let mut gone: BTreeMap<Id, Vec<(RelPath, Item)>> = BTreeMap::new();
    for ((id, path), item) in &old {
        if !new.contains_key(&(*id, path.clone())) {
            gone.entry(*id).or_default().push((path.clone(), item.clone()));
        }
    }
    for ((id, path), item) in new {
        let how = match old.get(&(id, path.clone())) {
            Some(o) if o.oid == item.oid => continue,
            Some(_) => How::Changed,
            None => match gone.get_mut(&id).and_then(Vec::pop) {
                Some((from, _)) => How::Renamed(from),
                None => How::New,
            },
        };
        out.push(Change { commit: *oid, path, how, item });
    }
    for (path, item) in gone.into_values().flatten() {
        out.push(Change { commit: *oid, path, how: How::Deleted, item });
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

/// The version that a change left (or, of a deletion, took away).
pub fn version<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, item: &Item) -> Result<Option<Version>> {
    Versions::default().of(&d.git, &d.keys, item)
}
