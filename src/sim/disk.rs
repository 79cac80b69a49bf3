//! A disk in memory, with power-cut semantics.
//!
//! Beside what programs see stands what is durable. A power cut keeps what was synced; of the rest it keeps some, by
//! the seed: a file's contents may be old, new or torn, and changes of directory entries may be there or not, each for
//! itself, but what one rename did is there or not as a whole.

use super::clock::{SimClock, SimRandom};
use super::hook::{Life, Seam};
use crate::clock::{Clock, Time};
use crate::files::{Files, Kind, Open, Stat, Traits};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

const ROOT: u64 = 1;

/// A disk that can do everything.
pub const ABLE: Traits = Traits {
    folds_case: false,
    folds_form: false,
    exec_bit: true,
    modes: true,
    time_step: 1,
    noreplace: true,
    exchange: true,
    links: true,
};

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
}

/// An open file of a [`SimDisk`]; it stays with its inode.
pub struct SimFile {
    disk: SimDisk,
    ino: u64,
    at: u64,
}

fn err(kind: ErrorKind) -> io::Error {
    kind.into()
}

impl SimDisk {
    /// An empty disk.
    pub fn new(traits: Traits, clock: &SimClock) -> SimDisk {
        let now = clock.now();
        let root = Inode { data: Data::Dir, mode: 0o755, mtime: now, ctime: now, birth: now };
        let image = Image { inodes: BTreeMap::from([(ROOT, root)]), dirs: BTreeMap::from([(ROOT, Names::new())]) };
        let inner = Inner { now: image.clone(), durable: image, last_ino: ROOT, traits, free: u64::MAX };
        SimDisk { inner: Rc::new(RefCell::new(inner)), clock: clock.clone(), life: None }
    }

    /// The same disk as a device's engine sees it: each verb is told to the scheduler.
    pub fn for_engine(&self, life: &Life, seam: Seam) -> SimDisk {
        SimDisk { life: Some((life.clone(), seam)), ..self.clone() }
    }

    /// Limits what is free, in bytes.
    pub fn set_free(&self, bytes: u64) {
        self.inner.borrow_mut().free = bytes;
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

    /// The power goes and comes back: what was not synced may be lost.
    pub fn power_cut(&self, random: &mut SimRandom) {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        // Which directory entries survive: all of one inode's changes together, and tied inodes together.
        let links = |image: &Image| -> BTreeMap<u64, BTreeSet<(u64, Vec<u8>)>> {
            let mut out: BTreeMap<u64, BTreeSet<(u64, Vec<u8>)>> = BTreeMap::new();
            for (dir, names) in &image.dirs {
                for (name, ino) in names.values() {
                    out.entry(*ino).or_default().insert((*dir, name.clone()));
                }
            }
            out
        };
        let (old, new) = (links(&inner.durable), links(&inner.now));
        let inos: BTreeSet<u64> = old.keys().chain(new.keys()).copied().filter(|i| old.get(i) != new.get(i)).collect();
        let mut group: BTreeMap<u64, u64> = inos.iter().map(|i| (*i, *i)).collect();
        let find = |group: &BTreeMap<u64, u64>, mut i: u64| {
            while group[&i] != i {
                i = group[&i];
            }
            i
        };
        // A replaced name ties who had it to who has it.
        for i in &inos {
            for place in old.get(i).into_iter().flatten() {
                let taker = inos.iter().find(|j| *j != i && new.get(j).is_some_and(|n| n.contains(place)));
                if let Some(j) = taker {
                    let (a, b) = (find(&group, *i), find(&group, *j));
                    group.insert(a, b);
                }
            }
        }
        let mut keep: BTreeMap<u64, bool> = BTreeMap::new();
        let mut result = Image::default();
        let all: BTreeSet<u64> = inner.now.inodes.keys().chain(inner.durable.inodes.keys()).copied().collect();
        for ino in all {
            let changed = inos.contains(&ino);
            let newer = !changed || *keep.entry(find(&group, ino)).or_insert_with(|| random.chance(50));
            let places = if newer { new.get(&ino) } else { old.get(&ino) };
            let (was, is) = (inner.durable.inodes.get(&ino), inner.now.inodes.get(&ino));
            let Some(node) = is.or(was) else { continue };
            let mut node = node.clone();
            if let Data::File(now) = &node.data {
                let synced = was.and_then(|w| match &w.data {
                    Data::File(d) => Some(d.clone()),
                    _ => None,
                });
                let old = synced.unwrap_or_default();
                if *old != **now {
                    node.data = Data::File(match random.below(3) {
                        0 => old,
                        1 => now.clone(),
                        _ => {
                            let cut = random.below(now.len() as u64 + 1) as usize;
                            let mut torn = now[..cut].to_vec();
                            torn.resize(now.len(), 0);
                            Rc::new(torn)
                        }
                    });
                }
            }
            if matches!(node.data, Data::Dir) {
                result.dirs.entry(ino).or_default();
            }
            result.inodes.insert(ino, node);
            for (dir, name) in places.into_iter().flatten() {
                let key = fold(&inner.traits, name);
                let names = result.dirs.entry(*dir).or_default();
                // The inode of a change that is there wins over one of a change that is not.
                if newer || !names.contains_key(&key) {
                    names.insert(key, (name.clone(), ino));
                }
            }
        }
        // What hangs on a directory that is not there is lost.
        let mut reached = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        while let Some(dir) = todo.pop() {
            let mut twice = Vec::new();
            for (key, (_, ino)) in result.dirs.get(&dir).cloned().unwrap_or_default() {
                if !result.inodes.contains_key(&ino) {
                    twice.push(key);
                } else if reached.insert(ino) {
                    if result.dirs.contains_key(&ino) {
                        todo.push(ino);
                    }
                } else if result.dirs.contains_key(&ino) {
                    twice.push(key);
                }
            }
            for key in twice {
                if let Some(names) = result.dirs.get_mut(&dir) {
                    names.remove(&key);
                }
            }
        }
        result.inodes.retain(|i, _| reached.contains(i));
        result.dirs.retain(|i, _| reached.contains(i));
        inner.now = result.clone();
        inner.durable = result;
    }

    fn tick(&self) -> Time {
        self.clock.now()
    }

    fn lookup(&self, dir: u64, name: &[u8]) -> io::Result<Option<u64>> {
        let inner = self.inner.borrow();
        // A directory that was removed is empty to those who still hold it.
        let Some(names) = inner.now.dirs.get(&dir) else { return Ok(None) };
        Ok(names.get(&fold(&inner.traits, name)).map(|(_, ino)| *ino))
    }

    fn need(&self, dir: u64, name: &[u8]) -> io::Result<u64> {
        self.lookup(dir, name)?.ok_or_else(|| err(ErrorKind::NotFound))
    }

    fn touch_dir(inner: &mut Inner, dir: u64, now: Time) {
        if let Some(i) = inner.now.inodes.get_mut(&dir) {
            i.mtime = now;
            i.ctime = now;
        }
    }

    fn make(&self, dir: u64, name: &[u8], data: Data, mode: u32) -> io::Result<u64> {
        if name.is_empty() || name.len() > 255 {
            return Err(err(ErrorKind::InvalidInput));
        }
        if self.lookup(dir, name)?.is_some() {
            return Err(err(ErrorKind::AlreadyExists));
        }
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

    fn stat_ino(&self, ino: u64) -> io::Result<Stat> {
        let inner = self.inner.borrow();
        let i = inner.now.inodes.get(&ino).ok_or_else(|| err(ErrorKind::NotFound))?;
        let (kind, size) = match &i.data {
            Data::File(d) => (Kind::File, d.len() as u64),
            Data::Link(t) => (Kind::Link, t.len() as u64),
            Data::Dir => (Kind::Dir, 0),
        };
        Ok(Stat { kind, size, mode: i.mode, mtime: i.mtime, ctime: i.ctime, ino, dev: 1, birth: Some(i.birth) })
    }

    fn write_ino(&self, ino: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let now = self.tick();
        let mut inner = self.inner.borrow_mut();
        let mtime = coarse(&inner.traits, now);
        if inner.free < bytes.len() as u64 {
            return Err(err(ErrorKind::StorageFull));
        }
        if inner.free != u64::MAX {
            inner.free -= bytes.len() as u64;
        }
        let i = inner.now.inodes.get_mut(&ino).ok_or_else(|| err(ErrorKind::NotFound))?;
        let Data::File(d) = &mut i.data else { return Err(err(ErrorKind::InvalidInput)) };
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
        let i = inner.now.inodes.get_mut(&ino).ok_or_else(|| err(ErrorKind::NotFound))?;
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
        let there = self.lookup(to, new)?.filter(|t| *t != ino);
        let is_dir = |i: u64| self.inner.borrow().now.dirs.contains_key(&i);
        if is_dir(ino) && self.is_below(to, ino) {
            return Err(err(ErrorKind::InvalidInput));
        }
        if let Some(t) = there {
            match (is_dir(ino), is_dir(t)) {
                (true, false) => return Err(err(ErrorKind::NotADirectory)),
                (false, true) => return Err(err(ErrorKind::IsADirectory)),
                (true, true) if !self.inner.borrow().now.dirs[&t].is_empty() => return Err(err(ErrorKind::DirectoryNotEmpty)),
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

impl Read for SimFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for SimFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open for SimFile {
    fn stat(&self) -> io::Result<Stat> {
        self.disk.alive()?;
        self.disk.stat_ino(self.ino)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.alive()?;
        let inner = self.disk.inner.borrow();
        let i = inner.now.inodes.get(&self.ino).ok_or_else(|| err(ErrorKind::NotFound))?;
        let Data::File(d) = &i.data else { return Err(err(ErrorKind::IsADirectory)) };
        let from = (offset as usize).min(d.len());
        let n = buf.len().min(d.len() - from);
        buf[..n].copy_from_slice(&d[from..from + n]);
        Ok(n)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.disk.alive()?;
        self.disk.write_ino(self.ino, offset, buf)?;
        self.disk.done("write", ())
    }

    fn set_mtime(&self, t: Time) -> io::Result<()> {
        self.disk.alive()?;
        self.disk.change(self.ino, |traits, i| i.mtime = coarse(traits, t))?;
        self.disk.done("set_mtime", ())
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.disk.alive()?;
        self.disk.change(self.ino, |traits, i| i.mode = if traits.exec_bit { mode } else { mode & !0o111 })?;
        self.disk.done("set_mode", ())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.alive()?;
        self.disk.change(self.ino, |_, i| {
            if let Data::File(d) = &mut i.data {
                Rc::make_mut(d).resize(len as usize, 0);
            }
        })?;
        self.disk.done("set_len", ())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.alive()?;
        {
            let mut inner = self.disk.inner.borrow_mut();
            if let Some(i) = inner.now.inodes.get(&self.ino).cloned() {
                inner.durable.inodes.insert(self.ino, i);
            }
        }
        self.disk.done("sync", ())
    }
}

impl Files for SimDisk {
    type Dir = u64;
    type File = SimFile;

    fn root(&self) -> u64 {
        ROOT
    }

    fn traits(&self) -> Traits {
        self.inner.borrow().traits
    }

    fn open_dir(&self, at: &u64, name: &[u8]) -> io::Result<u64> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        match self.inner.borrow().now.dirs.contains_key(&ino) {
            true => Ok(ino),
            false => Err(err(ErrorKind::NotADirectory)),
        }
    }

    fn list(&self, at: &u64) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>> {
        self.alive()?;
        let out = {
            let inner = self.inner.borrow();
            let names = inner.now.dirs.get(at).ok_or_else(|| err(ErrorKind::NotFound))?;
            names.values().map(|(n, _)| (n.clone().into_boxed_slice(), None)).collect()
        };
        self.done("list", out)
    }

    fn stat(&self, at: &u64, name: &[u8]) -> io::Result<Option<Stat>> {
        self.alive()?;
        let out = match self.lookup(*at, name)? {
            Some(ino) => Some(self.stat_ino(ino)?),
            None => None,
        };
        self.done("stat", out)
    }

    fn stat_dir(&self, at: &u64) -> io::Result<Stat> {
        self.alive()?;
        self.stat_ino(*at)
    }

    fn open(&self, at: &u64, name: &[u8]) -> io::Result<SimFile> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        match self.inner.borrow().now.inodes.get(&ino).map(|i| &i.data) {
            Some(Data::File(_)) => {}
            _ => return Err(err(ErrorKind::InvalidInput)),
        }
        self.done("open", SimFile { disk: self.clone(), ino, at: 0 })
    }

    fn open_rw(&self, at: &u64, name: &[u8]) -> io::Result<SimFile> {
        self.open(at, name)
    }

    fn create(&self, at: &u64, name: &[u8], mode: u32) -> io::Result<SimFile> {
        self.alive()?;
        let ino = self.make(*at, name, Data::File(Rc::default()), mode & !0o022)?;
        self.done("create", SimFile { disk: self.clone(), ino, at: 0 })
    }

    fn mkdir(&self, at: &u64, name: &[u8], mode: u32) -> io::Result<()> {
        self.alive()?;
        self.make(*at, name, Data::Dir, mode & !0o022)?;
        self.done("mkdir", ())
    }

    fn symlink(&self, target: &[u8], at: &u64, name: &[u8]) -> io::Result<()> {
        self.alive()?;
        if !self.inner.borrow().traits.links {
            return Err(err(ErrorKind::Unsupported));
        }
        self.make(*at, name, Data::Link(Rc::new(target.to_vec())), 0o777)?;
        self.done("symlink", ())
    }

    fn set_link_mtime(&self, at: &u64, name: &[u8], t: Time) -> io::Result<()> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        self.change(ino, |traits, i| i.mtime = coarse(traits, t))?;
        self.done("set_link_mtime", ())
    }

    fn readlink(&self, at: &u64, name: &[u8]) -> io::Result<Vec<u8>> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        match self.inner.borrow().now.inodes.get(&ino).map(|i| &i.data) {
            Some(Data::Link(t)) => Ok(t.to_vec()),
            _ => Err(err(ErrorKind::InvalidInput)),
        }
    }

    fn rename(&self, at: &u64, name: &[u8], to: &u64, new: &[u8]) -> io::Result<()> {
        self.alive()?;
        self.move_entry(*at, name, *to, new)?;
        self.done("rename", ())
    }

    fn rename_noreplace(&self, at: &u64, name: &[u8], to: &u64, new: &[u8]) -> io::Result<()> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        if self.lookup(*to, new)?.is_some_and(|t| t != ino) || (*at, name) == (*to, new) {
            return Err(err(ErrorKind::AlreadyExists));
        }
        self.move_entry(*at, name, *to, new)?;
        self.done("rename_noreplace", ())
    }

    fn exchange(&self, at: &u64, name: &[u8], to: &u64, new: &[u8]) -> io::Result<()> {
        self.alive()?;
        if !self.inner.borrow().traits.exchange {
            return Err(err(ErrorKind::Unsupported));
        }
        let (a, b) = (self.need(*at, name)?, self.need(*to, new)?);
        let now = self.tick();
        {
            let mut inner = self.inner.borrow_mut();
            let (ka, kb) = (fold(&inner.traits, name), fold(&inner.traits, new));
            let mut put = |dir: u64, key: Vec<u8>, ino: u64| {
                if let Some(e) = inner.now.dirs.get_mut(&dir).and_then(|n| n.get_mut(&key)) {
                    e.1 = ino;
                }
                if let Some(i) = inner.now.inodes.get_mut(&ino) {
                    i.ctime = now;
                }
            };
            put(*at, ka, b);
            put(*to, kb, a);
            Self::touch_dir(&mut inner, *at, now);
            Self::touch_dir(&mut inner, *to, now);
        }
        self.done("exchange", ())
    }

    fn unlink(&self, at: &u64, name: &[u8]) -> io::Result<()> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        if self.inner.borrow().now.dirs.contains_key(&ino) {
            return Err(err(ErrorKind::IsADirectory));
        }
        let now = self.tick();
        {
            let mut inner = self.inner.borrow_mut();
            Self::detach(&mut inner, *at, name);
            Self::touch_dir(&mut inner, *at, now);
        }
        self.done("unlink", ())
    }

    fn rmdir(&self, at: &u64, name: &[u8]) -> io::Result<()> {
        self.alive()?;
        let ino = self.need(*at, name)?;
        let now = self.tick();
        {
            let mut inner = self.inner.borrow_mut();
            match inner.now.dirs.get(&ino) {
                None => return Err(err(ErrorKind::NotADirectory)),
                Some(n) if !n.is_empty() => return Err(err(ErrorKind::DirectoryNotEmpty)),
                Some(_) => {}
            }
            inner.now.dirs.remove(&ino);
            Self::detach(&mut inner, *at, name);
            Self::touch_dir(&mut inner, *at, now);
        }
        self.done("rmdir", ())
    }

    fn sync_dir(&self, at: &u64) -> io::Result<()> {
        self.alive()?;
        {
            let mut inner = self.inner.borrow_mut();
            let inner = &mut *inner;
            let Some(names) = inner.now.dirs.get(at).cloned() else { return Ok(()) };
            // What moved between this directory and another goes with it: a rename is one entry of the journal.
            let here: BTreeSet<u64> = names.values().map(|(_, i)| *i).collect();
            let left: BTreeSet<u64> =
                inner.durable.dirs.get(at).into_iter().flat_map(|n| n.values().map(|(_, i)| *i)).filter(|i| !here.contains(i)).collect();
            for (dir, other) in &mut inner.durable.dirs {
                if dir != at {
                    other.retain(|_, (_, i)| !here.contains(i));
                }
            }
            for (dir, now_names) in &inner.now.dirs {
                for (key, entry) in now_names {
                    if dir != at && left.contains(&entry.1) {
                        inner.durable.dirs.entry(*dir).or_default().insert(key.clone(), entry.clone());
                    }
                }
            }
            for (_, ino) in names.values() {
                if let Some(i) = inner.now.inodes.get(ino) {
                    let empty = Inode {
                        data: match &i.data {
                            Data::File(_) => Data::File(Rc::default()),
                            d => d.clone(),
                        },
                        ..i.clone()
                    };
                    inner.durable.inodes.entry(*ino).or_insert(empty);
                }
                if inner.now.dirs.contains_key(ino) {
                    inner.durable.dirs.entry(*ino).or_default();
                }
            }
            inner.durable.dirs.insert(*at, names);
        }
        self.done("sync_dir", ())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.alive()?;
        {
            let mut inner = self.inner.borrow_mut();
            inner.durable = inner.now.clone();
        }
        self.done("sync_all", ())
    }

    fn free(&self) -> io::Result<u64> {
        self.alive()?;
        Ok(self.inner.borrow().free)
    }
}
