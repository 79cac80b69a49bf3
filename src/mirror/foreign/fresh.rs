//! What stands in secure without a seal: whether it is newer than what is known, and where head's entries stand.

use super::super::Device;
use super::super::commit::entry_name;
use super::super::overlay::Overlay;
use super::super::secure::blob_at;
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::id::Id;
use crate::state::{State, Table};
use crate::tree::{Node, Place, Version};

/// FORMAT 10: a changed file must have a generation above every one that this device knows for its id; a known id may
/// stand at a new entry only if an entry at which it stood is gone, with a generation that is not smaller.
pub(super) fn fresh<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, v: &Version, same_entry: bool) -> Result<bool> {
    let mut known: Vec<(Table, Place, u64)> = Vec::new();
    for table in [Table::Head, Table::Anc] {
        for row in d.state.by_id(table, v.id)? {
            if let Some(f) = row.here().and_then(Node::file) {
                known.push((table, row.place.clone(), f.generation));
            }
        }
    }
    let top = known.iter().map(|k| k.2).max().unwrap_or(0);
    if known.is_empty() || (same_entry && v.generation > top) {
        return Ok(true);
    }
    if same_entry || v.generation < top {
        return Ok(false);
    }
    for (table, place, _) in known {
        if table == Table::Head {
            let row = d.state.get(Table::Head, &place)?;
            let Some(node) = row.as_ref().and_then(|r| r.here()) else { continue };
            if !stands(d, &place, node)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// True if head has this very object of the file at another entry, and its bytes stand there in secure: read, not only
/// listed, since the caller removes the ones at hand.
pub(super) fn stands_elsewhere<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, v: &Version) -> Result<bool> {
    for row in d.state.by_id(Table::Head, v.id)? {
        if let Some(node) = row.here()
            && node.file().is_some_and(|f| f.oid == v.oid)
            && let Some(dir) = open_dir_of(d, &row.place)?
            && blob_at(&d.secure, &dir, entry_name(&d.keys, &row.place, node).entry.as_bytes())? == Some(v.oid)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if an entry of head is in secure.
fn stands<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, place: &Place, node: &Node) -> Result<bool> {
    let Some(dir) = open_dir_of(d, place)? else { return Ok(false) };
    Ok(d.secure.stat(&dir, entry_name(&d.keys, place, node).entry.as_bytes())?.is_some())
}

/// The directory of secure in which head's entry for a place belongs, if it is there.
fn open_dir_of<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, place: &Place) -> Result<Option<F::Dir>> {
    let Some(up) = Overlay::HEAD.climb(&d.state, place.dir)? else { return Ok(None) };
    let mut dir = d.secure.root();
    for row in up {
        let Some(node) = row.here() else { return Ok(None) };
        match d.secure.open_dir(&dir, entry_name(&d.keys, &row.place, node).entry.as_bytes()) {
            Ok(inner) => dir = inner,
            Err(e) => {
                let e = Error::from(e);
                return if e.is_stopped() { Err(e) } else { Ok(None) };
            }
        }
    }
    Ok(Some(dir))
}

/// True if the entry that head has for a directory is in secure.
pub(super) fn head_place_stands<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, id: &Id) -> Result<bool> {
    match Overlay::HEAD.dir(&d.state, *id)? {
        Some(row) => row.here().map_or(Ok(false), |node| stands(d, &row.place, node)),
        None => Ok(false),
    }
}
