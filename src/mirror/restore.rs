//! An old version put back into the share, as a user's own write would: the next scan finds it and sends it.

use super::Device;
use super::apply::{clean, discard, temporary, will_litter};
use super::paths::exact;
use crate::clock::{Clock, Random};
use crate::error::{Error, Kind, Result};
use crate::files::{Files, Kind as Entry};
use crate::id::Id;
use crate::path::{Name, RelPath};
use crate::state::{Row, Seen, State, Table};
use crate::tree::{Place, Version};
use std::io::ErrorKind;

/// Writes a version to a path of the share; directories that are missing are made. Nothing is overwritten that is not
/// in the history: what stands there must be what was last read or written there, and what head has.
///
/// Errors: [`Kind::Decision`] if something else stands there (then nothing was changed); [`Kind::Raced`] if it changed
/// meanwhile; [`Kind::Integrity`] if the version cannot be read.
pub fn restore_version<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, path: &RelPath, v: &Version) -> Result<()> {
    super::scan::check_root(d)?;
    let (above, name) = path.split().ok_or_else(|| Error::failed("the share itself cannot be restored"))?;
    let (at, id) = parents(d, &above).map_err(|e| e.at(path))?;
    let files = d.share.clone();
    let there = files.stat(&at, name.as_bytes()).map_err(|e| Error::from(e).at(path))?;
    let old = match (&there, id) {
        (None, _) => None,
        (Some(_), None) => return Err(in_the_way(path)),
        (Some(_), Some(dir)) => Some(replaceable(d, &at, dir, &name).map_err(|e| e.at(path))?.ok_or_else(|| in_the_way(path))?),
    };
    will_litter(&mut d.state)?;
    let (temp, stat) = temporary(&files, &d.git, &d.keys, &mut d.random, &at, v).map_err(|e| e.at(path))?;
    let new = super::apply::seen_of(&stat);
    // What is exchanged out may be what a user wrote a moment ago. No intent says so here; so a crash must leave it
    // under a name that is seen, and not under one that is swept.
    let temp = match &old {
        Some(_) => discard(&files, &at, &temp, &name, &[])?.unwrap_or(temp),
        None => temp,
    };
    // A name that a power cut left with half a file would count as the user's edit.
    files.sync_all()?;
    let put = put(&files, &at, &temp, &name, old.as_ref());
    match put {
        Ok(true) => Ok(files.sync_dir(&at)?),
        Err(e) if e.is_stopped() => Err(e),
        r => {
            discard(&files, &at, &temp, &name, &[&new])?;
            r.map_err(|e| e.at(path))?;
            Err(Error::new(Kind::Raced, format!("{path}: changed while it was being restored; nothing was overwritten")))
        }
    }
}

fn in_the_way(path: &RelPath) -> Error {
    Error::new(Kind::Decision, format!("{path}: what stands there is not in the history yet"))
        .detail("nothing was changed")
        .remedy("do", "sharelock sync")
}

/// Opens the directories down to `path`, making what is missing; and the id of the last one, where the ancestor knows
/// it.
fn parents<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, path: &RelPath) -> Result<(F::Dir, Option<Id>)> {
    let (mut at, mut id) = (d.share.root(), Some(Id::ROOT));
    for name in path.names() {
        match d.share.mkdir(&at, name.as_bytes(), 0o777) {
            Ok(()) => d.share.sync_dir(&at)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.into()),
        }
        let row = match id {
            Some(dir) => d.state.get(Table::Anc, &Place { dir, name: name.clone() })?,
            None => None,
        };
        id = row.as_ref().and_then(Row::here).filter(|n| n.is_dir()).map(|n| n.id());
        at = d.share.open_dir(&at, name.as_bytes())?;
    }
    Ok((at, id))
}

/// The ancestor's row of what stands at a place, if it is in the history: as the ancestor and head both say.
fn replaceable<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, at: &F::Dir, dir: Id, name: &Name) -> Result<Option<Row>> {
    let place = Place { dir, name: name.clone() };
    let Some(row) = d.state.get(Table::Anc, &place)? else { return Ok(None) };
    let head = d.state.get(Table::Head, &place)?;
    let agreed = head.is_some_and(|h| h.node == row.node) && row.here().is_some_and(|n| !n.is_dir());
    Ok((agreed && clean(&d.share, at, &row)? && exact(&d.share, at, name.as_bytes())?).then_some(row))
}

/// Puts the temporary in place; `false` if what stands there is not what it was.
fn put<F: Files>(files: &F, at: &F::Dir, temp: &Name, name: &Name, old: Option<&Row>) -> Result<bool> {
    let (tmp, name) = (temp.as_bytes(), name.as_bytes());
    let Some(old) = old else {
        return match files.rename_noreplace(at, tmp, at, name) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e.into()),
        };
    };
    if !clean(files, at, old)? {
        return Ok(false);
    }
    if !files.traits().exchange {
        // RACE: as in `apply`: what is written between the recheck and the rename (microseconds) is lost.
        files.rename(at, tmp, at, name)?;
        return Ok(true);
    }
    files.exchange(at, tmp, at, name)?;
    let expected: Option<&Seen> = old.seen.as_ref();
    let out = files.stat(at, tmp)?;
    if out.is_none_or(|s| s.kind != Entry::Dir && expected.is_some_and(|seen| super::apply::same_but_ctime(&s, seen))) {
        if out.is_some() {
            files.unlink(at, tmp)?;
        }
        return Ok(true);
    }
    files.exchange(at, tmp, at, name)?;
    Ok(false)
}
