//! The key file `vault.key` (FORMAT 8): the master key under a password, 116 bytes.

use super::header::{self, HEADER};
use super::keys::Master;
use super::siv::Siv;
use crate::clock::Random;
use crate::error::{Class, Error, Kind, Result};
use crate::id::Id;
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Length of the file.
pub const LEN: usize = 116;
/// Where the sealed master begins: everything before it is the SIV's context.
const SEALED: usize = 52;

/// What deriving the key from the password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Cost { memory: 65_536, passes: 3 }
    }
}

impl Cost {
    /// The least that the format allows; for tests, and machines with very little memory.
    pub const LEAST: Cost = Cost { memory: 19_456, passes: 4 };

    fn check(&self) -> Result<()> {
        let product = u64::from(self.memory) * u64::from(self.passes);
        if self.memory < 19_456 || self.passes < 2 || product < 65_536 {
            return Err(Error::integrity(Class::Limit, "key file: its password is protected less than the format demands"));
        }
        if self.memory > 1 << 20 || self.passes > 64 || product > 1 << 22 {
            return Err(Error::integrity(Class::Limit, "key file: opening it would cost more memory or time than the format allows"));
        }
        Ok(())
    }
}

/// A password as a file or a command gives it: one final newline (`\n` or `\r\n`) does not belong to it.
pub fn without_newline(text: &[u8]) -> &[u8] {
    let Some(text) = text.strip_suffix(b"\n") else { return text };
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// The bytes of a password as they are derived from: NFC if it is valid UTF-8, else as it is.
pub fn password_bytes(password: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match std::str::from_utf8(password) {
        Ok(s) => {
            let mut out = String::with_capacity(password.len() * 3);
            out.extend(s.nfc());
            out.into_bytes()
        }
        Err(_) => password.to_vec(),
    })
}

fn derive(password: &[u8], salt: &[u8], cost: Cost) -> Result<Siv> {
    cost.check()?;
    let params =
        Params::new(cost.memory, cost.passes, 1, Some(64)).map_err(|e| Error::integrity(Class::Limit, format!("key file: {e}")))?;
    let mut out = Zeroizing::new([0u8; 64]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(&password_bytes(password), salt, &mut *out)
        .map_err(|e| Error::failed(format!("key file: {e}")))?;
    Ok(Siv::new(&out))
}

/// Seals the master under a password.
pub fn seal(master: &Master, vault: &Id, password: &[u8], cost: Cost, random: &mut impl Random) -> Result<[u8; LEN]> {
    let mut out = [0u8; LEN];
    out[..HEADER].copy_from_slice(&header::bytes(header::Type::Key, 0));
    out[8..24].copy_from_slice(&vault.0);
    out[24] = 1;
    out[25] = 1;
    out[26..28].copy_from_slice(&32u16.to_be_bytes());
    out[28..32].copy_from_slice(&cost.memory.to_be_bytes());
    out[32..36].copy_from_slice(&cost.passes.to_be_bytes());
    random.fill(&mut out[36..SEALED])?;
    let siv = derive(password, &out[36..SEALED], cost)?;
    let mut key = Zeroizing::new(*master.as_bytes());
    let tag = siv.seal(&[&out[..SEALED]], &mut *key);
    out[SEALED..SEALED + 32].copy_from_slice(&tag);
    out[SEALED + 32..].copy_from_slice(&*key);
    Ok(out)
}

/// The vault id and cost that a key file states, checked for form and limits, without deriving anything.
pub fn peek(bytes: &[u8]) -> Result<(Id, Cost)> {
    let form = |what: &str| Error::integrity(Class::Form, format!("key file: {what}"));
    if bytes.len() != LEN {
        return Err(form("it has not 116 bytes"));
    }
    header::check(bytes, header::Type::Key)?;
    if bytes[24] != 1 {
        return Err(Error::integrity(Class::Version, format!("key file: derivation {} is not known here", bytes[24])));
    }
    if bytes[25] != 1 || bytes[26..28] != 32u16.to_be_bytes() {
        return Err(form("lanes or key length"));
    }
    let u32_at = |i: usize| u32::from_be_bytes(bytes[i..i + 4].try_into().expect("4 bytes of 116"));
    let cost = Cost { memory: u32_at(28), passes: u32_at(32) };
    cost.check()?;
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[8..24]);
    Ok((Id(id), cost))
}

/// Opens a key file. [`Kind::Secret`]: the password is wrong (or the file was altered).
pub fn open(bytes: &[u8], password: &[u8]) -> Result<(Master, Id)> {
    let (vault, cost) = peek(bytes)?;
    let siv = derive(password, &bytes[36..SEALED], cost)?;
    let mut key = Zeroizing::new([0u8; 32]);
    key.copy_from_slice(&bytes[SEALED + 32..]);
    if !siv.open(&[&bytes[..SEALED]], &bytes[SEALED..SEALED + 32], &mut *key) {
        return Err(Error::new(Kind::Secret, "wrong password"));
    }
    Ok((Master::from_bytes(&key), vault))
}
