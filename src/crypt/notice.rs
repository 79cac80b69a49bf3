//! Notices (FORMAT 9): 'there is something new at this head', 128 sealed bytes. What carries them is not known here:
//! the resident agent (`agent/notices.rs`) seals and opens them, `xmpp` brings them; their bytes are the vault's.

use super::header::{self, HEADER};
use super::keys::VaultKeys;
use crate::error::{Class, Error, Result};
use crate::id::{Id, Oid};
use data_encoding::BASE64URL_NOPAD;

/// Bytes of a notice before base64url.
pub const LEN: usize = 128;

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sender.
    pub device: Id,
    /// Never the same twice: max(last + 1, milliseconds since 1970).
    pub counter: u64,
    /// The sender's last own commit.
    pub seq: u64,
    /// Height of the head.
    pub height: u64,
    /// The head that was stored.
    pub head: Oid,
}

/// Seals a notice as text.
pub fn seal(keys: &VaultKeys, n: &Notice) -> String {
    let hdr = header::bytes(header::Type::Notice, keys.epoch());
    let mut body = [0u8; 88];
    body[..16].copy_from_slice(&n.device.0);
    body[16..24].copy_from_slice(&n.counter.to_be_bytes());
    body[24..32].copy_from_slice(&n.seq.to_be_bytes());
    body[32..40].copy_from_slice(&n.height.to_be_bytes());
    body[40..60].copy_from_slice(&n.head.0);
    body[72] = 20;
    let tag = keys.notice.seal(&[&hdr], &mut body);
    BASE64URL_NOPAD.encode(&[&hdr[..], &tag, &body].concat())
}

/// Opens a notice. `last` is the sender's last counter that this device has taken, by sender: a counter that is not
/// above it is `stale` (a replay).
pub fn open(keys: &VaultKeys, text: &[u8], last: impl FnOnce(&Id) -> Option<u64>) -> Result<Notice> {
    let form = |what: &str| Error::integrity(Class::Form, format!("notice: {what}"));
    if text.len() != BASE64URL_NOPAD.encode_len(LEN) {
        return Err(form("its length"));
    }
    let sealed = BASE64URL_NOPAD.decode(text).map_err(|_| form("not canonical base64url"))?;
    header::check(&sealed, header::Type::Notice)?;
    let mut body = [0u8; 88];
    body.copy_from_slice(&sealed[HEADER + 32..]);
    if !keys.notice.open(&[&sealed[..HEADER]], &sealed[HEADER..HEADER + 32], &mut body) {
        return Err(Error::integrity(Class::Auth, "notice: not sealed by this vault"));
    }
    if body[72] != 20 || body[60..72].iter().chain(&body[73..]).any(|b| *b != 0) {
        return Err(form("bytes that must be zero"));
    }
    let u64_at = |i: usize| u64::from_be_bytes(body[i..i + 8].try_into().expect("8 of 88"));
    let n = Notice {
        device: Id(body[..16].try_into().expect("16 of 88")),
        counter: u64_at(16),
        seq: u64_at(24),
        height: u64_at(32),
        head: Oid(body[40..60].try_into().expect("20 of 88")),
    };
    if last(&n.device).is_some_and(|l| n.counter <= l) {
        return Err(Error::integrity(Class::Stale, "notice: seen before"));
    }
    Ok(n)
}
