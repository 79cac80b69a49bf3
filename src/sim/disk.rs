//! A disk in memory, with power-cut semantics.
//!
//! Beside what programs see stands what is durable. A power cut keeps what was synced; of the rest it keeps some, by
//! the seed: a file's contents may be old, new or torn, and changes of directory entries may be there or not, each for
//! itself, but what one rename did is there or not as a whole.

mod cut;
mod verbs;

use super::clock::SimClock;
use super::hook::{Life, Seam};
use crate::clock::{Clock, Time};
use crate::files::{Kind, Stat, Traits};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

const ROOT: u64 = 1;

/// A disk that can do everything.
pub const ABLE: Traits = Traits::ALL;

#[derive(Clone)]
enum Data {
    File(Rc<Vec<u8>>),
    Link(Rc<Vec<u8>>),
    Dir,
}

#[derive(Clone)]
struct Inode {
    data: Data,
    mode: u32,
    mtime: Time,
    ctime: Time,
    birth: Time,
}

/// Names of one directory: folded key to name as written and inode.
type Names = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

#[derive(Clone, Default)]
struct Image {
    inodes: BTreeMap<u64, Inode>,
    dirs: BTreeMap<u64, Names>,
}

struct Inner {
    now: Image,
    durable: Image,
    last_ino: u64,
    traits: Traits,
    free: u64,
}

/// See the module. Clones share the disk.
#[derive(Clone)]
pub struct SimDisk {
    inner: Rc<RefCell<Inner>>,
    clock: SimClock,
    life: Option<(Life, Seam)>,
    /// Neither modes nor a full disk stop this one.
    user: bool,
}

/// All that a disk holds at a moment.
#[derive(Clone)]
pub struct Snapshot(Image);

/// What a new entry of a directory takes of a disk, in bytes.
const ENTRY: u64 = 64;

/// An open file of a [`SimDisk`]; it stays with its inode.
pub struct SimFile {
    disk: SimDisk,
    ino: u64,
    at: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(traits: Traits, clock: &SimClock) -> SimDisk {
        let now = clock.now();
        let root = Inode { data: Data::Dir, mode: 0o755, mtime: now, ctime: now, birth: now };
        let image = Image { inodes: BTreeMap::from([(ROOT, root)]), dirs: BTreeMap::from([(ROOT, Names::new())]) };
        let inner = Inner { now: image.clone(), durable: image, last_ino: ROOT, traits, free: u64::MAX };
        SimDisk { inner: Rc::new(RefCell::new(inner)), clock: clock.clone(), life: None, user: false }
    }

    /// The same disk as a device's engine sees it: each verb is told to the scheduler.
    pub fn for_engine(&self, life: &Life, seam: Seam) -> SimDisk {
        SimDisk { life: Some((life.clone(), seam)), ..self.clone() }
    }

    /// The same disk for hands that no mode stops, and for which there is always room: a user's, who is not what is tested.
    pub fn for_user(&self) -> SimDisk {
        SimDisk { life: None, user: true, ..self.clone() }
    }

    /// Limits what is free, in bytes.
    pub fn set_free(&self, bytes: u64) {
        self.inner.borrow_mut().free = bytes;
    }

    /// All that it holds now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.inner.borrow().now.clone())
    }

    /// It is again what it was then, durably.
    pub fn restore(&self, then: &Snapshot) {
        let mut inner = self.inner.borrow_mut();
        (inner.now, inner.durable) = (then.0.clone(), then.0.clone());
    }

    /// Sets the mode of whatever has this name.
    pub fn set_mode_of(&self, dir: u64, name: &[u8], mode: u32) -> io::Result<()> {
        let ino = self.need(dir, name)?;
        self.change(ino, |_, i| i.mode = mode)
    }

    /// EACCES if an inode's mode lacks this bit (0o400 to read, 0o200 to change).
    fn permits(&self, ino: u64, bit: u32) -> io::Result<()> {
        match self.inner.borrow().now.inodes.get(&ino) {
            Some(i) if !self.user && i.mode & bit == 0 => Err(Errno::ACCESS.into()),
            _ => Ok(()),
        }
    }

    /// Takes so much of what is free.
    fn take(&self, bytes: u64) -> io::Result<()> {
        let free = &mut self.inner.borrow_mut().free;
        if self.user || *free == u64::MAX {
            return Ok(());
        }
        *free = free.checked_sub(bytes).ok_or_else(|| io::Error::from(Errno::NOSPC))?;
        Ok(())
    }

    fn alive(&self) -> io::Result<()> {
        match &self.life {
            Some((life, _)) => life.alive(),
            None => Ok(()),
        }
    }

    /// A verb has taken effect.
    fn done<T>(&self, verb: &'static str, out: T) -> io::Result<T> {
        if let Some((life, seam)) = &self.life {
            life.at(*seam, verb)?;
        }
        Ok(out)
    }

    fn tick(&self) -> Time {
        self.clock.now()
    }

    fn lookup(&self, dir: u64, name: &[u8]) -> io::Result<Option<u64>> {
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
            return Err(Errno::INVAL.into());
        }
        let inner = self.inner.borrow();
        // A directory that was removed is empty to those who still hold it.
        let Some(names) = inner.now.dirs.get(&dir) else { return Ok(None) };
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(names.get(&fold(&inner.traits, name)).map(|(_, ino)| *ino))
    }

    fn need(&self, dir: u64, name: &[u8]) -> io::Result<u64> {
        self.lookup(dir, name)?.ok_or_else(|| io::Error::from(Errno::NOENT))
    }

    /// Nothing new goes into a directory that was removed.
    fn standing(&self, dir: u64) -> io::Result<()> {
        match self.inner.borrow().now.dirs.contains_key(&dir) {
            true => Ok(()),
            false => Err(Errno::NOENT.into()),
        }
    }

    fn touch_dir(inner: &mut Inner, dir: u64, now: Time) {
        if let Some(i) = inner.now.inodes.get_mut(&dir) {
            i.mtime = now;
            i.ctime = now;
        }
    }

    fn make(&self, dir: u64, name: &[u8], data: Data, mode: u32) -> io::Result<u64> {
        self.standing(dir)?;
        if self.lookup(dir, name)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        self.permits(dir, 0o200)?;
        self.take(ENTRY)?;
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        inner.last_ino += 1;
        let ino = inner.last_ino;
        if matches!(data, Data::Dir) {
            inner.now.dirs.insert(ino, Names::new());
        }
        let mode = if inner.traits.exec_bit { mode } else { mode & !0o111 };
        let mtime = coarse(&inner.traits, now);
        inner.now.inodes.insert(ino, Inode { data, mode, mtime, ctime: now, birth: now });
        let key = fold(&inner.traits, name);
        inner.now.dirs.entry(dir).or_default().insert(key, (name.to_vec(), ino));
        Self::touch_dir(&mut inner, dir, now);
        Ok(ino)
    }

    /// A second name for a file or link.
    fn link(&self, at: u64, name: &[u8], to: u64, new: &[u8]) -> io::Result<()> {
        let ino = self.need(at, name)?;
        self.standing(to)?;
        if self.lookup(to, new)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        self.permits(to, 0o200)?;
        self.take(ENTRY)?;
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        let key = fold(&inner.traits, new);
        inner.now.dirs.entry(to).or_default().insert(key, (new.to_vec(), ino));
        if let Some(i) = inner.now.inodes.get_mut(&ino) {
            i.ctime = now;
        }
        Self::touch_dir(&mut inner, to, now);
        Ok(())
    }

    fn stat_ino(&self, ino: u64) -> io::Result<Stat> {
        let inner = self.inner.borrow();
        let i = inner.now.inodes.get(&ino).ok_or_else(|| io::Error::from(Errno::NOENT))?;
        let (kind, size) = match &i.data {
            Data::File(d) => (Kind::File, d.len() as u64),
            Data::Link(t) => (Kind::Link, t.len() as u64),
            Data::Dir => (Kind::Dir, 0),
        };
        Ok(Stat { kind, size, mode: i.mode, mtime: i.mtime, ctime: i.ctime, ino, dev: 1, birth: Some(i.birth), taken: size })
    }

    fn write_ino(&self, ino: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes.len() as u64)?;
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        let mtime = coarse(&inner.traits, now);
        let i = inner.now.inodes.get_mut(&ino).ok_or_else(|| io::Error::from(Errno::NOENT))?;
        let Data::File(d) = &mut i.data else { return Err(Errno::INVAL.into()) };
        let d = Rc::make_mut(d);
        let end = offset as usize + bytes.len();
        if d.len() < end {
            d.resize(end, 0);
        }
        d[offset as usize..end].copy_from_slice(bytes);
        i.mtime = mtime;
        i.ctime = now;
        Ok(())
    }

    fn change(&self, ino: u64, f: impl FnOnce(&Traits, &mut Inode)) -> io::Result<()> {
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        let traits = inner.traits;
        let i = inner.now.inodes.get_mut(&ino).ok_or_else(|| io::Error::from(Errno::NOENT))?;
        f(&traits, i);
        i.ctime = now;
        Ok(())
    }

    fn is_below(&self, ino: u64, of: u64) -> bool {
        let inner = self.inner.borrow();
        let mut todo = vec![of];
        while let Some(d) = todo.pop() {
            if d == ino {
                return true;
            }
            todo.extend(inner.now.dirs.get(&d).into_iter().flat_map(|n| n.values().map(|(_, i)| *i)));
        }
        false
    }

    fn detach(inner: &mut Inner, dir: u64, name: &[u8]) {
        let key = fold(&inner.traits, name);
        if let Some(names) = inner.now.dirs.get_mut(&dir) {
            names.remove(&key);
        }
    }

    fn move_entry(&self, at: u64, name: &[u8], to: u64, new: &[u8]) -> io::Result<()> {
        let ino = self.need(at, name)?;
        let there = self.lookup(to, new)?;
        let respelt = at == to && {
            let t = self.inner.borrow().traits;
            fold(&t, name) == fold(&t, new)
        };
        // Two names of one inode: rename(2) does nothing.
        if there == Some(ino) && !respelt {
            return Ok(());
        }
        let there = there.filter(|t| *t != ino);
        self.standing(to)?;
        if (at, name) == (to, new) {
            return Ok(());
        }
        let is_dir = |i: u64| self.inner.borrow().now.dirs.contains_key(&i);
        if is_dir(ino) && self.is_below(to, ino) {
            return Err(Errno::INVAL.into());
        }
        self.permits(at, 0o200)?;
        self.permits(to, 0o200)?;
        if let Some(t) = there {
            if self.is_below(at, t) {
                return Err(Errno::NOTEMPTY.into());
            }
            match (is_dir(ino), is_dir(t)) {
                (true, false) => return Err(Errno::NOTDIR.into()),
                (false, true) => return Err(Errno::ISDIR.into()),
                (true, true) if !self.inner.borrow().now.dirs[&t].is_empty() => return Err(Errno::NOTEMPTY.into()),
                _ => {}
            }
        }
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        Self::detach(&mut inner, at, name);
        Self::detach(&mut inner, to, new);
        if let Some(t) = there {
            inner.now.dirs.remove(&t);
        }
        let key = fold(&inner.traits, new);
        inner.now.dirs.entry(to).or_default().insert(key, (new.to_vec(), ino));
        if let Some(i) = inner.now.inodes.get_mut(&ino) {
            i.ctime = now;
        }
        Self::touch_dir(&mut inner, at, now);
        Self::touch_dir(&mut inner, to, now);
        Ok(())
    }

    /// Forgets inodes that no name leads to and nobody can open any more. For long runs.
    pub fn collect(&self) {
        let mut inner = self.inner.borrow_mut();
        let mut reached = BTreeSet::from([ROOT]);
        for image in [&inner.now, &inner.durable] {
            for names in image.dirs.values() {
                reached.extend(names.values().map(|(_, i)| *i));
            }
        }
        inner.now.inodes.retain(|i, _| reached.contains(i));
        inner.durable.inodes.retain(|i, _| reached.contains(i));
    }
}

fn fold(t: &Traits, name: &[u8]) -> Vec<u8> {
    if t.folds_case { name.to_ascii_lowercase() } else { name.to_vec() }
}

fn coarse(t: &Traits, time: Time) -> Time {
    if t.time_step <= 1 {
        return time;
    }
    let step = (t.time_step / 1_000_000_000).max(1) as i64;
    Time { s: time.s - time.s.rem_euclid(step), ns: 0 }
}

#[cfg(test)]
mod tests;
