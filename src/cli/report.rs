//! `report`: a page to look at ([`crate::report`]), put together from what `status` and `du` say and what the history holds.

use super::args::{self, Secrets};
use super::du::Space;
use super::open::{self, RealDevice};
use super::places::{self, Places};
use super::{nodes, status, voice};
use crate::agent::round;
use crate::clock::date::{DAY, Date};
use crate::clock::system::{OsRandom, System};
use crate::clock::{Clock, Random, Time};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::id::Id;
use crate::mirror::growth::{self, Growth};
use crate::mirror::history;
use crate::path::shell_word;
use crate::report::{Device, MARK, Node, Problem, Report, Taken, page};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Entries of the share that are shown.
const LARGEST: usize = 12;

/// Runs it.
pub fn run(places: Places, secrets: &Secrets, a: &args::Report) -> Result<u8> {
    let out = match &a.out {
        Some(file) => std::path::absolute(args::path(file))?,
        None => places.state_dir.join("report.html"),
    };
    let config = open::config(&places)?;
    check(&out, &config)?;
    // Asked before the vault is ours: then nobody else is at work on it.
    let (standing, told) = status::told(&places)?;
    let space = Space::read(&config, &places)?;
    let v = open::vault(places, secrets)?;
    let growth = match round::head(&v.device)? {
        Some(head) => growth::of(&v.device, &head)?,
        None => Growth::default(),
    };
    let now = System.now();
    let mut problems = told_problems(&told);
    let (standing, answers) = split(&standing);
    problems.splice(..0, answers);
    let report = Report {
        share: v.places.short(&v.config.share),
        device: v.config.device.as_str().to_string(),
        made: clock(now),
        version: env!("CARGO_PKG_VERSION").into(),
        standing,
        troubled: !problems.is_empty(),
        today: day(now),
        problems,
        devices: devices(&v.device, &growth, &told),
        nodes: storage(&v.device, &v.config, &v.places, &growth, &told, &space)?,
        parts: parts(&space),
        largest: largest(&space),
    };
    let short = v.places.short(&out);
    save(&out, page(&report).as_bytes())?;
    println!("{short} tells how {} does", report.share);
    println!("  names of your files stand in it: only you can read it, and it loads nothing");
    let open = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    println!("  to look at it: {open} {}", shell_word(&out.display().to_string()));
    Ok(0)
}

/// `2026-03-01 14:05`.
fn clock(t: Time) -> String {
    let Date { year, month, day, hour, minute, .. } = Date::local(t, &System);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// The day of a time, in this device's zone.
fn day(t: Time) -> i64 {
    (t.s + i64::from(System.offset_minutes(t)) * 60).div_euclid(DAY)
}

/// The same of a time as programs read it.
fn clock_of(v: &Value) -> Option<String> {
    let text = v.as_str()?;
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (part(0, 4)?.into(), part(5, 7)?, part(8, 10)?);
    let s = Date { year, month, day, hour: part(11, 13)?, minute: part(14, 16)?, second: part(17, 19)? }.seconds();
    Some(clock(Time { s, ns: 0 }))
}

fn word(v: &Value) -> Option<String> {
    v.as_str().map(str::to_string)
}

fn list(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

/// The lines that say how things stand, and those that say what to do about it.
fn split(standing: &str) -> (Vec<String>, Vec<Problem>) {
    let (mut lines, mut answers) = (Vec::new(), Vec::new());
    for line in standing.lines() {
        // Commands stand in a column.
        match line.trim().split_once(':').filter(|(_, rest)| rest.trim_start().starts_with("sharelock ")) {
            Some((purpose, command)) => {
                answers.push(Problem { path: None, what: purpose.to_string(), command: Some(command.trim().to_string()) });
            }
            None => lines.push(line.trim().to_string()),
        }
    }
    (lines, answers)
}

fn told_problems(told: &Value) -> Vec<Problem> {
    let mut out: Vec<Problem> = list(&told["problems"])
        .map(|p| Problem { path: word(&p["path"]), what: word(&p["what"]).unwrap_or_default(), command: word(&p["remedy"]) })
        .collect();
    for n in list(&told["remotes"]) {
        let (Some(name), Some(error)) = (word(&n["name"]), word(&n["error"])) else { continue };
        out.push(Problem { path: None, what: format!("storage node {name}: {error}"), command: Some("sharelock doctor".into()) });
    }
    out.extend(list(&told["not_in_sync"]).filter(|w| w["what"] == "conflict").map(|w| Problem {
        path: word(&w["path"]),
        what: format!("{} (both versions are kept)", word(&w["why"]).unwrap_or_default()),
        command: word(&w["path"]).map(|path| format!("sharelock conflicts --diff {}", shell_word(&path))),
    }));
    out
}

/// All devices that the history knows, this one first, then what was heard last.
fn devices(d: &RealDevice, growth: &Growth, told: &Value) -> Vec<Device> {
    // For each its last own commit, its name then, and its days.
    let mut all: BTreeMap<Id, (usize, Device)> = BTreeMap::new();
    for (n, step) in growth.steps.iter().enumerate() {
        let Some((id, name)) = &step.device else { continue };
        let (last, device) = all.entry(*id).or_default();
        (*last, device.name) = (n, name.clone());
        let on = device.days.entry(day(step.time)).or_default();
        on.changes += 1;
        on.bytes = on.bytes.saturating_add(step.bytes);
    }
    let number = |key: &str| told[key]["files"].as_u64().unwrap_or(0);
    let mut own = all.remove(&d.id).map_or(Device::default(), |(_, device)| device);
    own.name = d.name.as_str().to_string();
    own.lines.push("this device".into());
    for (n, what) in [(number("pending"), "to be sent"), (number("incoming"), "to be fetched")] {
        own.lines.extend((n > 0).then(|| format!("{} {what}", voice::files(n))));
    }
    let mut others: Vec<(usize, Device)> = all.into_values().collect();
    others.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    for (last, device) in &mut others {
        let step = &growth.steps[*last];
        let has = growth.contained(&step.commit);
        let lacks = growth.steps.iter().filter(|s| s.device.is_some() && !has.contains(&s.commit)).count() as u64;
        device.lines.push(format!("last sent something {}", clock(step.time)));
        if let Some(heard) = list(&told["devices"]).find(|t| t["name"] == device.name.as_str()) {
            let seen = clock_of(&heard["last_seen"]).map(|t| format!("last heard {t}"));
            device.lines.extend(if heard["online"] == true { Some("online".into()) } else { seen });
        }
        device.lines.push(match lacks {
            0 => "has all changes".into(),
            n => format!("at most {} behind", voice::plural(n, "change")),
        });
    }
    std::iter::once(own).chain(others.into_iter().map(|(_, device)| device)).collect()
}

fn storage(d: &RealDevice, config: &Config, places: &Places, growth: &Growth, told: &Value, space: &Space) -> Result<Vec<Node>> {
    let mut out = Vec::new();
    for r in &config.remotes {
        let heard = list(&told["remotes"]).find(|n| n["name"] == r.name.as_str()).unwrap_or(&Value::Null);
        let seen = d.git.get_ref(&history::seen_ref(&r.name))?;
        let has = seen.map_or(BTreeSet::new(), |oid| growth.contained(&oid));
        let (mut sum, mut given) = (0u64, BTreeMap::new());
        let mut at = i64::MIN;
        for step in growth.steps.iter().filter(|s| has.contains(&s.commit)) {
            sum = sum.saturating_add(step.bytes);
            // Clocks differ; what was given stays given.
            at = at.max(day(step.time)).min(day(System.now()));
            given.insert(at, sum);
        }
        let mut lines = Vec::new();
        lines.push(match clock_of(&heard["last_success"]) {
            Some(t) => format!("last heard {t}"),
            None => "never heard".into(),
        });
        lines.extend(word(&heard["error"]));
        lines.push(match heard["files_behind"].as_u64().unwrap_or(0) {
            0 if seen.is_some() => "has everything".into(),
            0 => "has nothing yet".into(),
            n => format!("{} behind", voice::files(n)),
        });
        let taken = space.nodes.iter().find(|n| n.name == r.name);
        lines.extend(taken.map(|n| format!("takes {} on its disk now", voice::size(n.part.amount.bytes))));
        let place = nodes::place(&r.url, places);
        out.push(Node { name: r.name.clone(), place, lines, given: given.into_iter().collect() });
    }
    Ok(out)
}

fn parts(space: &Space) -> Vec<Taken> {
    let ours = space.parts().map(|(name, part, what)| Taken { name: name.into(), what, bytes: part.amount.bytes });
    let nodes = space.nodes.iter().map(|n| Taken { name: n.name.clone(), what: "a storage node".into(), bytes: n.part.amount.bytes });
    ours.into_iter().chain(nodes).collect()
}

fn largest(space: &Space) -> Vec<Taken> {
    let taken = |e: &crate::mirror::usage::Entry| Taken {
        name: format!("{}{}", e.name, if e.is_dir { "/" } else { "" }),
        what: if e.is_dir { voice::files(e.amount.files) } else { String::new() },
        bytes: e.amount.bytes,
    };
    space.entries.iter().take(LARGEST).map(taken).collect()
}

/// Refuses a place where the page would destroy something.
fn check(out: &Path, config: &Config) -> Result<()> {
    if out.starts_with(&config.secure) {
        let e = Error::new(Kind::Usage, format!("{} lies in secure, which holds encrypted files only", out.display()));
        return Err(e.detail("nothing was changed"));
    }
    let at = |e: std::io::Error| Error::from(e).at(format!("can't write {}", out.display()));
    let meta = match std::fs::symlink_metadata(out) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(at)?,
    };
    let mut start = Vec::new();
    if meta.is_file() {
        std::fs::File::open(out).map_err(at)?.take(MARK.len() as u64).read_to_end(&mut start).map_err(at)?;
    }
    if start == MARK.as_bytes() {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("{} is there already, and no report of sharelock", out.display())).detail("nothing was changed"))
}

/// Writes the page, whole or not at all, for its owner only.
fn save(out: &Path, bytes: &[u8]) -> Result<()> {
    let mut random = [0; 8];
    OsRandom.fill(&mut random)?;
    // A name that no share follows, whatever folder that is.
    let name = format!(".sharelock-tmp-{}", data_encoding::HEXLOWER.encode(&random));
    let temporary: PathBuf = out.with_file_name(name);
    places::write_new(&temporary, bytes)?;
    // RACE: what takes the name since it was checked is replaced: somebody else's file of this very name, made meanwhile.
    let done = std::fs::rename(&temporary, out).and_then(|()| places::sync_above(out));
    if done.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    done.map_err(|e| Error::from(e).at(format!("can't write {}", out.display())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_brakes_answers_are_commands() {
        let text = "stopped before deleting 2 of 3 files\n  a/ (2 files)\n  to bring them back here:              sharelock undo
  if you wanted that, this change only: sharelock allow 9f3c\n";
        let (lines, answers) = split(text);
        assert_eq!(lines, ["stopped before deleting 2 of 3 files", "a/ (2 files)"]);
        let commands: Vec<_> = answers.iter().map(|a| (a.what.as_str(), a.command.as_deref().unwrap())).collect();
        let want = [("to bring them back here", "sharelock undo"), ("if you wanted that, this change only", "sharelock allow 9f3c")];
        assert_eq!(commands, want);
    }

    #[test]
    fn times_come_back() {
        let t = Time { s: 1_772_374_512, ns: 0 };
        assert_eq!(clock_of(&voice::iso(t).into()), Some(clock(t)));
        for no in [Value::Null, "2026".into(), "2026-xx-01T00:00:00Z".into(), "\u{fc}\u{fc}\u{fc}\u{fc}".into()] {
            assert_eq!(clock_of(&no), None, "{no}");
        }
    }
}
