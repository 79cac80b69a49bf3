//! The boundary to the primitives: AES-256-CTR and HMAC-SHA-256, and nothing else.
//!
//! Everything above speaks of [`Mac`] and [`Cipher`]; another implementation per target (OpenSSL's, say) is put in
//! here. Key schedules are computed once per key, so a chunk costs no allocation and no schedule.

use aes::Aes256;
use aes::cipher::{InnerIvInit, KeyInit as _, StreamCipher};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) under one key.
#[derive(Clone)]
pub struct Mac(Hmac<Sha256>);

impl Mac {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Mac {
        Mac(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The MAC of the concatenation of `parts`.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut m = self.0.clone();
        for p in parts {
            m.update(p);
        }
        m.finalize().into_bytes().into()
    }

    /// Begins a MAC over a stream.
    pub fn stream(&self) -> MacStream {
        MacStream(self.0.clone())
    }
}

/// A MAC under way.
pub struct MacStream(Hmac<Sha256>);

impl MacStream {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The end.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// AES-256 in counter mode (NIST SP 800-38A): the counter block begins as the IV and counts as one number of 128 bits.
#[derive(Clone)]
pub struct Cipher(Aes256);

impl Cipher {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Cipher {
        Cipher(Aes256::new(key.into()))
    }

    /// Encrypts or decrypts in place.
    pub fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        let core = CtrCore::inner_iv_init(&self.0, iv.into());
        Ctr128BE::<&Aes256>::from_core(core).apply_keystream(data);
    }
}
