//! `sync`, and the round that every verb runs.

use super::nodes::Node;
use super::open::{Vault, key};
use super::voice;
use crate::agent::round::{self, Outcome, StorageNode};
use crate::clock::{Clock, system::System};
use crate::error::{Error, Kind, Result};
use crate::mirror::Problem;
use crate::mirror::overlay::{Overlay, Rows};
use crate::path::RelPath;
use crate::state::{State, Table};
use crate::tree::conflict;
use serde_json::{Value, json};

/// One full round, both ways.
pub fn sync(mut v: Vault) -> Result<u8> {
    let started = std::time::Instant::now();
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
    // Integrity before reachability: the worst is the one that the exit code tells.
    let mut errors: Vec<Error> = out.nodes.into_iter().filter_map(|n| n.error).collect();
    errors.sort_by_key(Error::exit_code);
    if let Some(worst) = errors.pop() {
        errors.iter().for_each(voice::error);
        return Err(worst);
    }
    if v.device.report.again || v.device.report.problems.iter().any(|p| !p.note) {
        println!("in sync but for what is named above: {}, {}", voice::files(files), voice::size(bytes));
        return Ok(1);
    }
    let secs = started.elapsed().as_secs_f64();
    println!("in sync: {}, {}{} ({secs:.1} s)", voice::files(files), voice::size(bytes), stored(v.config.remotes.len()));
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
    let now = System.now();
    if let Ok(out) = &result {
        for n in &out.nodes {
            let name = format!("{}{}", key::NODE, n.name);
            let before = v.device.state.value(&name)?.and_then(|b| serde_json::from_slice::<Value>(&b).ok());
            let success = match &n.error {
                None => json!(now.s),
                Some(_) => before.map_or(Value::Null, |b| b["success"].clone()),
            };
            let error = n.error.as_ref().map(|e| (e.to_string(), e.exit_code()));
            let text = json!({"success": success, "error": error, "head": n.head.map(|h| h.to_string())});
            v.device.state.set_value(&name, Some(text.to_string().as_bytes()))?;
        }
    }
    let problems: Vec<Value> = v.device.report.problems.iter().map(problem_json).collect();
    let brake = v.device.report.brake.as_ref().map(|b| voice::error_text(&voice::brake(b, v.config.device.as_str())));
    let report = json!({"problems": problems, "brake": brake, "again": v.device.report.again});
    v.device.state.set_value(key::REPORT, Some(report.to_string().as_bytes()))?;
    v.device.state.commit()?;
    result
}

fn problem_json(p: &Problem) -> Value {
    json!({"path": p.path.as_ref().map(ToString::to_string), "what": p.what, "remedy": p.remedy, "note": p.note})
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
