//! One sync round (MERGE 2): recover, look at secure, take in the share, fetch, apply, push.
//!
//! There is one commit point: the database transaction that sets `pending` and the new ancestor. Before it nothing has
//! happened; everything after it can be redone and is, before anything is compared again.

mod heal;
mod recover;

pub use heal::{Healed, heal};
pub use recover::recover;

use super::exchange::{self, Pushed, Staging};
use crate::clock::{Clock, Random, Time};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::git::Remote;
use crate::id::Oid;
use crate::mirror::commit::{self, Says};
use crate::mirror::history::Walk;
use crate::mirror::packs::Packs;
use crate::mirror::secure;
use crate::mirror::{Device, Problem, apply, brake, foreign, history, ignore, incoming, join, partial, scan, stage};
use crate::state::{State, Table, key};
use crate::tree::Place;
use crate::tree::planted::{self, Mistake};

/// How often a round fetches and pushes again after somebody else was faster.
const ATTEMPTS: u32 = 6;

/// One storage node, as a round sees it.
pub struct StorageNode<Rm: Remote> {
    /// Its name in the configuration.
    pub name: String,
    /// Host or path, for messages.
    pub place: String,
    /// The seam.
    pub remote: Rm,
    /// Its head as last fetched or pushed in this round.
    pub head: Option<Oid>,
    /// Staging refs that it showed.
    pub staging: Staging,
    /// It was spoken with in this round.
    pub met: bool,
    /// Whether its HEAD could be pointed at our branch, if that was tried in this round.
    pub head_set: Option<bool>,
    /// How a time is shown to this person.
    pub show_time: Box<dyn Fn(Time) -> String + Send>,
}

impl<Rm: Remote> StorageNode<Rm> {
    /// A node that has not been asked yet.
    pub fn new(name: impl Into<String>, place: impl Into<String>, remote: Rm) -> Self {
        StorageNode {
            name: name.into(),
            place: place.into(),
            remote,
            head: None,
            staging: Staging::new(),
            met: false,
            head_set: None,
            show_time: Box::new(|t| format!("{} s", t.s)),
        }
    }
}

/// What became of one node in a round.
#[derive(Clone, Debug)]
pub struct NodeOutcome {
    /// Its name.
    pub name: String,
    /// Its head, if it answered.
    pub head: Option<Oid>,
    /// It was spoken with.
    pub met: bool,
    /// It has taken something new from this device.
    pub sent: bool,
    /// Why it could not be used, or was refused.
    pub error: Option<Error>,
}

/// What a round did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Our head at the end.
    pub head: Option<Oid>,
    /// Commits of this device that the round made (0 or 1, and merges).
    pub commits: u32,
    /// Files of this device's share that its own commit takes in as new or changed.
    pub taken: u64,
    /// Paths of the share that were written, renamed or removed.
    pub applied: u64,
    /// Each node.
    pub nodes: Vec<NodeOutcome>,
}

impl Outcome {
    /// True if every node is at our head.
    pub fn stored_everywhere(&self) -> bool {
        self.nodes.iter().all(|n| n.error.is_none() && n.head == self.head)
    }
}

/// What a round looks at on this device. What is left out counts as it was at the round before: an agent that watches
/// knows that nothing happened there. Everything that is written is looked at once more before it is replaced, so this
/// is a matter of speed only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What {
    /// Share is scanned.
    pub share: bool,
    /// Secure is compared with head.
    pub secure: bool,
    /// Every node is asked for what other devices have pushed. Without it a node is only spoken with if it lacks
    /// something: it counts as being where it was seen last.
    pub nodes: bool,
}

impl What {
    /// A full round.
    pub const ALL: What = What { share: true, secure: true, nodes: true };
}

/// Runs one full round, both ways.
///
/// Errors are those that stop the whole round (this device's disk or state, a vault that is not ours). What concerns
/// one node stands in its [`NodeOutcome`], what concerns one path in the device's report.
pub fn run<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    nodes: &mut [StorageNode<Rm>],
) -> Result<Outcome> {
    run_part(d, nodes, What::ALL)
}

/// Runs a round over a part of what there is to look at; otherwise as [`run`].
pub fn run_part<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    nodes: &mut [StorageNode<Rm>],
    what: What,
) -> Result<Outcome> {
    // (To a device that joins, what is damaged is the node's.)
    let joined = head(d)?.is_some();
    whole_or_part(d, nodes, what).map_err(|e| if joined { mendable(e) } else { e })
}

/// An error of damage to what lies in secure on this device, with what mends it.
pub fn mendable(e: Error) -> Error {
    match e.kind() {
        Kind::Integrity(_) if e.remedies().is_empty() => {
            e.detail("the files in ~/share are not touched by this").remedy("do", "sharelock verify --repair")
        }
        _ => e,
    }
}

fn whole_or_part<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    nodes: &mut [StorageNode<Rm>],
    what: What,
) -> Result<Outcome> {
    d.report = Default::default();
    for node in &mut *nodes {
        // What an earlier round heard.
        (node.head, node.met, node.head_set) = (None, false, None);
        node.staging.clear();
        if let Some(pulse) = node.remote.pulse() {
            pulse.take_up();
        }
    }
    let mut out = Outcome::default();
    let moved = recover(d)?;
    let mut errors: Vec<Option<Error>> = nodes.iter().map(|_| None).collect();
    if head(d)?.is_none() {
        first_fetch(d, nodes, &mut errors)?;
    }
    let known = d.report.problems.len();
    if what.secure {
        out.commits += foreign::look(d)?;
    }
    // What others did in secure may have come from a node (`git pull`): it explains what this device has not seen yet.
    let ask = what.nodes || moved || d.report.problems.len() > known;
    // Where ancestor and head differ, the share waits for something: only a look at it tells whether it still has to.
    let mut sent = vec![false; nodes.len()];
    if what.share || d.state.value(key::EVEN)?.is_none() {
        let before = head(d)?;
        let (made, taken) = take_in(d)?;
        (out.commits, out.taken) = (out.commits + made, taken);
        if let Some(before) = before.filter(|_| made > 0) {
            offer(d, nodes, before, &mut errors, &mut sent)?;
        }
    }
    for attempt in 0..ATTEMPTS {
        for ((node, error), sent) in nodes.iter_mut().zip(&mut errors).zip(&sent) {
            // It has just taken our head and shows nothing else, or does not answer.
            if attempt == 0 && (*sent || error.is_some()) {
                continue;
            }
            if attempt == 0
                && !ask
                && let Some(seen) = d.git.get_ref(&history::seen_ref(&node.name))?
                && head(d)? == Some(seen)
            {
                node.head = Some(seen);
                continue;
            }
            match fetch_one(d, node) {
                Ok(n) => {
                    out.commits += n;
                    *error = None;
                }
                Err(e) => *error = Some(per_node(e)?),
            }
        }
        out.applied += bring_to_share(d)?;
        let mut raced = false;
        let Some(ours) = head(d)? else { break };
        for ((node, error), sent) in nodes.iter_mut().zip(&mut errors).zip(&mut sent) {
            if error.is_some() {
                continue;
            }
            let before = node.head;
            match exchange::push(d, node, ours) {
                Ok(Pushed::Done) => *sent |= before != Some(ours),
                Ok(Pushed::Raced) => raced = true,
                Err(e) => *error = Some(per_node(e)?),
            }
        }
        if !raced {
            break;
        }
        if attempt + 1 < ATTEMPTS {
            let mut jitter = [0u8; 1];
            d.random.fill(&mut jitter)?;
            d.clock.wait((50u64 << attempt) + u64::from(jitter[0]));
        } else {
            d.report.again = true;
        }
    }
    out.head = head(d)?;
    d.state.commit()?;
    for ((node, error), sent) in nodes.iter().zip(errors).zip(sent) {
        out.nodes.push(NodeOutcome { name: node.name.clone(), head: node.head, met: node.met, sent, error });
    }
    match d.git.consolidate() {
        Err(e) if e.is_stopped() => return Err(e),
        // The round is done: many packs are only slow.
        Err(e) => d.report.problems.push(Problem {
            path: None,
            what: format!("the packs in ~/secure could not be put together: {e}"),
            remedy: Some("sharelock verify".into()),
            note: true,
        }),
        Ok(()) => {}
    }
    Ok(out)
}

/// Our head.
pub fn head<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Option<Oid>> {
    secure::oid_value(&d.state, key::HEAD)
}

/// Our head. A vault without a commit has nothing that anybody could ask for.
pub fn present<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Oid> {
    head(d)?.ok_or_else(|| Error::failed("there is nothing in this vault yet").remedy("do", "sharelock sync"))
}

/// Makes a commit over `head` that changes no file: what it says is what the other devices are to know. It is not sent yet.
/// The device has recovered before.
pub fn say<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, head: Oid, says: Says) -> Result<()> {
    let tree = secure::tree_of(d, &head)?;
    let mut packs = Packs::new(&d.git);
    let commit = commit::write_own(d, &mut packs, tree, Some(head), says)?;
    packs.finish()?;
    secure::set_pending(d, &commit)?;
    d.state.commit()?;
    secure::bring(d)
}

/// Lets through what concerns one node only; anything else stops the round.
fn per_node(e: Error) -> Result<Error> {
    match e.kind() {
        Kind::Stopped | Kind::Raced => Err(e),
        _ => Ok(e),
    }
}

/// Step 2's beginning for a device without a head: it fetches before it first scans, so that files that are there
/// already take over the vault's ids.
fn first_fetch<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    nodes: &mut [StorageNode<Rm>],
    errors: &mut [Option<Error>],
) -> Result<()> {
    for (node, error) in nodes.iter_mut().zip(errors.iter_mut()) {
        match exchange::fetch(d, node, None) {
            Ok(shown) => {
                let Some(new) = shown.head else { continue };
                fast_forward(d, new).map_err(|e| exchange::refused(e, node))?;
                let name = node.name.clone();
                exchange::remember(d, &name, &new)?;
                return Ok(());
            }
            Err(e) => *error = Some(per_node(e)?),
        }
    }
    match errors.iter_mut().find_map(Option::take) {
        Some(e) => Err(e),
        None => Err(Error::new(Kind::Unreachable, "no storage node has anything of this vault yet").detail("nothing was changed")),
    }
}

/// Brings secure to a commit that contains our head (or is the first).
fn fast_forward<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, to: Oid) -> Result<()> {
    let tree = secure::tree_of(d, &to)?;
    incoming::differences(d, &tree)?; // Verifies; nothing is pending before all of it holds.
    secure::set_pending(d, &to)?;
    d.state.set_value(key::EVEN, None)?;
    d.state.commit()?;
    secure::bring_next(d, &to, &tree)
}

/// Step 3: the share against head. Gives the number of commits made, and of new and changed files in them.
fn take_in<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<(u32, u64)> {
    scan::scan(d)?;
    let mut packs = Packs::new(&d.git);
    stage::seal_changes(d, &mut packs)?;
    if let Some(held) = brake::outgoing(d)? {
        d.report.brake = Some(held);
    }
    let differs = if d.state.value(key::EVEN)?.is_some() {
        stage::scan_is_next(&mut d.state)? > 0
    } else if d.state.rows(Table::Scan, None, 1)?.is_empty() {
        // The share is as the ancestor, so the merge is head, however much of it is still to come (all, after a join).
        d.state.clear(Table::Next)?;
        false
    } else {
        partial::merge_share(d, &mut packs)?
    };
    incoming::settle_generations(&mut d.state, Table::Scan)?;
    let mut made = 0;
    if differs {
        let tree = commit::write_trees(d, &mut packs)?;
        let parent = head(d)?;
        let commit = commit::write_own(d, &mut packs, tree, parent, Says::default())?;
        packs.finish()?;
        if planted::is(Mistake::AncestorFirst) {
            d.state.absorb(Table::Scan, Table::Anc)?;
            d.state.commit()?;
        }
        secure::set_pending(d, &commit)?;
        made = 1;
    } else {
        packs.finish()?;
    }
    if planted::is(Mistake::AncestorAsAgreement) {
        join::keep_agreement(&mut d.state)?;
    }
    let taken = if made > 0 { d.state.count(Table::Scan)?.0 } else { 0 };
    d.state.absorb(Table::Scan, Table::Anc)?;
    d.state.commit()?; // The commit point.
    if made > 0 {
        secure::bring(d)?;
    }
    Ok((made, taken))
}

/// The commit that was just made on top of `before` goes at once to the nodes that showed `before` last: most often
/// nobody else has pushed meanwhile, and a node takes it only if that is so. It saves asking first, which costs a round
/// trip and a process at the server. All other nodes are asked as ever.
fn offer<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    nodes: &mut [StorageNode<Rm>],
    before: Oid,
    errors: &mut [Option<Error>],
    sent: &mut [bool],
) -> Result<()> {
    let Some(ours) = head(d)? else { return Ok(()) };
    for ((node, error), sent) in nodes.iter_mut().zip(errors).zip(sent) {
        if d.git.get_ref(&history::seen_ref(&node.name))? != Some(before) {
            continue;
        }
        match exchange::offer(d, node, before, ours) {
            Ok(Pushed::Done) => *sent = true,
            Ok(Pushed::Raced) => {}
            Err(e) => *error = Some(per_node(e)?),
        }
    }
    Ok(())
}

/// Step 5 for one node.
fn fetch_one<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(d: &mut Device<F, S, C, R>, node: &mut StorageNode<Rm>) -> Result<u32> {
    let ours = head(d)?;
    let shown = exchange::fetch(d, node, ours)?;
    let (Some(theirs), Some(ours)) = (shown.head, ours) else { return Ok(0) };
    let made = take(d, theirs, ours, &shown.walk).map_err(|e| exchange::refused(e, node))?;
    exchange::remember(d, &node.name, &theirs)?;
    Ok(made)
}

/// Makes our head contain theirs, which was accepted. Gives the number of commits made.
fn take<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, theirs: Oid, ours: Oid, walk: &Walk) -> Result<u32> {
    if walk.only_theirs.is_empty() {
        return Ok(0); // Ours contains it.
    }
    if walk.only_ours.is_empty() {
        return fast_forward(d, theirs).map(|()| 0);
    }
    join::merge_heads(d, theirs, ours, walk).map(|_| 1)
}

/// Step 6: the share becomes head's tree, less what is held back.
fn bring_to_share<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<u64> {
    if d.state.value(key::EVEN)?.is_some() {
        return Ok(0);
    }
    let held = brake::incoming(d)?;
    if let Some((stop, _)) = &held {
        d.report.brake.get_or_insert_with(|| stop.clone());
    }
    let ignored = ignore::unfollowed(d)?;
    let skip = |place: &Place| ignored.contains(place) || held.as_ref().is_some_and(|(_, set)| set.contains(place));
    Ok(apply::apply(d, &skip)?.done)
}

/// Makes the first commit of a new vault: a tree that holds `vault` and nothing else.
pub fn found<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Oid> {
    d.state.clear(Table::Next)?;
    let mut packs = Packs::new(&d.git);
    let tree = commit::write_trees(d, &mut packs)?;
    let root = commit::write_own(d, &mut packs, tree, None, Says::default())?;
    packs.finish()?;
    secure::set_pending(d, &root)?;
    d.state.set_value(key::EVEN, Some(b"1"))?;
    d.state.commit()?;
    secure::bring(d)?;
    Ok(root)
}
