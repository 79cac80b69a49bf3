//! Padding of sizes, scheme 1 (FORMAT 6): Padme (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
//! Communication with PURBs", 2019) above 1 KiB; at most 6.25 % more.

/// The greatest size of a file.
pub const MAX_SIZE: u64 = 1 << 44;
/// Plaintext per chunk.
pub const CHUNK: usize = 4096;
/// Padded plaintext up to this is a small file.
pub const SMALL: u64 = 1 << 20;
/// Bytes of a chunk's tag.
pub const TAG: usize = 16;

/// The padded size of `n` bytes of plaintext, `n` at most [`MAX_SIZE`].
pub fn padded(n: u64) -> u64 {
    if n <= 1024 {
        return 1024;
    }
    let e = n.ilog2();
    let g = 1u64 << (e - e.ilog2() - 1);
    n.div_ceil(g) * g
}

/// How many chunks `padded` bytes have.
pub fn chunks(padded: u64) -> u64 {
    padded.div_ceil(CHUNK as u64)
}
