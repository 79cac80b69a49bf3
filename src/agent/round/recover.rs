//! Step 1 of a round: what a crash has left, and a branch or database that is not where it was.

use crate::agent::round::head;
use crate::clock::{Clock, Random};
use crate::error::{Class, Kind, Result};
use crate::files::Files;
use crate::git::store::Expect;
use crate::id::Oid;
use crate::mirror::secure::{self, MAIN, PENDING};
use crate::mirror::{Device, Problem, apply, commit, history, incoming, scan};
use crate::state::{State, key};

/// Step 1: what a crash has left, before anything is compared. `true` if somebody had moved the branch.
///
/// Errors: also a share whose root is not ours (not mounted, say). A round that does not scan must not judge or write
/// there either: what it wrote into the mount point would count as deleted once the share is back.
pub fn recover<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<bool> {
    scan::check_root(d)?;
    let known = head(d)?;
    let pending = secure::pending(&d.state)?;
    // A damaged file of the branch tells nothing that the database does not know.
    let tip = match d.git.get_ref(MAIN) {
        Err(e) if e.kind() == Kind::Integrity(Class::Form) && known.is_some() => None,
        tip => tip?,
    };
    let mut moved = false;
    if known.is_none() && pending.is_none() {
        if let Some(tip) = tip {
            adopt_tip(d, tip)?;
        }
        secure::resume(d, tip.as_ref())?;
        d.state.commit()?;
    } else if tip != known && (tip.is_none() || tip != pending) {
        set_aside_tip(d, tip, known)?;
        moved = true;
    }
    if secure::pending(&d.state)?.is_none() && d.git.get_ref(PENDING)?.is_some() {
        d.git.set_ref(PENDING, Expect::Any, None)?;
    }
    secure::bring(d)?;
    apply::recover_intents(d)?;
    d.state.commit()?;
    Ok(moved)
}

/// The database is new (lost, or damaged and set aside) and secure has a history: it becomes head again if its seal
/// holds. The remembered heads are refs, so the protection against rollback goes on. Durable with the caller's commit.
fn adopt_tip<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, tip: Oid) -> Result<()> {
    let c = commit::open(&d.git, &d.keys, &d.vault, &tip)
        .map_err(|e| e.detail("~/secure is not at a state of this vault; nothing was changed"))?;
    incoming::rebuild_head(d, Some(&c.tree))?;
    d.state.set_value(key::HEAD, Some(&tip.0))?;
    let seq = history::newest_seq(d, &tip)?;
    d.state.set_value(commit::SEQ, Some(&seq.to_be_bytes()))
}

/// Somebody moved the branch in secure with stock git (`git commit`, `git pull`, `git reset`). What it points to stays
/// under a name of its own; the branch goes back to the head that this device knows, and the next step looks at the
/// files.
fn set_aside_tip<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, tip: Option<Oid>, known: Option<Oid>) -> Result<()> {
    let kept = match tip {
        // A name for what is not here would be damage of its own: git takes the repository for broken.
        Some(tip) if !d.git.contains(&tip)? => format!("it pointed to {tip}, which is not there"),
        Some(tip) => {
            let name = format!("refs/sharelock/found/{tip}");
            d.git.set_ref(&name, Expect::Any, Some(tip))?;
            format!("what it pointed to is kept as {name}")
        }
        None => "it was gone or damaged".to_string(),
    };
    d.git.set_ref(MAIN, Expect::Any, known)?;
    d.report.problems.push(Problem {
        path: None,
        what: format!(
            "somebody moved the branch in ~/secure with git: {kept}. files changed there count as changes made by hand; nothing is lost"
        ),
        remedy: None,
        note: true,
    });
    Ok(())
}
