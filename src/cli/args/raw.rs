//! Arguments that are not UTF-8 come through argh unharmed: their odd bytes travel as private code points and are turned
//! back by [`bytes`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// First code point for bytes that are not UTF-8.
const ODD: u32 = 0xf700;

/// The code point that a byte from 0x80 on travels as.
fn odd(byte: u8) -> Option<char> {
    char::from_u32(ODD + u32::from(byte))
}

/// An argument as text.
pub fn text(arg: &OsStr) -> String {
    let mut out = String::new();
    for chunk in arg.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // A name may hold these code points itself: its bytes travel one by one, so that they come back as they were.
            match (c as u32).checked_sub(ODD) {
                Some(0x80..0x100) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().filter_map(odd)),
                _ => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().copied().filter_map(odd));
    }
    out
}

/// The bytes of an argument.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for c in text.chars() {
        match (c as u32).checked_sub(ODD) {
            Some(b) if (0x80..0x100).contains(&b) => out.push(b as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// An argument that names a file of this device.
pub fn path(text: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_comes_back_as_it_was() {
        let private = "a\u{f77f}\u{f780}\u{f7ff}\u{f800}b";
        for arg in [&b""[..], b"notes/todo.txt", "ü/€".as_bytes(), b"\x80\xff", b"a\xc3", b"\xef\x9e", private.as_bytes()] {
            assert_eq!(bytes(&text(OsStr::from_bytes(arg))), arg);
        }
    }
}
