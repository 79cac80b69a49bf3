//! Sealed commits (FORMAT 9): written to the byte, read with every rule that needs no other commit.

use super::header::{self, HEADER};
use super::keys::VaultKeys;
use crate::clock::Time;
use crate::error::{Class, Error, Result};
use crate::id::{Id, Oid};
use crate::tree::Writer;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// What a commit is sealed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A state of the vault.
    Main,
    /// An intermediate commit of a push in batches: never a head.
    Staging,
}

impl Label {
    fn text(self) -> &'static [u8] {
        match self {
            Label::Main => b"main",
            Label::Staging => b"staging",
        }
    }
}

/// The sealed items of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Details {
    /// 1: the device's id.
    pub device: Option<Id>,
    /// 2: its name.
    pub device_name: Option<Writer>,
    /// 3: when.
    pub time: Time,
    /// 4: number of the device's own commits, from 1.
    pub seq: Option<u64>,
    /// 5: height in the history, from 1.
    pub height: u64,
    /// 6: a line for people.
    pub summary: Option<String>,
    /// 7: what the maker of a new root had seen: (device, seq), ascending.
    pub vector: Vec<(Id, u64)>,
    /// 8: the head whose place this commit takes.
    pub supersedes: Option<Oid>,
    /// 9: unsealed commits that it takes in.
    pub adopts: Vec<Oid>,
    /// 10: devices that are taken off the list, ascending.
    pub forgets: Vec<Id>,
}

impl Details {
    /// Nothing set.
    pub fn empty() -> Details {
        Details::default()
    }

    /// True for a merge's items: time and height, nothing else.
    fn bare(&self) -> bool {
        self.device.is_none()
            && self.device_name.is_none()
            && self.seq.is_none()
            && self.summary.is_none()
            && self.vector.is_empty()
            && self.supersedes.is_none()
            && self.adopts.is_empty()
            && self.forgets.is_empty()
    }
}

/// An opened commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: Oid,
    /// Git's parents: 0 to 2.
    pub parents: Vec<Oid>,
    /// Its items.
    pub details: Details,
    /// What it is sealed as.
    pub label: Label,
    /// The epoch of its seal.
    pub epoch: u16,
}

const LIMIT: usize = 65_536;
const SUMMARY: usize = 4096;
const BEFORE_SEAL: &[u8] = b"\nseal: ";

fn form(what: &str) -> Error {
    Error::integrity(Class::Form, format!("commit: {what}"))
}

/// Writes a whole commit object's content.
///
/// Errors: details that are not of a row of FORMAT 9, or that make the commit longer than 64 KiB.
pub fn write_commit(keys: &VaultKeys, vault: &Id, label: Label, tree: &Oid, parents: &[Oid], details: &Details) -> Result<Vec<u8>> {
    check_row(parents.len(), details)?;
    let mut items = Vec::new();
    let mut item = |kind: u8, value: &[u8]| {
        items.push(kind);
        items.extend_from_slice(&(value.len() as u16).to_be_bytes());
        items.extend_from_slice(value);
    };
    if let Some(id) = &details.device {
        item(1, &id.0);
    }
    if let Some(name) = &details.device_name {
        item(2, name.as_str().as_bytes());
    }
    item(3, &[&details.time.s.to_be_bytes()[..], &details.time.ns.to_be_bytes()].concat());
    if let Some(seq) = details.seq {
        item(4, &seq.to_be_bytes());
    }
    item(5, &details.height.to_be_bytes());
    if let Some(s) = &details.summary {
        item(6, s.as_bytes());
    }
    if !details.vector.is_empty() {
        if details.vector.len() > 2000 {
            return Err(Error::failed("commit: a vector of more than 2000 devices"));
        }
        item(7, &details.vector.iter().flat_map(|(d, s)| [&d.0[..], &s.to_be_bytes()].concat()).collect::<Vec<_>>());
    }
    if let Some(o) = &details.supersedes {
        item(8, &o.0);
    }
    if !details.adopts.is_empty() {
        if details.adopts.len() > 2000 {
            return Err(Error::failed("commit: more than 2000 adopted commits"));
        }
        item(9, &details.adopts.iter().flat_map(|o| o.0).collect::<Vec<_>>());
    }
    if !details.forgets.is_empty() {
        item(10, &details.forgets.iter().flat_map(|id| id.0).collect::<Vec<_>>());
    }
    items.resize(items.len().next_multiple_of(64), 0);
    let epoch = keys.epoch();
    let hdr = header::bytes(header::Type::Details, epoch);
    let tag = keys.details.seal(&[&hdr], &mut items);
    let sealed = [&hdr[..], &tag, &items].concat();

    let t = details.time.s - details.time.s.rem_euclid(3600);
    let mut out = format!("tree {tree}\n").into_bytes();
    for p in parents {
        out.extend_from_slice(format!("parent {p}\n").as_bytes());
    }
    for role in ["author", "committer"] {
        out.extend_from_slice(format!("{role} sharelock <sharelock@localhost> {t} +0000\n").as_bytes());
    }
    out.extend_from_slice(b"\nsharelock\n\ndetails: ");
    out.extend_from_slice(BASE64URL_NOPAD.encode(&sealed).as_bytes());
    out.extend_from_slice(BEFORE_SEAL);
    let mac = keys.seal.of(&[label.text(), &[0], &vault.0, &out]);
    out.extend_from_slice(BASE64URL_NOPAD.encode(&[&epoch.to_be_bytes()[..], &mac].concat()).as_bytes());
    out.push(b'\n');
    if out.len() > LIMIT {
        return Err(Error::failed("commit: longer than 64 KiB"));
    }
    Ok(out)
}

/// The items that a commit must and must not carry, by its number of parents.
fn check_row(parents: usize, d: &Details) -> Result<()> {
    if !(0..1 << 33).contains(&d.time.s) {
        return Err(Error::integrity(Class::Limit, "commit: a time that no vault has"));
    }
    if d.time.ns >= 1_000_000_000 {
        return Err(form("nanoseconds"));
    }
    match parents {
        2 if d.height < 2 => Err(form("another height than one above its parents'")),
        2 if !d.bare() => Err(form("a merge that carries more than time and height")),
        2 => Ok(()),
        0 | 1 if d.device.is_none() || d.device_name.is_none() || d.seq.is_none() => Err(form("it does not say which device made it")),
        0 | 1 if d.seq == Some(0) || d.height == 0 => Err(form("counters begin at 1")),
        0 if d.supersedes.is_none() && d.height != 1 => Err(form("a root of another height than 1")),
        1 if !d.vector.is_empty() => Err(form("only a new root carries a vector")),
        0 | 1
            if d.vector.windows(2).any(|w| w[0].0 >= w[1].0)
                || d.adopts.windows(2).any(|w| w[0] >= w[1])
                || d.forgets.windows(2).any(|w| w[0] >= w[1]) =>
        {
            Err(form("a list that is out of order"))
        }
        0 | 1 if d.summary.as_ref().is_some_and(|s| s.len() > SUMMARY) => Err(form("a summary of more than 4096 bytes")),
        0 | 1 => Ok(()),
        _ => Err(form("more than two parents")),
    }
}

/// Opens a commit object's content: seal first, then form.
///
/// Rejects: no seal or a wrong one (`auth`), any other line or order (`form`), bytes behind the seal, another epoch
/// (`version`), more than 64 KiB (`limit`), items that its row does not have.
pub fn open_commit(keys: &VaultKeys, vault: &Id, bytes: &[u8]) -> Result<Commit> {
    if bytes.len() > LIMIT {
        return Err(Error::integrity(Class::Limit, "commit: longer than 64 KiB"));
    }
    let unsealed = || Error::integrity(Class::Auth, "commit: not sealed by this vault (made by git, or by somebody else)");
    let at = bytes.windows(BEFORE_SEAL.len()).rposition(|w| w == BEFORE_SEAL).ok_or_else(unsealed)? + BEFORE_SEAL.len();
    let (signed, seal) = bytes.split_at(at);
    let seal = seal.strip_suffix(b"\n").ok_or_else(|| form("bytes behind the seal"))?;
    let seal = BASE64URL_NOPAD.decode(seal).map_err(|_| form("bytes behind the seal"))?;
    if seal.len() != 34 {
        return Err(form("a seal of another length"));
    }
    let epoch = u16::from_be_bytes([seal[0], seal[1]]);
    if epoch != 0 {
        return Err(Error::integrity(Class::Version, format!("commit: key epoch {epoch} is not known here")));
    }
    let label = [Label::Main, Label::Staging]
        .into_iter()
        .find(|l| bool::from(keys.seal.of(&[l.text(), &[0], &vault.0, signed]).ct_eq(&seal[2..])))
        .ok_or_else(unsealed)?;

    let mut rest = signed;
    let mut line = |prefix: &[u8]| -> Option<&[u8]> {
        let r = rest.strip_prefix(prefix)?;
        let end = r.iter().position(|c| *c == b'\n')?;
        rest = &r[end + 1..];
        Some(&r[..end])
    };
    let oid = |hex: Option<&[u8]>| hex.and_then(Oid::from_hex);
    let tree = oid(line(b"tree ")).ok_or_else(|| form("its tree"))?;
    let mut parents = Vec::new();
    while let Some(hex) = line(b"parent ") {
        parents.push(Oid::from_hex(hex).ok_or_else(|| form("its parents"))?);
        if parents.len() > 2 {
            return Err(form("more than two parents"));
        }
    }
    let author = line(b"author sharelock <sharelock@localhost> ").ok_or_else(|| form("its author"))?.to_vec();
    let committer = line(b"committer sharelock <sharelock@localhost> ").ok_or_else(|| form("its committer"))?.to_vec();
    let middle = (line(b""), line(b"sharelock"), line(b""));
    if middle != (Some(b""), Some(b""), Some(b"")) {
        return Err(form("another text"));
    }
    let details = line(b"details: ").ok_or_else(|| form("its details"))?.to_vec();
    if rest != &BEFORE_SEAL[1..] {
        return Err(form("another line"));
    }
    let details = open_details(keys, &details)?;
    check_row(parents.len(), &details)?;
    let t = format!("{} +0000", details.time.s - details.time.s.rem_euclid(3600)).into_bytes();
    if author != t || committer != t {
        return Err(form("a date that is not its time cut to the hour"));
    }
    Ok(Commit { tree, parents, details, label, epoch })
}

fn open_details(keys: &VaultKeys, text: &[u8]) -> Result<Details> {
    let sealed = BASE64URL_NOPAD.decode(text).map_err(|_| form("its details are not canonical base64url"))?;
    if sealed.len() < HEADER + 32 || !(sealed.len() - HEADER - 32).is_multiple_of(64) {
        return Err(form("its details have a length that none have"));
    }
    header::check(&sealed, header::Type::Details)?;
    let mut items = sealed[HEADER + 32..].to_vec();
    if !keys.details.open(&[&sealed[..HEADER]], &sealed[HEADER..HEADER + 32], &mut items) {
        return Err(Error::integrity(Class::Auth, "commit: its details are altered"));
    }
    let mut d = Details::default();
    let mut have = [false; 10];
    let mut rest = &items[..];
    let mut last = 0;
    while let [kind, a, b, tail @ ..] = rest {
        if *kind == 0 {
            break;
        }
        let len = usize::from(u16::from_be_bytes([*a, *b]));
        if *kind <= last || tail.len() < len {
            return Err(form("its items are out of order, double or cut short"));
        }
        last = *kind;
        let (v, tail) = tail.split_at(len);
        rest = tail;
        if let Some(h) = have.get_mut(usize::from(*kind)) {
            *h = true;
        }
        read_item(&mut d, *kind, v)?;
    }
    if rest.len() >= 64 || rest.iter().any(|b| *b != 0) {
        return Err(form("more padding than needed"));
    }
    if !have[3] || !have[5] {
        return Err(form("it says no time or height"));
    }
    Ok(d)
}

fn read_item(d: &mut Details, kind: u8, v: &[u8]) -> Result<()> {
    fn fixed<const N: usize>(v: &[u8]) -> Result<[u8; N]> {
        v.try_into().map_err(|_| form("an item of another width"))
    }
    match kind {
        1 => d.device = Some(Id(fixed(v)?)),
        2 => {
            let name = std::str::from_utf8(v).ok().and_then(Writer::new);
            d.device_name = Some(name.ok_or_else(|| form("the device's name"))?);
        }
        3 => {
            let b: [u8; 12] = fixed(v)?;
            d.time.s = i64::from_be_bytes(b[..8].try_into().expect("8 of 12"));
            d.time.ns = u32::from_be_bytes(b[8..].try_into().expect("4 of 12"));
        }
        4 => d.seq = Some(u64::from_be_bytes(fixed(v)?)),
        5 => d.height = u64::from_be_bytes(fixed(v)?),
        6 => {
            if v.len() > SUMMARY {
                return Err(form("a summary of more than 4096 bytes"));
            }
            d.summary = Some(std::str::from_utf8(v).map_err(|_| form("its summary"))?.to_string());
        }
        7 => {
            if v.is_empty() || !v.len().is_multiple_of(24) {
                return Err(form("its vector"));
            }
            for pair in v.chunks(24) {
                let id = Id(fixed(&pair[..16])?);
                d.vector.push((id, u64::from_be_bytes(fixed(&pair[16..])?)));
            }
        }
        8 => d.supersedes = Some(Oid(fixed(v)?)),
        9 => {
            if v.is_empty() || !v.len().is_multiple_of(20) {
                return Err(form("the commits that it adopts"));
            }
            for o in v.chunks(20) {
                d.adopts.push(Oid(fixed(o)?));
            }
        }
        10 => {
            if v.is_empty() || !v.len().is_multiple_of(16) {
                return Err(form("the devices that it forgets"));
            }
            for id in v.chunks(16) {
                d.forgets.push(Id(fixed(id)?));
            }
        }
        128.. => return Err(Error::integrity(Class::Version, format!("commit: item {kind} must be understood and is not known here"))),
        _ => {}
    }
    Ok(())
}

/// Checks a commit against one of its parents (or the commit that it supersedes): time and epoch never fall, and a
/// single parent's height is one less. The height of a merge is checked against the greater by [`check_height`].
pub fn check_child(parent: &Commit, child: &Commit) -> Result<()> {
    if child.details.time < parent.details.time {
        return Err(form("a time before its parent's"));
    }
    if child.epoch < parent.epoch {
        return Err(Error::integrity(Class::Stale, "commit: sealed with a key that was replaced"));
    }
    if child.details.height <= parent.details.height {
        return Err(form("a height that is not above its parent's"));
    }
    Ok(())
}

/// Checks a commit's height against the greatest of its parents' heights (0 without parents), counting a superseded
/// commit as a parent.
pub fn check_height(greatest: u64, child: &Commit) -> Result<()> {
    match greatest.checked_add(1) == Some(child.details.height) {
        true => Ok(()),
        false => Err(form("another height than one above its parents'")),
    }
}
