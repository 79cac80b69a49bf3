//! Damaged or missing files of secure, made anew from the repository.

use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::git::store::ensure_dir;
use crate::git::{Type, limit, object};
use crate::mirror::{Device, secure};
use crate::state::{State, key};

/// Writes a file of secure again as head has it; `false` if head has none of this path, or the repository no sound copy.
///
/// # Errors
/// Those of the disk.
pub fn make_anew<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, path: &[u8]) -> Result<bool> {
    let Some(head) = secure::oid_value(&d.state, key::HEAD)? else { return Ok(false) };
    let mut tree = secure::tree_of(d, &head)?;
    let mut at = d.secure.root();
    let mut parts = path.split(|c| *c == b'/').peekable();
    while let Some(part) = parts.next() {
        let bytes = d.git.read(&tree, Type::Tree, limit::TREE)?;
        let mut found = None;
        for entry in object::entries(&bytes) {
            let entry = entry?;
            if entry.name == part {
                found = Some((entry.oid, entry.is_tree()));
            }
        }
        match found {
            Some((oid, true)) if parts.peek().is_some() => {
                tree = oid;
                at = ensure_dir(&d.secure, &at, part)?;
            }
            Some((oid, false)) if parts.peek().is_none() => {
                let Ok(content) = d.git.read(&oid, Type::Blob, limit::BLOB) else { return Ok(false) };
                secure::put(d, &at, part, &content)?;
                return Ok(true);
            }
            _ => return Ok(false),
        }
    }
    Ok(false)
}
