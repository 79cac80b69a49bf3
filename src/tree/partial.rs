//! Trees as the merge sees them: by place, and only as much of them as differs.
//!
//! A directory is *open* (everything in it is listed) or *closed* (nothing in it is listed). A caller may close a
//! directory only if it stands in all three trees of a merge with the same entries, all the way down; its own place may
//! differ. Since a place names the directory's id, what lies below a closed directory has the same places and versions
//! in all three trees, so the rows of MERGE 5 leave it alone, with one exception: where two directories become one
//! (R-dir-dir), their entries meet. The merge then asks for those directories to be opened ([`super::merge::Outcome`]).
//! Every directory above a listed one is listed.
//!
//! An open directory may be *thin*: files in it are not listed that the rest of the trees has no bearing on. Those are the
//! files whose place holds a file of one id, or nothing, in each tree, and which the rows give to one side whole, without a
//! new file head; where a tree has nothing at that place, the id must stand nowhere else in it. The name may not look like
//! a conflict copy's, and of the files that only one side has, one must be listed in each directory. Entries of thin
//! directories, too, meet where two directories become one, so these are asked for as well. Directories are always listed.

use super::{Node, Place};
use crate::id::Id;
use crate::path::Name;
use std::collections::{BTreeMap, BTreeSet};

/// A tree, or the part of it that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<Place, Node>,
    dirs: BTreeMap<Id, Place>,
    closed: BTreeSet<Id>,
    thin: BTreeSet<Id>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Sets what stands at a place.
    pub fn insert(&mut self, place: Place, node: Node) {
        if let Some(Node::Dir { id, .. }) = self.nodes.get(&place)
            && self.dirs.get(id) == Some(&place)
        {
            self.dirs.remove(id);
        }
        if let Node::Dir { id, .. } = &node {
            self.dirs.insert(*id, place.clone());
        }
        self.nodes.insert(place, node);
    }

    /// Says that a directory's entries are not listed.
    pub fn close(&mut self, dir: Id) {
        self.closed.insert(dir);
    }

    /// True if a directory's entries are not listed.
    pub fn is_closed(&self, dir: &Id) -> bool {
        self.closed.contains(dir)
    }

    /// Says that not all files of an open directory are listed.
    pub fn thin(&mut self, dir: Id) {
        self.thin.insert(dir);
    }

    /// True if not all files of an open directory are listed.
    pub fn is_thin(&self, dir: &Id) -> bool {
        self.thin.contains(dir)
    }

    /// What stands at a place.
    pub fn get(&self, place: &Place) -> Option<&Node> {
        self.nodes.get(place)
    }

    /// What stands at a place, with the tree's own key.
    pub(super) fn iter_at(&self, place: &Place) -> Option<(&Place, &Node)> {
        self.nodes.get_key_value(place)
    }

    /// Everything that is listed, in order of places.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, &Node)> {
        self.nodes.iter()
    }

    /// The listed entries of one directory.
    pub fn children(&self, dir: Id) -> impl Iterator<Item = (&Place, &Node)> {
        let from = Place { dir, name: Name::lowest() };
        self.nodes.range(from..).take_while(move |(p, _)| p.dir == dir)
    }

    /// Where a directory stands.
    pub fn dir(&self, id: &Id) -> Option<&Place> {
        self.dirs.get(id)
    }

    /// All directories with their places, by id.
    pub fn dirs(&self) -> impl Iterator<Item = (&Id, &Place)> {
        self.dirs.iter()
    }

    /// The directories above a place, nearest first, without the root.
    pub(super) fn above<'t>(&'t self, place: &'t Place) -> impl Iterator<Item = Id> + 't {
        let mut at = place.dir;
        let mut left = self.dirs.len() + 1;
        std::iter::from_fn(move || {
            if at == Id::ROOT || left == 0 {
                return None;
            }
            left -= 1;
            let here = at;
            at = self.dirs.get(&at)?.dir;
            Some(here)
        })
    }
}
