//! How many files a storage node lacks or has otherwise, as far as the names and objects of two trees tell: for `status`,
//! which has no key.

use crate::crypt::name::{Listed, classify};
use crate::error::Result;
use crate::files::Files;
use crate::git::store::Store;
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::mirror::overlay::Rows;
use crate::state::{State, Table};
use std::collections::{BTreeMap, BTreeSet};

/// The part that every large file has, and no directory.
const HEAD: &[u8] = b"head";

/// Files of the commit `ours`, which is the head of `state`, that are new, changed or renamed since `theirs`, and files
/// that are gone since. A renamed directory whose files stayed as they were counts for none; an empty directory that was
/// deleted or filled counts for one, as nothing without a key tells its keeper from a file.
pub fn files_behind<F: Files, S: State>(git: &Store<F>, state: &S, ours: &Oid, theirs: &Oid) -> Result<u64> {
    let tree = |commit: &Oid| object::commit_tree(&git.read(commit, Type::Commit, limit::COMMIT)?);
    let mut found = Found::default();
    found.compare(git, tree(ours)?, tree(theirs)?)?;
    let mut files = 0;
    let mut rows = Rows::of(Table::Head);
    while let Some(row) = rows.next(state)? {
        files += u64::from(row.here().and_then(|n| n.file()).is_some_and(|v| found.new.contains(&v.oid)));
    }
    Ok(files + found.gone.iter().filter(|oid| !found.new.contains(oid)).count() as u64)
}

/// Objects that stand for files (and, in `new`, for directories, which no file's version names).
#[derive(Default)]
struct Found {
    new: BTreeSet<Oid>,
    gone: Vec<Oid>,
}

type Entries = BTreeMap<Vec<u8>, (Oid, bool)>;

impl Found {
    fn compare<F: Files>(&mut self, git: &Store<F>, ours: Oid, theirs: Oid) -> Result<()> {
        let mut todo = vec![(Some(ours), Some(theirs))];
        while let Some((ours, theirs)) = todo.pop() {
            let (ours, mut theirs) = (listed(git, ours)?, listed(git, theirs)?);
            let mut only_ours = Vec::new();
            for (name, (oid, is_tree)) in ours {
                match theirs.remove(&name) {
                    Some((other, _)) if other == oid => {}
                    Some((other, true)) if is_tree => {
                        self.new.insert(oid);
                        if !is_large(git, &oid)? {
                            todo.push((Some(oid), Some(other)));
                        }
                    }
                    _ => only_ours.push((oid, is_tree)),
                }
            }
            // What only has another name now.
            for (oid, is_tree) in theirs.into_values() {
                match only_ours.iter().position(|o| is_tree && o.0 == oid) {
                    Some(i) if !is_large(git, &oid)? => _ = only_ours.swap_remove(i),
                    _ if is_tree && !is_large(git, &oid)? => todo.push((None, Some(oid))),
                    _ => self.gone.push(oid),
                }
            }
            for (oid, is_tree) in only_ours {
                self.new.insert(oid);
                if is_tree && !is_large(git, &oid)? {
                    todo.push((Some(oid), None));
                }
            }
        }
        Ok(())
    }
}

/// The entries of a sealed directory.
fn listed<F: Files>(git: &Store<F>, tree: Option<Oid>) -> Result<Entries> {
    let mut out = Entries::new();
    let Some(tree) = tree else { return Ok(out) };
    let bytes = git.read(&tree, Type::Tree, limit::TREE)?;
    for entry in object::entries(&bytes) {
        let entry = entry?;
        if matches!(classify(entry.name), Listed::Entry | Listed::LongEntry) {
            out.insert(entry.name.to_vec(), (entry.oid, entry.is_tree()));
        }
    }
    Ok(out)
}

/// True for the tree of a large file.
fn is_large<F: Files>(git: &Store<F>, tree: &Oid) -> Result<bool> {
    Ok(super::sealed::part(git, tree, HEAD)?.is_some())
}
