//! Strangers in secure: files of it are damaged, swapped, put back, deleted or copied by hand, without a seal.

use super::{Mode, NAMES, World};
use crate::files::{Files, Kind, Open};
use crate::id::Id;
use crate::mirror::overlay::Overlay;
use crate::mirror::{commit, worktree};
use crate::sim::check;
use crate::sim::disk::SimDisk;
use crate::sim::user::What;
use crate::state::Row;
use std::io::{self, Read};

/// What strangers have kept, and put there.
#[derive(Default)]
pub(super) struct Strangers {
    /// Encrypted files as they were once: path, bytes, and the content that is in them.
    kept: Vec<(String, Vec<u8>, String)>,
}

const JUNK: [&str; 2] = ["junk", "IMG.jpg"];

impl World {
    /// A stranger does something in a device's secure.
    pub(super) fn strange(&self, i: usize) {
        let m = &self.machines[i];
        let disk = m.secure.for_user();
        let files = encrypted(&disk);
        if files.is_empty() {
            return;
        }
        let pick = || self.random.borrow_mut().pick(&files).clone();
        let (path, other, what) = (pick(), pick(), self.next(9));
        if self.trace {
            eprintln!("  stranger at {}: {what} {path} {other}", NAMES[i]);
        }
        let (Ok(mut bytes), Ok(bytes_other)) = (read(&disk, &path), read(&disk, &other)) else { return };
        self.happens(
            [
                "a stranger flips a bit",
                "a stranger cuts a file",
                "a stranger swaps two files",
                "a stranger puts something there",
                "a stranger keeps a file",
                "a stranger keeps a file",
                "a stranger puts an old file back",
                "a stranger deletes a file",
                "a stranger copies another secure over this",
            ][what as usize],
        );
        let done = match what {
            0 if !bytes.is_empty() => {
                let at = self.next(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.next(8);
                write(&disk, &path, &bytes)
            }
            1 => write(&disk, &path, &bytes[..self.next(bytes.len() as u64 + 1) as usize]),
            2 => write(&disk, &path, &bytes_other).and_then(|()| write(&disk, &other, &bytes)),
            3 => write(&disk, JUNK[self.next(2) as usize], b"of a stranger"),
            4 | 5 => {
                if let Some(content) = self.content_of(i, &path) {
                    self.strangers.borrow_mut().kept.push((path, bytes, content));
                }
                Ok(())
            }
            6 => {
                let kept = self.strangers.borrow();
                if kept.kept.is_empty() {
                    return;
                }
                let (path, bytes, content) = self.random.borrow_mut().pick(&kept.kept).clone();
                self.ledger.borrow_mut().exempt(&content);
                write(&disk, &path, &bytes)
            }
            7 => {
                // What goes there goes in the vault, and what was deleted so may be kept by somebody who edits it.
                let Some(content) = self.content_of(i, &path) else { return };
                let mut ledger = self.ledger.borrow_mut();
                ledger.dead.insert(content.clone());
                ledger.exempt(&content);
                remove(&disk, &path)
            }
            8 => self.copied(i, &disk),
            _ => Ok(()),
        };
        if let Err(e) = done {
            self.fail(format!("a stranger: {e}"));
        }
    }

    /// Another device's secure is copied over this one's, as `cp -r` does it.
    fn copied(&self, i: usize, to: &SimDisk) -> io::Result<()> {
        let from = &self.machines[self.other(i)];
        let device = from.device.borrow();
        let Some(d) = device.as_ref() else { return Ok(()) };
        for (what, _) in check::opened(d, &Overlay::HEAD).unwrap_or_default().into_values() {
            if let What::File(c, _) | What::Link(c) = what {
                self.ledger.borrow_mut().exempt(&c);
            }
        }
        let disk = from.secure.for_user();
        encrypted(&disk).iter().try_for_each(|path| write(to, path, &read(&disk, path)?))
    }

    /// The plaintext that an encrypted file of a device stands for, as its head has it.
    fn content_of(&self, i: usize, path: &str) -> Option<String> {
        let device = self.machines[i].device.borrow();
        let d = device.as_ref()?;
        let (mut dir, mut opened) = (Id::ROOT, String::new());
        for part in path.split('/') {
            let rows = Overlay::HEAD.list(&d.state, dir).ok()?;
            let is_it = |row: &&Row| row.here().is_some_and(|node| commit::entry_name(&d.keys, &row.place, node).entry.as_ref() == part);
            let row = rows.iter().find(is_it)?;
            opened = format!("{opened}{}{}", if opened.is_empty() { "" } else { "/" }, row.place.name);
            dir = row.here()?.id();
        }
        match check::opened(d, &Overlay::HEAD).ok()?.remove(&opened)?.0 {
            What::File(c, _) | What::Link(c) => Some(c),
            What::Dir => None,
        }
    }

    /// What is damaged is made anew, and what is nothing of the vault goes; `true` if there was something.
    pub(super) fn repairs(&self, i: usize) -> bool {
        if self.mode != Mode::Strange {
            return false;
        }
        let m = &self.machines[i];
        let mut device = m.device.borrow_mut();
        let Some(d) = device.as_mut() else { return false };
        let found = match worktree::compare(d) {
            Ok(found) => found.differs,
            Err(e) => {
                self.fail(format!("{}: {e}", NAMES[i]));
                return false;
            }
        };
        for (path, difference) in &found {
            let shown = String::from_utf8_lossy(path);
            let done = match difference {
                worktree::Difference::Extra => remove_all(&m.secure.for_user(), &shown).map_err(crate::error::Error::from),
                _ => {
                    self.happens("secure: a file is made anew");
                    worktree::make_anew(d, path).map(|_| ())
                }
            };
            if let Err(e) = done {
                self.fail(format!("{}: {shown}: {e}", NAMES[i]));
            }
        }
        !found.is_empty()
    }
}

/// Directory and name of a path, made if need be.
fn place<'p>(disk: &SimDisk, path: &'p str) -> io::Result<(u64, &'p [u8])> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = disk.root();
    for part in dir.split('/').filter(|p| !p.is_empty()) {
        match disk.mkdir(&at, part.as_bytes(), 0o777) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => at = disk.open_dir(&at, part.as_bytes())?,
        }
    }
    Ok((at, name.as_bytes()))
}

/// All files of secure but those of the repository.
fn encrypted(disk: &SimDisk) -> Vec<String> {
    let (mut out, mut todo) = (Vec::new(), vec![(String::new(), disk.root())]);
    while let Some((path, dir)) = todo.pop() {
        for (name, _) in disk.list(&dir).unwrap_or_default() {
            let full = format!("{path}{}", String::from_utf8_lossy(&name));
            match disk.open_dir(&dir, &name) {
                Ok(_) if full == ".git" => {}
                Ok(inner) => todo.push((format!("{full}/"), inner)),
                Err(_) => out.push(full),
            }
        }
    }
    out.sort();
    out
}

fn read(disk: &SimDisk, path: &str) -> io::Result<Vec<u8>> {
    let (dir, name) = place(disk, path)?;
    let mut out = Vec::new();
    disk.open(&dir, name)?.read_to_end(&mut out)?;
    Ok(out)
}

/// Writes a file, in the place of whatever is there.
fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let Ok((dir, name)) = place(disk, path) else { return Ok(()) }; // A file where a directory was.
    match disk.stat(&dir, name)?.map(|s| s.kind) {
        Some(Kind::Dir) => return Ok(()),
        Some(_) => disk.unlink(&dir, name)?,
        None => {}
    }
    disk.create(&dir, name, 0o644)?.write_at(0, bytes)?;
    disk.sync_all()
}

fn remove(disk: &SimDisk, path: &str) -> io::Result<()> {
    let (dir, name) = place(disk, path)?;
    disk.unlink(&dir, name)?;
    disk.sync_all()
}

/// Removes a file, or a directory with all in it.
fn remove_all(disk: &SimDisk, path: &str) -> io::Result<()> {
    let (dir, name) = place(disk, path)?;
    if let Ok(inner) = disk.open_dir(&dir, name) {
        for (below, _) in disk.list(&inner)? {
            remove_all(disk, &format!("{path}/{}", String::from_utf8_lossy(&below)))?;
        }
        disk.rmdir(&dir, name)?;
    } else {
        disk.unlink(&dir, name)?;
    }
    disk.sync_all()
}
