//! Two heads become one commit, the same on every device.

use super::Device;
use super::commit;
use super::history::{self, Walk};
use super::packs::Packs;
use super::{partial, secure};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Oid;
use crate::state::{State, Table, key};
use crate::tree::planted::{self, Mistake};

/// Merges a remote's head with ours, makes the result pending, and brings secure to it.
///
/// The remote's is first, unless ours is contained in a remembered head, too: then the one with the earlier sealed
/// time, or the smaller id (MERGE 4).
pub fn merge_heads<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    theirs: Oid,
    ours: Oid,
    walk: &Walk,
) -> Result<Oid> {
    let mut ours_is_stored = false;
    for (_, seen) in history::seen(d)? {
        ours_is_stored = ours_is_stored || history::contains(d, &seen, &ours)?;
    }
    let open = |oid: &Oid| commit::open(&d.git, &d.keys, &d.vault, oid);
    let (mut first, mut second) = (theirs, ours);
    if ours_is_stored && !planted::is(Mistake::RemoteAlwaysFirst) {
        let time = |oid: &Oid| Ok::<_, crate::error::Error>((open(oid)?.details.time, *oid));
        if time(&ours)? < time(&theirs)? {
            (first, second) = (ours, theirs);
        }
    }
    let (c1, c2) = (open(&first)?, open(&second)?);
    let mut packs = Packs::new(&d.git);
    partial::merge_commits(d, &mut packs, &walk.bases, &first, &second)?;
    packs.close()?;
    let tree = commit::write_trees(d, &mut packs)?;
    let merged = commit::write_merge(d, &mut packs, tree, (first, &c1), (second, &c2))?;
    packs.finish()?;
    secure::set_pending(d, &merged)?;
    d.state.set_value(key::EVEN, None)?;
    d.state.commit()?;
    secure::bring(d)?;
    Ok(merged)
}

/// The planted mistake 'ancestor as where share and secure agree': keeps in the ancestor only what `Next` over `Head`
/// holds, too.
pub fn keep_agreement<S: State>(state: &mut S) -> Result<()> {
    super::overlay::each_row(state, Table::Scan, |state, row| {
        let agreed = super::overlay::Overlay::NEXT.get(state, &row.place)?;
        let same = match (agreed.as_ref().and_then(|r| r.here()), row.here()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => true,
            _ => false,
        };
        if !same {
            state.remove(Table::Scan, &row.place)?;
        }
        Ok(())
    })
}
