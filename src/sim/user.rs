//! What a user does to the files of a share, as programs do it: in place, by rename, with `mv`, `rm`, `chmod`.
//!
//! Every action is synced at once: what a power cut may take is the engine's, not the user's.

use super::disk::SimDisk;
use crate::clock::Time;
use crate::files::{Files, Kind, Open, Stat};
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// Content of a file or target of a link; nothing for a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// File: content, executable bit.
    File(String, bool),
    /// Link: target.
    Link(String),
    /// Directory.
    Dir,
}

/// A user at a share.
#[derive(Clone)]
pub struct User {
    disk: SimDisk,
}

impl User {
    /// At this disk.
    pub fn new(disk: &SimDisk) -> User {
        User { disk: disk.for_user() }
    }

    fn dir(&self, path: &str) -> Option<(u64, String)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = self.disk.root();
        for part in dir.split('/').filter(|p| !p.is_empty()) {
            at = self.disk.open_dir(&at, part.as_bytes()).ok()?;
        }
        Some((at, name.to_string()))
    }

    /// What stands at a path.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        let (dir, name) = self.dir(path)?;
        self.disk.stat(&dir, name.as_bytes()).ok()?
    }

    /// Content or target.
    pub fn read(&self, path: &str) -> Option<What> {
        let (dir, name) = self.dir(path)?;
        self.read_at(dir, name.as_bytes())
    }

    fn read_at(&self, dir: u64, name: &[u8]) -> Option<What> {
        let stat = self.disk.stat(&dir, name).ok()??;
        Some(match stat.kind {
            Kind::Dir => What::Dir,
            Kind::Link => What::Link(String::from_utf8_lossy(&self.disk.readlink(&dir, name).ok()?).into_owned()),
            _ => {
                let mut text = Vec::new();
                self.disk.open(&dir, name).ok()?.read_to_end(&mut text).ok()?;
                What::File(String::from_utf8_lossy(&text).into_owned(), stat.exec())
            }
        })
    }

    /// Makes the directories above a path; false if a file is in the way.
    pub fn parents(&self, path: &str) -> bool {
        let mut at = self.disk.root();
        let parts: Vec<&str> = path.split('/').collect();
        for part in &parts[..parts.len() - 1] {
            let _ = self.disk.mkdir(&at, part.as_bytes(), 0o777);
            match self.disk.open_dir(&at, part.as_bytes()) {
                Ok(d) => at = d,
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes in place (or makes) a file.
    pub fn write(&self, path: &str, content: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        let mut file = match self.disk.stat(&dir, name.as_bytes()).ok()? {
            Some(s) if s.kind == Kind::File => {
                let f = self.disk.open_rw(&dir, name.as_bytes()).ok()?;
                f.set_len(0).ok()?;
                f
            }
            Some(s) if s.kind == Kind::Dir => return None,
            Some(_) => {
                self.disk.unlink(&dir, name.as_bytes()).ok()?;
                self.disk.create(&dir, name.as_bytes(), 0o666).ok()?
            }
            None => self.disk.create(&dir, name.as_bytes(), 0o666).ok()?,
        };
        file.write_all(content.as_bytes()).ok()?;
        self.synced()
    }

    /// Saves as editors do: a new file, renamed over the old one.
    pub fn save(&self, path: &str, content: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        if self.disk.stat(&dir, name.as_bytes()).ok()?.is_some_and(|s| s.kind == Kind::Dir) {
            return None;
        }
        let mut file = self.disk.create(&dir, b".save~", 0o666).ok()?;
        file.write_all(content.as_bytes()).ok()?;
        self.disk.rename(&dir, b".save~", &dir, name.as_bytes()).ok()?;
        self.synced()
    }

    /// Makes a link, in place of a file.
    pub fn link(&self, path: &str, target: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        if self.disk.stat(&dir, name.as_bytes()).ok()?.is_some() {
            self.disk.unlink(&dir, name.as_bytes()).ok()?;
        }
        self.disk.symlink(target.as_bytes(), &dir, name.as_bytes()).ok()?;
        self.synced()
    }

    /// Makes a directory.
    pub fn mkdir(&self, path: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        self.disk.mkdir(&dir, name.as_bytes(), 0o777).ok()?;
        self.synced()
    }

    /// Removes a file.
    pub fn rm(&self, path: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        self.disk.unlink(&dir, name.as_bytes()).ok()?;
        self.synced()
    }

    /// Removes a directory with all in it.
    pub fn rmtree(&self, path: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        for (below, what) in self.below(path).into_iter().rev() {
            let (d, n) = self.dir(&below)?;
            match what {
                What::Dir => self.disk.rmdir(&d, n.as_bytes()).ok()?,
                _ => self.disk.unlink(&d, n.as_bytes()).ok()?,
            }
        }
        self.disk.rmdir(&dir, name.as_bytes()).ok()?;
        self.synced()
    }

    /// `mv`: replaces a file or an empty directory.
    pub fn mv(&self, from: &str, to: &str) -> Option<()> {
        let ((a, n), (b, m)) = (self.dir(from)?, self.dir(to)?);
        self.disk.rename(&a, n.as_bytes(), &b, m.as_bytes()).ok()?;
        self.synced()
    }

    /// Turns the executable bit.
    pub fn chmod(&self, path: &str) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        let file = self.disk.open(&dir, name.as_bytes()).ok()?;
        let mode = if file.stat().ok()?.exec() { 0o644 } else { 0o755 };
        file.set_mode(mode).ok()?;
        self.synced()
    }

    /// Sets the time of a file or link.
    pub fn touch(&self, path: &str, t: Time) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        match self.disk.stat(&dir, name.as_bytes()).ok()??.kind {
            Kind::Link => self.disk.set_link_mtime(&dir, name.as_bytes(), t).ok()?,
            _ => self.disk.open(&dir, name.as_bytes()).ok()?.set_mtime(t).ok()?,
        }
        self.synced()
    }

    /// Takes these rights of a file or directory away if it has one of them, or else gives them.
    pub fn turn_rights(&self, path: &str, rights: u32) -> Option<()> {
        let (dir, name) = self.dir(path)?;
        let mode = self.disk.stat(&dir, name.as_bytes()).ok()??.mode;
        let mode = if mode & rights == 0 { mode | rights } else { mode & !rights };
        self.disk.set_mode_of(dir, name.as_bytes(), mode).ok()?;
        self.synced()
    }

    /// Gives the right to read and to change everything.
    pub fn all_rights(&self) {
        for path in self.tree().keys() {
            if let Some((dir, name)) = self.dir(path)
                && let Ok(Some(stat)) = self.disk.stat(&dir, name.as_bytes())
                && stat.mode & 0o600 != 0o600
            {
                let _ = self.disk.set_mode_of(dir, name.as_bytes(), stat.mode | 0o600);
            }
        }
        let _ = self.disk.sync_all();
    }

    fn synced(&self) -> Option<()> {
        self.disk.sync_all().ok()
    }

    /// Everything below a directory, parents first.
    pub fn below(&self, path: &str) -> Vec<(String, What)> {
        self.tree().into_iter().filter(|(p, _)| p.starts_with(path) && p.as_bytes().get(path.len()) == Some(&b'/')).collect()
    }

    /// The file or link that was written, made or renamed last; none of the engine's own.
    pub fn newest(&self) -> Option<String> {
        let files = self.tree().into_iter().filter(|(p, w)| *w != What::Dir && !p.contains(".sharelock-tmp-"));
        files.filter_map(|(p, _)| Some((self.stat(&p)?.ctime, p))).max().map(|(_, p)| p)
    }

    /// True if a directory with this inode and time of birth is anywhere in the share.
    pub fn has_directory(&self, ino: u64, birth: Option<Time>) -> bool {
        let same = |path: &String| self.stat(path).is_some_and(|s| (s.kind, s.ino, s.birth) == (Kind::Dir, ino, birth));
        self.tree().keys().any(same)
    }

    /// The whole share, without the engine's own files.
    pub fn tree(&self) -> BTreeMap<String, What> {
        let mut out = BTreeMap::new();
        let mut todo = vec![(String::new(), self.disk.root())];
        while let Some((path, dir)) = todo.pop() {
            for (name, _) in self.disk.list(&dir).unwrap_or_default() {
                if &*name == b".sharelock-root" {
                    continue;
                }
                let full = format!("{path}{}{}", if path.is_empty() { "" } else { "/" }, String::from_utf8_lossy(&name));
                if let Some(what) = self.read_at(dir, &name) {
                    if what == What::Dir
                        && let Ok(d) = self.disk.open_dir(&dir, &name)
                    {
                        todo.push((full.clone(), d));
                    }
                    out.insert(full, what);
                }
            }
        }
        out
    }
}
