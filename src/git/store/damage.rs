//! Packs that a disk has damaged: found by their own checksum, and put aside once others hold what they held.

use super::Store;
use crate::error::Result;
use crate::files::{Files, Open};
use sha1::{Digest, Sha1};

/// What is behind the names of a pack that was put aside.
const ASIDE: &str = ".damaged";

impl<F: Files> Store<F> {
    /// Names of packs whose bytes are not those of their checksum (gitformat-pack(5)). Reads all packs whole.
    pub fn damaged_packs(&self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut buf = vec![0; 64 * 1024];
        for pack in self.pack_list() {
            let (mut sha, mut at, end) = (Sha1::new(), 0, pack.size.saturating_sub(20));
            while at < end {
                let most = buf.len().min(usize::try_from(end - at).unwrap_or(buf.len()));
                let n = pack.file.read_up_to(at, &mut buf[..most])?;
                if n == 0 {
                    break;
                }
                sha.update(&buf[..n]);
                at += n as u64;
            }
            let mut trailer = [0; 20];
            let n = pack.file.read_up_to(end, &mut trailer)?;
            if n < 20 || sha.finalize()[..] != trailer {
                out.push(pack.name.clone());
            }
        }
        Ok(out)
    }

    /// Puts a pack aside: nobody finds its objects in it any more, and its bytes stay.
    pub fn put_aside(&self, pack: &str) -> Result<()> {
        self.rename_pack(pack, "", ASIDE, [".idx", ".pack"])
    }

    /// The inverse of [`Store::put_aside`].
    pub fn put_back(&self, pack: &str) -> Result<()> {
        self.rename_pack(pack, ASIDE, "", [".pack", ".idx"])
    }

    fn rename_pack(&self, pack: &str, from: &str, to: &str, suffixes: [&str; 2]) -> Result<()> {
        for suffix in suffixes {
            let (from, to) = (format!("{pack}{suffix}{from}"), format!("{pack}{suffix}{to}"));
            self.files.rename(&self.packs_dir, from.as_bytes(), &self.packs_dir, to.as_bytes())?;
        }
        self.files.sync_dir(&self.packs_dir)?;
        self.refresh()
    }
}
