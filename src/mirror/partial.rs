//! Loading what a merge needs: of three trees, the directories in which they differ; and writing the result to `Next`.

use super::Device;
use super::content::Opened;
use super::history;
use super::overlay::{Overlay, each_row};
use super::packs::Packs;
use super::sealed::{self, Versions};
use super::stage;
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::state::{Row, RowNode, State, Table};
use crate::tree::merge::{How, Merged, Outcome, merge};
use crate::tree::planted::{self, Mistake};
use crate::tree::{Node, Place, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// Merges the share as scanned with head over the ancestor, and leaves the result in `Next`. `true` if it differs from
/// head. The packs are closed first: what was just sealed may have to be read.
pub fn merge_share<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, packs: &mut Packs<F>) -> Result<bool> {
    packs.close()?;
    let mut touched: BTreeSet<Id> = BTreeSet::from([Id::ROOT]);
    each_row(&mut d.state, Table::Scan, |state, row| touch(state, row.place.dir, &mut touched))?;
    let mut after: Option<Place> = None;
    loop {
        let page = d.state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { break };
        after = Some(last.0.clone());
        for (place, _, _) in page {
            touch(&d.state, place.dir, &mut touched)?;
        }
    }
    const VIEWS: [Overlay; 3] = [Overlay::ANC, Overlay::HEAD, Overlay::SCANNED];
    loop {
        let mut trees = [Tree::new(), Tree::new(), Tree::new()];
        let mut opened: BTreeSet<Id> = BTreeSet::new();
        let mut todo = vec![Id::ROOT];
        while let Some(dir) = todo.pop() {
            if !opened.insert(dir) {
                continue;
            }
            let mut inside: BTreeSet<Id> = BTreeSet::new();
            for (view, tree) in VIEWS.iter().zip(&mut trees) {
                view.children(&d.state, dir, |row| {
                    if let Some(node) = row.here() {
                        if let Node::Dir { id, .. } = node {
                            inside.insert(*id);
                        }
                        tree.insert(row.place.clone(), node.clone());
                    }
                    Ok(())
                })?;
            }
            for id in inside {
                let mut everywhere = true;
                for view in VIEWS {
                    everywhere = everywhere && view.dir(&d.state, id)?.is_some();
                }
                if touched.contains(&id) || !everywhere {
                    todo.push(id);
                }
            }
        }
        for tree in &mut trees {
            let ids: Vec<Id> = tree.dirs().map(|(id, _)| *id).filter(|id| !opened.contains(id)).collect();
            ids.into_iter().for_each(|id| tree.close(id));
        }
        let mut same = Opened { git: &d.git, keys: &d.keys };
        match merge(&trees[0], &trees[1], &trees[2], How::Real, &mut same)? {
            Outcome::Open(more) => {
                for id in more {
                    touch(&d.state, id, &mut touched)?;
                }
            }
            Outcome::Merged(m) => return to_next(d, packs, m, &opened),
        }
    }
}

/// Marks a directory and all above it, in every tree.
fn touch<S: State>(state: &S, dir: Id, touched: &mut BTreeSet<Id>) -> Result<()> {
    let mut todo = vec![dir];
    while let Some(id) = todo.pop() {
        if id == Id::ROOT || !touched.insert(id) {
            continue;
        }
        for view in [Overlay::ANC, Overlay::HEAD, Overlay::SCANNED] {
            if let Some(row) = view.dir(state, id)? {
                todo.push(row.place.dir);
            }
        }
    }
    Ok(())
}

/// Puts a merged tree into `Next` as differences against `Head`; seals the new file heads. `opened`: the directories
/// that the trees listed.
fn to_next<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    merged: Merged,
    opened: &BTreeSet<Id>,
) -> Result<bool> {
    d.state.clear(Table::Next)?;
    let mut differs = false;
    for (place, node) in merged.tree.iter() {
        let mut node = node.clone();
        let head = d.state.get(Table::Head, place)?;
        if let Node::File(v) = &mut node {
            if let Some(source) = merged.reseal.get(place) {
                *v = stage::reseal(d, packs, v, source)?;
            } else if v.oid == Oid::ZERO {
                let source = head
                    .as_ref()
                    .and_then(|h| h.here()?.file())
                    .filter(|h| h.same_plaintext(v) == Some(true))
                    .map(|h| h.oid)
                    .ok_or_else(|| Error::failed(format!("file {} was not sealed", v.id)))?;
                *v = stage::reseal(d, packs, v, &source)?;
            }
            v.generation = v.generation.max(1);
        }
        let same = match (head.as_ref().and_then(|h| h.here()), &node) {
            (Some(Node::Dir { id: a, .. }), Node::Dir { id: b, .. }) => a == b,
            (Some(a), b) => a == b,
            (None, _) => false,
        };
        if !same {
            differs = true;
            d.state.put(Table::Next, &Row { place: place.clone(), node: RowNode::Here(node), seen: None })?;
        }
    }
    for dir in opened {
        for row in Overlay::HEAD.list(&d.state, *dir)? {
            if merged.tree.get(&row.place).is_none() {
                differs = true;
                d.state.put(Table::Next, &Row { place: row.place, node: RowNode::Gone, seen: None })?;
            }
        }
    }
    Ok(differs)
}

/// One of the trees of a merge of commits: a sealed tree, or one that was merged before.
#[derive(Default)]
struct View {
    merged: Option<Tree>,
    trees: BTreeMap<Id, Oid>,
}

impl View {
    fn of(root: Oid) -> View {
        View { merged: None, trees: BTreeMap::from([(Id::ROOT, root)]) }
    }

    fn merged(tree: Tree) -> View {
        let mut trees = BTreeMap::from([(Id::ROOT, Oid::ZERO)]);
        for (_, node) in tree.iter() {
            if let Node::Dir { id, tree } = node {
                trees.insert(*id, *tree);
            }
        }
        View { merged: Some(tree), trees }
    }

    /// Lists a directory into `into`.
    fn open<F: Files, S: State, C: Clock, R: Random>(
        &mut self,
        d: &Device<F, S, C, R>,
        versions: &mut Versions,
        dir: Id,
        into: &mut Tree,
    ) -> Result<()> {
        let Some(oid) = self.trees.get(&dir).copied() else { return Ok(()) };
        if let Some(tree) = self.merged.as_ref().filter(|_| oid == Oid::ZERO) {
            for (place, node) in tree.children(dir) {
                into.insert(place.clone(), node.clone());
            }
            return Ok(());
        }
        for item in sealed::list(&d.git, &d.keys, &dir, &oid)? {
            let Some(name) = item.name.clone() else { continue };
            let Some(node) = sealed::node(&d.git, &d.keys, versions, &item)? else { continue };
            if let Node::Dir { id, tree } = &node {
                self.trees.insert(*id, *tree);
            }
            into.insert(Place { dir, name }, node);
        }
        Ok(())
    }
}

/// Loads base, first and second as far as they differ, and merges.
fn merge_views<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    views: &mut [View; 3],
    how: How,
) -> Result<(Merged, BTreeSet<Id>)> {
    let mut versions = Versions::default();
    let mut force: BTreeSet<Id> = BTreeSet::from([Id::ROOT]);
    loop {
        let mut trees = [Tree::new(), Tree::new(), Tree::new()];
        let mut opened: BTreeSet<Id> = BTreeSet::new();
        let mut done: [BTreeSet<Id>; 3] = Default::default();
        let mut closed: BTreeSet<Id> = BTreeSet::new();
        let mut todo: BTreeSet<Id> = force.clone();
        loop {
            opened.append(&mut todo);
            let mut any = false;
            for ((view, tree), done) in views.iter_mut().zip(&mut trees).zip(&mut done) {
                for dir in &opened {
                    if view.trees.contains_key(dir) && done.insert(*dir) {
                        view.open(d, &mut versions, *dir, tree)?;
                        any = true;
                    }
                }
            }
            if any {
                continue;
            }
            // Only directories that a listed one holds count; ids of an earlier attempt may be known and not listed.
            let listed: BTreeSet<Id> = trees.iter().flat_map(|t| t.dirs().map(|(id, _)| *id)).collect();
            let mut rest: BTreeSet<Id> = BTreeSet::new();
            for id in listed {
                if opened.contains(&id) || closed.contains(&id) {
                    continue;
                }
                let oids: Vec<Oid> =
                    views.iter().zip(&trees).filter(|(_, t)| t.dir(&id).is_some()).filter_map(|(v, _)| v.trees.get(&id).copied()).collect();
                if oids.len() < 3 {
                    rest.insert(id);
                } else if oids[0] != Oid::ZERO && oids.iter().all(|o| *o == oids[0]) {
                    closed.insert(id);
                } else {
                    todo.insert(id);
                }
            }
            if todo.is_empty() {
                todo = rest;
            }
            if todo.is_empty() {
                break;
            }
        }
        for tree in &mut trees {
            closed.iter().for_each(|id| tree.close(*id));
        }
        let mut same = Opened { git: &d.git, keys: &d.keys };
        let [base, first, second] = &trees;
        match merge(base, first, second, how, &mut same)? {
            Outcome::Open(more) => force.extend(more),
            Outcome::Merged(m) => return Ok((m, opened)),
        }
    }
}

/// The tree that stands for all merge bases of two sides: they are merged in turn, oldest first.
fn base_of<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, bases: &[Oid], depth: u32) -> Result<View> {
    let root = |oid: &Oid| Ok::<_, Error>(View::of(super::secure::tree_of(d, oid)?));
    let Some((oldest, more)) = bases.split_first() else {
        return Err(Error::integrity(crate::error::Class::Auth, "two histories without a common commit"));
    };
    let mut view = root(oldest)?;
    if planted::is(Mistake::OneBase) {
        return Ok(view);
    }
    let mut done = vec![*oldest];
    for next in more {
        let inner = history::walk(d, &done, &[*next])?.bases;
        let base = if depth > 40 { root(oldest)? } else { base_of(d, &inner, depth + 1)? };
        let mut views = [base, view, root(next)?];
        let (m, _) = merge_views(d, &mut views, How::VirtualBase)?;
        view = View::merged(m.tree);
        done.push(*next);
    }
    Ok(view)
}

/// Merges two commits over their bases; the result stands in `Next`, as differences against `Head`, whose commit must
/// be one of the two.
pub fn merge_commits<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    bases: &[Oid],
    first: &Oid,
    second: &Oid,
) -> Result<bool> {
    let base = base_of(d, bases, 0)?;
    let tree = |oid: &Oid| Ok::<_, Error>(View::of(super::secure::tree_of(d, oid)?));
    let mut views = [base, tree(first)?, tree(second)?];
    let (merged, opened) = merge_views(d, &mut views, How::Real)?;
    to_next(d, packs, merged, &opened)
}
