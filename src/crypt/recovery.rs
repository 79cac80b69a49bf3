//! The recovery key (FORMAT 8): the master itself, on paper, in 8 groups of 7 Crockford base32 digits, each with an
//! eighth that finds typing errors in its group.

use super::keys::Master;
use crate::error::{Error, Kind, Result};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Groups of a recovery key.
pub const GROUPS: usize = 8;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const VERSION: u8 = 1;

/// Multiplication in GF(32), x^5 + x^2 + 1.
fn mul(mut a: u8, mut b: u8) -> u8 {
    let mut out = 0;
    while b != 0 {
        if b & 1 != 0 {
            out ^= a;
        }
        a <<= 1;
        if a & 0x20 != 0 {
            a ^= 0b10_0101;
        }
        b >>= 1;
    }
    out
}

/// The eighth digit of group `g`: a^8 (g+1) + a d0 + .. + a^7 d6, a = x.
fn check_digit(g: usize, d: &[u8]) -> u8 {
    let mut power = 1u8;
    let mut sum = 0;
    for digit in &d[..7] {
        power = mul(power, 2);
        sum ^= mul(power, *digit);
    }
    sum ^ mul(mul(power, 2), g as u8 + 1)
}

fn checksum(master: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(b"sharelock/v1/recovery\0").chain_update(master).finalize().into()
}

/// The eight groups, each of 8 digits.
pub fn print(master: &Master) -> [Zeroizing<String>; GROUPS] {
    // 280 bits: version 4, master 256, checksum 20; most significant first.
    let mut bits = Zeroizing::new([0u8; 35]);
    bits[0] = VERSION << 4;
    let sum = checksum(master.as_bytes());
    let put = |bits: &mut [u8; 35], at: usize, byte: u8| {
        bits[at / 8] |= byte >> (at % 8);
        if !at.is_multiple_of(8) && at / 8 + 1 < 35 {
            bits[at / 8 + 1] |= byte << (8 - at % 8);
        }
    };
    for (i, b) in master.as_bytes().iter().enumerate() {
        put(&mut bits, 4 + 8 * i, *b);
    }
    put(&mut bits, 260, sum[0]);
    put(&mut bits, 268, sum[1]);
    bits[34] |= sum[2] >> 4;
    std::array::from_fn(|g| {
        let mut d = [0u8; 8];
        for (i, digit) in d.iter_mut().take(7).enumerate() {
            for k in 0..5 {
                let at = (g * 7 + i) * 5 + k;
                *digit = *digit << 1 | (bits[at / 8] >> (7 - at % 8) & 1);
            }
        }
        d[7] = check_digit(g, &d);
        let text = d.iter().map(|v| DIGITS[usize::from(*v)] as char).collect();
        d.zeroize();
        Zeroizing::new(text)
    })
}

/// Reads one group, `g` from 0; spaces, `-` and case do not matter, O is 0, I and L are 1.
///
/// Errors ([`Kind::Secret`]) name the group.
pub fn parse_group(g: usize, text: &str) -> Result<[u8; 7]> {
    let wrong = |why: &str| Error::new(Kind::Secret, format!("{why} in group {}", g + 1));
    if g >= GROUPS {
        return Err(wrong("no such place"));
    }
    let mut d = Zeroizing::new([0u8; 8]);
    let mut n = 0;
    for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        let v = DIGITS.iter().position(|x| *x as char == c).ok_or_else(|| wrong("a character that no recovery key has"))?;
        if n == 8 {
            return Err(wrong("more than 8 characters"));
        }
        d[n] = v as u8;
        n += 1;
    }
    if n != 8 {
        return Err(wrong("fewer than 8 characters"));
    }
    if check_digit(g, &*d) != d[7] {
        return Err(wrong("typing error"));
    }
    Ok(d[..7].try_into().expect("7 of 8"))
}

/// Puts eight read groups together.
pub fn join(groups: &[[u8; 7]; GROUPS]) -> Result<Master> {
    let mut bits = Zeroizing::new([0u8; 35]);
    for (i, digit) in groups.iter().flatten().enumerate() {
        for k in 0..5 {
            let at = i * 5 + k;
            bits[at / 8] |= (digit >> (4 - k) & 1) << (7 - at % 8);
        }
    }
    if bits[0] >> 4 != VERSION {
        return Err(Error::new(Kind::Secret, "a recovery key of another version"));
    }
    let mut master = Zeroizing::new([0u8; 32]);
    for (i, b) in master.iter_mut().enumerate() {
        *b = bits[i] << 4 | bits[i + 1] >> 4;
    }
    let sum = checksum(&master);
    let got = [bits[32] << 4 | bits[33] >> 4, bits[33] << 4 | bits[34] >> 4, bits[34] << 4];
    if got[..2] != sum[..2] || got[2] != sum[2] & 0xf0 {
        return Err(Error::new(Kind::Secret, "the groups do not belong together"));
    }
    Ok(Master::from_bytes(&master))
}

/// Reads a whole recovery key from a file or a line.
pub fn parse(text: &str) -> Result<Master> {
    // All the room at once: a string that grows leaves copies behind.
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-'));
    if !digits.is_ascii() || digits.len() != 8 * GROUPS {
        return Err(Error::new(Kind::Secret, "a recovery key has 8 groups of 8 characters"));
    }
    let mut groups = Zeroizing::new([[0u8; 7]; GROUPS]);
    for (g, out) in groups.iter_mut().enumerate() {
        *out = parse_group(g, &digits[8 * g..8 * g + 8])?;
    }
    join(&groups)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_example_key() {
        let master = Master::from_bytes(&std::array::from_fn(|i| i as u8));
        let groups = print(&master);
        let text: Vec<&str> = groups.iter().map(|g| g.as_str()).collect();
        assert_eq!(text, ["2001081Q", "G81860WM", "40J2GB1M", "G6GW3RG8", "24916503", "N2RBHG6A", "8T3CE1TN", "7GZMGRP6"]);
        assert_eq!(parse(&text.join(" ")).unwrap().as_bytes(), master.as_bytes());
        assert_eq!(parse(&text.join("-").to_lowercase()).unwrap().as_bytes(), master.as_bytes());
    }

    #[test]
    fn every_wrong_digit_and_every_swap_is_found_in_its_group() {
        let master = Master::from_bytes(&[0x5a; 32]);
        for (g, group) in print(&master).iter().enumerate() {
            let d: Vec<u8> = group.bytes().collect();
            for i in 0..8 {
                for c in DIGITS {
                    let mut e = d.clone();
                    e[i] = *c;
                    assert_eq!(parse_group(g, std::str::from_utf8(&e).unwrap()).is_ok(), e == d);
                }
                for j in 0..i {
                    let mut e = d.clone();
                    e.swap(i, j);
                    assert_eq!(parse_group(g, std::str::from_utf8(&e).unwrap()).is_ok(), e == d);
                }
            }
            for other in (0..GROUPS).filter(|o| *o != g) {
                let e = parse_group(other, group).unwrap_err();
                assert!(e.to_string().contains(&format!("group {}", other + 1)));
            }
        }
    }

    #[test]
    fn letters_that_look_alike_and_lengths() {
        assert!(parse_group(0, "2oo1o81q").is_ok());
        assert!(parse_group(0, "2001081").is_err());
        assert!(parse_group(0, "2001081QQ").is_err());
        assert!(parse_group(0, "2001081U").is_err());
        assert_eq!(parse("").unwrap_err().exit_code(), 4);
        assert_eq!(parse(&"é".repeat(32)).unwrap_err().exit_code(), 4);
    }
}
