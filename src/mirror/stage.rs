//! Sealing what changed in share: from rows of `Scan` to objects in packs.
//!
//! The scan says which places changed and what it could tell without reading; here the contents are read, once, and
//! sealed. What turns out to be unchanged falls back to a mere refresh of `seen`; what keeps changing while it is read
//! is left for the next round. Nothing that is written here counts before the commit point.

mod belt;
mod large;
mod room;
#[cfg(test)]
mod tests;

use super::Device;
use super::apply::seen_of;
use super::overlay::{Overlay, Rows, each_row};
use super::packs::Packs;
use super::scan::file_kind;
use super::{scan, sealed};
use crate::clock::{Clock, Random};
use crate::crypt::head::FileHead;
use crate::crypt::{self, small};
use crate::error::{Error, Result};
use crate::files::{Files, Open, Stat};
use crate::git::object::TreeBuilder;
use crate::git::{Type, limit};
use crate::id::{Id, Oid};
use crate::mirror::progress::Step;
use crate::path::{Name, RelPath};
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{FileKind, Node, Version};
use std::io::Read;

/// How often a file that changes while it is read is read again before it is left for the next round.
const TRIES: u32 = 3;

/// What became of a file's content.
enum Content {
    /// Sealed: this version stands in the packs.
    Sealed(Version, Seen),
    /// The plaintext is what the given version says; nothing had to be written.
    Same(Version, Seen),
    /// It keeps changing, or has vanished.
    Later,
    /// It cannot be read: its place counts as equal to the ancestor.
    Unreadable(Error),
}

/// Seals everything in `Scan` that is not sealed yet. After it every file in `Scan` has its content MAC, and its object
/// unless an equal one stands in head.
pub fn seal_changes<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, packs: &mut Packs<F>) -> Result<()> {
    let (mut buffers, mut room) = (Buffers::default(), room::Room::default());
    let mut dir: Option<(Id, F::Dir, RelPath)> = None;
    let mut rows = Rows::of(Table::Scan);
    d.settings.progress.expect(Step::Encrypting, || d.state.count(Table::Scan).map(|(files, _, bytes)| (files, bytes)))?;
    while let Some(row) = rows.next(&d.state)? {
        let (Some(Node::File(v)), Some(seen)) = (row.here(), &row.seen) else { continue };
        d.settings.progress.did(Step::Encrypting, 1, if small::is_small(v.size) { v.size } else { 0 });
        if v.oid != Oid::ZERO {
            continue;
        }
        if v.mac != [0; 32] {
            let source = resealed_from(d, v)?;
            let v = reseal(d, packs, v, &source)?;
            d.state.put(Table::Scan, &Row { node: RowNode::Here(Node::File(v)), ..row.clone() })?;
            continue;
        }
        if dir.as_ref().is_none_or(|(id, _, _)| *id != row.place.dir) {
            dir = open_scanned(d, row.place.dir)?;
        }
        let Some((_, at, path)) = &dir else {
            leave(d, &row)?;
            continue;
        };
        let on_disk = scan::shown_name(&row).clone();
        let (at, path) = (at.clone(), path.join(&row.place.name));
        if !room.takes(d, &path, v.size)? {
            scan::hold(&mut d.state, &row.place)?;
            continue;
        }
        match read_and_seal(d, packs, &mut buffers, &at, &on_disk, v, seen).map_err(|e| e.at(&path))? {
            Content::Sealed(v, seen) | Content::Same(v, seen) => {
                d.state.put(Table::Scan, &Row { node: RowNode::Here(Node::File(v)), seen: Some(seen), place: row.place })?
            }
            Content::Later => leave(d, &row)?,
            Content::Unreadable(e) => {
                d.report.problems.push(scan::unreadable(path, false, &e));
                scan::hold(&mut d.state, &row.place)?;
            }
        }
    }
    Ok(())
}

/// The directory of the share that the scan found under this id.
fn open_scanned<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, id: Id) -> Result<Option<(Id, F::Dir, RelPath)>> {
    let Some(up) = Overlay::SCANNED.climb(&d.state, id)? else { return Ok(None) };
    let (mut at, mut path) = (d.share.root(), RelPath::root());
    for row in up {
        path = path.join(&row.place.name);
        at = match d.share.open_dir(&at, scan::shown_name(&row).as_bytes()) {
            Ok(dir) => dir,
            Err(e) => {
                let e = Error::from(e);
                return if e.is_stopped() { Err(e) } else { Ok(None) };
            }
        };
    }
    Ok(Some((id, at, path)))
}

/// Leaves a file for the next round: its place counts as equal to the ancestor, and so does the place it came from.
fn leave<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, row: &Row) -> Result<()> {
    d.report.again = true;
    scan::hold(&mut d.state, &row.place)
}

/// Reusable memory: one segment of plaintext and one object.
#[derive(Default)]
struct Buffers {
    plain: Vec<u8>,
    object: Vec<u8>,
}

fn read_and_seal<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    buffers: &mut Buffers,
    at: &F::Dir,
    name: &Name,
    v: &Version,
    seen: &Seen,
) -> Result<Content> {
    let mut v = v.clone();
    let mut seen = seen.clone();
    for attempt in 0..TRIES {
        if attempt > 0 {
            let Some(now) = d.share.stat(at, name.as_bytes())? else { return Ok(Content::Later) };
            if file_kind(&now) != Some(v.kind) {
                return Ok(Content::Later);
            }
            seen = Seen { name: seen.name.clone(), ..seen_of(&now) };
            let mtime = seen.mtime.sealable();
            if v.mtime != mtime {
                v.mtime = mtime;
                v.writer = d.name.clone();
                v.offset = d.clock.offset_minutes(mtime);
            }
            v.size = seen.size;
            let traits = d.share.traits();
            if v.kind == FileKind::File {
                v.exec = if traits.exec_bit { seen.exec } else { v.exec };
                v.private = if traits.modes { seen.private } else { v.private };
            }
        }
        let result = match v.kind {
            FileKind::Link => seal_link(d, packs, buffers, at, name, &v)?,
            FileKind::File => seal_file(d, packs, buffers, at, name, &v, &seen)?,
        };
        match result {
            Reading::Changed => continue,
            Reading::Unreadable(e) if e.is_stopped() || e.kind() == crate::error::Kind::Full => return Err(e),
            Reading::Unreadable(e) => {
                // What has changed meanwhile is another matter.
                let now = d.share.stat(at, name.as_bytes());
                let same = matches!(now, Ok(Some(now)) if unchanged(&now, &seen) && file_kind(&now) == Some(v.kind));
                return Ok(if same { Content::Unreadable(e) } else { Content::Later });
            }
            Reading::Sealed(new) => return settle(d, new, seen),
        }
    }
    Ok(Content::Later)
}

/// One reading of one file.
enum Reading {
    Sealed(Version),
    Changed,
    Unreadable(Error),
}

/// Decides what a sealed version means beside what the ancestor and head have under its id.
fn settle<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, new: Version, seen: Seen) -> Result<Content> {
    for row in d.state.by_id(Table::Anc, new.id)? {
        let Some(Node::File(old)) = row.here() else { continue };
        let content = old.same_plaintext(&new) == Some(true);
        // Only inode or change time differed: what stands there is the ancestor's version.
        if content && old.mtime == new.mtime && old.exec == new.exec && old.private == new.private {
            return Ok(Content::Same(old.clone(), seen));
        }
    }
    Ok(if new.oid == Oid::ZERO { Content::Same(new, seen) } else { Content::Sealed(new, seen) })
}

fn seal_link<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    buffers: &mut Buffers,
    at: &F::Dir,
    name: &Name,
    v: &Version,
) -> Result<Reading> {
    let target = match d.share.readlink(at, name.as_bytes()) {
        Ok(t) => t,
        Err(e) => return Ok(Reading::Unreadable(e.into())),
    };
    if target.is_empty() || target.len() > 4095 {
        return Ok(Reading::Unreadable(Error::failed("a link's target must have 1 to 4095 bytes")));
    }
    if target.len() as u64 != v.size {
        return Ok(Reading::Changed);
    }
    let mut v = Version { segment: 0, ..v.clone() };
    seal_small(d, packs, &target, &mut buffers.object, &mut v)?;
    Ok(Reading::Sealed(v))
}

/// Seals one small object and adds it, unless head has this plaintext under this id already (a joining device's files:
/// MERGE 2).
fn seal_small<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    packs: &mut Packs<F>,
    plain: &[u8],
    object: &mut Vec<u8>,
    v: &mut Version,
) -> Result<()> {
    // Generation 0 is for the merge only: it says 'took head's id'.
    let mut head = FileHead::from_version(v);
    head.generation = head.generation.max(1);
    small::seal(&d.keys, &mut head, plain, object)?;
    v.mac = head.mac;
    if v.generation == 0 && in_head(d, v)? {
        return Ok(());
    }
    v.oid = packs.add(Type::Blob, object)?;
    Ok(())
}

fn in_head<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, v: &Version) -> Result<bool> {
    let rows = d.state.by_id(Table::Head, v.id)?;
    Ok(rows.iter().filter_map(|r| r.here()?.file()).any(|h| h.same_plaintext(v) == Some(true)))
}

fn seal_file<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    buffers: &mut Buffers,
    at: &F::Dir,
    name: &Name,
    v: &Version,
    seen: &Seen,
) -> Result<Reading> {
    let mut file = match d.share.open(at, name.as_bytes()) {
        Ok(f) => f,
        Err(e) => return Ok(Reading::Unreadable(e.into())),
    };
    if !unchanged(&file.stat()?, seen) {
        return Ok(Reading::Changed);
    }
    let mut v = v.clone();
    if small::is_small(v.size) {
        v.segment = 0;
        buffers.plain.clear();
        if let Err(e) = (&mut file).take(v.size + 1).read_to_end(&mut buffers.plain) {
            return Ok(Reading::Unreadable(e.into()));
        }
        if buffers.plain.len() as u64 != v.size || !unchanged(&file.stat()?, seen) {
            return Ok(Reading::Changed);
        }
        let Buffers { plain, object } = buffers;
        seal_small(d, packs, plain, object, &mut v)?;
        return Ok(Reading::Sealed(v));
    }
    if v.segment == 0 {
        v.segment = d.settings.segment;
    }
    if v.generation == 0 {
        v.mac = match crypt::content_mac(&d.keys, &v.id, v.epoch, v.segment, v.size, &mut (&mut file).take(v.size)) {
            Ok(mac) => mac,
            Err(e) => return Ok(Reading::Unreadable(e)),
        };
        if in_head(d, &v)? {
            return Ok(if unchanged(&file.stat()?, seen) { Reading::Sealed(v) } else { Reading::Changed });
        }
        file = match d.share.open(at, name.as_bytes()) {
            Ok(file) => file,
            Err(e) => return Ok(Reading::Unreadable(e.into())),
        };
    }
    large::seal(d, packs, buffers, file, v, seen)
}

/// The object whose content a version with a new file head takes over: that of the ancestor with this id and content.
fn resealed_from<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, v: &Version) -> Result<Oid> {
    for table in [Table::Anc, Table::Head] {
        for row in d.state.by_id(table, v.id)? {
            if let Some(Node::File(old)) = row.here()
                && old.same_plaintext(v) == Some(true)
                && old.oid != Oid::ZERO
            {
                return Ok(old.oid);
            }
        }
    }
    Err(Error::failed(format!("the version that file {} was made from is not known", v.id)))
}

/// Seals a new file head over content that stays (R-exec, R-generation, a changed mode). Gives the version with its
/// object.
pub fn reseal<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    packs: &mut Packs<F>,
    v: &Version,
    source: &Oid,
) -> Result<Version> {
    let mut v = v.clone();
    v.generation = v.generation.max(1);
    let head = FileHead::from_version(&v);
    if v.segment == 0 {
        let mut object = d.git.read(source, Type::Blob, limit::BLOB)?;
        small::reseal(&d.keys, &head, &mut object)?;
        v.oid = packs.add(Type::Blob, &object)?;
        return Ok(v);
    }
    let (old, _) = sealed::part(&d.git, source, b"head")?
        .ok_or_else(|| Error::integrity(crate::error::Class::Absent, format!("the part `head` of {source} is missing")))?;
    let mut object = d.git.read(&old, Type::Blob, limit::BLOB)?;
    crypt::large::reseal(&d.keys, &head, &mut object)?;
    let new = packs.add(Type::Blob, &object)?;
    let bytes = d.git.read(source, Type::Tree, limit::TREE)?;
    let mut tree = TreeBuilder::default();
    for entry in crate::git::object::entries(&bytes) {
        let entry = entry?;
        match (entry.is_tree(), entry.name == b"head") {
            (true, _) => tree.add_tree(entry.name, entry.oid)?,
            (false, true) => tree.add_blob(entry.name, new)?,
            (false, false) => tree.add_blob(entry.name, entry.oid)?,
        }
    }
    v.oid = packs.add(Type::Tree, &tree.finish()?)?;
    Ok(v)
}

/// True if a file is still what the scan saw: size, times and inode.
fn unchanged(s: &Stat, seen: &Seen) -> bool {
    s.size == seen.size && s.mtime == seen.mtime && s.ctime == seen.ctime && s.ino == seen.ino
}

/// Makes `Next` the differences of the scan against head, where ancestor and head hold the same tree: nothing has to be
/// merged. Gives the number of places that differ.
pub fn scan_is_next<S: State>(state: &mut S) -> Result<u64> {
    let mut n = 0;
    state.clear(Table::Next)?;
    each_row(state, Table::Scan, |state, row| {
        let head = state.get(Table::Head, &row.place)?;
        let differs = match (&row.node, head.as_ref().and_then(|h| h.here())) {
            (RowNode::Gone, None) => false,
            (RowNode::Here(Node::Dir { id, .. }), Some(Node::Dir { id: old, .. })) => id != old,
            (RowNode::Here(new), Some(old)) => new != old,
            _ => true,
        };
        if differs {
            n += 1;
            state.put(Table::Next, &Row { seen: None, ..row })?;
        }
        Ok(())
    })?;
    Ok(n)
}
