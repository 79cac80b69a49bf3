//! `status` for people.

use super::{Node, Standing, What};
use crate::agent::told::{Doing, Problem};
use crate::cli::voice;
use crate::clock::Time;
use std::fmt::Write;

/// Names of one kind that are shown without `--files`.
const SHOWN: usize = 5;

impl Standing {
    /// With `all` every file that is not in sync. `heard`: how a time in the past is shown.
    pub(super) fn text(&self, all: bool, heard: impl Fn(Time) -> String) -> String {
        let mut out = String::new();
        if self.busy {
            out.push_str("another sharelock is at work on this vault just now\n");
        }
        match (self.doing(), self.agent.as_ref().and_then(|a| a.paused_until)) {
            (Some(Doing::Paused), Some(t)) => _ = writeln!(out, "paused until {}. to go on: sharelock resume", voice::time(t)),
            (Some(Doing::Paused), None) => out.push_str("paused. to go on: sharelock resume\n"),
            _ => {}
        }
        out.push_str(&self.first_line());
        out.push('\n');
        match all {
            true => self.list_all(&mut out),
            false => self.list_some(&mut out),
        }
        let mut mending: Vec<&Problem> = self.mending().filter(|p| !all || p.path.is_none()).collect();
        let more = if all { 0 } else { mending.iter().filter(|p| p.path.is_some()).count().saturating_sub(SHOWN) };
        // What concerns no single file is never among what is left out.
        let mut named = 0;
        mending.retain(|p| {
            named += usize::from(p.path.is_some());
            all || p.path.is_none() || named <= SHOWN
        });
        for p in mending {
            out.push_str(&voice::problem_lines(p.path.clone(), &p.what, p.remedy.clone()));
        }
        if more > 0 {
            let _ = writeln!(out, "  and {} more: sharelock status --files", voice::count(more as u64));
        }
        let width = self.nodes.iter().map(|n| n.name.len()).max().unwrap_or(0).max(7);
        let places = self.nodes.iter().map(|n| n.place.chars().count()).max().unwrap_or(0);
        for n in &self.nodes {
            let _ = writeln!(out, "  {:<width$}   {:<places$}  {}", n.name, n.place, self.how(n, &heard));
            if let Some((why, _)) = &n.error {
                let _ = writeln!(out, "    {why}");
                if !n.is_away() {
                    out.push_str("    do: sharelock doctor\n");
                }
            }
        }
        let others = self.agent.iter().flat_map(|a| &a.devices).map(|d| match d.online {
            true => format!(", {} online", d.name),
            false => format!(", {} {}", d.name, heard(d.seen)),
        });
        let _ = writeln!(out, "  {:<width$}   {} (this one){}", "devices", self.device, others.collect::<String>());
        out
    }

    /// How a storage node does.
    fn how(&self, n: &Node, heard: impl Fn(Time) -> String) -> String {
        let behind = if n.behind > 0 { format!(", {} behind", voice::files(n.behind)) } else { String::new() };
        match (&n.error, n.success) {
            (Some(_), Some(t)) if n.is_away() => format!("away since {}{behind}", voice::time(t)),
            (Some(_), None) if n.is_away() => format!("away, never heard{behind}"),
            (Some(_), _) => format!("refused{behind}"),
            (None, _) if self.is_syncing() && (!self.send.is_empty() || n.head != self.head) => "sending".into(),
            (None, Some(t)) => format!("last heard {}{behind}", heard(t)),
            (None, None) => format!("not asked yet{behind}"),
        }
    }

    pub(super) fn first_line(&self) -> String {
        let total = format!("{}, {}", voice::files(self.files), voice::size(self.bytes));
        let problems = self.mending().count() as u64;
        if let Some(b) = &self.brake {
            return b.trim_end().trim_start_matches("sharelock: ").to_string();
        }
        let (send, fetch) = (self.send.len() as u64, self.fetch.len() as u64);
        let wait = |n: u64| if n == 1 { "waits" } else { "wait" };
        let syncing = if self.is_syncing() { "syncing: " } else { "" };
        if send > 0 {
            let sum = self.send.iter().map(|p| p.1).fold(0, u64::saturating_add);
            let more = if fetch > 0 { format!(", {} to be fetched", voice::count(fetch)) } else { String::new() };
            return format!("{syncing}{} {} to be sent ({}){more}", voice::files(send), wait(send), voice::size(sum));
        }
        if problems > 0 {
            let coming = self.all.iter().filter(|w| w.what == What::Fetch).count() as u64;
            if coming > 0 {
                return format!("{}, {} {} to be fetched", voice::plural(problems, "problem"), voice::files(coming), wait(coming));
            }
            let rest = match (self.troubled, self.files.saturating_sub(self.troubled)) {
                (0, 1) => "the file is in sync".into(),
                (0, n) => format!("all {} are in sync", voice::files(n)),
                (_, 0) => "nothing else is there".into(),
                (_, 1) => "the other file is in sync".into(),
                (_, n) => format!("the other {} are in sync", voice::files(n)),
            };
            return format!("{}, {rest}", voice::plural(problems, "problem"));
        }
        if fetch > 0 {
            return format!("{syncing}{} {} to be fetched", voice::files(fetch), wait(fetch));
        }
        let conflicts = self.conflicts.len() as u64;
        let conflict = format!("{} {} for you (both versions are kept)", voice::plural(conflicts, "conflict"), wait(conflicts));
        let nodes = self.nodes.len();
        match self.behind() {
            0 if conflicts > 0 => format!("in sync, {conflict}"),
            n if conflicts > 0 => format!("{total}, stored on {} of {nodes} storage nodes, {conflict}", nodes - n),
            0 if nodes == 0 => format!("in sync: {total}, on this device only (no storage node yet)"),
            0 => format!("in sync: {total}, everything is stored on {nodes} of {nodes} storage nodes"),
            n => format!("{total}, everything is stored on {} of {nodes} storage nodes", nodes - n),
        }
    }

    /// The first five of each kind.
    fn list_some(&self, out: &mut String) {
        let of = |what: What| self.all.iter().filter(move |w| w.what == what && (what != What::Send || self.brake.is_none()));
        let shown = of(What::Send).take(SHOWN).chain(of(What::Fetch).take(SHOWN));
        let width = shown.map(|w| w.path.chars().count()).max().unwrap_or(0);
        for (what, verb) in [(What::Send, "send"), (What::Fetch, "fetch")] {
            for w in of(what).take(SHOWN) {
                let right = w.size.filter(|_| what == What::Send).map_or(w.why.clone(), voice::size);
                let _ = writeln!(out, "  {verb:<5}   {:<width$}  {right}", w.path);
            }
            let more = of(what).count().saturating_sub(SHOWN) as u64;
            if more > 0 {
                let _ = writeln!(out, "  and {} more: sharelock status --files", voice::count(more));
            }
        }
        for (path, who) in self.conflicts.iter().take(SHOWN) {
            let _ = writeln!(out, "  {path}   {who}");
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
                What::Send => _ = writeln!(out, "  send    {}   {size}{}", w.path, w.why),
                What::Fetch => _ = writeln!(out, "  fetch   {}   {size}{}", w.path, w.why),
                _ => _ = writeln!(out, "  {}   {}", w.path, w.why),
            }
            let same = rows.peek().is_some_and(|next| next.what == w.what && next.remedy == w.remedy);
            if let Some(r) = w.remedy.as_ref().filter(|_| !same) {
                let _ = writeln!(out, "    do: {r}");
            }
        }
    }
}
