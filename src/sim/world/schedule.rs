//! When things happen: the steps of a seed, and what strikes in the middle of a round.

use super::{Mode, NAMES, World};
use crate::sim::hook::{Act, Seam};

/// What the scheduler does at a verb.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A user of this device does anything.
    User(usize),
    /// A user of this device does something to what has just come.
    Newest(usize),
    /// This device runs a whole round.
    Round(usize),
    Kill,
    Power,
    Cut,
}

impl Event {
    /// Its name in tables.
    fn name(self) -> &'static str {
        match self {
            Event::User(_) => "user acts",
            Event::Newest(_) => "user, what came",
            Event::Round(_) => "another's round",
            Event::Kill => "killed",
            Event::Power => "power cut",
            Event::Cut => "line cut",
        }
    }
}

/// The verbs at which an event may strike.
#[derive(Clone, Copy, Debug)]
enum Spot {
    Anywhere,
    /// Whatever goes over a line.
    Line,
    /// A node has told its head, or sent what is missing of it.
    Asked,
    /// A name in the share has changed, and the database does not know it yet.
    Moved,
    /// A file of the share is half read.
    Torn,
    /// This verb of the share.
    Verb(&'static str),
    /// Anything on this disk has changed. (Most verbs look at something: where all are equal, hardly any that changes
    /// something is struck.)
    Changed(Seam),
}

impl Spot {
    fn covers(self, seam: Seam, verb: &str) -> bool {
        match self {
            Spot::Anywhere => true,
            Spot::Line => seam == Seam::Remote,
            Spot::Asked => seam == Seam::Remote && matches!(verb, "refs" | "fetch"),
            Spot::Torn => seam == Seam::Share && verb == "read",
            Spot::Verb(of) => seam == Seam::Share && verb == of,
            Spot::Changed(of) => seam == of && !matches!(verb, "stat" | "open" | "list" | "read"),
            Spot::Moved => seam == Seam::Share && matches!(verb, "rename" | "rename_noreplace" | "link" | "exchange" | "unlink"),
        }
    }
}

/// Verbs that change a share, but seldom come in a round.
const RARE: [&str; 6] = ["exchange", "link", "mkdir", "rename", "rmdir", "symlink"];

/// An event that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// At which of the verbs of its spot, counted from now.
    left: u64,
    spot: Spot,
    event: Event,
}

impl World {
    /// The scheduler: a verb of device `device` is about to return.
    pub(super) fn at(&self, device: usize, seam: Seam, verb: &'static str) -> Act {
        self.verbs.set(self.verbs.get() + 1);
        self.covered.borrow_mut().verb(seam, verb);
        let event = {
            let mut due = self.due.borrow_mut();
            if due.is_empty() || self.depth.get() > 1 {
                return Act::Go;
            }
            due.iter_mut().filter(|d| d.spot.covers(seam, verb)).for_each(|d| d.left = d.left.saturating_sub(1));
            match due.iter().position(|d| d.left == 0) {
                Some(n) => due.remove(n).event,
                None => return Act::Go,
            }
        };
        if self.trace {
            eprintln!("    {} {seam:?} {verb}: {event:?}", NAMES[device]);
        }
        self.covered.borrow_mut().strikes(event.name(), seam, verb);
        match event {
            Event::User(i) => self.user_acts(i),
            Event::Newest(i) => self.newest(i),
            Event::Round(i) if i != device => self.any_round(i),
            Event::Round(_) => {}
            Event::Kill => return self.unsure(Act::Kill),
            Event::Power => {
                self.machines[device].power.set(true);
                return self.unsure(Act::Kill);
            }
            Event::Cut => return self.unsure(Act::Cut),
        }
        Act::Go
    }

    /// From here on a device may not know what it has stored.
    fn unsure(&self, act: Act) -> Act {
        self.unsure.set(true);
        act
    }

    /// One step of the seed.
    pub(super) fn step(&self) {
        let n = self.machines.len();
        let i = self.next(n as u64) as usize;
        if self.mode == Mode::Serial {
            match self.chance(20) {
                true => self.swaps_in_turn(i),
                false => (0..=self.next(3)).for_each(|_| self.user_acts(i)),
            }
            let (before, left) = (self.standing(), self.machines[i].user.tree());
            self.settle();
            self.all_have_what_one_left(i, &left);
            return self.renamed_files_are_the_same_files(i, &before);
        }
        match self.next(107) {
            0..=39 => self.user_acts(i),
            40..=79 => {
                if self.mode != Mode::Cross || self.chance(60) {
                    self.plan_events(i);
                }
                self.any_round(i);
                self.due.borrow_mut().clear();
            }
            80..=87 => {
                let down = &self.machines[i].down;
                let r = self.next(down.len() as u64) as usize;
                down[r].set(self.chance(60));
            }
            88..=95 if self.mode == Mode::Cross => {
                self.apart(i);
                if self.chance(50) {
                    self.meet(i);
                }
            }
            96..=98 if self.mode == Mode::Cross => self.meet(i),
            88..=91 if self.mode == Mode::Nodes => self.heals(i, self.next(self.nodes.len() as u64) as usize),
            90..=92 if self.mode == Mode::Lose => {
                if self.trace {
                    eprintln!("  {} loses its database", NAMES[i]);
                }
                self.lose_database(i);
            }
            100..=105 => self.swaps_in_turn(i),
            106 => self.move_into_each_other(i),
            _ => self.user_acts(i),
        }
    }

    /// Another device than `i`.
    pub(super) fn other(&self, i: usize) -> usize {
        let n = self.machines.len();
        (i + 1 + self.next(n as u64 - 1) as usize) % n
    }

    /// The nodes are apart: each device reaches one, and two devices that do not reach the same one store something new.
    fn apart(&self, i: usize) {
        for (j, m) in self.machines.iter().enumerate() {
            for (r, d) in m.down.iter().enumerate() {
                d.set(j % 2 != r);
            }
        }
        for j in [i, (i + 1) % self.machines.len()] {
            for _ in 0..=self.next(2) {
                self.user_acts(j);
            }
            self.round(j);
        }
    }

    /// All nodes can be reached again, and two devices that may have something new find that out at the same time: the
    /// round of one comes between the questions and the answers of the other's.
    fn meet(&self, i: usize) {
        self.machines.iter().for_each(|m| m.down.iter().for_each(|d| d.set(false)));
        let j = self.other(i);
        for k in [i, j] {
            match self.next(4) {
                0 => self.user_acts(k),
                1 | 2 => self.newest(k),
                _ => {}
            }
        }
        self.due.borrow_mut().push(Due { left: 1 + self.next(4), spot: Spot::Asked, event: Event::Round(j) });
        self.round(i);
        self.due.borrow_mut().clear();
    }

    /// The next round is ended by a kill at its `nth` verb, or at the `nth` that changes a name in the share.
    pub(super) fn plan_kill(&self, nth: u64, in_share: bool) {
        let spot = if in_share { Spot::Moved } else { Spot::Anywhere };
        self.due.borrow_mut().push(Due { left: nth, spot, event: Event::Kill });
    }

    /// What happens during the next round of device `i`.
    fn plan_events(&self, i: usize) {
        let busy = matches!(self.mode, Mode::Busy | Mode::Power);
        let n = self.next(if busy { 4 } else { 2 });
        let range = u64::from(self.average.get().max(20)) + 20;
        let mut due = self.due.borrow_mut();
        for _ in 0..n {
            let event = match self.next(10) {
                0..=4 => Event::User(i),
                5 => Event::Round(self.next(self.machines.len() as u64) as usize),
                6 => Event::Cut,
                7 if self.mode == Mode::Power => Event::Power,
                _ if self.mode == Mode::Power && self.chance(40) => Event::Power,
                _ if busy || self.chance(30) => Event::Kill,
                _ => Event::User(i),
            };
            due.push(match event {
                Event::Cut => Due { left: 1 + self.next(8), spot: Spot::Line, event },
                event => match self.next(4) {
                    0 => Due { left: 1 + self.next(12), spot: Spot::Changed(Seam::Share), event },
                    1 => Due { left: 1 + self.next(100), spot: Spot::Changed(Seam::Secure), event },
                    _ => Due { left: 1 + self.next(range), spot: Spot::Anywhere, event },
                },
            });
        }
        if self.chance(15) {
            due.push(Due { left: 1 + self.next(4), spot: Spot::Torn, event: Event::Newest(i) });
        }
        if self.chance(10) {
            let verb = *self.random.borrow_mut().pick(&RARE);
            due.push(Due { left: 1 + self.next(2), spot: Spot::Verb(verb), event: Event::Kill });
        }
        if busy && self.chance(50) {
            let event = match self.next(4) {
                0 | 1 => Event::Newest(i),
                2 if self.mode == Mode::Power => Event::Power,
                _ => Event::Kill,
            };
            due.push(Due { left: 1 + self.next(4), spot: Spot::Moved, event });
        }
    }
}
