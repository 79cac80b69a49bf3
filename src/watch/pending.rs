//! What was noticed and not yet asked for: each place once.

use super::Change;
use crate::path::RelPath;
use std::collections::BTreeSet;

/// Beyond so many places one look at everything is cheaper than the list of them.
const MOST: usize = 4096;

/// A set of changes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    gone: bool,
    all: bool,
    trees: BTreeSet<RelPath>,
    dirs: BTreeSet<RelPath>,
}

impl Pending {
    /// This directory's own entries.
    pub(super) fn dir(&mut self, path: RelPath) {
        if !self.all && !self.covered(&path) {
            self.dirs.insert(path);
            self.bound();
        }
    }

    /// Everything beneath.
    pub(super) fn tree(&mut self, path: RelPath) {
        if path.is_root() {
            self.all();
        } else if !self.all && !self.covered(&path) {
            self.trees.insert(path);
            self.bound();
        }
    }

    /// Everything.
    pub(super) fn all(&mut self) {
        self.all = true;
        self.trees.clear();
        self.dirs.clear();
    }

    /// The root is not there any more.
    pub(super) fn gone(&mut self) {
        self.gone = true;
    }

    /// Takes the change that says most.
    pub(super) fn pop(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.gone) {
            *self = Pending::default();
            return Some(Change::Gone);
        }
        if std::mem::take(&mut self.all) {
            return Some(Change::All);
        }
        self.trees.pop_first().map(Change::Tree).or_else(|| self.dirs.pop_first().map(Change::Dir))
    }

    fn covered(&self, path: &RelPath) -> bool {
        if self.trees.is_empty() {
            return false;
        }
        let mut at = Some(path.clone());
        while let Some(p) = at {
            if self.trees.contains(&p) {
                return true;
            }
            at = p.split().map(|(dir, _)| dir);
        }
        false
    }

    fn bound(&mut self) {
        if self.trees.len() + self.dirs.len() > MOST {
            self.all();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn p(s: &str) -> RelPath {
        RelPath::new(s.as_bytes()).unwrap()
    }

    fn all(mut q: Pending) -> Vec<Change> {
        std::iter::from_fn(|| q.pop()).collect()
    }

    #[test]
    fn each_place_once_and_what_says_most_first() {
        let mut q = Pending::default();
        q.dir(p("a"));
        q.dir(p("a"));
        q.tree(p("b/c"));
        q.dir(p("b/c/d"));
        q.tree(p("b/c/d"));
        q.dir(p("b"));
        assert_eq!(all(q), [Change::Tree(p("b/c")), Change::Dir(p("a")), Change::Dir(p("b"))]);
    }

    #[test]
    fn everything_covers_the_rest() {
        let mut q = Pending::default();
        q.dir(p("a"));
        q.tree(RelPath::root());
        q.dir(p("b"));
        assert_eq!(all(q), [Change::All]);
        let mut q = Pending::default();
        q.all();
        q.gone();
        assert_eq!(all(q), [Change::Gone]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut q = Pending::default();
        for i in 0..=MOST {
            q.dir(p(&format!("d{i}")));
        }
        assert_eq!(all(q), [Change::All]);
    }
}
