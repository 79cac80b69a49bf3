//! What is reachable from where.
//!
//! Both walks touch only what is new: commits by time, newest first, until everything that is left is old; trees only
//! where they differ from those of the commit's parents. So a small change to a large vault costs a few reads.

use super::oids::Oids;
use super::store::Store;
use super::{Type, limit, object};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::id::Oid;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

/// A new commit.
struct Commit {
    oid: Oid,
    tree: Oid,
    parents: Vec<Oid>,
}

/// A commit that was met on the way.
struct Met {
    /// `have` reaches it.
    old: bool,
    /// `None` for one that is none, which is no failure as long as nothing of it is wanted.
    tree: Option<Oid>,
    /// Until it has been walked on from.
    parents: Vec<Oid>,
}

/// What the trees of parents hold, as far as it was looked at.
#[derive(Default)]
struct Known {
    /// Objects that are in a parent's tree.
    oids: HashSet<Oid>,
    /// Directories of parents that are no more where they were.
    gone: Vec<Oid>,
    /// There is a directory that has no counterpart in any parent.
    arrived: bool,
}

impl<F: Files> Store<F> {
    /// Everything reachable from `want` and not from `have`: commits, then trees, then blobs.
    ///
    /// Objects that a parent's tree holds at another place may be listed too (a file that was moved out of a deleted
    /// directory): it is always enough, and rarely more. Commits of `have` that are not here are passed over.
    ///
    /// Memory: about 30 bytes for each object listed, and 40 for each entry of the directories in which one new commit
    /// differs from its parents.
    pub fn closure(&self, want: &[Oid], have: &[Oid]) -> Result<Vec<Oid>> {
        let (mut trees, mut blobs) = (Oids::default(), Oids::default());
        let new = self.reach(want, have, &mut |oid, tree| Ok(if tree { trees.insert(oid) } else { blobs.insert(oid) }))?;
        let mut out = blobs.into_list();
        out.splice(..0, new.into_iter().chain(trees.into_list()));
        Ok(out)
    }

    /// Gives the commits that `want` reaches and `have` does not, parents first, and calls `found` for the trees and blobs
    /// (`true`: a tree), which answers whether it was new to it.
    fn reach(&self, want: &[Oid], have: &[Oid], found: &mut dyn FnMut(Oid, bool) -> Result<bool>) -> Result<Vec<Oid>> {
        let (new, met) = self.new_commits(want, have)?;
        for c in &new {
            let mut olds = Vec::with_capacity(c.parents.len());
            for p in &c.parents {
                olds.push(met.get(p).and_then(|m| m.tree).ok_or_else(|| missing(p))?);
            }
            // Parents come first, so all that their trees hold is either old or listed, and may be passed over.
            let mut known = Known::default();
            if !olds.is_empty() {
                self.compare(c.tree, olds, &mut known)?;
            }
            if known.arrived {
                // It may be one that went, under another name and changed: then most of it is known.
                self.look_into(&mut known)?;
            }
            self.list(c.tree, &known.oids, found)?;
        }
        Ok(new.into_iter().map(|c| c.oid).collect())
    }

    /// Calls `found` for what is in a tree and not known, itself included.
    fn list(&self, tree: Oid, known: &HashSet<Oid>, found: &mut dyn FnMut(Oid, bool) -> Result<bool>) -> Result<()> {
        if known.contains(&tree) || !found(tree, true)? {
            return Ok(());
        }
        let mut todo = vec![tree];
        while let Some(oid) = todo.pop() {
            let bytes = self.read(&oid, Type::Tree, limit::TREE)?;
            for entry in object::entries(&bytes) {
                let entry = entry?;
                if !known.contains(&entry.oid) && found(entry.oid, entry.is_tree())? && entry.is_tree() {
                    todo.push(entry.oid);
                }
            }
        }
        Ok(())
    }

    /// Goes through a tree and those of the parents in step, where they differ.
    fn compare(&self, new: Oid, olds: Vec<Oid>, known: &mut Known) -> Result<()> {
        let mut todo = vec![(new, olds)];
        while let Some((new, olds)) = todo.pop() {
            if olds.contains(&new) {
                known.oids.insert(new);
                continue;
            }
            let bytes = self.read(&new, Type::Tree, limit::TREE)?;
            let mut dirs: BTreeMap<&[u8], (Oid, Vec<Oid>)> = BTreeMap::new();
            for entry in object::entries(&bytes) {
                let entry = entry?;
                if entry.is_tree() {
                    dirs.insert(entry.name, (entry.oid, Vec::new()));
                }
            }
            for old in olds {
                known.oids.insert(old);
                let bytes = self.read(&old, Type::Tree, limit::TREE)?;
                for entry in object::entries(&bytes) {
                    let entry = entry?;
                    known.oids.insert(entry.oid);
                    match dirs.get_mut(entry.name).filter(|_| entry.is_tree()) {
                        Some((_, olds)) => olds.push(entry.oid),
                        None if entry.is_tree() => known.gone.push(entry.oid),
                        None => {}
                    }
                }
            }
            for (new, olds) in dirs.into_values() {
                if olds.is_empty() {
                    known.arrived |= !known.oids.contains(&new);
                } else {
                    todo.push((new, olds));
                }
            }
        }
        Ok(())
    }

    /// Adds all that the directories hold which went.
    fn look_into(&self, known: &mut Known) -> Result<()> {
        let mut todo = std::mem::take(&mut known.gone);
        let mut walked: HashSet<Oid> = HashSet::new();
        while let Some(oid) = todo.pop() {
            if !walked.insert(oid) {
                continue;
            }
            let bytes = self.read(&oid, Type::Tree, limit::TREE)?;
            for entry in object::entries(&bytes) {
                let entry = entry?;
                known.oids.insert(entry.oid);
                if entry.is_tree() {
                    todo.push(entry.oid);
                }
            }
        }
        Ok(())
    }

    /// Commits that `want` reaches and `have` does not, parents before children, and all that were met on the way (each
    /// is read once).
    ///
    /// Where times run backwards a commit may be listed that `have` reaches, by a way that was not walked to its end.
    fn new_commits(&self, want: &[Oid], have: &[Oid]) -> Result<(Vec<Commit>, HashMap<Oid, Met>)> {
        let mut new: Vec<Commit> = Vec::new();
        // By time; of equal times the old ones first, for they save work.
        let mut queue: BinaryHeap<(i64, bool, Oid)> = BinaryHeap::new();
        let mut met: HashMap<Oid, Met> = HashMap::new();
        let mut wanted = 0usize;
        let begin = have.iter().map(|o| (*o, true)).chain(want.iter().map(|o| (*o, false)));
        let mut todo: Vec<(Oid, bool)> = begin.collect();
        todo.reverse();
        loop {
            while let Some((oid, old)) = todo.pop() {
                if met.get(&oid).is_some_and(|m| m.old || !old) {
                    continue;
                }
                // One that was met as new and is old is read again: what it reaches may have been walked already.
                let bytes = match self.read(&oid, Type::Commit, limit::COMMIT) {
                    Err(e) if old && e.kind() == Kind::Integrity(Class::Absent) => continue,
                    other => other?,
                };
                let tree = match object::commit_tree(&bytes) {
                    Err(e) if !old => return Err(e),
                    tree => tree.ok(),
                };
                met.insert(oid, Met { old, tree, parents: object::commit_parents(&bytes) });
                queue.push((object::commit_time(&bytes), old, oid));
                wanted += usize::from(!old);
            }
            if wanted == 0 {
                break;
            }
            let Some((_, old, oid)) = queue.pop() else { break };
            wanted -= usize::from(!old);
            // `None`: met as new first, and since then found to be old.
            let Some(m) = met.get_mut(&oid).filter(|m| m.old == old) else { continue };
            let parents = std::mem::take(&mut m.parents);
            todo.extend(parents.iter().rev().map(|p| (*p, old)));
            if let (false, Some(tree)) = (old, m.tree) {
                new.push(Commit { oid, tree, parents });
            }
        }
        new.retain(|c| met.get(&c.oid).is_some_and(|m| !m.old));
        Ok((parents_first(new), met))
    }

    /// Checks that nothing reachable from `head` is missing, where `have` is known to be complete.
    ///
    /// Memory: about 30 bytes for each tree.
    pub fn complete(&self, head: &Oid, have: &[Oid]) -> Result<()> {
        let mut trees = Oids::default();
        // A tree that is new is read next, so it need not be asked for.
        let mut found = |oid, tree| match tree {
            true => Ok(trees.insert(oid)),
            false if self.contains(&oid)? => Ok(true),
            false => Err(missing(&oid)),
        };
        match self.reach(&[*head], have, &mut found) {
            Err(e) if e.kind() == Kind::Integrity(Class::Absent) => Err(e.detail("it was not sent, though it is needed")),
            other => other.map(drop),
        }
    }
}

fn missing(oid: &Oid) -> Error {
    Error::integrity(Class::Absent, format!("git object {oid} is missing"))
}

/// Puts parents before children, whatever their times say.
fn parents_first(commits: Vec<Commit>) -> Vec<Commit> {
    let place: HashMap<Oid, usize> = commits.iter().enumerate().map(|(i, c)| (c.oid, i)).collect();
    let mut begun = vec![false; commits.len()];
    let mut order = Vec::with_capacity(commits.len());
    for first in 0..commits.len() {
        // A commit, and the parent that is looked at next. A history of a million commits is no deep recursion.
        let mut path = vec![(first, 0)];
        while let Some((at, next)) = path.last_mut() {
            if *next == 0 && std::mem::replace(&mut begun[*at], true) {
                path.pop();
                continue;
            }
            *next += 1;
            match commits[*at].parents.get(*next - 1) {
                Some(parent) => path.extend(place.get(parent).map(|i| (*i, 0))),
                None => {
                    order.push(*at);
                    path.pop();
                }
            }
        }
    }
    let mut slots: Vec<Option<Commit>> = commits.into_iter().map(Some).collect();
    order.into_iter().filter_map(|i| slots[i].take()).collect()
}
