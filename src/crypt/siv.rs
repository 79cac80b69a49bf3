//! The one construction: deterministic authenticated encryption (Rogaway-Shrimpton SIV; RFC 5297's shape with
//! HMAC-SHA-256 as the PRF and AES-256-CTR).
//!
//! `t = HMAC(km, ctx | m)[0..n]; c = CTR(ke, iv(t), m)`; opening decrypts, computes the tag anew and compares in
//! constant time. `iv` clears two bits of the tag (RFC 5297's mask), so no counter carries out of its low 32-bit word
//! for 2^31 blocks and backends with 32-, 64- and 128-bit counters agree.

use super::backend::{Choice, Cipher, Mac, choice};
use subtle::ConstantTimeEq;

/// A key pair for one kind of object.
#[derive(Clone)]
pub struct Siv {
    mac: Mac,
    enc: Cipher,
}

/// The counter block of a tag.
pub fn iv(tag: &[u8]) -> [u8; 16] {
    let mut iv = [0; 16];
    iv.copy_from_slice(&tag[..16]);
    iv[8] &= 0x7f;
    iv[12] &= 0x7f;
    iv
}

impl Siv {
    /// From 64 bytes: MAC key, then encryption key.
    pub fn new(keys: &[u8; 64]) -> Siv {
        Siv::by(choice(), keys)
    }

    /// The same, computed by these backends.
    pub fn by(choice: Choice, keys: &[u8; 64]) -> Siv {
        let (mac, enc) = keys.split_at(32);
        Siv {
            mac: Mac::by(choice.mac, mac.try_into().expect("half of 64 bytes is 32")),
            enc: Cipher::by(choice.cipher, enc.try_into().expect("half of 64 bytes is 32")),
        }
    }

    /// Encrypts `m` in place and gives the tag, of which the format uses 16 or 32 bytes.
    pub fn seal(&self, ctx: &[&[u8]], m: &mut [u8]) -> [u8; 32] {
        let tag = self.tag(ctx, m);
        self.enc.apply(&iv(&tag), m);
        tag
    }

    /// Decrypts `c` in place; false (and `c` is zeroed) if the tag, 16 or 32 bytes, is not the right one.
    #[must_use]
    pub fn open(&self, ctx: &[&[u8]], tag: &[u8], c: &mut [u8]) -> bool {
        self.enc.apply(&iv(tag), c);
        let right = self.tag(ctx, c);
        let ok = bool::from(right[..tag.len()].ct_eq(tag));
        if !ok {
            c.fill(0);
        }
        ok
    }

    fn tag(&self, ctx: &[&[u8]], m: &[u8]) -> [u8; 32] {
        let mut s = self.mac.stream();
        for c in ctx {
            s.update(c);
        }
        s.update(m);
        s.finish()
    }

    /// The tag alone, without encrypting.
    pub fn tag_only(&self, ctx: &[&[u8]], m: &[u8]) -> [u8; 32] {
        self.tag(ctx, m)
    }
}
