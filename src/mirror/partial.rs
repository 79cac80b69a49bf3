//! Loading what a merge needs: of three trees, the directories in which they differ, and of these the files that are
//! not settled by themselves ([`sift`]); and writing the result to `Next`.

mod sealed_trees;
mod share_trees;
pub mod sift;

use super::Device;
use super::content::Opened;
use super::history;
use super::overlay::{Overlay, each_row};
use super::packs::Packs;
use super::stage;
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::state::{Row, RowNode, State, Table, key};
use crate::tree::merge::{How, Merged, Outcome, merge};
use crate::tree::planted::{self, Mistake};
use crate::tree::{Node, Place, Tree};
use sealed_trees::{Sealed, View};
use share_trees::Share;
use sift::{Entry, Sift, Trio};
use std::collections::BTreeSet;

/// Three trees (base, first, second) that are read a directory at a time.
trait Trees<F: Files, S: State, C: Clock, R: Random> {
    /// What stands under a name.
    type Entry: Entry;
    /// A directory that is being read.
    type Listing;

    /// Begins to read a directory. Unless `whole`, names may be left out that are the same in all three trees.
    fn listing(&mut self, d: &Device<F, S, C, R>, dir: Id, whole: bool) -> Result<Self::Listing>;
    /// The next name, in order.
    fn next(&mut self, d: &Device<F, S, C, R>, at: &mut Self::Listing) -> Result<Option<(Name, Trio<Self::Entry>)>>;
    /// What an entry stands for.
    fn node(&mut self, d: &Device<F, S, C, R>, entry: &Self::Entry) -> Result<Node>;

    /// [`Sift::settled`].
    fn settled(&mut self, d: &Device<F, S, C, R>, sift: &Sift, dir: Id, name: &Name, trio: &Trio<Self::Entry>) -> Result<Option<usize>> {
        sift.settled(dir, name, trio, &mut |e| Ok(self.node(d, e)?.file().map_or(0, |v| v.generation)))
    }
}

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
    let mut sift = Sift::default();
    loop {
        sift.moved.clear();
        let mut trees = [Tree::new(), Tree::new(), Tree::new()];
        let mut opened: BTreeSet<Id> = BTreeSet::new();
        let mut todo = vec![Id::ROOT];
        while let Some(dir) = todo.pop() {
            if !opened.insert(dir) {
                continue;
            }
            let mut inside: BTreeSet<Id> = BTreeSet::new();
            let mut at = Share.listing(d, dir, true)?;
            while let Some((name, trio)) = Share.next(d, &mut at)? {
                sift.note(&trio);
                for (tree, node) in trees.iter_mut().zip(trio) {
                    let Some(node) = node.filter(Node::is_dir) else { continue };
                    inside.insert(node.id());
                    tree.insert(Place { dir, name: name.clone() }, node);
                }
            }
            for id in inside {
                let mut everywhere = true;
                for view in share_trees::VIEWS {
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
        list_files(d, &mut Share, &sift, &opened, &mut trees)?;
        let mut same = Opened { git: &d.git, keys: &d.keys };
        match merge(&trees[0], &trees[1], &trees[2], How::Real, &mut same)? {
            Outcome::Open(more) => {
                for id in more {
                    touch(&d.state, id, &mut touched)?;
                    sift.whole.insert(id);
                }
            }
            Outcome::Merged(m) => {
                drop(trees);
                return to_next(d, packs, m, &mut Share, &sift, &opened, share_trees::HEAD);
            }
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

/// Lists the files of all opened directories that are not settled by themselves. Of those that were added, one of each
/// directory: so it is seen that the directory is needed.
fn list_files<F: Files, S: State, C: Clock, R: Random, T: Trees<F, S, C, R>>(
    d: &Device<F, S, C, R>,
    from: &mut T,
    sift: &Sift,
    opened: &BTreeSet<Id>,
    trees: &mut [Tree; 3],
) -> Result<()> {
    for dir in opened {
        let mut shown = [false; 3];
        let whole = sift.is_whole(*dir);
        if !whole {
            trees.iter_mut().for_each(|t| t.thin(*dir));
        }
        let mut at = from.listing(d, *dir, whole)?;
        while let Some((name, trio)) = from.next(d, &mut at)? {
            if let Some(winner) = from.settled(d, sift, *dir, &name, &trio)?
                && (trio[0].is_some() || std::mem::replace(&mut shown[winner], true))
            {
                continue;
            }
            for (tree, entry) in trees.iter_mut().zip(&trio) {
                if let Some(entry) = entry.as_ref().filter(|e| !e.is_dir()) {
                    tree.insert(Place { dir: *dir, name: name.clone() }, from.node(d, entry)?);
                }
            }
        }
    }
    Ok(())
}

/// Puts a merged tree into `Next` as differences against `Head`, which is the tree of this number among the three; seals
/// the new file heads. `opened`: the directories that the trees listed.
fn to_next<F: Files, S: State, C: Clock, R: Random, T: Trees<F, S, C, R>>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    merged: Merged,
    from: &mut T,
    sift: &Sift,
    opened: &BTreeSet<Id>,
    head_is: usize,
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
        let mut at = from.listing(d, *dir, sift.is_whole(*dir))?;
        while let Some((name, trio)) = from.next(d, &mut at)? {
            let place = Place { dir: *dir, name };
            if merged.tree.get(&place).is_some() {
                continue;
            }
            let node = match (from.settled(d, sift, *dir, &place.name, &trio)?, &trio[head_is]) {
                (None, None) => continue,
                (None, Some(_)) => RowNode::Gone,
                (Some(winner), head) => {
                    let new = trio[winner].as_ref().filter(|new| !head.as_ref().is_some_and(|h| h.same(new)));
                    let Some(new) = new else { continue };
                    let mut node = from.node(d, new)?;
                    if let Node::File(v) = &mut node {
                        v.generation = v.generation.max(1);
                    }
                    RowNode::Here(node)
                }
            };
            differs = true;
            d.state.put(Table::Next, &Row { place, node, seen: None })?;
        }
    }
    Ok(differs)
}

/// Loads base, first and second as far as they differ, and merges.
fn merge_views<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    sealed: &mut Sealed,
    how: How,
) -> Result<(Merged, Sift, BTreeSet<Id>)> {
    let mut sift = Sift { all: how == How::VirtualBase, ..Sift::default() };
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
            for ((view, tree), done) in sealed.views.iter_mut().zip(&mut trees).zip(&mut done) {
                for dir in &opened {
                    if view.trees.contains_key(dir) && done.insert(*dir) {
                        view.open(d, *dir, tree)?;
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
                let oids: Vec<Oid> = sealed
                    .views
                    .iter()
                    .zip(&trees)
                    .filter(|(_, t)| t.dir(&id).is_some())
                    .filter_map(|(v, _)| v.trees.get(&id).copied())
                    .collect();
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
        sift.moved.clear();
        for dir in &opened {
            let mut at = sealed.listing(d, *dir, sift.is_whole(*dir))?;
            while let Some((_, trio)) = Trees::next(sealed, d, &mut at)? {
                sift.note(&trio);
            }
        }
        list_files(d, sealed, &sift, &opened, &mut trees)?;
        let mut same = Opened { git: &d.git, keys: &d.keys };
        let [base, first, second] = &trees;
        match merge(base, first, second, how, &mut same)? {
            Outcome::Open(more) => {
                force.extend(&more);
                sift.whole.extend(more);
            }
            Outcome::Merged(m) => return Ok((m, sift, opened)),
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
        let mut views = Sealed::of([base, view, root(next)?]);
        let (m, _, _) = merge_views(d, &mut views, How::VirtualBase)?;
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
    let mut views = Sealed::of([base, tree(first)?, tree(second)?]);
    let (merged, sift, opened) = merge_views(d, &mut views, How::Real)?;
    let head_is = if super::secure::oid_value(&d.state, key::HEAD)?.as_ref() == Some(first) { 1 } else { 2 };
    to_next(d, packs, merged, &mut views, &sift, &opened, head_is)
}
