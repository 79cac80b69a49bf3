//! Identifiers: of directories, files and vaults (16 bytes), and of git objects (20 bytes, SHA-1).

use std::fmt;

/// Id of a directory, a file or a vault: 16 bytes, public, printed in hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// The root directory of a vault.
    pub const ROOT: Id = Id([0; 16]);
}

/// Id of a git object: SHA-1 over `type SP length NUL content`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(pub [u8; 20]);

impl Oid {
    /// All zeros: git's way to say 'no object'.
    pub const ZERO: Oid = Oid([0; 20]);

    /// Reads 40 lower-case hex digits.
    pub fn from_hex(hex: &[u8]) -> Option<Oid> {
        let mut out = [0; 20];
        if hex.len() != 40 || !hex.iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c)) {
            return None;
        }
        data_encoding::HEXLOWER.decode_mut(hex, &mut out).ok()?;
        Some(Oid(out))
    }
}

macro_rules! hex_fmt {
    ($t:ty) => {
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex_fmt!(Id);
hex_fmt!(Oid);
