//! The share as it is now, as differences against the ancestor (MERGE 3).
//!
//! Two passes. [`list`] walks the disk, a directory at a time beside the ancestor's rows of it, gives directories their
//! ids ([`dirs`]), and notes in `Scan` what changed at a place and which places are empty now. [`files`] then finds
//! where the new files come from. What is unchanged leaves no row, so 100 000 unchanged files cost their `lstat` and a
//! walk along the table. If something is missing, all directories are looked at once more: what moves, meanwhile, from a
//! directory that is still to be listed into one that was, would be seen in neither.
//!
//! What the stage relies on, in a row of `Scan` that is a file:
//! - `oid` not zero: the ancestor's version as it is, at another place (a rename), or with a refreshed `seen`.
//! - `oid` zero and `mac` not zero: the content is the ancestor's; only the file head is sealed anew (a mode).
//! - `oid` zero and `mac` zero: the content must be read. If it is the ancestor's after all, and so are time and modes
//!   (only inode or change time differed), the row becomes the ancestor's version with a refreshed `seen`.
//! - `generation` 0: took the id that head has at this path (rule 4).
//! - `writer`, `offset`: this device's, wherever content or time may have changed.

mod dirs;
mod files;
mod hold;
mod list;
#[cfg(test)]
pub(crate) mod tests;
mod unsent;

pub(super) use dirs::shown_name;
pub use hold::hold;
pub use unsent::{row_at, unsent};

use super::{Device, Problem};
use crate::clock::{Clock, Random, Time};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::git::store::read_small;
use crate::id::{Id, Oid};
use crate::path::RelPath;
use crate::state::{Row, Seen, State, Table};
use crate::tree::{FileKind, Version};

/// Marks the share's root as this vault's; holds the vault id in hex; never synced.
pub const ROOT_FILE: &[u8] = b".sharelock-root";

/// How often the whole listing is done when a directory changes meanwhile.
const TRIES: u32 = 3;

/// What the scan met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Files and links.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// False if directories kept changing: deletions are left for the next round.
    pub stable: bool,
}

/// Scans the share into `Scan`.
///
/// Errors: a root without `.sharelock-root` or with another vault's (nothing is deduced from what is missing there);
/// the disk's and the database's. What concerns one path is reported, and the path counts as equal to the ancestor.
pub fn scan<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Scanned> {
    check_root(d)?;
    let notes = d.report.problems.len();
    let mut attempt = 1;
    loop {
        d.report.problems.truncate(notes);
        d.state.clear(Table::Scan)?;
        let (mut scanned, listed) = list::list(d)?;
        if scanned.stable || attempt == TRIES {
            files::resolve(d)?;
            if scanned.stable && files::any_deletion(d)? {
                scanned.stable = list::digest(d)? == listed;
            }
        }
        // A root that was taken away meanwhile emptied the listing.
        check_root(d)?;
        if scanned.stable {
            return Ok(scanned);
        }
        if attempt == TRIES {
            files::forget_deletions(d)?;
            d.report.again = true;
            return Ok(scanned);
        }
        attempt += 1;
    }
}

/// Writes the mark into the root of a new share.
pub fn mark_root<F: Files>(share: &F, vault: &Id) -> Result<()> {
    crate::git::store::write_atomic(share, &share.root(), ROOT_FILE, format!("{vault}\n").as_bytes())
}

/// Checks that the share's root is ours.
pub fn check_root<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<()> {
    let mark = read_small(&d.share, &d.share.root(), ROOT_FILE, 256)?;
    match mark {
        Some(mark) if mark.trim_ascii() == d.vault.to_string().as_bytes() => Ok(()),
        Some(mark) => {
            let an_id = mark.trim_ascii().len() == 32 && mark.trim_ascii().iter().all(u8::is_ascii_hexdigit);
            let what = match an_id {
                true => "the share belongs to another vault (its file .sharelock-root says so)",
                false => "the share's file .sharelock-root is damaged: it names no vault",
            };
            // Only a person knows which folder this is, so only a person says so.
            let command = format!("echo {} > ~/share/.sharelock-root", d.vault);
            Err(Error::failed(what).detail("nothing was changed, nothing counts as deleted").remedy("if it is this vault's share", command))
        }
        None => Err(Error::failed("the share is not there: its file .sharelock-root is missing (a disk that is not mounted?)")
            .detail("nothing was changed, nothing counts as deleted")),
    }
}

/// True if this user may not do that to a file.
pub(super) fn is_denied(e: &Error) -> bool {
    e.what().to_ascii_lowercase().contains("permission denied")
}

/// The report of a path that cannot be read.
pub fn unreadable(path: RelPath, is_dir: bool, e: &Error) -> Problem {
    let denied = is_denied(e);
    let remedy = format!("chmod u+r{} ~/share/{}", if is_dir { "x" } else { "" }, crate::path::shell_word(&path.to_string()));
    let why = if denied { "permission denied".into() } else { e.to_string() };
    Problem { path: Some(path), what: format!("can't be read: {why}"), remedy: denied.then_some(remedy), note: false }
}

/// A file's or link's kind; `None` for everything that is not followed.
pub(super) fn file_kind(s: &Stat) -> Option<FileKind> {
    match s.kind {
        Kind::File => Some(FileKind::File),
        Kind::Link => Some(FileKind::Link),
        _ => None,
    }
}

/// The version that a file of the ancestor has become; `None` if it is unchanged, attribute by attribute.
///
/// `seen` is what this disk showed of it last, `now` what it shows; `top` the greatest generation known for its id.
fn changed<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    old: &Version,
    seen: &Seen,
    now: &Stat,
    top: impl FnOnce() -> Result<u64>,
) -> Result<Option<Version>> {
    let Some(kind) = file_kind(now) else { return Ok(None) };
    let traits = d.share.traits();
    let fresh = kind != old.kind;
    // A bit that this disk cannot show stays as it was; a link's own bits say nothing.
    let bit = |can: bool, now: bool, seen: bool, old: bool| match can && (fresh || now != seen) {
        true => now,
        false => old && !fresh,
    };
    let file = kind == FileKind::File;
    let exec = file && bit(traits.exec_bit, now.exec(), seen.exec, old.exec);
    let private = file && bit(traits.modes, now.private(), seen.private, old.private);
    let same_content = !fresh && now.size == seen.size && now.mtime == seen.mtime && now.ino == seen.ino;
    let same_bits = exec == old.exec && private == old.private;
    if same_content && now.ctime == seen.ctime && same_bits {
        return Ok(None);
    }
    let mut v = Version { kind, exec, private, oid: Oid::ZERO, generation: top()? + 1, ..old.clone() };
    if same_content && !same_bits {
        return Ok(Some(v)); // A chmod: the change time says no more than that.
    }
    v.mac = [0; 32];
    v.size = now.size;
    if now.mtime != seen.mtime {
        v.mtime = now.mtime.sealable();
    }
    v.writer = d.name.clone();
    v.offset = d.clock.offset_minutes(v.mtime);
    Ok(Some(v))
}

/// The greatest generation that any entry with this id has in head or in the ancestor.
fn top_generation<S: State>(state: &S, id: Id) -> Result<u64> {
    let mut top = 0;
    for table in [Table::Anc, Table::Head] {
        for row in state.by_id(table, id)? {
            top = top.max(row.here().and_then(|n| n.file()).map_or(0, |v| v.generation));
        }
    }
    Ok(top)
}

/// True if a row of the ancestor is a file with this inode: number and, where there is one, birth time; without birth
/// time size and mtime stand in for it.
fn is_same_file(row: &Row, s: &Seen) -> bool {
    let Some(old) = row.seen.as_ref().filter(|_| row.here().is_some_and(|n| !n.is_dir())) else { return false };
    match (old.birth, s.birth) {
        (Some(a), Some(b)) => old.ino == s.ino && a == b,
        _ => old.ino == s.ino && old.size == s.size && old.mtime == s.mtime,
    }
}

/// What a row of the ancestor last showed. Where that is not known, something that fits nothing.
fn last_seen(row: &Row, now: &Seen) -> Seen {
    row.seen.clone().unwrap_or_else(|| Seen { ino: !now.ino, ctime: Time::default(), ..now.clone() })
}
