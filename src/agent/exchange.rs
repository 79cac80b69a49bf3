//! Fetching from and pushing to one storage node, with everything between the wire and a verified commit.

use super::round::StorageNode;
use crate::clock::{Clock, Random};
use crate::crypt::seal::{self, Details, Label};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::git::ingest::Ingest;
use crate::git::object::TreeBuilder;
use crate::git::store::{Expect, Store};
use crate::git::{PackSource, RefStatus, RefUpdate, Refs, Remote, Type};
use crate::id::Oid;
use crate::mirror::Device;
use crate::mirror::commit;
use crate::mirror::history::{self, Walk};
use crate::mirror::packs::Packs;
use crate::mirror::progress::Step;
use crate::mirror::secure::MAIN;
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Objects sent in one go: a broken line loses one batch, not the whole.
pub const BATCH: u64 = 64 << 20;
const FEWEST: usize = 100;
/// However small: so the memory for a batch does not grow with the vault.
const MOST: usize = 8192;

/// How often a push that a node refused is tried again; the waits double from 100 ms.
const REFUSALS: u32 = 3;

/// What a node showed.
pub struct Shown {
    /// Its head, verified; `None` for an empty node.
    pub head: Option<Oid>,
    /// How it relates to ours.
    pub walk: Walk,
}

/// Asks a node for its head, fetches what is missing, verifies it and remembers it. Nothing is applied here.
pub fn fetch<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    ours: Option<Oid>,
) -> Result<Shown> {
    let remembered = d.git.get_ref(&history::seen_ref(&node.name))?;
    let mut have: Vec<Oid> = ours.into_iter().collect();
    for (_, oid) in history::seen(d)? {
        if !have.contains(&oid) && d.git.contains(&oid)? {
            have.push(oid);
        }
    }
    let Some(head) = bring_head(&d.git, node, &have).map_err(|e| refused(e, node))? else {
        node.head = None;
        if let Some(was) = remembered {
            return Err(history::went_back(d, &node.name, &node.place, &was, None, &node.show_time));
        }
        return Ok(Shown { head: None, walk: Walk::default() });
    };
    let walk = match history::accept(d, &head, ours.as_ref(), remembered.as_ref()) {
        Ok(walk) => walk,
        Err(e) if e.kind() == Kind::Integrity(Class::Stale) => {
            let was = remembered.unwrap_or(head);
            return Err(history::went_back(d, &node.name, &node.place, &was, Some(&head), &node.show_time));
        }
        Err(e) => return Err(refused(e, node)),
    };
    node.head = Some(head);
    Ok(Shown { head: Some(head), walk })
}

/// Asks a node for its head and takes in what is missing of it beside `have`, until nothing of it is; `None` for an empty
/// node. Who has made it is not looked at.
///
/// Errors: Integrity for what is no pack, or lacks something.
pub fn bring_head<F: Files, Rm: Remote>(git: &Store<F>, node: &mut StorageNode<Rm>, have: &[Oid]) -> Result<Option<Oid>> {
    let (mut head, mut missing) = (None, false);
    node.met = true;
    let staging = &mut node.staging;
    let choose = &mut |refs: &Refs| {
        *staging = refs.iter().filter(|(n, _)| n.contains("sharelock/staging/")).map(|(n, o)| (n.clone(), *o)).collect();
        head = refs.get(MAIN).copied();
        // A pack may have come whole and yet without all that its commits need, and a kill between the two is no proof.
        let Some(head) = head.filter(|h| !have.contains(h)) else { return Ok(Vec::new()) };
        missing = !(git.contains(&head)? && is_complete(git, &head, have)?);
        Ok(if missing { vec![head] } else { Vec::new() })
    };
    let mut arriving = Arriving { git, ingest: None };
    node.remote.fetch(choose, have, &mut arriving)?;
    if let Some(ingest) = arriving.ingest {
        ingest.finish()?;
    }
    if let Some(head) = head.filter(|_| missing) {
        git.complete(&head, have)?;
    }
    Ok(head)
}

/// Takes in a pack, once one begins to come.
struct Arriving<'a, F: Files> {
    git: &'a Store<F>,
    ingest: Option<Ingest<F>>,
}

impl<F: Files> Write for Arriving<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let ingest = match &mut self.ingest {
            Some(ingest) => ingest,
            none => none.insert(self.git.ingest()?),
        };
        ingest.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.ingest.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// True if nothing of a head is missing.
fn is_complete<F: Files>(git: &Store<F>, head: &Oid, have: &[Oid]) -> Result<bool> {
    match git.complete(head, have) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == Kind::Integrity(Class::Absent) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Remembers a head that was accepted and will never go back.
pub fn remember<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, node: &str, head: &Oid) -> Result<()> {
    d.git.set_ref(&history::seen_ref(node), Expect::Any, Some(*head))
}

/// What a person reads when a node shows something that no device of the vault has sealed.
pub fn refused<Rm: Remote>(e: Error, node: &StorageNode<Rm>) -> Error {
    if e.is_stopped() || !matches!(e.kind(), Kind::Integrity(_)) {
        return e;
    }
    log::debug!("{}: {e}", node.name);
    Error::new(e.kind(), format!("{} ({}) shows something that no device of this vault has made", node.name, node.place))
        .detail(e.to_string())
        .detail("nothing was taken from it, nothing was changed here")
        .remedy("to store the present state there again", format!("sharelock remote heal {}", node.name))
        .remedy("if you don't trust that server", format!("sharelock remote remove {}", node.name))
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The node has our head.
    Done,
    /// Somebody else was faster: fetch, merge, try again.
    Raced,
}

/// Sends our head to a node whose head it contains.
pub fn push<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    head: Oid,
) -> Result<Pushed> {
    if node.head == Some(head) {
        remember(d, &node.name, &head)?;
        return Ok(Pushed::Done);
    }
    let (mut oids, total) = missing(d, node, &head)?;
    if total > BATCH && oids.len() >= 2 {
        oids = stage_batches(d, node, oids)?;
    }
    send(d, node, head, oids)
}

/// Sends our head to a node that showed the commit below it when it was asked last, without asking again: it takes the
/// head only if it has not moved on. What goes in batches is not for this, for it is seen first what is there already.
pub fn offer<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    below: Oid,
    head: Oid,
) -> Result<Pushed> {
    node.head = Some(below);
    let (oids, total) = missing(d, node, &head)?;
    let pushed = if total > BATCH { Pushed::Raced } else { send(d, node, head, oids)? };
    if pushed == Pushed::Raced {
        node.head = None;
    }
    Ok(pushed)
}

/// What a node lacks of our head, and its bytes.
fn missing<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &Device<F, S, C, R>,
    node: &StorageNode<Rm>,
    head: &Oid,
) -> Result<(Vec<Oid>, u64)> {
    let have: Vec<Oid> = node.head.into_iter().collect();
    let oids = d.git.closure(&[*head], &have)?;
    let total = d.git.stored_size(&oids)?;
    d.settings.progress.expect::<Error>(Step::Sending, || Ok((0, total)))?;
    Ok((oids, total))
}

/// Pushes to the branch, once all that could go ahead has gone.
fn send<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    head: Oid,
    oids: Vec<Oid>,
) -> Result<Pushed> {
    node.met = true;
    let update = RefUpdate { name: MAIN.into(), old: node.head, new: Some(head) };
    let mut pack = d.git.pack_source(oids)?;
    let mut refusal = None;
    for attempt in 0..=REFUSALS {
        let failed = match node.remote.push(std::slice::from_ref(&update), false, &mut pack) {
            Ok(status) => status.into_iter().next().and_then(|s| not_stored(s, node)),
            Err(e) if e.kind() == Kind::Unreachable => Some(e),
            Err(e) => return Err(e),
        };
        let Some(e) = failed else { break };
        // An answer that did not come is no refusal, and texts differ from version to version: only the refs tell what
        // happened.
        let now = match node.remote.refs() {
            Ok(refs) => refs.get(MAIN).copied(),
            Err(gone) => return Err(if e.kind() == Kind::Unreachable { e } else { gone }),
        };
        if now == Some(head) {
            break;
        }
        if now != node.head {
            node.head = now;
            return Ok(Pushed::Raced);
        }
        let silent = e.kind() == Kind::Unreachable;
        let first = refusal.get_or_insert(e);
        if silent || attempt == REFUSALS {
            return Err(first.clone());
        }
        // Another device may hold the branch at this moment and not have moved it yet. The objects are there by now.
        d.clock.wait(100 << attempt);
        pack = d.git.pack_source(Vec::new())?;
    }
    let first = node.head.is_none();
    node.head = Some(head);
    remember(d, &node.name, &head)?;
    if first {
        // The article's repository says `master`: a stock clone would come out empty.
        node.head_set = Some(node.remote.set_head()?);
    }
    drop_staging(d, node)?;
    Ok(Pushed::Done)
}

/// The error of a ref that a node did not take.
fn not_stored<Rm: Remote>(status: RefStatus, node: &StorageNode<Rm>) -> Option<Error> {
    let RefStatus::Refused(text) = status else { return None };
    let text = crate::path::printable(text.as_bytes());
    let e = Error::failed(format!("{} ({}) refused to store the change: {text}", node.name, node.place));
    Some(e.detail("nothing is lost: everything waits on this device"))
}

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
fn stage_batches<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    oids: Vec<Oid>,
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
        while end < blobs.len() && end - at < MOST && (bytes < BATCH || end - at < FEWEST) {
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
            match node.remote.push(std::slice::from_ref(&update), false, &mut pack)?.first() {
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
fn drop_staging<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(d: &Device<F, S, C, R>, node: &mut StorageNode<Rm>) -> Result<()> {
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

/// Refs of a node that belong to staging, by name.
pub type Staging = BTreeMap<String, Oid>;
