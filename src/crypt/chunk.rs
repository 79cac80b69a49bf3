//! Chunks: 4 KiB of padded plaintext each, sealed by SIV under the file's keys (FORMAT 6).

use super::keys::FileKeys;
use super::pad::{CHUNK, TAG};
use crate::error::{Class, Error, Result};

/// The context of chunk `i`: `"C" | 01 | epoch | 0 u32 | i u64`.
fn context(epoch: u16, i: u64) -> [u8; 16] {
    let mut c = [0; 16];
    c[0] = b'C';
    c[1] = 1;
    c[2..4].copy_from_slice(&epoch.to_be_bytes());
    c[8..].copy_from_slice(&i.to_be_bytes());
    c
}

/// Seals consecutive chunks in place, the first being number `first`; writes their tags.
pub fn seal_all(keys: &FileKeys, epoch: u16, first: u64, data: &mut [u8], tags: &mut [u8]) {
    for (n, (chunk, tag)) in data.chunks_mut(CHUNK).zip(tags.chunks_exact_mut(TAG)).enumerate() {
        let whole = keys.chunk.seal(&[&context(epoch, first + n as u64)], chunk);
        tag.copy_from_slice(&whole[..TAG]);
    }
}

/// The tags of consecutive chunks, without encrypting.
pub fn tags_only(keys: &FileKeys, epoch: u16, first: u64, data: &[u8], tags: &mut Vec<u8>) {
    for (n, chunk) in data.chunks(CHUNK).enumerate() {
        let tag = keys.chunk.tag_only(&[&context(epoch, first + n as u64)], chunk);
        tags.extend_from_slice(&tag[..TAG]);
    }
}

/// Opens consecutive chunks in place with their tags.
pub fn open_all(keys: &FileKeys, epoch: u16, first: u64, data: &mut [u8], tags: &[u8]) -> Result<()> {
    for (n, (chunk, tag)) in data.chunks_mut(CHUNK).zip(tags.chunks(TAG)).enumerate() {
        let i = first + n as u64;
        if !keys.chunk.open(&[&context(epoch, i)], tag, chunk) {
            return Err(Error::integrity(Class::Auth, format!("chunk {i}: altered or of another place")));
        }
    }
    Ok(())
}
