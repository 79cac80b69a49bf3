//! Where new files come from (MERGE 3, 'Files', rules 2 to 5).

use super::super::Device;
use super::super::overlay::{Overlay, each_row};
use super::list::is_same_file;
use super::{changed, top_generation};
use crate::clock::{Clock, Random};
use crate::crypt;
use crate::error::Result;
use crate::files::{Files, Kind, Stat};
use crate::id::Id;
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{FileKind, Node, Place, Version};
use std::collections::BTreeSet;

/// Gives every new file in `Scan` its id.
pub(super) fn resolve<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    let mut claimed: BTreeSet<Place> = BTreeSet::new();
    by_inode(d, &mut claimed)?;
    let head_has_files = d.state.count(Table::Head)?.0 > 0;
    let anc_has_files = d.state.count(Table::Anc)?.0 > 0;
    let mut dir: Option<(Id, Option<Id>)> = None;
    each_new(d, |d, row, v, seen| {
        // Rule 4: head has a file at this path.
        if head_has_files {
            if dir.is_none_or(|(id, _)| id != row.place.dir) {
                dir = Some((row.place.dir, head_dir(d, row.place.dir)?));
            }
            let up = dir.and_then(|(_, head)| head);
            let there = match up {
                Some(up) => d.state.get(Table::Head, &Place { dir: up, name: row.place.name.clone() })?,
                None => None,
            };
            if let Some(Node::File(h)) = there.as_ref().and_then(|r| r.here()) {
                let segment = if crypt::small::is_small(v.size) { 0 } else { h.segment };
                let new = Version { id: h.id, epoch: h.epoch, segment, generation: 0, ..v };
                return put(d, row, new, seen);
            }
        }
        if anc_has_files
            && v.size > 0
            && let Some(source) = by_content(d, &row, &v, &seen, &claimed)?
        {
            let Some(Node::File(old)) = source.here() else { return Ok(()) };
            let mut new = Version { id: old.id, epoch: old.epoch, segment: old.segment, ..v };
            new.generation = top_generation(&d.state, old.id)? + 1;
            claimed.insert(source.place.clone());
            return put(d, row, new, seen);
        }
        let mut id = Id::ROOT;
        d.random.fill(&mut id.0)?; // Rule 5.
        put(d, row, Version { id, ..v }, seen)
    })
}

/// Calls `each` for every file of `Scan` that has no id yet.
fn each_new<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    mut each: impl FnMut(&mut Device<F, S, C, R>, Row, Version, Seen) -> Result<()>,
) -> Result<()> {
    let mut after: Option<Place> = None;
    loop {
        let rows = d.state.rows(Table::Scan, after.as_ref(), 256)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.place.clone());
        for row in rows {
            let (Some(Node::File(v)), Some(seen)) = (row.here().cloned(), row.seen.clone()) else { continue };
            if v.id == Id::ROOT {
                each(d, row, v, seen)?;
            }
        }
    }
}

fn put<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, row: Row, v: Version, seen: Seen) -> Result<()> {
    d.state.put(Table::Scan, &Row { place: row.place, node: RowNode::Here(Node::File(v)), seen: Some(seen) })
}

/// True if the ancestor has a file at this place and none stands there now.
fn is_gone<S: State>(state: &S, place: &Place) -> Result<bool> {
    Ok(match state.get(Table::Scan, place)? {
        Some(row) => row.here().is_none_or(|n| n.is_dir()),
        None => false,
    })
}

/// Rule 2: renamed, for the inode is the same.
fn by_inode<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, claimed: &mut BTreeSet<Place>) -> Result<()> {
    each_new(d, |d, row, v, seen| {
        let mut sources = Vec::new();
        for source in d.state.by_ino(Table::Anc, seen.ino)? {
            if is_same_file(&source, &seen) && is_gone(&d.state, &source.place)? {
                sources.push(source);
            }
        }
        let [source] = &sources[..] else { return Ok(()) };
        let (Some(Node::File(old)), Some(was)) = (source.here(), &source.seen) else { return Ok(()) };
        if !claimed.insert(source.place.clone()) {
            return Ok(());
        }
        let now = as_stat(&v, &seen);
        // The rename itself has set the change time: it says nothing of the content.
        let was = Seen { ctime: seen.ctime, ..was.clone() };
        let new = changed(d, old, &was, &now, || top_generation(&d.state, old.id))?.unwrap_or_else(|| old.clone());
        put(d, row, new, seen)
    })
}

/// A `lstat` put together again from what was kept of it.
fn as_stat(v: &Version, seen: &Seen) -> Stat {
    let mode = match (seen.exec, seen.private) {
        (false, false) => 0o644,
        (true, false) => 0o755,
        (false, true) => 0o600,
        (true, true) => 0o700,
    };
    let kind = if v.kind == FileKind::Link { Kind::Link } else { Kind::File };
    Stat { kind, size: seen.size, mode, mtime: seen.mtime, ctime: seen.ctime, ino: seen.ino, dev: 0, birth: seen.birth }
}

/// The id of head's directory at the path that a scanned directory has.
fn head_dir<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, id: Id) -> Result<Option<Id>> {
    let Some(up) = Overlay::SCANNED.climb(&d.state, id)? else { return Ok(None) };
    let mut at = Id::ROOT;
    for row in up {
        match d.state.get(Table::Head, &Place { dir: at, name: row.place.name })?.as_ref().and_then(|r| r.here()) {
            Some(Node::Dir { id, .. }) => at = *id,
            _ => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Rule 3: the one file of the ancestor that is gone and had this plaintext, if no other new place has it.
fn by_content<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    row: &Row,
    v: &Version,
    seen: &Seen,
    claimed: &BTreeSet<Place>,
) -> Result<Option<Row>> {
    let mut sources: Vec<Row> = Vec::new();
    for source in d.state.by_size(Table::Anc, v.size)? {
        let Some(Node::File(old)) = source.here() else { continue };
        if old.kind == v.kind && !claimed.contains(&source.place) && is_gone(&d.state, &source.place)? && has_content(d, row, seen, old)? {
            sources.push(source);
        }
    }
    let [source] = &sources[..] else { return Ok(None) };
    let Some(Node::File(old)) = source.here() else { return Ok(None) };
    for other in d.state.by_size(Table::Scan, v.size)? {
        let (Some(Node::File(o)), Some(other_seen)) = (other.here(), other.seen.as_ref()) else { continue };
        if o.id == Id::ROOT && other.place != row.place && o.kind == v.kind && has_content(d, &other, other_seen, old)? {
            return Ok(None);
        }
    }
    Ok(sources.pop())
}

/// True if a file of the share has the plaintext of a version. One that cannot be read has not.
fn has_content<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, row: &Row, seen: &Seen, old: &Version) -> Result<bool> {
    let Some(up) = Overlay::SCANNED.climb(&d.state, row.place.dir)? else { return Ok(false) };
    let read = || -> Result<[u8; 32]> {
        let mut dir = d.share.root();
        for up in &up {
            let name = up.seen.as_ref().and_then(|s| s.name.as_ref()).unwrap_or(&up.place.name);
            dir = d.share.open_dir(&dir, name.as_bytes())?;
        }
        let name = seen.name.as_ref().unwrap_or(&row.place.name).as_bytes();
        let mac = |r: &mut dyn std::io::Read| crypt::content_mac(&d.keys, &old.id, old.epoch, old.segment, old.size, r);
        if old.kind == FileKind::Link {
            return mac(&mut &d.share.readlink(&dir, name)?[..]);
        }
        mac(&mut d.share.open(&dir, name)?)
    };
    match read() {
        Ok(mac) => Ok(mac == old.mac),
        Err(e) if e.is_stopped() => Err(e),
        Err(_) => Ok(false),
    }
}

/// Where names kept changing: additions, edits and renames are believed, deletions are not. A place of the ancestor
/// counts as empty only if what stood there stands elsewhere now.
pub(super) fn forget_deletions<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    each_row(&mut d.state, Table::Scan, |state, row| {
        if row.node != RowNode::Gone {
            return Ok(());
        }
        let Some(old) = state.get(Table::Anc, &row.place)? else { return Ok(()) };
        let Some(node) = old.here() else { return Ok(()) };
        let mut elsewhere = false;
        for other in state.by_id(Table::Scan, node.id())? {
            elsewhere |= other.here().is_some();
        }
        if !elsewhere {
            state.remove(Table::Scan, &row.place)?;
        }
        Ok(())
    })
}
