//! Fetching from and pushing to one storage node, with everything between the wire and a verified commit.

pub mod rate;
pub mod staging;

use super::round::StorageNode;
use crate::clock::{Clock, Random};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::git::ingest::Ingest;
use crate::git::store::{Expect, Store};
use crate::git::{RefStatus, RefUpdate, Refs, Remote};
use crate::id::Oid;
use crate::mirror::Device;
use crate::mirror::history::{self, Walk};
use crate::mirror::progress::Step;
use crate::mirror::secure::MAIN;
use crate::state::State;
use std::collections::BTreeMap;
use std::io::Write;

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
    let have = known_heads(d, ours)?;
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

/// Our head and all remembered ones that are here: what a node need not send.
pub fn known_heads<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, ours: Option<Oid>) -> Result<Vec<Oid>> {
    let mut have: Vec<Oid> = ours.into_iter().collect();
    for (_, oid) in history::seen(d)? {
        if !have.contains(&oid) && d.git.contains(&oid)? {
            have.push(oid);
        }
    }
    Ok(have)
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
    let batch = rate::batch(d, &node.name)?;
    if total > batch && oids.len() >= 2 {
        oids = staging::send_ahead(d, node, oids, batch)?;
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
    let pushed = if total > rate::batch(d, &node.name)? { Pushed::Raced } else { send(d, node, head, oids)? };
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
        let failed = match rate::push(d, node, &update, &mut pack) {
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
    staging::drop_refs(d, node)?;
    Ok(Pushed::Done)
}

/// The error of a ref that a node did not take.
fn not_stored<Rm: Remote>(status: RefStatus, node: &StorageNode<Rm>) -> Option<Error> {
    let RefStatus::Refused(text) = status else { return None };
    let text = crate::path::printable(text.as_bytes());
    let e = Error::failed(format!("{} ({}) refused to store the change: {text}", node.name, node.place));
    Some(e.detail("nothing is lost: everything waits on this device"))
}

/// Refs of a node that belong to staging, by name.
pub type Staging = BTreeMap<String, Oid>;
