//! What is reachable from where, and packs to be sent.

use super::pack_write::{encode, pack_header};
use super::store::Store;
use super::{PackSource, Type, limit, object};
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::collections::HashSet;
use std::io::Write;

impl<F: Files> Store<F> {
    /// Everything reachable from `want` and not from `have`: commits, then trees, then blobs.
    ///
    /// Memory: 20 bytes and a little for each object found, and for each that the trees of `have` hold where a new
    /// commit's tree differs from its parent's. Commits of `have` that are not here are passed over.
    pub fn closure(&self, want: &[Oid], have: &[Oid]) -> Result<Vec<Oid>> {
        let old_commits = self.ancestors(have, true)?;
        let (mut commits, mut trees, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
        let mut met: HashSet<Oid> = HashSet::new();
        let mut todo: Vec<Oid> = want.to_vec();
        let mut edges: Vec<Oid> = Vec::new();
        let mut roots = Vec::new();
        while let Some(oid) = todo.pop() {
            if old_commits.contains(&oid) {
                edges.push(oid);
                continue;
            }
            if !met.insert(oid) {
                continue;
            }
            let bytes = self.read(&oid, Type::Commit, limit::COMMIT)?;
            commits.push(oid);
            roots.push(object::commit_tree(&bytes)?);
            todo.extend(object::commit_parents(&bytes));
        }
        // What the receiver has: the trees where new history meets old.
        let mut known: HashSet<Oid> = HashSet::new();
        for edge in edges {
            let tree = object::commit_tree(&self.read(&edge, Type::Commit, limit::COMMIT)?)?;
            self.reach(tree, &mut known, &mut |_, _| {})?;
        }
        for root in roots {
            self.reach(root, &mut known, &mut |oid, tree| if tree { trees.push(oid) } else { blobs.push(oid) })?;
        }
        commits.append(&mut trees);
        commits.append(&mut blobs);
        Ok(commits)
    }

    /// Calls `found` for everything in a tree that is not in `met` yet, itself included.
    fn reach(&self, tree: Oid, met: &mut HashSet<Oid>, found: &mut dyn FnMut(Oid, bool)) -> Result<()> {
        if !met.insert(tree) {
            return Ok(());
        }
        found(tree, true);
        let mut todo = vec![tree];
        while let Some(oid) = todo.pop() {
            let bytes = self.read(&oid, Type::Tree, limit::TREE)?;
            for entry in object::entries(&bytes) {
                let entry = entry?;
                if met.insert(entry.oid) {
                    found(entry.oid, entry.is_tree());
                    if entry.is_tree() {
                        todo.push(entry.oid);
                    }
                }
            }
        }
        Ok(())
    }

    fn ancestors(&self, of: &[Oid], missing_ok: bool) -> Result<HashSet<Oid>> {
        let mut met = HashSet::new();
        let mut todo = of.to_vec();
        while let Some(oid) = todo.pop() {
            if met.contains(&oid) {
                continue;
            }
            let bytes = match self.read(&oid, Type::Commit, limit::COMMIT) {
                Err(e) if missing_ok && e.kind() == crate::error::Kind::Integrity(Class::Absent) => continue,
                other => other?,
            };
            met.insert(oid);
            todo.extend(object::commit_parents(&bytes));
        }
        Ok(met)
    }

    /// Checks that nothing reachable from `head` is missing, where `have` is known to be complete.
    pub fn complete(&self, head: &Oid, have: &[Oid]) -> Result<()> {
        for oid in self.closure(&[*head], have)? {
            if !self.contains(&oid)? {
                return Err(Error::integrity(Class::Absent, format!("git object {oid} was not sent, though it is needed")));
            }
        }
        Ok(())
    }

    /// The bytes that these objects have together.
    pub fn stored_size(&self, oids: &[Oid]) -> Result<u64> {
        let mut sum = 0;
        for oid in oids {
            sum += self.header(oid)?.map_or(0, |(_, size)| size + 64);
        }
        Ok(sum)
    }

    /// A pack of these objects, to be sent.
    pub fn pack_source(&self, oids: Vec<Oid>) -> Result<Objects<F>> {
        Ok(Objects { store: self.clone(), oids })
    }
}

/// Objects of a store as a pack to be sent: whole, stored, in the order given.
pub struct Objects<F: Files> {
    store: Store<F>,
    oids: Vec<Oid>,
}

impl<F: Files> PackSource for Objects<F> {
    fn objects(&self) -> u32 {
        self.oids.len() as u32
    }

    fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
        let mut sha = Sha1::new();
        let mut buffer = pack_header(self.objects()).to_vec();
        for oid in &self.oids {
            let (kind, content) = self.store.read_any(oid, limit::TREE)?;
            encode(kind, &content, &mut buffer);
            if buffer.len() >= 32 * 1024 {
                sha.update(&buffer);
                out.write_all(&buffer)?;
                buffer.clear();
            }
        }
        sha.update(&buffer);
        out.write_all(&buffer)?;
        let sum: [u8; 20] = sha.finalize().into();
        out.write_all(&sum)?;
        out.flush()?;
        Ok(())
    }
}
