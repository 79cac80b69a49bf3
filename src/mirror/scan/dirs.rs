//! Which directory is which (MERGE 3, 'Directories').

use super::super::apply::seen_of;
use super::super::overlay::Overlay;
use super::list::{Fresh, Walk};
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::id::{Id, Oid};
use crate::path::{Name, RelPath};
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{Node, Place};

/// A directory as a listing meets it.
pub(super) struct Met<'m, D> {
    /// The directory that it lies in, its handle, and the name there as the disk gives it.
    pub at: &'m D,
    pub disk: &'m [u8],
    /// True if the directory that it lies in is that of the ancestor at its path, so that it may be, too.
    pub by_path: bool,
    pub path: RelPath,
    pub place: Place,
    pub stat: Stat,
}

impl<F: Files, S: State, C: Clock, R: Random> Walk<'_, F, S, C, R> {
    /// The id, and whether it came by its path. What has to wait for rules 3 and 4, until all that moved have their ids,
    /// goes to `fresh`.
    pub(super) fn directory(&mut self, met: Met<'_, F::Dir>, old: Option<&Row>) -> Result<Option<(Id, bool)>> {
        let read_back = (met.disk != met.place.name.as_bytes()).then(|| Name::new(met.disk)).flatten();
        let seen = Seen { name: read_back, ..seen_of(&met.stat) };
        let here = old.and_then(|r| r.here()).filter(|n| n.is_dir()).map(Node::id);
        // One that moved while the walk was under way is met at its new place and may have a successor at the old one.
        if let Some(id) = here.filter(|id| met.by_path && !self.used.contains(id)) {
            self.put_dir(met.place, id, seen, old)?;
            return Ok(Some((id, true)));
        }
        if let Some(id) = self.moved(&met)? {
            self.lost.extend(here.filter(|other| *other != id));
            self.put_dir(met.place, id, seen, old)?;
            return Ok(Some((id, false)));
        }
        if self.late {
            self.lost.extend(here);
            let id = self.new_id(&met.path, &met.place)?;
            self.put_dir(met.place, id, seen, old)?;
            return Ok(Some((id, false)));
        }
        self.fresh.push(Fresh { path: met.path, place: met.place, seen, old: here });
        Ok(None)
    }

    /// Rules 3 and 4: head's id at this path, else derived from parent and name, else random.
    pub(super) fn new_id(&mut self, path: &RelPath, place: &Place) -> Result<Id> {
        if let Some(id) = self.head_at(path)?.filter(|id| !self.used.contains(id)) {
            return Ok(id);
        }
        let mut id = self.d.keys.dir_id(&place.dir, &place.name);
        while id == Id::ROOT || self.used.contains(&id) || Overlay::HEAD.dir(&self.d.state, id)?.is_some() {
            self.d.random.fill(&mut id.0)?;
        }
        Ok(id)
    }

    /// The id of head's directory at a path.
    fn head_at(&self, path: &RelPath) -> Result<Option<Id>> {
        let mut at = Id::ROOT;
        for name in path.names() {
            match self.d.state.get(Table::Head, &Place { dir: at, name })?.as_ref().and_then(|r| r.here()) {
                Some(Node::Dir { id, .. }) => at = *id,
                _ => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Notes a directory, if the ancestor's row does not say it already. Of its `seen` only the inode is ever asked: the
    /// times change with every entry.
    pub(super) fn put_dir(&mut self, place: Place, id: Id, seen: Seen, old: Option<&Row>) -> Result<()> {
        self.used.insert(id);
        let same = old.is_some_and(|r| r.here().is_some_and(|n| n.is_dir() && n.id() == id));
        let was = old.and_then(|r| r.seen.as_ref()).map(|s| (s.ino, s.birth, &s.name));
        if same && was == Some((seen.ino, seen.birth, &seen.name)) {
            return Ok(());
        }
        let node = Node::Dir { id, tree: Oid::ZERO };
        self.d.state.put(Table::Scan, &Row { place, node: RowNode::Here(node), seen: Some(seen) })
    }

    /// Rule 2: the one directory of the ancestor whose path is gone and that had this inode.
    fn moved(&self, met: &Met<'_, F::Dir>) -> Result<Option<Id>> {
        let mut found = None;
        for row in self.d.state.by_ino(Table::Anc, met.stat.ino)? {
            let Some(Node::Dir { id, .. }) = row.here() else { continue };
            if self.used.contains(id) || self.is_there(&row)? {
                continue;
            }
            let fits = match (row.seen.as_ref().and_then(|s| s.birth), met.stat.birth) {
                (Some(a), Some(b)) => a == b,
                _ => self.has_entries_of(met, *id)?,
            };
            if fits && found.replace(*id).is_some() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Without birth times an inode number alone says nothing (ext4 uses it again at once). At least one, and at least
    /// half, of the entries that the directory has in the ancestor must be in it with their inodes.
    fn has_entries_of(&self, met: &Met<'_, F::Dir>, id: Id) -> Result<bool> {
        let dir = match self.d.share.open_dir(met.at, met.disk) {
            Ok(dir) => dir,
            Err(e) => return gone_or_stopped(e.into()),
        };
        let (mut all, mut same) = (0u64, 0u64);
        Overlay::ANC.children(&self.d.state, id, |row| {
            all += 1;
            let name = shown_name(&row);
            let now = match self.d.share.stat(&dir, name.as_bytes()) {
                Ok(now) => now,
                Err(e) => return gone_or_stopped(e.into()).map(|_| ()),
            };
            same += u64::from(now.is_some_and(|now| row.seen.as_ref().is_some_and(|s| s.ino == now.ino)));
            Ok(())
        })?;
        Ok(same > 0 && same * 2 >= all)
    }

    /// True if a directory stands at the path that the ancestor has for a row.
    fn is_there(&self, row: &Row) -> Result<bool> {
        let Some(up) = Overlay::ANC.climb(&self.d.state, row.place.dir)? else { return Ok(false) };
        let mut dir = self.d.share.root();
        for up in &up {
            dir = match self.d.share.open_dir(&dir, shown_name(up).as_bytes()) {
                Ok(next) => next,
                Err(e) => return gone_or_stopped(e.into()),
            };
        }
        match self.d.share.stat(&dir, shown_name(row).as_bytes()) {
            Ok(stat) => Ok(stat.is_some_and(|s| s.kind == Kind::Dir)),
            Err(e) => gone_or_stopped(e.into()),
        }
    }
}

/// The name of a row as the disk gives it.
pub(in crate::mirror) fn shown_name(row: &Row) -> &Name {
    row.seen.as_ref().and_then(|s| s.name.as_ref()).unwrap_or(&row.place.name)
}

/// What cannot be looked at is not there; only the end of this device is passed on.
pub(super) fn gone_or_stopped(e: Error) -> Result<bool> {
    if e.is_stopped() { Err(e) } else { Ok(false) }
}
