//! The index of secure brought to another tree: by what differs between the trees where it is split, else by a walk.

use super::{Known, Stats};
use crate::clock::{Clock, Random};
use crate::error::{Kind, Result};
use crate::files::Files;
use crate::git::index::{Cached, Change, Entry, Writer};
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::mirror::Device;
use crate::state::State;
use std::collections::BTreeMap;

/// Writes the index for a root tree that secure's files already are. What the old index knows of an unchanged entry is
/// kept, so that a change made by others meanwhile stays visible.
/// `known` holds stats that are newer than those of the old index.
pub fn write_index<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, root: &Oid, known: &Stats) -> Result<()> {
    match update(d, root, known) {
        Ok(true) => return Ok(()),
        Err(e) if matches!(e.kind(), Kind::Stopped | Kind::Raced | Kind::Full) => return Err(e),
        // An index that cannot be read, or whose tree is not there any more, is written anew.
        Ok(false) | Err(_) => {}
    }
    walk(d, root, known, Known::open(&d.git)?, true)
}

/// Writes the index for a root tree as if nothing were known of secure's files, so that all are read before they are
/// taken for what the tree says.
pub fn rebuild_index<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, root: &Oid) -> Result<()> {
    walk(d, root, &Stats::new(), Known::none(), false)
}

/// Takes only what differs between the tree of a split index and `root` into it; `false` where that cannot be, or
/// would be more than is worth while.
fn update<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, root: &Oid, known: &Stats) -> Result<bool> {
    let Some(index) = d.git.index_splits()?.filter(|i| known.len() <= i.most) else { return Ok(false) };
    let mut changes: BTreeMap<Vec<u8>, Change> = known.iter().map(|(path, stat)| (path.clone(), Change::Seen(*stat))).collect();
    // Directories that differ: their path, and what each of the trees has there.
    let mut todo = vec![(Vec::new(), Some(index.tree), Some(*root))];
    while let Some((path, old, new)) = todo.pop() {
        let read = |tree: Option<Oid>| tree.map_or(Ok(Vec::new()), |t| d.git.read(&t, Type::Tree, limit::TREE));
        let (old, new) = (read(old)?, read(new)?);
        let (mut old, mut new) = (object::entries(&old), object::entries(&new));
        let (mut a, mut b) = (old.next().transpose()?, new.next().transpose()?);
        let mut dir: Option<Option<F::Dir>> = None;
        loop {
            let order = match (&a, &b) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(x), Some(y)) => place(x).cmp(place(y)),
            };
            let was = if order.is_le() { std::mem::replace(&mut a, old.next().transpose()?) } else { None };
            let is = if order.is_ge() { std::mem::replace(&mut b, new.next().transpose()?) } else { None };
            let Some(either) = is.as_ref().or(was.as_ref()) else { break };
            let (was, is) = (was.as_ref().map(|e| e.oid), is.as_ref().map(|e| e.oid));
            if was == is {
                continue;
            }
            let mut here = [&path, either.name].concat();
            if either.is_tree() {
                here.push(b'/');
                todo.push((here, was, is));
                continue;
            }
            let change = match is {
                None => Change::Gone,
                Some(oid) => Change::Is(
                    match known.get(&here) {
                        Some(stat) => *stat,
                        None => {
                            if dir.is_none() {
                                dir = Some(open_path(d, &path)?);
                            }
                            stat_in(d, dir.as_ref().and_then(Option::as_ref), either.name)?
                        }
                    },
                    oid,
                ),
            };
            changes.insert(here, change);
            if changes.len() > index.most {
                return Ok(false);
            }
        }
    }
    d.git.update_index(&index.tree, root, &changes)
}

/// Where an entry stands among those of its tree.
fn place<'e>(e: &'e object::Entry<'_>) -> impl Iterator<Item = &'e u8> {
    e.name.iter().chain(e.is_tree().then_some(&b'/'))
}

/// Opens a directory of secure by its path, which ends with `/`; `None` if it is missing.
fn open_path<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, path: &[u8]) -> Result<Option<F::Dir>> {
    let mut dir = d.secure.root();
    for name in path.split(|c| *c == b'/').filter(|n| !n.is_empty()) {
        dir = match d.secure.open_dir(&dir, name) {
            Ok(dir) => dir,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
    }
    Ok(Some(dir))
}

/// The `lstat` of a file; zeros, which fit none, if it is missing.
fn stat_in<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, dir: Option<&F::Dir>, name: &[u8]) -> Result<Cached> {
    let stat = dir.map(|dir| d.secure.stat(dir, name)).transpose()?.flatten();
    Ok(stat.map_or_else(Cached::default, |s| Cached::of(&s)))
}

/// One directory of a tree that is being walked in git's order.
struct Level<D> {
    /// Entries still to come, last first.
    rest: Vec<(Vec<u8>, Oid, bool)>,
    path: usize,
    dir: Option<D>,
    name: Vec<u8>,
}

/// Writes the whole index. An entry that neither `known` nor the old index knows gets the `lstat` of its file, or, unless
/// `trust`, zeros, which fit none.
fn walk<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    root: &Oid,
    known: &Stats,
    mut old: Known<F::File>,
    trust: bool,
) -> Result<()> {
    // First pass: how many entries each directory has, for the header and the cache-tree.
    let counted = count(d, root)?;
    let mut writer = Writer::new(&d.git, counted.records.first().map_or(0, |r| r.entries), d.settings.split_from)?;
    for r in &counted.records {
        writer.tree(&counted.names[r.name.clone()], r.entries, r.subtrees, r.oid);
    }
    drop(counted);
    let mut path: Vec<u8> = Vec::new();
    let mut stack = vec![Level { rest: list(d, root)?, path: 0, dir: Some(d.secure.root()), name: Vec::new() }];
    while let Some(level) = stack.last_mut() {
        path.truncate(level.path);
        let Some((name, oid, tree)) = level.rest.pop() else {
            stack.pop();
            continue;
        };
        let begin = path.len();
        path.extend_from_slice(&name);
        if tree {
            path.push(b'/');
            stack.push(Level { rest: list(d, &oid)?, path: path.len(), dir: None, name });
            continue;
        }
        let stat = match known.get(&path).copied().or(old.stat_of(&path, &oid)?) {
            Some(stat) => stat,
            None if trust => {
                let dir = open_levels(d, &mut stack)?;
                stat_in(d, dir.as_ref(), &name)?
            }
            None => Cached::default(),
        };
        writer.add(&Entry { path: path.clone(), stat, oid })?;
        path.truncate(begin);
    }
    writer.finish()
}

fn list<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, tree: &Oid) -> Result<Vec<(Vec<u8>, Oid, bool)>> {
    let bytes = d.git.read(tree, Type::Tree, limit::TREE)?;
    let mut out = Vec::new();
    for entry in object::entries(&bytes) {
        let e = entry?;
        out.push((e.name.to_vec(), e.oid, e.is_tree()));
    }
    out.reverse();
    Ok(out)
}

/// Opens the directories along the walk that are not open yet; `None` if one is missing.
fn open_levels<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, stack: &mut [Level<F::Dir>]) -> Result<Option<F::Dir>> {
    for i in 1..stack.len() {
        if stack[i].dir.is_none() {
            let Some(up) = stack[i - 1].dir.clone() else { return Ok(None) };
            match d.secure.open_dir(&up, &stack[i].name) {
                Ok(dir) => stack[i].dir = Some(dir),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(stack.last().and_then(|l| l.dir.clone()))
}

/// Cache-tree records in pre-order. Their names lie in one piece: a vault may have as many directories as files.
#[derive(Default)]
struct Counted {
    names: Vec<u8>,
    records: Vec<Record>,
}

/// One directory.
struct Record {
    name: std::ops::Range<usize>,
    /// Files below it.
    entries: u32,
    subtrees: u32,
    oid: Oid,
}

fn count<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, root: &Oid) -> Result<Counted> {
    let mut out = Counted::default();
    // (record, subtrees still to come, last first)
    let mut stack: Vec<(usize, Vec<(Vec<u8>, Oid)>)> = Vec::new();
    let enter = |out: &mut Counted, stack: &mut Vec<_>, name: &[u8], oid: Oid| -> Result<()> {
        let mut trees = Vec::new();
        let mut entries = 0;
        for (name, oid, tree) in list(d, &oid)? {
            if tree { trees.push((name, oid)) } else { entries += 1 }
        }
        let begin = out.names.len();
        out.names.extend_from_slice(name);
        out.records.push(Record { name: begin..out.names.len(), entries, subtrees: trees.len() as u32, oid });
        stack.push((out.records.len() - 1, trees));
        Ok(())
    };
    enter(&mut out, &mut stack, b"", *root)?;
    while let Some((record, trees)) = stack.last_mut() {
        let record = *record;
        match trees.pop() {
            Some((name, oid)) => enter(&mut out, &mut stack, &name, oid)?,
            None => {
                stack.pop();
                if let Some((up, _)) = stack.last() {
                    out.records[*up].entries += out.records[record].entries;
                }
            }
        }
    }
    Ok(out)
}
