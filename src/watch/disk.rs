//! Directories by descriptor, and which disks tell this machine only its own changes.

use crate::path::{Name, RelPath};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

#[cfg(any(target_os = "linux", target_os = "android"))]
const STEP: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEP: OFlags = OFlags::RDONLY;

/// Opens the root; here, and only here, links are followed.
pub(super) fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory below the root, a name at a time, following no link.
pub(super) fn open_below(root: &Path, path: &RelPath) -> rustix::io::Result<OwnedFd> {
    let mut at = open_root(root)?;
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        let access = if names.peek().is_some() { STEP } else { OFlags::RDONLY };
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

/// The name of a file system on which other machines (or programs behind FUSE) make changes that this kernel does not
/// see: statfs(2), `f_type`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn network(at: BorrowedFd<'_>) -> Option<&'static str> {
    // The width of the field differs; its low 32 bits are the number.
    #[allow(clippy::unnecessary_cast)]
    let magic = fs::fstatfs(at).ok()?.f_type as u64 as u32;
    KINDS.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// The name of a file system on which other machines make changes that this kernel does not see: statfs(2), `f_flags`
/// without `MNT_LOCAL`.
#[cfg(target_vendor = "apple")]
pub(super) fn network(at: BorrowedFd<'_>) -> Option<&'static str> {
    const MNT_LOCAL: u32 = 0x1000;
    fs::fstatfs(at).ok().filter(|s| s.f_flags & MNT_LOCAL == 0).map(|_| "a network disk")
}

/// Elsewhere nothing is known about it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn network(_: BorrowedFd<'_>) -> Option<&'static str> {
    None
}

/// linux/magic.h, and what file systems outside of it use.
#[cfg(any(target_os = "linux", target_os = "android"))]
const KINDS: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x786f_4256, "a VirtualBox folder"),
    (0xbacb_acbc, "a VMware folder"),
];

/// True if the error says that there is no such directory (any more).
pub(super) fn is_absent(e: Errno) -> bool {
    matches!(e, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
