//! From a sealed commit to `Next`: how its tree differs from the one in `Head`, with every name and file head on the way
//! verified. Nothing of a commit is brought about before this has gone through once.

use super::Device;
use super::overlay::{Overlay, each_row};
use super::sealed::{self, Versions};
use crate::clock::{Clock, Random};
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::state::{Row, RowNode, State, Table};
use crate::tree::{Node, Place};
use std::collections::{BTreeMap, BTreeSet};

/// Fills `Next` with the differences between `Head` and the sealed tree `root`; gives their number.
///
/// Equal directories (one id, one git tree) are skipped whole. Memory: the entries of one directory, and the ids of the
/// directories that differ.
///
/// Errors: Integrity, naming the object, for whatever [`sealed::list`] and the file heads refuse, for two entries of one
/// name and for a directory id that stands twice.
pub fn differences<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, root: &Oid) -> Result<u64> {
    d.state.clear(Table::Next)?;
    let mut versions = Versions::default();
    let mut seen_dirs: BTreeSet<Id> = BTreeSet::from([Id::ROOT]);
    let mut lost_dirs: Vec<Id> = Vec::new();
    let mut todo = vec![(Id::ROOT, *root)];
    let mut n = 0;
    while let Some((dir, tree)) = todo.pop() {
        let new = listing(d, &mut versions, &dir, &tree)?;
        let mut rest = Overlay::HEAD.within(dir);
        let mut old = rest.next(&d.state)?;
        for (name, item) in new {
            while let Some(o) = old.take_if(|o| o.place.name < name) {
                n += gone(&mut d.state, o, &mut lost_dirs)?;
                old = rest.next(&d.state)?;
            }
            let before = match old.take_if(|o| o.place.name == name) {
                Some(o) => {
                    old = rest.next(&d.state)?;
                    Some(o)
                }
                None => None,
            };
            let before = before.as_ref().and_then(|r| r.here());
            // The same object under the same id at the same place: nothing to open.
            if let Some(Node::File(v)) = before
                && v.oid == item.oid
                && v.id == item.id
            {
                continue;
            }
            let node =
                sealed::node(&d.git, &d.keys, &mut versions, &item)?.ok_or_else(|| Error::integrity(Class::Form, "a keeper has a name"))?;
            if let Node::Dir { id, tree } = &node {
                if !seen_dirs.insert(*id) {
                    return Err(Error::integrity(Class::Form, format!("directory {id} stands at two places")));
                }
                let known = Overlay::HEAD.dir(&d.state, *id)?;
                let known_tree = known.and_then(|r| match r.here() {
                    Some(Node::Dir { tree, .. }) => Some(*tree),
                    _ => None,
                });
                if known_tree != Some(*tree) {
                    todo.push((*id, *tree));
                }
            }
            if let Some(Node::Dir { id, .. }) = before
                && (*id != node.id() || !node.is_dir())
            {
                lost_dirs.push(*id);
            }
            if before != Some(&node) {
                n += 1;
                d.state.put(Table::Next, &Row { place: Place { dir, name }, node: RowNode::Here(node), seen: None })?;
            }
        }
        while let Some(o) = old {
            n += gone(&mut d.state, o, &mut lost_dirs)?;
            old = rest.next(&d.state)?;
        }
    }
    // Directories that stand nowhere any more: what they held is gone, too, unless it moved.
    while let Some(dir) = lost_dirs.pop() {
        if seen_dirs.contains(&dir) || Overlay::NEXT.dir(&d.state, dir)?.is_some() {
            continue;
        }
        for row in Overlay::HEAD.list(&d.state, dir)? {
            n += gone(&mut d.state, row, &mut lost_dirs)?;
        }
    }
    Ok(n)
}

fn gone<S: State>(state: &mut S, row: Row, lost_dirs: &mut Vec<Id>) -> Result<u64> {
    if let Some(Node::Dir { id, .. }) = row.here() {
        lost_dirs.push(*id);
    }
    state.put(Table::Next, &Row { place: row.place, node: RowNode::Gone, seen: None })?;
    Ok(1)
}

fn listing<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    versions: &mut Versions,
    dir: &Id,
    tree: &Oid,
) -> Result<BTreeMap<Name, sealed::Item>> {
    let mut out = BTreeMap::new();
    for item in sealed::list(&d.git, &d.keys, dir, tree)? {
        let Some(name) = item.name.clone() else {
            versions.of(&d.git, &d.keys, &item)?;
            continue;
        };
        if out.insert(name.clone(), item).is_some() {
            return Err(double(&name));
        }
    }
    Ok(out)
}

/// Makes `Head` the tree of the commit, from nothing: for a lost or foreign database, and for tests.
pub fn rebuild_head<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, root: Option<&Oid>) -> Result<()> {
    d.state.clear(Table::Head)?;
    if let Some(root) = root {
        differences(d, root)?;
        d.state.absorb(Table::Next, Table::Head)?;
    }
    Ok(())
}

/// The error of a directory in which a name stands twice.
pub(super) fn double(name: &Name) -> Error {
    Error::integrity(Class::Form, format!("two entries of one directory have the name {name}"))
}

/// Sets the versions that only the merge knows as 'took head's id' (generation 0) to generation 1 in `Scan`.
pub fn settle_generations<S: State>(state: &mut S, table: Table) -> Result<()> {
    each_row(state, table, |state, mut row| {
        if let RowNode::Here(Node::File(v)) = &mut row.node
            && v.generation == 0
        {
            v.generation = 1;
            state.put(table, &row)?;
        }
        Ok(())
    })
}
