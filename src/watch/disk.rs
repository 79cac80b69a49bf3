//! The root, and which disks tell this machine only its own changes.

use rustix::fs::{self, Mode, OFlags};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// Opens the root; here, and only here, links are followed.
pub(super) fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
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
