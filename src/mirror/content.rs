//! The plaintext of a version, from the objects of secure's repository, verified byte by byte.

use super::sealed;
use crate::crypt::large::{Part, Parts, Reader};
use crate::crypt::{VaultKeys, small};
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::git::store::Store;
use crate::git::{Type, limit, object};
use crate::id::Oid;
use crate::tree::Version;
use crate::tree::merge::Same;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Gives the plaintext of a version in pieces of at most 1 MiB. What has been given out is verified; that there is more
/// to come and fails is possible, so a caller uses nothing of it before this returns.
pub fn plaintext<F: Files>(git: &Store<F>, keys: &VaultKeys, v: &Version, out: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut plain = Vec::new();
    if v.segment == 0 {
        let object = git.read(&v.oid, Type::Blob, limit::BLOB)?;
        let head = small::open(keys, &v.id, &object, &mut plain)?;
        if (head.size, head.mac) != (v.size, v.mac) {
            return Err(Error::integrity(Class::Auth, "another version than expected"));
        }
        return out(&plain);
    }
    let reader = Reader::open(keys, &v.id, GitParts::new(git, v.oid)?)?;
    if (reader.head().size, reader.head().mac) != (v.size, v.mac) {
        return Err(Error::integrity(Class::Auth, "another version than expected"));
    }
    for s in 0..reader.segments() {
        reader.read_segment(s, &mut plain)?;
        out(&plain)?;
    }
    Ok(())
}

/// The parts of a large file as blobs of a git tree.
pub struct GitParts<'g, F: Files> {
    git: &'g Store<F>,
    top: BTreeMap<Vec<u8>, (Oid, bool)>,
    /// The group last asked for.
    group: RefCell<Option<(Vec<u8>, BTreeMap<Vec<u8>, Oid>)>>,
}

impl<'g, F: Files> GitParts<'g, F> {
    /// Reads the tree.
    pub fn new(git: &'g Store<F>, tree: Oid) -> Result<Self> {
        let bytes = git.read(&tree, Type::Tree, limit::TREE)?;
        let mut top = BTreeMap::new();
        for entry in object::entries(&bytes) {
            let entry = entry?;
            top.insert(entry.name.to_vec(), (entry.oid, entry.is_tree()));
        }
        Ok(GitParts { git, top, group: RefCell::new(None) })
    }

    fn oid(&self, part: Part) -> Result<Option<Oid>> {
        let (dir, name) = part.path();
        let Some(dir) = dir else {
            return Ok(self.top.get(name.as_bytes()).filter(|(_, tree)| !tree).map(|(oid, _)| *oid));
        };
        let dir = dir.into_bytes();
        let mut group = self.group.borrow_mut();
        if group.as_ref().is_none_or(|(d, _)| *d != dir) {
            let Some((oid, true)) = self.top.get(&dir) else { return Ok(None) };
            let bytes = self.git.read(oid, Type::Tree, limit::TREE)?;
            let mut map = BTreeMap::new();
            for entry in object::entries(&bytes) {
                let entry = entry?;
                map.insert(entry.name.to_vec(), entry.oid);
            }
            *group = Some((dir, map));
        }
        Ok(group.as_ref().and_then(|(_, map)| map.get(name.as_bytes()).copied()))
    }
}

impl<F: Files> Parts for GitParts<'_, F> {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.oid(part)? {
            Some(oid) => self.git.read(&oid, Type::Blob, limit).map(Some),
            None => Ok(None),
        }
    }

    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        let Some(oid) = self.oid(part)? else { return Ok(None) };
        let object = self.git.read(&oid, Type::Blob, limit::BLOB)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(object.len());
        let to = from.saturating_add(len).min(object.len());
        Ok(Some(object[from..to].to_vec()))
    }

    fn len(&self, part: Part) -> Result<Option<u64>> {
        match self.oid(part)? {
            Some(oid) => Ok(self.git.header(&oid)?.map(|(_, size)| size)),
            None => Ok(None),
        }
    }
}

/// Opens both and compares: the merge's question.
pub struct Opened<'a, F: Files> {
    /// Where the objects are.
    pub git: &'a Store<F>,
    /// The vault's keys.
    pub keys: &'a VaultKeys,
}

impl<F: Files> Same for Opened<'_, F> {
    fn same(&mut self, a: &Version, b: &Version) -> Result<bool> {
        if a.kind != b.kind || a.size != b.size {
            return Ok(false);
        }
        // A version that stands in no object yet was compared with head's when it was staged.
        if a.oid == Oid::ZERO || b.oid == Oid::ZERO {
            return Ok(false);
        }
        // The second is streamed and hashed under the first one's keys: memory stays at one segment.
        let mut pieces: Vec<u8> = Vec::new();
        if b.segment == 0 {
            plaintext(self.git, self.keys, b, &mut |p| {
                pieces.extend_from_slice(p);
                Ok(())
            })?;
            return Ok(crate::crypt::content_mac(self.keys, &a.id, a.epoch, a.segment, a.size, &mut &pieces[..])? == a.mac);
        }
        let reader = Reader::open(self.keys, &b.id, GitParts::new(self.git, b.oid)?)?;
        let mut stream = Segments { reader: &reader, next: 0, plain: Vec::new(), at: 0 };
        Ok(crate::crypt::content_mac(self.keys, &a.id, a.epoch, a.segment, a.size, &mut stream)? == a.mac)
    }
}

/// A large file as a stream of plaintext.
pub struct Segments<'r, 'k, P: Parts> {
    reader: &'r Reader<'k, P>,
    next: u64,
    plain: Vec<u8>,
    at: usize,
}

impl<P: Parts> std::io::Read for Segments<'_, '_, P> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.plain.len() {
            if self.next >= self.reader.segments() {
                return Ok(0);
            }
            self.reader.read_segment(self.next, &mut self.plain)?;
            self.next += 1;
            self.at = 0;
        }
        let n = buf.len().min(self.plain.len() - self.at);
        buf[..n].copy_from_slice(&self.plain[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// True if an object stands where a version says and is of that version: its file head alone is read.
pub fn head_fits<F: Files>(git: &Store<F>, keys: &VaultKeys, v: &Version) -> Result<bool> {
    let kind = if v.segment == 0 { crate::crypt::name::EntryKind::Small } else { crate::crypt::name::EntryKind::Large };
    let item = sealed::Item { kind, id: v.id, name: None, oid: v.oid };
    Ok(sealed::version(git, keys, &item)?.as_ref() == Some(v))
}
