//! Directories by descriptor, a name at a time.

use super::disk::open_root;
use crate::path::{Name, RelPath};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens a directory below the root, a name at a time, following no link.
pub(super) fn open_below(root: &Path, path: &RelPath) -> rustix::io::Result<OwnedFd> {
    let mut at = open_root(root)?;
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        let access = if names.peek().is_some() { OFlags::PATH } else { OFlags::RDONLY };
        at = open_in(&at, name.as_bytes(), access)?;
    }
    Ok(at)
}

/// Opens a directory by its name in another one.
pub(super) fn open_in(at: &OwnedFd, name: &[u8], access: OFlags) -> rustix::io::Result<OwnedFd> {
    fs::openat(at, name, access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The names of what are directories, or may be where the disk does not tell.
pub(super) fn directories(at: &OwnedFd) -> rustix::io::Result<Vec<Name>> {
    let mut out = Vec::new();
    for entry in fs::Dir::read_from(at)? {
        let entry = entry?;
        if matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
            && let Some(name) = Name::new(entry.file_name().to_bytes())
        {
            out.push(name);
        }
    }
    Ok(out)
}

/// How many directories there are from this one down, itself included.
pub(super) fn count(top: OwnedFd) -> u64 {
    // One descriptor a level, like a walk of the mirror.
    let names = directories(&top).unwrap_or_default();
    let mut way = vec![(top, names)];
    let mut n = 1;
    while let Some((at, names)) = way.last_mut() {
        match names.pop() {
            Some(name) => {
                if let Ok(dir) = open_in(at, name.as_bytes(), OFlags::RDONLY) {
                    n += 1;
                    let names = directories(&dir).unwrap_or_default();
                    way.push((dir, names));
                }
            }
            None => drop(way.pop()),
        }
    }
    n
}

/// The device number.
pub(super) fn device(at: &OwnedFd) -> rustix::io::Result<u64> {
    // The width differs from system to system.
    #[allow(clippy::unnecessary_cast)]
    fs::fstat(at).map(|s| s.st_dev as u64)
}

/// True if the error says that there is no such directory (any more).
pub(super) fn is_absent(e: Errno) -> bool {
    matches!(e, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
