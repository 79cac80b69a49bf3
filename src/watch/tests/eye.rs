//! Somebody who looks only where a watcher says, and at nothing else. What they know must be all there is.

use super::super::Change;
use crate::path::{Name, RelPath};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Entry names with what tells one state from another.
type Entries = BTreeMap<Name, (u64, u64, i64, i64)>;

/// What they know.
pub struct Eye {
    root: PathBuf,
    known: BTreeMap<RelPath, Entries>,
}

fn on_disk(root: &Path, path: &RelPath) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn list(root: &Path, path: &RelPath) -> Option<(Entries, Vec<RelPath>)> {
    let at = on_disk(root, path);
    if !at.symlink_metadata().ok()?.is_dir() {
        return None;
    }
    let (mut entries, mut dirs) = (Entries::new(), Vec::new());
    for e in fs::read_dir(at).ok()? {
        let Ok(e) = e else { continue };
        let Ok(m) = e.path().symlink_metadata() else { continue };
        let name = Name::new(e.file_name().as_bytes()).unwrap();
        if m.is_dir() {
            dirs.push(path.join(&name));
            // A directory's own size and time are those of its entries, which are looked at by themselves.
            entries.insert(name, (m.ino(), 0, 0, 0));
        } else {
            entries.insert(name, (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
        }
    }
    Some((entries, dirs))
}

fn everything(root: &Path, from: RelPath) -> BTreeMap<RelPath, Entries> {
    let mut out = BTreeMap::new();
    let mut todo = vec![from];
    while let Some(path) = todo.pop() {
        if let Some((entries, dirs)) = list(root, &path) {
            out.insert(path, entries);
            todo.extend(dirs);
        }
    }
    out
}

impl Eye {
    /// The first look, at everything.
    pub fn new(root: &Path) -> Eye {
        Eye { root: root.to_path_buf(), known: everything(root, RelPath::root()) }
    }

    /// Looks where it is told to.
    pub fn look(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Gone => panic!("the root is there"),
                Change::All => self.known = everything(&self.root, RelPath::root()),
                Change::Tree(path) => {
                    self.known.retain(|p, _| !within(p, &path));
                    self.known.extend(everything(&self.root, path));
                }
                Change::Dir(path) => match list(&self.root, &path) {
                    Some((entries, _)) => drop(self.known.insert(path, entries)),
                    None => drop(self.known.remove(&path)),
                },
            }
        }
    }

    /// Fails if something is not known.
    pub fn assert_complete(&self) {
        for (path, entries) in everything(&self.root, RelPath::root()) {
            assert_eq!(self.known.get(&path), Some(&entries), "{path:?} was not told");
        }
    }

    /// How many directories there are.
    pub fn directories(&self) -> u64 {
        everything(&self.root, RelPath::root()).len() as u64
    }
}

fn within(path: &RelPath, top: &RelPath) -> bool {
    path.as_bytes().strip_prefix(top.as_bytes()).is_some_and(|rest| top.is_root() || rest.is_empty() || rest[0] == b'/')
}
