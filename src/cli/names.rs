//! `name encrypt|decrypt` and `cat`: from one name space to the other.

use super::args::{Cat, NameVerb, bytes};
use super::open::{RealDevice, Vault};
use crate::config::Config;
use crate::crypt::name::{self, EntryKind, Listed};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::git::store::read_small;
use crate::id::Id;
use crate::mirror::{commit, content, scan};
use crate::path::RelPath;
use crate::state::{Row, Table};
use crate::tree::{Node, Place};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// A path of the share, as a person gives it: absolute, relative to the working directory, or relative to the share.
pub fn share_path(v: &Vault, given: &str) -> Result<RelPath> {
    in_share(&v.config, given)
}

/// The same, where no vault is open.
pub fn in_share(config: &Config, given: &str) -> Result<RelPath> {
    below(&config.share, given, "the share")
}

/// True if a path lies in a folder of the share.
pub fn is_below(path: &RelPath, dir: &RelPath) -> bool {
    dir.is_root() || path.as_bytes().strip_prefix(dir.as_bytes()).is_some_and(|r| r.starts_with(b"/"))
}

fn below(root: &std::path::Path, given: &str, what: &str) -> Result<RelPath> {
    let raw = bytes(given);
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&raw));
    let mut rest: &[u8] = &raw;
    let inside;
    let here = std::env::current_dir().unwrap_or_default();
    if path.is_absolute() {
        inside = path
            .strip_prefix(root)
            .map_err(|_| Error::new(Kind::Usage, format!("{} is not in {what} ({})", crate::path::printable(&raw), root.display())))?;
        rest = inside.as_os_str().as_bytes();
    }
    let full;
    if !path.is_absolute()
        && let Ok(prefix) = here.strip_prefix(root)
    {
        full = prefix.join(path);
        rest = full.as_os_str().as_bytes();
    }
    let clean: Vec<&[u8]> = rest.split(|c| *c == b'/').filter(|c| !c.is_empty() && *c != b".").collect();
    RelPath::new(&clean.join(&b'/'))
        .ok_or_else(|| Error::new(Kind::Usage, format!("{} is no path in {what}", crate::path::printable(&raw))))
}

/// Head's row at a path.
pub fn head_row(d: &RealDevice, path: &RelPath) -> Result<Row> {
    scan::row_at(&d.state, Table::Head, path)?.ok_or_else(|| {
        Error::new(Kind::Failed, format!("{path} is not in the vault")).remedy("what was deleted", "sharelock log --deleted")
    })
}

/// Runs a verb of `name`.
pub fn run(v: Vault, verb: NameVerb) -> Result<u8> {
    let out = match verb {
        NameVerb::Encrypt(a) => encrypt(&v.device, &share_path(&v, &a.path)?)?,
        NameVerb::Decrypt(a) => {
            let path = below(&v.config.secure, &a.path, "~/secure")?;
            decrypt(&v.device, &path)?.as_bytes().to_vec()
        }
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&out)?;
    stdout.write_all(b"\n")?;
    Ok(0)
}

fn encrypt(d: &RealDevice, path: &RelPath) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut dir = Id::ROOT;
    for name in path.names() {
        let place = Place { dir, name };
        let row = crate::state::State::get(&d.state, Table::Head, &place)?;
        let node = row.as_ref().and_then(|r| r.here()).ok_or_else(|| Error::new(Kind::Failed, format!("{path} is not in the vault")))?;
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(commit::entry_name(&d.keys, &place, node).entry.as_bytes());
        dir = node.id();
    }
    Ok(out)
}

/// The path in the share of what a path in secure belongs to, as far as its names tell; they need not be there.
pub fn belongs_to(d: &RealDevice, path: &[u8]) -> Option<RelPath> {
    decrypt(d, &RelPath::new(path)?).ok().filter(|p| !p.is_root())
}

fn decrypt(d: &RealDevice, path: &RelPath) -> Result<RelPath> {
    let mut out = RelPath::root();
    let (mut id, mut dir) = (Id::ROOT, Some(d.secure.root()));
    for part in path.names() {
        let entry = part.as_bytes();
        let long = match name::classify(entry) {
            Listed::LongEntry => match &dir {
                Some(dir) => read_small(&d.secure, dir, &[&entry[..entry.len() - 2], b".n"].concat(), 1024)?,
                None => None,
            },
            Listed::Entry => None,
            _ => return Err(Error::integrity(Class::Form, format!("{part} is no entry of a vault"))),
        };
        let opened = name::open(&d.keys, &id, entry, long.as_deref())?;
        let Some(name) = opened.name else { break };
        out = out.join(&name);
        if opened.kind != EntryKind::Dir {
            break;
        }
        id = opened.id;
        // Only long names are read from the disk.
        dir = dir.and_then(|dir| d.secure.open_dir(&dir, entry).ok());
    }
    Ok(out)
}

/// Decrypts one file to standard output.
pub fn cat(v: Vault, a: &Cat) -> Result<u8> {
    let path = share_path(&v, &a.path)?;
    let row = head_row(&v.device, &path)?;
    let Some(Node::File(version)) = row.here() else {
        return Err(Error::new(Kind::Usage, format!("{path} is a folder")));
    };
    let mut out = std::io::stdout().lock();
    content::plaintext(&v.device.git, &v.device.keys, version, &mut |b| Ok(out.write_all(b)?)).map_err(|e| e.at(&path))?;
    out.flush()?;
    Ok(0)
}
