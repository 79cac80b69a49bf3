//! `status`: in sync or not, from the state alone: without a password, and while another sharelock is at work.

mod watch;

use super::args::Status;
use super::open;
use super::places::Places;
use super::{run as agent, sync, voice};
use crate::agent::memo;
use crate::clock::{Clock, Time, system::System};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::store::{Store, dir_at};
use crate::id::Oid;
use crate::mirror::{history, scan, waiting};
use crate::path::RelPath;
use crate::state::db::Db;
use crate::state::{State, Table, key as state_key};
use serde_json::{Value, json};
use std::fmt::Write;

/// Runs it. Exit code 0, or with `--check` what [`Standing::code`] says.
pub fn run(places: &Places, args: &Status) -> Result<u8> {
    if args.watch {
        return watch::run(places, args);
    }
    let standing = Standing::read(places)?;
    match args.json {
        true => println!("{:#}", standing.json(args.files)),
        false => print!("{}", standing.text(args.files, voice::ago)),
    }
    Ok(if args.check { standing.code() } else { 0 })
}

struct Node {
    name: String,
    url: String,
    success: Option<Time>,
    error: Option<String>,
    head: Option<Oid>,
}

/// A file that is not in sync.
struct Waits {
    /// `send`, `fetch`, `conflict`, `problem` or `skipped`.
    what: &'static str,
    path: String,
    size: Option<u64>,
    why: String,
    remedy: Option<String>,
}

/// How things stand.
struct Standing {
    device: String,
    /// Another sharelock is at work, and it is not the agent.
    busy: bool,
    /// What the running agent says; null without one.
    agent: Value,
    files: u64,
    bytes: u64,
    head: Option<Oid>,
    nodes: Vec<Node>,
    /// What differs between share and ancestor, as far as the disk alone tells: path and size (0: gone).
    send: Vec<(RelPath, u64)>,
    /// What head has and the share has not.
    fetch: Vec<waiting::Waiting>,
    conflicts: Vec<RelPath>,
    /// Problems and notes of the last round.
    problems: Vec<Value>,
    brake: Option<String>,
    /// Every file by name.
    all: Vec<Waits>,
}

impl Standing {
    fn read(places: &Places) -> Result<Standing> {
        let config = open::config(places)?;
        let busy = places.is_locked();
        let state = Db::open(&places.state_dir.join("state.db"))?;
        let disk = |path| Disk::open_unprobed(path).map_err(|e| unopened(e, path, places));
        let (share, secure) = (disk(&config.share)?, disk(&config.secure)?);
        let git = Store::open(&secure, &dir_at(&secure, ".git")?)?;
        let report = memo::read(&state, memo::REPORT)?;
        // What it has in memory is newer than what it has noted.
        let agent = agent::status_of_agent(places).unwrap_or(Value::Null);
        let mut nodes = Vec::new();
        for r in &config.remotes {
            let noted = memo::of_node(&state, &r.name)?;
            let last = Some(&agent["nodes"][&r.name]).filter(|n| !n["success"].is_null() || !n["error"].is_null()).unwrap_or(&noted);
            nodes.push(Node {
                name: r.name.clone(),
                url: r.url.clone(),
                success: last["success"].as_i64().or(noted["success"].as_i64()).map(|s| Time { s, ns: 0 }),
                error: last["error"][0].as_str().map(str::to_string),
                head: git.get_ref(&history::seen_ref(&r.name))?,
            });
        }
        let (files, _, bytes) = state.count(Table::Head)?;
        let problems = [&report["problems"], &agent["problems"]].into_iter().filter_map(Value::as_array).flatten().cloned().collect();
        let mut standing = Standing {
            device: config.device.as_str().to_string(),
            busy: busy && agent.is_null(),
            files,
            bytes,
            head: crate::mirror::secure::oid_value(&state, state_key::HEAD)?,
            nodes,
            send: scan::unsent(&share, &state, &config.ignore)?,
            fetch: waiting::waiting(&share, &state, &config.ignore)?,
            conflicts: sync::conflict_paths(&state)?,
            problems,
            brake: report["brake"].as_str().map(str::to_string),
            all: Vec::new(),
            agent,
        };
        standing.all = standing.by_name(&share, &state)?;
        Ok(standing)
    }

    /// Every file that is not in sync, with its reason and what to do.
    fn by_name(&self, share: &Disk, state: &Db) -> Result<Vec<Waits>> {
        let mut out = Vec::new();
        for (path, size) in &self.send {
            let known = scan::row_at(state, Table::Anc, path)?.is_some();
            let gone = *size == 0 && !is_there(share, path);
            let (why, size) = match (gone, known) {
                (true, _) if self.brake.is_some() => ("gone here; the brake holds that back", None),
                (true, _) => ("gone here", None),
                (false, true) => ("changed here", Some(*size)),
                (false, false) => ("new here", Some(*size)),
            };
            // The brake's own answers stand above, and an agent does it by itself.
            let remedy = (self.by_hand() && (!gone || self.brake.is_none())).then(|| "sharelock sync".to_string());
            out.push(Waits { what: "send", path: path.to_string(), size, why: why.into(), remedy });
        }
        for w in &self.fetch {
            let remedy = (self.by_hand() && self.brake.is_none()).then(|| "sharelock sync".to_string());
            let (size, why) = match &w.version {
                Some(v) => (Some(v.size), format!("from {}", v.writer.as_str())),
                None => (None, "deleted on another device".into()),
            };
            // What the last round could not bring about says why itself.
            if !self.problems.iter().any(|p| p["path"].as_str() == Some(&w.path.to_string())) {
                out.push(Waits { what: "fetch", path: w.path.to_string(), size, why, remedy });
            }
        }
        for path in &self.conflicts {
            let why = "changed on two devices, both versions are kept".into();
            out.push(Waits { what: "conflict", path: path.to_string(), size: None, why, remedy: Some("sharelock conflicts".into()) });
        }
        for p in &self.problems {
            let Some(path) = p["path"].as_str() else { continue };
            out.push(Waits {
                what: if p["note"] == json!(true) { "skipped" } else { "problem" },
                path: path.to_string(),
                size: None,
                why: p["what"].as_str().unwrap_or_default().to_string(),
                remedy: p["remedy"].as_str().map(str::to_string),
            });
        }
        Ok(out)
    }

    /// Problems that somebody has to do something about.
    fn mending(&self) -> impl Iterator<Item = &Value> {
        self.problems.iter().filter(|p| p["note"] != json!(true))
    }

    /// True if nothing is sent or fetched by itself: there is no agent, or it pauses.
    fn by_hand(&self) -> bool {
        self.agent.is_null() || self.agent["state"] == "paused"
    }

    /// The other devices of the vault: name, whether it is online, when it was last heard of.
    fn others(&self) -> impl Iterator<Item = (&str, bool, Time)> {
        self.agent["devices"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|d| Some((d["name"].as_str()?, d["online"] == true, Time { s: d["last_seen"].as_i64()?, ns: 0 })))
    }

    fn behind(&self) -> usize {
        self.nodes.iter().filter(|n| n.head != self.head || n.error.is_some()).count()
    }

    fn in_sync(&self) -> bool {
        let waits = !self.send.is_empty() || !self.fetch.is_empty() || self.brake.is_some() || self.mending().next().is_some();
        !waits && self.behind() == 0 && self.head.is_some()
    }

    /// 0 in sync, 3 a decision waits, 5 no storage node answers, 1 otherwise.
    fn code(&self) -> u8 {
        match () {
            () if self.brake.is_some() || !self.conflicts.is_empty() => 3,
            () if !self.nodes.is_empty() && self.nodes.iter().all(|n| n.error.is_some()) => 5,
            () if self.in_sync() => 0,
            () => 1,
        }
    }

    fn json(&self, all: bool) -> Value {
        let sum: u64 = self.send.iter().map(|p| p.1).sum();
        let names = |list: &[(RelPath, u64)]| list.iter().map(|p| p.0.to_string()).collect::<Vec<_>>();
        let node = |n: &Node| json!({"name": n.name, "url": n.url, "head": n.head.map(|h| h.to_string()), "last_success": n.success.map(voice::iso), "error": n.error});
        let mut out = json!({
            "in_sync": self.in_sync(),
            "syncing": self.busy || self.agent["state"] == "syncing",
            "files": self.files, "bytes": self.bytes,
            "pending": {"files": self.send.len(), "bytes": sum, "paths": names(&self.send)},
            "head": self.head.map(|h| h.to_string()),
            "remotes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "devices": std::iter::once((self.device.as_str(), true, System.now())).chain(self.others())
                .map(|(name, online, seen)| json!({"name": name, "online": online, "last_seen": voice::iso(seen)})).collect::<Vec<_>>(),
            "conflicts": self.conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "problems": self.mending().collect::<Vec<_>>(), "brake": self.brake,
            "agent": {
                "running": !self.agent.is_null(), "pid": self.agent["pid"], "state": self.agent["state"],
                "paused_until": self.agent["paused_until"].as_i64().map(|s| voice::iso(Time { s, ns: 0 })),
                "version": self.agent["version"].as_str().unwrap_or(env!("CARGO_PKG_VERSION")), "watch": self.agent["watch"], "xmpp": self.agent["xmpp"],
            },
        });
        if all {
            let row = |w: &Waits| json!({"path": w.path, "what": w.what, "size": w.size, "why": w.why, "remedy": w.remedy});
            out["not_in_sync"] = self.all.iter().map(row).collect();
        }
        out
    }

    /// What a person reads; with `all` every file that is not in sync. `heard`: how a time in the past is shown.
    fn text(&self, all: bool, heard: impl Fn(Time) -> String) -> String {
        let mut out = String::new();
        if self.busy {
            out.push_str("another sharelock is at work on this vault just now\n");
        }
        match (self.agent["state"].as_str(), self.agent["paused_until"].as_i64()) {
            (Some("paused"), Some(s)) => _ = writeln!(out, "paused until {}. to go on: sharelock resume", voice::time(Time { s, ns: 0 })),
            (Some("paused"), None) => out.push_str("paused. to go on: sharelock resume\n"),
            _ => {}
        }
        out.push_str(&self.first_line());
        out.push('\n');
        match all {
            true => self.list_all(&mut out),
            false => self.list_some(&mut out),
        }
        for p in self.mending().filter(|p| !all || p["path"].is_null()) {
            let path = p["path"].as_str().map_or(String::new(), |path| format!("{path}   "));
            let _ = writeln!(out, "  {path}{}", p["what"].as_str().unwrap_or_default());
            if let Some(r) = p["remedy"].as_str() {
                let _ = writeln!(out, "    do: {r}");
            }
        }
        let width = self.nodes.iter().map(|n| n.name.len()).max().unwrap_or(0).max(7);
        for n in &self.nodes {
            let last = match (&n.error, n.success) {
                (Some(e), Some(t)) => format!("away since {} ({e})", voice::time(t)),
                (Some(e), None) => format!("never heard ({e})"),
                (None, Some(t)) => format!("last heard {}", heard(t)),
                (None, None) => "not asked yet".into(),
            };
            let _ = writeln!(out, "  {:<width$}   {}   {last}", n.name, n.url);
        }
        let others = self.others().map(|(name, online, seen)| match online {
            true => format!(", {name} online"),
            false => format!(", {name} {}", heard(seen)),
        });
        let _ = writeln!(out, "  {:<width$}   {} (this one){}", "devices", self.device, others.collect::<String>());
        out
    }

    fn first_line(&self) -> String {
        let total = format!("{}, {}", voice::files(self.files), voice::size(self.bytes));
        let problems = self.mending().count() as u64;
        if let Some(b) = &self.brake {
            return b.trim_end().trim_start_matches("sharelock: ").to_string();
        }
        let (send, fetch) = (self.send.len() as u64, self.fetch.len() as u64);
        let wait = |n: u64| if n == 1 { "waits" } else { "wait" };
        if send > 0 {
            let sum: u64 = self.send.iter().map(|p| p.1).sum();
            let more = if fetch > 0 { format!(", {} to be fetched", voice::count(fetch)) } else { String::new() };
            let syncing = if self.agent["state"] == "syncing" { "syncing: " } else { "" };
            return format!("{syncing}{} {} to be sent ({}){more}", voice::files(send), wait(send), voice::size(sum));
        }
        if problems > 0 {
            return format!("{}, the other files are in sync", voice::plural(problems, "problem"));
        }
        if fetch > 0 {
            return format!("{} {} to be fetched", voice::files(fetch), wait(fetch));
        }
        let conflicts = self.conflicts.len() as u64;
        if conflicts > 0 {
            let waits = voice::plural(conflicts, "conflict");
            return format!("in sync, {waits} {} for you (both versions are kept)", wait(conflicts));
        }
        let nodes = self.nodes.len();
        match self.behind() {
            0 if nodes == 0 => format!("in sync: {total}, on this device only (no storage node yet)"),
            0 => format!("in sync: {total}, everything is stored on {nodes} of {nodes} storage nodes"),
            n => format!("{total}, everything is stored on {} of {nodes} storage nodes", nodes - n),
        }
    }

    /// The first five of each kind.
    fn list_some(&self, out: &mut String) {
        let sized: Vec<(&str, String, String)> = self
            .all
            .iter()
            .filter(|w| w.what == "send" && self.brake.is_none() || w.what == "fetch")
            .map(|w| (w.what, w.path.clone(), w.size.filter(|_| w.what == "send").map_or(w.why.clone(), voice::size)))
            .collect();
        for what in ["send", "fetch"] {
            let rows: Vec<_> = sized.iter().filter(|r| r.0 == what).collect();
            let width = rows.iter().take(5).map(|r| r.1.chars().count()).max().unwrap_or(0);
            for (_, path, right) in rows.iter().take(5) {
                let _ = writeln!(out, "  {what:<7} {path:<width$}  {right}");
            }
            if rows.len() > 5 {
                let _ = writeln!(out, "  and {} more: sharelock status --files", voice::count(rows.len() as u64 - 5));
            }
        }
        for c in self.conflicts.iter().take(5) {
            let _ = writeln!(out, "  {c}");
        }
        if !self.conflicts.is_empty() {
            out.push_str("    do: sharelock conflicts\n");
        }
    }

    /// All of them. A remedy that many share stands once, behind the last of them.
    fn list_all(&self, out: &mut String) {
        let mut rows = self.all.iter().peekable();
        while let Some(w) = rows.next() {
            let size = w.size.map_or(String::new(), |s| format!("{}   ", voice::size(s)));
            match w.what {
                "send" | "fetch" => _ = writeln!(out, "  {:<7} {}   {size}{}", w.what, w.path, w.why),
                _ => _ = writeln!(out, "  {}   {}", w.path, w.why),
            }
            let same = rows.peek().is_some_and(|next| next.what == w.what && next.remedy == w.remedy);
            if let Some(r) = w.remedy.as_ref().filter(|_| !same) {
                let _ = writeln!(out, "    do: {r}");
            }
        }
    }
}

fn is_there(share: &Disk, path: &RelPath) -> bool {
    let Some((dir, name)) = path.split() else { return true };
    let at = dir.names().try_fold(share.root(), |at, part| share.open_dir(&at, part.as_bytes()));
    at.and_then(|at| share.stat(&at, name.as_bytes())).is_ok_and(|s| s.is_some())
}

fn unopened(e: std::io::Error, path: &std::path::Path, places: &Places) -> Error {
    Error::from(e).at(format!("can't open {}", places.short(path))).detail("nothing was changed, nothing counts as deleted")
}
