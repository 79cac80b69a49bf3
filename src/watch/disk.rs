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

/// The name of the file system that a folder lies on, where it is known.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn kind(at: BorrowedFd<'_>) -> Option<String> {
    #[allow(clippy::unnecessary_cast)]
    let magic = fs::fstatfs(at).ok()?.f_type as u64 as u32;
    KINDS.iter().chain(LOCAL).find(|(number, _)| *number == magic).map(|(_, name)| name.to_string())
}

/// The name of the file system that a folder lies on: statfs(2), `f_fstypename`.
#[cfg(target_vendor = "apple")]
pub(super) fn kind(at: BorrowedFd<'_>) -> Option<String> {
    let name: Vec<u8> = fs::fstatfs(at).ok()?.f_fstypename.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Elsewhere it has none.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn kind(_: BorrowedFd<'_>) -> Option<String> {
    None
}

/// Those of this machine alone, of linux/magic.h and beside it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOCAL: &[(u32, &str)] = &[
    (0xef53, "ext4"),
    (0x9123_683e, "btrfs"),
    (0x5846_5342, "XFS"),
    (0xf2f5_2010, "F2FS"),
    (0x2fc1_2fc1, "ZFS"),
    (0xca45_1a4e, "bcachefs"),
    (0x794c_7630, "overlayfs"),
    (0x0102_1994, "tmpfs"),
    (0xf15f, "eCryptfs"),
    (0x4d44, "FAT"),
    (0x2011_bab0, "exFAT"),
    (0x5346_544e, "NTFS"),
    (0x7366_746e, "NTFS"),
];

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
