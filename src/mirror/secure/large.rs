//! Large files in secure: directories of parts, with `head` as each one's commit point (FORMAT 6).

use super::Work;
use super::files::{blob_at, new_name, remove, write_new};
use crate::clock::{Clock, Random};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Kind};
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::mirror::Device;
use crate::state::State;
use crate::tree::Version;
use std::collections::BTreeMap;

/// Parts of a large file as its git tree lists them: (group directory or empty, name) to object.
type Parts = BTreeMap<(Vec<u8>, Vec<u8>), Oid>;

const HEAD: &[u8] = b"head";

impl<F: Files> Work<F> {
    /// Brings a large file about.
    pub(super) fn large<S: State, C: Clock, R: Random>(
        &mut self,
        d: &mut Device<F, S, C, R>,
        at: &F::Dir,
        name: &[u8],
        v: &Version,
        there: bool,
        known: &[Version],
    ) -> Result<()> {
        let new = parts(d, &v.oid)?;
        if there {
            let is_dir = d.secure.stat(at, name)?.is_some_and(|s| s.kind == Kind::Dir);
            let mut ours = is_dir && self.is_version(d, at, name, v)?;
            for k in known.iter().filter(|k| k.segment != 0) {
                ours = ours || (is_dir && self.is_version(d, at, name, k)?);
            }
            if ours {
                return self.change_large(d, at, name, &new);
            }
            self.stray(d, at, name)?;
        }
        let temporary = new_name(name);
        remove(&d.secure, at, &temporary)?;
        d.secure.mkdir(at, &temporary, 0o777)?;
        let dir = d.secure.open_dir(at, &temporary)?;
        let mut bytes = 0;
        for ((group, leaf), oid) in &new {
            let content = d.git.read(oid, Type::Blob, limit::BLOB)?;
            bytes += content.len() as u64;
            let to = group_dir(&d.secure, &dir, group)?;
            write_new(&d.secure, &to, leaf, &content)?;
        }
        self.written(d, at.clone(), name, bytes)
    }

    /// Changed parts as `PART.new`, made durable; `head.new` renamed to `head`; then the parts renamed, and what lies
    /// beyond the new size removed.
    fn change_large<S: State, C: Clock, R: Random>(
        &mut self,
        d: &mut Device<F, S, C, R>,
        at: &F::Dir,
        name: &[u8],
        new: &Parts,
    ) -> Result<()> {
        let dir = d.secure.open_dir(at, name)?;
        let mut changed = Vec::new();
        for ((group, leaf), oid) in new {
            let to = group_dir(&d.secure, &dir, group)?;
            if blob_at(&d.secure, &to, leaf)? != Some(*oid) {
                let content = d.git.read(oid, Type::Blob, limit::BLOB)?;
                write_new(&d.secure, &to, &new_name(leaf), &content)?;
                if leaf != HEAD || !group.is_empty() {
                    changed.push((to, leaf.clone()));
                }
            }
        }
        d.secure.sync_all()?;
        if d.secure.stat(&dir, &new_name(HEAD))?.is_some()
            && blob_at(&d.secure, &dir, &new_name(HEAD))? == new.get(&(Vec::new(), HEAD.to_vec())).copied()
        {
            d.secure.rename(&dir, &new_name(HEAD), &dir, HEAD)?;
        }
        d.secure.sync_dir(&dir)?;
        for (to, leaf) in changed {
            d.secure.rename(&to, &new_name(&leaf), &to, &leaf)?;
        }
        for (part, _) in d.secure.list(&dir)? {
            if d.secure.stat(&dir, &part)?.is_some_and(|s| s.kind == Kind::Dir) {
                let group = d.secure.open_dir(&dir, &part)?;
                for (leaf, _) in d.secure.list(&group)? {
                    if !new.contains_key(&(part.to_vec(), leaf.to_vec())) {
                        d.secure.unlink(&group, &leaf)?;
                    }
                }
                if !new.keys().any(|(g, _)| **g == *part) {
                    d.secure.rmdir(&dir, &part)?;
                }
            } else if !new.contains_key(&(Vec::new(), part.to_vec())) {
                d.secure.unlink(&dir, &part)?;
            }
        }
        Ok(())
    }
}

fn group_dir<F: Files>(files: &F, dir: &F::Dir, group: &[u8]) -> Result<F::Dir> {
    if group.is_empty() {
        return Ok(dir.clone());
    }
    match files.mkdir(dir, group, 0o777) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e.into()),
    }
    Ok(files.open_dir(dir, group)?)
}

/// All parts of a large file.
fn parts<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, tree: &Oid) -> Result<Parts> {
    let mut out = Parts::new();
    let bytes = d.git.read(tree, Type::Tree, limit::TREE)?;
    for entry in object::entries(&bytes) {
        let entry = entry?;
        if !entry.is_tree() {
            out.insert((Vec::new(), entry.name.to_vec()), entry.oid);
            continue;
        }
        let group = d.git.read(&entry.oid, Type::Tree, limit::TREE)?;
        for leaf in object::entries(&group) {
            let leaf = leaf?;
            if leaf.is_tree() {
                return Err(Error::integrity(Class::Form, "a group of a large file holds a directory"));
            }
            out.insert((entry.name.to_vec(), leaf.name.to_vec()), leaf.oid);
        }
    }
    Ok(out)
}
