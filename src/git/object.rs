//! Objects: ids, trees, and the two lines of a commit that this engine needs (gitformat-pack(5), git-mktree(1)).

use super::Type;
use crate::error::{Class, Error, Result};
use crate::id::Oid;
use sha1::{Digest, Sha1};

impl Type {
    /// As it stands in an object's header.
    pub fn name(self) -> &'static str {
        match self {
            Type::Commit => "commit",
            Type::Tree => "tree",
            Type::Blob => "blob",
            Type::Tag => "tag",
        }
    }

    /// The greatest size that an object of this type may claim.
    pub fn limit(self) -> u64 {
        match self {
            Type::Commit => super::limit::COMMIT,
            Type::Tree => super::limit::TREE,
            Type::Blob => super::limit::BLOB,
            Type::Tag => 0,
        }
    }

    /// From its number in a pack.
    pub(super) fn from_pack(n: u8) -> Option<Type> {
        Some(match n {
            1 => Type::Commit,
            2 => Type::Tree,
            3 => Type::Blob,
            4 => Type::Tag,
            _ => return None,
        })
    }

    /// Its number in a pack.
    pub(super) fn to_pack(self) -> u8 {
        match self {
            Type::Commit => 1,
            Type::Tree => 2,
            Type::Blob => 3,
            Type::Tag => 4,
        }
    }
}

/// An id under way: for content that comes in pieces.
pub struct Hasher(Sha1);

impl Hasher {
    /// For an object of this type and size.
    pub fn new(kind: Type, size: u64) -> Hasher {
        Hasher(Sha1::new().chain_update(kind.name()).chain_update(format!(" {size}\0")))
    }

    /// More content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id.
    pub fn finish(self) -> Oid {
        Oid(self.0.finalize().into())
    }
}

/// The id of an object.
pub fn id(kind: Type, content: &[u8]) -> Oid {
    let mut h = Hasher::new(kind, content.len() as u64);
    h.update(content);
    h.finish()
}

/// One entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Mode as git writes it; only `100644` and `40000` pass [`entries`].
    tree: bool,
    /// Name.
    pub name: &'a [u8],
    /// Object.
    pub oid: Oid,
}

impl Entry<'_> {
    /// True for a directory, false for a regular file.
    pub fn is_tree(&self) -> bool {
        self.tree
    }
}

/// The entries of a tree, in order.
///
/// Yields an error (Integrity, form) for a mode other than 100644 and 40000, a name that is empty, `.`, `..` or `.git`
/// or holds `/`, entries out of git's order or double, and bytes that are no entry.
pub fn entries(tree: &[u8]) -> Entries<'_> {
    Entries { rest: tree, last: None }
}

/// See [`entries`].
pub struct Entries<'a> {
    rest: &'a [u8],
    last: Option<(&'a [u8], bool)>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.parse();
        if entry.is_err() {
            self.rest = &[];
        }
        Some(entry)
    }
}

impl<'a> Entries<'a> {
    fn parse(&mut self) -> Result<Entry<'a>> {
        let form = |what: &str| Error::integrity(Class::Form, format!("git tree: {what}"));
        let (tree, rest) = if let Some(r) = self.rest.strip_prefix(b"100644 ") {
            (false, r)
        } else if let Some(r) = self.rest.strip_prefix(b"40000 ") {
            (true, r)
        } else {
            return Err(form("an entry that is neither a plain file nor a directory (a link or program, say)"));
        };
        let end = rest.iter().position(|c| *c == 0).ok_or_else(|| form("cut short"))?;
        let name = &rest[..end];
        let rest = &rest[end + 1..];
        if rest.len() < 20 {
            return Err(form("cut short"));
        }
        if matches!(name, b"" | b"." | b"..") || name.eq_ignore_ascii_case(b".git") || name.contains(&b'/') {
            return Err(form("a name that must not be"));
        }
        if let Some((last, last_tree)) = self.last
            && (compare(last, last_tree, name, tree).is_ge() || last == name)
        {
            return Err(form("entries out of order"));
        }
        self.last = Some((name, tree));
        let (oid, rest) = rest.split_at(20);
        self.rest = rest;
        Ok(Entry { tree, name, oid: Oid(oid.try_into().expect("20 bytes")) })
    }
}

/// Git's order: as if directories ended in `/`.
fn compare(a: &[u8], a_tree: bool, b: &[u8], b_tree: bool) -> std::cmp::Ordering {
    let n = a.len().min(b.len());
    a[..n].cmp(&b[..n]).then_with(|| {
        let tail = |s: &[u8], tree: bool| s.get(n).copied().unwrap_or(if tree { b'/' } else { 0 });
        tail(a, a_tree).cmp(&tail(b, b_tree))
    })
}

/// Collects entries and writes a tree in git's order.
#[derive(Default)]
pub struct TreeBuilder {
    entries: Vec<(Box<[u8]>, bool, Oid)>,
}

impl TreeBuilder {
    /// A regular file, mode 100644.
    pub fn add_blob(&mut self, name: &[u8], oid: Oid) -> Result<()> {
        self.add(name, false, oid)
    }

    /// A directory.
    pub fn add_tree(&mut self, name: &[u8], oid: Oid) -> Result<()> {
        self.add(name, true, oid)
    }

    fn add(&mut self, name: &[u8], tree: bool, oid: Oid) -> Result<()> {
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(Error::failed("a name that no git tree can hold"));
        }
        self.entries.push((name.into(), tree, oid));
        Ok(())
    }

    /// The tree's content. Two entries of one name are an error.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
        if self.entries.windows(2).any(|w| w[0].0 == w[1].0) {
            return Err(Error::failed("two entries of one name in a git tree"));
        }
        let mut out = Vec::with_capacity(self.entries.iter().map(|e| e.0.len() + 28).sum());
        for (name, tree, oid) in &self.entries {
            out.extend_from_slice(if *tree { b"40000 " } else { b"100644 " });
            out.extend_from_slice(name);
            out.push(0);
            out.extend_from_slice(&oid.0);
        }
        Ok(out)
    }
}

/// The tree of a commit object.
pub fn commit_tree(commit: &[u8]) -> Result<Oid> {
    commit
        .strip_prefix(b"tree ")
        .and_then(|r| Oid::from_hex(r.get(..40)?))
        .ok_or_else(|| Error::integrity(Class::Form, "git commit: its first line names no tree"))
}

/// The parents of a commit object, in order; stops at the first other line.
pub fn commit_parents(commit: &[u8]) -> Vec<Oid> {
    let lines = commit.split(|c| *c == b'\n').skip(1);
    lines.map_while(|l| Oid::from_hex(l.strip_prefix(b"parent ")?)).collect()
}
