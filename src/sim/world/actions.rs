//! What users do.

use super::{ALIKE, DIRS, Mode, NAMES, PATHS, World};
use crate::clock::{Clock, Time};
use crate::sim::ledger::Ledger;
use crate::sim::user::{User, What};

impl World {
    /// One action of a user at a device.
    pub(super) fn user_acts(&self, i: usize) {
        if self.chance(25) && self.trouble(i) {
            return;
        }
        let m = &self.machines[i];
        let u = &m.user;
        self.clock.pass(1_000_000_000 + self.next(1_000_000));
        let pick = |of: &[&'static str]| *self.random.borrow_mut().pick(of);
        let paths = if self.mode == Mode::Weak { &ALIKE } else { &PATHS };
        let (p, q) = (pick(paths), pick(paths));
        let (d, e) = (pick(&DIRS), pick(&DIRS));
        let mut ledger = self.ledger.borrow_mut();
        [p, q, d, e].iter().for_each(|path| ledger.meets(i, u, path));
        let new = ledger.fresh(i);
        let what = self.next(48);
        if self.trace {
            eprintln!("  user {}: action {what} {p} {q} {d} {e} {new}", NAMES[i]);
        }
        match what {
            0..=9 if u.parents(p) => {
                let old = u.read(p);
                if u.write(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            10..=14 if u.parents(p) => {
                let old = u.read(p);
                if u.save(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            15..=19 => {
                if let Some(old) = u.read(p).filter(|w| *w != What::Dir)
                    && u.rm(p).is_some() {
                        ledger.replaced(Some(&old));
                    }
            }
            20..=23 if u.parents(q) => self.user_moves(u, p, q, &mut ledger),
            24..=28 if u.parents(e) => self.user_moves(u, d, e, &mut ledger),
            29..=31 => {
                let below = u.below(d);
                if u.read(d) == Some(What::Dir) && u.rmtree(d).is_some() {
                    below.iter().for_each(|(_, w)| ledger.replaced(Some(w)));
                    ledger.directory_gone(&below);
                }
            }
            32..=33 => {
                u.mkdir(d);
            }
            34..=35 => {
                if let Some(What::File(c, _)) = u.read(p)
                    && u.chmod(p).is_some() {
                        ledger.exempt(&c);
                    }
            }
            36 => {
                if let Some(What::File(c, _)) = u.read(p) {
                    let t = self.clock.now();
                    if u.touch(p, Time { s: t.s, ns: 0 }).is_some() {
                        ledger.exempt(&c);
                    }
                }
            }
            37..=38 if u.parents(p) => {
                let old = u.read(p).filter(|w| *w != What::Dir);
                if (old.is_some() || u.stat(p).is_none()) && u.link(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            39..=41 if u.parents(p) => {
                // The same content on several devices.
                let same = format!("same{}", self.next(2));
                let old = u.read(p).filter(|w| *w != What::Dir);
                if old.as_ref().is_none_or(|o| !matches!(o, What::File(c, _) if *c == same)) && u.write(p, &same).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&same);
                    ledger.exempt(&same);
                }
            }
            42..=43 => {
                // The editors' dance: x -> x.bak, then a new x.
                let bak = format!("{p}.bak");
                if let Some(What::File(c, _)) = u.read(p)
                    && u.read(&bak).is_none() && u.mv(p, &bak).is_some() && u.write(p, &new).is_some() {
                        ledger.exempt(&c);
                        ledger.exempt(&new);
                        ledger.wrote(&new);
                    }
            }
            44..=45
                // A swap of two names.
                if u.read(p).is_some_and(|w| w != What::Dir) && u.read(q).is_some_and(|w| w != What::Dir) && p != q => {
                    for x in [p, q] {
                        if let Some(What::File(c, _) | What::Link(c)) = u.read(x) {
                            ledger.exempt(&c);
                        }
                    }
                    u.mv(p, "swap#");
                    u.mv(q, p);
                    u.parents(q);
                    u.mv("swap#", q);
                }
            46..=47 => self.user_swaps(u, d, e, &mut ledger),
            _ => {}
        }
    }

    fn user_moves(&self, u: &User, from: &str, to: &str, ledger: &mut Ledger) {
        let Some(what) = u.read(from) else { return };
        if from == to || to.starts_with(&format!("{from}/")) || from.starts_with(&format!("{to}/")) {
            return;
        }
        // Another spelling of the same name, on a disk that folds it, replaces nothing.
        let same = u.stat(from).zip(u.stat(to)).is_some_and(|(a, b)| a.ino == b.ino);
        let old = u.read(to).filter(|_| !same);
        let moved: Vec<What> = u.below(from).into_iter().map(|(_, w)| w).chain([what]).collect();
        if u.mv(from, to).is_some() {
            ledger.replaced(old.as_ref());
            for w in &moved {
                if let What::File(c, _) | What::Link(c) = w {
                    ledger.exempt(c);
                }
            }
        }
    }

    /// A swap of two directories' names, too quick for a round to see them on their way.
    fn user_swaps(&self, u: &User, d: &str, e: &str, ledger: &mut Ledger) {
        if !two_directories(u, d, e) {
            return;
        }
        for (_, w) in [d, e].iter().flat_map(|x| u.below(x)) {
            if let What::File(c, _) | What::Link(c) = w {
                ledger.exempt(&c);
            }
        }
        u.mv(d, "swap#");
        u.mv(e, d);
        u.mv("swap#", e);
    }

    /// A user swaps two directories' names, and each move is synced: for the others, who see the end of it only, each has the
    /// other's name, so that neither can leave first.
    pub(super) fn swaps_in_turn(&self, i: usize) {
        let pick = || *self.random.borrow_mut().pick(&DIRS);
        let (d, e) = (pick(), pick());
        if self.trace {
            eprintln!("  user {}: swaps {d} {e} in turn", NAMES[i]);
        }
        let u = &self.machines[i].user;
        if !two_directories(u, d, e) || u.stat("turn#").is_some() {
            return;
        }
        for (from, to) in [(d, "turn#"), (e, d), ("turn#", e)] {
            self.clock.pass(1_000_000_000 + self.next(1_000_000));
            if u.parents(to) {
                self.user_moves(u, from, to, &mut self.ledger.borrow_mut());
            }
            self.round(i);
        }
    }

    /// Two users move two directories, each into the other's, before they hear of each other: a cycle.
    pub(super) fn move_into_each_other(&self, i: usize) {
        let j = self.other(i);
        if self.trace {
            eprintln!("  users {} and {}: d and e into each other", NAMES[i], NAMES[j]);
        }
        self.round(i);
        self.round(j);
        for (k, from, to) in [(i, "d", "e/in"), (j, "e", "d/in")] {
            self.clock.pass(1_000_000_000 + self.next(1_000_000));
            let u = &self.machines[k].user;
            if two_directories(u, "d", "e") && u.stat(to).is_none() {
                self.user_moves(u, from, to, &mut self.ledger.borrow_mut());
            }
        }
    }

    /// A user does something to what has just come into (or was just changed in) the share: whoever works with a folder
    /// that others work with looks at what is new.
    pub(super) fn newest(&self, i: usize) {
        let u = &self.machines[i].user;
        self.clock.pass(1_000_000_000 + self.next(1_000_000));
        let Some(p) = u.newest() else { return };
        let Some(old) = u.read(&p) else { return };
        let mut ledger = self.ledger.borrow_mut();
        ledger.meets(i, u, &p);
        let new = ledger.fresh(i);
        let what = self.next(4);
        if self.trace {
            eprintln!("  user {}: newest {what} {p} {new} over {old:?}", NAMES[i]);
        }
        let done = match what {
            0 | 1 => u.rm(&p).is_some(),
            2 => u.write(&p, &new).is_some(),
            _ => u.save(&p, &new).is_some(),
        };
        if done {
            ledger.replaced(Some(&old));
            if what > 1 {
                ledger.wrote(&new);
            }
        }
    }
}

/// True for two directories of which none lies in the other.
fn two_directories(u: &User, d: &str, e: &str) -> bool {
    let apart = d != e && !d.starts_with(&format!("{e}/")) && !e.starts_with(&format!("{d}/"));
    apart && [d, e].iter().all(|x| u.read(x) == Some(What::Dir))
}
