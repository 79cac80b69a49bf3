//! zlib streams (RFC 1950, 1951): written as stored blocks, for ciphertext does not compress; read whatever they are.

use crate::error::{Class, Error, Result};
use flate2::{Decompress, FlushDecompress, Status};

/// Longest stored block.
const BLOCK: usize = 65_535;

/// Length of `size` bytes as a stored stream.
pub fn stored_len(size: u64) -> u64 {
    2 + size.div_ceil(BLOCK as u64).max(1) * 5 + size + 4
}

/// Writes `content` as a zlib stream of stored blocks, in pieces of at most 64 KiB.
pub fn store(content: &[u8], put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    put(&[0x78, 0x01])?;
    let mut rest = content;
    loop {
        let (block, tail) = rest.split_at(rest.len().min(BLOCK));
        let [a, b] = (block.len() as u16).to_le_bytes();
        put(&[u8::from(tail.is_empty()), a, b, !a, !b])?;
        put(block)?;
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let mut adler = simd_adler32::Adler32::new();
    adler.write(content);
    put(&adler.finish().to_be_bytes())
}

/// Turns a stored stream of exactly `size` bytes into its content, in place; `false` if `raw` begins with another kind of
/// stream, and then it is left as it is.
pub fn unstore(raw: &mut Vec<u8>, size: usize) -> bool {
    let Some(blocks) = blocks(raw, size) else { return false };
    let mut len = 0;
    for block in blocks {
        let n = block.len();
        raw.copy_within(block, len);
        len += n;
    }
    raw.truncate(len);
    true
}

/// Where the blocks of a stored stream lie that have `size` bytes together.
fn blocks(raw: &[u8], size: usize) -> Option<Vec<std::ops::Range<usize>>> {
    raw.strip_prefix(&[0x78, 0x01])?;
    let mut out = Vec::new();
    let (mut at, mut sum) = (2, 0);
    loop {
        let [flags @ (0 | 1), a, b, c, d] = *raw.get(at..at + 5)? else { return None };
        let len = u16::from_le_bytes([a, b]);
        if len != !u16::from_le_bytes([c, d]) {
            return None;
        }
        let block = at + 5..at + 5 + usize::from(len);
        raw.get(block.clone())?;
        at = block.end;
        sum += block.len();
        out.push(block);
        if sum > size {
            return None;
        }
        if flags == 1 {
            return (sum == size).then_some(out);
        }
    }
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
