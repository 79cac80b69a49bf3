//! Files and links written: a temporary beside the target, made durable, then put in its place.

use super::check::{clean, same_but_ctime, seen_of};
use super::{BATCH, BATCH_BYTES, SWEPT, Work};
use crate::clock::{Clock, Random};
use crate::crypt::VaultKeys;
use crate::error::{Class, Error, Kind, Result};
use crate::files::{Files, Open, Stat};
use crate::git::store::Store;
use crate::mirror::overlay::Overlay;
use crate::mirror::progress::Step;
use crate::mirror::{Problem, content};
use crate::path::Name;
use crate::state::{Intent, Row, RowNode, Seen, State};
use crate::tree::planted::{self, Mistake};
use crate::tree::{FileKind, Node, Place, Version};
use std::io::{ErrorKind, Write};

/// How the names of our temporaries begin; 16 hex digits follow. Ignored everywhere.
pub(super) const PREFIX: &[u8] = b".sharelock-tmp-";

/// The name of a temporary of ours.
pub(super) fn temporary_name(number: u64) -> Name {
    let mut name = PREFIX.to_vec();
    name.extend_from_slice(format!("{number:016x}").as_bytes());
    Name::new(name).expect("31 bytes without a slash")
}

/// Longest target of a link that is taken: PATH_MAX of the systems that we know, and some room.
const TARGET: u64 = 65_536;

/// True for the name of a temporary of ours.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|hex| hex.len() == 16 && hex.iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c)))
}

/// A temporary that is written, to be put in its place.
pub(super) struct Staged {
    temporary: Name,
    /// What the ancestor says of the place now.
    old: Option<Row>,
    /// What it will say; `seen` is the temporary file's own.
    new: Row,
}

/// Writes a version into a temporary beside its target: content, then time. The mode is the final one from the first
/// moment, so a private file is never readable by others, and the umask is the system's own. Nothing is left behind if
/// it fails.
pub(crate) fn temporary<F: Files>(
    files: &F,
    git: &Store<F>,
    keys: &VaultKeys,
    random: &mut impl Random,
    dir: &F::Dir,
    v: &Version,
) -> Result<(Name, Stat)> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes)?;
    let name = temporary_name(u64::from_be_bytes(bytes));
    let written = match v.kind {
        FileKind::File => write_file(files, git, keys, dir, name.as_bytes(), v),
        FileKind::Link => write_link(files, git, keys, dir, name.as_bytes(), v),
    };
    match written {
        Ok(stat) => Ok((name, stat)),
        Err(e) if e.is_stopped() => Err(e),
        Err(e) => {
            // The first failure is the one to tell; a rest is found as litter.
            let _ = files.unlink(dir, name.as_bytes());
            Err(e)
        }
    }
}

fn write_file<F: Files>(files: &F, git: &Store<F>, keys: &VaultKeys, dir: &F::Dir, name: &[u8], v: &Version) -> Result<Stat> {
    let mode = match (v.exec, v.private) {
        (false, false) => 0o666,
        (true, false) => 0o777,
        (false, true) => 0o600,
        (true, true) => 0o700,
    };
    let mut file = files.create(dir, name, mode)?;
    content::plaintext(git, keys, v, &mut |bytes| Ok(file.write_all(bytes)?))?;
    file.flush()?;
    file.set_mtime(v.mtime)?;
    if cfg!(target_os = "macos") {
        file.sync()?; // There `sync_all` is not enough.
    }
    Ok(file.stat()?)
}

fn write_link<F: Files>(files: &F, git: &Store<F>, keys: &VaultKeys, dir: &F::Dir, name: &[u8], v: &Version) -> Result<Stat> {
    if !files.traits().links {
        return Err(Error::failed("this disk has no symbolic links"));
    }
    let target = target(git, keys, v)?;
    files.symlink(&target, dir, name)?;
    files.set_link_mtime(dir, name, v.mtime)?;
    files.stat(dir, name)?.ok_or_else(|| Error::new(Kind::Raced, "a temporary link has gone"))
}

/// The target of a link.
fn target<F: Files>(git: &Store<F>, keys: &VaultKeys, v: &Version) -> Result<Vec<u8>> {
    let refuse = |class, what| Err(Error::integrity(class, what));
    if v.size > TARGET {
        return refuse(Class::Limit, "a link with a target that is too long");
    }
    let mut all = Vec::new();
    content::plaintext(git, keys, v, &mut |bytes| {
        all.extend_from_slice(bytes);
        Ok(())
    })?;
    match all.is_empty() {
        true => refuse(Class::Form, "a link without a target"),
        false => Ok(all),
    }
}

/// Removes what stands at a temporary's name if it is what `expected` says (but for the change time). Anything else is
/// somebody's data, and is given a name that is seen: `NAME (saved N)`. Gives that name.
pub(crate) fn discard<F: Files>(files: &F, dir: &F::Dir, temporary: &Name, name: &Name, expected: &[&Seen]) -> Result<Option<Name>> {
    let Some(stat) = files.stat(dir, temporary.as_bytes())? else { return Ok(None) };
    if expected.iter().any(|seen| same_but_ctime(&stat, seen)) {
        files.unlink(dir, temporary.as_bytes())?;
        return Ok(None);
    }
    for n in 1..=u32::MAX {
        let tail = format!(" (saved {n})");
        let mut bytes = name.as_bytes().to_vec();
        bytes.truncate(255 - tail.len());
        while std::str::from_utf8(name.as_bytes()).is_ok() && std::str::from_utf8(&bytes).is_err() {
            bytes.pop();
        }
        bytes.extend_from_slice(tail.as_bytes());
        let saved = Name::new(bytes).expect("at most 255 bytes, made of a name");
        match files.rename_noreplace(dir, temporary.as_bytes(), dir, saved.as_bytes()) {
            Ok(()) => return Ok(Some(saved)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(Error::failed(format!("{name}: no name is free to save it")))
}

impl<F: Files, S: State, C: Clock, R: Random> Work<'_, F, S, C, R> {
    /// Writes a version beside its target; [`Work::flush`] puts it in place. `old` is the ancestor's row.
    pub(super) fn stage(&mut self, place: &Place, v: &Version, old: Option<Row>) -> Result<()> {
        let open = self.open(place.dir);
        let Some(Some(at)) = self.tolerate(place, open)? else { return Ok(()) };
        if let Some(row) = &old {
            // Asked again before the rename; asked now so that nothing is decrypted in vain.
            if !planted::is(Mistake::NoRecheck) && self.tolerate(place, clean(&self.d.share.clone(), &at, row))? != Some(true) {
                self.leave();
                return Ok(());
            }
        }
        if !self.room(place, v.size)? {
            return Ok(());
        }
        if self.flag()? {
            self.commit()?;
        }
        let written = temporary(&self.d.share, &self.d.git, &self.d.keys, &mut self.d.random, &at, v);
        let Some((temporary, stat)) = self.tolerate(place, written)? else { return Ok(()) };
        let new = Row { place: place.clone(), node: RowNode::Here(Node::File(v.clone())), seen: Some(seen_of(&stat)) };
        self.staged.push(Staged { temporary, old, new });
        self.staged_bytes = self.staged_bytes.saturating_add(v.size);
        self.d.settings.progress.did(Step::Decrypting, 1, v.size);
        match self.staged.len() >= BATCH || self.staged_bytes >= BATCH_BYTES {
            true => self.flush_staged(),
            false => Ok(()),
        }
    }

    /// From here on there may be temporaries of ours, whatever happens: notes that, if it is not noted, with the next
    /// commit.
    pub(super) fn flag(&mut self) -> Result<bool> {
        let new = !std::mem::replace(&mut self.flagged, true);
        if new {
            self.d.state.set_value(SWEPT, None)?;
        }
        Ok(new)
    }

    /// One sync, the intents, the renames, the directories, the rows.
    pub(super) fn flush_staged(&mut self) -> Result<()> {
        let staged = std::mem::take(&mut self.staged);
        self.staged_bytes = 0;
        self.free = None;
        if staged.is_empty() {
            return Ok(());
        }
        self.d.share.sync_all()?;
        let mut numbers = Vec::with_capacity(staged.len());
        if !planted::is(Mistake::NoIntents) {
            for s in &staged {
                let temporary = Place { dir: s.new.place.dir, name: s.temporary.clone() };
                numbers.push(self.d.state.add_intent(&Intent::Put { temporary, row: s.new.clone() })?);
            }
        }
        self.commit()?;
        let mut numbers = numbers.into_iter();
        for s in staged {
            let (place, number) = (s.new.place.clone(), numbers.next());
            let put = self.put_in_place(s);
            match self.tolerate(&place, put)? {
                Some(Some(row)) => {
                    self.put(&row)?;
                    self.done += 1;
                }
                Some(None) => {}
                // How far it came is not known, and the temporary may hold what the user wrote meanwhile: the intent
                // stays, and the next round settles it.
                None => continue,
            }
            if let Some(n) = number {
                self.d.state.remove_intent(n)?;
            }
        }
        self.commit()?;
        // Only now: a temporary that has gone while its intent stands was put in its place.
        for (at, temporary) in std::mem::take(&mut self.unwanted) {
            match self.d.share.unlink(&at, temporary.as_bytes()).map_err(Error::from) {
                Err(e) if e.is_stopped() => return Err(e),
                Err(_) => self.litter = true, // It is swept when that can be done.
                Ok(()) => self.touched(&at),
            }
        }
        Ok(())
    }

    /// Rechecks and renames one temporary; the row to set, or `None` if the place is not as expected and the temporary is
    /// not wanted any more.
    fn put_in_place(&mut self, s: Staged) -> Result<Option<Row>> {
        let Staged { temporary, old, new: mut row } = s;
        let Some(at) = self.open(row.place.dir)? else {
            self.litter = true; // The directory was moved or removed by others, with the temporary in it.
            self.leave();
            return Ok(None);
        };
        self.touched(&at);
        let files = self.d.share.clone();
        let name = row.place.name.clone();
        let seen = row.seen.clone().expect("set when it was staged");
        let put = match &old {
            None => match files.rename_noreplace(&at, temporary.as_bytes(), &at, name.as_bytes()) {
                Ok(()) => Ok(true),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(e.into()),
            },
            Some(old) => self.replace_by(&at, &temporary, old),
        };
        if !matches!(put, Ok(true)) {
            if put.as_ref().is_err_and(Error::is_stopped) {
                return put.map(|_| None);
            }
            self.leave();
            match files.stat(&at, temporary.as_bytes())? {
                Some(s) if same_but_ctime(&s, &seen) => self.unwanted.push((at, temporary)),
                _ => {
                    if let Some(saved) = discard(&files, &at, &temporary, &name, &[])? {
                        self.saved(&row.place, &saved)?;
                    }
                }
            }
            return self.tolerate(&row.place, put).map(|_| None);
        }
        // `seen` stays the temporary's own: the user may have written by now. Our rename has set the change time, and
        // only that is taken over, if nothing else has changed.
        let now = files.stat(&at, name.as_bytes())?;
        let shown = self.read_back(&at, &row.place)?;
        if let (Some(stat), Some(seen)) = (&now, &mut row.seen) {
            if planted::is(Mistake::LateStat) {
                *seen = seen_of(stat);
            } else if same_but_ctime(stat, seen) {
                seen.ctime = stat.ctime;
            }
            seen.name = shown;
        }
        Ok(Some(row))
    }

    /// Replaces what stands at a place by a temporary; `false` if it is not what the ancestor says.
    fn replace_by(&mut self, at: &F::Dir, temporary: &Name, old: &Row) -> Result<bool> {
        let files = self.d.share.clone();
        let (tmp, name) = (temporary.as_bytes(), old.place.name.as_bytes());
        let blind = planted::is(Mistake::NoRecheck);
        if !blind && !clean(&files, at, old)? {
            return Ok(false);
        }
        if files.traits().exchange {
            match files.exchange(at, tmp, at, name) {
                Ok(()) => return self.check_exchanged(at, temporary, old, blind),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Unsupported => {}
                Err(e) => return Err(e.into()),
            }
        }
        // RACE: without an exchange call, what the user writes between the recheck above and this rename (microseconds)
        // is lost.
        files.rename(at, tmp, at, name)?;
        Ok(true)
    }

    /// What came out of an exchange must be what the ancestor says; else it is exchanged back.
    fn check_exchanged(&mut self, at: &F::Dir, temporary: &Name, old: &Row, blind: bool) -> Result<bool> {
        let files = self.d.share.clone();
        let (tmp, name) = (temporary.as_bytes(), old.place.name.as_bytes());
        let out = files.stat(at, tmp)?;
        let expected = old.seen.as_ref();
        let is_old = |s: &Stat| blind || expected.is_some_and(|seen| same_but_ctime(s, seen));
        match out {
            Some(s) if is_old(&s) => {
                files.unlink(at, tmp)?;
                Ok(true)
            }
            None => Ok(true),
            Some(_) => {
                match files.exchange(at, tmp, at, name) {
                    // What we had put there is under the temporary's name again, perhaps with a user's change.
                    Ok(()) => {}
                    // The user has removed ours meanwhile: what came out goes back.
                    Err(e) if e.kind() == ErrorKind::NotFound => match files.rename_noreplace(at, tmp, at, name) {
                        Ok(()) => {}
                        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                        Err(e) => return Err(e.into()),
                    },
                    Err(e) => return Err(e.into()),
                }
                Ok(false)
            }
        }
    }

    /// Reports data that was found under a temporary's name and has a name of its own now.
    pub(super) fn saved(&mut self, place: &Place, saved: &Name) -> Result<()> {
        let what = format!("was changed while it was replaced; the change is kept as {saved}");
        let path = Overlay::ANC.path(&self.d.state, place)?;
        self.d.report.problems.push(Problem { path, what, remedy: None, note: true });
        Ok(())
    }
}
