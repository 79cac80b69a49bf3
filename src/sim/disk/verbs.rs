//! The verbs of the seam: what each does, then the scheduler's turn.

use super::{Data, Inode, ROOT, SimDisk, SimFile, coarse, fold};
use crate::clock::Time;
use crate::files::{Files, Kind, Open, Stat, Traits};
use crate::sim::hook::Seam;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

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

impl SimFile {
    /// What is there at this moment.
    fn copy(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let inner = self.disk.inner.borrow();
        let i = inner.now.inodes.get(&self.ino).ok_or_else(|| io::Error::from(Errno::NOENT))?;
        let Data::File(d) = &i.data else { return Err(Errno::ISDIR.into()) };
        let from = (offset as usize).min(d.len());
        let n = buf.len().min(d.len() - from);
        buf[..n].copy_from_slice(&d[from..from + n]);
        Ok(n)
    }
}

impl Open for SimFile {
    fn stat(&self) -> io::Result<Stat> {
        self.disk.alive()?;
        self.disk.stat_ino(self.ino)
    }

    /// What is read of the share may be torn: somebody writes when half of it is read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.alive()?;
        let n = self.copy(offset, buf)?;
        if n < 2 || !matches!(self.disk.life, Some((_, Seam::Share))) {
            return Ok(n);
        }
        let half = n / 2;
        self.disk.done("read", ())?;
        Ok(half + self.copy(offset + half as u64, &mut buf[half..n])?)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.disk.alive()?;
        if buf.is_empty() {
            return Ok(());
        }
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
        let now = self.disk.tick();
        self.disk.change(self.ino, |traits, i| {
            if let Data::File(d) = &mut i.data {
                Rc::make_mut(d).resize(len as usize, 0);
                i.mtime = coarse(traits, now);
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
            true => self.permits(ino, 0o400).map(|()| ino),
            false => Err(Errno::NOTDIR.into()),
        }
    }

    fn list(&self, at: &u64) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>> {
        self.alive()?;
        let out = {
            let inner = self.inner.borrow();
            // A directory that was removed is empty to those who still hold it, here too (as on ext4).
            let names = inner.now.dirs.get(at).into_iter().flat_map(|names| names.values());
            names.map(|(n, _)| (n.clone().into_boxed_slice(), None)).collect()
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
            Some(Data::Dir) => return Err(Errno::ISDIR.into()),
            Some(Data::Link(_)) => return Err(Errno::LOOP.into()),
            None => return Err(Errno::NOENT.into()),
        }
        self.permits(ino, 0o400)?;
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
            return Err(ErrorKind::Unsupported.into());
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
            _ => Err(Errno::INVAL.into()),
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
        // (A name that differs from its own new one only by what the disk folds is free.)
        if self.lookup(*to, new)?.is_some_and(|t| t != ino) || (*at, name) == (*to, new) {
            return Err(Errno::EXIST.into());
        }
        if !self.traits().noreplace {
            let is_dir = self.inner.borrow().now.dirs.contains_key(&ino);
            if !is_dir {
                // link and unlink, with a moment between them in which both names are there.
                self.link(*at, name, *to, new)?;
                self.done("link", ())?;
                return self.unlink(at, name);
            }
            // A check and a rename: what comes between them is replaced, if it is an empty directory.
            self.done("stat", ())?;
        }
        self.move_entry(*at, name, *to, new)?;
        self.done("rename_noreplace", ())
    }

    fn exchange(&self, at: &u64, name: &[u8], to: &u64, new: &[u8]) -> io::Result<()> {
        self.alive()?;
        if !self.inner.borrow().traits.exchange {
            return Err(ErrorKind::Unsupported.into());
        }
        let (a, b) = (self.need(*at, name)?, self.need(*to, new)?);
        // EINVAL: a directory would lie in itself. The real disk cannot tell it from a call that is missing.
        if self.is_below(*to, a) || self.is_below(*at, b) {
            return Err(ErrorKind::Unsupported.into());
        }
        self.permits(*at, 0o200)?;
        self.permits(*to, 0o200)?;
        let now = self.tick();
        if (at, name) != (to, new) {
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
            return Err(Errno::ISDIR.into());
        }
        self.permits(*at, 0o200)?;
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
        self.permits(*at, 0o200)?;
        let now = self.tick();
        {
            let mut inner = self.inner.borrow_mut();
            match inner.now.dirs.get(&ino) {
                None => return Err(Errno::NOTDIR.into()),
                Some(n) if !n.is_empty() => return Err(Errno::NOTEMPTY.into()),
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
