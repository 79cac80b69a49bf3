//! `status`: in sync or not, from the state alone: without a password, and while another sharelock is at work.

pub mod all;
mod json;
mod text;
mod watch;

use super::args::Status;
use super::places::Places;
use super::{conflicts, nodes, open, run as agent, voice};
use crate::agent::memo;
use crate::agent::told::{Doing, Problem, Told};
use crate::clock::Time;
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::store::{Store, dir_at};
use crate::id::Oid;
use crate::mirror::behind::files_behind;
use crate::mirror::{history, scan, waiting};
use crate::path::RelPath;
use crate::state::db::Db;
use crate::state::{State, Table, key as state_key};

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

/// How things stand in a line or a few, and as programs read it.
pub fn told(places: &Places) -> Result<(String, serde_json::Value)> {
    let standing = Standing::read(places)?;
    Ok((standing.first_line(), standing.json(true)))
}

/// Files that wait to be sent, as far as the disk alone tells.
pub fn to_send(places: &Places) -> Result<u64> {
    let config = open::config(places)?;
    let share = Disk::open_unprobed(&config.share).map_err(|e| unopened(e, &config.share, places))?;
    let state = Db::open(&places.state_dir.join("state.db"))?;
    Ok(scan::unsent(&share, &state, &config.ignore)?.len() as u64)
}

/// A storage node.
struct Node {
    name: String,
    url: String,
    /// Its host, or its path.
    place: String,
    success: Option<Time>,
    /// Why it does not answer or was refused, with its exit code.
    error: Option<(String, u8)>,
    head: Option<Oid>,
    /// Files that are new, changed or gone since.
    behind: u64,
}

/// A file that is not in sync.
struct Waits {
    what: What,
    path: String,
    size: Option<u64>,
    why: String,
    remedy: Option<String>,
}

/// What a file waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Send,
    Fetch,
    Conflict,
    Problem,
    Skipped,
}

/// How things stand.
struct Standing {
    device: String,
    /// Another sharelock is at work, and it is not the agent.
    busy: bool,
    /// What the running agent says.
    agent: Option<Told>,
    files: u64,
    bytes: u64,
    head: Option<Oid>,
    nodes: Vec<Node>,
    /// What differs between share and ancestor, as far as the disk alone tells: path and size (0: gone).
    send: Vec<(RelPath, u64)>,
    /// What head has and the share has not.
    fetch: Vec<waiting::Waiting>,
    /// Files with a conflict copy, and who changed them when.
    conflicts: Vec<(RelPath, String)>,
    /// Problems and notes, of the last round and of the agent.
    problems: Vec<Problem>,
    /// Files of the vault that have a problem of their own.
    troubled: u64,
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
        let report = memo::report(&state)?;
        let agent = agent::status_of_agent(places);
        let head = crate::mirror::secure::oid_value(&state, state_key::HEAD)?;
        let (files, _, bytes) = state.count(Table::Head)?;
        let mut nodes = Vec::new();
        for r in &config.remotes {
            let noted = memo::of_node(&state, &r.name)?;
            // What the agent has in memory is newer than what it has noted.
            let told = agent.as_ref().and_then(|a| a.nodes.get(&r.name)).filter(|n| n.success.is_some() || n.error.is_some());
            let last = told.unwrap_or(&noted);
            let seen = git.get_ref(&history::seen_ref(&r.name))?;
            let behind = match (&head, &seen) {
                (Some(ours), Some(theirs)) if ours != theirs => files_behind(&git, &state, ours, theirs).unwrap_or(0),
                (Some(_), None) => files,
                _ => 0,
            };
            nodes.push(Node {
                name: r.name.clone(),
                url: r.url.clone(),
                place: nodes::place(&r.url, places),
                success: last.success.or(noted.success),
                error: last.error.clone(),
                head: seen,
                behind,
            });
        }
        let mut problems = report.problems;
        problems.extend(report.waits);
        problems.extend(agent.iter().flat_map(|a| a.problems.iter().cloned()));
        let mut standing = Standing {
            device: config.device.as_str().to_string(),
            busy: busy && agent.is_none(),
            files,
            bytes,
            head,
            nodes,
            send: scan::unsent(&share, &state, &config.ignore)?,
            fetch: waiting::waiting(&share, &state, &config.ignore)?,
            conflicts: conflicts::in_words(&state)?,
            problems,
            troubled: 0,
            brake: report.brake,
            all: Vec::new(),
            agent,
        };
        standing.all = standing.by_name(&share, &state)?;
        for p in standing.all.iter().filter(|w| w.what == What::Problem) {
            let row = RelPath::new(p.path.as_bytes()).map(|path| scan::row_at(&state, Table::Head, &path)).transpose()?;
            standing.troubled += u64::from(row.flatten().is_some_and(|r| r.here().is_some_and(|n| !n.is_dir())));
        }
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
            out.push(Waits { what: What::Send, path: path.to_string(), size, why: why.into(), remedy });
        }
        for w in &self.fetch {
            let remedy = (self.by_hand() && self.brake.is_none()).then(|| "sharelock sync".to_string());
            let (size, why) = match &w.version {
                Some(v) => (Some(v.size), format!("from {}", v.writer.as_str())),
                None => (None, "deleted on another device".into()),
            };
            // What the last round could not bring about says why itself.
            if !self.problems.iter().any(|p| p.path == Some(w.path.to_string())) {
                out.push(Waits { what: What::Fetch, path: w.path.to_string(), size, why, remedy });
            }
        }
        for (path, who) in &self.conflicts {
            let remedy = Some("sharelock conflicts".into());
            out.push(Waits { what: What::Conflict, path: path.to_string(), size: None, why: who.clone(), remedy });
        }
        for p in &self.problems {
            let Some(path) = p.path.clone() else { continue };
            let what = if p.note { What::Skipped } else { What::Problem };
            out.push(Waits { what, path, size: None, why: p.what.clone(), remedy: p.remedy.clone() });
        }
        Ok(out)
    }

    /// Problems that somebody has to do something about.
    fn mending(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|p| !p.note)
    }

    fn doing(&self) -> Option<Doing> {
        self.agent.as_ref().map(|a| a.doing)
    }

    /// True while a round is under way, the agent's or another's.
    fn is_syncing(&self) -> bool {
        self.busy || self.doing() == Some(Doing::Syncing)
    }

    /// True if nothing is sent or fetched by itself: there is no agent, or it pauses.
    fn by_hand(&self) -> bool {
        self.doing().is_none_or(|d| d == Doing::Paused)
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
}

impl Node {
    /// True if it did not answer; else what is wrong with it is no matter of time.
    fn is_away(&self) -> bool {
        self.error.as_ref().is_some_and(|(_, code)| *code == Error::new(Kind::Unreachable, "").exit_code())
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
