//! Scenarios (tests/scenarios): what users do on devices, when these sync, and how all shares look at the end. Each runs
//! through whole rounds, on simulated disks.
//!
//! A line each: `has`: a file, link or directory that A has and all devices get before it begins; then what happens;
//! `ends`: what every share holds at the end, after all are online and have synced until nothing changes (`ends on B`:
//! what B's holds instead). Contents: `text`, `text (executable)`, `-> target`, and behind ` @ ` the time of writing, in
//! UTC. Only empty directories are listed. `late` devices have what they write, and join when they first sync.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)]

use sharelock::clock::Time;
use sharelock::files::Traits;
use sharelock::sim::user::{User, What};
use sharelock::sim::world::World;
use std::collections::BTreeMap;
use std::rc::Rc;

const FILES: [(&str, &str); 4] = [
    ("travels", include_str!("scenarios/travels.txt")),
    ("files", include_str!("scenarios/files.txt")),
    ("directories", include_str!("scenarios/directories.txt")),
    ("devices", include_str!("scenarios/devices.txt")),
];

/// `2026-01-02 03:04:05` in January 2026, UTC.
fn time(text: &str) -> Time {
    let n = |from: usize| -> i64 { text[from..from + 2].parse().unwrap() };
    assert!(text.starts_with("2026-01-") && text.len() == 19, "{text}");
    Time { s: 1_767_225_600 + (n(8) - 1) * 86_400 + n(11) * 3600 + n(14) * 60 + n(17), ns: 0 }
}

/// `PATH: CONTENT @ TIME`, or `PATH/`.
fn entry(line: &str) -> (&str, What, Option<Time>) {
    let (line, at) = line.split_once(" @ ").map_or((line, None), |(l, t)| (l, Some(time(t))));
    if let Some(dir) = line.strip_suffix('/') {
        return (dir, What::Dir, at);
    }
    let (path, text) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
    let what = match (text.strip_prefix("-> "), text.strip_suffix(" (executable)")) {
        (Some(target), _) => What::Link(target.into()),
        (None, Some(text)) => What::File(text.into(), true),
        (None, None) => What::File(text.into(), false),
    };
    (path, what, at)
}

fn put(u: &User, line: &str, otherwise: &str) {
    let (path, what, at) = entry(line);
    assert!(u.parents(path));
    match &what {
        What::Dir => u.mkdir(path),
        What::Link(target) => u.link(path, target),
        What::File(text, exec) => u.write(path, text).and_then(|()| {
            let Some(What::File(_, now)) = u.read(path) else { return None };
            if now != *exec { u.chmod(path) } else { Some(()) }
        }),
    }
    .unwrap_or_else(|| panic!("{line}"));
    if what != What::Dir {
        u.touch(path, at.unwrap_or_else(|| time(otherwise))).unwrap();
    }
}

struct Play {
    world: Rc<World>,
    devices: Vec<String>,
    nodes: Vec<String>,
    joined: Vec<bool>,
}

impl Play {
    /// All that have joined sync until nothing changes.
    fn settle(&self) -> Result<(), String> {
        let shares = || self.devices.iter().enumerate().map(|(i, _)| self.world.user(i).tree()).collect::<Vec<_>>();
        let mut last = Vec::new();
        for _ in 0..10 {
            for i in (0..self.devices.len()).filter(|i| self.joined[*i]) {
                self.world.sync(i)?;
            }
            let now = shares();
            if now == last {
                return Ok(());
            }
            last = now;
        }
        Err("no rest".into())
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        let (who, what) = line.split_once(' ').unwrap();
        let i = self.devices.iter().position(|d| d == who).ok_or_else(|| format!("no device: {line}"))?;
        let u = self.world.user(i).clone();
        let done = |o: Option<()>| o.ok_or_else(|| format!("could not be done: {line}"));
        let after = |words: &str| what.strip_prefix(words);
        if let Some(rest) = after("writes ") {
            put(&u, rest, "2026-01-02 00:00:00");
        } else if let Some(path) = after("makes executable ") {
            done(u.chmod(path))?;
        } else if let Some(path) = after("makes ") {
            done(u.mkdir(path.strip_suffix('/').unwrap()))?;
        } else if let Some(path) = after("removes all of ") {
            done(u.rmtree(path))?;
        } else if let Some(path) = after("removes ") {
            done(u.rm(path))?;
        } else if let Some(paths) = after("moves ") {
            let (from, to) = paths.split_once(" to ").unwrap();
            assert!(u.parents(to));
            done(u.mv(from, to))?;
        } else if let Some(rest) = after("touches ") {
            let (path, at) = rest.split_once(" @ ").unwrap();
            done(u.touch(path, time(at)))?;
        } else if what == "syncs" {
            self.joined[i] = true;
            self.world.sync(i)?;
        } else if what == "loses its database" {
            self.world.lose_database(i);
        } else if what == "goes offline" {
            (0..self.nodes.len()).for_each(|n| self.world.line(i, n, true));
        } else if let Some(node) = after("goes offline from ") {
            self.world.line(i, self.nodes.iter().position(|n| n == node).unwrap(), true);
        } else if what == "comes back" {
            (0..self.nodes.len()).for_each(|n| self.world.line(i, n, false));
        } else {
            return Err(format!("not understood: {line}"));
        }
        Ok(())
    }
}

/// The share as scenarios write it: only empty directories count.
fn without_full_directories(tree: BTreeMap<String, What>) -> BTreeMap<String, What> {
    let full = |p: &str| tree.keys().any(|q| q.strip_prefix(p).is_some_and(|rest| rest.starts_with('/')));
    tree.iter().filter(|(p, w)| **w != What::Dir || !full(p)).map(|(p, w)| (p.clone(), w.clone())).collect()
}

fn play(lines: &[&str]) -> Result<(), String> {
    let words = |what: &str| lines.iter().find_map(|l| l.strip_prefix(what)).map(|l| l.split(' ').map(String::from).collect::<Vec<_>>());
    let devices = words("devices ").unwrap_or_else(|| vec!["A".into(), "B".into()]);
    let nodes = words("nodes ").unwrap_or_else(|| vec!["r".into()]);
    let late = words("late ").unwrap_or_default();
    let disk = |name: &String| {
        let of = format!("disk of {name} ");
        match lines.iter().find_map(|l| l.strip_prefix(&of)) {
            None => Traits::ALL,
            Some("folds case") => Traits { folds_case: true, ..Traits::ALL },
            Some("has no executable bit") => Traits { exec_bit: false, ..Traits::ALL },
            Some("has coarse times") => Traits { time_step: 2_000_000_000, ..Traits::ALL },
            Some(other) => panic!("{other}"),
        }
    };
    let disks: Vec<Traits> = devices.iter().map(disk).collect();
    let world = World::scripted(&disks, nodes.len()).map_err(|e| e.to_string())?;
    let joined = devices.iter().map(|d| !late.contains(d)).collect();
    let mut play = Play { world, devices, nodes, joined };
    lines.iter().filter_map(|l| l.strip_prefix("has ")).for_each(|l| put(play.world.user(0), l, "2026-01-01 00:00:00"));
    play.settle()?;
    let heads = ["devices ", "late ", "nodes ", "disk ", "has ", "ends ", "#"];
    for line in lines.iter().filter(|l| !heads.iter().any(|h| l.starts_with(h))) {
        play.step(line)?;
    }
    for i in 0..play.devices.len() {
        (0..play.nodes.len()).for_each(|n| play.world.line(i, n, false));
    }
    play.settle()?;
    for (i, name) in play.devices.iter().enumerate() {
        let here = format!("ends on {name} ");
        let own: Vec<&str> = lines.iter().filter_map(|l| l.strip_prefix(&here)).collect();
        let all = lines.iter().filter(|l| !l.starts_with("ends on ")).filter_map(|l| l.strip_prefix("ends ")).collect();
        let want: BTreeMap<String, What> =
            if own.is_empty() { all } else { own }.into_iter().map(entry).map(|(p, w, _)| (p.to_string(), w)).collect();
        let have = without_full_directories(play.world.user(i).tree());
        if have != want {
            return Err(format!("{name} has {have:?}, should have {want:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_scenario() {
    let (mut n, mut failed) = (0, Vec::new());
    for (file, text) in FILES {
        for part in text.split("\n\n").filter(|p| p.starts_with("scenario ")) {
            let lines: Vec<&str> = part.lines().collect();
            n += 1;
            if let Err(e) = play(&lines[1..]) {
                failed.push(format!("{file}: {}: {e}", lines[0]));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {n} scenarios:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(n, 99);
}

/// A scenario that ends otherwise than it says is found.
#[test]
fn a_wrong_end_is_found() {
    let lines = ["has a: 0", "A writes a: 1", "A syncs", "ends a: 0"];
    assert!(play(&lines).is_err_and(|e| e.starts_with("A has")));
}
