//! What the schedules of seeds have come to: what struck at which verb, and the rows of the merge's table. What is never
//! exercised shows.

use super::hook::Seam;
use crate::tree::rows;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Counts of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Kinds of lives, by name.
    lives: BTreeMap<&'static str, u64>,
    /// What happened beside the work of users and devices.
    happened: BTreeMap<&'static str, u64>,
    /// Verbs that returned, by seam and name.
    verbs: BTreeMap<(Seam, &'static str), u64>,
    /// What struck: its name, and how often at which verb.
    struck: BTreeMap<&'static str, BTreeMap<(Seam, &'static str), u64>>,
}

impl Coverage {
    /// A seed has this kind of life.
    pub fn life(&mut self, name: &'static str) {
        *self.lives.entry(name).or_default() += 1;
    }

    /// Something happens that is no verb.
    pub fn happens(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// A verb is about to return.
    pub fn verb(&mut self, seam: Seam, verb: &'static str) {
        *self.verbs.entry((seam, verb)).or_default() += 1;
    }

    /// Something strikes there.
    pub fn strikes(&mut self, what: &'static str, seam: Seam, verb: &'static str) {
        *self.struck.entry(what).or_default().entry((seam, verb)).or_default() += 1;
    }

    /// Takes in another seed's.
    pub fn add(&mut self, other: &Coverage) {
        other.lives.iter().for_each(|(k, n)| *self.lives.entry(k).or_default() += n);
        other.happened.iter().for_each(|(k, n)| *self.happened.entry(k).or_default() += n);
        other.verbs.iter().for_each(|(k, n)| *self.verbs.entry(*k).or_default() += n);
        for (what, at) in &other.struck {
            let mine = self.struck.entry(what).or_default();
            at.iter().for_each(|(k, n)| *mine.entry(*k).or_default() += n);
        }
    }

    /// How many verbs returned.
    pub fn total(&self) -> u64 {
        self.verbs.values().sum()
    }

    /// What no seed has come to: verbs at which no device was killed and none lost its power, and rows of the table.
    pub fn missed(&self) -> Vec<String> {
        let mut out = Vec::new();
        for what in ["killed", "power cut"] {
            let at = self.struck.get(what);
            let never = self.verbs.keys().filter(|k| at.is_none_or(|at| !at.contains_key(*k)));
            out.extend(never.map(|(seam, verb)| format!("{what} at {} {verb}", seam.name())));
        }
        out.extend(rows::hits().into_iter().filter(|(_, n)| *n == 0).map(|(row, _)| row.name().into()));
        out
    }
}

/// Markdown: the rows of this thread's merges, then the verbs with what struck there.
impl Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| kind of life | seeds |\n|---|---|")?;
        for (life, n) in &self.lives {
            writeln!(f, "| {life} | {n} |")?;
        }
        writeln!(f, "\n| what happened | times |\n|---|---|")?;
        for (what, n) in &self.happened {
            writeln!(f, "| {what} | {n} |")?;
        }
        writeln!(f, "\n| row | merges |\n|---|---|")?;
        for (row, n) in rows::hits() {
            writeln!(f, "| {} | {n} |", row.name())?;
        }
        let kinds: Vec<&str> = self.struck.keys().copied().collect();
        writeln!(f, "\n| verb | returned | {} |", kinds.join(" | "))?;
        writeln!(f, "|---{}|", "|---".repeat(kinds.len() + 1))?;
        for ((seam, verb), n) in &self.verbs {
            write!(f, "| {} {verb} | {n}", seam.name())?;
            for kind in &kinds {
                let times = self.struck[kind].get(&(*seam, *verb)).copied().unwrap_or(0);
                write!(f, " | {times}")?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}
