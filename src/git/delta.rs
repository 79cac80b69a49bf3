//! Deltas between objects (gitformat-pack(5), "Deltified representation"): read only.

use crate::error::{Class, Error, Result};

fn bad(what: &str) -> Error {
    Error::integrity(Class::Form, format!("git delta: {what}"))
}

fn varint(delta: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = delta.split_first().ok_or_else(|| bad("cut short"))?;
        *delta = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or_else(|| bad("a size too large"))?;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(bad("a size too large"))
}

/// Size of the result that a delta claims.
pub fn result_size(mut delta: &[u8]) -> Result<u64> {
    varint(&mut delta)?;
    varint(&mut delta)
}

/// Applies a delta. `limit` is the greatest size that the result may have.
pub fn apply(base: &[u8], mut delta: &[u8], limit: u64) -> Result<Vec<u8>> {
    if varint(&mut delta)? != base.len() as u64 {
        return Err(bad("made for another base"));
    }
    let size = varint(&mut delta)?;
    if size > limit {
        return Err(Error::integrity(Class::Limit, format!("git delta: a result of {size} bytes, more than the format allows")));
    }
    let mut out = Vec::with_capacity(size as usize);
    while let Some((op, rest)) = delta.split_first() {
        delta = rest;
        if op & 0x80 != 0 {
            let mut field = |bits: std::ops::Range<u8>| -> Result<usize> {
                let mut v = 0usize;
                for (i, bit) in bits.enumerate() {
                    if op & (1 << bit) != 0 {
                        let (b, rest) = delta.split_first().ok_or_else(|| bad("cut short"))?;
                        delta = rest;
                        v |= usize::from(*b) << (8 * i);
                    }
                }
                Ok(v)
            };
            let offset = field(0..4)?;
            let len = match field(4..7)? {
                0 => 0x10000,
                n => n,
            };
            let end = offset.checked_add(len).ok_or_else(|| bad("a copy out of its base"))?;
            out.extend_from_slice(base.get(offset..end).ok_or_else(|| bad("a copy out of its base"))?);
        } else if *op == 0 {
            return Err(bad("an unknown instruction"));
        } else {
            let n = usize::from(*op);
            if delta.len() < n {
                return Err(bad("cut short"));
            }
            let (new, rest) = delta.split_at(n);
            out.extend_from_slice(new);
            delta = rest;
        }
        if out.len() as u64 > size {
            return Err(bad("a result longer than it says"));
        }
    }
    if out.len() as u64 != size {
        return Err(bad("a result shorter than it says"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_32_bits_do_not_hold() {
        // Copies from the last place that four bytes name, and one that ends behind it.
        for copy in [&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &[0x8f, 0xff, 0xff, 0xff, 0xff], &[0x8f, 0, 0, 0, 0x80]] {
            let e = apply(b"base", &[&[4, 8][..], copy].concat(), 1000).expect_err("it lies outside");
            assert!(e.to_string().contains("out of its base"), "{e}");
        }
        // A base, and a result, of 4 GiB more than there is.
        assert!(apply(b"base", &[0x84, 0x80, 0x80, 0x80, 0x10, 4, 0x90, 4], 1000).is_err());
        assert!(apply(b"base", &[4, 0x84, 0x80, 0x80, 0x80, 0x10, 0x90, 4], 1000).is_err());
        assert!(apply(b"base", &[4, 0x84, 0x80, 0x80, 0x80, 0x10, 0x90, 4], u64::MAX).is_err());
        assert_eq!(result_size(&[4, 0x84, 0x80, 0x80, 0x80, 0x10]).ok(), Some((1 << 32) + 4));
    }
}
