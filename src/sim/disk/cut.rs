//! What survives a power cut.

use super::{Data, Image, ROOT, SimDisk, fold};
use crate::sim::clock::SimRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

impl SimDisk {
    /// The power goes and comes back: what was not synced may be lost.
    pub fn power_cut(&self, random: &mut SimRandom) {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        // Which directory entries survive: all of one inode's changes together, and tied inodes together.
        let links = |image: &Image| -> BTreeMap<u64, BTreeSet<(u64, Vec<u8>)>> {
            let mut out: BTreeMap<u64, BTreeSet<(u64, Vec<u8>)>> = BTreeMap::new();
            for (dir, names) in &image.dirs {
                for (name, ino) in names.values() {
                    out.entry(*ino).or_default().insert((*dir, name.clone()));
                }
            }
            out
        };
        let (old, new) = (links(&inner.durable), links(&inner.now));
        let inos: BTreeSet<u64> = old.keys().chain(new.keys()).copied().filter(|i| old.get(i) != new.get(i)).collect();
        let mut group: BTreeMap<u64, u64> = inos.iter().map(|i| (*i, *i)).collect();
        let find = |group: &BTreeMap<u64, u64>, mut i: u64| {
            while group[&i] != i {
                i = group[&i];
            }
            i
        };
        // A replaced name ties who had it to who has it.
        for i in &inos {
            for place in old.get(i).into_iter().flatten() {
                let taker = inos.iter().find(|j| *j != i && new.get(j).is_some_and(|n| n.contains(place)));
                if let Some(j) = taker {
                    let (a, b) = (find(&group, *i), find(&group, *j));
                    group.insert(a, b);
                }
            }
        }
        let mut keep: BTreeMap<u64, bool> = BTreeMap::new();
        let mut result = Image::default();
        let all: BTreeSet<u64> = inner.now.inodes.keys().chain(inner.durable.inodes.keys()).copied().collect();
        for ino in all {
            let changed = inos.contains(&ino);
            let newer = !changed || *keep.entry(find(&group, ino)).or_insert_with(|| random.chance(50));
            let places = if newer { new.get(&ino) } else { old.get(&ino) };
            let (was, is) = (inner.durable.inodes.get(&ino), inner.now.inodes.get(&ino));
            let Some(node) = is.or(was) else { continue };
            let mut node = node.clone();
            if let Data::File(now) = &node.data {
                let synced = was.and_then(|w| match &w.data {
                    Data::File(d) => Some(d.clone()),
                    _ => None,
                });
                let old = synced.unwrap_or_default();
                if *old != **now {
                    node.data = Data::File(match random.below(3) {
                        0 => old,
                        1 => now.clone(),
                        _ => {
                            let cut = random.below(now.len() as u64 + 1) as usize;
                            let mut torn = now[..cut].to_vec();
                            torn.resize(now.len(), 0);
                            Rc::new(torn)
                        }
                    });
                }
            }
            if matches!(node.data, Data::Dir) {
                result.dirs.entry(ino).or_default();
            }
            result.inodes.insert(ino, node);
            for (dir, name) in places.into_iter().flatten() {
                let key = fold(&inner.traits, name);
                let names = result.dirs.entry(*dir).or_default();
                // The inode of a change that is there wins over one of a change that is not.
                if newer || !names.contains_key(&key) {
                    names.insert(key, (name.clone(), ino));
                }
            }
        }
        // What hangs on a directory that is not there is lost.
        let mut reached = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        while let Some(dir) = todo.pop() {
            let mut twice = Vec::new();
            for (key, (_, ino)) in result.dirs.get(&dir).cloned().unwrap_or_default() {
                if !result.inodes.contains_key(&ino) {
                    twice.push(key);
                } else if reached.insert(ino) {
                    if result.dirs.contains_key(&ino) {
                        todo.push(ino);
                    }
                } else if result.dirs.contains_key(&ino) {
                    twice.push(key);
                }
            }
            for key in twice {
                if let Some(names) = result.dirs.get_mut(&dir) {
                    names.remove(&key);
                }
            }
        }
        result.inodes.retain(|i, _| reached.contains(i));
        result.dirs.retain(|i, _| reached.contains(i));
        inner.now = result.clone();
        inner.durable = result;
    }
}
