//! Names: the tree (FORMAT 5). An entry's name seals what it is, which id it has and its plaintext name, for one
//! directory.

use super::header;
use super::keys::VaultKeys;
use crate::error::{Class, Error, Result};
use crate::id::Id;
use crate::path::Name;
use data_encoding::BASE64URL_NOPAD;

/// What an entry says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A directory.
    Dir = 1,
    /// A small file or a link.
    Small = 2,
    /// A large file: a directory of parts.
    Large = 3,
    /// The keeper of an empty directory.
    Keeper = 4,
}

/// An opened entry name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Id of the directory or file; of a keeper: of the directory that holds it.
    pub id: Id,
    /// Plaintext name; `None` exactly for keepers.
    pub name: Option<Name>,
}

/// A sealed entry name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// As it stands in the directory: base64url, or `s.l` for a long name.
    pub entry: Box<str>,
    /// For a long name: the file `s.n` beside it, and its content.
    pub long: Option<(Box<str>, Vec<u8>)>,
}

/// What a name in secure can be, by its form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A sealed entry name.
    Entry,
    /// `s.l`.
    LongEntry,
    /// `s.n`.
    LongName,
    /// `vault`.
    Vault,
    /// `.git`.
    Git,
    /// `*.new`: an update under way, or litter.
    New,
    /// `*.stray-N`: put out of the way.
    Stray,
    /// Nothing of ours.
    Other,
}

/// Longest name of a file in a git work tree.
const MAX: usize = 255;
/// Version 1, epoch, tag, id.
const FIXED: usize = 1 + 2 + 16 + 16;
/// The bytes of raw that `s` encodes: version, epoch, tag.
const STEM: usize = 19;

/// Says what a name can be.
pub fn classify(name: &[u8]) -> Listed {
    let stem = |suffix: &[u8]| name.strip_suffix(suffix).is_some_and(|s| s.len() == 26 && is_b64(s));
    match name {
        b"vault" => Listed::Vault,
        b".git" => Listed::Git,
        _ if stem(b".l") => Listed::LongEntry,
        _ if stem(b".n") => Listed::LongName,
        _ if name.ends_with(b".new") => Listed::New,
        _ if is_stray(name) => Listed::Stray,
        _ if name.len() >= 68 && is_b64(name) => Listed::Entry,
        _ => Listed::Other,
    }
}

fn is_b64(s: &[u8]) -> bool {
    s.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-' || *c == b'_')
}

fn is_stray(name: &[u8]) -> bool {
    const MARK: &[u8] = b".stray-";
    let digits = name.iter().rev().take_while(|c| c.is_ascii_digit()).count();
    digits > 0 && name[..name.len() - digits].ends_with(MARK)
}

/// Seals a name for one directory. `name` is empty exactly for a keeper.
pub fn seal(keys: &VaultKeys, parent: &Id, kind: EntryKind, id: &Id, name: &[u8]) -> Sealed {
    let epoch = keys.epoch().to_be_bytes();
    let padded = (1 + name.len()).div_ceil(16) * 16;
    let mut raw = vec![0u8; STEM + 16 + padded];
    raw[0] = 1;
    raw[1..3].copy_from_slice(&epoch);
    let p = &mut raw[STEM..];
    p[..16].copy_from_slice(&id.0);
    p[16] = kind as u8;
    p[17..17 + name.len()].copy_from_slice(name);
    let tag = keys.name.seal(&[&[1], &epoch, &parent.0], p);
    raw[3..STEM].copy_from_slice(&tag[..16]);
    let entry = BASE64URL_NOPAD.encode(&raw);
    if entry.len() <= MAX {
        return Sealed { entry: entry.into(), long: None };
    }
    let s = BASE64URL_NOPAD.encode(&raw[..STEM]);
    let mut content = header::bytes(header::Type::LongName, keys.epoch()).to_vec();
    content.extend_from_slice(&raw);
    Sealed { entry: format!("{s}.l").into(), long: Some((format!("{s}.n").into(), content)) }
}

fn form(what: &str) -> Error {
    Error::integrity(Class::Form, format!("entry name: {what}"))
}

/// Opens an entry name in one directory; `long` is the content of `s.n` for a name `s.l`.
///
/// Rejects: a spelling that is not canonical, a length no name has, another version or epoch, a wrong tag (the entry
/// was renamed, moved or invented), padding that is not the least, an unknown kind, an id of zeros, and a name that no
/// directory may hold.
pub fn open(keys: &VaultKeys, parent: &Id, entry: &[u8], long: Option<&[u8]>) -> Result<Entry> {
    let mut raw = match entry.strip_suffix(b".l") {
        // A git tree may hold longer names than a disk: such a name has its one spelling as `s.l`.
        None if entry.len() > MAX => return Err(form("longer than a name can be")),
        None => BASE64URL_NOPAD.decode(entry).map_err(|_| form("not canonical base64url"))?,
        Some(stem) => {
            let content = long.ok_or_else(|| Error::integrity(Class::Absent, "entry name: its long name is missing"))?;
            let stem = BASE64URL_NOPAD.decode(stem).map_err(|_| form("not canonical base64url"))?;
            if content.len() > header::HEADER + FIXED + 256 {
                return Err(form("a length that no name has"));
            }
            let epoch = header::check(content, header::Type::LongName)?;
            let raw = content[header::HEADER..].to_vec();
            if raw.len() < STEM || raw[..STEM] != stem[..] {
                return Err(Error::integrity(Class::Auth, "entry name: its long name is another's"));
            }
            if raw[1..3] != epoch.to_be_bytes() {
                return Err(form("two epochs in one long name"));
            }
            if BASE64URL_NOPAD.encode_len(raw.len()) <= MAX {
                return Err(form("a long name that would have fitted"));
            }
            raw
        }
    };
    if raw.len() < FIXED + 16 || !(raw.len() - FIXED).is_multiple_of(16) || raw.len() > FIXED + 256 {
        return Err(form("a length that no name has"));
    }
    if raw[0] != 1 {
        return Err(Error::integrity(Class::Version, format!("entry name: version {} is not known here", raw[0])));
    }
    let epoch = [raw[1], raw[2]];
    if epoch != [0, 0] {
        return Err(Error::integrity(Class::Version, format!("entry name: key epoch {} is not known here", u16::from_be_bytes(epoch))));
    }
    let (head, p) = raw.split_at_mut(STEM);
    if !keys.name.open(&[&[1], &epoch, &parent.0], &head[3..], p) {
        return Err(Error::integrity(Class::Auth, "entry name: it was not made for this directory by this vault"));
    }
    let mut id = [0u8; 16];
    id.copy_from_slice(&p[..16]);
    let id = Id(id);
    if id == Id::ROOT {
        return Err(form("an id of zeros"));
    }
    let kind = match p[16] {
        1 => EntryKind::Dir,
        2 => EntryKind::Small,
        3 => EntryKind::Large,
        4 => EntryKind::Keeper,
        k => return Err(form(&format!("kind {k}"))),
    };
    let padded = &p[17..];
    let len = padded.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    if (1 + len).div_ceil(16) * 16 != 1 + padded.len() {
        return Err(form("more padding than needed"));
    }
    let name = &padded[..len];
    if kind == EntryKind::Keeper {
        if len != 0 || id != *parent {
            return Err(form("a keeper with a name or another's id"));
        }
        return Ok(Entry { kind, id, name: None });
    }
    let name = Name::new(name).ok_or_else(|| form("a name that no directory may hold"))?;
    Ok(Entry { kind, id, name: Some(name) })
}
