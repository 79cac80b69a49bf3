//! `status --json`. Its keys are promised to scripts, and written down in [STATUS.md](../STATUS.md): tests hold the two together.

use super::{Standing, What};
use crate::agent::told::{Account, Watched};
use crate::cli::voice;
use crate::clock::{Clock, system::System};
use serde_json::{Value, json};

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Send => "send",
            What::Fetch => "fetch",
            What::Conflict => "conflict",
            What::Problem => "problem",
            What::Skipped => "skipped",
        }
    }
}

impl Standing {
    /// With `all` every file that is not in sync, too.
    pub(super) fn json(&self, all: bool) -> Value {
        let pending = files(self.send.iter().map(|(path, size)| (path.to_string(), *size)));
        let incoming = files(self.fetch.iter().map(|w| (w.path.to_string(), w.version.as_ref().map_or(0, |v| v.size))));
        let remotes = self.nodes.iter().map(|n| {
            json!({
                "name": n.name, "url": n.url, "head": n.head.map(|h| h.to_string()), "last_success": n.success.map(voice::iso),
                "error": n.error.as_ref().map(|e| &e.0), "files_behind": n.behind,
            })
        });
        let device = |name: &str, online: bool, seen| json!({"name": name, "online": online, "last_seen": voice::iso(seen)});
        let others = self.agent.iter().flat_map(|a| &a.devices).map(|d| device(&d.name, d.online, d.seen));
        let mut out = json!({
            "in_sync": self.in_sync(), "syncing": self.is_syncing(), "files": self.files, "bytes": self.bytes,
            "pending": pending, "incoming": incoming, "head": self.head.map(|h| h.to_string()),
            "remotes": remotes.collect::<Vec<_>>(),
            "devices": std::iter::once(device(&self.device, true, System.now())).chain(others).collect::<Vec<_>>(),
            "conflicts": self.conflicts.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(),
            "problems": self.mending().map(|p| json!({"path": p.path, "what": p.what, "remedy": p.remedy})).collect::<Vec<_>>(),
            "brake": self.brake, "agent": self.agent_json(),
        });
        if all {
            let row = |w: &super::Waits| json!({"path": w.path, "what": w.what.word(), "size": w.size, "why": w.why, "remedy": w.remedy});
            out["not_in_sync"] = self.all.iter().map(row).collect();
        }
        out
    }

    fn agent_json(&self) -> Value {
        let a = self.agent.as_ref();
        json!({
            "running": a.is_some(), "pid": a.map(|a| a.pid), "state": a.map(|a| a.doing.word()),
            "paused_until": a.and_then(|a| a.paused_until).map(voice::iso),
            "version": a.map_or(env!("CARGO_PKG_VERSION"), |a| &a.version),
            "watch": a.iter().flat_map(|a| &a.watch).map(Watched::json).collect::<Vec<_>>(),
            "xmpp": a.and_then(|a| a.xmpp.as_ref()).map(Account::json),
        })
    }
}

/// Files that wait: their number, the sum of their sizes, their paths.
fn files(all: impl Iterator<Item = (String, u64)>) -> Value {
    let (paths, sizes): (Vec<String>, Vec<u64>) = all.unzip();
    json!({"files": paths.len(), "bytes": sizes.into_iter().fold(0, u64::saturating_add), "paths": paths})
}
