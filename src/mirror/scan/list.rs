//! The walk: directories and their ids (MERGE 3, 'Directories'), and what stands at each place.

use super::super::apply::seen_of;
use super::super::ignore::{self, Rules};
use super::super::overlay::Overlay;
use super::super::{Device, Problem};
use super::{Scanned, changed, file_kind, same_inode, top_generation};
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::git::store::read_small;
use crate::id::{Id, Oid};
use crate::path::{Name, RelPath};
use crate::state::{Row, RowNode, Seen, State, Table};
use crate::tree::{Node, Place, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;

/// A directory that is to be listed.
struct Todo {
    path: RelPath,
    id: Id,
    /// Its id is that of the ancestor's directory at this very path (rule 1): so may be those of its entries.
    by_path: bool,
    /// The id of head's directory at this path, if there is one.
    head: Option<Id>,
}

struct Walk {
    used: BTreeSet<Id>,
    /// Directories of the ancestor that are gone from their place: gone with all they held, unless they moved.
    lost: Vec<Id>,
    /// New directories that no inode explains: they get their ids after those that moved.
    fresh: VecDeque<(RelPath, Place, Stat, Option<Id>)>,
    out: Scanned,
}

/// Lists the share into `Scan`. New files have id zero; [`super::files`] finds theirs.
pub(super) fn list<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Scanned> {
    let mut w = Walk {
        used: BTreeSet::from([Id::ROOT]),
        lost: Vec::new(),
        fresh: VecDeque::new(),
        out: Scanned { stable: true, ..Scanned::default() },
    };
    let root = Todo { path: RelPath::root(), id: Id::ROOT, by_path: true, head: Some(Id::ROOT) };
    descend(d, &mut w, root)?;
    while let Some((path, place, stat, head)) = w.fresh.pop_front() {
        let id = new_id(d, &w, &place, head)?;
        put_dir(d, &place, id, &stat)?;
        w.used.insert(id);
        descend(d, &mut w, Todo { path, id, by_path: false, head })?;
    }
    // Directories that stand nowhere any more: what they held is gone.
    while let Some(dir) = w.lost.pop() {
        if w.used.contains(&dir) {
            continue;
        }
        for row in Overlay::ANC.list(&d.state, dir)? {
            if let Some(Node::Dir { id, .. }) = row.here() {
                w.lost.push(*id);
            }
            if d.state.get(Table::Scan, &row.place)?.is_none() {
                d.state.put(Table::Scan, &Row { place: row.place, node: RowNode::Gone, seen: None })?;
            }
        }
    }
    Ok(w.out)
}

/// Rules 3 and 4: head's id at this path, else derived from parent and name, else random.
fn new_id<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, w: &Walk, place: &Place, head: Option<Id>) -> Result<Id> {
    if let Some(id) = head.filter(|id| !w.used.contains(id)) {
        return Ok(id);
    }
    let derived = d.keys.dir_id(&place.dir, &place.name);
    let taken = |id: &Id| -> Result<bool> { Ok(*id == Id::ROOT || w.used.contains(id) || Overlay::HEAD.dir(&d.state, *id)?.is_some()) };
    if !taken(&derived)? {
        return Ok(derived);
    }
    let mut id = Id::ROOT;
    d.random.fill(&mut id.0)?;
    Ok(id)
}

fn put_dir<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, place: &Place, id: Id, stat: &Stat) -> Result<()> {
    let node = Node::Dir { id, tree: Oid::ZERO };
    let old = d.state.get(Table::Anc, place)?;
    let same = old.as_ref().and_then(|r| r.here()).is_some_and(|n| n.is_dir() && n.id() == id);
    let seen = seen_of(stat);
    // Of a directory only the inode is asked later; its times change with every entry.
    if same && old.and_then(|r| r.seen).is_some_and(|s| s.ino == seen.ino && s.birth == seen.birth) {
        return Ok(());
    }
    d.state.put(Table::Scan, &Row { place: place.clone(), node: RowNode::Here(node), seen: Some(seen) })
}

/// One directory on the stack of the walk.
struct Level<D> {
    dir: D,
    before: Stat,
    path: RelPath,
    todo: Vec<Inside>,
}

/// A directory inside a listed one.
struct Inside {
    name: Box<[u8]>,
    todo: Todo,
}

/// Lists a directory and all below it that has an id already; the rest goes to `w.fresh`.
fn descend<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, w: &mut Walk, top: Todo) -> Result<()> {
    let mut rules = Rules::new(&d.settings.ignore);
    let Some(dir) = open_path(d, &top.path, &mut rules)? else {
        w.out.stable = false;
        return Ok(());
    };
    let mut stack: Vec<Level<F::Dir>> = Vec::new();
    enter(d, w, &mut rules, &mut stack, dir, top)?;
    while let Some(level) = stack.last_mut() {
        let Some(next) = level.todo.pop() else {
            // Whether names changed while we were in there.
            let now = d.share.stat_dir(&level.dir)?;
            if now.mtime != level.before.mtime || now.ctime != level.before.ctime {
                w.out.stable = false;
            }
            rules.leave();
            stack.pop();
            continue;
        };
        match d.share.open_dir(&level.dir, &next.name) {
            Ok(dir) => enter(d, w, &mut rules, &mut stack, dir, next.todo)?,
            Err(e) => unreadable(d, w, &next.todo.path, e)?,
        }
    }
    Ok(())
}

/// A directory that cannot be opened: with all below it, it counts as equal to the ancestor.
fn unreadable<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    w: &mut Walk,
    path: &RelPath,
    e: std::io::Error,
) -> Result<()> {
    if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        w.out.stable = false;
        return Ok(());
    }
    let e = Error::from(e);
    if e.is_stopped() {
        return Err(e);
    }
    d.report.problems.push(Problem {
        path: Some(path.clone()),
        what: format!("can't be read: {e}"),
        remedy: Some(format!("chmod u+rx ~/share/{path}")),
        note: false,
    });
    Ok(())
}

/// Opens the directory at a path, gathering the rules on the way.
fn open_path<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, path: &RelPath, rules: &mut Rules) -> Result<Option<F::Dir>> {
    let mut dir = d.share.root();
    let mut at = RelPath::root();
    for name in path.names() {
        enter_rules(d, &dir, &at, rules)?;
        dir = match d.share.open_dir(&dir, name.as_bytes()) {
            Ok(next) => next,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(Error::from(e).at(path)),
        };
        at = at.join(&name);
    }
    Ok(Some(dir))
}

fn enter_rules<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    dir: &F::Dir,
    path: &RelPath,
    rules: &mut Rules,
) -> Result<()> {
    let file = match read_small(&d.share, dir, ignore::FILE, ignore::LIMIT) {
        Err(e) if e.is_stopped() => return Err(e),
        // Not a file, or not to be read: no rules; it is reported as any file is.
        other => other.unwrap_or(None),
    };
    rules.enter(path, file.as_deref());
    Ok(())
}

/// Lists one directory beside the ancestor's rows of it.
fn enter<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    w: &mut Walk,
    rules: &mut Rules,
    stack: &mut Vec<Level<F::Dir>>,
    dir: F::Dir,
    here: Todo,
) -> Result<()> {
    w.used.insert(here.id);
    let before = d.share.stat_dir(&dir)?;
    enter_rules(d, &dir, &here.path, rules)?;
    let mut level = Level { before, path: here.path.clone(), todo: Vec::new(), dir };
    let names = match d.share.list(&level.dir) {
        Ok(names) => names,
        Err(e) => {
            unreadable(d, w, &here.path, e)?;
            rules.leave();
            return Ok(());
        }
    };
    // The ancestor's rows, by the name that the disk gave back.
    let mut rows: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
    Overlay::ANC.children(&d.state, here.id, |row| {
        let name = row.seen.as_ref().and_then(|s| s.name.as_ref()).unwrap_or(&row.place.name);
        rows.insert(name.as_bytes().to_vec(), row);
        Ok(())
    })?;
    for (bytes, _) in names {
        let Some(name) = Name::new(bytes.clone()) else { continue };
        let old = rows.remove(&*bytes);
        let name = old.as_ref().map_or(name, |r| r.place.name.clone());
        let path = level.path.join(&name);
        let Some(stat) = d.share.stat(&level.dir, &bytes)? else {
            w.out.stable = false;
            if let Some(row) = old {
                rows.insert(bytes.to_vec(), row);
            }
            continue;
        };
        if rules.matches(&path, stat.kind == Kind::Dir).is_some() {
            continue;
        }
        let place = Place { dir: here.id, name };
        let read_back = (*bytes != *place.name.as_bytes()).then(|| Name::new(bytes.clone())).flatten();
        match stat.kind {
            Kind::Dir => {
                if let Some(todo) = directory(d, w, &here, &path, place, &stat, old.as_ref())? {
                    level.todo.push(Inside { name: bytes, todo });
                }
            }
            Kind::File | Kind::Link => {
                w.out.files += 1;
                w.out.bytes += stat.size;
                file(d, w, place, &stat, read_back, old.as_ref())?;
            }
            Kind::Other => {
                d.report.problems.push(Problem {
                    path: Some(path),
                    what: "is a socket, pipe or device and is not synced".into(),
                    remedy: None,
                    note: true,
                });
                if let Some(row) = old {
                    gone(d, w, row)?;
                }
            }
        }
    }
    for row in rows.into_values() {
        let path = level.path.join(&row.place.name);
        let is_dir = row.here().is_some_and(|n| n.is_dir());
        if rules.matches(&path, is_dir).is_none() {
            gone(d, w, row)?;
        }
    }
    stack.push(level);
    Ok(())
}

fn gone<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>, w: &mut Walk, row: Row) -> Result<()> {
    if let Some(Node::Dir { id, .. }) = row.here() {
        w.lost.push(*id);
    }
    d.state.put(Table::Scan, &Row { place: row.place, node: RowNode::Gone, seen: None })
}

/// A directory inside `here`: rules 1 and 2; `None` if it has to wait for 3 and 4.
fn directory<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    w: &mut Walk,
    here: &Todo,
    path: &RelPath,
    place: Place,
    stat: &Stat,
    old: Option<&Row>,
) -> Result<Option<Todo>> {
    let head = match here.head {
        Some(up) => match d.state.get(Table::Head, &Place { dir: up, name: place.name.clone() })? {
            Some(row) => row.here().filter(|n| n.is_dir()).map(Node::id),
            None => None,
        },
        None => None,
    };
    let old_node = old.and_then(|r| r.here());
    if let Some(Node::Dir { id, .. }) = old_node.filter(|_| here.by_path) {
        put_dir(d, &place, *id, stat)?;
        return Ok(Some(Todo { path: path.clone(), id: *id, by_path: true, head }));
    }
    if let Some(id) = moved(d, w, stat)? {
        if let Some(Node::Dir { id: other, .. }) = old_node
            && *other != id
        {
            w.lost.push(*other);
        }
        put_dir(d, &place, id, stat)?;
        w.used.insert(id);
        return Ok(Some(Todo { path: path.clone(), id, by_path: false, head }));
    }
    if let Some(Node::Dir { id: other, .. }) = old_node {
        w.lost.push(*other);
    }
    w.fresh.push_back((path.clone(), place, *stat, head));
    Ok(None)
}

/// Rule 2: the one directory of the ancestor whose path is gone and that had this inode.
fn moved<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, w: &Walk, stat: &Stat) -> Result<Option<Id>> {
    let seen = seen_of(stat);
    let mut found = None;
    for row in d.state.by_ino(Table::Anc, stat.ino)? {
        let Some(Node::Dir { id, .. }) = row.here() else { continue };
        let birth = row.seen.as_ref().and_then(|s| s.birth);
        let fits = match (birth, seen.birth) {
            (Some(a), Some(b)) => a == b,
            _ => same_entries(d, *id, stat)?,
        };
        if !fits || w.used.contains(id) || is_there(d, &row.place)? {
            continue;
        }
        if found.is_some() {
            return Ok(None);
        }
        found = Some(*id);
    }
    Ok(found)
}

/// Without birth times an inode number alone says nothing (ext4 uses it again at once). The entries would have to be
/// compared; a disk without birth times moves files one by one instead.
fn same_entries<F: Files, S: State, C: Clock, R: Random>(_: &Device<F, S, C, R>, _: Id, _: &Stat) -> Result<bool> {
    Ok(false)
}

/// True if a directory stands at the ancestor's path of a place.
fn is_there<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, place: &Place) -> Result<bool> {
    let Some(up) = Overlay::ANC.climb(&d.state, place.dir)? else { return Ok(false) };
    let mut dir = d.share.root();
    for row in up {
        let name = row.seen.as_ref().and_then(|s| s.name.as_ref()).unwrap_or(&row.place.name);
        dir = match d.share.open_dir(&dir, name.as_bytes()) {
            Ok(next) => next,
            Err(e) => {
                let e = Error::from(e);
                return if e.is_stopped() { Err(e) } else { Ok(false) };
            }
        };
    }
    let row = d.state.get(Table::Anc, place)?;
    let name = row.as_ref().and_then(|r| r.seen.as_ref()).and_then(|s| s.name.as_ref()).unwrap_or(&place.name).clone();
    Ok(d.share.stat(&dir, name.as_bytes())?.is_some_and(|s| s.kind == Kind::Dir))
}

/// A file or link: rule 1, or new.
fn file<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    w: &mut Walk,
    place: Place,
    stat: &Stat,
    read_back: Option<Name>,
    old: Option<&Row>,
) -> Result<()> {
    let seen = Seen { name: read_back, ..seen_of(stat) };
    if let (Some(Node::File(v)), Some(was)) = (old.and_then(|r| r.here()), old.and_then(|r| r.seen.as_ref())) {
        if let Some(v) = changed(d, v, was, stat, || top_generation(&d.state, v.id))? {
            d.state.put(Table::Scan, &Row { place, node: RowNode::Here(Node::File(v)), seen: Some(seen) })?;
        }
        return Ok(());
    }
    if let Some(Node::Dir { id, .. }) = old.and_then(|r| r.here()) {
        w.lost.push(*id);
    }
    let v = fresh_version(d, stat);
    d.state.put(Table::Scan, &Row { place, node: RowNode::Here(Node::File(v)), seen: Some(seen) })
}

/// A file of which nothing is known yet: id zero until [`super::files`] has looked where it comes from.
fn fresh_version<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, stat: &Stat) -> Version {
    let traits = d.share.traits();
    let kind = file_kind(stat).unwrap_or(crate::tree::FileKind::File);
    let file = kind == crate::tree::FileKind::File;
    Version {
        id: Id::ROOT,
        kind,
        size: stat.size,
        mac: [0; 32],
        epoch: d.keys.epoch(),
        segment: 0,
        exec: file && traits.exec_bit && stat.exec(),
        private: file && traits.modes && stat.private(),
        mtime: stat.mtime,
        offset: d.clock.offset_minutes(stat.mtime),
        generation: 1,
        writer: d.name.clone(),
        oid: Oid::ZERO,
    }
}

/// True if a row of the ancestor is a file with this inode.
pub(super) fn is_same_file(row: &Row, seen: &Seen) -> bool {
    row.here().is_some_and(|n| !n.is_dir()) && same_inode(row, seen)
}
