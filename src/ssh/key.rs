//! This device's own SSH key: ed25519 in OpenSSH's format (PROTOCOL.key of OpenSSH, RFC 8709).

use crate::error::{Error, Result};
use data_encoding::BASE64;
use openssl::pkey::PKey;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

fn field(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    out.extend_from_slice(data);
}

/// Makes a key in `path` (0600) and `path.pub`, unless it is there; gives the line for `authorized_keys`.
pub fn make(path: &Path, comment: &str) -> Result<String> {
    let comment: String = comment.chars().map(|c| if c.is_control() { '-' } else { c }).collect();
    let public_path = path.with_extension("pub");
    if path.exists() {
        if let Ok(line) = std::fs::read_to_string(&public_path) {
            return Ok(line.trim().to_string());
        }
        // A stop between the two files: the private one holds the public key in clear.
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path.display()))?);
        let blob = public_of(&text).ok_or_else(|| Error::failed(format!("{} is no key in OpenSSH's format", path.display())))?;
        return publish(&public_path, &blob, &comment);
    }
    let failed = |e: openssl::error::ErrorStack| Error::failed("can't make an SSH key").because(e);
    let pair = PKey::generate_ed25519().map_err(failed)?;
    let public = pair.raw_public_key().map_err(failed)?;
    let seed = Zeroizing::new(pair.raw_private_key().map_err(failed)?);
    let mut blob = Vec::new();
    field(&mut blob, b"ssh-ed25519");
    field(&mut blob, &public);
    let mut check = [0u8; 4];
    getrandom::fill(&mut check).map_err(|e| Error::failed("no random bytes").because(e.to_string()))?;
    let mut private = Zeroizing::new(Vec::with_capacity(256));
    private.extend_from_slice(&check);
    private.extend_from_slice(&check);
    field(&mut private, b"ssh-ed25519");
    field(&mut private, &public);
    field(&mut private, &Zeroizing::new([&seed[..], &public].concat()));
    field(&mut private, comment.as_bytes());
    let mut pad = 1;
    while private.len() % 8 != 0 {
        private.push(pad);
        pad += 1;
    }
    let mut all = Zeroizing::new(b"openssh-key-v1\0".to_vec());
    field(&mut all, b"none");
    field(&mut all, b"none");
    field(&mut all, b"");
    all.extend_from_slice(&1u32.to_be_bytes());
    field(&mut all, &blob);
    field(&mut all, &private);
    let text = Zeroizing::new(BASE64.encode(&all));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| Error::from(e).at(path.display()))?;
    writeln!(file, "-----BEGIN OPENSSH PRIVATE KEY-----")?;
    for line in text.as_bytes().chunks(70) {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    writeln!(file, "-----END OPENSSH PRIVATE KEY-----")?;
    file.sync_all()?;
    publish(&public_path, &blob, &comment)
}

fn publish(path: &Path, blob: &[u8], comment: &str) -> Result<String> {
    let kind = super::known_hosts::kind_of(blob).unwrap_or_default();
    let line = format!("{kind} {} {comment}", BASE64.encode(blob));
    std::fs::write(path, format!("{line}\n")).map_err(|e| Error::from(e).at(path.display()))?;
    Ok(line)
}

/// The public key inside a private key file of OpenSSH's format; it stands before the part that a passphrase closes.
pub(super) fn public_of(text: &str) -> Option<Vec<u8>> {
    let body: Zeroizing<String> = Zeroizing::new(text.lines().filter(|l| !l.starts_with("-----")).collect());
    let bytes = Zeroizing::new(BASE64.decode(body.as_bytes()).ok()?);
    let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    // The cipher's name, the kdf's name, its options; then the number of keys.
    let (_, rest) = split_field(rest)?;
    let (_, rest) = split_field(rest)?;
    let (_, rest) = split_field(rest)?;
    let rest = rest.strip_prefix(&[0, 0, 0, 1])?;
    split_field(rest).map(|(blob, _)| blob.to_vec())
}

/// The opposite of [`field`]: a field, and what follows.
fn split_field(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = data.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// Checks a line for `authorized_keys`: one line, a known type, a key of that type, no options.
pub fn check_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let mut words = line.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
    let bytes = BASE64.decode(key.as_bytes()).ok()?;
    let fits = known.contains(&kind) && super::known_hosts::kind_of(&bytes).as_deref() == Some(kind);
    (fits && !line.chars().any(char::is_control)).then_some(line)
}
