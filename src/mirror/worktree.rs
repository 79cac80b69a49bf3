//! Secure as a git work tree: its index, and what differs from it.

use super::Device;
use super::secure::MAIN;
use crate::clock::{Clock, Random, Time};
use crate::error::{Error, Kind, Result};
use crate::files::{self, Files};
use crate::git::index::{Cached, Entry, Reader, Writer};
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::state::State;
use std::collections::BTreeMap;

/// Names in secure that are never looked at: the repository, updates under way, strays.
pub fn passed_over(name: &[u8]) -> bool {
    use crate::crypt::name::{Listed, classify};
    matches!(classify(name), Listed::Git | Listed::New | Listed::Stray)
}

/// One directory of a tree that is being walked in git's order.
struct Level<D> {
    /// Entries still to come, last first.
    rest: Vec<(Vec<u8>, Oid, bool)>,
    path: usize,
    dir: Option<D>,
    name: Vec<u8>,
}

/// Writes the index for a root tree that secure's files already are. What the old index knows of an unchanged entry is
/// kept, so that a change made by others meanwhile stays visible.
/// `known` holds stats that are newer than those of the old index.
pub fn write_index<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, root: &Oid, known: &Stats) -> Result<()> {
    // First pass: how many entries each directory has, for the header and the cache-tree.
    let counted = count(d, root)?;
    let mut writer = Writer::new(&d.git, counted.records.first().map_or(0, |r| r.entries))?;
    for r in &counted.records {
        writer.tree(&counted.names[r.name.clone()], r.entries, r.subtrees, r.oid);
    }
    drop(counted);
    let mut old = Old::open(d)?;
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
            None => {
                let dir = open_levels(d, &mut stack)?;
                match dir.map(|dir| d.secure.stat(&dir, &name)).transpose()?.flatten() {
                    Some(s) => Cached::of(&s),
                    None => Cached::default(),
                }
            }
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

/// The old index, read along.
struct Old<File: files::Open> {
    reader: Option<Reader<File>>,
    at: Entry,
    have: bool,
}

impl<File: files::Open> Old<File> {
    fn open<F: Files<File = File>, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Self> {
        // An index that cannot be read is written anew.
        let reader = match d.git.index() {
            Ok(r) => r,
            Err(e) if e.is_stopped() => return Err(e),
            Err(_) => None,
        };
        let mut old = Old { reader, at: Entry::default(), have: false };
        old.advance()?;
        Ok(old)
    }

    fn advance(&mut self) -> Result<()> {
        self.have = match &mut self.reader {
            Some(r) => match r.next(&mut self.at) {
                Ok(more) => more,
                Err(e) if e.is_stopped() => return Err(e),
                Err(_) => false,
            },
            None => false,
        };
        if !self.have {
            self.reader = None;
        }
        Ok(())
    }

    fn stat_of(&mut self, path: &[u8], oid: &Oid) -> Result<Option<Cached>> {
        while self.have && self.at.path[..] < *path {
            self.advance()?;
        }
        let same = self.have && self.at.path == path && self.at.oid == *oid && self.at.stat != Cached::default();
        Ok(same.then_some(self.at.stat))
    }
}

/// What `lstat` says of paths in secure.
pub type Stats = BTreeMap<Vec<u8>, Cached>;

/// Stats that are taken anew in one comparison at most.
const REFRESHED: usize = 16_384;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    /// What differs, by path.
    pub differs: Vec<(Vec<u8>, Difference)>,
    /// Files that were read in vain: their `lstat` is another, their content is not. With these in the index
    /// ([`write_index`]) they are not read again.
    pub refreshed: Stats,
}

/// How a path in secure differs from head's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Another content, or another kind of entry.
    Changed,
    /// Not there.
    Missing,
    /// There, and not in head's tree.
    Extra,
}

/// Compares secure with its index, which is that of head's tree. Contents are read
/// only where `lstat` differs from what the index knows, or is too fresh to tell.
pub fn compare<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Compared> {
    let (mut out, mut refreshed) = (Vec::new(), Stats::new());
    let Some(tip) = d.git.get_ref(MAIN)? else { return Ok(Compared::default()) };
    let mut index = match d.git.index() {
        Ok(Some(index)) => index,
        Err(e) if e.is_stopped() => return Err(e),
        Ok(None) | Err(_) => {
            // Gone or damaged: made anew, without trusting any stat.
            write_index(d, &super::secure::tree_of(d, &tip)?, &Stats::new())?;
            d.git.index()?.ok_or_else(|| Error::new(Kind::Raced, ".git/index vanished"))?
        }
    };
    let written = index.written;
    let mut entry = Entry::default();
    let mut have = index.next(&mut entry)?;
    let mut path: Vec<u8> = Vec::new();
    let mut stack = vec![(listing(d, &d.secure.root())?, 0usize, d.secure.root())];
    while let Some((rest, base, dir)) = stack.last_mut() {
        path.truncate(*base);
        let Some((name, kind)) = rest.pop() else {
            stack.pop();
            continue;
        };
        let dir = dir.clone();
        path.extend_from_slice(&name);
        if kind == files::Kind::Dir {
            path.push(b'/');
            while have && entry.path < path {
                out.push((entry.path.clone(), Difference::Missing));
                have = index.next(&mut entry)?;
            }
            if have && entry.path.starts_with(&path) {
                let inner = d.secure.open_dir(&dir, &name)?;
                let names = listing(d, &inner)?;
                stack.push((names, path.len(), inner));
            } else {
                path.pop();
                out.push((path.clone(), Difference::Extra));
            }
            continue;
        }
        while have && entry.path < path {
            out.push((entry.path.clone(), Difference::Missing));
            have = index.next(&mut entry)?;
        }
        if !have || entry.path != path {
            out.push((path.clone(), Difference::Extra));
            continue;
        }
        let stat = d.secure.stat(&dir, &name)?;
        let same = match &stat {
            None => None,
            Some(s) if s.kind != files::Kind::File => Some(false),
            Some(s) => {
                let fresh = |t: Time| t >= written;
                let known = Cached::of(s) == entry.stat;
                let trusted = known && !fresh(s.mtime) && !fresh(s.ctime);
                let same = trusted || super::secure::blob_at(&d.secure, &dir, &name)? == Some(entry.oid);
                if same && !known && refreshed.len() < REFRESHED {
                    refreshed.insert(path.clone(), Cached::of(s));
                }
                Some(same)
            }
        };
        match same {
            Some(true) => {}
            Some(false) => out.push((path.clone(), Difference::Changed)),
            None => out.push((path.clone(), Difference::Missing)),
        }
        have = index.next(&mut entry)?;
    }
    while have {
        out.push((entry.path.clone(), Difference::Missing));
        have = index.next(&mut entry)?;
    }
    Ok(Compared { differs: out, refreshed })
}

/// The names of a directory in git's order, last first.
fn listing<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, dir: &F::Dir) -> Result<Vec<(Box<[u8]>, files::Kind)>> {
    let mut out = Vec::new();
    for (name, kind) in d.secure.list(dir)? {
        if passed_over(&name) {
            continue;
        }
        let kind = match kind {
            Some(k) => k,
            None => match d.secure.stat(dir, &name)? {
                Some(s) => s.kind,
                None => continue,
            },
        };
        out.push((name, kind));
    }
    let key = |e: &(Box<[u8]>, files::Kind)| {
        let mut k = e.0.to_vec();
        if e.1 == files::Kind::Dir {
            k.push(b'/');
        }
        k
    };
    out.sort_by_cached_key(key);
    out.reverse();
    Ok(out)
}
