//! When the agent works next: coalescing of changes, polling, waiting after failures. Pure: time goes in, work comes out.
//!
//! Times are milliseconds of a clock that never goes back and stands still in no case that matters here; its zero is
//! anywhere. Nothing here wakes anybody up: [`Schedule::next`] says when to look again.

/// The configured times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A burst of changes is over when nothing has changed for so long.
    pub quiet: u64,
    /// A file that is still being written to waits so long at most.
    pub max_delay: u64,
    /// How often the storage nodes are asked without a notice.
    pub poll: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { quiet: 200, max_delay: 10_000, poll: 60_000 }
    }
}

/// How many times `quiet` the settled files of a burst wait for those that are still being written to.
const PATIENCE: u64 = 5;
/// The longest wait before a round that left something is repeated.
const LONGEST: u64 = 60_000;
/// Changes in secure that come while a round runs, or just after it, are nearly always its own: they are looked at when
/// there is time.
const ECHO: u64 = 2000;

/// What a round has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Look at share.
    pub share: bool,
    /// Look at secure.
    pub secure: bool,
    /// Ask all nodes for what other devices have pushed.
    pub nodes: bool,
    /// Files that changed within the last `quiet` are left for the next round: somebody may still be writing.
    pub only_settled: bool,
}

/// Ask the nodes, and nothing else.
const NODES: Work = Work { share: false, secure: false, nodes: true, only_settled: false };

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A round.
    Now(Work),
    /// Nothing before this time.
    At(u64),
    /// Nothing before something happens.
    Never,
}

/// A burst of changes.
#[derive(Clone, Copy, Debug)]
struct Burst {
    first: u64,
    last: u64,
    /// When its settled files were last taken.
    taken: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    timing: Timing,
    burst: Option<Burst>,
    /// When secure is to be looked at, and when it first changed.
    secure: Option<(u64, u64)>,
    ended: Option<u64>,
    /// A round of everything, now.
    all: bool,
    /// The nodes are asked now.
    ask: bool,
    /// The round that runs asks them.
    asking: bool,
    poll_at: Option<u64>,
    /// A round left something undone: when it is repeated, and how long the wait was.
    again: Option<(u64, u64)>,
    /// How long the round that runs has waited as a repetition.
    waited: u64,
    /// `Some(None)`: until somebody says `resume`.
    paused: Option<Option<u64>>,
    /// The next round comes in spite of a pause.
    forced: bool,
    busy: bool,
}

impl Schedule {
    /// Begins with asking the nodes; a look at everything is due once the folders are watched.
    pub fn new(timing: Timing) -> Schedule {
        Schedule {
            timing,
            burst: None,
            secure: None,
            ended: None,
            all: false,
            ask: true,
            asking: false,
            poll_at: None,
            again: None,
            waited: 0,
            paused: None,
            forced: false,
            busy: false,
        }
    }

    /// The configuration was read again.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Something changed in share.
    pub fn share_changed(&mut self, now: u64) {
        let b = self.burst.get_or_insert(Burst { first: now, last: now, taken: now });
        b.last = now;
    }

    /// Something changed in secure; most of the time we have written it ourselves.
    pub fn secure_changed(&mut self, now: u64) {
        let echo = self.busy || self.ended.is_some_and(|t| now < t + self.timing.quiet * PATIENCE);
        let first = self.secure.map_or(now, |(_, first)| first);
        let delay = if echo { self.timing.quiet.max(ECHO) } else { self.timing.quiet };
        self.secure = Some(((now + delay).min(first + self.timing.max_delay.max(delay)), first));
    }

    /// Look at everything, at once: `sync`, a start, a watcher that lost events.
    pub fn everything(&mut self) {
        self.all = true;
        self.ask = true;
    }

    /// As [`Schedule::everything`], and in spite of a pause, which then goes on: somebody asks for a round.
    pub fn force(&mut self) {
        self.everything();
        self.forced = true;
    }

    /// Ask the nodes at once: a notice, a network that came back, the machine woke up.
    pub fn ask_nodes(&mut self) {
        self.ask = true;
    }

    /// Nothing is done until `until` (`None`: until [`Schedule::resume`]).
    pub fn pause(&mut self, until: Option<u64>) {
        self.paused = Some(until);
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.ask = true;
        }
    }

    /// The pause: until when; `None` inside: until somebody ends it.
    pub fn paused(&self) -> Option<Option<u64>> {
        self.paused
    }

    /// True if changes wait for a round.
    pub fn has_changes(&self) -> bool {
        self.burst.is_some() || self.all || self.again.is_some()
    }

    /// A round begins: what it takes is no longer due.
    pub fn begin(&mut self, now: u64, work: Work) {
        self.busy = true;
        self.forced = false;
        self.asking = work.nodes;
        if work.nodes {
            self.ask = false;
        }
        self.waited = self.again.take().map_or(0, |(_, wait)| wait);
        if work.share && work.secure {
            self.all = false;
        }
        if work.secure {
            self.secure = None;
        }
        if work.share {
            match &mut self.burst {
                Some(b) if work.only_settled => b.taken = now,
                burst => *burst = None,
            }
        }
    }

    /// True while a round runs.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// A round is over. `again`: it left something; `polls`: there are nodes to ask; `jitter`: 0..=255, any.
    pub fn end(&mut self, now: u64, again: bool, polls: bool, jitter: u8) {
        self.busy = false;
        self.ended = Some(now);
        if again && self.burst.is_none() {
            let wait = (self.waited * 2).clamp(self.timing.quiet.max(500), LONGEST);
            self.again = Some((now + wait, wait));
        }
        if !polls {
            self.poll_at = None;
        } else if self.asking {
            self.poll_at = Some(now + self.timing.poll - self.timing.poll / 8 + self.timing.poll / 4 * u64::from(jitter) / 255);
        }
    }

    /// What is to be done at `now`: nothing while a round runs.
    pub fn next(&mut self, now: u64) -> Due {
        if self.busy { Due::Never } else { self.due(now) }
    }

    /// What would be done at `now` if no round ran.
    pub fn due(&mut self, now: u64) -> Due {
        if let Some(Some(until)) = self.paused
            && until <= now
        {
            self.resume();
        }
        if let Some(until) = self.paused.filter(|_| !self.forced) {
            return until.map_or(Due::Never, Due::At);
        }
        if self.all {
            return Due::Now(Work { share: true, secure: true, nodes: true, only_settled: false });
        }
        let nodes = self.ask;
        let mut soonest: Option<u64> = self.secure.map(|(at, _)| at);
        let secure = soonest.is_some_and(|at| at <= now);
        if let Some(b) = self.burst {
            let whole = (b.last + self.timing.quiet).min(b.first + self.timing.max_delay);
            let settled = b.taken + self.timing.quiet * PATIENCE;
            if whole <= now {
                return Due::Now(Work { share: true, secure, nodes, only_settled: false });
            }
            if settled <= now {
                return Due::Now(Work { share: true, secure, nodes, only_settled: true });
            }
            let at = whole.min(settled);
            soonest = Some(soonest.map_or(at, |s| s.min(at)));
        }
        if secure {
            return Due::Now(Work { share: false, secure, nodes, only_settled: false });
        }
        if self.ask {
            return Due::Now(NODES);
        }
        if let Some((at, _)) = self.again {
            if at <= now {
                return Due::Now(Work { share: true, secure: true, nodes: true, only_settled: false });
            }
            soonest = Some(soonest.map_or(at, |s| s.min(at)));
        }
        if let Some(at) = self.poll_at {
            if at <= now {
                return Due::Now(NODES);
            }
            soonest = Some(soonest.map_or(at, |s| s.min(at)));
        }
        soonest.map_or(Due::Never, Due::At)
    }
}

/// How long a node that does not answer is left alone: doubling from 1 s to 5 minutes, with jitter, so that devices
/// that lost one server do not come back to it all at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Milliseconds until the next try, after one more failure.
    pub fn failed(&mut self, jitter: u8) -> u64 {
        let base = (1000u64 << self.failures.min(9)).min(300_000);
        self.failures = self.failures.saturating_add(1);
        base / 2 + base / 2 * u64::from(jitter) / 255
    }

    /// It answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
