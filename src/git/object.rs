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

    /// Where it stands beside another one in a tree: git's order.
    pub fn order(&self, other: &Entry<'_>) -> std::cmp::Ordering {
        compare(self.name, self.tree, other.name, other.tree)
    }
}

/// The entries of a tree, in order.
///
/// Yields an error (Integrity, form) for a mode other than 100644 and 40000, a name that is empty, `.`, `..` or `.git`
/// or holds `/`, entries out of git's order or double, and bytes that are no entry.
pub fn entries(tree: &[u8]) -> Entries<'_> {
    Entries { rest: tree, last: None, files: Vec::new() }
}

/// See [`entries`].
#[derive(Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    last: Option<(&'a [u8], bool)>,
    /// Files whose names begin the present one, shortest first.
    files: Vec<&'a [u8]>,
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
        if self.last.is_some_and(|(last, last_tree)| compare(last, last_tree, name, tree).is_ge()) {
            return Err(form("entries out of order"));
        }
        // A file and a directory of one name need not be neighbours: `a`, `a-b`, `a/`.
        while self.files.pop_if(|f| !name.starts_with(f)).is_some() {}
        if self.files.last() == Some(&name) {
            return Err(form("two entries of one name"));
        }
        if !tree {
            self.files.push(name);
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
        self.entries.sort_by(|a, b| a.0.cmp(&b.0));
        if self.entries.windows(2).any(|w| w[0].0 == w[1].0) {
            return Err(Error::failed("two entries of one name in a git tree"));
        }
        self.entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
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

/// When a commit was made, in seconds since 1970, by its committer's clock; 0 if it does not say.
pub fn commit_time(commit: &[u8]) -> i64 {
    let lines = commit.split(|c| *c == b'\n').take_while(|l| !l.is_empty());
    let time = lines.filter_map(|l| l.strip_prefix(b"committer ")).next().and_then(|l| l.rsplit(|c| *c == b' ').nth(1));
    time.and_then(|t| std::str::from_utf8(t).ok()?.parse().ok()).unwrap_or(0)
}

/// The parents of a commit object, in order; stops at the first other line.
pub fn commit_parents(commit: &[u8]) -> Vec<Oid> {
    let lines = commit.split(|c| *c == b'\n').skip(1);
    lines.map_while(|l| Oid::from_hex(l.strip_prefix(b"parent ")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(list: &[(&str, &str)]) -> Vec<u8> {
        list.iter().flat_map(|(mode, name)| [format!("{mode} {name}\0").into_bytes(), vec![7; 20]].concat()).collect()
    }

    fn class(bytes: &[u8]) -> Option<crate::error::Kind> {
        entries(bytes).find_map(|e| e.err().map(|e| e.kind()))
    }

    const FILE: &str = "100644";
    const DIR: &str = "40000";

    #[test]
    fn trees_that_may_be() {
        for list in [
            &[][..],
            &[(FILE, "a"), (FILE, "a-b"), (DIR, "aa"), (FILE, "b")],
            // As if directories ended in `/`, which stands between `-` and `0`.
            &[(FILE, "a-b"), (DIR, "a"), (FILE, "a0")],
        ] {
            assert_eq!(class(&raw(list)), None, "{list:?}");
            let mut b = TreeBuilder::default();
            for (mode, name) in list.iter().rev() {
                b.add(name.as_bytes(), *mode == DIR, Oid([7; 20])).unwrap();
            }
            assert_eq!(b.finish().unwrap(), raw(list));
        }
    }

    #[test]
    fn trees_that_may_not_be() {
        for list in [
            &[("120000", "link")][..],
            &[("100755", "program")],
            &[("160000", "module")],
            &[("040000", "d")],
            &[("100664", "old")],
            &[(FILE, "")],
            &[(FILE, ".")],
            &[(DIR, "..")],
            &[(DIR, ".git")],
            &[(FILE, ".GIT")],
            &[(FILE, "a/b")],
            &[(FILE, "b"), (FILE, "a")],
            &[(FILE, "a"), (FILE, "a")],
            &[(FILE, "a"), (DIR, "a")],
            &[(FILE, "a"), (FILE, "a-b"), (DIR, "a")],
            &[(DIR, "a"), (FILE, "a-b")],
        ] {
            assert_eq!(class(&raw(list)), Some(crate::error::Kind::Integrity(Class::Form)), "{list:?}");
        }
        let good = raw(&[(FILE, "a"), (DIR, "b")]);
        for cut in (1..good.len()).filter(|c| *c != 29) {
            assert!(class(&good[..cut]).is_some(), "cut at {cut}");
        }
        let mut b = TreeBuilder::default();
        for (name, tree) in [("a", false), ("a-b", false), ("a", true)] {
            b.add(name.as_bytes(), tree, Oid::ZERO).unwrap();
        }
        assert!(b.finish().is_err());
    }

    #[test]
    fn times_of_commits() {
        let commit = |who: &str| format!("tree {0}\nparent {0}\nauthor a <a> 5 +0000\n{who}\n\ncommitter x <x> 9 +0000\n", Oid::ZERO);
        for (line, time) in [
            ("committer a b <a@b> 1700000000 +0100", 1_700_000_000),
            ("committer a <a> -7 +0000", -7),
            ("committer a <a> much +0000", 0),
            ("committer", 0),
            ("", 0),
        ] {
            assert_eq!(commit_time(commit(line).as_bytes()), time, "{line}");
        }
    }
}
