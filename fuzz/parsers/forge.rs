//! The keys of one vault, derived a second time from FORMAT 3: the library gives nobody the keys to seal what it would not
//! write itself.

use sharelock::crypt::backend::Mac;
use sharelock::crypt::siv::Siv;
use sharelock::crypt::{Master, VaultKeys};
use sharelock::id::Id;
use std::sync::LazyLock;

/// The vault of all targets.
pub const VAULT: Id = Id([5; 16]);
/// The directory and the file of all targets.
pub const ID: Id = Id([1; 16]);

/// Its keys, as the library derives them, and as we do.
pub struct Keys {
    pub vault: VaultKeys,
    /// Of the vault file.
    pub file: Mac,
    pub head: Siv,
    pub name: Siv,
    pub details: Siv,
    pub notice: Siv,
    pub seal: Mac,
    /// Of the file [`ID`].
    pub chunk: Siv,
    pub list: Mac,
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let master = [9; 32];
    let mut extract = [0; 32];
    extract[..12].copy_from_slice(b"sharelock/v1");
    let prk = Mac::new(&extract).of(&[&master]);
    let epoch = key(&prk, "epoch", &[0, 0]);
    let content = key(&epoch, "content", b"");
    let file: [u8; 96] = expand(&content, "file", &ID.0);
    let pair = |label| Siv::new(&expand(&epoch, label, b""));
    Keys {
        vault: VaultKeys::new(&Master::from_bytes(&master)),
        file: Mac::new(&key(&prk, "vault", b"")),
        head: pair("head"),
        name: pair("name"),
        details: pair("details"),
        notice: pair("notice"),
        seal: Mac::new(&key(&epoch, "seal", b"")),
        chunk: Siv::new(file[..64].try_into().expect("64 of 96")),
        list: Mac::new(file[64..].try_into().expect("32 of 96")),
    }
});

fn key(prk: &[u8; 32], label: &str, ctx: &[u8]) -> [u8; 32] {
    expand(prk, label, ctx)
}

/// HKDF-Expand (RFC 5869).
fn expand<const N: usize>(prk: &[u8; 32], label: &str, ctx: &[u8]) -> [u8; N] {
    let (mac, mut out, mut last) = (Mac::new(prk), [0; N], Vec::new());
    for (i, block) in out.chunks_mut(32).enumerate() {
        last = mac.of(&[&last, b"sharelock/v1/", label.as_bytes(), b"\0", ctx, &[i as u8 + 1]]).to_vec();
        block.copy_from_slice(&last[..block.len()]);
    }
    out
}

/// The header of an object.
pub fn hdr(kind: u8) -> [u8; 8] {
    [b'S', b'L', b'K', 0, kind, 1, 0, 0]
}

/// The first `N` bytes of `data`, zeros where it is shorter, and the rest.
pub fn take<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let n = data.len().min(N);
    let (head, rest) = data.split_at(n);
    out[..n].copy_from_slice(head);
    *data = rest;
    out
}

/// Chunks and tags of a padded plaintext whose first chunk has this number.
pub fn chunks(first: u64, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut body, mut tags) = (plain.to_vec(), Vec::new());
    for (n, chunk) in body.chunks_mut(4096).enumerate() {
        let ctx = [&b"C\x01\0\0\0\0\0\0"[..], &(first + n as u64).to_be_bytes()].concat();
        tags.extend_from_slice(&KEYS.chunk.seal(&[&ctx], chunk)[..16]);
    }
    (body, tags)
}

/// `hdr | tag 32 | record 128`.
pub fn sealed_head(kind: u8, mut record: [u8; 128]) -> Vec<u8> {
    let tag = KEYS.head.seal(&[&hdr(kind)], &mut record);
    [&hdr(kind)[..], &tag, &record].concat()
}
