//! The 8 bytes that every object begins with (FORMAT 4).

use crate::error::{Class, Error, Result};

/// Their number.
pub const HEADER: usize = 8;

const MAGIC: [u8; 4] = *b"SLK\0";
const VERSION: u8 = 1;

/// Type of an object, as its fifth byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Small file.
    Small = b'F' as isize,
    /// Head of a large file.
    Head = b'H' as isize,
    /// Segment.
    Segment = b'S' as isize,
    /// Index of a group.
    Index = b'X' as isize,
    /// Long name.
    LongName = b'N' as isize,
    /// The vault file.
    Vault = b'V' as isize,
    /// Key file.
    Key = b'K' as isize,
    /// Details of a commit.
    Details = b'D' as isize,
    /// Notice.
    Notice = b'M' as isize,
}

/// The header of a new object.
pub fn bytes(kind: Type, epoch: u16) -> [u8; HEADER] {
    let e = epoch.to_be_bytes();
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], kind as u8, VERSION, e[0], e[1]]
}

/// Checks the header that `object` begins with and gives its epoch, which is known here.
pub fn check(object: &[u8], kind: Type) -> Result<u16> {
    if object.len() < HEADER {
        return Err(Error::integrity(Class::Form, "too short to be an object of a vault"));
    }
    if object[..4] != MAGIC {
        return Err(Error::integrity(Class::Form, "not an object of a vault"));
    }
    if object[4] != kind as u8 {
        return Err(Error::integrity(Class::Form, format!("an object of type {} where {kind:?} must be", object[4].escape_ascii())));
    }
    if object[5] != VERSION {
        return Err(Error::integrity(Class::Version, format!("version {} of the format is not known here", object[5])));
    }
    let epoch = u16::from_be_bytes([object[6], object[7]]);
    if epoch != 0 {
        return Err(Error::integrity(Class::Version, format!("key epoch {epoch} is not known here")));
    }
    Ok(epoch)
}
