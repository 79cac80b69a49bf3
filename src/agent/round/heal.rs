//! `remote heal`: a storage node that went back (a restored backup, a new repository in the place of a lost one) is
//! brought to the present again, and so that every device accepts it.
//!
//! Other devices may have gone on from what the node shows now, and nobody refused them: they never saw more of it. What
//! they sent is of this vault, so it is merged with what the node had before, and nothing of either is lost. A head that
//! contains both is accepted everywhere. Only what no device has sealed is replaced, and only what this device once
//! accepted and has no longer is superseded.

use super::{ATTEMPTS, StorageNode, present, recover, say, take};
use crate::agent::exchange::{self, Pushed};
use crate::clock::{Clock, Random};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::git::{RefStatus, RefUpdate, Remote};
use crate::id::Oid;
use crate::mirror::commit::{self, Says};
use crate::mirror::history::{self, Walk};
use crate::mirror::secure::{self, MAIN};
use crate::mirror::{Device, incoming};
use crate::state::State;
use std::collections::BTreeSet;

/// What healing has found at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    /// Changes that only it had: they are in the vault now.
    pub taken: u64,
    /// The devices that made them.
    pub devices: BTreeSet<String>,
    /// It showed what no device of the vault has made: that was replaced.
    pub foreign: bool,
    /// It is not known what it had before: the present state takes the place of that on all devices.
    pub superseded: bool,
}

/// What a node shows.
enum Shows {
    /// A state of this vault (or nothing yet), and how it relates to ours.
    Ours(Option<Oid>, Walk),
    /// What no device of the vault has made, or not all of it.
    Foreign,
}

/// Stores the present state on a node, with whatever other devices have sent there since it went back.
///
/// Errors: Unreachable if it does not answer or has no repository; Failed if it refuses; those of this device's disk.
/// What was merged until then stays.
pub fn heal<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(d: &mut Device<F, S, C, R>, node: &mut StorageNode<Rm>) -> Result<Healed> {
    recover(d)?;
    let mut out = Healed::default();
    for _ in 0..ATTEMPTS {
        let mut shows = look(d, node)?;
        if let Shows::Ours(Some(theirs), walk) = &shows {
            match take(d, *theirs, present(d)?, walk) {
                Ok(_) => count(d, walk, &mut out)?,
                // It is sealed, and yet no tree of the vault: whoever holds a key has made it, and nobody can take it in. (What
                // has begun to be taken in was a tree: then it is this disk that is damaged, and the node keeps what it has.)
                Err(e) if foreign(&e) && secure::pending(&d.state)?.is_none() => shows = Shows::Foreign,
                Err(e) => return Err(e),
            }
        }
        keep_what_it_had(d, node, &mut out)?;
        let ours = present(d)?;
        let pushed = match shows {
            Shows::Ours(theirs, _) => {
                node.head = theirs;
                exchange::push(d, node, ours)?
            }
            Shows::Foreign => {
                out.foreign = true;
                replace(d, node, ours)?
            }
        };
        if pushed == Pushed::Done {
            return Ok(out);
        }
    }
    Err(Error::failed(format!("{} ({}) changes all the time: other devices are sending to it", node.name, node.place))
        .detail("nothing is lost")
        .remedy("do, once more", format!("sharelock remote heal {}", node.name)))
}

/// True for what is wrong with what a node shows.
fn foreign(e: &Error) -> bool {
    matches!(e.kind(), Kind::Integrity(_))
}

fn look<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(d: &Device<F, S, C, R>, node: &mut StorageNode<Rm>) -> Result<Shows> {
    let ours = present(d)?;
    let have = exchange::known_heads(d, Some(ours))?;
    let judged = exchange::bring_head(&d.git, node, &have).and_then(|shown| match shown {
        // Not whether it went back: that is why it is healed.
        Some(theirs) => Ok(Shows::Ours(Some(theirs), history::accept(d, &theirs, Some(&ours), None)?)),
        None => Ok(Shows::Ours(None, Walk::default())),
    });
    match judged {
        Err(e) if foreign(&e) => {
            log::debug!("{}: {e}", node.name);
            Ok(Shows::Foreign)
        }
        other => other,
    }
}

/// Counts changes of devices; merges are nobody's.
fn count<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, walk: &Walk, out: &mut Healed) -> Result<()> {
    for oid in &walk.only_theirs {
        let c = commit::open(&d.git, &d.keys, &d.vault, oid)?;
        if c.parents.len() < 2 {
            out.taken += 1;
        }
        out.devices.extend(c.details.device_name.map(|n| n.as_str().to_string()));
    }
    Ok(())
}

/// Sees to it that our head contains what the node was last known to have, or else takes its place.
fn keep_what_it_had<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &StorageNode<Rm>,
    out: &mut Healed,
) -> Result<()> {
    let Some(had) = d.git.get_ref(&history::seen_ref(&node.name))? else { return Ok(()) };
    let ours = present(d)?;
    if !d.git.contains(&had)? {
        // Without it nobody knows how high a commit has to be that takes its place.
        return Err(Error::integrity(Class::Absent, format!("what {} had before is not on this device any more", node.name))
            .detail("nothing was changed there")
            .remedy("on a device that has it", format!("sharelock remote heal {}", node.name))
            .remedy("if there is none, forget the node and add it again", format!("sharelock remote remove {}", node.name)));
    }
    match history::walk(d, &[ours], &[had]).and_then(|walk| take(d, had, ours, &walk)) {
        Ok(_) => Ok(()),
        Err(e) if foreign(&e) => {
            log::debug!("{}: what it had is lost here, too: {e}", node.name);
            supersede(d, had, ours)?;
            out.superseded = true;
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// The present state as a commit that takes the place of `had`.
fn supersede<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, had: Oid, ours: Oid) -> Result<()> {
    let tree = secure::tree_of(d, &ours)?;
    incoming::differences(d, &tree)?; // None: what an attempt to merge has left is forgotten.
    // (Of what the database says now a part may come from that attempt.)
    say(d, ours, Says { summary: Some("a storage node was healed".into()), supersedes: Some(had), ..Says::default() })
}

/// Sends everything in the place of what a node shows.
fn replace<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    ours: Oid,
) -> Result<Pushed> {
    let old = node.remote.refs()?.get(MAIN).copied();
    // What it shows may not be whole there: nothing counts as being there.
    let oids = d.git.closure(&[ours], &[])?;
    let mut pack = d.git.pack_source(oids)?;
    let update = RefUpdate { name: MAIN.into(), old, new: Some(ours) };
    let answer = node.remote.push(&[update], false, &mut pack)?.into_iter().next();
    let Some(RefStatus::Refused(text)) = answer else {
        node.head = Some(ours);
        exchange::remember(d, &node.name, &ours)?;
        return Ok(Pushed::Done);
    };
    let now = node.remote.refs()?.get(MAIN).copied();
    if now == Some(ours) {
        exchange::remember(d, &node.name, &ours)?;
        return Ok(Pushed::Done);
    }
    if now != old {
        return Ok(Pushed::Raced);
    }
    let text = crate::path::printable(text.as_bytes());
    Err(Error::failed(format!("{} ({}) refused to let go of what it shows: {text}", node.name, node.place))
        .detail("nothing is lost: this device has everything")
        .remedy("on the server, in the repository", "git update-ref -d refs/heads/main")
        .remedy("then here, once more", format!("sharelock remote heal {}", node.name)))
}
