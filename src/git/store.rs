//! The object store of one repository: packs and loose objects, read; packs, written (gitrepository-layout(5)).
//!
//! Nothing is mapped (32-bit machines cannot map large packs) and nothing is cached but fan-out tables: an object is
//! found by one or two `pread`s.

mod damage;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod far;
mod loose;
mod read;
mod small;

pub use super::pack_write::PackWriter;
pub use super::refs::Expect;
pub(super) use read::{CHAIN, Head, damaged, entry_head};
pub(super) use small::create_anew;
pub(crate) use small::{ensure_dir, read_small, write_atomic};

use super::idx::{self, Entry, Idx};
use super::ingest::Ingest;
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::id::Oid;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A repository. Cheap to clone: clones share everything.
pub struct Store<F: Files> {
    pub(super) files: F,
    /// The repository's directory: `.git`, or the bare repository itself.
    pub(super) dir: F::Dir,
    packs_dir: F::Dir,
    objects_dir: F::Dir,
    packs: Rc<RefCell<Vec<Rc<Pack<F>>>>>,
    counter: Rc<Cell<u32>>,
}

impl<F: Files> Clone for Store<F> {
    fn clone(&self) -> Self {
        Store {
            files: self.files.clone(),
            dir: self.dir.clone(),
            packs_dir: self.packs_dir.clone(),
            objects_dir: self.objects_dir.clone(),
            packs: self.packs.clone(),
            counter: self.counter.clone(),
        }
    }
}

pub(super) struct Pack<F: Files> {
    /// `pack-<hex>`, without suffix.
    pub(super) name: String,
    pub(super) file: F::File,
    pub(super) idx: Idx<F::File>,
    pub(super) size: u64,
}

/// A pack under way, under a name that nobody looks at. Unless it is installed it goes when it is dropped, whatever
/// failed; what a crash leaves, [`Store::tidy`] removes.
pub(super) struct Temporary<F: Files> {
    store: Store<F>,
    name: String,
    pub(super) file: F::File,
    installed: bool,
}

impl<F: Files> Temporary<F> {
    /// See [`Store::install`].
    pub(super) fn install(self, trailer: &[u8; 20], entries: &[Entry]) -> Result<String> {
        let store = self.store.clone();
        store.install(self, trailer, entries)
    }
}

impl<F: Files> Drop for Temporary<F> {
    fn drop(&mut self) {
        if !self.installed {
            let _ = self.store.files.unlink(&self.store.packs_dir, self.name.as_bytes());
        }
    }
}

impl<F: Files> Store<F> {
    /// Makes a repository in `dir` (which becomes the `.git` directory, or the bare repository), HEAD at
    /// `refs/heads/main`, and opens it. What is there already stays.
    pub fn init(files: &F, dir: &F::Dir, bare: bool) -> Result<Store<F>> {
        let objects = ensure_dir(files, dir, b"objects")?;
        ensure_dir(files, &objects, b"pack")?;
        ensure_dir(files, &objects, b"info")?;
        let refs = ensure_dir(files, dir, b"refs")?;
        ensure_dir(files, &refs, b"heads")?;
        ensure_dir(files, &refs, b"tags")?;
        let info = ensure_dir(files, dir, b"info")?;
        if files.stat(&info, b"exclude")?.is_none() {
            write_atomic(files, &info, b"exclude", b"*.new\n*.stray-*\n.sharelock-tmp-*\n")?;
        }
        if files.stat(dir, b"config")?.is_none() {
            let config = format!("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = {bare}\n\tautocrlf = false\n");
            write_atomic(files, dir, b"config", config.as_bytes())?;
        }
        if files.stat(dir, b"HEAD")?.is_none() {
            write_atomic(files, dir, b"HEAD", b"ref: refs/heads/main\n")?;
        }
        files.sync_dir(dir)?;
        Self::open(files, dir)
    }

    /// Opens a repository.
    ///
    /// Errors: not a repository (`absent`), SHA-256 or reftable repositories (`version`).
    pub fn open(files: &F, dir: &F::Dir) -> Result<Store<F>> {
        let absent = |what: &str| Error::integrity(Class::Absent, format!("not a git repository: {what} is missing"));
        if files.stat(dir, b"HEAD")?.is_none() {
            return Err(absent("HEAD"));
        }
        let objects_dir = files.open_dir(dir, b"objects").map_err(|e| absent("objects").because(e))?;
        let packs_dir = ensure_dir(files, &objects_dir, b"pack")?;
        if let Some(config) = read_small(files, dir, b"config", 1 << 20)? {
            check_config(&config)?;
        }
        let store = Store { files: files.clone(), dir: dir.clone(), packs_dir, objects_dir, packs: Rc::default(), counter: Rc::default() };
        store.refresh()?;
        Ok(store)
    }

    /// Removes what a crash of this program has left: temporary packs and lock files of its own. Only for the process
    /// that holds the vault's lock.
    pub fn tidy(&self) -> Result<()> {
        self.tidy_before(None)
    }

    /// The same in a repository that several devices write to, each with its own lock or none: only what nobody has
    /// touched for an hour, by the clock of that disk.
    pub(super) fn tidy_stale(&self) -> Result<()> {
        let now = self.temporary()?.file.stat()?.mtime.s;
        self.tidy_before(Some(now - 3600))
    }

    fn tidy_before(&self, limit: Option<i64>) -> Result<()> {
        for (name, _) in self.files.list(&self.packs_dir)? {
            if name.starts_with(b"tmp_sharelock_")
                && let Some(stat) = self.files.stat(&self.packs_dir, &name)?
                && limit.is_none_or(|limit| stat.mtime.s < limit)
            {
                self.unlink_if_there(&self.packs_dir, &name)?;
            }
        }
        self.tidy_locks(limit)
    }

    /// Removes a file; that another device was faster is no failure.
    pub(super) fn unlink_if_there(&self, dir: &F::Dir, name: &[u8]) -> Result<()> {
        match self.files.unlink(dir, name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Looks for packs anew.
    pub fn refresh(&self) -> Result<()> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.files.list(&self.packs_dir)? {
            let stem = std::str::from_utf8(&name).ok().and_then(|n| n.strip_suffix(".idx"));
            names.extend(stem.filter(|s| s.starts_with("pack-")).map(str::to_string));
        }
        let mut packs = self.packs.borrow_mut();
        packs.retain(|p| names.contains(&p.name));
        for name in names {
            if packs.iter().all(|p| p.name != name)
                && let Some(pack) = self.open_pack(&name)?
            {
                packs.push(Rc::new(pack));
            }
        }
        Ok(())
    }

    /// Begins a pack of new objects.
    pub fn pack_writer(&self) -> Result<PackWriter<F>> {
        PackWriter::new(self.temporary()?)
    }

    /// Takes in a pack from elsewhere.
    pub fn ingest(&self) -> Result<Ingest<F>> {
        Ok(Ingest::new(self.clone(), self.temporary()?))
    }

    fn temporary(&self) -> Result<Temporary<F>> {
        loop {
            let name = format!("tmp_sharelock_{}", self.counter.get());
            self.counter.set(self.counter.get() + 1);
            match self.files.create(&self.packs_dir, name.as_bytes(), 0o444) {
                Ok(file) => return Ok(Temporary { store: self.clone(), name, file, installed: false }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Opens the pack of this name, if it is there with its index.
    fn open_pack(&self, name: &str) -> Result<Option<Pack<F>>> {
        let open = |suffix: &str| self.files.open(&self.packs_dir, format!("{name}{suffix}").as_bytes());
        let (idx, file) = match (open(".idx"), open(".pack")) {
            (Ok(i), Ok(p)) => (i, p),
            (Err(e), _) | (_, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            (Err(e), _) | (_, Err(e)) => return Err(e.into()),
        };
        let size = file.stat()?.size;
        let idx = Idx::open(idx).map_err(|e| e.at(format!("{name}.idx")))?;
        Ok(Some(Pack { name: name.into(), file, idx, size }))
    }

    fn find(&self, oid: &Oid) -> Result<Option<(Rc<Pack<F>>, u64)>> {
        let packs = self.packs.borrow();
        for p in packs.iter().rev() {
            if let Some(offset) = p.idx.find(oid)? {
                return Ok(Some((p.clone(), offset)));
            }
        }
        Ok(None)
    }

    /// True if the repository has the object.
    pub fn contains(&self, oid: &Oid) -> Result<bool> {
        Ok(self.is_packed(oid)? || self.loose(oid)?.is_some())
    }

    /// True if it has the object in a pack, where all of ours are.
    pub fn is_packed(&self, oid: &Oid) -> Result<bool> {
        Ok(self.find(oid)?.is_some())
    }

    /// Gives a complete, synced temporary pack its name: the pack first, then its index, which makes it visible. Gives
    /// its name.
    fn install(&self, mut pack: Temporary<F>, trailer: &[u8; 20], entries: &[Entry]) -> Result<String> {
        let name = format!("pack-{}", Oid(*trailer));
        let known = self.packs.borrow().iter().any(|p| p.name == name);
        // Known, and still there: a stock `git gc` may have removed it since.
        if known && self.open_pack(&name)?.is_some() {
            return Ok(name);
        }
        self.packs.borrow_mut().retain(|p| p.name != name);
        let mut idx = self.temporary()?;
        idx::write(entries, trailer, &mut idx.file)?;
        idx.file.sync()?;
        for (temporary, suffix) in [(&mut pack, ".pack"), (&mut idx, ".idx")] {
            let d = &self.packs_dir;
            self.files.rename(d, temporary.name.as_bytes(), d, format!("{name}{suffix}").as_bytes())?;
            temporary.installed = true;
        }
        self.files.sync_dir(&self.packs_dir)?;
        if let Some(pack) = self.open_pack(&name)? {
            self.packs.borrow_mut().push(Rc::new(pack));
        }
        Ok(name)
    }

    pub(super) fn pack_list(&self) -> Vec<Rc<Pack<F>>> {
        self.packs.borrow().clone()
    }

    /// True if git is told to leave this pack alone: it is being written, promised, or kept for later deletion.
    pub(super) fn set_aside(&self, pack: &str) -> Result<bool> {
        for suffix in [".keep", ".promisor", ".mtimes"] {
            if self.files.stat(&self.packs_dir, format!("{pack}{suffix}").as_bytes())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a pack whose objects stand elsewhere: the index first, so that nobody looks for it.
    pub(super) fn remove_pack(&self, name: &str) -> Result<()> {
        self.packs.borrow_mut().retain(|p| p.name != name);
        for suffix in [".idx", ".rev", ".bitmap", ".pack"] {
            self.unlink_if_there(&self.packs_dir, format!("{name}{suffix}").as_bytes())?;
        }
        Ok(())
    }
}

/// Refuses repositories of a kind that this engine does not read.
fn check_config(config: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(config).to_lowercase();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).trim().to_string();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if section == "extensions" {
            let refused = match key {
                "objectformat" if value != "sha1" => "its object format",
                "refstorage" if value != "files" => "its ref storage",
                _ => continue,
            };
            return Err(Error::integrity(
                Class::Version,
                format!("this repository cannot be used: {refused} is {value}; make it with `git init --bare --object-format=sha1`"),
            ));
        }
    }
    Ok(())
}

/// Opens the directory at a path below a root, for a repository that lies inside it.
pub fn dir_at<F: Files>(files: &F, path: &str) -> Result<F::Dir> {
    Ok(path.split('/').try_fold(files.root(), |d, name| files.open_dir(&d, name.as_bytes()))?)
}
