//! How a vault grew: what each commit of its history brought.

use super::commit::Commit;
use super::{Device, history, versions};
use crate::clock::{Clock, Random, Time};
use crate::error::Result;
use crate::files::Files;
use crate::git::{Type, limit, object};
use crate::id::{Id, Oid};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A commit, and what it brought.
#[derive(Clone, Debug)]
pub struct Step {
    /// The commit.
    pub commit: Oid,
    /// When, as its device sealed it.
    pub time: Time,
    /// The device that made it, and its name; `None` for a merge.
    pub device: Option<(Id, String)>,
    /// Bytes of git objects that no commit before it had, each counted whole.
    pub bytes: u64,
}

/// The history of a head.
#[derive(Debug, Default)]
pub struct Growth {
    /// Its commits, parents before children.
    pub steps: Vec<Step>,
    parents: BTreeMap<Oid, Vec<Oid>>,
}

impl Growth {
    /// The commits that one has in its history, itself included; empty for one that this history has not.
    pub fn contained(&self, head: &Oid) -> BTreeSet<Oid> {
        let (mut out, mut todo) = (BTreeSet::new(), vec![*head]);
        while let Some(oid) = todo.pop() {
            if let Some(parents) = self.parents.get(&oid).filter(|_| out.insert(oid)) {
                todo.extend(parents);
            }
        }
        out
    }
}

/// Walks the history of a head, each tree once. Memory: about 40 bytes for each object.
///
/// # Errors
/// Integrity: a seal that does not hold, an object that is missing or damaged.
pub fn of<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, head: &Oid) -> Result<Growth> {
    let mut out = Growth::default();
    let mut met: HashSet<Oid> = HashSet::new();
    // Heights grow from parent to child.
    for (oid, c) in versions::commits(d, head)?.into_iter().rev() {
        let bytes = new_bytes(d, &c, &mut met)?;
        let device = c.details.device.zip(c.details.device_name.as_ref().map(|n| n.as_str().to_string()));
        out.steps.push(Step { commit: oid, time: c.details.time, device, bytes });
        out.parents.insert(oid, history::parents(&c));
    }
    Ok(out)
}

fn new_bytes<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, c: &Commit, met: &mut HashSet<Oid>) -> Result<u64> {
    let mut sum = 0u64;
    let mut todo: Vec<Oid> = met.insert(c.tree).then_some(c.tree).into_iter().collect();
    while let Some(tree) = todo.pop() {
        let bytes = d.git.read(&tree, Type::Tree, limit::TREE)?;
        sum = sum.saturating_add(bytes.len() as u64);
        for entry in object::entries(&bytes) {
            let entry = entry?;
            if !met.insert(entry.oid) {
                continue;
            }
            match entry.is_tree() {
                true => todo.push(entry.oid),
                false => sum = sum.saturating_add(d.git.header(&entry.oid)?.map_or(0, |(_, size)| size)),
            }
        }
    }
    Ok(sum)
}
