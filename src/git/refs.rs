//! Refs: loose files and `packed-refs`, changed by compare-and-swap (gitrepository-layout(5), git-pack-refs(1)).
//!
//! A lock is git's own `NAME.lock`, held while the new value is written under another name and renamed into place. So a
//! lock that a crash of ours leaves is always empty, and can be told from git's and removed. Ours is locked for the kernel,
//! too (flock(2)), which ends with the process: so whoever needs it next need not wait until it is old.

use super::RefUpdate;
use super::store::{Store, create_anew, ensure_dir, read_small, write_atomic};
use crate::error::{Class, Error, Kind, Result};
use crate::files::{Files, Open};
use crate::id::Oid;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};

/// What a ref must be before it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// Not there.
    Absent,
    /// Exactly this.
    Is(Oid),
}

/// A change to one ref.
struct Change<'a> {
    name: &'a str,
    expect: Expect,
    new: Option<Oid>,
}

/// What follows a ref's name in that of its temporary.
const TEMPORARY: &[u8] = b".sharelock-tmp.lock";

const LIMIT: u64 = 4096;
const PACKED_LIMIT: u64 = 64 << 20;

/// True for a name that git-check-ref-format(1) takes, at least two levels deep, in the subset that we use and accept.
pub fn valid_name(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 240
        && name.split('/').count() >= 3
        && name.split('/').all(|c| !c.is_empty() && !c.starts_with('.') && !c.ends_with(".lock") && !c.contains(".."))
        && name.bytes().all(|c| c > b' ' && c < 0x7f && !b"~^:?*[\\".contains(&c))
        && !name.ends_with('.')
        && !name.contains("@{")
}

impl<F: Files> Store<F> {
    /// The value of a ref; `None` if it is not there.
    pub fn get_ref(&self, name: &str) -> Result<Option<Oid>> {
        self.check(name)?;
        if let Some((dir, leaf)) = self.ref_dir(name, false)?
            && let Some(text) = self.loose_ref(&dir, leaf)?
        {
            return parse(&text, name).map(Some);
        }
        Ok(self.packed()?.get(name).copied())
    }

    /// All refs whose name begins with `prefix`, by name.
    pub fn refs(&self, prefix: &str) -> Result<BTreeMap<String, Oid>> {
        let mut out: BTreeMap<String, Oid> = self.packed()?.into_iter().filter(|(n, _)| n.starts_with(prefix)).collect();
        let mut todo = vec![("refs".to_string(), self.files.open_dir(&self.dir, b"refs")?)];
        while let Some((path, dir)) = todo.pop() {
            for (name, _) in self.files.list(&dir)? {
                let Ok(leaf) = std::str::from_utf8(&name) else { continue };
                let full = format!("{path}/{leaf}");
                if !full.starts_with(prefix) && !prefix.starts_with(&full) {
                    continue;
                }
                match self.files.stat(&dir, &name)? {
                    Some(s) if s.kind == crate::files::Kind::Dir => todo.push((full, self.files.open_dir(&dir, &name)?)),
                    Some(s) if s.kind == crate::files::Kind::File && valid_name(&full) && full.starts_with(prefix) => {
                        if let Some(text) = self.loose_ref(&dir, &name)? {
                            out.insert(full.clone(), parse(&text, &full)?);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(out)
    }

    /// Sets (or with `None` deletes) a ref, durably, if it is as expected. Errors: [`Kind::Raced`] if it is not, or if
    /// somebody else holds its lock.
    pub fn set_ref(&self, name: &str, expect: Expect, new: Option<Oid>) -> Result<()> {
        self.change(&[Change { name, expect, new }])
    }

    /// Makes all of these changes or none, as git does: all locks are taken, then all refs compared, then all moved.
    ///
    /// Errors: as [`Store::set_ref`], and nothing has moved; of a disk that fails in the middle, with what has moved.
    pub fn set_refs(&self, updates: &[RefUpdate]) -> Result<()> {
        let expect = |old: Option<Oid>| old.map_or(Expect::Absent, Expect::Is);
        let changes: Vec<_> = updates.iter().map(|u| Change { name: &u.name, expect: expect(u.old), new: u.new }).collect();
        self.change(&changes)
    }

    fn change(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut places = Vec::new();
        for c in changes {
            self.check(c.name)?;
            let now = match self.get_ref(c.name) {
                // What takes the place of anything takes that of damage, too.
                Err(e) if c.expect == Expect::Any && e.kind() == Kind::Integrity(Class::Form) => None,
                now => Some(now?),
            };
            if now == Some(c.new) && c.expect == Expect::Any {
                continue;
            }
            match self.ref_dir(c.name, c.new.is_some() || now != Some(None))? {
                Some((dir, leaf)) => places.push((c, dir, leaf, [leaf, b".lock"].concat())),
                None if matches!(c.expect, Expect::Is(_)) => return Err(raced(c.name)),
                None => {}
            }
        }
        let locks: Vec<_> = places.iter().map(|(_, dir, _, lock)| (dir, &lock[..])).collect();
        self.all_locked(&locks, &mut || {
            for (c, ..) in &places {
                let fits = match c.expect {
                    Expect::Any => true,
                    Expect::Absent => self.get_ref(c.name)?.is_none(),
                    Expect::Is(oid) => self.get_ref(c.name)? == Some(oid),
                };
                if !fits {
                    return Err(raced(c.name));
                }
            }
            for (c, dir, leaf, _) in &places {
                if let Some(oid) = c.new {
                    // No ref can have a name that ends so: what a crash leaves is no ref, here and for git.
                    let mut file = create_anew(&self.files, dir, &[leaf, TEMPORARY].concat())?;
                    file.write_all(format!("{oid}\n").as_bytes())?;
                    file.sync()?;
                }
            }
            for (n, (c, dir, leaf, _)) in places.iter().enumerate() {
                self.move_ref(c, dir, leaf).map_err(|e| match n {
                    0 => e,
                    _ => e.detail(format!("{n} of {} refs had been moved by then, {} was not", places.len(), c.name)),
                })?;
            }
            Ok(())
        })
    }

    fn move_ref(&self, c: &Change<'_>, dir: &F::Dir, leaf: &[u8]) -> Result<()> {
        match c.new {
            Some(_) => self.files.rename(dir, &[leaf, TEMPORARY].concat(), dir, leaf)?,
            None => {
                self.unpack(c.name)?;
                self.unlink_if_there(dir, leaf)?;
            }
        }
        Ok(self.files.sync_dir(dir)?)
    }

    fn all_locked(&self, locks: &[(&F::Dir, &[u8])], act: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match locks.split_first() {
            Some(((dir, lock), rest)) => self.ref_locked(dir, lock, || self.all_locked(rest, act)),
            None => act(),
        }
    }

    /// Does something under git's lock of this name. Errors: [`Kind::Raced`] if somebody else holds it.
    pub(super) fn locked<T>(&self, dir: &F::Dir, lock: &[u8], act: impl FnOnce() -> Result<T>) -> Result<T> {
        let file = self.files.create(dir, lock, 0o666);
        file.map_err(|e| if e.kind() == ErrorKind::AlreadyExists { held(lock) } else { e.into() })?;
        self.unlocked_after(dir, lock, act())
    }

    /// Nothing more is done to a disk after a crash.
    fn unlocked_after<T>(&self, dir: &F::Dir, lock: &[u8], done: Result<T>) -> Result<T> {
        if !matches!(&done, Err(e) if e.is_stopped()) {
            self.files.unlink(dir, lock)?;
        }
        done
    }

    /// The same for the lock of a ref, which git fills as soon as it has it: an empty one that is locked for no process was
    /// left by one of ours. (Of an index git holds an empty lock for as long as it reads files.)
    fn ref_locked<T>(&self, dir: &F::Dir, lock: &[u8], act: impl FnOnce() -> Result<T>) -> Result<T> {
        let file = match self.files.create(dir, lock, 0o666) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.remove_abandoned(dir, lock)? => self.files.create(dir, lock, 0o666),
            other => other,
        };
        let file = file.map_err(|e| if e.kind() == ErrorKind::AlreadyExists { held(lock) } else { e.into() })?;
        // Somebody takes it for abandoned at this moment, and removes it.
        if matches!(file.try_lock(), Ok(false)) || !self.is_at(dir, lock, &file)? {
            return Err(held(lock));
        }
        self.unlocked_after(dir, lock, act())
    }

    /// Removes a lock that a killed process of ours has left: empty, and nobody has it locked. `true` if it is gone.
    fn remove_abandoned(&self, dir: &F::Dir, lock: &[u8]) -> Result<bool> {
        let file = match self.files.open(dir, lock) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(true),
            other => other?,
        };
        if file.stat()?.size != 0 || !matches!(file.try_lock(), Ok(true)) {
            return Ok(false);
        }
        // Else it is another one by now.
        if self.is_at(dir, lock, &file)? {
            self.unlink_if_there(dir, lock)?;
        }
        Ok(true)
    }

    fn is_at(&self, dir: &F::Dir, name: &[u8], file: &F::File) -> Result<bool> {
        let ino = file.stat()?.ino;
        Ok(self.files.stat(dir, name)?.is_some_and(|s| s.ino == ino))
    }

    /// What HEAD says: the name of a branch, or `None` if it is detached.
    pub fn head(&self) -> Result<Option<String>> {
        let text = read_small(&self.files, &self.dir, b"HEAD", LIMIT)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(text.strip_prefix("ref:").map(|n| n.trim().to_string()))
    }

    /// Points HEAD at a branch.
    pub fn set_head(&self, branch: &str) -> Result<()> {
        write_atomic(&self.files, &self.dir, b"HEAD", format!("ref: {branch}\n").as_bytes())
    }

    fn check(&self, name: &str) -> Result<()> {
        match valid_name(name) {
            true => Ok(()),
            false => {
                Err(Error::integrity(Class::Form, format!("a ref of this name cannot be: {}", crate::path::printable(name.as_bytes()))))
            }
        }
    }

    /// The directory of a ref's file and its last name.
    fn ref_dir<'n>(&self, name: &'n str, make: bool) -> Result<Option<(F::Dir, &'n [u8])>> {
        let (path, leaf) = name.rsplit_once('/').ok_or_else(|| raced(name))?;
        let mut dir = self.dir.clone();
        for part in path.split('/') {
            let next = if make { ensure_dir(&self.files, &dir, part.as_bytes()) } else { self.files.open_dir(&dir, part.as_bytes()) };
            dir = match next {
                Ok(d) => d,
                Err(e) if !make && matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
                Err(e) => return Err(e.into()),
            };
        }
        Ok(Some((dir, leaf.as_bytes())))
    }

    fn loose_ref(&self, dir: &F::Dir, leaf: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.files.stat(dir, leaf)? {
            Some(s) if s.kind == crate::files::Kind::File => read_small(&self.files, dir, leaf, LIMIT),
            _ => Ok(None),
        }
    }

    fn packed(&self) -> Result<BTreeMap<String, Oid>> {
        let text = read_small(&self.files, &self.dir, b"packed-refs", PACKED_LIMIT)?.unwrap_or_default();
        let mut out = BTreeMap::new();
        for line in text.split(|c| *c == b'\n') {
            if line.is_empty() || line[0] == b'#' || line[0] == b'^' {
                continue;
            }
            let (oid, rest) = line.split_at_checked(40).unwrap_or_default();
            let (Some(oid), Some(name)) = (Oid::from_hex(oid), rest.strip_prefix(b" ")) else {
                return Err(Error::integrity(Class::Form, "packed-refs: a line that is no ref"));
            };
            // As with loose ones: a name that is not ours to use is not listed, for nobody could ask for it.
            if let Some(name) = std::str::from_utf8(name).ok().filter(|n| valid_name(n)) {
                out.insert(name.to_string(), oid);
            }
        }
        Ok(out)
    }

    /// Removes a ref from `packed-refs`.
    fn unpack(&self, name: &str) -> Result<()> {
        if !self.packed()?.contains_key(name) {
            return Ok(());
        }
        // Read anew under the lock: git may have packed more refs, and removed their files.
        self.locked(&self.dir, b"packed-refs.lock", || {
            let text = read_small(&self.files, &self.dir, b"packed-refs", PACKED_LIMIT)?.unwrap_or_default();
            let mut out = Vec::with_capacity(text.len());
            let mut dropped = false;
            for line in text.split_inclusive(|c| *c == b'\n') {
                let this = line.get(41..).is_some_and(|n| n.trim_ascii_end() == name.as_bytes());
                dropped = this || (dropped && line[0] == b'^');
                if !dropped {
                    out.extend_from_slice(line);
                }
            }
            write_atomic(&self.files, &self.dir, b"packed-refs", &out)
        })
    }

    /// Removes empty lock files (ours, left by a crash) and their temporaries; with a time, only those that are older.
    pub(super) fn tidy_locks(&self, before: Option<i64>) -> Result<()> {
        let mut todo = vec![self.files.open_dir(&self.dir, b"refs")?];
        let mut first = Some(self.dir.clone());
        while let Some((dir, deep)) = first.take().map(|d| (d, false)).or_else(|| todo.pop().map(|d| (d, true))) {
            for (name, _) in self.files.list(&dir)? {
                let Some(stat) = self.files.stat(&dir, &name)? else { continue };
                let temporary = name.ends_with(b".sharelock-tmp") || name.ends_with(TEMPORARY);
                let ours = (name.ends_with(b".lock") && stat.size == 0) || temporary;
                match stat.kind {
                    crate::files::Kind::Dir if deep => todo.push(self.files.open_dir(&dir, &name)?),
                    crate::files::Kind::File if ours && before.is_none_or(|t| stat.mtime.s < t) => self.unlink_if_there(&dir, &name)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn parse(text: &[u8], name: &str) -> Result<Oid> {
    Oid::from_hex(text.trim_ascii_end()).ok_or_else(|| Error::integrity(Class::Form, format!("{name}: its file holds no object id")))
}

fn held(lock: &[u8]) -> Error {
    Error::new(Kind::Raced, format!("{} is held by another git", crate::path::printable(lock)))
}

fn raced(name: &str) -> Error {
    Error::new(Kind::Raced, format!("{name} was changed by somebody else"))
}
