//! pkt-line framing (gitprotocol-common(5)): four hex digits of length, themselves included, then the payload.

use crate::error::{Class, Error, Kind, Result};
use crate::path::printable;
use std::io::Read;

/// Longest payload of a line: 65 520 bytes less the four of the length.
pub const LONGEST: usize = 65_516;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A payload, possibly empty; a newline at its end is kept (see [`text`]).
    Data(&'a [u8]),
    /// `0000`: the end of a section.
    Flush,
    /// `0001`, protocol version 2 only.
    Delim,
    /// `0002`, protocol version 2 only.
    End,
}

/// The payload without the newline that lines of text may end in.
pub fn text(payload: &[u8]) -> &[u8] {
    payload.strip_suffix(b"\n").unwrap_or(payload)
}

/// Appends a line. `payload` may have [`LONGEST`] bytes at most: all lines that we send are far shorter.
pub fn line(payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= LONGEST);
    out.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    out.extend_from_slice(payload);
}

/// Appends a flush packet.
pub fn flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Reads lines from a stream; holds one line (64 kB at most).
#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The next line; it never reads beyond the line's end.
    ///
    /// Errors: [`Kind::Unreachable`] if the stream breaks or ends, Integrity (form) if the length is no length.
    pub fn read(&mut self, from: &mut (impl Read + ?Sized)) -> Result<Packet<'_>> {
        let mut head = [0; 4];
        from.read_exact(&mut head).map_err(broken)?;
        let len = length(&head).ok_or_else(|| {
            Error::integrity(Class::Form, format!("the server sent '{}' where git's protocol has a length", printable(&head)))
        })?;
        match len {
            0 => Ok(Packet::Flush),
            1 => Ok(Packet::Delim),
            2 => Ok(Packet::End),
            _ => {
                self.buffer.resize(len - 4, 0);
                from.read_exact(&mut self.buffer).map_err(broken)?;
                Ok(Packet::Data(&self.buffer))
            }
        }
    }

    /// The payload that was read last.
    pub(super) fn last(&self) -> &[u8] {
        &self.buffer
    }
}

/// The length that four hex digits stand for; `None` if they stand for none that may be (3 or above 65 520).
pub fn length(head: &[u8; 4]) -> Option<usize> {
    let mut len = 0;
    for c in head {
        len = len << 4 | char::from(*c).to_digit(16)? as usize;
    }
    (len != 3 && len <= LONGEST + 4).then_some(len)
}

/// A line that breaks is [`Kind::Unreachable`], whatever the system calls it; errors of our own pass as they are.
pub(super) fn broken(e: std::io::Error) -> Error {
    let ended = e.kind() == std::io::ErrorKind::UnexpectedEof;
    let e = Error::from(e);
    match e.kind() {
        _ if ended => Error::new(Kind::Unreachable, "the server hung up before it had answered"),
        Kind::Failed => Error::new(Kind::Unreachable, "the line to the server broke").because(e),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut reader = Reader::default();
        let mut out = Vec::new();
        while !bytes.is_empty() {
            out.push(match reader.read(&mut bytes)? {
                Packet::Data(d) => Some(d.to_vec()),
                _ => None,
            });
        }
        Ok(out)
    }

    #[test]
    fn round_trip_at_the_edges() {
        for n in [0, 1, 2, 255, 4092, LONGEST - 1, LONGEST] {
            let payload = vec![7; n];
            let mut out = Vec::new();
            line(&payload, &mut out);
            flush(&mut out);
            assert_eq!(read_all(&out).unwrap(), [Some(payload), None]);
        }
    }

    #[test]
    fn lengths_that_are_none() {
        for head in [b"0003", b"fff1", b"ffff", b"00g0", b"+004", b" 004", b"-001", b"Last"] {
            assert_eq!(length(head), None, "{head:?}");
            let e = read_all(head).unwrap_err();
            assert_eq!(e.kind(), Kind::Integrity(Class::Form));
        }
        assert_eq!(length(b"FFF0"), Some(65_520));
    }

    #[test]
    fn a_stream_that_ends_within_a_line() {
        for cut in [&b"000"[..], b"0005", b"0008abc"] {
            assert_eq!(read_all(cut).unwrap_err().kind(), Kind::Unreachable);
        }
    }

    #[test]
    fn the_stopped_device_stays_stopped() {
        let e = broken(std::io::Error::other(crate::error::Killed));
        assert!(e.is_stopped());
    }
}
