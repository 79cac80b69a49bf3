//! What must hold where one device acts at a time: every share is as its user left it, and a renamed file is renamed on
//! the other devices, too: it stays the same file there, for whoever has it open and for the disk's sake.

use super::{NAMES, World};
use crate::id::{Id, Oid};
use crate::sim::user::What;
use crate::state::{State, Table};
use crate::tree::{Node, Place};
use std::collections::{BTreeMap, BTreeSet};

/// One device's share as its database has it.
#[derive(Default)]
pub(super) struct Standing {
    /// Files whose id stands at one place only: place, object, inode.
    files: BTreeMap<Id, (Place, Oid, u64)>,
    /// All that has a name.
    places: BTreeSet<Place>,
    dirs: BTreeMap<Id, Place>,
}

impl World {
    /// How the shares of all devices stand.
    pub(super) fn standing(&self) -> Vec<Standing> {
        let rows = |i: usize| {
            let device = self.machines[i].device.borrow();
            device.as_ref().and_then(|d| d.state.rows(Table::Anc, None, usize::MAX).ok()).unwrap_or_default()
        };
        let standing = |i| {
            let mut out = Standing::default();
            let mut twice = BTreeSet::new();
            for row in rows(i) {
                match (row.here(), &row.seen) {
                    (Some(Node::Dir { id, .. }), _) => {
                        out.dirs.insert(*id, row.place.clone());
                    }
                    (Some(Node::File(v)), Some(seen)) => {
                        let other = out.files.insert(v.id, (row.place.clone(), v.oid, seen.ino));
                        twice.extend(other.map(|_| v.id));
                    }
                    _ => {}
                }
                out.places.insert(row.place);
            }
            out.files.retain(|id, _| !twice.contains(id));
            out
        };
        (0..self.machines.len()).map(standing).collect()
    }

    /// Where nobody else did anything, all shares are as the user at device `by` left his.
    pub(super) fn all_have_what_one_left(&self, by: usize, left: &BTreeMap<String, What>) {
        for (m, name) in self.machines.iter().zip(NAMES) {
            let have = m.user.tree();
            if have != *left {
                self.fail(format!("{} left {left:?}, {name} has {have:?}", NAMES[by]));
            }
        }
    }

    /// What a user at device `by` has renamed and nothing else is still the same file on the others.
    pub(super) fn renamed_files_are_the_same_files(&self, by: usize, before: &[Standing]) {
        let now = self.standing();
        for (i, (before, now)) in before.iter().zip(&now).enumerate().filter(|(i, _)| *i != by) {
            for (id, (place, oid, ino)) in &now.files {
                let Some((old_place, old_oid, old_ino)) = before.files.get(id) else { continue };
                // Where the new name was taken, or a directory on the way was moved or is new, names may have to be given up first.
                let plain = !before.places.contains(place) && before.dirs.get(&place.dir) == now.dirs.get(&place.dir);
                if plain && place != old_place && oid == old_oid && ino != old_ino {
                    self.fail(format!("{}: {} was renamed to {} and is another file now", NAMES[i], old_place.name, place.name));
                }
            }
        }
    }
}
