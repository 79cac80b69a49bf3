//! Single objects in secure: written under `.new` names, then renamed in batches.

use super::Work;
use crate::clock::{Clock, Random};
use crate::error::{Error, Result};
use crate::files::{Files, Kind, Open};
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::mirror::Device;
use crate::mirror::commit::entry_name;
use crate::state::{Row, State, Table};
use crate::tree::{Node, Version};
use std::io::{Read, Write};

/// A batch is synced at this many files or bytes.
const FILES: usize = 512;
const BYTES: u64 = 64 << 20;

/// Something that lies complete under its `.new` name.
pub struct Written<F: Files> {
    pub(super) at: F::Dir,
    pub(super) name: Vec<u8>,
}

/// `NAME.new`.
pub fn new_name(name: &[u8]) -> Vec<u8> {
    [name, b".new"].concat()
}

/// Writes a small object at once: `.new`, contents, rename. Used for keepers and long names, which are the same bytes
/// whenever they are written (so a torn one after a power cut is found and written again). `false`: it is there already.
pub fn put<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, at: &F::Dir, name: &[u8], content: &[u8]) -> Result<bool> {
    if blob_at(&d.secure, at, name)? == Some(object::id(Type::Blob, content)) {
        return Ok(false);
    }
    let new = new_name(name);
    write_new(&d.secure, at, &new, content)?.sync()?;
    d.secure.rename(at, &new, at, name)?;
    Ok(true)
}

/// Makes a file with this content, in place of any litter of that name.
pub fn write_new<F: Files>(files: &F, at: &F::Dir, name: &[u8], content: &[u8]) -> Result<F::File> {
    let mut file = match files.create(at, name, 0o666) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            remove(files, at, name)?;
            files.create(at, name, 0o666)?
        }
        other => other?,
    };
    file.write_all(content)?;
    Ok(file)
}

/// Removes a file, or a directory of at most two levels (a large file).
pub fn remove<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> Result<()> {
    match files.stat(at, name)? {
        None => return Ok(()),
        Some(s) if s.kind == Kind::Dir => {}
        Some(_) => return Ok(files.unlink(at, name)?),
    }
    let dir = files.open_dir(at, name)?;
    for (part, _) in files.list(&dir)? {
        match files.stat(&dir, &part)? {
            Some(s) if s.kind == Kind::Dir => {
                let group = files.open_dir(&dir, &part)?;
                for (leaf, _) in files.list(&group)? {
                    files.unlink(&group, &leaf)?;
                }
                files.rmdir(&dir, &part)?;
            }
            Some(_) => files.unlink(&dir, &part)?,
            None => {}
        }
    }
    Ok(files.rmdir(at, name)?)
}

/// The blob id of a file's content; `None` if there is no regular file, or one that no object of a vault is as long as.
pub fn blob_at<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> Result<Option<Oid>> {
    let Some(stat) = files.stat(at, name)? else { return Ok(None) };
    if stat.kind != Kind::File || stat.size > limit::BLOB {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    files.open(at, name)?.take(limit::BLOB + 1).read_to_end(&mut bytes)?;
    Ok(Some(object::id(Type::Blob, &bytes)))
}

impl<F: Files> Work<F> {
    /// True if an entry of secure is this version: a small file by its whole content, a large one by its head, which
    /// authenticates all its parts.
    pub(super) fn is_version<S: State, C: Clock, R: Random>(
        &self,
        d: &Device<F, S, C, R>,
        at: &F::Dir,
        name: &[u8],
        v: &Version,
    ) -> Result<bool> {
        if v.segment == 0 {
            return Ok(blob_at(&d.secure, at, name)? == Some(v.oid));
        }
        if d.secure.stat(at, name)?.is_none_or(|s| s.kind != Kind::Dir) {
            return Ok(false);
        }
        let Some((head, _)) = crate::mirror::sealed::part(&d.git, &v.oid, b"head")? else { return Ok(false) };
        let dir = d.secure.open_dir(at, name)?;
        Ok(blob_at(&d.secure, &dir, b"head")? == Some(head))
    }

    /// Brings one file entry about: new, replaced, or already there.
    pub(super) fn file<S: State, C: Clock, R: Random>(&mut self, d: &mut Device<F, S, C, R>, row: &Row) -> Result<()> {
        let Some(node @ Node::File(v)) = row.here() else { return Ok(()) };
        let target = entry_name(&d.keys, &row.place, node);
        let name = target.entry.as_bytes();
        let at = self.dir(d, row.place.dir)?;
        if let Some((long, content)) = &target.long {
            put(d, &at, long.as_bytes(), content)?;
        }
        let there = d.secure.stat(&at, name)?;
        // The version that head has under this very entry, or under the entry it was renamed from.
        let mut known: Vec<Version> = Vec::new();
        for old in d.state.by_id(Table::Head, v.id)? {
            known.extend(old.here().and_then(|n| n.file()).cloned());
        }
        if v.segment != 0 {
            return self.large(d, &at, name, v, there.is_some(), &known);
        }
        if there.is_some() {
            match blob_at(&d.secure, &at, name)? {
                Some(oid) if oid == v.oid => return Ok(()),
                Some(oid) if known.iter().any(|k| k.oid == oid) => {}
                _ => self.stray(d, &at, name)?,
            }
        }
        let bytes = d.git.read(&v.oid, Type::Blob, limit::BLOB)?;
        write_new(&d.secure, &at, &new_name(name), &bytes)?;
        self.written(d, at, name, bytes.len() as u64)
    }

    /// Notes that `NAME.new` is complete; flushes a full batch.
    pub(super) fn written<S: State, C: Clock, R: Random>(
        &mut self,
        d: &Device<F, S, C, R>,
        at: F::Dir,
        name: &[u8],
        bytes: u64,
    ) -> Result<()> {
        self.batch.push(Written { at, name: name.to_vec() });
        self.bytes += bytes;
        if self.batch.len() >= FILES || self.bytes >= BYTES {
            self.flush(d)?;
        }
        Ok(())
    }

    /// Makes a batch durable under its `.new` names, then renames it.
    pub(super) fn flush<S: State, C: Clock, R: Random>(&mut self, d: &Device<F, S, C, R>) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        d.secure.sync_all()?;
        for w in self.batch.drain(..) {
            d.secure.rename(&w.at, &new_name(&w.name), &w.at, &w.name).map_err(|e| Error::from(e).at("~/secure"))?;
        }
        self.bytes = 0;
        Ok(())
    }
}
