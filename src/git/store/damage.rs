//! Packs that a disk has damaged: found by their own checksum, and put aside once others hold what they held.

use super::Store;
use crate::error::Result;
use crate::files::{Files, Open};
use sha1::{Digest, Sha1};

/// What is behind the names of a pack that was put aside while its objects are fetched.
const ASIDE: &str = ".aside";
/// The same, once others hold them.
const DAMAGED: &str = ".damaged";

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
        for suffix in [".idx", ".pack"] {
            let own = format!("{pack}{suffix}");
            self.files.rename(&self.packs_dir, own.as_bytes(), &self.packs_dir, format!("{own}{ASIDE}").as_bytes())?;
        }
        self.files.sync_dir(&self.packs_dir)?;
        self.refresh()
    }

    /// Puts back whatever is aside, also what a crash has left half aside.
    pub fn put_all_back(&self) -> Result<()> {
        self.rename_aside("", [".pack", ".idx"])
    }

    /// Others hold now what was put aside: its bytes stay, and nobody puts them back any more.
    pub fn give_up_aside(&self) -> Result<()> {
        self.rename_aside(DAMAGED, [".idx", ".pack"])
    }

    /// Gives all that is aside another end of its name, but takes no name that something has.
    fn rename_aside(&self, end: &str, suffixes: [&str; 2]) -> Result<()> {
        let names: Vec<Box<[u8]>> = self.files.list(&self.packs_dir)?.into_iter().map(|(name, _)| name).collect();
        for suffix in suffixes {
            for name in &names {
                let own = name.strip_suffix(ASIDE.as_bytes()).filter(|own| own.ends_with(suffix.as_bytes()));
                let Some(to) = own.map(|own| [own, end.as_bytes()].concat()) else { continue };
                if !names.iter().any(|other| **other == *to) {
                    self.files.rename(&self.packs_dir, name, &self.packs_dir, &to)?;
                }
            }
        }
        self.files.sync_dir(&self.packs_dir)?;
        self.refresh()
    }
}
