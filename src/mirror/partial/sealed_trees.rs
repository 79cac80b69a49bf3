//! The three trees of a merge of commits, from git objects.

use super::Trees;
use super::sift::{self, Entry, Trio};
use crate::clock::{Clock, Random};
use crate::crypt::name::EntryKind;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::mirror::Device;
use crate::mirror::incoming;
use crate::mirror::sealed::{self, Item, Versions};
use crate::path::Name;
use crate::state::State;
use crate::tree::{Node, Place, Tree};
use std::collections::BTreeMap;
use std::iter::Peekable;

/// One of the trees of a merge of commits: a sealed tree, or one that was merged before.
#[derive(Default)]
pub struct View {
    merged: Option<Tree>,
    /// The git trees of the directories that are known so far; zero: they stand in `merged`.
    pub trees: BTreeMap<Id, Oid>,
}

impl View {
    /// A sealed tree.
    pub fn of(root: Oid) -> View {
        View { merged: None, trees: BTreeMap::from([(Id::ROOT, root)]) }
    }

    /// A tree that was merged before.
    pub fn merged(tree: Tree) -> View {
        let mut trees = BTreeMap::from([(Id::ROOT, Oid::ZERO)]);
        for (_, node) in tree.iter() {
            if let Node::Dir { id, tree } = node {
                trees.insert(*id, *tree);
            }
        }
        View { merged: Some(tree), trees }
    }

    /// Lists the directories in a directory into `into`.
    pub fn open<F: Files, S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, dir: Id, into: &mut Tree) -> Result<()> {
        let Some(oid) = self.trees.get(&dir).copied() else { return Ok(()) };
        if let Some(tree) = self.merged.as_ref().filter(|_| oid == Oid::ZERO) {
            for (place, node) in tree.children(dir).filter(|(_, n)| n.is_dir()) {
                into.insert(place.clone(), node.clone());
            }
            return Ok(());
        }
        for item in sealed::list_trees(&d.git, &d.keys, &dir, &oid)? {
            if let (EntryKind::Dir, Some(name)) = (item.kind, item.name) {
                self.trees.insert(item.id, item.oid);
                into.insert(Place { dir, name }, Node::Dir { id: item.id, tree: item.oid });
            }
        }
        Ok(())
    }

    /// All that a directory holds.
    fn list<F: Files, S: State, C: Clock, R: Random>(&self, d: &Device<F, S, C, R>, dir: Id) -> Result<Vec<(Name, Standing)>> {
        Ok(match (self.trees.get(&dir), &self.merged) {
            (None, _) => Vec::new(),
            (Some(&Oid::ZERO), Some(tree)) => tree.children(dir).map(|(p, n)| (p.name.clone(), Standing::Node(n.clone()))).collect(),
            (Some(oid), _) => named(sealed::list(&d.git, &d.keys, &dir, oid)?),
        })
    }
}

/// Items that have a name (a keeper has none).
fn named(items: Vec<Item>) -> Vec<(Name, Standing)> {
    items.into_iter().filter_map(|mut i| Some((i.name.take()?, Standing::Item(i)))).collect()
}

/// What stands under a name: an entry that was not opened yet, or what was merged before.
pub enum Standing {
    /// Of a sealed tree.
    Item(Item),
    /// Of a merged one.
    Node(Node),
}

impl Entry for Standing {
    fn is_dir(&self) -> bool {
        match self {
            Standing::Item(i) => i.kind == EntryKind::Dir,
            Standing::Node(n) => n.is_dir(),
        }
    }

    fn id(&self) -> Id {
        match self {
            Standing::Item(i) => i.id,
            Standing::Node(n) => n.id(),
        }
    }

    fn oid(&self) -> Oid {
        match self {
            Standing::Item(i) => i.oid,
            Standing::Node(n) => Entry::oid(n),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.id() == other.id() && self.oid() == other.oid()
    }
}

/// Base, first and second.
pub struct Sealed {
    /// The trees.
    pub views: [View; 3],
    versions: Versions,
}

impl Sealed {
    /// Of which nothing has been read yet.
    pub fn of(views: [View; 3]) -> Sealed {
        Sealed { views, versions: Versions::default() }
    }
}

/// One directory of all three.
pub type Listing = [Peekable<std::vec::IntoIter<(Name, Standing)>>; 3];

impl<F: Files, S: State, C: Clock, R: Random> Trees<F, S, C, R> for Sealed {
    type Entry = Standing;
    type Listing = Listing;

    fn listing(&mut self, d: &Device<F, S, C, R>, dir: Id, whole: bool) -> Result<Listing> {
        let trees = self.views.each_ref().map(|v| v.trees.get(&dir).filter(|t| **t != Oid::ZERO));
        let mut lists = match trees {
            [Some(base), Some(first), Some(second)] if !whole => {
                sealed::list_differing(&d.git, &d.keys, &dir, [base, first, second], &sift::like_a_copy)?.map(named)
            }
            _ => {
                let [base, first, second] = &self.views;
                [base.list(d, dir)?, first.list(d, dir)?, second.list(d, dir)?]
            }
        };
        for list in &mut lists {
            list.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(twice) = list.windows(2).find(|w| w[0].0 == w[1].0) {
                return Err(incoming::double(&twice[0].0));
            }
        }
        Ok(lists.map(|l| l.into_iter().peekable()))
    }

    fn next(&mut self, _: &Device<F, S, C, R>, at: &mut Listing) -> Result<Option<(Name, Trio<Standing>)>> {
        let Some(name) = at.iter_mut().filter_map(|l| l.peek()).map(|e| &e.0).min().cloned() else { return Ok(None) };
        let trio = at.each_mut().map(|l| l.next_if(|e| e.0 == name).map(|e| e.1));
        Ok(Some((name, trio)))
    }

    fn node(&mut self, d: &Device<F, S, C, R>, entry: &Standing) -> Result<Node> {
        match entry {
            Standing::Node(n) => Ok(n.clone()),
            Standing::Item(i) => sealed::node(&d.git, &d.keys, &mut self.versions, i)?
                .ok_or_else(|| Error::failed(format!("the entry {} stands for nothing", i.id))),
        }
    }
}
