//! Small files and directories of a repository, made durably.

use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::path::printable;
use std::io::{Read, Write};

/// Makes a directory durably unless it is there, and opens it.
pub(crate) fn ensure_dir<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> std::io::Result<F::Dir> {
    match files.mkdir(at, name, 0o777) {
        Ok(()) => files.sync_dir(at)?,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    files.open_dir(at, name)
}

/// Reads a small text file whole; `None` if it is not there.
pub(crate) fn read_small<F: Files>(files: &F, at: &F::Dir, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match files.open(at, name) {
        Ok(f) => f,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut out = Vec::new();
    file.take(limit + 1).read_to_end(&mut out)?;
    if out.len() as u64 > limit {
        return Err(Error::integrity(Class::Limit, format!("{}: longer than {limit} bytes", printable(name))));
    }
    Ok(Some(out))
}

/// Makes an empty file under a temporary name of ours; one that a crash has left there goes.
pub(in crate::git) fn create_anew<F: Files>(files: &F, at: &F::Dir, name: &[u8]) -> std::io::Result<F::File> {
    match files.create(at, name, 0o666) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            files.unlink(at, name)?;
            files.create(at, name, 0o666)
        }
        other => other,
    }
}

/// Writes a file durably under a temporary name and renames it into place.
pub(crate) fn write_atomic<F: Files>(files: &F, at: &F::Dir, name: &[u8], content: &[u8]) -> Result<()> {
    let temporary = [name, b".sharelock-tmp"].concat();
    let mut file = create_anew(files, at, &temporary)?;
    file.write_all(content)?;
    file.sync()?;
    files.rename(at, &temporary, at, name)?;
    files.sync_dir(at)?;
    Ok(())
}
