//! The object store of one repository: packs and loose objects, read; packs, written (gitrepository-layout(5)).
//!
//! Nothing is mapped (32-bit machines cannot map large packs) and nothing is cached but fan-out tables: an object is
//! found by one or two `pread`s.

use super::entry::{Base, LONGEST, parse_head};
use super::idx::{self, Entry, Idx};
use super::ingest::Ingest;
pub use super::pack_write::PackWriter;
use super::{Type, delta, object, zlib};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::id::Oid;
use crate::path::printable;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;

pub use super::refs::Expect;

/// Longest chain of deltas that is followed; git writes at most 50 (`pack.depth`), 4095 by option.
pub(super) const CHAIN: usize = 4096;

/// Bytes of deltas that are held for one object at most.
const CHAIN_BYTES: u64 = 4 * super::limit::TREE;

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

/// The start of an entry in a pack.
#[derive(Clone, Copy)]
pub(super) enum Head {
    /// An object as it is.
    Whole(Type),
    /// A delta; where its base begins.
    Ofs(u64),
    /// A delta; its base.
    Ref(Oid),
}

fn open_path<F: Files>(files: &F, at: &F::Dir, path: &str) -> std::io::Result<F::Dir> {
    path.split('/').try_fold(at.clone(), |d, name| files.open_dir(&d, name.as_bytes()))
}

/// Makes a directory durably unless it is there, and opens it.
pub(crate) fn ensure_dir<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> std::io::Result<F::Dir> {
    match files.mkdir(at, name, 0o777) {
        Ok(()) => files.sync_dir(at)?,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    files.open_dir(at, name)
}

/// Reads a small text file whole; `None` if it is not there.
pub(crate) fn read_small<F: Files>(files: &F, at: &F::Dir, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match files.open(at, name) {
        Ok(f) => f,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut out = Vec::new();
    file.take(limit + 1).read_to_end(&mut out)?;
    if out.len() as u64 > limit {
        return Err(Error::integrity(Class::Limit, format!("{}: longer than {limit} bytes", printable(name))));
    }
    Ok(Some(out))
}

/// Makes an empty file under a temporary name of ours; one that a crash has left there goes.
pub(super) fn create_anew<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> std::io::Result<F::File> {
    match files.create(at, name, 0o666) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            files.unlink(at, name)?;
            files.create(at, name, 0o666)
        }
        other => other,
    }
}

/// Writes a file durably under a temporary name and renames it into place.
pub(crate) fn write_atomic<F: Files>(files: &F, at: &F::Dir, name: &[u8], content: &[u8]) -> Result<()> {
    let temporary = [name, b".sharelock-tmp"].concat();
    let mut file = create_anew(files, at, &temporary)?;
    file.write_all(content)?;
    file.sync()?;
    files.rename(at, &temporary, at, name)?;
    files.sync_dir(at)?;
    Ok(())
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
        let (name, file) = self.temporary()?;
        let now = file.stat()?.mtime.s;
        self.discard(&name)?;
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
        Ok(self.find(oid)?.is_some() || self.loose(oid)?.is_some())
    }

    /// Type and size, if the repository has the object.
    pub fn header(&self, oid: &Oid) -> Result<Option<(Type, u64)>> {
        if let Some((pack, offset)) = self.find(oid)? {
            let mut at = offset;
            let mut size = None;
            for _ in 0..CHAIN {
                let (head, len, body) = entry_head(&pack, at)?;
                match head {
                    Head::Whole(kind) => return Ok(Some((kind, size.unwrap_or(len)))),
                    _ if size.is_none() => {
                        let mut start = Vec::new();
                        inflate_at(&pack, body, len, 32.min(len as usize), &mut start)?;
                        size = Some(delta::result_size(&start)?);
                    }
                    _ => {}
                }
                at = match head {
                    Head::Ofs(back) => back,
                    Head::Ref(base) => base_in(&pack, &base, at)?,
                    Head::Whole(_) => at,
                };
            }
            return Err(Error::integrity(Class::Form, "a chain of deltas without an end"));
        }
        let Some(file) = self.loose(oid)? else { return Ok(None) };
        let (kind, size, _) = loose_start(file, 0)?;
        Ok(Some((kind, size)))
    }

    /// Reads an object of this type and at most `limit` bytes.
    ///
    /// Errors: `absent` if it is not there, `form` if it is of another type or damaged, `limit`.
    pub fn read(&self, oid: &Oid, kind: Type, limit: u64) -> Result<Vec<u8>> {
        let (found, content) = self.read_any(oid, limit)?;
        if found != kind {
            return Err(Error::integrity(Class::Form, format!("git object {oid} is a {}, not a {}", found.name(), kind.name())));
        }
        Ok(content)
    }

    /// Reads an object of any type and at most `limit` bytes. Its id is computed anew and compared, so a damaged disk
    /// is noticed here.
    pub fn read_any(&self, oid: &Oid, limit: u64) -> Result<(Type, Vec<u8>)> {
        let (kind, content) = self.read_unchecked(oid, limit)?;
        if object::id(kind, &content) != *oid {
            return Err(Error::integrity(Class::Auth, format!("git object {oid} is damaged on this disk")));
        }
        Ok((kind, content))
    }

    fn read_unchecked(&self, oid: &Oid, limit: u64) -> Result<(Type, Vec<u8>)> {
        let Some((pack, offset)) = self.find(oid)? else {
            let file = self.loose(oid)?.ok_or_else(|| Error::integrity(Class::Absent, format!("git object {oid} is missing")))?;
            let (kind, size, content) = loose_start(file, limit)?;
            if size > limit {
                return Err(too_long(oid, size));
            }
            return Ok((kind, content));
        };
        let mut deltas: Vec<Vec<u8>> = Vec::new();
        let (mut at, mut held) = (offset, 0);
        let (kind, mut content) = loop {
            if deltas.len() > CHAIN {
                return Err(Error::integrity(Class::Form, "a chain of deltas without an end"));
            }
            let (head, len, body) = entry_head(&pack, at)?;
            if len > limit.max(super::limit::BLOB) {
                return Err(too_long(oid, len));
            }
            let mut bytes = Vec::new();
            inflate_at(&pack, body, len, len as usize, &mut bytes)?;
            match head {
                Head::Whole(kind) => break (kind, bytes),
                Head::Ofs(base) => at = base,
                Head::Ref(base) => at = base_in(&pack, &base, at)?,
            }
            held += len;
            if held > CHAIN_BYTES {
                return Err(too_long(oid, held));
            }
            deltas.push(bytes);
        };
        while let Some(d) = deltas.pop() {
            content = delta::apply(&content, &d, limit)?;
        }
        if content.len() as u64 > limit {
            return Err(too_long(oid, content.len() as u64));
        }
        Ok((kind, content))
    }

    /// The first `n` bytes of a blob and its whole length; reads no more than it must. The id is not checked: what is
    /// read so far is sealed and verified by who asks.
    pub fn read_start(&self, oid: &Oid, n: usize) -> Result<(Vec<u8>, u64)> {
        if let Some((pack, offset)) = self.find(oid)? {
            let (head, len, body) = entry_head(&pack, offset)?;
            if let Head::Whole(Type::Blob) = head {
                let mut out = Vec::new();
                inflate_at(&pack, body, len, n.min(len as usize), &mut out)?;
                out.truncate(n);
                return Ok((out, len));
            }
        }
        let mut content = self.read(oid, Type::Blob, super::limit::BLOB)?;
        let len = content.len() as u64;
        content.truncate(n);
        Ok((content, len))
    }

    fn loose(&self, oid: &Oid) -> Result<Option<F::File>> {
        let hex = oid.to_string();
        let dir = match self.files.open_dir(&self.objects_dir, &hex.as_bytes()[..2]) {
            Ok(d) => d,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        match self.files.open(&dir, &hex.as_bytes()[2..]) {
            Ok(f) => Ok(Some(f)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Begins a pack of new objects.
    pub fn pack_writer(&self) -> Result<PackWriter<F>> {
        let (name, file) = self.temporary()?;
        PackWriter::new(self.clone(), name, file)
    }

    /// Takes in a pack from elsewhere.
    pub fn ingest(&self) -> Result<Ingest<F>> {
        let (name, file) = self.temporary()?;
        Ok(Ingest::new(self.clone(), name, file))
    }

    fn temporary(&self) -> Result<(String, F::File)> {
        loop {
            let name = format!("tmp_sharelock_{}", self.counter.get());
            self.counter.set(self.counter.get() + 1);
            match self.files.create(&self.packs_dir, name.as_bytes(), 0o444) {
                Ok(f) => return Ok((name, f)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub(super) fn discard(&self, temporary: &str) -> Result<()> {
        Ok(self.files.unlink(&self.packs_dir, temporary.as_bytes())?)
    }

    /// Gives a complete, synced temporary pack its name: the pack first, then its index, which makes it visible. Gives
    /// its name.
    pub(super) fn install(&self, temporary: &str, trailer: &[u8; 20], entries: &[Entry]) -> Result<String> {
        let name = format!("pack-{}", Oid(*trailer));
        let known = self.packs.borrow().iter().any(|p| p.name == name);
        // Known, and still there: a stock `git gc` may have removed it since.
        if known && self.open_pack(&name)?.is_some() {
            self.discard(temporary)?;
            return Ok(name);
        }
        self.packs.borrow_mut().retain(|p| p.name != name);
        let (idx_name, mut idx_file) = self.temporary()?;
        idx::write(entries, trailer, &mut idx_file)?;
        idx_file.sync()?;
        let d = &self.packs_dir;
        self.files.rename(d, temporary.as_bytes(), d, format!("{name}.pack").as_bytes())?;
        self.files.rename(d, idx_name.as_bytes(), d, format!("{name}.idx").as_bytes())?;
        self.files.sync_dir(d)?;
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

fn too_long(oid: &Oid, size: u64) -> Error {
    Error::integrity(Class::Limit, format!("git object {oid} has {size} bytes, more than the format allows"))
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

/// Where a delta's base stands. A pack that is complete holds all bases of its deltas; so no chain leads through several.
fn base_in<F: Files>(pack: &Pack<F>, base: &Oid, delta: u64) -> Result<u64> {
    pack.idx.find(base)?.ok_or_else(|| damaged(&pack.name, delta))
}

pub(super) fn damaged(pack: &str, offset: u64) -> Error {
    Error::integrity(Class::Form, format!("{pack}.pack: damaged at byte {offset}"))
}

/// Reads an entry's head: what it is, the length that it inflates to, and where its stream begins.
pub(super) fn entry_head<F: Files>(pack: &Pack<F>, offset: u64) -> Result<(Head, u64, u64)> {
    let bad = || damaged(&pack.name, offset);
    let mut b = [0u8; LONGEST];
    let have = pack.file.read_up_to(offset, &mut b)?;
    let head = parse_head(&b[..have]).ok().flatten().ok_or_else(bad)?;
    let what = match (head.kind, head.base) {
        (Some(kind), _) => Head::Whole(kind),
        (None, Base::Ref(oid)) => Head::Ref(oid),
        (None, Base::Ofs(back)) => Head::Ofs(offset.checked_sub(back).filter(|o| *o >= 12 && back > 0).ok_or_else(bad)?),
        (None, Base::None) => return Err(bad()),
    };
    Ok((what, head.size, offset + head.used as u64))
}

/// Inflates the stream at `body` that gives `len` bytes, as far as `want`.
fn inflate_at<F: Files>(pack: &Pack<F>, body: u64, len: u64, want: usize, out: &mut Vec<u8>) -> Result<()> {
    if len > super::limit::TREE {
        return Err(Error::integrity(Class::Limit, "git object: longer than any that the format allows"));
    }
    // Our own packs: one read, no inflating. In a pack of git's, what was read is the start of what is inflated.
    let mut at = body;
    let mut first = None;
    let stored = zlib::stored_len(len);
    if want as u64 == len && body + stored + 20 <= pack.size {
        let mut raw = vec![0u8; stored as usize];
        idx::read_exact(&pack.file, body, &mut raw)?;
        if zlib::unstore(&raw, len as usize, out).is_some() {
            return Ok(());
        }
        at += stored;
        first = Some(raw);
    }
    zlib::inflate(len as usize, want, out, |input| {
        if let Some(raw) = first.take() {
            *input = raw;
            return Ok(());
        }
        let size = want.clamp(512, 16 * 1024);
        input.resize(size, 0);
        let n = pack.file.read_at(at, input)?;
        input.truncate(n);
        at += n as u64;
        Ok(())
    })
}

/// Type, size and (if not above `limit`) content of a loose object.
fn loose_start<File: Open>(mut file: File, limit: u64) -> Result<(Type, u64, Vec<u8>)> {
    let bad = || Error::integrity(Class::Form, "a loose git object is damaged");
    let mut z = flate2::Decompress::new(true);
    let (mut out, mut input, mut at) = (Vec::new(), vec![0u8; 16 * 1024], 0);
    let mut have = 0;
    let mut buffer = vec![0u8; 16 * 1024];
    let mut head: Option<(Type, u64)> = None;
    loop {
        if at == have {
            have = file.read(&mut input)?;
            at = 0;
            if have == 0 {
                return Err(bad());
            }
        }
        let (i, o) = (z.total_in(), z.total_out());
        let status = z.decompress(&input[at..have], &mut buffer, flate2::FlushDecompress::None).map_err(|_| bad())?;
        at += (z.total_in() - i) as usize;
        out.extend_from_slice(&buffer[..(z.total_out() - o) as usize]);
        if head.is_none() {
            if let Some(end) = out.iter().take(40).position(|b| *b == 0) {
                let text = std::str::from_utf8(&out[..end]).map_err(|_| bad())?;
                let (kind, size) = text.split_once(' ').ok_or_else(bad)?;
                let kind = [Type::Blob, Type::Tree, Type::Commit, Type::Tag].into_iter().find(|t| t.name() == kind).ok_or_else(bad)?;
                let size = size.parse().map_err(|_| bad())?;
                head = Some((kind, size));
                out.drain(..=end);
                if size > limit {
                    return Ok((kind, size, Vec::new()));
                }
            } else if out.len() > 40 {
                return Err(bad());
            }
        }
        if let Some((kind, size)) = head {
            if out.len() as u64 > size {
                return Err(bad());
            }
            if status == flate2::Status::StreamEnd {
                return if out.len() as u64 == size { Ok((kind, size, out)) } else { Err(bad()) };
            }
        } else if status == flate2::Status::StreamEnd {
            return Err(bad());
        }
    }
}

/// Opens the directory at a path below a root, for a repository that lies inside it.
pub fn dir_at<F: Files>(files: &F, path: &str) -> Result<F::Dir> {
    Ok(open_path(files, &files.root(), path)?)
}
