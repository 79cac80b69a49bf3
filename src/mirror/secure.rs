//! Secure's work tree: brought from head's tree to that of the pending commit (MERGE 8).
//!
//! An entry name is made of parent id, own id, kind and name, so no two steps ever want one entry name, swaps need no
//! third name, and each step sees whether it is done. After a crash the whole runs again.
//!
//! Durability goes by batch: everything new is written under `.new` names, one `sync_all` makes it durable, then it is
//! renamed; one more `sync_all` stands before the first removal, and, if anything was removed, one before the ref moves.

mod files;
pub use files::{blob_at, put, remove};
mod large;

use super::commit::{self, entry_name, keeper};
use super::overlay::{Overlay, Rows, check_depth, each_row};
use super::{Device, Problem, history, incoming};
use crate::clock::{Clock, Random};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Kind};
use crate::git::store::Expect;
use crate::git::{Type, limit, object};
use crate::id::{Id, Oid};
use crate::mirror::progress::Step;
use crate::path::printable;
use crate::state::{Row, RowNode, State, Table, key};
use crate::tree::{Node, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The branch of a vault.
pub const MAIN: &str = "refs/heads/main";
/// Names the pending commit while it is one, so that a user's `git gc` cannot remove it.
pub const PENDING: &str = "refs/sharelock/pending";

/// Marks `commit` as the one that secure is brought to next. Durable with the caller's `state.commit()`, which is the
/// commit point of a round (with the new ancestor in the same transaction).
pub fn set_pending<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, commit: &Oid) -> Result<()> {
    d.git.set_ref(PENDING, Expect::Any, Some(*commit))?;
    d.state.set_value(key::PENDING, Some(&commit.0))
}

/// The pending commit, if there is one.
pub fn pending<S: State>(state: &S) -> Result<Option<Oid>> {
    oid_value(state, key::PENDING)
}

/// The database is new, and [`PENDING`] still tells what secure was being brought to when the old one was lost. Half of
/// that commit may be in the work tree, where nobody could tell it from what others have put there; so it becomes
/// pending again, if its seal holds, nothing of it is missing and it follows `tip`. Durable with the caller's commit.
pub fn resume<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, tip: Option<&Oid>) -> Result<()> {
    let Some(marked) = d.git.get_ref(PENDING)?.filter(|m| Some(m) != tip) else { return Ok(()) };
    match follows(d, &marked, tip) {
        Ok(true) => {
            let seq = history::newest_seq(d, &marked)?;
            d.state.set_value(commit::SEQ, Some(&seq.to_be_bytes()))?;
            d.state.set_value(key::PENDING, Some(&marked.0))
        }
        Err(e) if e.is_stopped() => Err(e),
        // It never became one: what of it is in the work tree is looked at like what others have put there.
        Ok(false) | Err(_) => Ok(()),
    }
}

fn follows<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, marked: &Oid, tip: Option<&Oid>) -> Result<bool> {
    let c = commit::open(&d.git, &d.keys, &d.vault, marked)?;
    d.git.complete(marked, tip.map_or(&[], std::slice::from_ref))?;
    incoming::differences(d, &c.tree)?;
    tip.map_or(Ok(true), |tip| history::contains(d, marked, tip))
}

/// A commit id among the single values.
pub fn oid_value<S: State>(state: &S, key: &str) -> Result<Option<Oid>> {
    Ok(state.value(key)?.and_then(|v| <[u8; 20]>::try_from(v).ok()).map(Oid))
}

/// The tree of a commit, without looking at its seal.
pub fn tree_of<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, commit: &Oid) -> Result<Oid> {
    let bytes = d.git.read(commit, Type::Commit, limit::COMMIT)?;
    object::commit_tree(&bytes)
}

/// Brings secure to the pending commit: work tree, index, ref, and the table `Head`; then nothing is pending.
///
/// Idempotent: after a crash anywhere in it, it is called again before anything is compared.
pub fn bring<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    let Some(commit) = pending(&d.state)? else { return Ok(()) };
    let root = tree_of(d, &commit)?;
    incoming::differences(d, &root)?;
    bring_next(d, &commit, &root)
}

/// The same where the table `Next` holds the differences of that commit's tree already.
pub fn bring_next<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, commit: &Oid, root: &Oid) -> Result<()> {
    let before = oid_value(&d.state, key::HEAD)?;
    let mut work = Work::new();
    files::put(d, &d.secure.root(), super::sealed::VAULT, &d.keys.vault_file(&d.vault))?;
    work.directories(d)?;
    work.renames(d)?;
    work.contents(d)?;
    d.secure.sync_all()?;
    work.removals(d)?;
    if work.removed {
        d.secure.sync_all()?;
    }
    super::worktree::write_index(d, root, &BTreeMap::new())?;
    let now = d.git.get_ref(MAIN)?;
    if now != Some(*commit) {
        if now != before {
            return Err(Error::new(
                crate::error::Kind::Raced,
                "somebody committed in ~/secure while it was being written; the next round looks at it",
            ));
        }
        d.git.set_ref(MAIN, before.map_or(Expect::Absent, Expect::Is), Some(*commit))?;
    }
    d.state.absorb(Table::Next, Table::Head)?;
    d.state.set_value(key::HEAD, Some(&commit.0))?;
    d.state.set_value(key::PENDING, None)?;
    d.state.commit()?;
    d.git.set_ref(PENDING, Expect::Any, None)
}

/// What is under way: which directories have not moved yet, and open handles.
struct Work<F: Files> {
    /// Directories of `Next` that still stand at their place in `Head`.
    unmoved: BTreeSet<Id>,
    open: BTreeMap<Id, F::Dir>,
    /// How much has been written since the last sync.
    batch: Vec<files::Written<F>>,
    bytes: u64,
    /// A directory was made that may not survive a power cut yet: nothing is moved into it, for it would go with it.
    fresh: bool,
    /// Something was removed, or put aside.
    removed: bool,
}

impl<F: Files> Work<F> {
    fn new() -> Work<F> {
        Work { unmoved: BTreeSet::new(), open: BTreeMap::new(), batch: Vec::new(), bytes: 0, fresh: false, removed: false }
    }

    /// Moves an entry of head's to where the new tree has it.
    fn carry<S: State, C: Clock, R: Random>(
        &mut self,
        d: &Device<F, S, C, R>,
        (from, old): (&F::Dir, &str),
        (to, new): (&F::Dir, &str),
    ) -> Result<()> {
        if std::mem::take(&mut self.fresh) {
            d.secure.sync_all()?;
        }
        Ok(d.secure.rename_noreplace(from, old.as_bytes(), to, new.as_bytes())?)
    }

    /// Step 1: directories of the new tree, from the root down: renamed whole, or made.
    fn directories<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        let mut moves: Vec<(usize, Place, Id)> = Vec::new();
        let mut rows = Rows::of(Table::Next);
        while let Some(row) = rows.next(&d.state)? {
            let Some(Node::Dir { id, .. }) = row.here() else { continue };
            let same_place = Overlay::HEAD.dir(&d.state, *id)?.is_some_and(|r| r.place == row.place);
            if same_place {
                continue;
            }
            let depth = Overlay::NEXT.climb(&d.state, *id)?.map_or(0, |up| up.len());
            moves.push((depth, row.place.clone(), *id));
        }
        moves.sort();
        self.unmoved = moves.iter().map(|m| m.2).collect();
        for (_, place, id) in moves {
            let node = Node::Dir { id, tree: Oid::ZERO };
            let target = entry_name(&d.keys, &place, &node);
            let to = self.dir(d, place.dir)?;
            let there = d.secure.stat(&to, target.entry.as_bytes())?;
            if there.as_ref().is_some_and(|s| s.kind != Kind::Dir) {
                self.stray(d, &to, target.entry.as_bytes())?;
            }
            if let Some((name, content)) = &target.long {
                files::put(d, &to, name.as_bytes(), content)?;
            }
            if there.is_none_or(|s| s.kind != Kind::Dir) {
                let mut moved = false;
                if let Some(row) = Overlay::HEAD.dir(&d.state, id)? {
                    let source = entry_name(&d.keys, &row.place, &node);
                    if let Some(from) = self.try_dir(d, row.place.dir)?
                        && d.secure.stat(&from, source.entry.as_bytes())?.is_some_and(|s| s.kind == Kind::Dir)
                    {
                        self.carry(d, (&from, &source.entry), (&to, &target.entry))?;
                        moved = true;
                    }
                }
                if !moved {
                    d.secure.mkdir(&to, target.entry.as_bytes(), 0o777)?;
                    self.fresh = true;
                }
            }
            self.unmoved.remove(&id);
        }
        Ok(())
    }

    /// Step 2: entries that head has with the same object under another entry name: one rename each.
    fn renames<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        let mut rows = Rows::of(Table::Next);
        let mut used: BTreeSet<Place> = BTreeSet::new();
        while let Some(row) = rows.next(&d.state)? {
            let Some(node @ Node::File(v)) = row.here() else { continue };
            let here = d.state.get(Table::Head, &row.place)?;
            if here.as_ref().and_then(|h| h.here()).is_some_and(|h| h.id() == v.id) {
                continue;
            }
            let target = entry_name(&d.keys, &row.place, node);
            let sources = d.state.by_id(Table::Head, v.id)?;
            for source in sources {
                let Some(Node::File(old)) = source.here() else { continue };
                // A large file that was renamed and edited is renamed here and edited in step 4.
                let fits = old.oid == v.oid || (old.segment != 0 && v.segment != 0);
                let stays = d.state.get(Table::Next, &source.place)?.is_none_or(|r| r.here().is_some_and(|n| n.id() == v.id));
                if !fits || stays || used.contains(&source.place) {
                    continue;
                }
                let name = entry_name(&d.keys, &source.place, &Node::File(old.clone()));
                let Some(from) = self.try_dir(d, source.place.dir)? else { continue };
                let to = self.dir(d, row.place.dir)?;
                if d.secure.stat(&to, target.entry.as_bytes())?.is_some() || !self.is_version(d, &from, name.entry.as_bytes(), old)? {
                    continue;
                }
                if let Some((long, content)) = &target.long {
                    files::put(d, &to, long.as_bytes(), content)?;
                }
                self.carry(d, (&from, &name.entry), (&to, &target.entry))?;
                used.insert(source.place.clone());
                break;
            }
        }
        Ok(())
    }

    /// Steps 3 and 4: new files, and files replaced under their entry; keepers are files like others.
    fn contents<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        let mut rows = Rows::of(Table::Next);
        let mut last_dir: Option<Id> = None;
        d.settings.progress.expect(Step::Writing, || d.state.count(Table::Next).map(|(files, _, bytes)| (files, bytes)))?;
        while let Some(row) = rows.next(&d.state)? {
            if last_dir != Some(row.place.dir) {
                last_dir = Some(row.place.dir);
                self.keep(d, row.place.dir)?;
            }
            match row.here() {
                Some(Node::File(v)) => {
                    self.file(d, &row)?;
                    d.settings.progress.did(Step::Writing, 1, v.size);
                }
                Some(Node::Dir { id, .. }) => self.keep(d, *id)?,
                None => {}
            }
        }
        self.flush(d)
    }

    /// Writes the keeper of a directory of the new tree if it is empty there.
    fn keep<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>, dir: Id) -> Result<()> {
        if dir == Id::ROOT || Overlay::NEXT.dir(&d.state, dir)?.is_none() || !Overlay::NEXT.is_empty(&d.state, dir)? {
            return Ok(());
        }
        let (sealed, object) = keeper(&d.keys, &dir)?;
        let at = self.dir(d, dir)?;
        files::put(d, &at, sealed.entry.as_bytes(), &object).map(drop)
    }

    /// Step 5: entries that head has and the new tree has not: files, then directories, deepest first.
    fn removals<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        let mut dirs: Vec<(usize, Row)> = Vec::new();
        let mut keepers: BTreeSet<Id> = BTreeSet::new();
        let mut rows = Rows::of(Table::Next);
        while let Some(row) = rows.next(&d.state)? {
            keepers.insert(row.place.dir);
            let Some(old) = d.state.get(Table::Head, &row.place)? else { continue };
            let Some(node) = old.here().cloned() else { continue };
            match &node {
                Node::Dir { id, .. } => {
                    if Overlay::NEXT.dir(&d.state, *id)?.is_none() {
                        let depth = Overlay::HEAD.climb(&d.state, *id)?.map_or(0, |up| up.len());
                        keepers.insert(*id);
                        dirs.push((depth, old));
                    } else if row.here().is_none_or(|n| n.id() != *id) {
                        self.remove_long_name(d, &old.place, &node)?;
                    }
                }
                Node::File(v) => {
                    let name = entry_name(&d.keys, &old.place, &node);
                    let still = row.here().is_some_and(|n| entry_name(&d.keys, &row.place, n).entry == name.entry);
                    if still {
                        continue;
                    }
                    let Some(at) = self.try_dir(d, old.place.dir)? else { continue };
                    if d.secure.stat(&at, name.entry.as_bytes())?.is_some() {
                        if self.is_version(d, &at, name.entry.as_bytes(), v)? {
                            files::remove(&d.secure, &at, name.entry.as_bytes())?;
                            self.removed = true;
                        } else {
                            self.stray(d, &at, name.entry.as_bytes())?;
                        }
                    }
                    self.remove_long_name(d, &old.place, &node)?;
                }
            }
        }
        for dir in keepers {
            let in_new = Overlay::NEXT.dir(&d.state, dir)?.is_some();
            if dir == Id::ROOT || (in_new && Overlay::NEXT.is_empty(&d.state, dir)?) {
                continue;
            }
            let (sealed, _) = keeper(&d.keys, &dir)?;
            if let Some(at) = self.try_dir(d, dir)?
                && d.secure.stat(&at, sealed.entry.as_bytes())?.is_some()
            {
                d.secure.unlink(&at, sealed.entry.as_bytes())?;
                self.removed = true;
            }
        }
        dirs.sort_by_key(|d| std::cmp::Reverse(d.0));
        for (_, row) in dirs {
            let Some(node) = row.here() else { continue };
            let name = entry_name(&d.keys, &row.place, node);
            let Some(at) = self.try_dir(d, row.place.dir)? else { continue };
            self.open.remove(&node.id());
            match d.secure.rmdir(&at, name.entry.as_bytes()) {
                Ok(()) => self.removed = true,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty || e.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.stray(d, &at, name.entry.as_bytes())?;
                }
                Err(e) => return Err(e.into()),
            }
            self.remove_long_name(d, &row.place, node)?;
        }
        Ok(())
    }

    fn remove_long_name<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, place: &Place, node: &Node) -> Result<()> {
        let name = entry_name(&d.keys, place, node);
        let Some((long, _)) = name.long else { return Ok(()) };
        if let Some(at) = self.try_dir(d, place.dir)?
            && d.secure.stat(&at, name.entry.as_bytes())?.is_none()
            && d.secure.stat(&at, long.as_bytes())?.is_some()
        {
            d.secure.unlink(&at, long.as_bytes())?;
            self.removed = true;
        }
        Ok(())
    }

    /// The open directory of this id, where it stands at this moment.
    fn dir<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, id: Id) -> Result<F::Dir> {
        self.try_dir(d, id)?.ok_or_else(|| Error::integrity(Class::Absent, format!("~/secure: the directory with id {id} is missing")))
    }

    fn try_dir<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, id: Id) -> Result<Option<F::Dir>> {
        let mut up: Vec<(Id, Box<str>)> = Vec::new();
        let mut at = id;
        let mut dir = loop {
            if at == Id::ROOT {
                break d.secure.root();
            }
            if let Some(open) = self.open.get(&at) {
                break open.clone();
            }
            let row = match Overlay::NEXT.dir(&d.state, at)? {
                Some(row) if !self.unmoved.contains(&at) => Some(row),
                _ => Overlay::HEAD.dir(&d.state, at)?,
            };
            let Some(row) = row else { return Ok(None) };
            let Some(node) = row.here() else { return Ok(None) };
            up.push((at, entry_name(&d.keys, &row.place, node).entry));
            at = row.place.dir;
            check_depth(up.len(), id)?;
        };
        while let Some((id, name)) = up.pop() {
            dir = match d.secure.open_dir(&dir, name.as_bytes()) {
                Ok(dir) => dir,
                Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(None),
                Err(e) => return Err(e.into()),
            };
            if self.open.len() >= 64 {
                self.open.clear();
            }
            self.open.insert(id, dir.clone());
        }
        Ok(Some(dir))
    }

    /// Puts something that is neither head's nor ours out of the way, and says so.
    fn stray<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>, at: &F::Dir, name: &[u8]) -> Result<()> {
        for n in 1..1000u32 {
            let aside = [name, format!(".stray-{n}").as_bytes()].concat();
            if aside.len() > 255 {
                break;
            }
            match d.secure.rename_noreplace(at, name, at, &aside) {
                Ok(()) => {
                    self.removed = true;
                    d.report.problems.push(Problem {
                        path: None,
                        what: format!("~/secure: {} was changed by others and put aside as {}", printable(name), printable(&aside)),
                        remedy: None,
                        note: false,
                    });
                    return Ok(());
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::failed(format!("~/secure: {} was changed by others and cannot be put aside", printable(name))))
    }
}

/// True if nothing at all differs between `Next` and `Head`.
pub fn nothing_next<S: State>(state: &mut S) -> Result<bool> {
    let mut any = false;
    each_row(state, Table::Next, |_, row| {
        any |= matches!(row.node, RowNode::Here(_) | RowNode::Gone);
        Ok(())
    })?;
    Ok(!any)
}
