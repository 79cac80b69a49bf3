//! The devices of a vault, as its history tells of them (FORMAT 9): who has made commits under which names, and who was
//! taken off the list.

use super::{commit, history};
use crate::clock::Time;
use crate::crypt::VaultKeys;
use crate::error::Result;
use crate::files::Files;
use crate::git::store::Store;
use crate::id::{Id, Oid};
use std::collections::{BTreeMap, BTreeSet};

/// A device that the history names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its newest name; empty for one that was forgotten before the commits that were looked at.
    pub name: String,
    /// All its names.
    pub names: BTreeSet<String>,
    /// The time of its newest commit.
    pub changed: Time,
    /// That commit.
    pub last: Oid,
    /// A commit above its newest one has taken it off the list.
    pub forgotten: bool,
}

/// The devices in the newest `limit` commits below `head`. Who makes a commit above the one that forgets it is on the list
/// again; of two that stand equally high the one that forgets counts.
///
/// # Errors
/// A commit that cannot be read, or that no device of the vault has sealed.
pub fn devices<F: Files>(git: &Store<F>, keys: &VaultKeys, vault: &Id, head: Oid, limit: usize) -> Result<BTreeMap<Id, Seen>> {
    let mut out: BTreeMap<Id, Seen> = BTreeMap::new();
    let mut forgotten: BTreeMap<Id, u64> = BTreeMap::new();
    // Those that are still to be looked at, by height.
    let mut queue = BTreeMap::new();
    let mut seen = BTreeSet::from([head]);
    let first = commit::open(git, keys, vault, &head)?;
    queue.insert((first.details.height, head), first);
    for _ in 0..limit {
        let Some(((height, oid), c)) = queue.pop_last() else { break };
        for id in &c.details.forgets {
            forgotten.entry(*id).or_insert(height);
        }
        if let (Some(id), Some(name)) = (c.details.device, &c.details.device_name) {
            let name = name.as_str().to_string();
            let entry = out.entry(id).or_insert_with(|| Seen {
                names: BTreeSet::new(),
                name: name.clone(),
                changed: c.details.time,
                last: oid,
                forgotten: false,
            });
            entry.names.insert(name);
            entry.forgotten |= entry.last == oid && forgotten.get(&id).is_some_and(|at| *at >= height);
        }
        for p in history::parents(&c) {
            if git.contains(&p)? && seen.insert(p) {
                let parent = commit::open(git, keys, vault, &p)?;
                queue.insert((parent.details.height, p), parent);
            }
        }
    }
    // One whose own commits lie deeper; or as high as what forgets it, and read before.
    for (id, at) in forgotten {
        let entry = out.entry(id).or_insert_with(|| Seen {
            name: String::new(),
            names: BTreeSet::new(),
            changed: Time::default(),
            last: Oid::ZERO,
            forgotten: true,
        });
        if !entry.forgotten && entry.last != Oid::ZERO {
            entry.forgotten = commit::open(git, keys, vault, &entry.last)?.details.height <= at;
        }
    }
    Ok(out)
}
