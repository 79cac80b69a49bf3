//! The unlocked key of `--start-without-password`: as it is written into a file or a pipe (FORMAT 8).

use super::header::{self, HEADER};
use super::keys::Master;
use crate::error::Result;
use crate::id::Id;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Length without the check value, as earlier versions wrote it.
const PLAIN: usize = HEADER + 16 + 32;
/// Bytes of the check value.
const CHECK: usize = 8;

/// Length of the file.
pub const LEN: usize = PLAIN + CHECK;

/// An unlocked key that was read.
pub struct Unlocked {
    /// The key.
    pub master: Master,
    /// The vault's id.
    pub vault: Id,
    /// False for the form without a check value: a flipped bit in it shows nowhere, so nothing may be made of it before the
    /// vault itself has proved it.
    pub checked: bool,
}

/// Header K, vault id, master, and the start of a hash over all that: 64 bytes. Not against anybody, for who can write
/// the file has the key: against a disk that flips a bit.
pub fn bytes(master: &Master, vault: &Id) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(header::bytes(header::Type::Key, 0).to_vec());
    out.reserve_exact(PLAIN - HEADER + CHECK); // It does not move once the key is in it.
    out.extend_from_slice(&vault.0);
    out.extend_from_slice(master.as_bytes());
    let sum = check(&out);
    out.extend_from_slice(&sum);
    out
}

/// Reads what [`bytes`] wrote, now or in an earlier version; `None` if it is damaged.
///
/// Errors: another version of the format, or no key at all.
pub fn read(bytes: &[u8]) -> Result<Option<Unlocked>> {
    header::check(bytes, header::Type::Key)?;
    let checked = bytes.len() == LEN;
    if !checked && bytes.len() != PLAIN {
        return Ok(None);
    }
    let (plain, sum) = bytes.split_at(PLAIN);
    if checked && !bool::from(check(plain)[..].ct_eq(sum)) {
        return Ok(None);
    }
    let mut vault = [0; 16];
    vault.copy_from_slice(&plain[HEADER..HEADER + 16]);
    let mut master = Zeroizing::new([0; 32]);
    master.copy_from_slice(&plain[HEADER + 16..]);
    Ok(Some(Unlocked { master: Master::from_bytes(&master), vault: Id(vault), checked }))
}

fn check(plain: &[u8]) -> [u8; CHECK] {
    let sum = Sha256::new().chain_update(b"sharelock/v1/unlocked\0").chain_update(plain).finalize();
    let mut out = [0; CHECK];
    out.copy_from_slice(&sum[..CHECK]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_damage_and_the_old_form_is_read() {
        let (master, vault) = (Master::from_bytes(&[7; 32]), Id([9; 16]));
        let whole = bytes(&master, &vault);
        assert!(read(&whole).unwrap().is_some_and(|u| u.checked && u.vault == vault && u.master.as_bytes() == master.as_bytes()));
        assert!(read(&whole[..PLAIN]).unwrap().is_some_and(|u| !u.checked && u.vault == vault));
        for bit in 0..8 * whole.len() {
            let mut bad = whole.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&bad), Ok(Some(_))), "bit {bit}");
        }
        for len in (0..whole.len()).filter(|n| *n != PLAIN) {
            assert!(!matches!(read(&whole[..len]), Ok(Some(_))), "{len} bytes");
        }
    }
}
