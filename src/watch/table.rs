//! Which watch stands for which directory: 16 bytes and the name each, and no descriptor.
//!
//! The kernel hands out watch numbers in ascending order, so the nodes stand sorted in one vector. A path is put together
//! from the names up to the root, and a directory that moves takes everything beneath it along by one change.

use crate::path::{Name, RelPath};

/// The parent of the root.
const ABOVE: i32 = 0;
/// The parent of a directory that was moved away, until it turns up somewhere.
const ADRIFT: i32 = -1;
/// The parent of a node whose watch has ended; it goes when half of all have.
const ENDED: i32 = -2;

#[derive(Clone, Copy, Debug)]
struct Node {
    wd: i32,
    parent: i32,
    /// Where the name begins in `names`.
    at: u32,
    len: u8,
    /// Not yet met by the walk that began after events were lost.
    stale: bool,
}

/// All watched directories.
#[derive(Debug, Default)]
pub(super) struct Table {
    nodes: Vec<Node>,
    names: Vec<u8>,
    /// Bytes of `names` that no node uses any more.
    waste: usize,
    /// Nodes whose watch has ended.
    ended: usize,
    root: i32,
}

impl Table {
    /// With only the root.
    pub(super) fn new(root: i32) -> Table {
        let mut t = Table { root, ..Table::default() };
        t.place(root, ABOVE, b"");
        t
    }

    /// How many directories are watched.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.ended
    }

    /// The watch of the root.
    pub(super) fn root(&self) -> i32 {
        self.root
    }

    fn find(&self, wd: i32) -> Result<usize, usize> {
        match self.nodes.last() {
            // Nearly always: a new watch has the greatest number.
            Some(last) if last.wd < wd => Err(self.nodes.len()),
            _ => self.nodes.binary_search_by_key(&wd, |n| n.wd),
        }
    }

    fn node(&self, wd: i32) -> Option<&Node> {
        self.find(wd).ok().map(|i| &self.nodes[i]).filter(|n| n.parent != ENDED)
    }

    fn name(&self, n: &Node) -> &[u8] {
        &self.names[n.at as usize..n.at as usize + usize::from(n.len)]
    }

    /// True if the watch is known.
    pub(super) fn has(&self, wd: i32) -> bool {
        self.node(wd).is_some()
    }

    /// The parent's watch and the name; `None` for the root, for what is adrift and for what is not known.
    pub(super) fn place_of(&self, wd: i32) -> Option<(i32, &[u8])> {
        self.node(wd).filter(|n| n.parent > 0).map(|n| (n.parent, self.name(n)))
    }

    /// Puts a directory, known or new, at a place. `name` is at most 255 bytes (the kernel's NAME_MAX).
    pub(super) fn place(&mut self, wd: i32, parent: i32, name: &[u8]) {
        let found = self.find(wd);
        if let Ok(i) = found {
            self.waste += usize::from(self.nodes[i].len);
            self.ended -= usize::from(self.nodes[i].parent == ENDED);
        }
        let (Ok(at), Ok(len)) = (u32::try_from(self.names.len()), u8::try_from(name.len())) else { return };
        self.names.extend_from_slice(name);
        let node = Node { wd, parent, at, len, stale: false };
        match found {
            Ok(i) => self.nodes[i] = node,
            Err(i) => self.nodes.insert(i, node),
        }
        self.tidy();
    }

    /// Forgets a watch. What is beneath it is then unreachable.
    pub(super) fn remove(&mut self, wd: i32) {
        if let Some(i) = self.find(wd).ok().filter(|&i| self.nodes[i].parent != ENDED) {
            self.waste += usize::from(self.nodes[i].len);
            self.nodes[i] = Node { parent: ENDED, at: 0, len: 0, stale: false, ..self.nodes[i] };
            self.ended += 1;
            self.tidy();
        }
    }

    /// Sets adrift whatever stands at this place (more than one if events lag behind the disk); false if nothing does.
    pub(super) fn set_adrift(&mut self, parent: i32, name: &[u8]) -> bool {
        let mut any = false;
        for i in 0..self.nodes.len() {
            if self.nodes[i].parent == parent && self.name(&self.nodes[i]) == name {
                self.nodes[i].parent = ADRIFT;
                any = true;
            }
        }
        any
    }

    /// The path from the root; `None` if it does not lead there (moved away, or places that contradict each other while
    /// events lag behind the disk).
    pub(super) fn path(&self, wd: i32) -> Option<RelPath> {
        let mut chain = Vec::new();
        let mut at = wd;
        while at != self.root {
            let n = self.node(at)?;
            if n.parent <= 0 || chain.len() > self.nodes.len() {
                return None;
            }
            chain.push(self.name(n));
            at = n.parent;
        }
        let mut path = RelPath::root();
        for name in chain.into_iter().rev() {
            path = path.join(&Name::new(name)?);
        }
        Some(path)
    }

    /// All watches whose path does not lead to the root.
    pub(super) fn unreachable(&self) -> Vec<i32> {
        // 0: not known yet, 1: reachable, 2: not, 3: on the way that is being walked.
        let mut known = vec![0u8; self.nodes.len()];
        let mut way = Vec::new();
        for i in 0..self.nodes.len() {
            let mut at = Some(i);
            let verdict = loop {
                let Some(k) = at else { break 2 };
                match known[k] {
                    0 if self.nodes[k].wd == self.root => break 1,
                    0 if self.nodes[k].parent == ENDED => break 2,
                    0 => {
                        known[k] = 3;
                        way.push(k);
                        at = self.find(self.nodes[k].parent).ok();
                    }
                    3 => break 2,
                    verdict => break verdict,
                }
            };
            way.drain(..).for_each(|k| known[k] = verdict);
        }
        (0..self.nodes.len()).filter(|&i| known[i] == 2 && self.nodes[i].parent != ENDED).map(|i| self.nodes[i].wd).collect()
    }

    /// Marks all but the root as not yet met.
    pub(super) fn set_stale(&mut self) {
        let root = self.root;
        self.nodes.iter_mut().for_each(|n| n.stale = n.wd != root);
    }

    /// Marks one as met; false if it was already.
    pub(super) fn meet(&mut self, wd: i32) -> bool {
        self.find(wd).is_ok_and(|i| std::mem::take(&mut self.nodes[i].stale))
    }

    /// All that were not met.
    pub(super) fn stale(&self) -> Vec<i32> {
        self.nodes.iter().filter(|n| n.stale).map(|n| n.wd).collect()
    }

    /// Gives back the room that is kept for growth.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.names.shrink_to_fit();
    }

    /// Drops what has ended and writes the names anew, each when it is more than half.
    fn tidy(&mut self) {
        if self.ended >= 64 && self.ended * 2 > self.nodes.len() {
            self.nodes.retain(|n| n.parent != ENDED);
            self.nodes.shrink_to_fit();
            self.ended = 0;
        }
        if self.waste < 4096 || self.waste * 2 < self.names.len() {
            return;
        }
        let mut names = Vec::with_capacity(self.names.len() - self.waste);
        for n in &mut self.nodes {
            let at = n.at as usize;
            n.at = names.len() as u32;
            names.extend_from_slice(&self.names[at..at + usize::from(n.len)]);
        }
        self.names = names;
        self.waste = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn path(t: &Table, wd: i32) -> Option<String> {
        t.path(wd).map(|p| p.to_string())
    }

    #[test]
    fn a_moved_directory_takes_what_is_beneath_along() {
        let mut t = Table::new(1);
        t.place(2, 1, b"a");
        t.place(3, 2, b"b");
        t.place(4, 3, b"c");
        assert_eq!(path(&t, 4).as_deref(), Some("a/b/c"));
        assert!(t.set_adrift(2, b"b"));
        assert_eq!((path(&t, 4), t.unreachable()), (None, vec![3, 4]));
        t.place(3, 1, b"z");
        assert_eq!(path(&t, 4).as_deref(), Some("z/c"));
        t.remove(3);
        assert_eq!((path(&t, 4), t.unreachable(), t.len(), t.has(3)), (None, vec![4], 3, false));
    }

    #[test]
    fn ended_watches_take_no_room() {
        let mut t = Table::new(1);
        for wd in 2..100_000 {
            t.place(wd, wd - 1, b"x");
            if wd > 10 {
                t.remove(wd - 5);
            }
        }
        assert!(t.nodes.len() < 200, "{}", t.nodes.len());
        assert_eq!(t.len(), 10);
    }

    #[test]
    fn contradicting_places_end() {
        let mut t = Table::new(1);
        t.place(2, 3, b"a");
        t.place(3, 2, b"b");
        t.place(4, 3, b"c");
        t.place(5, 1, b"d");
        assert_eq!((path(&t, 4), t.unreachable()), (None, vec![2, 3, 4]));
    }

    #[test]
    fn names_that_nobody_uses_take_no_room() {
        let mut t = Table::new(1);
        for wd in 2..1000 {
            t.place(wd, 1, format!("a name of some length {wd}").as_bytes());
        }
        for round in 0..100 {
            for wd in 2..1000 {
                t.place(wd, 1, format!("a name of some length {wd} {round}").as_bytes());
            }
        }
        assert!(t.names.len() < 100_000, "{}", t.names.len());
        assert_eq!(path(&t, 500).as_deref(), Some("a name of some length 500 99"));
        assert_eq!(std::mem::size_of::<Node>(), 16);
    }
}
