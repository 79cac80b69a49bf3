//! The index of a work tree (gitformat-index(5)): written as version 4, read as 2, 3 or 4, both as streams.
//!
//! Unless it is small it is written split: a base that stays as it is over many commits, and an index that says what
//! differs from it, so that an edit in a large work tree writes kilobytes, not megabytes. At every moment the file
//! `index` is whole and names a base that is there: the base is made durable before the index that names it, and goes
//! only after one that does not.

mod entries;
mod ewah;
mod split;
mod write;

pub use write::{Change, SPLIT_FROM, Splits, Writer};

use super::store::Store;
use crate::clock::Time;
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open, Stat};
use crate::id::Oid;
use entries::{Entries, Extensions, Head};
use split::{Base, State};
use std::io::ErrorKind;

/// What the index keeps of a file's `lstat`, cut to 32 bits as git does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cached {
    /// Change time.
    pub ctime: (u32, u32),
    /// Modification time.
    pub mtime: (u32, u32),
    /// Inode number.
    pub ino: u32,
    /// Size.
    pub size: u32,
}

impl Cached {
    /// Of an `lstat`.
    pub fn of(s: &Stat) -> Cached {
        let time = |t: Time| (t.s as u32, t.ns);
        Cached { ctime: time(s.ctime), mtime: time(s.mtime), ino: s.ino as u32, size: s.size as u32 }
    }
}

/// One entry: a regular file of mode 100644.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// Path from the work tree's root.
    pub path: Vec<u8>,
    /// Its `lstat` when it was last known to hold this object.
    pub stat: Cached,
    /// The object.
    pub oid: Oid,
}

const NAME: &[u8] = b"index";
const TEMPORARY: &[u8] = b"index.sharelock-tmp";
const LOCK: &[u8] = b"index.lock";

fn bad(what: &str) -> Error {
    Error::integrity(Class::Form, format!(".git/index: {what}"))
}

/// An index whose parts have been looked through once.
struct Parts<File> {
    base: Option<Base<File>>,
    /// The entries that have names.
    own: Entries<File>,
    written: Time,
    /// The tree whose entries these are, where the index says so.
    tree: Option<Oid>,
}

impl<File: Open> Parts<File> {
    fn open<F: Files<File = File>>(store: &Store<F>) -> Result<Option<Self>> {
        let file = match store.files.open(&store.dir, NAME) {
            Ok(f) => f,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let written = file.stat()?.mtime;
        let head = Head::read(file)?;
        // What says whether it is split stands behind the entries.
        let mut all = Entries::of(&head);
        let mut entry = Entry::default();
        let (mut unnamed, mut begin, mut named) = (0, all.offset, false);
        while all.next(&mut entry)? {
            if !entry.path.is_empty() {
                named = true;
            } else if named {
                return Err(bad("an entry without a name among the others"));
            } else {
                (unnamed, begin) = (unnamed + 1, all.offset);
            }
        }
        let behind = Extensions::read(&head, all.offset)?;
        let base = Base::open(store, &head, &behind, unnamed)?;
        if base.is_none() && unnamed > 0 {
            return Err(bad("an entry without a name"));
        }
        let added = head.count - unnamed;
        let count = u64::from(added) + base.as_ref().map_or(0, |b| u64::from(b.count - b.deleted));
        let tree = behind.tree.filter(|(n, _)| u64::from(*n) == count).map(|(_, tree)| tree);
        Ok(Some(Parts { base, own: Entries::some(&head, begin, added), written, tree }))
    }
}

/// Reads an index entry by entry, in order of paths, whether it is split or whole.
pub struct Reader<File: Open> {
    parts: Parts<File>,
    /// The next entry of the base, and of the index's own.
    base: Option<Entry>,
    own: Option<Entry>,
    /// When the index itself was written: entries not older than this are to be looked at (git's 'racy' entries).
    pub written: Time,
}

impl<F: Files> Store<F> {
    /// Opens the index; `None` if there is none.
    ///
    /// Errors: Integrity for one that is damaged, or whose base is.
    pub fn index(&self) -> Result<Option<Reader<F::File>>> {
        let Some(parts) = Parts::open(self)? else { return Ok(None) };
        let mut reader = Reader { written: parts.written, parts, base: Some(Entry::default()), own: Some(Entry::default()) };
        reader.next_of_base()?;
        reader.next_of_own()?;
        Ok(Some(reader))
    }
}

impl<File: Open> Reader<File> {
    /// The next entry into `into`; `false` at the end. Entries of another mode than a regular file come with an oid of
    /// zeros.
    pub fn next(&mut self, into: &mut Entry) -> Result<bool> {
        let order = match (&self.base, &self.own) {
            (None, None) => return Ok(false),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(base), Some(own)) => base.path.cmp(&own.path),
        };
        if order.is_eq() {
            // One that was deleted from the base and added again need not be marked as deleted.
            self.next_of_base()?;
        }
        let next = if order.is_lt() { &mut self.base } else { &mut self.own };
        if let Some(next) = next {
            std::mem::swap(next, into);
        }
        if order.is_lt() { self.next_of_base() } else { self.next_of_own() }?;
        Ok(true)
    }

    fn next_of_base(&mut self) -> Result<()> {
        if let Some(entry) = &mut self.base {
            loop {
                match self.parts.base.as_mut().map(|b| b.next(entry)).transpose()?.flatten() {
                    Some((_, State::Deleted)) => {}
                    Some(_) => return Ok(()),
                    None => break,
                }
            }
        }
        self.base = None;
        Ok(())
    }

    fn next_of_own(&mut self) -> Result<()> {
        if let Some(entry) = &mut self.own
            && self.parts.own.next(entry)?
        {
            return Ok(());
        }
        self.own = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;

    #[test]
    fn what_has_more_than_32_bits_is_cut_as_git_cuts_it() {
        let of = |s: i64, size: u64, ino: u64| {
            let t = Time { s, ns: 999_999_999 };
            let c = Cached::of(&Stat { kind: Kind::File, size, mode: 0o644, mtime: t, ctime: t, ino, dev: 0, birth: None, taken: size });
            assert_eq!((c.mtime, c.mtime.1), (c.ctime, 999_999_999));
            (c.mtime.0, c.size, c.ino)
        };
        // Before 1970, in 2038, in 2106, and after it.
        for (s, want) in
            [(-1, u32::MAX), (-(1 << 31), 1 << 31), (1 << 31, 1 << 31), ((1 << 32) - 1, u32::MAX), (1 << 32, 0), ((1 << 32) + 5, 5)]
        {
            assert_eq!(of(s, 0, 0).0, want, "{s}");
        }
        for (n, want) in [(1 << 31, 1 << 31), ((1 << 32) - 1, u32::MAX), (1 << 32, 0), ((1 << 40) + 7, 7), (u64::MAX, u32::MAX)] {
            assert_eq!(of(0, n, n), (0, want, want), "{n}");
        }
    }
}
