//! What a merge need not hold in memory: files that stand at one place on all sides and are settled by themselves.
//!
//! A directory may hold any number of files, and of most of them at most one side knows something new. What comes of such
//! a file is told by its place alone, and nothing else can want its name: a wanted place is always one that the first or
//! the second side has, but for two cases. Where two directories become one, the merge asks for all that they hold
//! ([`crate::tree::Tree::thin`]). And conflict copies get new names; so every name that is like one of theirs is listed.

use crate::error::Result;
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::tree::Node;
use std::collections::BTreeSet;

/// One name in one directory of a tree.
pub trait Entry {
    /// True for a directory.
    fn is_dir(&self) -> bool;
    /// Id of the directory or file.
    fn id(&self) -> Id;
    /// The object of a file; zero if it is not sealed yet.
    fn oid(&self) -> Oid;
    /// True if both are one version.
    fn same(&self, other: &Self) -> bool;
}

impl Entry for Node {
    fn is_dir(&self) -> bool {
        Node::is_dir(self)
    }

    fn id(&self) -> Id {
        Node::id(self)
    }

    fn oid(&self) -> Oid {
        self.file().map_or(Oid::ZERO, |v| v.oid)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

/// What stands under one name in base, first and second.
pub type Trio<E> = [Option<E>; 3];

/// True for the name of a conflict copy, and for some others.
pub fn like_a_copy(name: &Name) -> bool {
    name.as_bytes().windows(11).any(|w| w == b" (conflict ")
}

/// What has to be known of three trees to tell what is settled.
#[derive(Default)]
pub struct Sift {
    /// Directories that are listed whole, whatever they hold.
    pub whole: BTreeSet<Id>,
    /// All of them are.
    pub all: bool,
    /// Ids of files of the base that a side has not where the base has them: they may stand anywhere on it.
    pub moved: BTreeSet<Id>,
}

impl Sift {
    /// True if a directory is listed whole.
    pub fn is_whole(&self, dir: Id) -> bool {
        self.all || self.whole.contains(&dir)
    }

    /// Every name of all three trees has to be shown to this before anything is asked.
    pub fn note<E: Entry>(&mut self, trio: &Trio<E>) {
        let [Some(base), first, second] = trio else { return };
        let away = |side: &Option<E>| side.as_ref().is_none_or(|e| e.is_dir() || e.id() != base.id());
        if !base.is_dir() && (away(first) || away(second)) {
            self.moved.insert(base.id());
        }
    }

    /// Which side's version comes out of a merge (1 or 2), if that can be told without the rest of the trees.
    /// `generation` gives that of an entry; it is asked for only where a file was edited.
    pub fn settled<E: Entry>(
        &self,
        dir: Id,
        name: &Name,
        trio: &Trio<E>,
        generation: &mut dyn FnMut(&E) -> Result<u64>,
    ) -> Result<Option<usize>> {
        let listed = |e: &E| e.is_dir() || e.oid() == Oid::ZERO;
        if self.is_whole(dir) || like_a_copy(name) || trio.iter().flatten().any(listed) {
            return Ok(None);
        }
        Ok(match trio {
            [None, Some(new), None] => (!self.moved.contains(&new.id())).then_some(1), // R-add
            [None, None, Some(new)] => (!self.moved.contains(&new.id())).then_some(2),
            [Some(base), Some(first), Some(second)] => {
                let (winner, new) = match (base.same(first), base.same(second)) {
                    (true, true) => return Ok(Some(1)),
                    (false, true) => (1, first), // R-edit, R-exec, R-touch
                    (true, false) => (2, second),
                    (false, false) => return Ok(None),
                };
                // Else R-generation has it sealed anew.
                (new.id() == base.id() && generation(new)? > generation(base)?).then_some(winner)
            }
            _ => None,
        })
    }
}
