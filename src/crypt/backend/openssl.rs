//! OpenSSL, which is in the binary for SSH: its assembly knows NEON, which the crates do not use on 32-bit ARM.
//!
//! What it is not asked for: fewer than 128 bytes, and the bytes behind the last whole block. On ARMv7 OpenSSL encrypts
//! those with tables, whose time depends on what is encrypted; from 128 bytes on it is bit-sliced and does not.
//!
//! Contexts are OpenSSL's memory, which it wipes when it frees them.

use openssl::cipher::Cipher as Suite;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::sha::Sha256;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// HMAC-SHA-256 under one key: the state behind the inner and the outer key block. No context on the heap, so that a MAC
/// costs no allocation.
#[derive(Clone)]
pub struct Mac {
    inner: State,
    outer: State,
}

/// A hash under way that is overwritten when it goes: behind a key block it is worth as much as the key.
#[derive(Clone)]
struct State(Sha256);

impl Drop for State {
    fn drop(&mut self) {
        self.0 = Sha256::new();
        std::hint::black_box(&self.0);
    }
}

impl Mac {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Mac {
        let behind = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
            let mut hash = Sha256::new();
            hash.update(&*block);
            State(hash)
        };
        Mac { inner: behind(0x36), outer: behind(0x5c) }
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.0.update(bytes);
    }

    /// The end.
    pub fn finish(mut self) -> [u8; 32] {
        let digest = std::mem::take(&mut self.inner.0).finish();
        self.outer.0.update(&digest);
        std::mem::take(&mut self.outer.0).finish()
    }
}

/// AES-256-CTR under one key. The context is one user's at a time.
pub struct Cipher(Mutex<CipherCtx>);

impl Cipher {
    /// Takes a key of 32 bytes. Errors: no memory.
    pub fn new(key: &[u8; 32]) -> Result<Cipher, ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(Suite::aes_256_ctr()), Some(key), Some(&[0; 16]))?;
        Ok(Cipher(Mutex::new(context)))
    }

    /// Encrypts or decrypts whole blocks in place. After an error `data` may be half done.
    pub fn apply(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), ErrorStack> {
        let mut context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The key's schedule stays.
        context.encrypt_init(None, None, Some(iv))?;
        // OpenSSL counts in an int.
        for piece in data.chunks_mut(1 << 30) {
            let len = piece.len();
            context.cipher_update_inplace(piece, len)?;
        }
        Ok(())
    }
}
