//! A large file as it lies in secure.

use crate::crypt::large::{Part, Parts};
use crate::error::{Error, Result};
use crate::files::{Files, Open};
use std::io::Read;

/// The parts of a large file as they lie in secure; a part that does not fit the head may still lie beside it as
/// `PART.new` (FORMAT 6), which the caller finds as a failed check and the next update puts right.
pub(super) struct DiskParts<'f, F: Files> {
    pub(super) files: &'f F,
    pub(super) dir: F::Dir,
}

impl<F: Files> DiskParts<'_, F> {
    fn open(&self, part: Part) -> Result<Option<F::File>> {
        let (group, leaf) = part.path();
        let open = || -> std::io::Result<F::File> {
            let dir = match &group {
                Some(g) => self.files.open_dir(&self.dir, g.as_bytes())?,
                None => self.dir.clone(),
            };
            self.files.open(&dir, leaf.as_bytes())
        };
        match open() {
            Ok(f) => Ok(Some(f)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl<F: Files> Parts for &DiskParts<'_, F> {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(part)? else { return Ok(None) };
        let mut out = Vec::new();
        file.take(limit + 1).read_to_end(&mut out)?;
        if out.len() as u64 > limit {
            return Err(Error::integrity(crate::error::Class::Limit, "a part is longer than the format allows"));
        }
        Ok(Some(out))
    }

    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(part)? else { return Ok(None) };
        let mut out = vec![0; len];
        let have = file.read_up_to(offset, &mut out)?;
        out.truncate(have);
        Ok(Some(out))
    }

    fn len(&self, part: Part) -> Result<Option<u64>> {
        match self.open(part)? {
            Some(file) => Ok(Some(file.stat()?.size)),
            None => Ok(None),
        }
    }
}
