//! The head of an entry in a pack: type, size, and the base of a delta (gitformat-pack(5)).

use super::Type;
use crate::id::Oid;

/// Bytes that hold any head.
pub(super) const LONGEST: usize = 40;

const OUTSIDE: &str = "a delta whose base lies outside";

/// How an entry begins.
#[derive(Clone, Copy)]
pub(super) struct EntryHead {
    /// Bytes of the head.
    pub used: usize,
    /// What it is; `None`: a delta.
    pub kind: Option<Type>,
    /// Bytes that its stream inflates to.
    pub size: u64,
    /// What a delta builds on.
    pub base: Base,
}

/// The base of a delta.
#[derive(Clone, Copy)]
pub(super) enum Base {
    /// An object as it is.
    None,
    /// An entry of this pack; in an [`EntryHead`], how far before this one it begins.
    Ofs(u64),
    /// By id.
    Ref(Oid),
}

/// The head of an entry; `None` if more bytes are needed. Errors: what is wrong with it.
pub(super) fn parse_head(b: &[u8]) -> Result<Option<EntryHead>, &'static str> {
    let mut at = 0;
    let mut size = 0u64;
    let mut shift = 0;
    let kind = match b.first() {
        None => return Ok(None),
        Some(c) => c >> 4 & 7,
    };
    loop {
        let Some(c) = b.get(at) else { return Ok(None) };
        at += 1;
        let (bits, width) = if shift == 0 { (c & 0xf, 4) } else { (c & 0x7f, 7) };
        if shift > 57 {
            return Err("an object whose size has no end");
        }
        size |= u64::from(bits) << shift;
        shift += width;
        if c & 0x80 == 0 {
            break;
        }
    }
    let base = match kind {
        6 => {
            let mut back = 0u64;
            for i in 0.. {
                let Some(c) = b.get(at) else { return Ok(None) };
                at += 1;
                if i > 0 {
                    back = back.checked_add(1).filter(|v| *v < 1 << 56).ok_or(OUTSIDE)?;
                }
                back = back << 7 | u64::from(c & 0x7f);
                if c & 0x80 == 0 {
                    break;
                }
                if i > 8 {
                    return Err(OUTSIDE);
                }
            }
            Base::Ofs(back)
        }
        7 => {
            let Some(oid) = b.get(at..at + 20) else { return Ok(None) };
            at += 20;
            Base::Ref(Oid(oid.try_into().expect("20 bytes")))
        }
        n => {
            let kind = Type::from_pack(n).ok_or("an object of an unknown type")?;
            return Ok(Some(EntryHead { used: at, kind: Some(kind), size, base: Base::None }));
        }
    };
    Ok(Some(EntryHead { used: at, kind: None, size, base }))
}
