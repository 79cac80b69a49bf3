//! `sync` and `status`.

use super::args::Status;
use super::nodes::Node;
use super::open::{self, Vault};
use super::places::Places;
use super::voice;
use crate::agent::control::{error_from, error_json};
use crate::agent::memo;
use crate::agent::round::{self, Outcome, StorageNode};
use crate::clock::{Clock, Time, system::System};
use crate::error::{Error, Kind, Result};
use crate::files::real::Disk;
use crate::git::store::{Store, dir_at};
use crate::id::Oid;
use crate::mirror::overlay::{Overlay, Rows};
use crate::mirror::{Problem, Report, history};
use crate::path::RelPath;
use crate::state::db::Db;
use crate::state::{State, Table, key as state_key};
use crate::tree::conflict;
use serde_json::{Value, json};
use std::time::Instant;

/// One full round, both ways.
pub fn sync(mut v: Vault) -> Result<u8> {
    let started = Instant::now();
    if v.rebuilt {
        eprintln!("the state database was damaged and is made anew; the old one is kept beside it");
    }
    let mut nodes = v.nodes()?;
    let out = round(&mut v, &mut nodes)?;
    for p in &v.device.report.problems {
        eprint!("{}", voice::problem(p));
    }
    if let Some(b) = &v.device.report.brake {
        return Err(voice::brake(b, v.config.device.as_str()));
    }
    let (files, _, bytes) = v.device.state.count(Table::Head)?;
    let left = v.device.report.again || v.device.report.problems.iter().any(|p| !p.note);
    let errors = out.nodes.into_iter().filter_map(|n| n.error).collect();
    conclude(errors, left, (files, bytes), v.config.remotes.len(), started)
}

/// What the round of the running agent has done, as [`sync`] tells it.
pub fn told(answer: &Value, started: Instant) -> Result<u8> {
    if answer["done"] != true {
        return Err(Error::failed(answer["why"].as_str().unwrap_or("the running sharelock did not sync").to_string()));
    }
    let report = &answer["report"];
    let text = |v: &Value| v.as_str().map(str::to_string);
    let mut left = report["again"] == true;
    for p in report["problems"].as_array().into_iter().flatten() {
        left |= p["note"] != true;
        eprint!("{}", voice::problem_lines(text(&p["path"]), p["what"].as_str().unwrap_or_default(), text(&p["remedy"])));
    }
    if let Some(e) = error_from(&answer["error"]).or_else(|| error_from(&report["stopped"])) {
        return Err(e);
    }
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(|e| error_from(&e["error"])).collect();
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    conclude(errors, left, (number("files"), number("bytes")), number("nodes") as usize, started)
}

fn conclude(mut errors: Vec<Error>, left: bool, (files, bytes): (u64, u64), nodes: usize, started: Instant) -> Result<u8> {
    // Integrity before reachability: the worst is the one that the exit code tells.
    errors.sort_by_key(Error::exit_code);
    if let Some(worst) = errors.pop() {
        errors.iter().for_each(voice::error);
        return Err(worst);
    }
    if left {
        println!("in sync but for what is named above: {}, {}", voice::files(files), voice::size(bytes));
        return Ok(1);
    }
    let secs = started.elapsed().as_secs_f64();
    println!("in sync: {}, {}{} ({secs:.1} s)", voice::files(files), voice::size(bytes), stored(nodes));
    Ok(0)
}

fn stored(nodes: usize) -> String {
    match nodes {
        0 => ", on this device only (no storage node yet)".into(),
        1 => ", stored on 1 storage node".into(),
        n => format!(", stored on {n} storage nodes"),
    }
}

/// Runs a round and notes for `status` what came of it.
pub fn round(v: &mut Vault, nodes: &mut [StorageNode<Node>]) -> Result<Outcome> {
    let result = round::run(&mut v.device, nodes);
    let heard = result.as_ref().map_or(&[][..], |out| &out.nodes);
    let report = report_json(&v.device.report, v.config.device.as_str());
    memo::note(&mut v.device.state, heard, &report, System.now(), true)?;
    result
}

/// A report as `status` keeps it.
pub fn report_json(report: &Report, device: &str) -> Value {
    let problems: Vec<Value> = report.problems.iter().map(problem_json).collect();
    let stopped = report.brake.as_ref().map(|b| voice::brake(b, device));
    let brake = stopped.as_ref().map(ToString::to_string);
    json!({"problems": problems, "brake": brake, "stopped": stopped.as_ref().map(error_json), "again": report.again})
}

fn problem_json(p: &Problem) -> Value {
    json!({"path": p.path.as_ref().map(ToString::to_string), "what": p.what, "remedy": p.remedy, "note": p.note})
}

struct NodeStatus {
    name: String,
    url: String,
    success: Option<Time>,
    error: Option<String>,
    head: Option<Oid>,
}

/// In sync or not: from the state, without a password.
pub fn status(places: Places, args: &Status) -> Result<u8> {
    let config = open::config(&places)?;
    let lock = places.lock()?;
    let state = Db::open(&places.state_dir.join("state.db"))?;
    let secure = Disk::open(&config.secure).map_err(|e| Error::from(e).at(places.short(&config.secure)))?;
    let git = Store::open(&secure, &dir_at(&secure, ".git")?)?;
    let head = crate::mirror::secure::oid_value(&state, state_key::HEAD)?;
    let report = memo::read(&state, memo::REPORT)?;
    let mut nodes = Vec::new();
    for r in &config.remotes {
        let last = memo::of_node(&state, &r.name)?;
        nodes.push(NodeStatus {
            name: r.name.clone(),
            url: r.url.clone(),
            success: last["success"].as_i64().map(|s| Time { s, ns: 0 }),
            error: last["error"][0].as_str().map(str::to_string),
            head: git.get_ref(&history::seen_ref(&r.name))?,
        });
    }
    let pending = pending(&state, &places, &config)?;
    let conflicts = conflict_paths(&state)?;
    let (files, _, bytes) = state.count(Table::Head)?;
    drop(lock);
    let problems: Vec<&Value> =
        report["problems"].as_array().map(|a| a.iter().filter(|p| p["note"] != json!(true)).collect()).unwrap_or_default();
    let brake = report["brake"].as_str();
    let behind: Vec<&NodeStatus> = nodes.iter().filter(|n| n.head != head || n.error.is_some()).collect();
    let in_sync = pending.is_empty() && behind.is_empty() && problems.is_empty() && brake.is_none() && head.is_some();
    let code = match () {
        () if brake.is_some() || !conflicts.is_empty() => 3,
        () if !nodes.is_empty() && nodes.iter().all(|n| n.error.is_some()) => 5,
        () if in_sync => 0,
        () => 1,
    };
    if args.json {
        let value = json!({
            "in_sync": in_sync,
            "files": files, "bytes": bytes,
            "pending": {"files": pending.len(), "bytes": pending.iter().map(|p| p.1).sum::<u64>(), "paths": pending.iter().map(|p| p.0.to_string()).collect::<Vec<_>>()},
            "head": head.map(|h| h.to_string()),
            "remotes": nodes.iter().map(|n| json!({"name": n.name, "url": n.url, "head": n.head.map(|h| h.to_string()), "last_success": n.success.map(voice::iso), "error": n.error})).collect::<Vec<_>>(),
            "devices": [{"name": config.device.as_str(), "online": true, "last_seen": voice::iso(System.now())}],
            "conflicts": conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "problems": problems, "brake": brake,
            "agent": {"running": false, "pid": null, "version": env!("CARGO_PKG_VERSION")},
        });
        println!("{value:#}");
        return Ok(if args.check { code } else { 0 });
    }
    let total = format!("{}, {}", voice::files(files), voice::size(bytes));
    if let Some(b) = brake {
        println!("{b}");
    } else if !pending.is_empty() {
        let sum: u64 = pending.iter().map(|p| p.1).sum();
        println!("{} wait to be sent ({})", voice::files(pending.len() as u64), voice::size(sum));
        for (path, size) in pending.iter().take(5) {
            println!("  send    {path}  {}", voice::size(*size));
        }
        if pending.len() > 5 {
            println!("  and {} more", voice::count(pending.len() as u64 - 5));
        }
    } else if !problems.is_empty() {
        println!("{}, the other files are in sync", voice::plural(problems.len() as u64, "problem"));
    } else if !conflicts.is_empty() {
        println!(
            "in sync, {} {} for you (both versions are kept)",
            voice::plural(conflicts.len() as u64, "conflict"),
            if conflicts.len() == 1 { "waits" } else { "wait" }
        );
    } else if behind.is_empty() {
        let place = match nodes.len() {
            0 => "on this device only (no storage node yet)".into(),
            n => format!("everything is stored on {n} of {n} storage nodes"),
        };
        println!("in sync: {total}, {place}");
    } else {
        println!("{total}, everything is stored on {} of {} storage nodes", nodes.len() - behind.len(), nodes.len());
    }
    for c in conflicts.iter().take(5) {
        println!("  {c}");
    }
    if !conflicts.is_empty() {
        println!("    do: sharelock conflicts");
    }
    for p in &problems {
        println!("  {}   {}", p["path"].as_str().unwrap_or("~/secure"), p["what"].as_str().unwrap_or_default());
        if let Some(r) = p["remedy"].as_str() {
            println!("    do: {r}");
        }
    }
    let width = nodes.iter().map(|n| n.name.len()).max().unwrap_or(0).max(7);
    for n in &nodes {
        let heard = match (&n.error, n.success) {
            (Some(e), Some(t)) => format!("away since {} ({e})", voice::time(t)),
            (Some(e), None) => format!("never heard ({e})"),
            (None, Some(t)) => format!("last heard {}", voice::ago(t)),
            (None, None) => "not asked yet".into(),
        };
        println!("  {:<width$}   {}   {heard}", n.name, n.url);
    }
    println!("  {:<width$}   {} (this one)", "devices", config.device.as_str());
    Ok(if args.check { code } else { 0 })
}

/// Files whose version is not on a node yet are unknown without the key; what differs between share and ancestor is
/// told by the disk alone.
fn pending(state: &Db, places: &Places, config: &crate::config::Config) -> Result<Vec<(RelPath, u64)>> {
    let share = open::disk(&config.share, places)?;
    crate::mirror::scan::unsent(&share, state, &config.ignore)
}

/// Paths of head that have a conflict copy.
pub fn conflict_paths<S: State>(state: &S) -> Result<Vec<RelPath>> {
    let mut out = Vec::new();
    let mut rows = Rows::of(Table::Head);
    while let Some(row) = rows.next(state)? {
        if row.here().is_some_and(|n| !n.is_dir()) && conflict::parse(&row.place.name).is_some() {
            out.extend(Overlay::HEAD.path(state, &row.place)?);
        }
    }
    Ok(out)
}

/// The error of a verb that needs a vault with at least one commit.
pub fn nothing_yet() -> Error {
    Error::new(Kind::Failed, "there is nothing in this vault yet").remedy("do", "sharelock sync")
}
