//! Directories get their watches, and their places in the table.

use super::super::disk;
use super::super::pending::Pending;
use super::super::walk;
use super::{Absent, PIECE, Polled, Watches, by_descriptor, mask};
use crate::path::{Name, RelPath};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

impl Watches {
    /// Lists some of the directories that are to be listed.
    pub(super) fn walk(&mut self, out: &mut Pending) -> Result<(), Absent> {
        for _ in 0..PIECE {
            let Some(wd) = self.todo.pop() else { break };
            let Some((at, dir)) = self.reach(wd)? else { continue };
            self.polled.retain(|p| p.parent != wd);
            let names = match walk::directories(&dir) {
                Ok(names) => names,
                // The scan reports it.
                Err(Errno::ACCESS | Errno::PERM) => continue,
                Err(_) => {
                    self.look_later(wd);
                    continue;
                }
            };
            for name in names {
                if !(self.skip)(&at, name.as_bytes()) {
                    self.attach(wd, &at, &dir, &name, out);
                }
            }
        }
        Ok(())
    }

    /// Looks at one name of a watched directory.
    pub(super) fn attach_at(&mut self, wd: i32, name: &Name, out: &mut Pending) -> Result<(), Absent> {
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

    pub(super) fn look_later(&mut self, wd: i32) {
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
    pub(super) fn forget(&mut self, all: Vec<i32>) {
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
