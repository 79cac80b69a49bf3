//! Secure, changed by others: a `git pull` by hand, rsync, a USB stick (MERGE 2, step 2; FORMAT 10).
//!
//! What verifies in its place and is not older than what was last agreed becomes a commit of this device; the rest is
//! reported, never deleted, and never sealed. Without a seal nobody can tell what is missing or has come back: a missing
//! entry counts as deleted (unless the brake stops that), and deleted plaintext stays in the history.

mod fresh;
mod parts;

use super::commit::{self, Says, entry_name, keeper};
use super::content::GitParts;
use super::overlay::{Overlay, Rows};
use super::packs::Packs;
use super::worktree;
use super::{Device, Problem, secure};
use crate::clock::{Clock, Random};
use crate::crypt::large::{Part, Parts, Reader};
use crate::crypt::name::{self, EntryKind, Listed};
use crate::crypt::small;
use crate::error::{Error, Result};
use crate::files::{Files, Kind};
use crate::git::object::TreeBuilder;
use crate::git::{Type, limit};
use crate::id::{Id, Oid};
use crate::path::{Name, printable};
use crate::state::{Row, RowNode, State, Table, key};
use crate::tree::{Node, Place, Version, conflict};
use fresh::{fresh, head_place_stands, stands_elsewhere};
use parts::DiskParts;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Compares secure with head's tree, takes over what others changed there, and reports what cannot be. Gives the number
/// of commits made.
pub fn look<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<u32> {
    let found = worktree::compare(d)?;
    if !found.refreshed.is_empty()
        && let Some(head) = secure::oid_value(&d.state, key::HEAD)?
    {
        worktree::write_index(d, &secure::tree_of(d, &head)?, &found.refreshed)?;
    }
    if found.differs.is_empty() {
        return Ok(0);
    }
    let mut look = Look { packs: Packs::new(&d.git), dirs: BTreeMap::new(), seen: BTreeSet::new(), looked: Vec::new(), left: Vec::new() };
    look.seen.insert(Id::ROOT);
    for (path, _) in &found.differs {
        look.locate(d, path)?;
    }
    d.state.clear(Table::Next)?;
    while let Some((dir, at)) = look.dirs.pop_first() {
        look.directory(d, dir, at.clone())?;
        look.looked.push((dir, at));
    }
    look.keep_what_is_left(d)?;
    look.lost_directories(d)?;
    look.take_over(d)
}

struct Look<F: Files> {
    packs: Packs<F>,
    /// Directories to be read, by id.
    dirs: BTreeMap<Id, F::Dir>,
    /// Directories that stand somewhere in secure.
    seen: BTreeSet<Id>,
    /// Directories that were read.
    looked: Vec<(Id, F::Dir)>,
    /// Directories that stand in secure, but under a name that is another one's.
    left: Vec<Id>,
}

impl<F: Files> Look<F> {
    /// Finds the directory in which a difference lies, from the root down, by the names that open.
    fn locate<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, path: &[u8]) -> Result<()> {
        let (mut id, mut dir) = (Id::ROOT, d.secure.root());
        let parts: Vec<&[u8]> = path.split(|c| *c == b'/').collect();
        for part in &parts {
            self.dirs.insert(id, dir.clone());
            let Ok(entry) = self.open_name(d, &id, &dir, part) else { return Ok(()) };
            if entry.kind != EntryKind::Dir {
                return Ok(());
            }
            match d.secure.open_dir(&dir, part) {
                Ok(inner) => dir = inner,
                Err(e) => {
                    let e = Error::from(e);
                    return if e.is_stopped() { Err(e) } else { Ok(()) };
                }
            }
            id = entry.id;
        }
        self.dirs.insert(id, dir);
        Ok(())
    }

    fn open_name<S: State, C: Clock, R: Random>(&self, d: &Device<F, S, C, R>, id: &Id, dir: &F::Dir, entry: &[u8]) -> Result<name::Entry> {
        match name::classify(entry) {
            Listed::LongEntry => {
                let long = [&entry[..entry.len() - 2], b".n"].concat();
                let content = crate::git::store::read_small(&d.secure, dir, &long, 1024)?;
                name::open(&d.keys, id, entry, content.as_deref())
            }
            Listed::Entry => name::open(&d.keys, id, entry, None),
            _ => Err(Error::integrity(crate::error::Class::Form, "no entry of a vault has such a name")),
        }
    }

    /// Reads one directory of secure as it is, and puts into `Next` what differs from head.
    fn directory<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>, id: Id, dir: F::Dir) -> Result<()> {
        let mut here: BTreeMap<Name, Node> = BTreeMap::new();
        let mut losers: Vec<(Name, Version)> = Vec::new();
        let mut names: Vec<Box<[u8]>> = d.secure.list(&dir)?.into_iter().map(|(n, _)| n).collect();
        names.sort();
        for entry in names {
            if worktree::passed_over(&entry)
                || matches!(name::classify(&entry), Listed::LongName)
                || (id == Id::ROOT && &*entry == b"vault")
            {
                continue;
            }
            let opened = match self.open_name(d, &id, &dir, &entry) {
                Ok(opened) => opened,
                Err(e) if e.is_stopped() => return Err(e),
                Err(e) => {
                    // A long entry of head's whose `.n` is lost or damaged is there all the same, and `mend` writes that.
                    let known = Overlay::HEAD
                        .list(&d.state, id)?
                        .into_iter()
                        .find(|row| row.here().is_some_and(|n| entry_name(&d.keys, &row.place, n).entry.as_bytes() == &*entry));
                    match known.as_ref().map(|row| (&row.place.name, row.here())) {
                        Some((name, Some(node))) => {
                            if node.is_dir() {
                                self.seen.insert(node.id());
                            }
                            here.insert(name.clone(), node.clone());
                        }
                        _ => report(d, &entry, &format!("was put there by others and is not touched ({e})")),
                    }
                    continue;
                }
            };
            let Some(name) = opened.name.clone() else { continue };
            let place = Place { dir: id, name: name.clone() };
            let node = match self.node(d, &dir, &entry, &opened, &place)? {
                Some(node) => node,
                None => continue,
            };
            match (here.remove(&name), node) {
                (None, node) => {
                    here.insert(name, node);
                }
                (Some(Node::Dir { id, tree }), Node::File(v)) | (Some(Node::File(v)), Node::Dir { id, tree }) => {
                    here.insert(name.clone(), Node::Dir { id, tree });
                    losers.push((name, v));
                }
                (Some(Node::Dir { id: a, .. }), Node::Dir { id: b, .. }) => {
                    // Head's stays, else the smaller id; the other one is left in secure as it is.
                    let head = d.state.get(Table::Head, &place)?.and_then(|r| r.here().map(Node::id));
                    let stays = if head == Some(a) || head == Some(b) { head.unwrap_or(a) } else { a.min(b) };
                    let other = if stays == a { b } else { a };
                    self.dirs.remove(&other);
                    self.left.push(other);
                    here.insert(name, Node::Dir { id: stays, tree: Oid::ZERO });
                    report(d, &entry, "stands twice: two directories have one name; one of them counts");
                }
                (Some(Node::File(a)), Node::File(b)) => {
                    let a_first = (std::cmp::Reverse(a.generation), a.id) <= (std::cmp::Reverse(b.generation), b.id);
                    let (winner, loser) = if a_first { (a, b) } else { (b, a) };
                    if winner.same_plaintext(&loser) != Some(true) {
                        losers.push((name.clone(), loser));
                    }
                    here.insert(name, Node::File(winner));
                }
            }
        }
        for (name, v) in losers {
            for n in 1.. {
                let copy = conflict::name(&name, &v, n);
                if let std::collections::btree_map::Entry::Vacant(e) = here.entry(copy) {
                    e.insert(Node::File(v));
                    break;
                }
            }
        }
        for row in Overlay::HEAD.list(&d.state, id)? {
            match (here.remove(&row.place.name), row.here()) {
                (None, _) => d.state.put(Table::Next, &Row { node: RowNode::Gone, seen: None, place: row.place })?,
                (Some(Node::Dir { id: a, .. }), Some(Node::Dir { id: b, .. })) if a == *b => {}
                (Some(new), Some(old)) if new == *old => {}
                (Some(new), _) => d.state.put(Table::Next, &Row { node: RowNode::Here(new), seen: None, place: row.place })?,
            }
        }
        for (name, node) in here {
            d.state.put(Table::Next, &Row { place: Place { dir: id, name }, node: RowNode::Here(node), seen: None })?;
        }
        Ok(())
    }

    /// What an entry stands for, verified; `None`: it is not taken (and was reported).
    fn node<S: State, C: Clock, R: Random>(
        &mut self,
        d: &mut Device<F, S, C, R>,
        dir: &F::Dir,
        entry: &[u8],
        opened: &name::Entry,
        place: &Place,
    ) -> Result<Option<Node>> {
        let head = d.state.get(Table::Head, place)?;
        let old = head.as_ref().and_then(|r| r.here()).filter(|n| n.id() == opened.id).cloned();
        let keep = |d: &mut Device<F, S, C, R>, why: String| {
            report(d, entry, &why);
            Ok(old.clone())
        };
        let Some(stat) = d.secure.stat(dir, entry)? else { return Ok(None) };
        let is_dir = stat.kind == Kind::Dir;
        if is_dir != matches!(opened.kind, EntryKind::Dir | EntryKind::Large) || (!is_dir && stat.kind != Kind::File) {
            return keep(d, "is a file where a directory must be, or the reverse; it is not touched".into());
        }
        if opened.kind == EntryKind::Dir {
            if old.is_none() && head_place_stands(d, &opened.id)? {
                // Somebody has put back the entry of before a rename: if it counted, head's own would be gone.
                report(d, entry, "stands twice; the place that the vault knows counts");
                return Ok(None);
            }
            if !self.seen.insert(opened.id) {
                report(d, entry, "stands twice; the first place counts");
                return Ok(None);
            }
            if old.is_none() {
                let inner = d.secure.open_dir(dir, entry)?;
                self.dirs.insert(opened.id, inner);
            }
            return Ok(Some(Node::Dir { id: opened.id, tree: Oid::ZERO }));
        }
        // What is byte for byte head's object needs no opening.
        if opened.kind == EntryKind::Small
            && let Some(Node::File(v)) = &old
            && secure::blob_at(&d.secure, dir, entry)? == Some(v.oid)
        {
            return Ok(old);
        }
        let version = match opened.kind {
            EntryKind::Small => self.small(d, dir, entry, &opened.id),
            _ => self.large(d, dir, entry, &opened.id),
        };
        let version = match version {
            Ok(v) => v,
            Err(e) if e.is_stopped() || e.kind() == crate::error::Kind::Full => return Err(e),
            Err(e) => return keep(d, format!("is damaged or altered and is not taken over ({e})")),
        };
        if old.as_ref().and_then(Node::file).is_some_and(|o| o.oid == version.oid) {
            return Ok(old);
        }
        if !fresh(d, &version, old.is_some())? {
            let another = head.as_ref().is_some_and(|row| row.here().is_some());
            if opened.kind == EntryKind::Small && another && stands_elsewhere(d, &version)? {
                remove_double(d, dir, entry)?;
                return Ok(None);
            }
            return keep(d, "is older than what this device knows and is not taken over".into());
        }
        Ok(Some(Node::File(version)))
    }

    fn small<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, dir: &F::Dir, entry: &[u8], id: &Id) -> Result<Version> {
        let mut object = Vec::new();
        d.secure.open(dir, entry)?.take(limit::BLOB + 1).read_to_end(&mut object)?;
        let mut plain = Vec::new();
        let head = small::open(&d.keys, id, &object, &mut plain)?;
        let oid = self.packs.add(Type::Blob, &object)?;
        head.to_version(oid).ok_or_else(|| Error::integrity(crate::error::Class::Form, "a keeper under a file's name"))
    }

    fn large<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>, dir: &F::Dir, entry: &[u8], id: &Id) -> Result<Version> {
        let inner = d.secure.open_dir(dir, entry)?;
        let parts = DiskParts { files: &d.secure, dir: inner };
        let reader = Reader::open(&d.keys, id, &parts)?;
        let mut top = TreeBuilder::default();
        let mut groups: BTreeMap<String, TreeBuilder> = BTreeMap::new();
        let mut put = |packs: &mut Packs<F>, part: Part| -> Result<()> {
            let object = (&parts).part(part, limit::BLOB)?.ok_or_else(|| Error::failed("a part has gone"))?;
            let oid = packs.add(Type::Blob, &object)?;
            let (group, leaf) = part.path();
            match group {
                None => top.add_blob(leaf.as_bytes(), oid),
                Some(g) => groups.entry(g).or_default().add_blob(leaf.as_bytes(), oid),
            }
        };
        put(&mut self.packs, Part::Head)?;
        for s in 0..reader.segments() {
            put(&mut self.packs, Part::Segment(s))?;
            if s > 0 && s % 256 == 0 {
                put(&mut self.packs, Part::Index(s / 256))?;
            }
        }
        let head = reader.head().clone();
        for (name, tree) in groups {
            let oid = self.packs.add(Type::Tree, &tree.finish()?)?;
            top.add_tree(name.as_bytes(), oid)?;
        }
        let oid = self.packs.add(Type::Tree, &top.finish()?)?;
        // What is verified is what is committed, not what stands on the disk: somebody may still be writing there.
        self.packs.close()?;
        Reader::open(&d.keys, id, GitParts::new(&d.git, oid)?)?.verify_all()?;
        head.to_version(oid).ok_or_else(|| Error::integrity(crate::error::Class::Form, "a keeper as a large file"))
    }

    /// A directory of head's that stands under a name that it cannot have is not gone: in the vault it stays where it is.
    fn keep_what_is_left<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        for id in &self.left {
            let Some(row) = Overlay::HEAD.dir(&d.state, *id)? else { continue };
            let up_stands = row.place.dir == Id::ROOT || Overlay::NEXT.dir(&d.state, row.place.dir)?.is_some();
            if up_stands && d.state.get(Table::Next, &row.place)?.is_some_and(|next| next.here().is_none()) {
                d.state.remove(Table::Next, &row.place)?;
            }
        }
        Ok(())
    }

    /// Directories that stand nowhere any more: what they held is gone, too.
    fn lost_directories<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>) -> Result<()> {
        let mut lost: Vec<Id> = Vec::new();
        let mut rows = Rows::of(Table::Next);
        while let Some(row) = rows.next(&d.state)? {
            if let Some(Node::Dir { id, .. }) = d.state.get(Table::Head, &row.place)?.as_ref().and_then(|r| r.here()) {
                lost.push(*id);
            }
        }
        while let Some(dir) = lost.pop() {
            if Overlay::NEXT.dir(&d.state, dir)?.is_some() {
                continue;
            }
            for row in Overlay::HEAD.list(&d.state, dir)? {
                if let Some(Node::Dir { id, .. }) = row.here() {
                    lost.push(*id);
                }
                if d.state.get(Table::Next, &row.place)?.is_none() {
                    d.state.put(Table::Next, &Row { place: row.place, node: RowNode::Gone, seen: None })?;
                }
            }
        }
        Ok(())
    }

    /// Commits what was found as a change of this device, and mends what is no plaintext: keepers, `vault`, long names.
    fn take_over<S: State, C: Clock, R: Random>(mut self, d: &mut Device<F, S, C, R>) -> Result<u32> {
        if let Some(stop) = super::brake::foreign(d)? {
            d.report.brake = Some(stop);
            return Ok(0);
        }
        if secure::nothing_next(&mut d.state)? {
            self.packs.finish()?;
            return mend(d, self.looked).map(|()| 0);
        }
        let parent = secure::oid_value(&d.state, key::HEAD)?;
        let tree = commit::write_trees(d, &mut self.packs)?;
        let commit = commit::write_own(d, &mut self.packs, tree, parent, Says::default())?;
        self.packs.finish()?;
        secure::set_pending(d, &commit)?;
        d.state.set_value(key::EVEN, None)?;
        d.state.commit()?;
        secure::bring(d)?;
        Ok(1)
    }
}

/// Head's tree is right, but secure lacks something that holds no plaintext, or has a keeper too many, in one of the
/// directories that were looked at.
fn mend<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, looked: Vec<(Id, F::Dir)>) -> Result<()> {
    let Some(head) = secure::oid_value(&d.state, key::HEAD)? else { return Ok(()) };
    let mut mended = secure::put(d, &d.secure.root(), super::sealed::VAULT, &d.keys.vault_file(&d.vault))?;
    for (id, dir) in looked {
        if id != Id::ROOT && Overlay::HEAD.dir(&d.state, id)?.is_none() {
            continue;
        }
        let rows = Overlay::HEAD.list(&d.state, id)?;
        let (sealed, object) = keeper(&d.keys, &id)?;
        if id != Id::ROOT && rows.is_empty() {
            mended |= secure::put(d, &dir, sealed.entry.as_bytes(), &object)?;
        } else if d.secure.stat(&dir, sealed.entry.as_bytes())?.is_some() {
            d.secure.unlink(&dir, sealed.entry.as_bytes())?;
            mended = true;
        }
        for row in rows {
            let Some(node) = row.here() else { continue };
            if let Some((long, content)) = &entry_name(&d.keys, &row.place, node).long {
                mended |= secure::put(d, &dir, long.as_bytes(), content)?;
            }
        }
    }
    match mended {
        true => worktree::write_index(d, &secure::tree_of(d, &head)?, &worktree::Stats::new()),
        false => Ok(()),
    }
}

/// Removes an entry of a file that head has at another one, byte for byte, while its name is another file's. Two files of
/// one name leave it: the one that became the conflict copy still stands at its own entry.
fn remove_double<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, dir: &F::Dir, entry: &[u8]) -> Result<()> {
    d.secure.unlink(dir, entry)?;
    if name::classify(entry) == Listed::LongEntry {
        let long = [&entry[..entry.len() - 2], b".n"].concat();
        if d.secure.stat(dir, &long)?.is_some() {
            d.secure.unlink(dir, &long)?;
        }
    }
    d.secure.sync_dir(dir)?;
    let what = format!("~/secure: {} stood there a second time and is removed; the file is in the vault, as it was", printable(entry));
    d.report.problems.push(Problem { path: None, what, remedy: None, note: true });
    Ok(())
}

fn report<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, entry: &[u8], how: &str) {
    let problem = Problem { path: None, what: format!("~/secure: {} {how}", printable(entry)), remedy: None, note: false };
    d.report.problems.push(problem);
}
