//! zlib streams (RFC 1950, 1951): written as stored blocks, for ciphertext does not compress; read whatever they are.

use crate::error::{Class, Error, Result};
use flate2::{Decompress, FlushDecompress, Status};

/// Longest stored block.
const BLOCK: usize = 65_535;

/// Length of `size` bytes as a stored stream.
pub fn stored_len(size: u64) -> u64 {
    2 + size.div_ceil(BLOCK as u64).max(1) * 5 + size + 4
}

/// Appends `content` as a zlib stream of stored blocks.
pub fn store(content: &[u8], out: &mut Vec<u8>) {
    out.reserve(stored_len(content.len() as u64) as usize);
    out.extend_from_slice(&[0x78, 0x01]);
    let mut rest = content;
    loop {
        let (block, tail) = rest.split_at(rest.len().min(BLOCK));
        out.push(u8::from(tail.is_empty()));
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let mut adler = simd_adler32::Adler32::new();
    adler.write(content);
    out.extend_from_slice(&adler.finish().to_be_bytes());
}

/// Reads a stored stream of exactly `size` bytes that begins `raw`; `None` if it is another kind of stream.
pub fn unstore(raw: &[u8], size: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = raw.strip_prefix(&[0x78, 0x01])?;
    let begin = out.len();
    loop {
        let [flags @ (0 | 1), a, b, c, d, tail @ ..] = rest else { return None };
        let len = u16::from_le_bytes([*a, *b]);
        if len != !u16::from_le_bytes([*c, *d]) || tail.len() < usize::from(len) || out.len() - begin + usize::from(len) > size {
            out.truncate(begin);
            return None;
        }
        let (block, tail) = tail.split_at(usize::from(len));
        out.extend_from_slice(block);
        rest = tail;
        if *flags == 1 {
            break;
        }
    }
    if out.len() - begin != size {
        out.truncate(begin);
        return None;
    }
    Some(())
}

/// Inflates a stream that must give exactly `size` bytes; `more` gives further input (empty at the end). Stops at the
/// end of the stream, or early when `want` bytes are there.
pub fn inflate(size: usize, want: usize, out: &mut Vec<u8>, mut more: impl FnMut(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let bad = || Error::integrity(Class::Form, "git object: its zlib stream is damaged");
    let mut z = Decompress::new(true);
    let begin = out.len();
    out.reserve(want.min(size));
    let (mut input, mut at) = (Vec::new(), 0);
    let mut buffer = [0u8; 16 * 1024];
    loop {
        if at == input.len() {
            input.clear();
            at = 0;
            more(&mut input)?;
            if input.is_empty() {
                return Err(bad());
            }
        }
        let (before_in, before_out) = (z.total_in(), z.total_out());
        let status = z.decompress(&input[at..], &mut buffer, FlushDecompress::None).map_err(|_| bad())?;
        at += (z.total_in() - before_in) as usize;
        let got = (z.total_out() - before_out) as usize;
        if out.len() - begin + got > size {
            return Err(Error::integrity(Class::Limit, "git object: longer than it says"));
        }
        out.extend_from_slice(&buffer[..got]);
        match status {
            Status::StreamEnd if out.len() - begin == size => return Ok(()),
            Status::StreamEnd => return Err(bad()),
            _ if out.len() - begin >= want && want < size => return Ok(()),
            _ => {}
        }
    }
}
