//! Many object ids in little memory: a set that keeps the order in which its members came.
//!
//! A list of what is kept, and a table of its places in it: 20 bytes for an id alone and 5 to 11 for its place, where a
//! map of the standard library takes 40 to 70.

use super::idx::Entry;
use crate::id::Oid;
use std::hash::{BuildHasher, RandomState};

/// What has an id.
pub(super) trait Keyed {
    /// The id.
    fn oid(&self) -> &Oid;
}

impl Keyed for Oid {
    fn oid(&self) -> &Oid {
        self
    }
}

impl Keyed for Entry {
    fn oid(&self) -> &Oid {
        &self.oid
    }
}

/// See the module. Holds fewer than 2^32 - 1 members: no pack has more.
pub(super) struct Oids<T> {
    list: Vec<T>,
    /// Open addressing, linear probing: places in the list plus one, 0 where nothing is. A power of two of them.
    slots: Vec<u32>,
    /// Ids are hashes, but a stranger's tree may name any that he likes.
    keys: RandomState,
}

impl<T> Default for Oids<T> {
    fn default() -> Self {
        Oids { list: Vec::new(), slots: Vec::new(), keys: RandomState::new() }
    }
}

impl<T: Keyed> Oids<T> {
    /// Adds a member behind the others; `false` if one of this id is there.
    pub fn insert(&mut self, new: T) -> bool {
        // At most three of four slots are in use.
        if self.slots.len() / 4 * 3 <= self.list.len() {
            let size = (self.slots.len() * 2).max(16);
            self.slots.clear();
            self.slots.shrink_to_fit();
            self.slots.resize(size, 0);
            for at in 0..self.list.len() {
                if let Err(slot) = self.find(self.list[at].oid()) {
                    self.slots[slot] = at as u32 + 1;
                }
            }
        }
        match self.find(new.oid()) {
            Ok(_) => false,
            Err(slot) => {
                self.list.push(new);
                self.slots[slot] = self.list.len() as u32;
                true
            }
        }
    }

    /// True if it has a member of this id.
    pub fn contains(&self, oid: &Oid) -> bool {
        !self.slots.is_empty() && self.find(oid).is_ok()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All, in the order in which they came; the table is given up first.
    pub fn into_list(self) -> Vec<T> {
        self.list
    }

    /// The place of a member in the list, or the slot that it would take.
    fn find(&self, oid: &Oid) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.keys.hash_one(oid.0) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                n if self.list[n as usize - 1].oid() == oid => return Ok(n as usize - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_set_that_keeps_its_order() {
        let mut set = Oids::default();
        let (mut model, mut order) = (BTreeSet::new(), Vec::new());
        assert!(!set.contains(&Oid::ZERO));
        for n in 0..5000u32 {
            // Every third comes twice; all share their first bytes.
            let mut oid = Oid::ZERO;
            oid.0[16..].copy_from_slice(&(n * n % 3331).to_be_bytes());
            assert_eq!(set.contains(&oid), model.contains(&oid));
            let new = model.insert(oid);
            assert_eq!(set.insert(oid), new);
            order.extend(new.then_some(oid));
            assert_eq!(set.len(), model.len());
        }
        assert_eq!(set.into_list(), order);
    }

    #[test]
    fn little_memory() {
        let mut set = Oids::default();
        for n in 0..100_000u64 {
            let mut oid = Oid::ZERO;
            oid.0[..8].copy_from_slice(&n.to_be_bytes());
            set.insert(oid);
        }
        let bytes = set.list.len() * size_of::<Oid>() + set.slots.len() * size_of::<u32>();
        assert!(bytes <= 31 * 100_000, "{bytes}");
        assert!(size_of::<Entry>() <= 32);
    }
}
