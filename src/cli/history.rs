//! `log`, `restore`, `undo`.

use super::args::{Log, Restore};
use super::names::{is_below, share_path};
use super::nodes::Node as Remote;
use super::open::{RealDevice, Vault};
use super::{sync, voice};
use crate::agent::round::{self, StorageNode};
use crate::clock::date::Date;
use crate::clock::system::System;
use crate::clock::{Clock, Time};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::id::{Id, Oid};
use crate::mirror::commit::Commit;
use crate::mirror::overlay::Rows;
use crate::mirror::restore::restore_version;
use crate::mirror::versions::{self, Change, How};
use crate::mirror::{Made, content, scan};
use crate::path::{Name, RelPath};
use crate::state::{State, Table};
use crate::tree::{Node, Version, conflict};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

/// One version of a file, numbered from the oldest.
struct Numbered {
    n: usize,
    time: Time,
    device: String,
    change: Change,
    version: Version,
}

fn device_of(c: &Commit) -> String {
    c.details.device_name.as_ref().map_or("several".into(), |n| n.as_str().to_string())
}

fn head(v: &Vault) -> Result<Oid> {
    round::head(&v.device)?.ok_or_else(sync::nothing_yet)
}

/// All versions of the file that has, or last had, this path; over renames; newest first.
fn of_file(d: &RealDevice, head: &Oid, path: &RelPath) -> Result<Vec<Numbered>> {
    let mut id: Option<Id> = scan::row_at(&d.state, Table::Head, path)?.and_then(|r| r.here().and_then(Node::file).map(|v| v.id));
    let mut out = Vec::new();
    for (oid, c) in versions::commits(d, head)? {
        for change in versions::changes(d, &oid, &c)? {
            let this = match id {
                Some(id) => change.item.id == id,
                None => change.path == *path,
            };
            if this {
                id = Some(change.item.id);
                if let Some(version) = versions::version(d, &change.item)? {
                    out.push(Numbered { n: 0, time: c.details.time, device: device_of(&c), change, version });
                }
            }
        }
    }
    let total = out.iter().filter(|o| o.change.how != How::Deleted).count();
    let mut n = total;
    for o in &mut out {
        o.n = n;
        if o.change.how != How::Deleted {
            n -= 1;
        }
    }
    Ok(out)
}

/// The versions of a file, or what changed lately.
pub fn log(v: Vault, a: &Log) -> Result<u8> {
    let head = head(&v)?;
    if a.deleted {
        return deleted(&v, &head, a.json);
    }
    let Some(path) = &a.path else { return recent(&v, &head, a.json) };
    let path = share_path(&v, path)?;
    if scan::row_at(&v.device.state, Table::Head, &path)?.is_some_and(|r| r.here().is_some_and(Node::is_dir)) {
        return recent_below(&v, &head, &path, a.json);
    }
    let all = of_file(&v.device, &head, &path)?;
    if all.is_empty() {
        return Err(Error::new(Kind::Failed, format!("{path} was never in the vault")));
    }
    if a.json {
        let rows: Vec<_> = all
            .iter()
            .map(|o| json!({"number": o.n, "time": voice::iso(o.time), "device": o.device, "path": o.change.path.to_string(), "what": word(&o.change.how), "size": o.version.size, "commit": o.change.commit.to_string()}))
            .collect();
        println!("{:#}", json!(rows));
        return Ok(0);
    }
    let width = all.iter().map(|o| o.device.len()).max().unwrap_or(0);
    let digits = all.first().map_or(1, |o| o.n.to_string().len());
    // The newest that is no copy: head has it, unless it was deleted.
    let current = all.iter().position(|o| conflict::parse(&last(&o.change.path)).is_none());
    for (i, o) in all.iter().enumerate() {
        let number = if o.change.how == How::Deleted { "-".to_string() } else { o.n.to_string() };
        let mut line = format!("{number:<digits$}  {:<15}  {:<width$}   ", voice::time(o.time), o.device);
        match &o.change.how {
            How::Renamed(from) => line.push_str(&format!("renamed from {from}")),
            how => line.push_str(&format!("{:<7}   {}", word(how), voice::size(o.version.size))),
        }
        if conflict::parse(&last(&o.change.path)).is_some() {
            let still = scan::row_at(&v.device.state, Table::Head, &o.change.path)?.is_some();
            line.push_str(if still { "   (now the conflict copy)" } else { "   (was a conflict copy)" });
        } else if current == Some(i) && o.change.how != How::Deleted {
            line.push_str("   current");
        }
        println!("{line}");
    }
    Ok(0)
}

fn last(path: &RelPath) -> Name {
    path.split().map_or_else(|| Name::new(*b"-").expect("a name"), |(_, n)| n)
}

fn word(h: &How) -> &'static str {
    match h {
        How::New => "new",
        How::Changed => "changed",
        How::Renamed(_) => "renamed",
        How::Deleted => "deleted",
    }
}

fn recent(v: &Vault, head: &Oid, as_json: bool) -> Result<u8> {
    recent_below(v, head, &RelPath::root(), as_json)
}

fn recent_below(v: &Vault, head: &Oid, dir: &RelPath, as_json: bool) -> Result<u8> {
    let mut rows = Vec::new();
    for (oid, c) in versions::commits(&v.device, head)? {
        let changes: Vec<Change> = versions::changes(&v.device, &oid, &c)?.into_iter().filter(|x| is_below(&x.path, dir)).collect();
        if changes.is_empty() {
            continue;
        }
        if as_json {
            let paths: Vec<_> = changes.iter().map(|x| json!({"path": x.path.to_string(), "what": word(&x.how)})).collect();
            rows.push(json!({"time": voice::iso(c.details.time), "device": device_of(&c), "commit": oid.to_string(), "changes": paths}));
        } else {
            println!("{}  {}  {}", voice::time(c.details.time), device_of(&c), voice::plural(changes.len() as u64, "change"));
            for x in changes.iter().take(5) {
                println!("  {:<8} {}", word(&x.how), x.path);
            }
            if changes.len() > 5 {
                println!("  and {} more", voice::count(changes.len() as u64 - 5));
            }
        }
    }
    if as_json {
        println!("{:#}", json!(rows));
    }
    Ok(0)
}

/// Every file that was deleted and is not back: path to the deletion.
fn all_deleted(v: &Vault, head: &Oid) -> Result<BTreeMap<RelPath, (Time, String, Change)>> {
    let mut out = BTreeMap::new();
    for (oid, c) in versions::commits(&v.device, head)? {
        for change in versions::changes(&v.device, &oid, &c)? {
            if change.how == How::Deleted
                && !out.contains_key(&change.path)
                && scan::row_at(&v.device.state, Table::Head, &change.path)?.is_none()
            {
                let back = v.device.state.by_id(Table::Head, change.item.id)?;
                if back.is_empty() {
                    out.insert(change.path.clone(), (c.details.time, device_of(&c), change));
                }
            }
        }
    }
    Ok(out)
}

fn deleted(v: &Vault, head: &Oid, as_json: bool) -> Result<u8> {
    let all = all_deleted(v, head)?;
    if as_json {
        let rows: Vec<_> = all.iter().map(|(p, (t, d, _))| json!({"path": p.to_string(), "time": voice::iso(*t), "device": d})).collect();
        println!("{:#}", json!(rows));
        return Ok(0);
    }
    for (path, (time, device, _)) in &all {
        println!("{}  {device}  {path}", voice::time(*time));
    }
    if let Some(path) = all.keys().next() {
        println!("to bring one back: sharelock restore {}", voice::shell(path));
    } else {
        println!("nothing was deleted");
    }
    Ok(0)
}

/// Brings a version back. Nothing is overwritten that is not in the history.
pub fn restore(mut v: Vault, a: &Restore) -> Result<u8> {
    let head = head(&v)?;
    let path = share_path(&v, &a.path)?;
    let there = scan::row_at(&v.device.state, Table::Head, &path)?;
    if there.is_none() && a.at.is_none() {
        return restore_deleted(v, &head, &path, a.dry_run);
    }
    let all = of_file(&v.device, &head, &path)?;
    let kept: Vec<&Numbered> = all.iter().filter(|o| o.change.how != How::Deleted).collect();
    let missing = || {
        Error::new(Kind::Failed, format!("{path} has no such version"))
            .detail(format!("{path} was not changed"))
            .remedy("its versions", format!("sharelock log {}", voice::shell(&path)))
    };
    let wanted = match a.at.as_deref() {
        None => kept.get(1).copied(),
        Some(at) => find(&kept, at),
    }
    .ok_or_else(missing)?;
    let version = wanted.version.clone();
    let (at, size) = (voice::time(wanted.time), voice::size(version.size));
    if a.dry_run {
        println!("{path} would be the version of {at} again ({size})");
        return Ok(0);
    }
    if let Some(to) = &a.to {
        let to = std::path::absolute(to)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(|e| Error::from(e).at(to.display()))?;
        content::plaintext(&v.device.git, &v.device.keys, &version, &mut |b| Ok(file.write_all(b)?))?;
        file.sync_all()?;
        println!("{} is {path} as of {at} ({size})", to.display());
        return Ok(0);
    }
    let number = kept.first().map(|o| o.n);
    restore_version(&mut v.device, &path, &version)?;
    println!("{path} is the version of {at} again ({size})");
    if let Some(n) = number.filter(|_| there.is_some()) {
        println!("the version that was there is number {n} in the log");
    }
    let mut nodes = v.nodes()?;
    after(v, &mut nodes)
}

/// A number of the log, a time, or a commit.
fn find<'n>(all: &[&'n Numbered], at: &str) -> Option<&'n Numbered> {
    if let Ok(n) = at.parse::<usize>()
        && at.len() < 7
    {
        return all.iter().copied().find(|o| o.n == n);
    }
    if let Some(t) = parse_time(at) {
        return all.iter().copied().find(|o| o.time.s < t + 60);
    }
    let at = at.to_ascii_lowercase();
    (at.len() >= 6).then(|| all.iter().copied().find(|o| o.change.commit.to_string().starts_with(&at)))?
}

/// `2026-03-01` or `2026-03-01 14:05`, local time, as seconds.
fn parse_time(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, "23:59"));
    let mut d = date.split('-');
    let (year, month, day) = (d.next()?.parse().ok()?, d.next()?.parse().ok()?, d.next()?.parse().ok()?);
    let (hour, minute) = clock.split_once(':')?;
    let (hour, minute) = (hour.parse().ok()?, minute.get(..2)?.parse().ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let s = Date { year, month, day, hour, minute, second: 0 }.seconds();
    Some(s - i64::from(System.offset_minutes(Time { s, ns: 0 })) * 60)
}

fn restore_deleted(mut v: Vault, head: &Oid, path: &RelPath, dry_run: bool) -> Result<u8> {
    let all = all_deleted(&v, head)?;
    let wanted: Vec<_> = all.into_iter().filter(|(p, _)| p == path || is_below(p, path)).collect();
    let Some((_, (time, device, _))) = wanted.first() else {
        return Err(Error::new(Kind::Failed, format!("{path} was never in the vault, or is still there"))
            .remedy("what was deleted", "sharelock log --deleted"));
    };
    let (time, device) = (*time, device.clone());
    let (mut n, mut bytes) = (0, 0);
    for (p, (_, _, change)) in &wanted {
        let Some(version) = versions::version(&v.device, &change.item)? else { continue };
        n += 1;
        bytes += version.size;
        if !dry_run {
            restore_version(&mut v.device, p, &version)?;
        }
    }
    let verb = if dry_run { "would be" } else { "is" };
    println!("{path}, deleted on {device} {}, {verb} back: {}, {}", voice::ago(time), voice::files(n), voice::size(bytes));
    if dry_run {
        return Ok(0);
    }
    let mut nodes = v.nodes()?;
    after(v, &mut nodes)
}

/// Sends what was brought back.
fn after(mut v: Vault, nodes: &mut [StorageNode<Remote>]) -> Result<u8> {
    let out = sync::round(&mut v, nodes)?;
    for n in out.nodes {
        if let Some(e) = n.error {
            voice::error(&e);
            eprintln!("  it is sent when {} is reachable again: sharelock sync", n.name);
        }
    }
    Ok(0)
}

/// Brings back what the brake stopped from being deleted: in this share, or (if another device deleted it) in the vault.
pub fn undo(mut v: Vault) -> Result<u8> {
    let mut nodes = v.nodes()?;
    sync::round(&mut v, &mut nodes)?;
    let Some(stop) = v.device.report.brake.clone() else {
        println!("there is nothing to undo: no large deletion waits for an answer");
        return Ok(0);
    };
    let mut n = 0;
    if stop.made != Made::Elsewhere {
        let mut rows = Rows::of(Table::Anc);
        while let Some(row) = rows.next(&v.device.state)? {
            let Some(Node::File(version)) = row.here().cloned() else { continue };
            let Some(path) = crate::mirror::overlay::Overlay::ANC.path(&v.device.state, &row.place)? else { continue };
            if bring_back(&mut v.device, &path, &version, row.seen.as_ref())? {
                n += 1;
            }
        }
    } else if let Some((_, held)) = crate::mirror::brake::incoming(&v.device)? {
        n = crate::mirror::brake::keep(&mut v.device.state, &held)?;
        v.device.state.set_value(crate::state::key::EVEN, None)?;
        v.device.state.commit()?;
    }
    println!("{} back where they were", if n == 1 { "1 file is".into() } else { format!("{} files are", voice::count(n)) });
    after(v, &mut nodes)
}

/// Restores one file of the ancestor whose place is empty or holds something else; the latter is kept as `NAME (saved N)`.
fn bring_back(d: &mut RealDevice, path: &RelPath, version: &Version, seen: Option<&crate::state::Seen>) -> Result<bool> {
    let Some((dir, name)) = path.split() else { return Ok(false) };
    let mut at = d.share.root();
    let mut there = true;
    for part in dir.names() {
        match d.share.open_dir(&at, part.as_bytes()) {
            Ok(next) => at = next,
            Err(_) => {
                there = false;
                break;
            }
        }
    }
    if there && let Some(stat) = d.share.stat(&at, name.as_bytes())? {
        if seen.is_some_and(|s| s.size == stat.size && s.mtime == stat.mtime) {
            return Ok(false);
        }
        for n in 1..1000 {
            let saved = format!(" (saved {n})");
            let mut aside = name.as_bytes().to_vec();
            aside.truncate(255 - saved.len());
            aside.extend_from_slice(saved.as_bytes());
            match d.share.rename_noreplace(&at, name.as_bytes(), &at, &aside) {
                Ok(()) => break,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::from(e).at(path)),
            }
        }
    }
    restore_version(d, path, version)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_and_perhaps_a_time_of_day() {
        let at = |text: &str| parse_time(text).map(|s| Date::local(Time { s, ns: 0 }, &System));
        let date = |hour, minute| Some(Date { year: 2026, month: 3, day: 1, hour, minute, second: 0 });
        assert_eq!((at("2026-03-01"), at("2026-03-01 14:05"), at("2026-03-01T00:00:59")), (date(23, 59), date(14, 5), date(0, 0)));
        for no in ["2026-03", "2026-13-01", "2026-00-01", "2026-03-32", "1969-12-31", "10000-01-01", "2026-03-01 1405", "2026-03-01 24:00"]
        {
            assert_eq!(at(no), None, "{no}");
        }
        for no in ["2026-03-01 12:60", "2026-03-01 12:5", "2026-03-01 -1:00", "2026-03-01 9999999999999999:00", "abcdef", ""] {
            assert_eq!(at(no), None, "{no}");
        }
    }
}
