//! Packs to be sent: objects of a store, whole and stored, in the order given.

use super::pack_write::{encode, pack_header};
use super::store::Store;
use super::{PackSource, limit};
use crate::error::Result;
use crate::files::Files;
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::io::Write;

impl<F: Files> Store<F> {
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
        Ok(Objects { store: self.clone(), oids, sent: 0 })
    }
}

/// Objects of a store as a pack to be sent: whole, stored, in the order given.
pub struct Objects<F: Files> {
    store: Store<F>,
    oids: Vec<Oid>,
    sent: u64,
}

impl<F: Files> Objects<F> {
    /// Bytes of the pack as it was last written whole; 0 if it never was.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

impl<F: Files> PackSource for Objects<F> {
    fn objects(&self) -> u32 {
        self.oids.len() as u32
    }

    fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
        let (mut sha, mut sent) = (Sha1::new(), 0);
        let mut buffer = pack_header(self.objects()).to_vec();
        for oid in &self.oids {
            let (kind, content) = self.store.read_any(oid, limit::TREE)?;
            encode(kind, &content, &mut |piece| {
                buffer.extend_from_slice(piece);
                if buffer.len() >= 32 * 1024 {
                    sha.update(&buffer);
                    out.write_all(&buffer)?;
                    sent += buffer.len() as u64;
                    buffer.clear();
                }
                Ok(())
            })?;
        }
        sha.update(&buffer);
        out.write_all(&buffer)?;
        let sum: [u8; 20] = sha.finalize().into();
        out.write_all(&sum)?;
        out.flush()?;
        self.sent = sent + (buffer.len() + sum.len()) as u64;
        Ok(())
    }
}
