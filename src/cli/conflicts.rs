//! `conflicts`, `resolve`, `allow`.

use super::args::{Allow, Conflicts, Resolve};
use super::names::share_path;
use super::open::{Vault, key};
use super::{sync, voice};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Dir;
use crate::mirror::apply::clean;
use crate::mirror::restore::restore_version;
use crate::mirror::{content, scan};
use crate::path::{Name, RelPath};
use crate::state::{State, Table};
use crate::tree::{Node, Version, conflict};
use serde_json::json;
use std::collections::BTreeMap;

/// Conflicts of head: the path that was wanted, and the copies beside it.
fn all<S: State>(state: &S) -> Result<BTreeMap<RelPath, Vec<RelPath>>> {
    let mut out: BTreeMap<RelPath, Vec<RelPath>> = BTreeMap::new();
    for copy in sync::conflict_paths(state)? {
        let Some((dir, name)) = copy.split() else { continue };
        let Some(parsed) = conflict::parse(&name) else { continue };
        out.entry(dir.join(&parsed.original)).or_default().push(copy);
    }
    Ok(out)
}

fn version<S: State>(state: &S, path: &RelPath) -> Result<Option<Version>> {
    Ok(scan::row_at(state, Table::Head, path)?.and_then(|r| r.here().and_then(Node::file).cloned()))
}

/// Conflicts of head, for `status`: the path, and who changed it when (`changed on laptop today 14:02 and on pi today 14:05`).
pub fn in_words<S: State>(state: &S) -> Result<Vec<(RelPath, String)>> {
    let mut out = Vec::new();
    for (path, copies) in all(state)? {
        let mut who = Vec::new();
        for p in std::iter::once(&path).chain(&copies) {
            who.extend(version(state, p)?.map(|x| format!("on {} {}", x.writer.as_str(), voice::time(x.mtime))));
        }
        let last = who.pop().unwrap_or_default();
        let first = if who.is_empty() { String::new() } else { format!("{} and ", who.join(", ")) };
        out.push((path, format!("changed {first}{last}")));
    }
    Ok(out)
}

/// What two devices changed before they heard of each other.
pub fn list(v: Vault, a: &Conflicts) -> Result<u8> {
    let all = all(&v.device.state)?;
    if let Some(path) = &a.diff {
        return diff(&v, &all, &share_path(&v, path)?);
    }
    if a.json {
        let rows: Vec<_> = all
            .iter()
            .map(|(p, c)| json!({"path": p.to_string(), "copies": c.iter().map(ToString::to_string).collect::<Vec<_>>()}))
            .collect();
        println!("{:#}", json!(rows));
        return Ok(0);
    }
    if all.is_empty() {
        println!("no conflicts");
        return Ok(0);
    }
    let n = all.len() as u64;
    println!(
        "{} changed on two devices before they heard of each other",
        if n == 1 { "1 file was".into() } else { format!("{} files were", voice::count(n)) }
    );
    for (path, copies) in &all {
        println!("  {path}");
        let mut rows = Vec::new();
        for (label, p) in std::iter::once(("current", path)).chain(copies.iter().map(|c| ("copy", c))) {
            if let Some(x) = version(&v.device.state, p)? {
                rows.push([
                    label.into(),
                    format!("from {},", x.writer.as_str()),
                    format!("{},", voice::time(x.mtime)),
                    voice::size(x.size),
                    p.to_string(),
                ]);
            }
        }
        let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
        let (device, time, size) = (width(1), width(2), width(3));
        for [label, from, at, bytes, p] in &rows {
            println!("    {label:<7}   {from:<device$} {at:<time$} {bytes:<size$}   {p}");
        }
        println!("    compare:  sharelock conflicts --diff {}", voice::shell(path));
        println!("    then:     sharelock resolve {} --keep current | copy | both", voice::shell(path));
    }
    let which = if let (1, Some(path)) = (n, all.keys().next()) { voice::shell(path) } else { "PATH".into() };
    println!("whatever you choose, the other version stays in `sharelock log {which}`");
    Ok(3)
}

fn text(v: &Vault, path: &RelPath) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(x) = version(&v.device.state, path)? {
        content::plaintext(&v.device.git, &v.device.keys, &x, &mut |b| {
            if out.len() + b.len() > 8 << 20 {
                return Err(Error::failed(format!("{path} is too large to be compared here")));
            }
            out.extend_from_slice(b);
            Ok(())
        })?;
    }
    Ok(out)
}

/// Shows by line what only one version has; other files are only said to differ.
fn diff(v: &Vault, all: &BTreeMap<RelPath, Vec<RelPath>>, path: &RelPath) -> Result<u8> {
    let copies = all.get(path).ok_or_else(|| Error::new(Kind::Failed, format!("{path} has no conflict")))?;
    let current = text(v, path)?;
    for copy in copies {
        let other = text(v, copy)?;
        println!("--- current  {path}\n+++ copy     {copy}");
        let (Ok(a), Ok(b)) = (std::str::from_utf8(&current), std::str::from_utf8(&other)) else {
            println!("they differ and are no text: {} and {}", voice::size(current.len() as u64), voice::size(other.len() as u64));
            continue;
        };
        let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
        let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
        let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
        println!("@@ from line {}", head + 1);
        a[head..a.len() - tail].iter().for_each(|l| println!("-{}", crate::path::printable(l.as_bytes())));
        b[head..b.len() - tail].iter().for_each(|l| println!("+{}", crate::path::printable(l.as_bytes())));
    }
    Ok(0)
}

/// A path of the share: its directory, its name, and whether it is there. Only what is as it was committed a moment ago
/// may be touched; else this is an error.
fn open(v: &Vault, p: &RelPath) -> Result<(Dir, Name, bool)> {
    let (dir, name) = p.split().ok_or_else(|| Error::failed("a conflict without a name"))?;
    let mut at = v.device.share.root();
    for part in dir.names() {
        at = v.device.share.open_dir(&at, part.as_bytes())?;
    }
    let there = v.device.share.stat(&at, name.as_bytes())?.is_some();
    let row = scan::row_at(&v.device.state, Table::Anc, p)?;
    let as_known = match &row {
        Some(row) => clean(&v.device.share, &at, row)?,
        None => false,
    };
    if there && !as_known {
        return Err(Error::failed(format!("{p} was changed just now, nothing was changed")).remedy("do", "sharelock sync"));
    }
    Ok((at, name, there))
}

/// Answers a conflict: the files are renamed or removed in the share, as a user would; everything stays in the history.
pub fn resolve(mut v: Vault, a: &Resolve) -> Result<u8> {
    let path = share_path(&v, &a.path)?;
    if !["current", "copy", "both"].contains(&a.keep.as_str()) {
        return Err(Error::new(Kind::Usage, format!("--keep is current, copy or both, not {:?}", a.keep)));
    }
    let mut nodes = v.nodes()?;
    sync::round(&mut v, &mut nodes)?; // What stands in the share now is in the history before anything goes.
    let all = all(&v.device.state)?;
    let Some(copies) = all.get(&path) else {
        return Err(Error::new(Kind::Failed, format!("{path} has no conflict"))
            .detail("nothing was changed")
            .remedy("the conflicts", "sharelock conflicts"));
    };
    if a.keep == "copy" && copies.len() > 1 {
        return Err(Error::new(Kind::Usage, format!("{path} has {} copies: remove those that you don't want, then answer", copies.len()))
            .detail("nothing was changed"));
    }
    match a.keep.as_str() {
        "both" => {
            for copy in copies {
                let (at, name, there) = open(&v, copy)?;
                if !there {
                    continue;
                }
                let parsed = conflict::parse(&name).ok_or_else(|| Error::failed("not a conflict copy"))?;
                // Another name, so that it is no conflict any more: NAME from DEVICE.EXT.
                let base = parsed.original.to_string();
                let (stem, ext) = base
                    .rsplit_once('.')
                    .filter(|(s, _)| !s.is_empty())
                    .map_or((base.as_str(), String::new()), |(s, e)| (s, format!(".{e}")));
                for n in 1.. {
                    let number = if n == 1 { String::new() } else { format!(" {n}") };
                    let new = format!("{stem} from {}{number}{ext}", parsed.writer);
                    match v.device.share.rename_noreplace(&at, name.as_bytes(), &at, new.as_bytes()) {
                        Ok(()) => {
                            println!("the copy is {new} now");
                            break;
                        }
                        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < 1000 => {}
                        Err(e) => return Err(e.into()),
                    }
                }
            }
        }
        "current" => {
            for copy in copies {
                let (at, name, there) = open(&v, copy)?;
                if there {
                    v.device.share.unlink(&at, name.as_bytes())?;
                }
            }
        }
        _ => {
            let copy = &copies[0];
            let x = version(&v.device.state, copy)?.ok_or_else(|| Error::failed(format!("{copy} has gone; nothing was changed")))?;
            open(&v, copy)?;
            restore_version(&mut v.device, &path, &x)?;
            let (at, name, there) = open(&v, copy)?;
            if there {
                v.device.share.unlink(&at, name.as_bytes())?;
            }
        }
    }
    let out = sync::round(&mut v, &mut nodes)?;
    for n in out.nodes {
        if let Some(e) = n.error {
            voice::error(&e);
        }
    }
    println!("{path} is resolved; the other version stays in `sharelock log {}`", voice::shell(&path));
    Ok(0)
}

/// Allows the change set that the brake showed, and no other.
pub fn allow(mut v: Vault, a: &Allow) -> Result<u8> {
    let code = a.code.to_ascii_lowercase();
    if code.len() < 4 || !code.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(Error::new(Kind::Usage, format!("{:?} is no code: 4 or more hex digits", a.code)));
    }
    v.device.settings.allowed.push(code.clone());
    let before = v.device.state.value(key::ALLOWED)?.unwrap_or_default();
    let mut list: Vec<String> = String::from_utf8_lossy(&before).lines().map(str::to_string).collect();
    list.push(code);
    list.dedup();
    let keep = list.len().saturating_sub(20);
    v.device.state.set_value(key::ALLOWED, Some(list[keep..].join("\n").as_bytes()))?;
    v.device.state.commit()?;
    sync::sync(v)
}
