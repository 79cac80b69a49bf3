//! Is what is on disk what the ancestor says? And which of head's names a disk can show.

use crate::error::Result;
use crate::files::{Files, Kind, Stat, Traits};
use crate::id::Id;
use crate::path::Name;
use crate::state::{Row, Seen, State, Table};
use crate::tree::{FileKind, Node, Place};
use std::collections::{HashMap, HashSet};
use std::io;
use unicode_normalization::UnicodeNormalization;

/// What a `stat` shows, as a [`Seen`].
pub(crate) fn seen_of(s: &Stat) -> Seen {
    Seen { size: s.size, mtime: s.mtime, exec: s.exec(), private: s.private(), ino: s.ino, birth: s.birth, ctime: s.ctime, name: None }
}

/// The same entry with the same content, as far as a `stat` tells; the change time of the inode is not asked, since our
/// own rename has set it.
pub(crate) fn same_but_ctime(s: &Stat, seen: &Seen) -> bool {
    (s.size, s.mtime, s.ino) == (seen.size, seen.mtime, seen.ino) && (s.exec(), s.private()) == (seen.exec, seen.private)
}

/// The recheck of MERGE 7: the entry is what `row` of the ancestor says. The name is not looked at (see [`clean`]).
pub(crate) fn fits(s: &Stat, row: &Row) -> bool {
    let (Some(node), Some(seen)) = (row.here(), &row.seen) else { return false };
    match node {
        Node::Dir { .. } => s.kind == Kind::Dir && s.ino == seen.ino,
        Node::File(v) => s.kind == kind(v.kind) && s.ctime == seen.ctime && same_but_ctime(s, seen),
    }
}

/// What a version is on disk.
pub(crate) fn kind(k: FileKind) -> Kind {
    match k {
        FileKind::File => Kind::File,
        FileKind::Link => Kind::Link,
    }
}

/// [`fits`], asked of the disk, with exactly the name's bytes that were read back.
pub(crate) fn clean<F: Files>(files: &F, dir: &F::Dir, row: &Row) -> io::Result<bool> {
    let Some(stat) = files.stat(dir, row.place.name.as_bytes())? else { return Ok(false) };
    let name = row.seen.as_ref().and_then(|s| s.name.as_ref()).unwrap_or(&row.place.name);
    Ok(fits(&stat, row) && super::super::paths::exact(files, dir, name.as_bytes())?)
}

/// A name as a disk that folds compares it.
pub(crate) fn fold(name: &Name, traits: &Traits) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(name.as_bytes()) else { return name.as_bytes().to_vec() };
    match (traits.folds_case, traits.folds_form) {
        (false, false) => name.as_bytes().to_vec(),
        (true, false) => text.to_lowercase().into_bytes(),
        (false, true) => text.nfc().collect::<String>().into_bytes(),
        (true, true) => text.nfc().collect::<String>().to_lowercase().nfc().collect::<String>().into_bytes(),
    }
}

/// Which names of head a disk that folds holds back (MERGE 10): of names that fold alike it shows the one in the
/// ancestor, else the first in byte order. One directory's answer is kept at a time.
#[derive(Default)]
pub(crate) struct HeldBack {
    dir: Option<Id>,
    names: HashSet<Name>,
}

impl HeldBack {
    /// True if this place of head is held back.
    pub(crate) fn is<S: State>(&mut self, state: &S, traits: &Traits, place: &Place) -> Result<bool> {
        if !traits.folds_case && !traits.folds_form {
            return Ok(false);
        }
        if self.dir != Some(place.dir) {
            self.dir = Some(place.dir);
            self.names = held(state, traits, place.dir)?;
        }
        Ok(self.names.contains(&place.name))
    }
}

fn held<S: State>(state: &S, traits: &Traits, dir: Id) -> Result<HashSet<Name>> {
    let (mut shown, mut out) = (HashMap::<Vec<u8>, (Name, bool)>::new(), HashSet::new());
    let mut after: Option<Name> = None;
    loop {
        let page = state.children(Table::Head, dir, after.as_ref(), super::PAGE)?;
        for row in &page {
            let ours = state.get(Table::Anc, &row.place)?.is_some();
            let name = row.place.name.clone();
            match shown.get_mut(&fold(&name, traits)) {
                Some(first) if ours && !first.1 => {
                    out.insert(std::mem::replace(first, (name, ours)).0);
                }
                Some(_) => {
                    out.insert(name);
                }
                None => {
                    shown.insert(fold(&name, traits), (name, ours));
                }
            }
        }
        match page.last() {
            Some(row) => after = Some(row.place.name.clone()),
            None => return Ok(out),
        }
    }
}
