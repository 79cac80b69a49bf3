//! New objects of a round: packs of bounded size, one after the other.
//!
//! A pack is full at 64 MiB if it holds at least 100 objects (a server unpacks smaller ones into loose files), and in
//! any case at 65 536 objects, so that neither a push of one pack nor its index in memory grows with the vault.

use crate::error::Result;
use crate::files::Files;
use crate::git::Type;
use crate::git::store::{PackWriter, Store};
use crate::id::Oid;

const BYTES: u64 = 64 << 20;
const FEWEST: u32 = 100;
const MOST: u32 = 65_536;

/// Writes objects into packs; nothing counts before [`Packs::finish`].
pub struct Packs<F: Files> {
    store: Store<F>,
    open: Option<PackWriter<F>>,
    written: u64,
}

impl<F: Files> Packs<F> {
    /// For this repository.
    pub fn new(store: &Store<F>) -> Packs<F> {
        Packs { store: store.clone(), open: None, written: 0 }
    }

    /// Adds an object unless a pack of the repository has it. (A loose one of a user's own git may be packed once more.)
    pub fn add(&mut self, kind: Type, content: &[u8]) -> Result<Oid> {
        let oid = crate::git::object::id(kind, content);
        if self.store.is_packed(&oid)? {
            return Ok(oid);
        }
        let pack = match &mut self.open {
            Some(p) => p,
            None => self.open.insert(self.store.pack_writer()?),
        };
        pack.add_as(kind, &oid, content)?;
        self.written += content.len() as u64;
        if (pack.len() >= BYTES && pack.objects() >= FEWEST) || pack.objects() >= MOST {
            self.close()?;
        }
        Ok(oid)
    }

    /// Bytes of content added so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Completes the pack under way, so that what has been added can be read.
    pub fn close(&mut self) -> Result<()> {
        if let Some(pack) = self.open.take() {
            pack.finish()?;
        }
        Ok(())
    }

    /// Makes everything durable and readable. If it is forgotten, the objects of the last, open pack are lost (and its
    /// temporary file is removed when the repository is opened again).
    pub fn finish(mut self) -> Result<()> {
        self.close()
    }
}
