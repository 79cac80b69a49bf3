//! `log` and `undo`, and what they share with `restore`.

use super::args::Log;
use super::names::{is_below, share_path};
use super::nodes::Node as Remote;
use super::open::{RealDevice, Vault};
use super::{sync, voice};
use crate::agent::round::{self, StorageNode};
use crate::clock::Time;
use crate::error::{Error, Kind, Result};
use crate::id::{Id, Oid};
use crate::mirror::commit::Commit;
use crate::mirror::overlay::Overlay;
use crate::mirror::versions::{self, Change, How};
use crate::mirror::{scan, undo};
use crate::path::{Name, RelPath};
use crate::state::{State, Table};
use crate::tree::{Node, Version, conflict};
use serde_json::json;
use std::collections::BTreeMap;

/// One version of a file, numbered from the oldest.
pub struct Numbered {
    /// Its number; a deletion has that of the version that it took away.
    pub n: usize,
    /// When.
    pub time: Time,
    /// The device that made it.
    pub device: String,
    /// What happened.
    pub change: Change,
    /// The version after it (before it, if deleted).
    pub version: Version,
    /// What it is now.
    pub now: Now,
}

/// What an old version is in the vault now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// A version of the past.
    Past,
    /// The file itself.
    Current,
    /// A conflict copy beside it.
    Copy,
}

impl Now {
    fn word(self) -> Option<&'static str> {
        match self {
            Now::Past => None,
            Now::Current => Some("current"),
            Now::Copy => Some("copy"),
        }
    }
}

fn device_of(c: &Commit) -> String {
    c.details.device_name.as_ref().map_or("several".into(), |n| n.as_str().to_string())
}

/// Our head, which a history needs.
pub fn head(v: &Vault) -> Result<Oid> {
    round::present(&v.device)
}

/// All versions of the file that has, or last had, this path; over renames; newest first.
pub fn of_file(d: &RealDevice, head: &Oid, path: &RelPath) -> Result<Vec<Numbered>> {
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
                    out.push(Numbered { n: 0, time: c.details.time, device: device_of(&c), change, version, now: Now::Past });
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
    if let Some(id) = id {
        mark(d, &id, path, &mut out)?;
    }
    Ok(out)
}

/// Marks what head has of a file: a merge brings about copies, and is no device's change.
fn mark(d: &RealDevice, id: &Id, path: &RelPath, all: &mut [Numbered]) -> Result<()> {
    for row in d.state.by_id(Table::Head, *id)? {
        let Some(version) = row.here().and_then(Node::file) else { continue };
        let at = Overlay::HEAD.path(&d.state, &row.place)?;
        let now = match conflict::parse(&row.place.name) {
            Some(_) if at.as_ref() != Some(path) => Now::Copy,
            _ => Now::Current,
        };
        let same = |o: &&mut Numbered| o.change.how != How::Deleted && o.now == Now::Past;
        let mut kept = all.iter_mut().filter(same);
        // The same content may have been there before: it is the newest of it. A merge may have sealed it anew.
        let is = |x: &Version| x.oid == version.oid || (x.same_plaintext(version) == Some(true) && x.mtime == version.mtime);
        if let Some(o) = kept.find(|o| is(&o.version)) {
            o.now = now;
        }
    }
    Ok(())
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
            .map(|o| json!({"number": o.n, "time": voice::iso(o.time), "device": o.device, "path": o.change.path.to_string(), "what": word(&o.change.how), "size": o.version.size, "now": o.now.word(), "commit": o.change.commit.to_string()}))
            .collect();
        println!("{:#}", json!(rows));
        return Ok(0);
    }
    let width = all.iter().map(|o| o.device.len()).max().unwrap_or(0);
    let digits = all.first().map_or(1, |o| o.n.to_string().len());
    for o in &all {
        let number = if o.change.how == How::Deleted { "-".to_string() } else { o.n.to_string() };
        let mut line = format!("{number:<digits$}  {:<15}  {:<width$}   ", voice::time(o.time), o.device);
        match &o.change.how {
            How::Renamed(from) => line.push_str(&format!("renamed from {from}")),
            how => line.push_str(&format!("{:<7}   {}", word(how), voice::size(o.version.size))),
        }
        match o.now {
            Now::Current => line.push_str("   current"),
            Now::Copy => line.push_str("   (now the conflict copy)"),
            Now::Past if conflict::parse(&last(&o.change.path)).is_some() => line.push_str("   (was a conflict copy)"),
            Now::Past => {}
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
pub fn all_deleted(v: &Vault, head: &Oid) -> Result<BTreeMap<RelPath, (Time, String, Change)>> {
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

/// Sends what was brought back.
pub fn after(mut v: Vault, nodes: &mut [StorageNode<Remote>]) -> Result<u8> {
    let out = sync::round(&mut v, nodes)?;
    for n in out.nodes {
        if let Some(e) = n.error {
            voice::error(&e);
            eprintln!("  it is sent when {} is reachable again: sharelock sync", n.name);
        }
    }
    Ok(0)
}

/// Brings back what the brake stopped from being deleted or overwritten: see [`undo::undo`].
pub fn undo(mut v: Vault) -> Result<u8> {
    let mut nodes = v.nodes()?;
    sync::round(&mut v, &mut nodes)?;
    let Some(stop) = v.device.report.brake.clone() else {
        println!("there is nothing to undo: no large deletion waits for an answer");
        return Ok(0);
    };
    let n = undo::undo(&mut v.device, stop.made)?;
    println!("{} back where they were", if n == 1 { "1 file is".into() } else { format!("{} files are", voice::count(n)) });
    after(v, &mut nodes)
}
