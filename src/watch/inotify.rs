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

mod place;

use super::disk;
use super::pending::Pending;
use super::table::Table;
use super::walk;
use super::{Skip, Step};
use crate::path::Name;
use ::inotify::{Event, EventMask, Inotify, WatchMask};
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
        !self.polled.is_empty() || !self.later.is_empty()
    }

    /// Reports what has no watch, and tries to watch it after all.
    pub(super) fn tick(&mut self, out: &mut Pending) -> Step {
        // What could not be looked at for another reason than events that waited: no more descriptors or memory, perhaps.
        self.tried = false;
        self.later.iter().filter_map(|wd| self.table.path(*wd)).for_each(|path| out.tree(path));
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
