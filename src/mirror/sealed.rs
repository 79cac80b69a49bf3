//! Reading sealed trees: from git objects to entries and versions, each verified on the way.

use crate::crypt::head::FileHead;
use crate::crypt::name::{self, EntryKind, Listed};
use crate::crypt::{VaultKeys, small};
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::git::store::Store;
use crate::git::{Type, limit, object};
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::tree::{Node, Version};
use std::collections::{BTreeMap, VecDeque};

/// The file in the root of secure that names the vault.
pub const VAULT: &[u8] = b"vault";

/// One entry of a sealed directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it says it is (and git's mode agrees).
    pub kind: EntryKind,
    /// Id of the directory or file; of a keeper: of the directory that holds it.
    pub id: Id,
    /// Plaintext name; `None` for a keeper.
    pub name: Option<Name>,
    /// The git object.
    pub oid: Oid,
}

/// The entries of a sealed directory, as its git tree lists them.
///
/// Refuses (Integrity): another mode than 100644 and 40000, a name that is not of the format, a name whose tag is wrong
/// for this directory, a kind that git's mode contradicts, a long name without its `s.n`.
pub fn list<F: Files>(git: &Store<F>, keys: &VaultKeys, dir: &Id, tree: &Oid) -> Result<Vec<Item>> {
    let bytes = git.read(tree, Type::Tree, limit::TREE)?;
    items(git, keys, dir, object::entries(&bytes))
}

/// The directories among the entries of a sealed directory, and the large files, which are git trees, too. As
/// [`list`], but of the other entries only the form is looked at.
pub fn list_trees<F: Files>(git: &Store<F>, keys: &VaultKeys, dir: &Id, tree: &Oid) -> Result<Vec<Item>> {
    let bytes = git.read(tree, Type::Tree, limit::TREE)?;
    let blob = |e: &Result<object::Entry<'_>>| e.as_ref().is_ok_and(|e| !e.is_tree() && name::classify(e.name) != Listed::LongName);
    items(git, keys, dir, object::entries(&bytes).filter(|e| !blob(e)))
}

/// The entries of a sealed directory in three trees, as [`list`], less those that are the same in all three and that
/// `keep` does not ask for by their names.
pub fn list_differing<F: Files>(
    git: &Store<F>,
    keys: &VaultKeys,
    dir: &Id,
    trees: [&Oid; 3],
    keep: &dyn Fn(&Name) -> bool,
) -> Result<[Vec<Item>; 3]> {
    let read = |tree: &Oid| git.read(tree, Type::Tree, limit::TREE);
    let bytes = [read(trees[0])?, read(trees[1])?, read(trees[2])?];
    let mut rest = bytes.each_ref().map(|b| object::entries(b));
    let mut next = [rest[0].next().transpose()?, rest[1].next().transpose()?, rest[2].next().transpose()?];
    let mut differing = [Vec::new(), Vec::new(), Vec::new()];
    // All three are in git's order.
    while let Some(first) = next.iter().flatten().copied().min_by(object::Entry::order) {
        let here = next.map(|e| e.is_some_and(|e| e.order(&first).is_eq()));
        // A long name stays: it is needed by an entry that may itself differ.
        let passed_over = next == [Some(first); 3]
            && name::classify(first.name) == Listed::Entry
            && !name::open(keys, dir, first.name, None)?.name.is_some_and(|n| keep(&n));
        for i in (0..3).filter(|i| here[*i]) {
            let entry = std::mem::replace(&mut next[i], rest[i].next().transpose()?);
            differing[i].extend(entry.filter(|_| !passed_over));
        }
    }
    let [a, b, c] = differing.each_ref().map(|d| items(git, keys, dir, d.iter().copied().map(Ok)));
    Ok([a?, b?, c?])
}

/// Opens entries of one sealed directory; long names are looked for among them.
fn items<'e, F: Files>(
    git: &Store<F>,
    keys: &VaultKeys,
    dir: &Id,
    entries: impl Iterator<Item = Result<object::Entry<'e>>> + Clone,
) -> Result<Vec<Item>> {
    let mut long: BTreeMap<&[u8], Oid> = BTreeMap::new();
    for entry in entries.clone() {
        let entry = entry?;
        if name::classify(entry.name) == Listed::LongName {
            long.insert(entry.name, entry.oid);
        }
    }
    let mut items = Vec::new();
    for entry in entries {
        let entry = entry?;
        let opened = match name::classify(entry.name) {
            Listed::Entry => name::open(keys, dir, entry.name, None)?,
            Listed::LongEntry => {
                let stem = &entry.name[..entry.name.len() - 2];
                let key = [stem, b".n"].concat();
                let oid = long.get(&key[..]).ok_or_else(|| {
                    Error::integrity(Class::Absent, format!("{}: its long name is missing", crate::path::printable(entry.name)))
                })?;
                let content = git.read(oid, Type::Blob, 1024)?;
                name::open(keys, dir, entry.name, Some(&content))?
            }
            Listed::LongName if !entry.is_tree() => continue,
            Listed::Vault if *dir == Id::ROOT && !entry.is_tree() => continue,
            _ => {
                return Err(Error::integrity(
                    Class::Form,
                    format!("{}: no entry of a vault has such a name", crate::path::printable(entry.name)),
                ));
            }
        };
        let tree_expected = matches!(opened.kind, EntryKind::Dir | EntryKind::Large);
        if tree_expected != entry.is_tree() {
            return Err(Error::integrity(
                Class::Form,
                format!("{}: file where a directory must be, or the reverse", crate::path::printable(entry.name)),
            ));
        }
        items.push(Item { kind: opened.kind, id: opened.id, name: opened.name, oid: entry.oid });
    }
    Ok(items)
}

/// The object of the `vault` file in a root tree.
pub fn vault_entry<F: Files>(git: &Store<F>, tree: &Oid) -> Result<Oid> {
    let bytes = git.read(tree, Type::Tree, limit::TREE)?;
    for entry in object::entries(&bytes) {
        let entry = entry?;
        if entry.name == VAULT && !entry.is_tree() {
            return Ok(entry.oid);
        }
    }
    Err(Error::integrity(Class::Absent, "the file `vault` is missing in the root of the vault"))
}

/// Versions by object, so that an object that stands in several trees is opened once. The oldest are forgotten.
#[derive(Default)]
pub struct Versions {
    known: BTreeMap<(Id, Oid), Option<Version>>,
    order: VecDeque<(Id, Oid)>,
}

/// Versions that are kept.
const KEPT: usize = 1024;

impl Versions {
    /// The version that a small or large file's object holds; `None` for a keeper.
    pub fn of<F: Files>(&mut self, git: &Store<F>, keys: &VaultKeys, item: &Item) -> Result<Option<Version>> {
        if let Some(v) = self.known.get(&(item.id, item.oid)) {
            return Ok(v.clone());
        }
        let v = version(git, keys, item)?;
        if self.order.len() >= KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back((item.id, item.oid));
        self.known.insert((item.id, item.oid), v.clone());
        Ok(v)
    }
}

/// Reads the file head of an item; `None` for a keeper.
pub fn version<F: Files>(git: &Store<F>, keys: &VaultKeys, item: &Item) -> Result<Option<Version>> {
    let head = match item.kind {
        EntryKind::Small | EntryKind::Keeper => {
            let (start, len) = git.read_start(&item.oid, 168)?;
            small::read_head(keys, &item.id, &start, len)?
        }
        EntryKind::Large => {
            let (oid, _) = part(git, &item.oid, b"head")?
                .ok_or_else(|| Error::integrity(Class::Absent, format!("the part `head` of {} is missing", item.oid)))?;
            let (start, len) = git.read_start(&oid, 168)?;
            crate::crypt::large::read_head(keys, &item.id, &start, len)?
        }
        EntryKind::Dir => return Err(Error::failed("a directory has no file head")),
    };
    check_kind(item, &head)?;
    Ok(head.to_version(item.oid))
}

fn check_kind(item: &Item, head: &FileHead) -> Result<()> {
    let keeper = head.to_version(item.oid).is_none();
    if keeper != (item.kind == EntryKind::Keeper) {
        return Err(Error::integrity(Class::Form, format!("object {} is a keeper and a file at once", item.oid)));
    }
    Ok(())
}

/// One part of a large file's tree: its object, and whether it is a tree (a group).
pub fn part<F: Files>(git: &Store<F>, tree: &Oid, part: &[u8]) -> Result<Option<(Oid, bool)>> {
    let bytes = git.read(tree, Type::Tree, limit::TREE)?;
    for entry in object::entries(&bytes) {
        let entry = entry?;
        if entry.name == part {
            return Ok(Some((entry.oid, entry.is_tree())));
        }
    }
    Ok(None)
}

/// The node that an item stands for; `None` for a keeper.
pub fn node<F: Files>(git: &Store<F>, keys: &VaultKeys, versions: &mut Versions, item: &Item) -> Result<Option<Node>> {
    Ok(match item.kind {
        EntryKind::Dir => Some(Node::Dir { id: item.id, tree: item.oid }),
        _ => versions.of(git, keys, item)?.map(Node::File),
    })
}
