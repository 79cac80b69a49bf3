//! The real disk, through rustix.
//!
//! Every call names one component below a directory descriptor, never follows a link, and is one system call where the
//! system has that call. What differs between systems stands here and nowhere else: birth times (`statx`), renames
//! without replacing (`renameat2`, `renameatx_np`), the drive's own cache on macOS (`F_FULLFSYNC`), disks without
//! permission bits.

use super::{Files, Kind, Open, Stat, Traits, probe};
use crate::clock::Time;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// The disk below one directory.
#[derive(Clone, Debug)]
pub struct Disk {
    root: Dir,
    traits: Traits,
}

/// The unit in which systems count what a file takes, whatever the disk's own is (stat(3type)).
const BLOCK: u64 = 512;

/// An open directory. Clones share the descriptor.
pub type Dir = Arc<OwnedFd>;

/// An open regular file.
#[derive(Debug)]
pub struct DiskFile {
    fd: OwnedFd,
    /// The disk keeps all permission bits, so a refused `chmod` is a real error.
    modes: bool,
}

impl Disk {
    /// Opens the directory at `path` as a root (here, and only here, links are followed) and finds out what its disk
    /// can do, by trying it under a temporary name that is removed again.
    ///
    /// Also raises the process's limit of open files to what it may have: a walk holds one descriptor per level.
    ///
    /// # Errors
    /// What opening says; a root that cannot be written to is no error (its traits are then guessed).
    pub fn open(path: &Path) -> io::Result<Disk> {
        raise_limit();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())?;
        let mut disk = Disk { root: Arc::new(fd), traits: probe::HOPED };
        disk.traits = probe::traits(&disk)?;
        Ok(disk)
    }

    /// Opens a root for somebody who only reads: nothing is tried and nothing is swept, so that another process may be at
    /// work there. Its traits are those that are hoped for, less what a look at the names tells.
    ///
    /// # Errors
    /// What opening says.
    pub fn open_unprobed(path: &Path) -> io::Result<Disk> {
        let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut disk = Disk { root: Arc::new(fd), traits: probe::HOPED };
        disk.traits.folds_case = probe::looks_folded(&disk)?;
        Ok(disk)
    }

    /// Tries to rename without replacing: it must refuse the taken name and take the free one.
    pub(super) fn has_noreplace(&self, at: &Dir, from: &[u8], taken: &[u8], free: &[u8]) -> bool {
        renameat_with(at, from, at, taken, RenameFlags::NOREPLACE) == Err(Errno::EXIST)
            && renameat_with(at, from, at, free, RenameFlags::NOREPLACE).is_ok()
    }

    fn open_file(&self, at: &Dir, name: &[u8], access: OFlags) -> io::Result<DiskFile> {
        // NONBLOCK: a FIFO without a writer must not hold us (it changes nothing for regular files).
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = fs::openat(at, one(name)?, flags, Mode::empty())?;
        match kind(FileType::from_raw_mode(fs::fstat(&fd)?.st_mode as _)) {
            Kind::File => Ok(DiskFile { fd, modes: self.keeps_modes() }),
            Kind::Dir => Err(Errno::ISDIR.into()),
            Kind::Link => Err(Errno::LOOP.into()),
            Kind::Other => Err(Errno::NXIO.into()),
        }
    }

    fn keeps_modes(&self) -> bool {
        self.traits.modes && self.traits.exec_bit
    }
}

impl Files for Disk {
    type Dir = Dir;
    type File = DiskFile;

    fn root(&self) -> Dir {
        self.root.clone()
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn open_dir(&self, at: &Dir, name: &[u8]) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Arc::new(fs::openat(at, one(name)?, flags, Mode::empty())?))
    }

    fn list(&self, at: &Dir) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>> {
        let mut out = Vec::new();
        // A descriptor of its own: the position in the listing is not shared with other users of the handle.
        for entry in fs::Dir::read_from(at)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let kind = match entry.file_type() {
                    FileType::Unknown => None,
                    t => Some(kind(t)),
                };
                out.push((name.into(), kind));
            }
        }
        Ok(out)
    }

    fn stat(&self, at: &Dir, name: &[u8]) -> io::Result<Option<Stat>> {
        match stat(at.as_fd(), one(name)?) {
            Ok(s) => Ok(Some(s)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn stat_dir(&self, at: &Dir) -> io::Result<Stat> {
        Ok(stat_fd(at.as_fd())?)
    }

    fn open(&self, at: &Dir, name: &[u8]) -> io::Result<DiskFile> {
        self.open_file(at, name, OFlags::RDONLY)
    }

    fn open_rw(&self, at: &Dir, name: &[u8]) -> io::Result<DiskFile> {
        self.open_file(at, name, OFlags::RDWR)
    }

    fn create(&self, at: &Dir, name: &[u8], mode: u32) -> io::Result<DiskFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(at, one(name)?, flags, Mode::from_raw_mode(mode as _))?;
        Ok(DiskFile { fd, modes: self.keeps_modes() })
    }

    fn mkdir(&self, at: &Dir, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(fs::mkdirat(at, one(name)?, Mode::from_raw_mode(mode as _))?)
    }

    fn symlink(&self, target: &[u8], at: &Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(target, at, one(name)?)?)
    }

    fn set_link_mtime(&self, at: &Dir, name: &[u8], t: Time) -> io::Result<()> {
        Ok(fs::utimensat(at, one(name)?, &mtime_only(t), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn readlink(&self, at: &Dir, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(at, one(name)?, Vec::new())?.into_bytes())
    }

    fn rename(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        Ok(fs::renameat(at, one(name)?, to, one(new)?)?)
    }

    fn rename_noreplace(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        let (name, new) = (one(name)?, one(new)?);
        if self.traits.noreplace {
            match renameat_with(at, name, to, new, RenameFlags::NOREPLACE) {
                // EINVAL is also what an unknown flag gives: a disk mounted below the root may differ from it.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                done => return Ok(done?),
            }
        }
        if stat(at.as_fd(), name)?.kind != Kind::Dir {
            match fs::linkat(at, name, to, new, AtFlags::empty()) {
                Ok(()) => return Ok(fs::unlinkat(at, name, AtFlags::empty())?),
                // No hard links here (FAT, some network disks).
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
                Err(e) => return Err(e.into()),
            }
        }
        match stat(to.as_fd(), new) {
            Ok(_) => Err(Errno::EXIST.into()),
            // RACE: what takes the name within these microseconds is replaced; a directory only if it is empty.
            Err(Errno::NOENT) => Ok(fs::renameat(at, name, to, new)?),
            Err(e) => Err(e.into()),
        }
    }

    fn exchange(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        if !self.traits.exchange {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match renameat_with(at, one(name)?, to, one(new)?, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }

    fn unlink(&self, at: &Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(at, one(name)?, AtFlags::empty())?)
    }

    fn rmdir(&self, at: &Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(at, one(name)?, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, at: &Dir) -> io::Result<()> {
        match sync(at.as_fd()) {
            // Some network and FUSE disks have no fsync for directories; there is nothing better to call.
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            done => Ok(done?),
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        fs::syncfs(&self.root)?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            fs::sync();
            sync(self.root.as_fd())?;
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let v = fs::fstatvfs(&*self.root)?;
        Ok(v.f_bavail.saturating_mul(v.f_frsize))
    }
}

impl io::Read for DiskFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut *buf))?)
    }
}

impl io::Write for DiskFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, buf))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open for DiskFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_fd(self.fd.as_fd())?)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buf, offset))?)
    }

    fn write_at(&self, mut offset: u64, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.fd, buf, offset))?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            buf = &buf[n..];
            offset += n as u64;
        }
        Ok(())
    }

    fn set_mtime(&self, t: Time) -> io::Result<()> {
        Ok(fs::futimens(&self.fd, &mtime_only(t))?)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        match fs::fchmod(&self.fd, Mode::from_raw_mode((mode & 0o7777) as _)) {
            // FAT and its kin refuse what they cannot store.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) if !self.modes => Ok(()),
            done => Ok(done?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.fd, len)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(sync(self.fd.as_fd())?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match fs::flock(&self.fd, fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// The name, if it is one component: a `/` would lead past the handle.
fn one(name: &[u8]) -> io::Result<&[u8]> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Errno::INVAL.into());
    }
    Ok(name)
}

fn kind(t: FileType) -> Kind {
    match t {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

fn mtime_only(t: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: t.s, tv_nsec: t.ns as _ },
    }
}

/// fsync, down to the medium: on macOS `fsync` leaves data in the drive's cache (fcntl(2), `F_FULLFSYNC`).
fn sync(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    #[cfg(target_vendor = "apple")]
    match fs::fcntl_fullfsync(fd) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOTTY) => {}
        done => return done,
    }
    rustix::io::retry_on_intr(|| fs::fsync(fd))
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn renameat_with(at: &Dir, name: &[u8], to: &Dir, new: &[u8], flags: RenameFlags) -> rustix::io::Result<()> {
    fs::renameat_with(at, name, to, new, flags)
}

fn stat(at: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Stat> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(s) = statx(at, name, AtFlags::SYMLINK_NOFOLLOW)? {
        return Ok(s);
    }
    fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map(plain)
}

fn stat_fd(fd: BorrowedFd<'_>) -> rustix::io::Result<Stat> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(s) = statx(fd, b"", AtFlags::EMPTY_PATH)? {
        return Ok(s);
    }
    fs::fstat(fd).map(plain)
}

/// `None` where the kernel (before 4.11) or a sandbox has no `statx`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn statx(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> rustix::io::Result<Option<Stat>> {
    use rustix::fs::StatxFlags;
    let s = match fs::statx(at, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME) {
        Err(Errno::NOSYS | Errno::PERM) => return Ok(None),
        s => s?,
    };
    let time = |t: rustix::fs::StatxTimestamp| Time { s: t.tv_sec, ns: t.tv_nsec };
    let mode = u32::from(s.stx_mode);
    Ok(Some(Stat {
        kind: kind(FileType::from_raw_mode(mode)),
        size: s.stx_size,
        mode: mode & 0o7777,
        mtime: time(s.stx_mtime),
        ctime: time(s.stx_ctime),
        ino: s.stx_ino,
        dev: fs::makedev(s.stx_dev_major, s.stx_dev_minor),
        birth: (s.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(s.stx_btime)),
        taken: s.stx_blocks.saturating_mul(BLOCK),
    }))
}

// The widths of these fields differ from system to system.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
fn plain(s: fs::Stat) -> Stat {
    #[cfg(target_vendor = "apple")]
    let birth = Some(Time { s: s.st_birthtime as i64, ns: s.st_birthtime_nsec as u32 });
    #[cfg(not(target_vendor = "apple"))]
    let birth = None;
    Stat {
        kind: kind(FileType::from_raw_mode(s.st_mode as _)),
        size: s.st_size as u64,
        mode: s.st_mode as u32 & 0o7777,
        mtime: Time { s: s.st_mtime as i64, ns: s.st_mtime_nsec as u32 },
        ctime: Time { s: s.st_ctime as i64, ns: s.st_ctime_nsec as u32 },
        ino: s.st_ino as u64,
        dev: s.st_dev as u64,
        birth,
        taken: (s.st_blocks as u64).saturating_mul(BLOCK),
    }
}

fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Refused (macOS has a second, lower ceiling): the limit stays, and very deep trees are reported as unreadable.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
