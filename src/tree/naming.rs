//! The second half of the merge: which directories there must be, no cycles, and from the root down what gets which
//! name.

use super::conflict;
use super::merge::{Compare, Merged, Outcome, Winner, impossible, regenerate};
use super::planted::{self, Mistake};
use super::rows::{Row, hit};
use super::{FileKind, Node, Place, Tree, Version};
use crate::error::Result;
use crate::id::{Id, Oid};
use crate::path::{Name, RelPath};
use std::collections::{BTreeMap, BTreeSet};

/// What the rows have decided.
#[derive(Default)]
pub(super) struct Plan {
    /// Places of directories that a side has.
    pub at: BTreeMap<Id, Place>,
    /// Directories that stay by a row.
    pub stay: BTreeSet<Id>,
    /// Files: place, whose place it is (0 first's, 1 second's), version.
    pub placed: Vec<(Place, u8, Winner)>,
    /// Versions that lost their name to another of the same file.
    pub losers: Vec<(Place, Version)>,
    keep: BTreeSet<Id>,
}

impl Plan {
    /// Directories that must be there: those that stay, and those that a place names; then no cycles.
    pub fn settle_directories(&mut self, first: &Tree) -> Result<()> {
        loop {
            self.keep = self.stay.clone();
            let mut todo: Vec<Id> = self.placed.iter().map(|p| p.0.dir).chain(self.losers.iter().map(|l| l.0.dir)).collect();
            for id in &self.stay {
                todo.extend(self.at.get(id).map(|p| p.dir));
            }
            while let Some(id) = todo.pop() {
                if id != Id::ROOT && self.keep.insert(id) {
                    todo.push(self.at.get(&id).ok_or_else(|| impossible("a directory that is not there holds something"))?.dir);
                }
            }
            let cycle = self.cycle()?;
            let back: Vec<Id> = cycle.iter().copied().filter(|id| first.dir(id).is_some_and(|p| self.at.get(id) != Some(p))).collect();
            for id in &back {
                if let Some(p) = first.dir(id) {
                    hit(Row::Cycle);
                    self.at.insert(*id, p.clone());
                }
            }
            if back.is_empty() || planted::is(Mistake::NoCycle) {
                return match cycle.is_empty() {
                    true => Ok(()),
                    false => Err(impossible("directories lie in each other")),
                };
            }
        }
    }

    /// The directories that lie in themselves.
    fn cycle(&self) -> Result<BTreeSet<Id>> {
        let up = |id: &Id| self.at.get(id).map(|p| p.dir).ok_or_else(|| impossible("a directory without a place"));
        let mut fine: BTreeSet<Id> = BTreeSet::new(); // Known to reach the root.
        let mut out = BTreeSet::new();
        for id in &self.keep {
            let mut path = Vec::new();
            let mut on_path = BTreeSet::new();
            let mut at = *id;
            loop {
                if at == Id::ROOT || fine.contains(&at) {
                    fine.extend(path);
                    break;
                }
                if out.contains(&at) {
                    break;
                }
                if !on_path.insert(at) {
                    let start = path.iter().position(|p| *p == at).unwrap_or(0);
                    out.extend(path[start..].iter().copied());
                    break;
                }
                path.push(at);
                at = up(&at)?;
            }
        }
        Ok(out)
    }

    /// From the root down: names that are wanted twice; then conflict copies.
    pub fn name_everything(self, first: &Tree, second: &Tree, compare: &mut Compare<'_>) -> Result<Outcome> {
        let mut dirs_in: BTreeMap<Id, Vec<(Name, Id)>> = BTreeMap::new();
        let mut files_in: BTreeMap<Id, Vec<(Name, u8, Winner)>> = BTreeMap::new();
        let mut losers_in: BTreeMap<Id, Vec<(Name, Version)>> = BTreeMap::new();
        for id in &self.keep {
            let p = self.at.get(id).ok_or_else(|| impossible("a directory without a place"))?;
            dirs_in.entry(p.dir).or_default().push((p.name.clone(), *id));
        }
        for (p, prio, w) in self.placed {
            files_in.entry(p.dir).or_default().push((p.name, prio, w));
        }
        for (p, v) in self.losers {
            losers_in.entry(p.dir).or_default().push((p.name, v));
        }
        let closed = |id: &Id| first.is_closed(id) || second.is_closed(id);
        let mut open: BTreeSet<Id> = BTreeSet::new();
        let mut out = Named::default();
        // Wanted path, wanted place, version (which may have got a new head before it lost).
        let mut lost: Vec<(RelPath, Place, Winner)> = Vec::new();
        let mut todo: Vec<(RelPath, Id, Vec<Id>)> = vec![(RelPath::root(), Id::ROOT, vec![Id::ROOT])];
        while let Some((path, dir, ids)) = todo.pop() {
            // Their entries meet, so all of them have to be known.
            if ids.len() > 1 {
                open.extend(ids.iter().filter(|id| first.is_thin(id) || second.is_thin(id)));
            }
            for id in ids.iter().filter(|id| closed(id)) {
                if ids.len() > 1 || dirs_in.contains_key(id) || files_in.contains_key(id) || losers_in.contains_key(id) {
                    open.insert(*id);
                } else {
                    out.tree.close(*id);
                }
            }
            let mut names: BTreeMap<Name, Vec<Id>> = BTreeMap::new();
            for (n, id) in ids.iter().filter_map(|id| dirs_in.remove(id)).flatten() {
                names.entry(n).or_default().push(id);
            }
            for (n, mut same_name) in names.clone() {
                // R-dir-dir: the id that stands there on first, else the smaller.
                same_name.sort_by_key(|id| (first.dir(id).is_none_or(|p| self.at.get(id) != Some(p)), *id));
                if same_name.len() > 1 {
                    hit(Row::DirDir);
                }
                let id = same_name[0];
                let place = Place { dir, name: n };
                let path = path.join(&place.name);
                let tree = match closed(&id) && same_name.len() == 1 {
                    true => tree_of(first, &id).or_else(|| tree_of(second, &id)).unwrap_or(Oid::ZERO),
                    false => Oid::ZERO,
                };
                out.tree.insert(place, Node::Dir { id, tree });
                todo.push((path, id, same_name));
            }
            let mut wanted: Vec<(Name, u8, Winner)> = ids.iter().filter_map(|id| files_in.remove(id)).flatten().collect();
            wanted.sort_by(|a, b| {
                let key = |x: &(Name, u8, Winner)| (x.1, x.2.v.id, x.2.v.generation);
                a.0.cmp(&b.0).then_with(|| key(a).cmp(&key(b))).then_with(|| a.2.v.cmp(&b.2.v))
            });
            for (n, _, w) in wanted {
                let place = Place { dir, name: n };
                if names.contains_key(&place.name) {
                    hit(Row::FileDir);
                    lost.push((path.join(&place.name), place, w));
                    continue;
                }
                let Some(have) = out.files.get_mut(&place) else {
                    out.files.insert(place, w);
                    continue;
                };
                if compare.eq(&have.v, &w.v)? {
                    hit(Row::AddAddSame);
                    let before = have.v.clone();
                    if have.v.kind == FileKind::File {
                        have.set_bits(have.v.exec || w.v.exec, have.v.private || w.v.private);
                    }
                    regenerate(have, &[&before, &w.v]);
                } else {
                    hit(Row::AddAdd);
                    let before = have.v.clone();
                    regenerate(have, &[&before, &w.v]);
                    lost.push((path.join(&place.name), place, w));
                }
            }
            for (n, v) in ids.iter().filter_map(|id| losers_in.remove(id)).flatten() {
                lost.push((path.join(&n), Place { dir, name: n }, Winner::of(&v)));
            }
        }
        if !open.is_empty() {
            return Ok(Outcome::Open(open));
        }
        lost.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| conflict::order(&a.2.v, &b.2.v)));
        for (_, place, w) in lost {
            out.copy(&place, w, compare)?;
        }
        Ok(Outcome::Merged(out.finish()))
    }
}

fn tree_of(t: &Tree, id: &Id) -> Option<Oid> {
    match t.get(t.dir(id)?) {
        Some(Node::Dir { tree, .. }) => Some(*tree),
        _ => None,
    }
}

/// The result under way: directories in a tree, files still as winners.
#[derive(Default)]
struct Named {
    tree: Tree,
    files: BTreeMap<Place, Winner>,
    conflicts: Vec<(Place, Place)>,
}

impl Named {
    /// Gives a losing version its conflict name, unless a copy of it is there already.
    fn copy(&mut self, wanted: &Place, w: Winner, compare: &mut Compare<'_>) -> Result<()> {
        // Only the names that begin as a copy's does: with many conflicts in one large directory, looking at all would be quadratic.
        let prefix = conflict::copy_prefix(&wanted.name);
        let copies: Vec<Place> = match Name::new(&*prefix) {
            None => Vec::new(), // Too long to be a name: no copy can be there.
            Some(name) => self
                .files
                .range(Place { dir: wanted.dir, name }..)
                .take_while(|(p, _)| p.dir == wanted.dir && p.name.as_bytes().starts_with(&prefix))
                .map(|(p, _)| p.clone())
                .collect(),
        };
        for q in copies {
            if q.name != wanted.name && conflict::is_copy_of(&q.name, &wanted.name) && compare.eq(&self.files[&q].v, &w.v)? {
                self.there(&q, &w.v);
                return Ok(());
            }
        }
        for n in 1.. {
            let q = Place { dir: wanted.dir, name: conflict::name(&wanted.name, &w.v, n) };
            if self.tree.get(&q).is_some() {
                continue;
            }
            match self.files.get(&q) {
                None => {
                    self.conflicts.push((wanted.clone(), q.clone()));
                    self.files.insert(q, w);
                    return Ok(());
                }
                Some(x) => {
                    if compare.eq(&x.v, &w.v)? {
                        self.there(&q, &w.v);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn there(&mut self, q: &Place, v: &Version) {
        hit(Row::CopyExists);
        if planted::is(Mistake::NoGeneration) {
            return;
        }
        if let Some(x) = self.files.get_mut(q)
            && x.v.id == v.id
            && x.v != *v
            && x.v.generation <= v.generation
        {
            hit(Row::Generation);
            x.set_generation(v.generation + 1);
        }
    }

    fn finish(self) -> Merged {
        let mut out = Merged { tree: self.tree, reseal: BTreeMap::new(), conflicts: self.conflicts };
        for (place, mut w) in self.files {
            if w.anew {
                out.reseal.insert(place.clone(), w.v.oid);
                w.v.oid = Oid::ZERO;
            }
            out.tree.insert(place, Node::File(w.v));
        }
        out
    }
}
