//! What a vault holds, and what of a folder is in it already, from git objects alone: for `join`, which has no state yet.

use super::ignore::{Rules, read_rules};
use super::progress::{Progress, Step};
use super::sealed::{self, Item};
use crate::crypt::name::EntryKind;
use crate::crypt::{self, VaultKeys};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::git::store::Store;
use crate::id::{Id, Oid};
use crate::path::{Name, RelPath};
use crate::tree::FileKind;
use std::collections::BTreeMap;

/// Names that are kept of what differs.
const NAMED: usize = 5;

/// How the files of a folder stand to a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Under the same name with the same content there.
    pub same: u64,
    /// Under a name that is not there.
    pub only_here: u64,
    /// Under the same name with another content, or where a folder is there, or the reverse.
    pub differ: u64,
    /// The first of these.
    pub named: Vec<RelPath>,
}

/// Files and bytes of plaintext in a sealed tree.
///
/// # Errors
/// Integrity: what [`sealed::list`] and [`sealed::version`] refuse.
pub fn count<F: Files>(git: &Store<F>, keys: &VaultKeys, tree: &Oid, progress: &Progress) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0u64, 0u64);
    let mut todo = vec![(Id::ROOT, *tree)];
    while let Some((dir, tree)) = todo.pop() {
        for item in sealed::list(git, keys, &dir, &tree)? {
            if item.kind == EntryKind::Dir {
                todo.push((item.id, item.oid));
            } else if let Some(v) = sealed::version(git, keys, &item)? {
                files += 1;
                bytes = bytes.saturating_add(v.size);
                progress.did(Step::Looking, 1, v.size);
            }
        }
    }
    Ok((files, bytes))
}

/// Compares a folder with a sealed tree: every file that has a name in common with it, and its size, is read. What is
/// ignored and what cannot be read is not counted.
///
/// # Errors
/// As [`count`].
pub fn compare<F: Files, G: Files>(
    share: &F,
    ignore: &[String],
    git: &Store<G>,
    keys: &VaultKeys,
    tree: &Oid,
    progress: &Progress,
) -> Result<Compared> {
    let mut out = Compared::default();
    let mut todo = vec![(RelPath::root(), Some((Id::ROOT, *tree)))];
    while let Some((path, sealed_dir)) = todo.pop() {
        let Some((dir, rules)) = enter(share, ignore, &path)? else { continue };
        let mut items: BTreeMap<Name, Item> = BTreeMap::new();
        if let Some((id, tree)) = sealed_dir {
            items.extend(sealed::list(git, keys, &id, &tree)?.into_iter().filter_map(|i| Some((i.name.clone()?, i))));
        }
        let Ok(names) = share.list(&dir) else { continue };
        for (bytes, _) in names {
            let Some(name) = Name::new(bytes) else { continue };
            let Ok(Some(stat)) = share.stat(&dir, name.as_bytes()) else { continue };
            let (item, path) = (items.get(&name), path.join(&name));
            if stat.kind == Kind::Other || rules.matches(&path, stat.kind == Kind::Dir).is_some() {
                continue;
            }
            let is_dir = item.map(|i| i.kind == EntryKind::Dir);
            let same = match (stat.kind, item) {
                (Kind::Dir, Some(i)) if is_dir == Some(true) => {
                    todo.push((path, Some((i.id, i.oid))));
                    continue;
                }
                (Kind::Dir, None) => {
                    todo.push((path, None));
                    continue;
                }
                (_, None) => None,
                (_, Some(_)) if is_dir == Some(true) || stat.kind == Kind::Dir => Some(false),
                (_, Some(i)) => Some(has_content(share, &dir, &name, stat.size, git, keys, i)?),
            };
            progress.did(Step::Looking, 1, stat.size);
            match same {
                Some(true) => out.same += 1,
                None => out.only_here += 1,
                Some(false) => {
                    out.differ += 1;
                    out.named.push(path);
                }
            }
        }
    }
    out.named.sort();
    out.named.truncate(NAMED);
    Ok(out)
}

/// A directory of the share, with the rules that hold in it; `None` if it cannot be opened any more.
fn enter<F: Files>(share: &F, ignore: &[String], path: &RelPath) -> Result<Option<(F::Dir, Rules)>> {
    let mut rules = Rules::new(ignore, &share.traits());
    let (mut dir, mut at) = (share.root(), RelPath::root());
    for name in path.names() {
        rules.enter(&at, read_rules(share, &dir)?.as_deref());
        let Ok(next) = share.open_dir(&dir, name.as_bytes()) else { return Ok(None) };
        (dir, at) = (next, at.join(&name));
    }
    rules.enter(&at, read_rules(share, &dir)?.as_deref());
    Ok(Some((dir, rules)))
}

/// True if a file of the share has the plaintext of an entry. One that cannot be read has not.
fn has_content<F: Files, G: Files>(
    share: &F,
    dir: &F::Dir,
    name: &Name,
    size: u64,
    git: &Store<G>,
    keys: &VaultKeys,
    item: &Item,
) -> Result<bool> {
    let Some(v) = sealed::version(git, keys, item)? else { return Ok(false) };
    let mac = |r: &mut dyn std::io::Read| crypt::content_mac(keys, &v.id, v.epoch, v.segment, v.size, r);
    let found = match v.kind {
        FileKind::Link => share.readlink(dir, name.as_bytes()).map(|target| mac(&mut &target[..])),
        FileKind::File if size != v.size => return Ok(false),
        FileKind::File => share.open(dir, name.as_bytes()).map(|mut file| mac(&mut file)),
    };
    Ok(found.is_ok_and(|mac| mac.is_ok_and(|mac| mac == v.mac)))
}
