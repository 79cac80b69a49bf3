//! The RustCrypto crates: AES and SHA instructions where the CPU has them (x86, ARMv8), else code without tables, whose
//! time does not depend on keys or data. Complete on every target; what is not said to be another's is done here.

use aes::Aes256;
use aes::cipher::{InnerIvInit, KeyInit as _, StreamCipher};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// HMAC-SHA-256 under one key: the state behind the inner and the outer key block.
#[derive(Clone)]
pub struct Mac(Hmac<Sha256>);

impl Mac {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Mac {
        Mac(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The end.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// AES-256-CTR under one key: its schedule.
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
