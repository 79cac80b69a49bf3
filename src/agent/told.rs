//! What the agent tells over its socket of how it does, and what is kept of a round: written and read here, so that the
//! agent, `status` and `doctor` speak of the same keys.
//!
//! What another version left out is read as unknown; an answer without a process number is no answer.

use crate::clock::Time;
use crate::error::Error;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nothing: everything was looked at, and the next look is not due.
    Idle,
    /// A round.
    Syncing,
    /// It has heard of changes, and waits until they are settled.
    Waiting,
    /// Nothing, until a person or the time ends that.
    Paused,
    /// Nothing: another verb has the vault.
    Lent,
    /// Nothing: the vault cannot be opened. The first problem says why.
    Stopped,
}

/// The words for [`Doing`].
const WORDS: [(Doing, &str); 6] = [
    (Doing::Idle, "idle"),
    (Doing::Syncing, "syncing"),
    (Doing::Waiting, "waiting"),
    (Doing::Paused, "paused"),
    (Doing::Lent, "lent"),
    (Doing::Stopped, "stopped"),
];

impl Doing {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(d, _)| *d == self).map_or("idle", |(_, word)| word)
    }

    /// A word that only another version knows counts as idle.
    fn read(v: &Value) -> Doing {
        WORDS.iter().find(|(_, word)| v.as_str() == Some(word)).map_or(Doing::Idle, |(d, _)| *d)
    }
}

/// How the agent does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// What it is at.
    pub doing: Doing,
    /// When a pause ends by itself.
    pub paused_until: Option<Time>,
    /// What it last heard of each storage node.
    pub nodes: BTreeMap<String, Heard>,
    /// The other devices of the vault.
    pub devices: Vec<Peer>,
    /// What is wrong beside what a round finds.
    pub problems: Vec<Problem>,
    /// How the folders are watched.
    pub watch: Vec<Watched>,
    /// The XMPP account, if there is one that can be used.
    pub xmpp: Option<Account>,
}

/// What was last heard of a storage node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When it last answered.
    pub success: Option<Time>,
    /// Why it does not: the text, and the exit code that stands for it.
    pub error: Option<(String, u8)>,
}

/// Another device of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// It is logged in at the XMPP server.
    pub online: bool,
    /// The time of its newest change or notice.
    pub seen: Time,
}

/// Something that a person should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The path in the share that it is about, as it is shown.
    pub path: Option<String>,
    /// What failed and why.
    pub what: String,
    /// The command that mends it.
    pub remedy: Option<String>,
    /// Nothing has to be done.
    pub note: bool,
}

/// How a folder is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its path.
    pub folder: String,
    /// By what, as [`crate::watch::Backend`] shows itself.
    pub by: String,
    /// Folders that are watched.
    pub watched: u64,
    /// Folders that are looked at now and then instead.
    pub polled: u64,
}

/// An XMPP account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub jid: String,
    /// `connecting`, `online`, `offline` or `refused`.
    pub state: String,
    /// Why it is not online.
    pub why: Option<String>,
    /// How the line is encrypted while it is online: `STARTTLS` or `direct TLS`.
    pub tls: Option<String>,
    /// Milliseconds that this device's last notice took to the server and back.
    pub notice_ms: Option<u64>,
}

/// What is kept of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Problems and notes.
    pub problems: Vec<Problem>,
    /// The brake's stop, as a person reads it.
    pub brake: Option<String>,
    /// The same as an error ([`super::control::error_json`]).
    pub stopped: Option<Value>,
    /// That a disk is full, as an error.
    pub full: Option<Value>,
    /// The files that have no room.
    pub waits: Vec<Problem>,
    /// Something was left for another round.
    pub again: bool,
}

fn text(v: &Value) -> Option<String> {
    v.as_str().map(str::to_string)
}

fn time(v: &Value) -> Option<Time> {
    v.as_i64().map(|s| Time { s, ns: 0 })
}

fn list<T>(v: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    v.as_array().into_iter().flatten().filter_map(read).collect()
}

impl Told {
    /// As it goes over the socket.
    pub fn json(&self) -> Value {
        let nodes: BTreeMap<&String, Value> = self.nodes.iter().map(|(name, h)| (name, h.json())).collect();
        let peer = |d: &Peer| json!({"name": d.name, "online": d.online, "last_seen": d.seen.s});
        json!({
            "pid": self.pid, "version": self.version, "state": self.doing.word(),
            "paused_until": self.paused_until.map(|t| t.s), "nodes": nodes,
            "devices": self.devices.iter().map(peer).collect::<Vec<_>>(),
            "problems": self.problems.iter().map(Problem::json).collect::<Vec<_>>(),
            "watch": self.watch.iter().map(Watched::json).collect::<Vec<_>>(),
            "xmpp": self.xmpp.as_ref().map(Account::json),
        })
    }

    /// What came over the socket.
    pub fn read(v: &Value) -> Option<Told> {
        let nodes = v["nodes"].as_object().into_iter().flatten();
        let peer = |d: &Value| Some(Peer { name: text(&d["name"])?, online: d["online"] == true, seen: time(&d["last_seen"])? });
        Some(Told {
            pid: v["pid"].as_u64()?.try_into().ok()?,
            version: text(&v["version"]).unwrap_or_default(),
            doing: Doing::read(&v["state"]),
            paused_until: time(&v["paused_until"]),
            nodes: nodes.map(|(name, h)| (name.clone(), Heard::read(h))).collect(),
            devices: list(&v["devices"], peer),
            problems: list(&v["problems"], Problem::read),
            watch: list(&v["watch"], Watched::read),
            xmpp: Account::read(&v["xmpp"]),
        })
    }
}

impl Heard {
    /// What is heard of a node now.
    pub fn now(success: Option<Time>, error: Option<&Error>) -> Heard {
        Heard { success: success.map(|t| Time { s: t.s, ns: 0 }), error: error.map(|e| (e.to_string(), e.exit_code())) }
    }

    /// As it is kept in the database, too.
    pub fn json(&self) -> Value {
        json!({"success": self.success.map(|t| t.s), "error": self.error})
    }

    /// What was kept.
    pub fn read(v: &Value) -> Heard {
        let e = &v["error"];
        let code = |e: &Value| e.as_u64().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
        Heard { success: time(&v["success"]), error: text(&e[0]).map(|what| (what, code(&e[1]))) }
    }
}

impl Problem {
    /// One about no single file.
    pub fn of(what: impl Into<String>, remedy: Option<&str>) -> Problem {
        Problem { what: what.into(), remedy: remedy.map(str::to_string), ..Problem::default() }
    }

    /// As it stands in `status --json`.
    pub fn json(&self) -> Value {
        json!({"path": self.path, "what": self.what, "remedy": self.remedy, "note": self.note})
    }

    fn read(v: &Value) -> Option<Problem> {
        Some(Problem { path: text(&v["path"]), what: text(&v["what"])?, remedy: text(&v["remedy"]), note: v["note"] == true })
    }
}

impl Watched {
    /// As it stands in `status --json`.
    pub fn json(&self) -> Value {
        json!({"folder": self.folder, "by": self.by, "watched": self.watched, "polled": self.polled})
    }

    fn read(v: &Value) -> Option<Watched> {
        let number = |key: &str| v[key].as_u64();
        Some(Watched { folder: text(&v["folder"])?, by: text(&v["by"])?, watched: number("watched")?, polled: number("polled")? })
    }
}

impl Account {
    /// As it stands in `status --json`.
    pub fn json(&self) -> Value {
        json!({"jid": self.jid, "state": self.state, "why": self.why, "tls": self.tls, "notice_ms": self.notice_ms})
    }

    fn read(v: &Value) -> Option<Account> {
        Some(Account {
            jid: text(&v["jid"])?,
            state: text(&v["state"])?,
            why: text(&v["why"]),
            tls: text(&v["tls"]),
            notice_ms: v["notice_ms"].as_u64(),
        })
    }
}

impl Report {
    /// As it is kept in the database.
    pub fn json(&self) -> Value {
        let problems: Vec<Value> = self.problems.iter().map(Problem::json).collect();
        let waits: Vec<Value> = self.waits.iter().map(Problem::json).collect();
        json!({
            "problems": problems, "brake": self.brake, "stopped": self.stopped, "full": self.full, "waits": waits, "again": self.again,
        })
    }

    /// What was kept.
    pub fn read(v: &Value) -> Report {
        Report {
            problems: list(&v["problems"], Problem::read),
            brake: text(&v["brake"]),
            stopped: Some(&v["stopped"]).filter(|s| !s.is_null()).cloned(),
            full: Some(&v["full"]).filter(|s| !s.is_null()).cloned(),
            waits: list(&v["waits"], Problem::read),
            again: v["again"] == true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let at = |s| Time { s, ns: 0 };
        let problem = Problem { path: Some("a/b".into()), what: "w".into(), remedy: Some("r".into()), note: true };
        let told = Told {
            pid: 7,
            version: "1.2.3".into(),
            doing: Doing::Paused,
            paused_until: Some(at(9)),
            nodes: BTreeMap::from([
                ("origin".into(), Heard { success: Some(at(5)), error: None }),
                ("usb".into(), Heard { success: None, error: Some(("away".into(), 5)) }),
            ]),
            devices: vec![Peer { name: "pi".into(), online: true, seen: at(3) }],
            problems: vec![problem.clone(), Problem::of("x", None)],
            watch: vec![Watched { folder: "/s".into(), by: "inotify".into(), watched: 2, polled: 1 }],
            xmpp: Some(Account { jid: "me@d".into(), state: "online".into(), tls: Some("STARTTLS".into()), notice_ms: Some(2), why: None }),
        };
        assert_eq!(Told::read(&told.json()), Some(told.clone()));
        for (doing, _) in WORDS {
            let other = Told { doing, xmpp: None, paused_until: None, ..told.clone() };
            assert_eq!(Told::read(&other.json()), Some(other));
        }
        let report = Report {
            problems: vec![problem.clone()],
            brake: Some("b".into()),
            stopped: Some(json!({"what": "s"})),
            full: Some(json!({"what": "f"})),
            waits: vec![problem],
            again: true,
        };
        for r in [report, Report::default()] {
            assert_eq!(Report::read(&r.json()), r);
        }
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        assert_eq!(Told::read(&json!({"why": "no"})), None);
        let bare = Told::read(&json!({"pid": 1, "state": "dancing", "problems": [{}, {"what": "w"}], "nodes": {"n": 3}})).unwrap();
        assert_eq!((bare.doing, bare.problems.len(), bare.xmpp), (Doing::Idle, 1, None));
        assert_eq!(bare.nodes["n"], Heard::default());
        assert_eq!(Report::read(&Value::Null), Report::default());
    }
}
