//! Small files, links and keepers: one object (FORMAT 6, kind 2):
//! `hdr(F) | file head 160 | chunks | tags`.

use super::chunk;
use super::head::{FileHead, HeadKind, SEALED};
use super::header::{self, HEADER};
use super::keys::{FileKeys, VaultKeys};
use super::pad::{self, TAG};
use crate::error::{Class, Error, Result};
use crate::id::Id;
use subtle::ConstantTimeEq;

/// Where the chunks begin.
pub const BODY: usize = HEADER + SEALED;

/// True if a file of this size is one object.
pub fn is_small(size: u64) -> bool {
    pad::padded(size) <= pad::SMALL
}

/// Length of the object for `size` bytes of plaintext.
pub fn object_len(size: u64) -> u64 {
    let padded = pad::padded(size);
    BODY as u64 + padded + pad::chunks(padded) * TAG as u64
}

/// `M_s = H(K_list, hdr | s | tags)`.
pub(super) fn segment_mac(keys: &FileKeys, hdr: &[u8], s: u64, tags: &[u8]) -> [u8; 32] {
    keys.list.of(&[hdr, &s.to_be_bytes(), tags])
}

/// Seals `plaintext` into `out` (cleared first) and sets `head.mac`. `head.size` must be the plaintext's length and
/// small.
pub fn seal(keys: &VaultKeys, head: &mut FileHead, plaintext: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if head.size != plaintext.len() as u64 || !is_small(head.size) {
        return Err(Error::failed("a small file's size and its content do not fit"));
    }
    let hdr = header::bytes(header::Type::Small, head.epoch);
    let padded = pad::padded(head.size) as usize;
    out.clear();
    out.reserve_exact(object_len(head.size) as usize);
    out.extend_from_slice(&hdr);
    out.resize(BODY, 0);
    out.extend_from_slice(plaintext);
    out.resize(object_len(head.size) as usize, 0);
    let file = keys.file(&head.id);
    let (chunks, tags) = out[BODY..].split_at_mut(padded);
    chunk::seal_all(&file, head.epoch, 0, chunks, tags);
    head.mac = segment_mac(&file, &hdr, 0, tags);
    let sealed = head.seal(keys, header::Type::Small);
    out[HEADER..BODY].copy_from_slice(&sealed);
    Ok(())
}

/// Reads the head of a small object from its first 168 bytes and its whole length. The content MAC is not checked here.
pub fn read_head(keys: &VaultKeys, id: &Id, start: &[u8], len: u64) -> Result<FileHead> {
    let head = FileHead::open(keys, id, header::Type::Small, start)?;
    if !is_small(head.size) || len != object_len(head.size) {
        return Err(Error::integrity(Class::Form, "file: its length does not fit its size"));
    }
    Ok(head)
}

/// Opens a small object: everything is verified before a byte comes out. `plain` is cleared first.
pub fn open(keys: &VaultKeys, id: &Id, object: &[u8], plain: &mut Vec<u8>) -> Result<FileHead> {
    let head = read_head(keys, id, object, object.len() as u64)?;
    let file = keys.file(id);
    let padded = pad::padded(head.size) as usize;
    let (body, tags) = object[BODY..].split_at(padded);
    let mac = segment_mac(&file, &object[..HEADER], 0, tags);
    if !bool::from(mac.ct_eq(&head.mac)) {
        return Err(Error::integrity(Class::Auth, "file: its content is not the one that its head names"));
    }
    plain.clear();
    plain.extend_from_slice(body);
    let opened = chunk::open_all(&file, head.epoch, 0, plain, tags)
        .and_then(|()| check_padding(&plain[head.size as usize..]))
        .and_then(|()| check_target(&head, &plain[..head.size as usize]));
    if let Err(e) = opened {
        plain.fill(0);
        plain.clear();
        return Err(e);
    }
    plain.truncate(head.size as usize);
    Ok(head)
}

/// Padding must be zeros.
pub(super) fn check_padding(rest: &[u8]) -> Result<()> {
    match rest.iter().all(|b| *b == 0) {
        true => Ok(()),
        false => Err(Error::integrity(Class::Form, "file: padding that is not zero")),
    }
}

fn check_target(head: &FileHead, target: &[u8]) -> Result<()> {
    match head.kind == HeadKind::Link && target.contains(&0) {
        true => Err(Error::integrity(Class::Form, "a link's target with a NUL")),
        false => Ok(()),
    }
}

/// Seals a new head over the same content: `object` stays but for its head. Size, MAC, id and epoch must be those of
/// the old head.
pub fn reseal(keys: &VaultKeys, head: &FileHead, object: &mut [u8]) -> Result<()> {
    let old = read_head(keys, &head.id, object, object.len() as u64)?;
    if (old.size, old.mac, old.epoch, old.segment, old.kind) != (head.size, head.mac, head.epoch, head.segment, head.kind) {
        return Err(Error::failed("a new file head must be of the same content"));
    }
    let sealed = head.seal(keys, header::Type::Small);
    object[HEADER..BODY].copy_from_slice(&sealed);
    Ok(())
}
