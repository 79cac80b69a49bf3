//! The walk: what stands at each place, one directory at a time beside the ancestor's rows of it.

use super::super::apply::seen_of;
use super::super::ignore::{Rules, read_rules};
use super::super::names::{self, fold};
use super::super::overlay::Overlay;
use super::super::{Device, Problem};
use super::dirs::{Met, shown_name};
use super::{Scanned, changed, file_kind, last_seen, top_generation, unreadable};
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::id::{Id, Oid};
use crate::mirror::progress::Step;
use crate::path::{Name, RelPath};
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{FileKind, Node, Place, Version};
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};

/// Rows that are fetched at a time.
const PAGE: usize = 256;
/// Paths that are reported by name at most; the rest is a number.
const NAMED: u64 = 200;

/// A directory that gets its id by rules 3 and 4, when all that moved have theirs.
pub(super) struct Fresh {
    pub path: RelPath,
    pub place: Place,
    pub seen: Seen,
    /// The directory that the ancestor has at this place; it is not this one.
    pub old: Option<Id>,
}

/// A walk under way.
pub(super) struct Walk<'a, F: Files, S: State, C: Clock, R: Random> {
    pub d: &'a mut Device<F, S, C, R>,
    rules: Rules,
    /// Ids of the directories that stand somewhere: 16 bytes for each.
    pub used: BTreeSet<Id>,
    /// Directories of the ancestor that are gone from their place: gone with all they held, unless they moved.
    pub lost: Vec<Id>,
    pub fresh: Vec<Fresh>,
    /// All that moved have their ids: what is still found is new at once.
    pub late: bool,
    stack: Vec<Level<F::Dir>>,
    /// See [`digest`].
    listed: u64,
    out: Scanned,
    reported: u64,
}

/// A directory on the way from the root to the one that is being listed.
struct Level<D> {
    id: Id,
    dir: D,
    before: Stat,
    path: RelPath,
    todo: Vec<Inside>,
}

/// A directory inside a listed one that is still to be listed.
struct Inside {
    disk: Box<[u8]>,
    name: Name,
    id: Id,
    by_path: bool,
}

/// Lists the share into `Scan`. New files have id zero; [`super::files`] finds theirs. The number is the [`digest`] of
/// what was listed.
pub(super) fn list<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<(Scanned, u64)> {
    let rules = Rules::new(&d.settings.ignore, &d.share.traits());
    let mut w = Walk {
        d,
        rules,
        used: BTreeSet::from([Id::ROOT]),
        lost: Vec::new(),
        fresh: Vec::new(),
        late: false,
        stack: Vec::new(),
        listed: 0,
        out: Scanned { stable: true, ..Scanned::default() },
        reported: 0,
    };
    let root = w.d.share.root();
    w.enter(root, RelPath::root(), Id::ROOT, true)?;
    w.descend()?;
    w.late = true;
    while let Some(fresh) = w.fresh.pop() {
        w.new_directory(fresh)?;
    }
    w.forget_lost()?;
    if w.reported > NAMED {
        let what = format!("{} more paths in ~/share can't be read", w.reported - NAMED);
        w.d.report.problems.push(Problem { path: None, what, remedy: None, note: false });
    }
    Ok((w.out, w.listed))
}

impl<F: Files, S: State, C: Clock, R: Random> Walk<'_, F, S, C, R> {
    /// Lists what is on the stack and all below it. There is no recursion: a tree may be deep.
    fn descend(&mut self) -> Result<()> {
        while let Some(level) = self.stack.last_mut() {
            let Some(next) = level.todo.pop() else {
                // Whether names changed while we were in there.
                let now = self.d.share.stat_dir(&level.dir)?;
                self.out.stable &= (now.mtime, now.ctime) == (level.before.mtime, level.before.ctime);
                self.rules.leave();
                self.stack.pop();
                continue;
            };
            let path = level.path.join(&next.name);
            match self.d.share.open_dir(&level.dir, &next.disk) {
                Ok(dir) => self.enter(dir, path, next.id, next.by_path)?,
                Err(e) => {
                    let place = Place { dir: level.id, name: next.name };
                    self.unreadable(path, true, e)?;
                    match Overlay::ANC.dir(&self.d.state, next.id)? {
                        Some(_) => self.keep(next.id)?,
                        None => self.d.state.remove(Table::Scan, &place)?, // Nothing is known of a new one.
                    }
                }
            }
        }
        Ok(())
    }

    /// A directory that no inode explains: rules 3 and 4, then all below it.
    fn new_directory(&mut self, fresh: Fresh) -> Result<()> {
        let (mut dir, mut at) = (self.d.share.root(), RelPath::root());
        let mut levels = 0;
        for name in fresh.path.names() {
            let file = read_rules(&self.d.share, &dir)?;
            self.rules.enter(&at, file.as_deref());
            levels += 1;
            at = at.join(&name);
            match self.d.share.open_dir(&dir, name.as_bytes()) {
                Ok(next) => dir = next,
                Err(e) => {
                    (0..levels).for_each(|_| self.rules.leave());
                    // The ancestor has nothing there, or a directory that cannot be looked into.
                    if fresh.old.is_some() {
                        let old = self.d.state.get(Table::Anc, &fresh.place)?;
                        old.map_or(Ok(()), |row| self.keep_row(&row))?;
                    }
                    return self.unreadable(at, true, e);
                }
            }
        }
        self.lost.extend(fresh.old);
        let id = self.new_id(&fresh.path, &fresh.place)?;
        let old = self.d.state.get(Table::Anc, &fresh.place)?;
        self.put_dir(fresh.place, id, fresh.seen, old.as_ref())?;
        self.enter(dir, fresh.path, id, false)?;
        self.descend()?;
        (0..levels).for_each(|_| self.rules.leave());
        Ok(())
    }

    /// Lists one directory.
    fn enter(&mut self, dir: F::Dir, path: RelPath, id: Id, by_path: bool) -> Result<()> {
        let before = self.d.share.stat_dir(&dir)?;
        let mut names: Vec<Box<[u8]>> = match self.d.share.list(&dir) {
            Ok(names) => names.into_iter().map(|(name, _)| name).collect(),
            Err(e) => {
                self.unreadable(path, true, e)?;
                return self.keep(id);
            }
        };
        names.sort_unstable();
        self.listed = self.listed.wrapping_add(state_of(&before));
        let file = read_rules(&self.d.share, &dir)?;
        self.rules.enter(&path, file.as_deref());
        let mut level = Level { id, dir, before, path, todo: Vec::new() };
        let mut known = vec![false; names.len()];
        let traits = self.d.share.traits();
        let mut missing: Vec<Row> = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let page = self.d.state.children(Table::Anc, id, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.place.name.clone());
            let end = page.len() < PAGE;
            for row in page {
                match names.binary_search_by(|n| (**n).cmp(shown_name(&row).as_bytes())) {
                    Ok(i) => {
                        known[i] = true;
                        self.entry(&mut level, &names[i], row.place.clone(), by_path, Some(row))?;
                    }
                    Err(_) if names::folds(&traits) => missing.push(row),
                    Err(_) => self.absent(&level, row)?,
                }
            }
            if end {
                break;
            }
        }
        if !missing.is_empty() {
            // Of names that fold alike a disk shows one; the others are held back, not deleted.
            let stands = names.iter().zip(&known).filter(|(_, known)| **known);
            let shown: HashSet<Vec<u8>> = stands.filter_map(|(n, _)| Some(fold(&Name::new(n.clone())?, &traits))).collect();
            for row in missing {
                match shown.contains(&fold(&row.place.name, &traits)) {
                    true => self.keep_row(&row)?,
                    false => self.absent(&level, row)?,
                }
            }
        }
        for (disk, _) in names.iter().zip(&known).filter(|(_, known)| !**known) {
            // A name that no directory may hold does not come from a disk; nothing could be made of it.
            let Some(name) = Name::new(disk.clone()) else { continue };
            self.entry(&mut level, disk, Place { dir: id, name }, by_path, None)?;
        }
        self.stack.push(level);
        Ok(())
    }

    /// One name of a listed directory; `old`: the ancestor's row for it.
    fn entry(&mut self, level: &mut Level<F::Dir>, disk: &[u8], place: Place, by_path: bool, old: Option<Row>) -> Result<()> {
        let path = level.path.join(&place.name);
        let stat = match self.d.share.stat(&level.dir, disk) {
            Ok(Some(stat)) => stat,
            Ok(None) => {
                self.out.stable = false;
                return old.map_or(Ok(()), |row| self.absent(level, row));
            }
            Err(e) => {
                self.unreadable(path, false, e)?;
                return old.map_or(Ok(()), |row| self.keep_row(&row));
            }
        };
        if self.rules.matches(&path, stat.kind == Kind::Dir).is_some() {
            return old.map_or(Ok(()), |row| self.keep_row(&row));
        }
        match stat.kind {
            Kind::Dir => {
                let name = place.name.clone();
                let met = Met { at: &level.dir, disk, by_path, path, place, stat };
                if let Some((id, by_path)) = self.directory(met, old.as_ref())? {
                    level.todo.push(Inside { disk: disk.into(), name, id, by_path });
                }
                Ok(())
            }
            Kind::File | Kind::Link => {
                if self.is_written(&stat, old.is_some())? {
                    self.d.report.again = true;
                    return Ok(());
                }
                self.out.files += 1;
                self.out.bytes = self.out.bytes.saturating_add(stat.size);
                self.d.settings.progress.did(Step::Looking, 1, 0);
                self.file(place, &stat, disk, old)
            }
            Kind::Other => {
                let what = "is a socket, pipe or device and is not synced".into();
                self.d.report.problems.push(Problem { path: Some(path), what, remedy: None, note: true });
                old.map_or(Ok(()), |row| self.gone(row))
            }
        }
    }

    /// True if a file may still be written to and waits for the next round. One that has moved does not wait: its old
    /// place is empty already.
    fn is_written(&self, stat: &Stat, known: bool) -> Result<bool> {
        let Some(before) = self.d.settings.settled_before else { return Ok(false) };
        Ok(stat.mtime >= before && (known || self.d.state.by_ino(Table::Anc, stat.ino)?.is_empty()))
    }

    /// A file or link: rule 1, or new.
    fn file(&mut self, place: Place, stat: &Stat, disk: &[u8], old: Option<Row>) -> Result<()> {
        let read_back = (disk != place.name.as_bytes()).then(|| Name::new(disk)).flatten();
        let seen = Seen { name: read_back, ..seen_of(stat) };
        let v = match old.as_ref().and_then(|r| Some((r, r.here()?))) {
            Some((row, Node::File(v))) => {
                let was = last_seen(row, &seen);
                match changed(self.d, v, &was, stat, || top_generation(&self.d.state, v.id))? {
                    Some(v) => v,
                    None => return Ok(()),
                }
            }
            Some((_, Node::Dir { id, .. })) => {
                self.lost.push(*id);
                fresh_version(self.d, stat)
            }
            None => fresh_version(self.d, stat),
        };
        self.d.state.put(Table::Scan, &Row { place, node: RowNode::Here(Node::File(v)), seen: Some(seen) })
    }

    /// A row of the ancestor whose name is not in the listing.
    fn absent(&mut self, level: &Level<F::Dir>, row: Row) -> Result<()> {
        let is_dir = row.here().is_some_and(Node::is_dir);
        match self.rules.matches(&level.path.join(&row.place.name), is_dir) {
            Some(_) => self.keep_row(&row),
            None => self.gone(row),
        }
    }

    fn gone(&mut self, row: Row) -> Result<()> {
        if let Some(Node::Dir { id, .. }) = row.here() {
            self.lost.push(*id);
        }
        self.d.state.put(Table::Scan, &Row { place: row.place, node: RowNode::Gone, seen: None })
    }

    /// A path that counts as equal to the ancestor: its directories stand.
    fn keep_row(&mut self, row: &Row) -> Result<()> {
        match row.here() {
            // It was met elsewhere, where it moved to: a directory stands at one place.
            Some(Node::Dir { id, .. }) if !self.used.insert(*id) => self.gone(row.clone()),
            Some(Node::Dir { id, .. }) => self.keep(*id),
            _ => Ok(()),
        }
    }

    /// What lies in a directory of the ancestor counts as there.
    fn keep(&mut self, dir: Id) -> Result<()> {
        let mut todo = vec![dir];
        while let Some(dir) = todo.pop() {
            let mut moved = Vec::new();
            Overlay::ANC.children(&self.d.state, dir, |row| {
                match row.here() {
                    Some(Node::Dir { id, .. }) if self.used.insert(*id) => todo.push(*id),
                    Some(Node::Dir { .. }) => moved.push(row),
                    _ => {}
                }
                Ok(())
            })?;
            moved.into_iter().try_for_each(|row| self.gone(row))?;
        }
        Ok(())
    }

    /// Directories that stand nowhere any more: what they held is gone.
    fn forget_lost(&mut self) -> Result<()> {
        while let Some(dir) = self.lost.pop() {
            if self.used.contains(&dir) {
                continue;
            }
            let mut after: Option<Name> = None;
            loop {
                let page = self.d.state.children(Table::Anc, dir, after.as_ref(), PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.place.name.clone());
                for row in page {
                    self.gone(row)?;
                }
            }
        }
        Ok(())
    }

    /// A path that cannot be read counts as equal to the ancestor, with all below it. One that has just gone is none.
    fn unreadable(&mut self, path: RelPath, is_dir: bool, e: io::Error) -> Result<()> {
        if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            self.out.stable = false;
            return Ok(());
        }
        let e = Error::from(e);
        if e.is_stopped() {
            return Err(e);
        }
        self.reported += 1;
        if self.reported <= NAMED {
            self.d.report.problems.push(unreadable(path, is_dir, &e));
        }
        Ok(())
    }
}

/// A file of which nothing is known yet: id zero until [`super::files`] has looked where it comes from.
fn fresh_version<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, stat: &Stat) -> Version {
    let traits = d.share.traits();
    let kind = file_kind(stat).unwrap_or(FileKind::File);
    let file = kind == FileKind::File;
    Version {
        id: Id::ROOT,
        kind,
        size: stat.size,
        mac: [0; 32],
        epoch: d.keys.epoch(),
        segment: 0,
        exec: file && traits.exec_bit && stat.exec(),
        private: file && traits.modes && stat.private(),
        mtime: stat.mtime.sealable(),
        offset: d.clock.offset_minutes(stat.mtime.sealable()),
        generation: 1,
        writer: d.name.clone(),
        oid: Oid::ZERO,
    }
}

/// A directory's inode and times as a number.
fn state_of(s: &Stat) -> u64 {
    let mut h = DefaultHasher::new();
    (s.ino, s.mtime, s.ctime).hash(&mut h);
    h.finish()
}

/// A number that stands for the inodes and times of all directories that a listing enters: if it is the same before and
/// after, no name has changed in between. Only directories are looked at.
pub(super) fn digest<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<u64> {
    let mut rules = Rules::new(&d.settings.ignore, &d.share.traits());
    let mut stack: Vec<(F::Dir, RelPath, Vec<Name>)> = Vec::new();
    let mut sum = 0u64;
    let mut next = Some((d.share.root(), RelPath::root()));
    loop {
        if let Some((dir, path)) = next.take() {
            let before = d.share.stat_dir(&dir)?;
            match d.share.list(&dir) {
                Ok(names) => {
                    sum = sum.wrapping_add(state_of(&before));
                    rules.enter(&path, read_rules(&d.share, &dir)?.as_deref());
                    let mut inside = Vec::new();
                    for (name, kind) in names {
                        let kind = match kind {
                            Some(kind) => Some(kind),
                            None => d.share.stat(&dir, &name).unwrap_or(None).map(|s| s.kind),
                        };
                        inside.extend(Name::new(name).filter(|_| kind == Some(Kind::Dir)));
                    }
                    stack.push((dir, path, inside));
                }
                Err(e) => super::dirs::gone_or_stopped(e.into()).map(|_| ())?,
            }
        }
        let Some((dir, path, inside)) = stack.last_mut() else { return Ok(sum) };
        let Some(name) = inside.pop() else {
            rules.leave();
            stack.pop();
            continue;
        };
        let path = path.join(&name);
        if rules.matches(&path, true).is_none() {
            match d.share.open_dir(dir, name.as_bytes()) {
                Ok(dir) => next = Some((dir, path)),
                Err(e) => super::dirs::gone_or_stopped(e.into()).map(|_| ())?,
            }
        }
    }
}
