//! Secure is given up: what a sealed tree names is removed, and nothing else. It needs no key, and goes on where a crash
//! has stopped it.

use super::super::secure::{MAIN, blob_at};
use super::Known;
use crate::crypt::name::{Listed, classify};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::git::store::Store;
use crate::git::{Type, limit, object};
use crate::id::Oid;

/// Removes the files of a commit's tree from the work tree, with folders that are empty then, and updates that were never
/// finished (`*.new`). Everything else stays, also a file that is not what the tree says: each is looked at once more
/// before it goes, for whoever compared them before may have been stopped since. Read are only those of which the index
/// does not know that they are.
///
/// # Errors
/// A tree that cannot be read, and what the disk says of a file that cannot be removed.
pub fn clear<F: Files>(files: &F, git: &Store<F>, commit: &Oid) -> Result<()> {
    let tree = object::commit_tree(&git.read(commit, Type::Commit, limit::COMMIT)?)?;
    let mut work = Clear { files, git, known: Known::open(git)?, path: Vec::new() };
    work.below(&files.root(), &tree)
}

struct Clear<'a, F: Files> {
    files: &'a F,
    git: &'a Store<F>,
    known: Known<F::File>,
    /// Of the directory, from the work tree's root, with a `/` behind it.
    path: Vec<u8>,
}

impl<F: Files> Clear<'_, F> {
    /// A directory's; vaults nest no deeper than names in secure allow.
    fn below(&mut self, at: &F::Dir, tree: &Oid) -> Result<()> {
        let bytes = self.git.read(tree, Type::Tree, limit::TREE)?;
        for entry in object::entries(&bytes) {
            let entry = entry?;
            let begin = self.path.len();
            self.path.extend_from_slice(entry.name);
            match self.files.stat(at, entry.name)? {
                Some(s) if s.kind == Kind::Dir && entry.is_tree() => {
                    self.path.push(b'/');
                    self.below(&self.files.open_dir(at, entry.name)?, &entry.oid)?;
                    remove_empty(self.files, at, entry.name)?;
                }
                // RACE: what somebody writes into it between this look and its removal is lost.
                Some(s)
                    if s.kind == Kind::File
                        && !entry.is_tree()
                        && (self.known.is(&self.path, &entry.oid, &s)? || blob_at(self.files, at, entry.name)? == Some(entry.oid)) =>
                {
                    self.files.unlink(at, entry.name)?;
                }
                _ => {}
            }
            self.path.truncate(begin);
        }
        unfinished(self.files, at)
    }
}

/// Updates that were never finished.
fn unfinished<F: Files>(files: &F, at: &F::Dir) -> Result<()> {
    for (name, _) in files.list(at)? {
        let whose = name.strip_suffix(b".new").map(classify);
        if !matches!(whose, Some(Listed::Entry | Listed::LongEntry | Listed::LongName | Listed::Vault)) {
            continue;
        }
        match files.stat(at, &name)? {
            Some(s) if s.kind == Kind::File => files.unlink(at, &name)?,
            Some(s) if s.kind == Kind::Dir => super::super::secure::remove(files, at, &name)?,
            _ => {}
        }
    }
    Ok(())
}

/// A folder that still holds something stays.
fn remove_empty<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> Result<()> {
    if files.list(&files.open_dir(at, name)?)?.is_empty() {
        files.rmdir(at, name)?;
    }
    Ok(())
}

/// True if a repository's branch is at this commit.
pub fn is_at<F: Files>(git: &Store<F>, commit: &Oid) -> Result<bool> {
    Ok(git.get_ref(MAIN)? == Some(*commit))
}

/// True if a repository has no branch, tag or other ref that is not sharelock's.
pub fn is_only_ours<F: Files>(git: &Store<F>) -> Result<bool> {
    Ok(git.refs("refs/")?.keys().all(|name| name == MAIN || name.starts_with("refs/sharelock/")))
}
