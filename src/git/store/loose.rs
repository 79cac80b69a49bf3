//! Loose objects: a user's own git makes them; this engine only reads them.

use super::Store;
use crate::error::{Class, Error, Result};
use crate::files::Files;
use crate::git::Type;
use crate::id::Oid;
use std::io::Read;

impl<F: Files> Store<F> {
    /// The file of a loose object.
    pub(super) fn loose(&self, oid: &Oid) -> Result<Option<F::File>> {
        let hex = oid.to_string();
        let dir = match self.files.open_dir(&self.objects_dir, &hex.as_bytes()[..2]) {
            Ok(d) => d,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        match self.files.open(&dir, &hex.as_bytes()[2..]) {
            Ok(f) => Ok(Some(f)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// Type, size and (if not above `limit`) content of a loose object.
pub(super) fn start<File: Read>(mut file: File, limit: u64) -> Result<(Type, u64, Vec<u8>)> {
    let bad = || Error::integrity(Class::Form, "a loose git object is damaged");
    let mut z = flate2::Decompress::new(true);
    let (mut out, mut input, mut at) = (Vec::new(), vec![0u8; 16 * 1024], 0);
    let mut have = 0;
    let mut buffer = vec![0u8; 16 * 1024];
    let mut head: Option<(Type, u64)> = None;
    loop {
        if at == have {
            have = file.read(&mut input)?;
            at = 0;
            if have == 0 {
                return Err(bad());
            }
        }
        let (i, o) = (z.total_in(), z.total_out());
        let status = z.decompress(&input[at..have], &mut buffer, flate2::FlushDecompress::None).map_err(|_| bad())?;
        at += (z.total_in() - i) as usize;
        out.extend_from_slice(&buffer[..(z.total_out() - o) as usize]);
        if head.is_none() {
            if let Some(end) = out.iter().take(40).position(|b| *b == 0) {
                let text = std::str::from_utf8(&out[..end]).map_err(|_| bad())?;
                let (kind, size) = text.split_once(' ').ok_or_else(bad)?;
                let kind = [Type::Blob, Type::Tree, Type::Commit, Type::Tag].into_iter().find(|t| t.name() == kind).ok_or_else(bad)?;
                let size = size.parse().map_err(|_| bad())?;
                head = Some((kind, size));
                out.drain(..=end);
                if size > limit {
                    return Ok((kind, size, Vec::new()));
                }
            } else if out.len() > 40 {
                return Err(bad());
            }
        }
        if let Some((kind, size)) = head {
            if out.len() as u64 > size {
                return Err(bad());
            }
            if status == flate2::Status::StreamEnd {
                return if out.len() as u64 == size { Ok((kind, size, out)) } else { Err(bad()) };
            }
        } else if status == flate2::Status::StreamEnd {
            return Err(bad());
        }
    }
}
