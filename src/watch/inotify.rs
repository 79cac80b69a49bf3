//! Linux: inotify(7), a watch for each directory.
//!
//! Nothing is missed because of an order: a directory is listed only after its watch stands, each subdirectory found
//! gets its watch and is then listed in turn, and each is reported once its watch stands. The events that come
//! meanwhile wait in the kernel's queue.
//!
//! Events lag behind the disk, so a path may lead elsewhere by now. Therefore a directory is only believed to be the
//! one that the table means when adding its watch once more gives the same number (inotify gives one number to one
//! inode). What cannot be believed yet is looked at again when the queue is empty.
//!
//! Watches are added through `/proc/self/fd`, so that no path is joined and PATH_MAX is no limit. No descriptor stays
//! open below the root: a disk can be unmounted while it is watched.

use super::disk;
use super::pending::Pending;
use super::table::Table;
use super::walk;
use super::{Skip, Step};
use crate::path::{Name, RelPath};
use ::inotify::{Event, EventMask, Inotify, WatchMask};
use rustix::fs::OFlags;
use rustix::io::Errno;
use smol::Async;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories that are looked at before somebody else may run.
const PIECE: usize = 64;

/// All watches below one root.
pub(super) struct Watches {
    inotify: Inotify,
    /// A second descriptor of the same queue, for the reactor.
    ready: Async<OwnedFd>,
    root: PathBuf,
    device: u64,
    table: Table,
    /// Watched directories that are to be listed.
    todo: Vec<i32>,
    /// Watched directories that the path does not lead to as long as events wait.
    later: Vec<i32>,
    /// `later` was tried since the last event and the last directory that was put in its place.
    tried: bool,
    /// Directories without a watch.
    polled: Vec<Polled>,
    skip: Skip,
    buffer: Vec<u8>,
    /// Something of the queue was lost: everything is to be walked anew.
    lost: bool,
    /// That walk is under way; what it does not meet goes.
    walking: bool,
    /// Something may be adrift.
    loose: bool,
}

/// A directory without a watch.
struct Polled {
    parent: i32,
    name: Name,
    /// How many directories this concerns because the kernel grants no more watches; 0 for another reason.
    beyond: u64,
}

/// The root is not there.
struct Absent;

impl Watches {
    /// Watches the root and everything beneath; blocks for as long as the walk takes.
    ///
    /// # Errors
    /// A root that cannot be opened or watched; no inotify (a sandbox, the limit of instances), no `/proc`.
    pub(super) fn new(root: &Path, skip: Skip) -> io::Result<Watches> {
        let inotify = Inotify::init()?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        let dir = disk::open_root(root)?;
        let wd = inotify.watches().add(by_descriptor(&dir), mask() | WatchMask::DELETE_SELF | WatchMask::MOVE_SELF)?;
        let wd = wd.get_watch_descriptor_id();
        let mut watches = Watches {
            inotify,
            ready,
            root: root.to_path_buf(),
            device: walk::device(&dir)?,
            table: Table::new(wd),
            todo: vec![wd],
            later: Vec::new(),
            tried: true,
            polled: Vec::new(),
            skip,
            buffer: vec![0; 8192],
            lost: false,
            walking: false,
            loose: false,
        };
        while !watches.todo.is_empty() {
            // What is found needs no telling: the first look is at everything. A root that vanishes meanwhile is noticed
            // by its first event.
            if watches.walk(&mut Pending::default()).is_err() {
                break;
            }
        }
        watches.table.shrink();
        watches.todo = Vec::new();
        Ok(watches)
    }

    /// Waits until the kernel has something.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.ready.readable().await
    }

    /// How many directories are watched, and how many are not because the kernel grants no more.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.table.len() as u64, self.polled.iter().map(|p| p.beyond).sum())
    }

    /// True if there is something that only [`Watches::tick`] looks after.
    pub(super) fn needs_tick(&self) -> bool {
        !self.polled.is_empty()
    }

    /// Reports what has no watch, and tries to watch it after all.
    pub(super) fn tick(&mut self, out: &mut Pending) -> Step {
        let mut full = false;
        for p in std::mem::take(&mut self.polled) {
            let Some(at) = self.table.path(p.parent) else {
                // Adrift, until the queue has told more.
                self.polled.push(p);
                continue;
            };
            out.tree(at.join(&p.name));
            if full && p.beyond > 0 {
                self.polled.push(p);
                continue;
            }
            let before = self.polled.len();
            if self.attach_at(p.parent, &p.name, out).is_err() {
                return Step::Gone;
            }
            full |= self.polled.len() > before && p.beyond > 0;
        }
        Step::Busy
    }

    /// A bounded piece of what is to be done.
    ///
    /// # Errors
    /// Reading the queue failed.
    pub(super) fn step(&mut self, out: &mut Pending) -> io::Result<Step> {
        if std::mem::take(&mut self.lost) {
            out.all();
            self.table.set_stale();
            self.polled.clear();
            self.later.clear();
            self.todo = vec![self.table.root()];
            self.walking = true;
        }
        if !self.todo.is_empty() {
            return Ok(self.walk(out).map_or(Step::Gone, |()| Step::Busy));
        }
        if std::mem::take(&mut self.walking) {
            let stale = self.table.stale();
            self.forget(stale);
        }
        if let Some(step) = self.read(out)? {
            self.tried = false;
            return Ok(step);
        }
        if !std::mem::replace(&mut self.tried, true) && !self.later.is_empty() {
            self.todo = std::mem::take(&mut self.later);
            return Ok(Step::Busy);
        }
        if std::mem::take(&mut self.loose) {
            // What was moved away and did not turn up. If it does yet (the second half of a rename that is being
            // made), it is walked as new.
            let lost = self.table.unreachable();
            self.forget(lost);
        }
        Ok(Step::Idle)
    }

    /// One buffer of events; `None` if there are none.
    fn read(&mut self, out: &mut Pending) -> io::Result<Option<Step>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.inotify.read_events(&mut buffer).map(|events| {
            let mut step = Step::Busy;
            for event in events {
                if matches!(step, Step::Busy) {
                    step = self.take(&event, out);
                }
            }
            step
        });
        self.buffer = buffer;
        match read {
            Ok(step) => Ok(Some(step)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(Step::Busy)),
            Err(e) => Err(e),
        }
    }

    fn take(&mut self, event: &Event<&OsStr>, out: &mut Pending) -> Step {
        let wd = event.wd.get_watch_descriptor_id();
        let is = |m: EventMask| event.mask.contains(m);
        if is(EventMask::Q_OVERFLOW) {
            self.lost = true;
            return Step::Busy;
        }
        if wd == self.table.root()
            && (is(EventMask::UNMOUNT) || is(EventMask::IGNORED) || is(EventMask::DELETE_SELF) || is(EventMask::MOVE_SELF))
        {
            return Step::Gone;
        }
        if is(EventMask::IGNORED) {
            self.table.remove(wd);
            return Step::Busy;
        }
        if is(EventMask::UNMOUNT) {
            // What was beneath the mount point is to be seen again.
            if let Some((parent, _)) = self.table.place_of(wd) {
                self.look_later(parent);
            }
            if let Some(path) = self.table.path(wd) {
                out.tree(path);
            }
            return Step::Busy;
        }
        let name = event.name.and_then(|n| Name::new(n.as_bytes()));
        if is(EventMask::MOVED_FROM)
            && is(EventMask::ISDIR)
            && let Some(name) = &name
        {
            self.loose |= self.table.set_adrift(wd, name.as_bytes());
        }
        let Some(at) = self.table.path(wd) else {
            // Adrift: when it turns up, it is reported with all beneath; but which directories are in it must be known.
            if is(EventMask::ISDIR) && self.table.has(wd) {
                self.look_later(wd);
            }
            return Step::Busy;
        };
        let Some(name) = name else {
            // Of the directory itself; its parent's watch tells the same, and only the root has none.
            if at.is_root() {
                out.dir(at);
            }
            return Step::Busy;
        };
        if (self.skip)(&at, name.as_bytes()) {
            return Step::Busy;
        }
        if is(EventMask::ISDIR) {
            if is(EventMask::ATTRIB) {
                // It may have become readable, with all beneath.
                out.tree(at.join(&name));
            }
            // Whatever the event said: what has the name now gets its place.
            if self.attach_at(wd, &name, out).is_err() {
                return Step::Gone;
            }
        }
        out.dir(at);
        Step::Busy
    }

    /// Lists some of the directories that are to be listed.
    fn walk(&mut self, out: &mut Pending) -> Result<(), Absent> {
        for _ in 0..PIECE {
            let Some(wd) = self.todo.pop() else { break };
            let Some((at, dir)) = self.reach(wd)? else { continue };
            self.polled.retain(|p| p.parent != wd);
            // A directory that may be watched but not listed: the scan reports it.
            for name in walk::directories(&dir).unwrap_or_default() {
                if !(self.skip)(&at, name.as_bytes()) {
                    self.attach(wd, &at, &dir, &name, out);
                }
            }
        }
        Ok(())
    }

    /// Looks at one name of a watched directory.
    fn attach_at(&mut self, wd: i32, name: &Name, out: &mut Pending) -> Result<(), Absent> {
        self.polled.retain(|p| p.parent != wd || p.name != *name);
        if let Some((at, dir)) = self.reach(wd)? {
            self.attach(wd, &at, &dir, name, out);
        }
        Ok(())
    }

    /// Opens a watched directory, if its path leads to it. Otherwise it is noted for when the queue is empty.
    fn reach(&mut self, wd: i32) -> Result<Option<(RelPath, OwnedFd)>, Absent> {
        if !self.table.has(wd) {
            return Ok(None);
        }
        if let Some(at) = self.table.path(wd) {
            match walk::open_below(&self.root, &at) {
                Ok(dir) if self.is_watched_as(&dir, wd) => return Ok(Some((at, dir))),
                Err(e) if walk::is_absent(e) && disk::open_root(&self.root).is_err_and(walk::is_absent) => return Err(Absent),
                _ => {}
            }
        }
        self.look_later(wd);
        Ok(None)
    }

    fn look_later(&mut self, wd: i32) {
        if !self.later.contains(&wd) {
            self.later.push(wd);
        }
    }

    /// Adds a watch; an inode that has one keeps its number.
    fn watch(&self, dir: &OwnedFd) -> Result<i32, Errno> {
        self.inotify
            .watches()
            .add(by_descriptor(dir), mask())
            .map(|wd| wd.get_watch_descriptor_id())
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    /// Watches a subdirectory. `dir` is known to be what `wd` watches.
    fn attach(&mut self, wd: i32, at: &RelPath, dir: &OwnedFd, name: &Name, out: &mut Pending) {
        let path = at.join(name);
        let sub = match walk::open_in(dir, name.as_bytes(), OFlags::RDONLY) {
            Ok(sub) => sub,
            // Gone again, or not a directory; or nobody lets us in, which the scan reports.
            Err(e) if walk::is_absent(e) || e == Errno::ACCESS || e == Errno::PERM => return,
            Err(_) => return self.poll(wd, name, 0),
        };
        if walk::device(&sub).is_ok_and(|d| d != self.device) && disk::network(sub.as_fd()).is_some() {
            return self.poll(wd, name, 0);
        }
        let new = match self.watch(&sub) {
            Ok(new) => new,
            Err(Errno::NOSPC) => {
                let beyond = walk::count(sub);
                return self.poll(wd, name, beyond);
            }
            Err(Errno::ACCESS | Errno::PERM | Errno::NOENT) => return,
            Err(_) => return self.poll(wd, name, 0),
        };
        if !self.table.has(new) {
            self.table.place(new, wd, name.as_bytes());
            self.tried = false;
            self.todo.push(new);
            return out.dir(path);
        }
        let met = self.walking && self.table.meet(new);
        if met {
            self.todo.push(new);
        }
        if self.table.place_of(new) == Some((wd, name.as_bytes())) {
            return;
        }
        if self.is_where_it_was(new) {
            // One directory under two names (a bind mount): its watch tells of the other one only.
            return self.poll(wd, name, 0);
        }
        self.table.place(new, wd, name.as_bytes());
        self.tried = false;
        self.loose = true;
        out.tree(path);
    }

    /// True if the path that the table has for a watch still leads to it.
    fn is_where_it_was(&self, wd: i32) -> bool {
        self.table.path(wd).is_some_and(|old| walk::open_below(&self.root, &old).is_ok_and(|dir| self.is_watched_as(&dir, wd)))
    }

    /// True if this directory is the one that the watch stands for.
    fn is_watched_as(&self, dir: &OwnedFd, wd: i32) -> bool {
        match self.watch(dir) {
            Ok(found) if found == wd => true,
            Ok(found) => {
                if !self.table.has(found) {
                    let _ = rustix::fs::inotify::remove_watch(&self.inotify, found);
                }
                false
            }
            Err(_) => false,
        }
    }

    fn poll(&mut self, parent: i32, name: &Name, beyond: u64) {
        self.polled.push(Polled { parent, name: name.clone(), beyond });
    }

    /// Ends watches. Events of theirs that wait already are of no use: what turns up again is walked as new.
    fn forget(&mut self, all: Vec<i32>) {
        for wd in all {
            self.table.remove(wd);
            // Fails if the directory is gone and the kernel has ended the watch by itself. (By number: the crate's own
            // handle would cost each directory as much as all the rest.)
            let _ = rustix::fs::inotify::remove_watch(&self.inotify, wd);
        }
        let table = &self.table;
        self.polled.retain(|p| table.has(p.parent));
        self.later.retain(|wd| table.has(*wd));
    }
}

/// What is asked of the kernel. `MODIFY`, because a file that is never closed changes too; `CLOSE_WRITE`, because what
/// is written through a mapping is told by nothing else.
fn mask() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::MODIFY
        | WatchMask::CLOSE_WRITE
        | WatchMask::ATTRIB
        | WatchMask::ONLYDIR
        | WatchMask::EXCL_UNLINK
        // An inode that is watched already keeps what is asked of it beside this (the root).
        | WatchMask::MASK_ADD
}

/// The path of an open descriptor.
fn by_descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
