//! Is what is on disk what the ancestor says?

use crate::files::{Files, Kind, Stat};
use crate::state::{Row, Seen};
use crate::tree::{FileKind, Node};
use std::io;

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
