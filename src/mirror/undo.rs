//! The user's answer to the brake, if it is no: what would have gone is put back where it was.

use super::apply::discard;
use super::overlay::{Overlay, Rows};
use super::restore::restore_version;
use super::worktree::{self, Difference};
use super::{Device, Made, brake};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::path::{Name, RelPath};
use crate::state::{Seen, State, Table, key};
use crate::tree::{Node, Version};

/// Brings back what a change that was made there would have taken: into the share, into secure, or (if another device
/// made it) into the vault, where it is as new. Gives the number of files. The next round sends what there is to send.
///
/// # Errors
/// Those of the disk; [`crate::error::Kind::Raced`] if a file changes at this moment.
pub fn undo<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, made: Made) -> Result<u64> {
    match made {
        Made::InShare => into_the_share(d),
        Made::InSecure => into_secure(d),
        Made::Elsewhere => {
            let Some((_, held)) = brake::incoming(d)? else { return Ok(0) };
            let kept = brake::keep(&mut d.state, &held)?;
            d.state.set_value(key::EVEN, None)?;
            d.state.commit()?;
            Ok(kept)
        }
    }
}

fn into_the_share<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<u64> {
    let (mut n, mut rows) = (0, Rows::of(Table::Anc));
    while let Some(row) = rows.next(&d.state)? {
        let Some(Node::File(version)) = row.here().cloned() else { continue };
        let Some(path) = Overlay::ANC.path(&d.state, &row.place)? else { continue };
        n += u64::from(bring_back(d, &path, &version, row.seen.as_ref())?);
    }
    Ok(n)
}

fn into_secure<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<u64> {
    let mut n = 0;
    for (path, difference) in worktree::compare(d)?.differs {
        n += u64::from(difference != Difference::Extra && worktree::make_anew(d, &path)?);
    }
    Ok(n)
}

/// Restores one file of the ancestor whose place is empty or holds something else; the latter is kept as `NAME (saved N)`.
fn bring_back<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    path: &RelPath,
    version: &Version,
    seen: Option<&Seen>,
) -> Result<bool> {
    let Some((dir, name)) = path.split() else { return Ok(false) };
    let mut at = d.share.root();
    let mut there = true;
    for part in dir.names() {
        match d.share.open_dir(&at, part.as_bytes()) {
            Ok(next) => at = next,
            Err(_) => {
                // A file where a directory was is in the way of all that was in that one.
                if d.share.stat(&at, part.as_bytes())?.is_some_and(|s| s.kind != Kind::Dir) {
                    save_aside(&d.share, &at, &part).map_err(|e| e.at(path))?;
                }
                there = false;
                break;
            }
        }
    }
    if there && let Some(stat) = d.share.stat(&at, name.as_bytes())? {
        if seen.is_some_and(|s| s.size == stat.size && s.mtime == stat.mtime) {
            return Ok(false);
        }
        save_aside(&d.share, &at, &name).map_err(|e| e.at(path))?;
    }
    restore_version(d, path, version)?;
    Ok(true)
}

/// Gives what stands there the first name `NAME (saved N)` that is free.
fn save_aside<F: Files>(files: &F, at: &F::Dir, name: &Name) -> Result<()> {
    match discard(files, at, name, name, &[])? {
        Some(_) => Ok(files.sync_dir(at)?),
        None => Ok(()),
    }
}
