//! `sync`, and the round that every verb runs.

use super::nodes::Node;
use super::open::{self, Vault};
use super::places::Places;
use super::voice;
use crate::agent::control::{error_from, error_json};
use crate::agent::round::{self, Outcome, StorageNode};
use crate::agent::{memo, told};
use crate::clock::{Clock, system::System};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::mirror::overlay::{Overlay, Rows};
use crate::mirror::{Problem, Report};
use crate::path::RelPath;
use crate::state::{State, Table};
use crate::tree::conflict;
use serde_json::Value;
use std::time::Instant;

/// One full round, both ways.
pub fn sync(mut v: Vault) -> Result<u8> {
    let started = Instant::now();
    if v.rebuilt {
        eprintln!("the state database was damaged and is made anew; the old one is kept beside it");
    }
    for what in &v.config.unheeded {
        eprint!("{}", voice::problem_lines(None::<String>, what, None::<String>));
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
    let left = Left { named: v.device.report.problems.iter().any(|p| !p.note), again: v.device.report.again };
    let full = full(&v.device.report, &v.places, &v.config);
    let errors = full.into_iter().chain(out.nodes.into_iter().filter_map(|n| n.error)).collect();
    conclude(errors, left, (files, bytes), v.config.remotes.len(), started)
}

/// What the round of the running agent has done, as [`sync`] tells it.
pub fn told(answer: &Value, started: Instant) -> Result<u8> {
    if answer["done"] != true {
        return Err(Error::failed(answer["why"].as_str().unwrap_or("the running sharelock did not sync").to_string()));
    }
    let report = told::Report::read(&answer["report"]);
    let left = Left { named: report.problems.iter().any(|p| !p.note), again: report.again };
    for p in report.problems {
        eprint!("{}", voice::problem_lines(p.path, &p.what, p.remedy));
    }
    if let Some(e) = error_from(&answer["error"]).or_else(|| report.stopped.as_ref().and_then(error_from)) {
        return Err(e);
    }
    let full = report.full.as_ref().and_then(error_from);
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(|e| error_from(&e["error"]));
    let errors = full.into_iter().chain(errors).collect();
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    conclude(errors, left, (number("files"), number("bytes")), number("nodes") as usize, started)
}

/// What a round has left over.
#[derive(Clone, Copy)]
struct Left {
    /// Problems that stand above.
    named: bool,
    /// Something changed while it was read.
    again: bool,
}

impl Left {
    fn line(self) -> Option<&'static str> {
        match (self.named, self.again) {
            (true, _) => Some("in sync but for what is named above"),
            (false, true) => Some("in sync but for what changed meanwhile (the next sync takes it)"),
            (false, false) => None,
        }
    }
}

fn conclude(mut errors: Vec<Error>, left: Left, (files, bytes): (u64, u64), nodes: usize, started: Instant) -> Result<u8> {
    // Integrity before reachability: the worst is the one that the exit code tells.
    errors.sort_by_key(Error::exit_code);
    if let Some(worst) = errors.pop() {
        errors.iter().for_each(voice::error);
        return Err(worst);
    }
    if let Some(line) = left.line() {
        println!("{line}: {}, {}", voice::files(files), voice::size(bytes));
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
    v.device.settings.progress.end();
    let heard = result.as_ref().map_or(&[][..], |out| &out.nodes);
    let report = report_json(&v.device.report, v.config.device.as_str(), &v.places);
    let now = System.now();
    heard.iter().filter(|n| n.met).try_for_each(|n| memo::met(&mut v.device.state, n, now))?;
    memo::note(&mut v.device.state, heard, &report, now)?;
    result
}

/// A report as `status` keeps it.
pub fn report_json(report: &Report, device: &str, places: &Places) -> Value {
    let problem = |p: &Problem| told::Problem {
        path: p.path.as_ref().map(ToString::to_string),
        what: p.what.clone(),
        remedy: p.remedy.clone(),
        note: p.note,
    };
    let stopped = report.brake.as_ref().map(|b| voice::brake(b, device));
    let (mut error, mut waits) = (None, Vec::new());
    if report.full.is_some() || report.full_secure.is_some() {
        error = open::config(places).ok().and_then(|config| full(report, places, &config));
    }
    for f in report.full.iter().chain(&report.full_secure) {
        let no_space = "no space left on this disk";
        waits.extend(
            f.named
                .iter()
                .map(|(path, _)| told::Problem { path: Some(path.to_string()), ..told::Problem::of(format!("waits: {no_space}"), None) }),
        );
        let more = f.files.saturating_sub(f.named.len() as u64);
        if more > 0 {
            waits.push(told::Problem::of(format!("{} more wait: {no_space}", voice::count(more)), None));
        }
    }
    told::Report {
        problems: report.problems.iter().map(problem).collect(),
        brake: stopped.as_ref().map(voice::error_text),
        stopped: stopped.as_ref().map(error_json),
        full: error.as_ref().map(error_json),
        waits,
        again: report.again,
    }
    .json()
}

/// What has no room, in the share or else in secure, as an error.
pub fn full(report: &Report, places: &Places, config: &Config) -> Option<Error> {
    let of_share = report.full.as_ref().map(|f| voice::full(f, places, &config.share));
    of_share.or_else(|| report.full_secure.as_ref().map(|f| voice::full(f, places, &config.secure)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_stand_above_that_does_not() {
        let line = |named, again| Left { named, again }.line();
        assert_eq!(line(false, false), None);
        assert_eq!(line(false, true), Some("in sync but for what changed meanwhile (the next sync takes it)"));
        assert_eq!(line(true, false), line(true, true));
        assert_eq!(line(true, true), Some("in sync but for what is named above"));
    }
}
