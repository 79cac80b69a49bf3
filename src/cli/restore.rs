//! `restore`: a file's version, a folder's state, or what was deleted, comes back. Nothing is overwritten that is not in
//! the history, and nothing that was added since is taken away.

use super::args::Restore;
use super::history::{Now, Numbered, after, all_deleted, head, of_file};
use super::names::{is_below, share_path};
use super::open::Vault;
use super::{voice, when};
use crate::clock::Time;
use crate::clock::system::System;
use crate::error::{Error, Kind, Result};
use crate::id::Oid;
use crate::mirror::commit::Commit;
use crate::mirror::restore::restore_version;
use crate::mirror::versions::{self, How};
use crate::mirror::{content, scan};
use crate::path::RelPath;
use crate::state::Table;
use crate::tree::{Node, Version};
use std::collections::BTreeSet;
use std::io::Write;

/// Which version.
enum At {
    Number(usize),
    /// The state at this second.
    Time(i64),
    /// The state of this commit.
    Commit(Oid),
}

/// Runs it.
pub fn run(v: Vault, a: &Restore) -> Result<u8> {
    let head = head(&v)?;
    let path = share_path(&v, &a.path)?;
    let there = scan::row_at(&v.device.state, Table::Head, &path)?;
    let is_dir = path.is_root() || there.as_ref().and_then(|r| r.here()).is_some_and(Node::is_dir);
    let commits = versions::commits(&v.device, &head)?;
    let at = a.at.as_deref().map(|at| parse(at, &commits)).transpose()?;
    let all = if is_dir { Vec::new() } else { of_file(&v.device, &head, &path)? };
    if !all.is_empty() {
        return file(v, a, &path, at.as_ref(), &all, there.is_some());
    }
    if a.to.is_some() {
        return Err(Error::new(Kind::Usage, format!("{path} is no file: --to takes the version of one file")));
    }
    match at {
        None => deleted(v, &head, &path, a.dry_run),
        Some(At::Number(_)) => Err(Error::new(Kind::Usage, format!("{path} is no file, and only files have numbered versions"))
            .detail("a folder comes back by a time (yesterday, 2026-03-01 14:05) or a commit")),
        Some(at) => folder(v, &path, &at, &commits, a.dry_run),
    }
}

/// A number of the log, a time, or a commit.
fn parse(text: &str, commits: &[(Oid, Commit)]) -> Result<At> {
    if text.len() < 7
        && let Ok(n) = text.parse()
    {
        return Ok(At::Number(n));
    }
    if let Some(t) = when::parse(text, &System) {
        return Ok(At::Time(t));
    }
    let hex = text.to_ascii_lowercase();
    let mut named = commits.iter().filter(|(oid, _)| hex.len() >= 6 && oid.to_string().starts_with(&hex));
    match (named.next(), named.next()) {
        (Some((oid, _)), None) => Ok(At::Commit(*oid)),
        _ => Err(Error::new(Kind::Usage, format!("--at {text:?} is no version"))
            .detail("it is a number of `sharelock log`, a commit, or a time: yesterday, '2 hours ago',")
            .detail("'2026-03-01 14:05', 2026-03-01T14:05:00Z")),
    }
}

fn file(mut v: Vault, a: &Restore, path: &RelPath, at: Option<&At>, all: &[Numbered], there: bool) -> Result<u8> {
    let kept: Vec<&Numbered> = all.iter().filter(|o| o.change.how != How::Deleted).collect();
    let wanted = match at {
        // What was deleted, else the version before.
        None if !there => kept.first().copied(),
        None => kept.iter().copied().skip_while(|o| o.now != Now::Current).skip(1).find(|o| o.now != Now::Copy),
        Some(At::Number(n)) => kept.iter().copied().find(|o| o.n == *n),
        Some(At::Time(t)) => kept.iter().copied().find(|o| o.time.s <= *t),
        Some(At::Commit(c)) => {
            let then: BTreeSet<Oid> = versions::commits(&v.device, c)?.into_iter().map(|(oid, _)| oid).collect();
            kept.iter().copied().find(|o| then.contains(&o.change.commit))
        }
    };
    let wanted = wanted.ok_or_else(|| {
        Error::new(Kind::Failed, format!("{path} has no such version"))
            .detail(format!("{path} was not changed"))
            .remedy("its versions", format!("sharelock log {}", voice::shell(path)))
    })?;
    let current = kept.iter().find(|o| o.now == Now::Current).or(kept.first()).map(|o| o.n);
    let version = wanted.version.clone();
    let (time, size) = (voice::time(wanted.time), voice::size(version.size));
    if let Some(to) = &a.to {
        let to = std::path::absolute(to)?;
        if a.dry_run {
            println!("{} would be {path} as of {time} ({size})", to.display());
            return Ok(0);
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(|e| Error::from(e).at(to.display()))?;
        let done = content::plaintext(&v.device.git, &v.device.keys, &version, &mut |b| Ok(file.write_all(b)?));
        if let Err(e) = done.and_then(|_| Ok(file.sync_all()?)) {
            // It is new, and half of a file is none.
            let _ = std::fs::remove_file(&to);
            return Err(e.at(to.display()));
        }
        println!("{} is {path} as of {time} ({size})", to.display());
        return Ok(0);
    }
    if !a.dry_run {
        restore_version(&mut v.device, path, &version)?;
    }
    let gone = all.first().filter(|o| !there && at.is_none() && o.change.how == How::Deleted);
    match (gone, a.dry_run) {
        (Some(gone), dry_run) => back(path, &gone.device, gone.time, 1, version.size, dry_run),
        (None, true) => println!("{path} would be the version of {time} again ({size})"),
        (None, false) => println!("{path} is the version of {time} again ({size})"),
    }
    if a.dry_run {
        return Ok(0);
    }
    if let Some(n) = current.filter(|_| there) {
        println!("the version that was there is number {n} in the log");
    }
    let mut nodes = v.nodes()?;
    after(v, &mut nodes)
}

fn back(path: &RelPath, device: &str, time: Time, files: u64, bytes: u64, dry_run: bool) {
    let verb = if dry_run { "would be" } else { "is" };
    println!("{path}, deleted on {device} {}, {verb} back: {}, {}", voice::ago(time), voice::files(files), voice::size(bytes));
}

/// What was deleted at or below a path.
fn deleted(v: Vault, head: &Oid, path: &RelPath, dry_run: bool) -> Result<u8> {
    let all = all_deleted(&v, head)?;
    let wanted: Vec<_> = all.into_iter().filter(|(p, _)| p == path || is_below(p, path)).collect();
    // The last deletion is what a person remembers.
    let Some((time, device)) = wanted.iter().map(|(_, (time, device, _))| (*time, device.clone())).max() else {
        return Err(Error::new(Kind::Failed, format!("nothing was deleted in {path}, or it was never in the vault"))
            .detail("nothing was changed")
            .remedy("what was deleted", "sharelock log --deleted"));
    };
    let mut files = Vec::new();
    for (p, (_, _, change)) in wanted {
        if let Some(version) = versions::version(&v.device, &change.item)? {
            files.push((p, version));
        }
    }
    let (n, bytes) = (files.len() as u64, files.iter().map(|(_, x)| x.size).sum());
    put(v, &files, dry_run, |dry_run| back(path, &device, time, n, bytes, dry_run))
}

/// A folder as it was: what is there now and was not then stays.
fn folder(v: Vault, path: &RelPath, at: &At, commits: &[(Oid, Commit)], dry_run: bool) -> Result<u8> {
    let state = match at {
        At::Commit(oid) => commits.iter().find(|(o, _)| o == oid),
        At::Time(t) => commits.iter().find(|(_, c)| c.details.time.s <= *t),
        At::Number(_) => None,
    };
    let then = match state {
        Some((_, c)) => versions::below(&v.device, &c.tree, path)?,
        None => Vec::new(),
    };
    let Some((_, c)) = state.filter(|_| !then.is_empty()) else {
        return Err(Error::new(Kind::Failed, format!("{path} had no files then"))
            .detail("nothing was changed")
            .remedy("what was deleted", "sharelock log --deleted"));
    };
    let mut files = Vec::new();
    for (p, item) in then {
        let now = scan::row_at(&v.device.state, Table::Head, &p)?;
        let same = now.as_ref().and_then(|r| r.here()).and_then(Node::file).is_some_and(|x| x.oid == item.oid && x.id == item.id);
        if let Some(version) = versions::version(&v.device, &item)?.filter(|_| !same) {
            files.push((p, version));
        }
    }
    let time = voice::time(c.details.time);
    if files.is_empty() {
        println!("{path} has all files of {time} as they were");
        return Ok(0);
    }
    let (n, bytes) = (files.len() as u64, files.iter().map(|(_, x)| x.size).sum());
    put(v, &files, dry_run, |dry_run| {
        let verb = if dry_run { "would have" } else { "has" };
        println!("{path} {verb} the files of {time} again: {}, {}", voice::files(n), voice::size(bytes));
    })
}

/// Writes files into the share and sends them; one that must not be overwritten holds up no other.
fn put(mut v: Vault, files: &[(RelPath, Version)], dry_run: bool, tell: impl Fn(bool)) -> Result<u8> {
    let mut failed = None;
    for (path, version) in files.iter().filter(|_| !dry_run) {
        match restore_version(&mut v.device, path, version) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), Kind::Decision | Kind::Raced | Kind::Integrity(_)) => {
                voice::error(&e);
                failed = Some(e.exit_code());
            }
            Err(e) => return Err(e),
        }
    }
    if failed.is_none() {
        tell(dry_run);
    }
    if dry_run {
        for (path, version) in files.iter().take(5) {
            println!("  {path}   {}", voice::size(version.size));
        }
        if files.len() > 5 {
            println!("  and {} more", voice::count(files.len() as u64 - 5));
        }
        return Ok(0);
    }
    let mut nodes = v.nodes()?;
    let sent = after(v, &mut nodes)?;
    Ok(failed.unwrap_or(sent))
}
