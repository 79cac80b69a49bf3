//! Writing sealed trees and commits: from `Next` over `Head` to git objects.

use super::Device;
use super::overlay::{Overlay, Rows};
use super::packs::Packs;
use super::sealed;
use crate::clock::{Clock, Random, Time};
use crate::crypt::head::FileHead;
use crate::crypt::name::{self, EntryKind};
use crate::crypt::seal::{self, Details, Label};
use crate::crypt::{VaultKeys, small};
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::git::object::TreeBuilder;
use crate::git::store::Store;
use crate::git::{Type, limit};
use crate::id::{Id, Oid};
use crate::state::{State, Table};
use crate::tree::{Node, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of entry that a node has in its directory.
pub fn entry_kind(node: &Node) -> EntryKind {
    match node {
        Node::Dir { .. } => EntryKind::Dir,
        Node::File(v) if v.segment == 0 => EntryKind::Small,
        Node::File(_) => EntryKind::Large,
    }
}

/// The name under which a node stands in secure.
pub fn entry_name(keys: &VaultKeys, place: &Place, node: &Node) -> name::Sealed {
    name::seal(keys, &place.dir, entry_kind(node), &node.id(), place.name.as_bytes())
}

/// The keeper of an empty directory: its entry name and its object.
pub fn keeper(keys: &VaultKeys, dir: &Id) -> Result<(name::Sealed, Vec<u8>)> {
    let sealed = name::seal(keys, dir, EntryKind::Keeper, dir, b"");
    let mut object = Vec::new();
    small::seal(keys, &mut FileHead::keeper(*dir), b"", &mut object)?;
    Ok((sealed, object))
}

/// Writes the git trees of `Next` over `Head` and gives the root's. Only directories in or below which something
/// differs are written anew.
pub fn write_trees<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, packs: &mut Packs<F>) -> Result<Oid> {
    let dirty = dirty_dirs(&d.state)?;
    let mut done: BTreeMap<Id, Oid> = BTreeMap::new();
    let mut stack = vec![Id::ROOT];
    while let Some(&dir) = stack.last() {
        let mut waits = false;
        let mut tree = TreeBuilder::default();
        let mut empty = true;
        let mut blobs: Vec<Vec<u8>> = Vec::new();
        Overlay::NEXT.children(&d.state, dir, |row| {
            let Some(node) = row.here() else { return Ok(()) };
            empty = false;
            let oid = match node {
                Node::File(v) if v.oid == Oid::ZERO => {
                    return Err(Error::failed(format!("file {} was not sealed", v.id)));
                }
                Node::File(v) => v.oid,
                Node::Dir { id, tree } if *tree != Oid::ZERO && !dirty.contains(id) => *tree,
                Node::Dir { id, .. } => match done.get(id) {
                    Some(oid) => *oid,
                    None => {
                        stack.push(*id);
                        waits = true;
                        return Ok(());
                    }
                },
            };
            if waits {
                return Ok(());
            }
            let sealed = entry_name(&d.keys, &row.place, node);
            match entry_kind(node) {
                EntryKind::Dir | EntryKind::Large => tree.add_tree(sealed.entry.as_bytes(), oid)?,
                EntryKind::Small | EntryKind::Keeper => tree.add_blob(sealed.entry.as_bytes(), oid)?,
            }
            if let Some((name, content)) = sealed.long {
                tree.add_blob(name.as_bytes(), crate::git::object::id(Type::Blob, &content))?;
                blobs.push(content);
            }
            Ok(())
        })?;
        if waits {
            continue;
        }
        for content in blobs {
            packs.add(Type::Blob, &content)?;
        }
        if dir == Id::ROOT {
            tree.add_blob(sealed::VAULT, packs.add(Type::Blob, &d.keys.vault_file(&d.vault))?)?;
        } else if empty {
            let (sealed, object) = keeper(&d.keys, &dir)?;
            tree.add_blob(sealed.entry.as_bytes(), packs.add(Type::Blob, &object)?)?;
        }
        done.insert(dir, packs.add(Type::Tree, &tree.finish()?)?);
        stack.pop();
        if stack.len() > 1_000_000 {
            return Err(Error::integrity(Class::Form, "directories lie in each other"));
        }
    }
    Ok(done[&Id::ROOT])
}

/// The directories whose git tree changes: those that hold a difference, and all above them.
fn dirty_dirs<S: State>(state: &S) -> Result<BTreeSet<Id>> {
    let mut dirty = BTreeSet::from([Id::ROOT]);
    let mut rows = Rows::of(Table::Next);
    while let Some(row) = rows.next(state)? {
        let mut at = row.place.dir;
        while dirty.insert(at) {
            match Overlay::NEXT.dir(state, at)? {
                Some(up) => at = up.place.dir,
                None => break, // A directory that is gone with what it held.
            }
        }
    }
    Ok(dirty)
}

/// A commit that is sealed and verified by itself.
pub type Commit = seal::Commit;

/// Reads and verifies one commit by its own seal (both labels; ask `label`).
pub fn open<F: Files>(git: &Store<F>, keys: &VaultKeys, vault: &Id, oid: &Oid) -> Result<Commit> {
    let bytes = git.read(oid, Type::Commit, limit::COMMIT)?;
    seal::open_commit(keys, vault, &bytes).map_err(|e| e.at(format!("commit {oid}")))
}

/// What a commit of this device says beside its tree.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// A line for the log.
    pub summary: Option<String>,
    /// The head of which this commit takes the place.
    pub supersedes: Option<Oid>,
    /// Unsealed commits that it takes in.
    pub adopts: Vec<Oid>,
    /// Devices that it takes off the list.
    pub forgets: Vec<Id>,
}

/// Seals a commit of this device over `tree`, with at most one parent, and adds it to the packs. It is a child of what it
/// supersedes, too.
pub fn write_own<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    tree: Oid,
    parent: Option<Oid>,
    says: Says,
) -> Result<Oid> {
    let mut time = d.clock.now();
    let mut height = 1;
    for oid in parent.iter().chain(&says.supersedes) {
        // A superseded head may be one that only its storage node still has.
        if parent != Some(*oid) && !d.git.contains(oid)? {
            continue;
        }
        let p = open(&d.git, &d.keys, &d.vault, oid)?;
        let parent_time = p.details.time;
        height = height.max(p.details.height.saturating_add(1));
        if time < parent_time {
            if parent_time.s - time.s > 86_400 {
                d.report.problems.push(super::Problem {
                    path: None,
                    what: format!("the clock of this device is {} hours behind the vault's", (parent_time.s - time.s) / 3600),
                    remedy: None,
                    note: false,
                });
            }
            time = parent_time;
        }
    }
    let seq = 1 + seq(&d.state)?;
    let details = Details {
        device: Some(d.id),
        device_name: Some(d.name.clone()),
        time,
        seq: Some(seq),
        height,
        summary: says.summary,
        vector: Vec::new(),
        supersedes: says.supersedes,
        adopts: says.adopts,
        forgets: says.forgets,
    };
    let parents: Vec<Oid> = parent.into_iter().collect();
    let bytes = seal::write_commit(&d.keys, &d.vault, Label::Main, &tree, &parents, &details)?;
    d.state.set_value(SEQ, Some(&seq.to_be_bytes()))?;
    packs.add(Type::Commit, &bytes)
}

/// State value: the number of this device's last own commit.
pub const SEQ: &str = "seq";

/// The number of this device's last own commit, 0 before the first.
pub fn seq<S: State>(state: &S) -> Result<u64> {
    Ok(match state.value(SEQ)?.as_deref().map(<[u8; 8]>::try_from) {
        Some(Ok(b)) => u64::from_be_bytes(b),
        _ => 0,
    })
}

/// Seals the merge of two heads: no device, no clock; the same pair gives the same bytes everywhere.
pub fn write_merge<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    packs: &mut Packs<F>,
    tree: Oid,
    first: (Oid, &Commit),
    second: (Oid, &Commit),
) -> Result<Oid> {
    let time: Time = first.1.details.time.max(second.1.details.time);
    let height = first.1.details.height.max(second.1.details.height).saturating_add(1);
    let details = Details { time, height, ..Details::empty() };
    let bytes = seal::write_commit(&d.keys, &d.vault, Label::Main, &tree, &[first.0, second.0], &details)?;
    packs.add(Type::Commit, &bytes)
}
