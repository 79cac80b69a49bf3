//! What takes the space of a disk: a walk that asks for nothing but sizes.

use crate::error::{Error, Result};
use crate::files::{Files, Kind, Stat};
use crate::path::Name;

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files, links, and what else is no folder.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes that all of that takes on its disk. A file with two names counts twice.
    pub bytes: u64,
    /// Folders that could not be looked into: what is in them is not counted.
    pub unread: u64,
}

/// One entry of a folder, with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// It is a folder.
    pub is_dir: bool,
    /// What it takes.
    pub amount: Amount,
}

impl Amount {
    /// What one entry takes by itself.
    pub fn of(stat: &Stat) -> Amount {
        let dir = stat.kind == Kind::Dir;
        Amount { files: (!dir).into(), folders: dir.into(), bytes: stat.taken, unread: 0 }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Amount) {
        self.files += other.files;
        self.folders += other.folders;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unread += other.unread;
    }
}

/// The entries of a folder, what takes most first.
///
/// # Errors
/// The folder itself cannot be listed. What lies deeper and cannot be read is counted in [`Amount::unread`].
pub fn entries<F: Files>(files: &F, dir: &F::Dir) -> Result<Vec<Entry>> {
    let mut out = Vec::new();
    for (name, _) in files.list(dir)? {
        let Some(name) = Name::new(name) else { continue };
        // What goes while one looks takes nothing.
        let Some(stat) = read(files.stat(dir, name.as_bytes()))?.flatten() else { continue };
        let mut amount = Amount::of(&stat);
        if stat.kind == Kind::Dir {
            match read(files.open_dir(dir, name.as_bytes()))? {
                Some(inside) => amount.add(&within(files, inside)?),
                None => amount.unread += 1,
            }
        }
        out.push(Entry { name, is_dir: stat.kind == Kind::Dir, amount });
    }
    out.sort_by(|a, b| b.amount.bytes.cmp(&a.amount.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(out)
}

/// All that is in a folder, without the folder itself.
///
/// # Errors
/// None of the disk's: what cannot be read is counted in [`Amount::unread`].
pub fn within<F: Files>(files: &F, dir: F::Dir) -> Result<Amount> {
    let mut sum = Amount::default();
    // A descriptor for each level, and the names of its folders that are still to be entered.
    let mut stack: Vec<(F::Dir, Vec<Box<[u8]>>)> = Vec::new();
    let mut next = Some(dir);
    loop {
        if let Some(dir) = next.take() {
            let mut todo = Vec::new();
            match read(files.list(&dir))? {
                None => sum.unread += 1,
                Some(names) => {
                    for (name, _) in names {
                        let Some(stat) = read(files.stat(&dir, &name))?.flatten() else { continue };
                        sum.add(&Amount::of(&stat));
                        if stat.kind == Kind::Dir {
                            todo.push(name);
                        }
                    }
                }
            }
            stack.push((dir, todo));
        }
        let Some((dir, todo)) = stack.last_mut() else { return Ok(sum) };
        match todo.pop() {
            None => _ = stack.pop(),
            Some(name) => match read(files.open_dir(dir, &name))? {
                Some(inside) => next = Some(inside),
                None => sum.unread += 1,
            },
        }
    }
}

/// `None` for what the disk does not let one read.
fn read<T>(answer: std::io::Result<T>) -> Result<Option<T>> {
    match answer.map_err(Error::from) {
        Err(e) if e.is_stopped() => Err(e),
        other => Ok(other.ok()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::files::real::Disk;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_tree_is_as_large_as_all_that_is_in_it() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::create_dir_all(at("small/deep/deeper")).unwrap();
        std::fs::create_dir(at("large")).unwrap();
        std::fs::write(at("small/deep/deeper/file"), "x").unwrap();
        std::fs::write(at("large/a"), vec![1; 300_000]).unwrap();
        std::fs::write(at("large/b"), vec![1; 300_000]).unwrap();
        std::fs::write(at("file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", at("link")).unwrap();
        let disk = Disk::open_unprobed(temp.path()).unwrap();
        let all = entries(&disk, &disk.root()).unwrap();
        let names: Vec<String> = all.iter().map(|e| e.name.to_string()).collect();
        assert_eq!(names[..2], ["large", "file"]);
        let taken = |name: &str| at(name).symlink_metadata().unwrap().blocks() * 512;
        assert_eq!(all[0].amount.bytes, taken("large") + taken("large/a") + taken("large/b"));
        let small = all.iter().find(|e| e.name.as_bytes() == b"small").unwrap();
        assert_eq!((small.is_dir, small.amount.files, small.amount.folders), (true, 1, 3));
        let link = all.iter().find(|e| e.name.as_bytes() == b"link").unwrap();
        assert_eq!((link.is_dir, link.amount.files), (false, 1), "it is not followed");
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let temp = tempfile::tempdir().unwrap();
        let closed = temp.path().join("a/closed");
        std::fs::create_dir_all(&closed).unwrap();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o0)).unwrap();
        let disk = Disk::open_unprobed(temp.path()).unwrap();
        let all = within(&disk, disk.root()).unwrap();
        // Nothing is closed to root.
        let unread = u64::from(std::fs::read_dir(&closed).is_err());
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!((all.folders, all.unread), (2, unread));
    }
}
