//! What is reachable from where.
//!
//! Both walks touch only what is new: commits by time, newest first, until everything that is left is old; trees only
//! where they differ from those of the commit's parents. So a small change to a large vault costs a few reads.

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
    /// Memory: about 40 bytes for each object listed, and for each entry of the directories in which one new commit
    /// differs from its parents.
    pub fn closure(&self, want: &[Oid], have: &[Oid]) -> Result<Vec<Oid>> {
        let new = self.new_commits(want, have)?;
        let tree_of: HashMap<Oid, Oid> = new.iter().map(|c| (c.oid, c.tree)).collect();
        let mut met: HashSet<Oid> = HashSet::new();
        let (mut trees, mut blobs) = (Vec::new(), Vec::new());
        for c in &new {
            let mut olds = Vec::with_capacity(c.parents.len());
            for p in &c.parents {
                olds.push(match tree_of.get(p) {
                    Some(tree) => *tree,
                    None => object::commit_tree(&self.read(p, Type::Commit, limit::COMMIT)?)?,
                });
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
            self.list(c.tree, &known.oids, &mut met, &mut |oid, tree| if tree { trees.push(oid) } else { blobs.push(oid) })?;
        }
        let mut out: Vec<Oid> = new.iter().map(|c| c.oid).collect();
        out.append(&mut trees);
        out.append(&mut blobs);
        Ok(out)
    }

    /// Calls `found` for what is in a tree and neither known nor met, itself included.
    fn list(&self, tree: Oid, known: &HashSet<Oid>, met: &mut HashSet<Oid>, found: &mut dyn FnMut(Oid, bool)) -> Result<()> {
        if known.contains(&tree) || !met.insert(tree) {
            return Ok(());
        }
        found(tree, true);
        let mut todo = vec![tree];
        while let Some(oid) = todo.pop() {
            let bytes = self.read(&oid, Type::Tree, limit::TREE)?;
            for entry in object::entries(&bytes) {
                let entry = entry?;
                if !known.contains(&entry.oid) && met.insert(entry.oid) {
                    found(entry.oid, entry.is_tree());
                    if entry.is_tree() {
                        todo.push(entry.oid);
                    }
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

    /// Commits that `want` reaches and `have` does not, parents before children.
    ///
    /// Where times run backwards a commit may be listed that `have` reaches, by a way that was not walked to its end.
    fn new_commits(&self, want: &[Oid], have: &[Oid]) -> Result<Vec<Commit>> {
        let mut new: Vec<Commit> = Vec::new();
        // By time; of equal times the old ones first, for they save work.
        let mut queue: BinaryHeap<(i64, bool, Oid)> = BinaryHeap::new();
        let mut colour: HashMap<Oid, bool> = HashMap::new();
        let mut wanted = 0usize;
        let begin = have.iter().map(|o| (*o, true)).chain(want.iter().map(|o| (*o, false)));
        let mut todo: Vec<(Oid, bool)> = begin.collect();
        todo.reverse();
        loop {
            while let Some((oid, old)) = todo.pop() {
                match colour.get(&oid) {
                    Some(true) => continue,
                    Some(false) if !old => continue,
                    _ => {}
                }
                let bytes = match self.read(&oid, Type::Commit, limit::COMMIT) {
                    Err(e) if old && e.kind() == Kind::Integrity(Class::Absent) => continue,
                    other => other?,
                };
                colour.insert(oid, old);
                queue.push((object::commit_time(&bytes), old, oid));
                wanted += usize::from(!old);
            }
            if wanted == 0 {
                break;
            }
            let Some((_, old, oid)) = queue.pop() else { break };
            wanted -= usize::from(!old);
            // Met as new first, and since then found to be old.
            if !old && colour.get(&oid) == Some(&true) {
                continue;
            }
            let bytes = self.read(&oid, Type::Commit, limit::COMMIT)?;
            let parents = object::commit_parents(&bytes);
            todo.extend(parents.iter().rev().map(|p| (*p, old)));
            if !old {
                new.push(Commit { oid, tree: object::commit_tree(&bytes)?, parents });
            }
        }
        new.retain(|c| colour.get(&c.oid) == Some(&false));
        Ok(parents_first(new))
    }

    /// Checks that nothing reachable from `head` is missing, where `have` is known to be complete.
    pub fn complete(&self, head: &Oid, have: &[Oid]) -> Result<()> {
        for oid in self.closure(&[*head], have)? {
            if !self.contains(&oid)? {
                return Err(Error::integrity(Class::Absent, format!("git object {oid} was not sent, though it is needed")));
            }
        }
        Ok(())
    }
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
