//! What a node gets ahead of the branch: blobs in batches, each kept there by a ref of this device's own, so that a broken
//! line loses one batch and not the whole.

use super::super::round::StorageNode;
use super::rate;
use crate::clock::{Clock, Random};
use crate::crypt::seal::{self, Details, Label};
use crate::error::Result;
use crate::files::Files;
use crate::git::object::TreeBuilder;
use crate::git::{PackSource, RefStatus, RefUpdate, Remote, Type};
use crate::id::Oid;
use crate::mirror::Device;
use crate::mirror::commit;
use crate::mirror::packs::Packs;
use crate::state::State;
use std::collections::BTreeSet;

/// Objects of a batch, however small: so the memory for a batch does not grow with the vault.
const MOST: usize = 8192;

/// The staging ref of this device at a node.
fn staging_ref<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, space: &str) -> String {
    let mut token = d.id.to_string();
    token.truncate(16);
    format!("{space}{token}")
}

/// State value: which namespace a node takes for staging refs; `-`: none.
pub fn space_key(node: &str) -> String {
    format!("staging/{node}")
}

const SPACES: [&str; 2] = ["refs/sharelock/staging/", "refs/heads/sharelock/staging/"];

/// Sends blobs in batches, each under an intermediate commit that is sealed as no state of the vault; gives what is
/// left for the push to main (trees, commits, and blobs if the node takes no staging ref).
pub fn send_ahead<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    oids: Vec<Oid>,
    batch: u64,
) -> Result<Vec<Oid>> {
    let key = space_key(&node.name);
    let mut spaces: Vec<&str> = match d.state.value(&key)?.as_deref() {
        Some(b"-") => return Ok(oids),
        Some(b"1") => vec![SPACES[1]],
        _ => SPACES.to_vec(),
    };
    // Commits and trees come first: they go with main.
    let mut rest = oids;
    let mut others = 0;
    while let Some(oid) = rest.get(others)
        && !matches!(d.git.header(oid)?, Some((Type::Blob, _)))
    {
        others += 1;
    }
    let mut blobs = rest.split_off(others);
    // What an earlier, broken attempt has left at the node.
    let (mut parent, there) = staged(d, node)?;
    blobs.retain(|oid| !there.contains(oid));
    let mut at = 0;
    while at < blobs.len() {
        let (mut end, mut bytes) = (at, 0);
        while end < blobs.len() && end - at < MOST && (bytes < batch || end - at < d.settings.batch.objects) {
            bytes += d.git.header(&blobs[end])?.map_or(0, |(_, len)| len);
            end += 1;
        }
        let mut send = blobs[at..end].to_vec();
        let (commit, tree) = staging_commit(d, &mut send, parent)?;
        send.extend([tree, commit]);
        loop {
            let Some(space) = spaces.first().copied() else {
                d.state.set_value(&key, Some(b"-"))?;
                rest.extend_from_slice(&blobs[at..]);
                return Ok(rest);
            };
            let name = staging_ref(d, space);
            let old = node.staging.get(&name).copied();
            let update = RefUpdate { name: name.clone(), old, new: Some(commit) };
            let mut pack = d.git.pack_source(send.clone())?;
            match rate::push(d, node, &update, &mut pack)?.first() {
                Some(RefStatus::Ok) => {
                    if space == SPACES[1] {
                        d.state.set_value(&key, Some(b"1"))?;
                    }
                    node.staging.insert(name, commit);
                    break;
                }
                _ => {
                    spaces.remove(0);
                }
            }
        }
        parent = Some(commit);
        at = end;
    }
    Ok(rest)
}

/// A commit over a flat tree of blobs, sealed with the staging label: it keeps the blobs at the node, and is never
/// accepted as a state of the vault. The blobs are sorted.
fn staging_commit<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    blobs: &mut [Oid],
    parent: Option<Oid>,
) -> Result<(Oid, Oid)> {
    blobs.sort_unstable();
    let mut tree = TreeBuilder::default();
    for oid in &*blobs {
        tree.add_blob(oid.to_string().as_bytes(), *oid)?;
    }
    let mut packs = Packs::new(&d.git);
    let tree = packs.add(Type::Tree, &tree.finish()?)?;
    let mut time = d.clock.now();
    let mut height = 1;
    if let Some(oid) = &parent {
        let p = commit::open(&d.git, &d.keys, &d.vault, oid)?;
        time = time.max(p.details.time);
        height = p.details.height + 1;
    }
    let details = Details { device: Some(d.id), device_name: Some(d.name.clone()), time, seq: Some(height), height, ..Details::empty() };
    let parents: Vec<Oid> = parent.into_iter().collect();
    let bytes = seal::write_commit(&d.keys, &d.vault, Label::Staging, &tree, &parents, &details)?;
    let commit = packs.add(Type::Commit, &bytes)?;
    packs.finish()?;
    Ok((commit, tree))
}

/// The newest staging commit of this device at the node, if it is still known here, and the blobs that its chain holds.
fn staged<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &Device<F, S, C, R>,
    node: &StorageNode<Rm>,
) -> Result<(Option<Oid>, BTreeSet<Oid>)> {
    let mut there = BTreeSet::new();
    for space in SPACES {
        let Some(tip) = node.staging.get(&staging_ref(d, space)).copied() else { continue };
        let mut at = Some(tip);
        while let Some(oid) = at {
            if !d.git.contains(&oid)? {
                return Ok((None, there));
            }
            let c = commit::open(&d.git, &d.keys, &d.vault, &oid)?;
            let bytes = d.git.read(&c.tree, Type::Tree, crate::git::limit::TREE)?;
            for entry in crate::git::object::entries(&bytes) {
                there.insert(entry?.oid);
            }
            at = c.parents.first().copied();
        }
        return Ok((Some(tip), there));
    }
    Ok((None, there))
}

/// Deletes this device's staging refs at a node; one that cannot be deleted is used again next time.
pub fn drop_refs<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(d: &Device<F, S, C, R>, node: &mut StorageNode<Rm>) -> Result<()> {
    for space in SPACES {
        let name = staging_ref(d, space);
        let Some(old) = node.staging.get(&name).copied() else { continue };
        let update = RefUpdate { name: name.clone(), old: Some(old), new: None };
        if let Some(RefStatus::Ok) = node.remote.push(&[update], false, &mut NoPack)?.first() {
            node.staging.remove(&name);
        }
    }
    Ok(())
}

/// Nothing to send: the updates only delete.
struct NoPack;

impl PackSource for NoPack {
    fn objects(&self) -> u32 {
        0
    }

    fn write_to(&mut self, _: &mut dyn std::io::Write) -> Result<()> {
        Ok(())
    }
}
