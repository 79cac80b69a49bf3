//! The real disk, through rustix.

use super::{Files, Kind, Open, Stat, Traits};
use crate::clock::Time;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// The disk below one directory.
#[derive(Clone)]
pub struct Disk {
    root: Arc<OwnedFd>,
    traits: Traits,
}

/// An open file of a [`Disk`].
pub struct DiskFile(File);

const DIR: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl Disk {
    /// Opens a directory (links on the way to it are followed, it is the user's choice) and finds out what the disk
    /// can do, by trying with a file that is removed again. A disk that cannot be written to counts as able to do
    /// everything: the attempt to write will say why not.
    pub fn open(path: &Path) -> io::Result<Disk> {
        raise_file_limit();
        let root = fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut disk = Disk {
            root: Arc::new(root),
            traits: Traits {
                folds_case: false,
                folds_form: false,
                exec_bit: true,
                modes: true,
                time_step: 1,
                noreplace: true,
                exchange: true,
                links: true,
            },
        };
        if let Some(traits) = disk.probe() {
            disk.traits = traits;
        }
        Ok(disk)
    }

    fn probe(&self) -> Option<Traits> {
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).ok()?;
        let hex = data_encoding::HEXLOWER.encode(&random);
        let at = &self.root;
        let dir = format!(".sharelock-tmp-{hex}");
        self.mkdir(at, dir.as_bytes(), 0o700).ok()?;
        let traits = self.open_dir(at, dir.as_bytes()).ok().and_then(|d| self.probe_in(&d));
        if let Ok(d) = self.open_dir(at, dir.as_bytes()) {
            for (name, _) in self.list(&d).unwrap_or_default() {
                let _ = self.unlink(&d, &name);
            }
        }
        let _ = self.rmdir(at, dir.as_bytes());
        traits
    }

    fn probe_in(&self, d: &Arc<OwnedFd>) -> Option<Traits> {
        let file = self.create(d, b"case", 0o600).ok()?;
        let there = |name: &[u8]| self.stat(d, name).ok().flatten().is_some();
        let folds_case = there(b"CASE");
        self.create(d, "\u{e9}".as_bytes(), 0o600).ok();
        let folds_form = there("e\u{301}".as_bytes());
        file.set_mode(0o700).ok();
        let exec_bit = file.stat().ok()?.exec();
        file.set_mode(0o600).ok();
        let plain = !file.stat().ok()?.exec();
        let private = file.stat().ok()?.private();
        file.set_mode(0o644).ok();
        let modes = private && !file.stat().ok()?.private();
        file.set_mtime(Time { s: 1_000_000_001, ns: 123_456_789 }).ok();
        let t = file.stat().ok()?.mtime;
        let time_step = match t {
            Time { s: 1_000_000_001, ns: 123_456_789 } => 1,
            Time { s: 1_000_000_001, ns } if ns % 1000 == 0 && ns != 0 => 1000,
            Time { s: 1_000_000_001, .. } => 1_000_000_000,
            _ => 2_000_000_000,
        };
        self.create(d, b"other", 0o600).ok()?;
        let noreplace = rename_flags(d, b"case", d, b"fresh", RenameFlags::NOREPLACE).is_ok();
        let name: &[u8] = if noreplace { b"fresh" } else { b"case" };
        let exchange = rename_flags(d, name, d, b"other", RenameFlags::EXCHANGE).is_ok();
        let links = self.symlink(b"target", d, b"link").is_ok();
        Some(Traits { folds_case, folds_form, exec_bit: exec_bit && plain, modes, time_step, noreplace, exchange, links })
    }
}

/// Deep trees hold one descriptor a level: the soft limit of open files goes up to the hard one.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum.map(|m| m.min(1 << 20)).or(Some(1 << 20));
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_flags(a: &OwnedFd, name: &[u8], b: &OwnedFd, new: &[u8], flags: RenameFlags) -> io::Result<()> {
    Ok(fs::renameat_with(a, name, b, new, flags)?)
}

fn unsupported(e: &io::Error) -> bool {
    let e = e.raw_os_error();
    e == Some(Errno::INVAL.raw_os_error()) || e == Some(Errno::NOSYS.raw_os_error()) || e == Some(Errno::NOTSUP.raw_os_error())
}

fn kind_of(t: FileType) -> Kind {
    match t {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(target_os = "linux")]
fn stat_at<Fd: AsFd>(fd: Fd, name: &[u8], flags: AtFlags) -> rustix::io::Result<Stat> {
    use rustix::fs::StatxFlags;
    let want = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    match fs::statx(&fd, name, flags | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, want) {
        Ok(x) => {
            let time = |t: fs::StatxTimestamp| Time { s: t.tv_sec, ns: t.tv_nsec };
            let has_birth = x.stx_mask & StatxFlags::BTIME.bits() != 0;
            Ok(Stat {
                kind: kind_of(FileType::from_raw_mode(u32::from(x.stx_mode))),
                size: x.stx_size,
                mode: u32::from(x.stx_mode) & 0o7777,
                mtime: time(x.stx_mtime),
                ctime: time(x.stx_ctime),
                ino: x.stx_ino,
                dev: u64::from(x.stx_dev_major) << 32 | u64::from(x.stx_dev_minor),
                birth: has_birth.then(|| time(x.stx_btime)),
            })
        }
        Err(Errno::NOSYS) => old_stat(fs::statat(fd, name, flags | AtFlags::SYMLINK_NOFOLLOW)?),
        Err(e) => Err(e),
    }
}

#[cfg(not(target_os = "linux"))]
fn stat_at<Fd: AsFd>(fd: Fd, name: &[u8], flags: AtFlags) -> rustix::io::Result<Stat> {
    if name.is_empty() {
        return old_stat(fs::fstat(fd)?);
    }
    old_stat(fs::statat(fd, name, flags | AtFlags::SYMLINK_NOFOLLOW)?)
}

#[allow(clippy::unnecessary_cast, clippy::cast_lossless)] // The fields' types differ from target to target.
fn old_stat(s: fs::Stat) -> rustix::io::Result<Stat> {
    #[cfg(target_vendor = "apple")]
    let birth = Some(Time { s: s.st_birthtime as i64, ns: s.st_birthtime_nsec as u32 });
    #[cfg(not(target_vendor = "apple"))]
    let birth = None;
    Ok(Stat {
        kind: kind_of(FileType::from_raw_mode(s.st_mode as _)),
        size: s.st_size as u64,
        mode: s.st_mode as u32 & 0o7777,
        mtime: Time { s: s.st_mtime as i64, ns: s.st_mtime_nsec as u32 },
        ctime: Time { s: s.st_ctime as i64, ns: s.st_ctime_nsec as u32 },
        ino: s.st_ino as u64,
        dev: s.st_dev as u64,
        birth,
    })
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode((bits & 0o7777) as _)
}

fn times(t: Time) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT as _ };
    Timestamps { last_access: omit, last_modification: Timespec { tv_sec: t.s, tv_nsec: t.ns as _ } }
}

impl Read for DiskFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for DiskFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open for DiskFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_at(&self.0, b"", AtFlags::EMPTY_PATH)?)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, buf, offset)
    }

    fn set_mtime(&self, t: Time) -> io::Result<()> {
        Ok(fs::futimens(&self.0, &times(t))?)
    }

    fn set_mode(&self, bits: u32) -> io::Result<()> {
        Ok(fs::fchmod(&self.0, mode(bits))?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all() // On macOS std asks for F_FULLFSYNC.
    }
}

impl Files for Disk {
    type Dir = Arc<OwnedFd>;
    type File = DiskFile;

    fn root(&self) -> Self::Dir {
        self.root.clone()
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn open_dir(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::Dir> {
        Ok(Arc::new(fs::openat(at, name, DIR, Mode::empty())?))
    }

    fn list(&self, at: &Self::Dir) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>> {
        let mut out = Vec::new();
        let mut dir = fs::Dir::read_from(at)?;
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let kind = match entry.file_type() {
                    FileType::Unknown => None,
                    t => Some(kind_of(t)),
                };
                out.push((name.into(), kind));
            }
        }
        Ok(out)
    }

    fn stat(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Option<Stat>> {
        match stat_at(at, name, AtFlags::empty()) {
            Ok(s) => Ok(Some(s)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn stat_dir(&self, at: &Self::Dir) -> io::Result<Stat> {
        Ok(stat_at(at, b"", AtFlags::EMPTY_PATH)?)
    }

    fn open(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::File> {
        self.open_with(at, name, OFlags::RDONLY)
    }

    fn open_rw(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::File> {
        self.open_with(at, name, OFlags::RDWR)
    }

    fn create(&self, at: &Self::Dir, name: &[u8], bits: u32) -> io::Result<Self::File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(DiskFile(File::from(fs::openat(at, name, flags, mode(bits))?)))
    }

    fn mkdir(&self, at: &Self::Dir, name: &[u8], bits: u32) -> io::Result<()> {
        Ok(fs::mkdirat(at, name, mode(bits))?)
    }

    fn symlink(&self, target: &[u8], at: &Self::Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(target, at, name)?)
    }

    fn set_link_mtime(&self, at: &Self::Dir, name: &[u8], t: Time) -> io::Result<()> {
        Ok(fs::utimensat(at, name, &times(t), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn readlink(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(at, name, Vec::new())?.into_bytes())
    }

    fn rename(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()> {
        Ok(fs::renameat(at, name, to, new)?)
    }

    fn rename_noreplace(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()> {
        match rename_flags(at, name, to, new, RenameFlags::NOREPLACE) {
            Err(e) if unsupported(&e) => {}
            other => return other,
        }
        if self.stat(to, new)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        if self.stat(at, name)?.is_some_and(|s| s.kind == Kind::Dir) {
            // RACE: a directory made at `new` in between is replaced if it is empty; one that is not makes this fail.
            return self.rename(at, name, to, new);
        }
        match fs::linkat(at, name, to, new, AtFlags::empty()) {
            Ok(()) => self.unlink(at, name),
            // RACE: no hard links here (FAT): a file made at `new` within these microseconds is replaced.
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => self.rename(at, name, to, new),
            Err(e) => Err(e.into()),
        }
    }

    fn exchange(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()> {
        match rename_flags(at, name, to, new, RenameFlags::EXCHANGE) {
            Err(e) if unsupported(&e) => Err(io::ErrorKind::Unsupported.into()),
            other => other,
        }
    }

    fn unlink(&self, at: &Self::Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(at, name, AtFlags::empty())?)
    }

    fn rmdir(&self, at: &Self::Dir, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(at, name, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, at: &Self::Dir) -> io::Result<()> {
        match fs::fsync(at) {
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(()), // Some file systems have nothing to sync in a directory.
            other => Ok(other?),
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        fs::syncfs(&*self.root)?;
        #[cfg(target_vendor = "apple")]
        {
            fs::sync();
            fs::fcntl_fullfsync(&*self.root)?;
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let s = fs::fstatvfs(&*self.root)?;
        Ok(s.f_bavail.saturating_mul(s.f_frsize))
    }
}

impl Disk {
    fn open_with(&self, at: &Arc<OwnedFd>, name: &[u8], access: OFlags) -> io::Result<DiskFile> {
        // O_NONBLOCK: a FIFO that appeared under the name must not block us.
        let fd = fs::openat(at, name, access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty())?;
        let file = DiskFile(File::from(fd));
        match file.stat()?.kind {
            Kind::File => Ok(file),
            Kind::Dir => Err(Errno::ISDIR.into()),
            _ => Err(Errno::INVAL.into()),
        }
    }
}
