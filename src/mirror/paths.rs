//! From ids to open directories of the share.
//!
//! Rows of the ancestor name directories by id; where a directory is on disk follows from the ancestor's directory
//! rows, climbing to the root. The way down goes from descriptor to descriptor, and each step is compared with the
//! ancestor: a directory, with this inode, under exactly this name. So no symlink and no directory that somebody has
//! put there meanwhile is ever walked through.

use super::overlay::{Overlay, check_depth};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::id::Id;
use crate::path::Name;
use crate::state::State;
use std::collections::HashMap;
use std::io;

/// Handles that are kept open at most; small, since some systems allow 256 for a process.
const KEPT: usize = 64;

/// True if `dir` is `above` or lies below it, in the ancestor.
pub fn lies_in<S: State>(state: &S, dir: Id, above: Id) -> Result<bool> {
    let (mut at, mut depth) = (dir, 0);
    while at != above {
        if at == Id::ROOT {
            return Ok(false);
        }
        let Some(row) = Overlay::ANC.dir(state, at)? else { return Ok(false) };
        at = row.place.dir;
        depth += 1;
        check_depth(depth, at)?;
    }
    Ok(true)
}

/// True if the directory has an entry with exactly these bytes as its name. Only a disk that folds names has to be
/// asked: elsewhere a `stat` says it.
pub fn exact<F: Files>(files: &F, dir: &F::Dir, name: &[u8]) -> io::Result<bool> {
    let traits = files.traits();
    if !traits.folds_case && !traits.folds_form {
        return Ok(true);
    }
    Ok(files.list(dir)?.iter().any(|(n, _)| **n == *name))
}

/// What the ancestor says of a directory on the way down.
struct Step {
    id: Id,
    parent: Id,
    name: Name,
    shown: Option<Name>,
    ino: Option<u64>,
}

/// A directory that is open.
struct Known<F: Files> {
    parent: Id,
    name: Name,
    ino: u64,
    handle: F::Dir,
}

/// Open directories of the share by id. What is kept is compared with the disk again at each use; [`Paths::forget`]
/// must be called when the ancestor's directory rows change.
pub struct Paths<F: Files> {
    known: HashMap<Id, Known<F>>,
}

impl<F: Files> Default for Paths<F> {
    fn default() -> Self {
        Paths { known: HashMap::new() }
    }
}

impl<F: Files> Paths<F> {
    /// Opens the directory with this id; `None` if the ancestor does not have it, or the disk does not show it where
    /// the ancestor says.
    pub fn open<S: State>(&mut self, files: &F, state: &S, id: Id) -> Result<Option<F::Dir>> {
        let Some(way) = self.way(state, id)? else { return Ok(None) };
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        let mut dir = files.root();
        for step in way.into_iter().rev() {
            let name = step.name.as_bytes();
            let stat = files.stat(&dir, name)?;
            let Some(stat) = stat.filter(|s| s.kind == Kind::Dir && step.ino.is_none_or(|ino| ino == s.ino)) else {
                self.known.remove(&step.id);
                return Ok(None);
            };
            if let Some(known) = self.known.get(&step.id).filter(|k| k.ino == stat.ino) {
                dir = known.handle.clone();
                continue;
            }
            if !exact(files, &dir, step.shown.as_ref().unwrap_or(&step.name).as_bytes())? {
                return Ok(None);
            }
            let handle = match files.open_dir(&dir, name) {
                Ok(handle) => handle,
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
                Err(e) => return Err(e.into()),
            };
            if files.stat_dir(&handle)?.ino != stat.ino {
                return Ok(None);
            }
            if self.known.len() < KEPT {
                let known = Known { parent: step.parent, name: step.name, ino: stat.ino, handle: handle.clone() };
                self.known.insert(step.id, known);
            }
            dir = handle;
        }
        Ok(Some(dir))
    }

    /// The steps from `id` up to the root.
    fn way<S: State>(&self, state: &S, id: Id) -> Result<Option<Vec<Step>>> {
        let mut way: Vec<Step> = Vec::new();
        let mut at = id;
        while at != Id::ROOT {
            let step = match self.known.get(&at) {
                Some(k) => Step { id: at, parent: k.parent, name: k.name.clone(), shown: None, ino: Some(k.ino) },
                None => {
                    let Some(row) = Overlay::ANC.dir(state, at)? else { return Ok(None) };
                    let (ino, shown) = row.seen.map_or((None, None), |s| (Some(s.ino), s.name));
                    Step { id: at, parent: row.place.dir, name: row.place.name, shown, ino }
                }
            };
            at = step.parent;
            way.push(step);
            check_depth(way.len(), at)?;
        }
        Ok(Some(way))
    }

    /// Closes all: directories were moved, removed or got other ids.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}
