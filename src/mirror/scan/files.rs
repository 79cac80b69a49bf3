//! Where new files come from (MERGE 3, 'Files', rules 2 to 5).

use super::super::Device;
use super::super::overlay::{Overlay, Rows, each_row};
use super::dirs::{gone_or_stopped, shown_name};
use super::{changed, hold, is_same_file, top_generation};
use crate::clock::{Clock, Random};
use crate::crypt;
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::id::Id;
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{FileKind, Node, Place, Version};
use std::collections::{BTreeMap, BTreeSet};

/// Files of one size beyond which rule 3 is not tried: each pair of a new and a gone file of one size costs a reading of
/// the new one, since each id has keys of its own.
const PAIRS: u64 = 1024;

/// How many files of each size are gone and how many are new.
type Sizes = BTreeMap<u64, (u64, u64)>;

/// Gives every new file in `Scan` its id.
pub(super) fn resolve<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    let sizes = sizes(d)?;
    let mut claimed: BTreeSet<Place> = BTreeSet::new();
    if sizes.values().any(|(gone, _)| *gone > 0) {
        by_inode(d, &mut claimed)?;
    }
    let head_has_any = !d.state.rows(Table::Head, None, 1)?.is_empty();
    let mut dir: Option<(Id, Option<Id>)> = None;
    each_new(d, |d, row, v, seen| {
        // Rule 4: head has a file at this path.
        if head_has_any {
            if dir.is_none_or(|(id, _)| id != row.place.dir) {
                dir = Some((row.place.dir, head_dir(d, row.place.dir)?));
            }
            let there = match dir.and_then(|(_, head)| head) {
                Some(up) => d.state.get(Table::Head, &Place { dir: up, name: row.place.name.clone() })?,
                None => None,
            };
            if let Some(Node::File(h)) = there.as_ref().and_then(|r| r.here()) {
                let segment = if crypt::small::is_small(v.size) { 0 } else { h.segment };
                let new = Version { id: h.id, epoch: h.epoch, segment, generation: 0, ..v };
                return put(d, row, new, seen);
            }
        }
        let (gone, new) = sizes.get(&v.size).copied().unwrap_or_default();
        if v.size > 0
            && gone > 0
            && gone.saturating_mul(new) <= PAIRS
            && let Some(source) = by_content(d, &row, &v, &claimed)?
        {
            let Some(Node::File(old)) = source.here() else { return Ok(()) };
            let mut new = Version { id: old.id, epoch: old.epoch, segment: old.segment, ..v };
            new.generation = top_generation(&d.state, old.id)? + 1;
            claimed.insert(source.place.clone());
            return put(d, row, new, seen);
        }
        let mut id = Id::ROOT;
        while id == Id::ROOT {
            d.random.fill(&mut id.0)?; // Rule 5.
        }
        put(d, row, Version { id, ..v }, seen)
    })
}

/// Counts what is gone and what is new.
fn sizes<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Sizes> {
    let mut sizes = Sizes::new();
    each_row(&mut d.state, Table::Scan, |state, row| {
        match row.here() {
            Some(Node::File(v)) if v.id == Id::ROOT => sizes.entry(v.size).or_default().1 += 1,
            Some(Node::File(_)) => {}
            _ => {
                if let Some(Node::File(old)) = state.get(Table::Anc, &row.place)?.as_ref().and_then(|r| r.here()) {
                    sizes.entry(old.size).or_default().0 += 1;
                }
            }
        }
        Ok(())
    })?;
    Ok(sizes)
}

/// Calls `each` for every file of `Scan` that has no id yet.
fn each_new<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    mut each: impl FnMut(&mut Device<F, S, C, R>, Row, Version, Seen) -> Result<()>,
) -> Result<()> {
    let mut rows = Rows::of(Table::Scan);
    while let Some(row) = rows.next(&d.state)? {
        let (Some(Node::File(v)), Some(seen)) = (row.here().cloned(), row.seen.clone()) else { continue };
        if v.id == Id::ROOT {
            each(d, row, v, seen)?;
        }
    }
    Ok(())
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
    Stat { kind, size: seen.size, mode, mtime: seen.mtime, ctime: seen.ctime, ino: seen.ino, dev: 0, birth: seen.birth, taken: seen.size }
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
    claimed: &BTreeSet<Place>,
) -> Result<Option<Row>> {
    let mut sources: Vec<Row> = Vec::new();
    for source in d.state.by_size(Table::Anc, v.size)? {
        let Some(Node::File(old)) = source.here() else { continue };
        if old.kind == v.kind && !claimed.contains(&source.place) && is_gone(&d.state, &source.place)? && has_content(d, row, old)? {
            sources.push(source);
        }
    }
    let [source] = &sources[..] else { return Ok(None) };
    let Some(Node::File(old)) = source.here() else { return Ok(None) };
    for other in d.state.by_size(Table::Scan, v.size)? {
        let Some(Node::File(o)) = other.here() else { continue };
        if other.place != row.place && o.kind == v.kind && is_new(&d.state, &other, o)? && has_content(d, &other, old)? {
            return Ok(None);
        }
    }
    Ok(sources.pop())
}

/// True if a file of `Scan` is new to the ancestor, neither at its place (rule 1) nor known by its inode (rule 2).
fn is_new<S: State>(state: &S, row: &Row, v: &Version) -> Result<bool> {
    if state.get(Table::Anc, &row.place)?.is_some_and(|r| r.here().is_some_and(|n| !n.is_dir())) {
        return Ok(false);
    }
    Ok(v.id == Id::ROOT || v.generation == 0 || state.by_id(Table::Anc, v.id)?.is_empty())
}

/// True if a file of the share has the plaintext of a version. One that cannot be read has not.
fn has_content<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, row: &Row, old: &Version) -> Result<bool> {
    let Some(up) = Overlay::SCANNED.climb(&d.state, row.place.dir)? else { return Ok(false) };
    let read = || -> Result<[u8; 32]> {
        let mut dir = d.share.root();
        for up in &up {
            dir = d.share.open_dir(&dir, shown_name(up).as_bytes())?;
        }
        let name = shown_name(row).as_bytes();
        let mac = |r: &mut dyn std::io::Read| crypt::content_mac(&d.keys, &old.id, old.epoch, old.segment, old.size, r);
        if old.kind == FileKind::Link {
            return mac(&mut &d.share.readlink(&dir, name)?[..]);
        }
        mac(&mut d.share.open(&dir, name)?)
    };
    match read() {
        Ok(mac) => Ok(mac == old.mac),
        Err(e) => gone_or_stopped(e),
    }
}

/// Calls `each` for every place that is empty now and whose entry stands nowhere else.
fn each_deletion<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    mut each: impl FnMut(&mut S, &Place) -> Result<()>,
) -> Result<()> {
    each_row(&mut d.state, Table::Scan, |state, row| {
        if row.node != RowNode::Gone {
            return Ok(());
        }
        let Some(node) = state.get(Table::Anc, &row.place)?.and_then(|r| r.here().cloned()) else { return Ok(()) };
        for other in state.by_id(Table::Scan, node.id())? {
            // A file's id may stand at several places: only one that it did not have before is where it went.
            let had =
                || Ok::<_, Error>(state.get(Table::Anc, &other.place)?.is_some_and(|r| r.here().is_some_and(|n| n.id() == node.id())));
            if other.here().is_some() && !had()? {
                return Ok(());
            }
        }
        each(state, &row.place)
    })
}

/// True if something is gone that is not merely elsewhere.
pub(super) fn any_deletion<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<bool> {
    let mut any = false;
    each_deletion(d, |_, _| {
        any = true;
        Ok(())
    })?;
    Ok(any)
}

/// Where names kept changing: additions, edits and renames are believed, deletions are not.
pub(super) fn forget_deletions<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    each_deletion(d, |state, place| hold(state, place))
}
