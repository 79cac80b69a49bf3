//! Storage nodes that go back to a backup, lose everything, or show what no device has made; and their healing.

use super::{NAMES, World};
use crate::agent::round;
use crate::error::{Kind, Result};
use crate::git::Type;
use crate::git::store::{Expect, Store};
use crate::mirror::packs::Packs;
use crate::mirror::secure::MAIN;
use crate::sim::disk::Snapshot;
use std::collections::BTreeSet;

/// Backups of nodes, and what became of them.
#[derive(Default)]
pub(super) struct Backups {
    /// Node, and what it held then.
    kept: Vec<(usize, Snapshot)>,
    back: BTreeSet<usize>,
}

impl Backups {
    /// True if a node has once gone back, or been tampered with.
    pub(super) fn went_back(&self, n: usize) -> bool {
        self.back.contains(&n)
    }
}

impl World {
    /// Whoever looks after a node makes a backup or goes back to one; or the node is in bad hands.
    pub(super) fn goes_back(&self) {
        let n = self.next(self.nodes.len() as u64) as usize;
        let (node, what) = (&self.nodes[n], self.next(8));
        if self.trace {
            eprintln!(
                "  node r{n}: {}",
                ["backup", "backup", "backup", "goes back", "goes back", "forges", "hides", "is emptied"][what as usize]
            );
        }
        let mut backups = self.backups.borrow_mut();
        if what < 3 {
            backups.kept.push((n, node.snapshot()));
            return;
        }
        let done = match what {
            3 | 4 => {
                let kept: Vec<&Snapshot> = backups.kept.iter().filter(|(of, _)| *of == n).map(|(_, s)| s).collect();
                if kept.is_empty() {
                    return;
                }
                node.restore(kept[self.next(kept.len() as u64) as usize]);
                Ok(())
            }
            5 => self.forge(n),
            6 => Store::open(node, &1).and_then(|store| store.set_ref(MAIN, Expect::Any, None)),
            _ => {
                node.restore(&crate::sim::disk::SimDisk::new(crate::sim::disk::ABLE, &self.clock).snapshot());
                Store::init(node, &1, true).map(|_| ())
            }
        };
        // From here on histories may cross, and two devices may merge the same two heads.
        self.unsure.set(true);
        backups.back.insert(n);
        if let Err(e) = done {
            self.fail(format!("node r{n}: {e}"));
        }
    }

    /// A commit that looks like one of ours, but for its seal.
    fn forge(&self, n: usize) -> Result<()> {
        let store = Store::open(&self.nodes[n], &1)?;
        let Some(head) = store.get_ref(MAIN)? else { return Ok(()) };
        let mut bytes = store.read(&head, Type::Commit, crate::git::limit::BLOB)?;
        match self.chance(50) {
            true => bytes.extend_from_slice(b"\nand one thing more\n"),
            false => {
                let at = self.next(bytes.len() as u64 - 60) as usize + 60;
                bytes[at] ^= 1;
            }
        }
        let mut packs = Packs::new(&store);
        let oid = packs.add(Type::Commit, &bytes)?;
        packs.finish()?;
        store.set_ref(MAIN, Expect::Any, Some(oid))
    }

    /// The user of a device heals a node.
    pub(super) fn heals(&self, i: usize, n: usize) {
        let Some(mut d) = self.machines[i].device.borrow_mut().take() else { return };
        if self.trace {
            eprintln!("  user {}: heals r{n}", NAMES[i]);
        }
        let mut node = self.node_of(i, n);
        self.killed_before_a_note(i, &d);
        self.depth.set(self.depth.get() + 1);
        let result = round::heal(&mut d, &mut node);
        self.depth.set(self.depth.get() - 1);
        if let Ok(healed) = &result {
            self.happens(match healed {
                h if h.superseded => "healed: what it had is superseded",
                h if h.foreign => "healed: what it showed is replaced",
                h if h.taken > 0 => "healed: what others sent meanwhile is merged",
                _ => "healed: it was behind, or all was well",
            });
        }
        // A device that has nothing yet has nothing to heal with.
        let result = match result {
            Err(e) if e.kind() == Kind::Failed && round::head(&d).ok().flatten().is_none() => Ok(()),
            result => result.map(|_| ()),
        };
        self.ended(i, d, result);
    }
}
