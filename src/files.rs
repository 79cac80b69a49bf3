//! The seam to the disk: descriptor-relative verbs, one name at a time.
//!
//! No path is ever joined. A directory is a handle, an entry is (handle, name), and no verb follows a symlink: a
//! planted link can lead nothing outside the root, and depth is not bounded by PATH_MAX. The real implementation is
//! [`real::Disk`]; the simulation has `sim::disk::SimDisk` with power-cut semantics.
//!
//! Errors are `io::Error`, so that callers can tell ENOENT, EEXIST, ENOSPC; they become [`crate::error::Error`] where a
//! path is known.

mod probe;
pub mod real;

use crate::clock::Time;
use std::io;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A socket, FIFO or device: skipped, with one warning.
    Other,
}

/// What `lstat` tells of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes (of a link: of its target).
    pub size: u64,
    /// The permission bits, `0o7777`.
    pub mode: u32,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Inode number.
    pub ino: u64,
    /// Device number; only ever compared within one run.
    pub dev: u64,
    /// Birth time, where the file system has one.
    pub birth: Option<Time>,
    /// Bytes that it takes on its disk.
    pub taken: u64,
}

impl Stat {
    /// Any of the three executable bits.
    pub fn exec(&self) -> bool {
        self.mode & 0o111 != 0
    }

    /// No access for group and others (the private bit of the format).
    pub fn private(&self) -> bool {
        self.mode & 0o077 == 0
    }
}

/// What the disk under a root can do; probed once when a root is opened, by trying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Names that differ only by case are one name.
    pub folds_case: bool,
    /// Names that differ only by Unicode normal form are one name.
    pub folds_form: bool,
    /// The executable bit is kept.
    pub exec_bit: bool,
    /// Bits for group and others are kept (the private bit means something).
    pub modes: bool,
    /// Granularity of times in nanoseconds (1, or 2_000_000_000 on FAT).
    pub time_step: u64,
    /// `renameat2(RENAME_NOREPLACE)` works.
    pub noreplace: bool,
    /// `renameat2(RENAME_EXCHANGE)` works.
    pub exchange: bool,
    /// Symbolic links can be made.
    pub links: bool,
}

impl Traits {
    /// Those of a disk that can do everything.
    pub const ALL: Traits = Traits {
        folds_case: false,
        folds_form: false,
        exec_bit: true,
        modes: true,
        time_step: 1,
        noreplace: true,
        exchange: true,
        links: true,
    };
}

/// An open file. Reading and writing move a cursor; `read_at` does not.
pub trait Open: io::Read + io::Write {
    /// `fstat`.
    fn stat(&self) -> io::Result<Stat>;
    /// Reads at an offset, as `pread`: up to `buf.len()` bytes, 0 at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Reads at an offset until `buf` is full or the file ends; gives how much that was.
    fn read_up_to(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < buf.len() {
            match self.read_at(offset + have as u64, &mut buf[have..])? {
                0 => break,
                n => have += n,
            }
        }
        Ok(have)
    }
    /// Writes all of `buf` at an offset, as `pwrite`.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;
    /// Sets the modification time.
    fn set_mtime(&self, t: Time) -> io::Result<()>;
    /// Sets the permission bits; what a disk without them cannot keep is no error.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Cuts or extends.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes contents and size durable.
    fn sync(&self) -> io::Result<()>;
    /// Takes the lock of the whole file (flock(2)) until this handle is dropped or its process ends; `false`: another
    /// handle holds it. An error where the disk knows no locks.
    fn try_lock(&self) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The disk below one root. Cheap to clone (a shared handle).
///
/// `at` is always a directory handle of the same value, `name` always one component.
pub trait Files: Clone {
    /// A directory handle. Cheap to clone.
    type Dir: Clone;
    /// An open file.
    type File: Open;

    /// The root's handle.
    fn root(&self) -> Self::Dir;
    /// What this disk can do.
    fn traits(&self) -> Traits;
    /// Opens a directory; a symlink or file is ENOTDIR or ELOOP.
    fn open_dir(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::Dir>;
    /// All names but `.` and `..`, in no order, with their kind where the disk tells it for free.
    fn list(&self, at: &Self::Dir) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>>;
    /// `lstat`; `None` if there is nothing.
    fn stat(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Option<Stat>>;
    /// `fstat` of the directory itself.
    fn stat_dir(&self, at: &Self::Dir) -> io::Result<Stat>;
    /// Opens for reading; never follows a link, never blocks on a FIFO.
    fn open(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing.
    fn open_rw(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Self::File>;
    /// Makes a new file (EEXIST if anything has the name) with this mode, less the umask; open for reading and writing.
    fn create(&self, at: &Self::Dir, name: &[u8], mode: u32) -> io::Result<Self::File>;
    /// Makes a directory (0777 less the umask, or the mode given).
    fn mkdir(&self, at: &Self::Dir, name: &[u8], mode: u32) -> io::Result<()>;
    /// Makes a symbolic link.
    fn symlink(&self, target: &[u8], at: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Sets the modification time of a link or file by name, not following.
    fn set_link_mtime(&self, at: &Self::Dir, name: &[u8], t: Time) -> io::Result<()>;
    /// Reads a link.
    fn readlink(&self, at: &Self::Dir, name: &[u8]) -> io::Result<Vec<u8>>;
    /// Renames, replacing what is there.
    fn rename(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()>;
    /// Renames; EEXIST if the new name is taken. Where the system has no such call: link and unlink for files, a check
    /// and a plain rename for directories (RACE: microseconds; worst case an empty directory is replaced).
    fn rename_noreplace(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()>;
    /// Exchanges two names; `Unsupported` where the system cannot.
    fn exchange(&self, at: &Self::Dir, name: &[u8], to: &Self::Dir, new: &[u8]) -> io::Result<()>;
    /// Unlinks a file or link.
    fn unlink(&self, at: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Removes an empty directory.
    fn rmdir(&self, at: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Makes the entries of a directory durable (fsync of it).
    fn sync_dir(&self, at: &Self::Dir) -> io::Result<()>;
    /// Makes everything written so far below this root durable (`syncfs`; on macOS the caller syncs files one by one).
    fn sync_all(&self) -> io::Result<()>;
    /// Free bytes for an ordinary user.
    fn free(&self) -> io::Result<u64>;
}
