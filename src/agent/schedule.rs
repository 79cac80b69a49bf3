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
mod tests {
    use super::*;

    const ALL: Work = Work { share: true, secure: true, nodes: true, only_settled: false };
    const SHARE: Work = Work { share: true, ..NOTHING };
    const NOTHING: Work = Work { share: false, secure: false, nodes: false, only_settled: false };

    /// A schedule that has done its first round at 0.
    fn settled() -> Schedule {
        let mut s = Schedule::new(Timing::default());
        assert_eq!(s.next(0), Due::Now(NODES));
        s.everything();
        assert_eq!(s.next(0), Due::Now(ALL));
        s.begin(0, ALL);
        assert_eq!(s.next(0), Due::Never, "one round at a time");
        s.end(0, false, true, 128);
        s
    }

    #[test]
    fn a_burst_is_one_round_when_it_is_over() {
        let mut s = settled();
        for t in [1000, 1100, 1250] {
            s.share_changed(t);
            assert_eq!(s.next(t), Due::At(t + 200));
        }
        assert_eq!(s.next(1449), Due::At(1450));
        assert_eq!(s.next(1450), Due::Now(SHARE));
        s.begin(1450, SHARE);
        s.end(1500, false, true, 0);
        assert!(matches!(s.next(1500), Due::At(t) if t > 50_000));
    }

    #[test]
    fn what_is_written_all_the_time_does_not_hold_the_others_back_and_waits_not_for_ever() {
        let mut s = settled();
        let (mut partial, mut whole) = (Vec::new(), None);
        let mut t = 0;
        while whole.is_none() {
            t += 50;
            s.share_changed(t);
            if let Due::Now(w) = s.next(t) {
                match w.only_settled {
                    true => partial.push(t),
                    false => whole = Some(t),
                }
                s.begin(t, w);
                s.end(t, w.only_settled, true, 0);
            }
        }
        assert_eq!(partial[..3], [1050, 2050, 3050]);
        assert_eq!(whole, Some(10_050), "max_delay after its first change");
    }

    #[test]
    fn a_change_while_a_round_runs_is_taken_by_the_next() {
        let mut s = settled();
        s.share_changed(1000);
        s.begin(1200, SHARE);
        s.share_changed(1300);
        assert_eq!(s.next(1600), Due::Never);
        s.end(1700, false, true, 0);
        assert_eq!(s.next(1700), Due::Now(SHARE));
    }

    #[test]
    fn nodes_are_polled_with_jitter_and_asked_at_once_after_a_notice() {
        let mut s = settled();
        let Due::At(at) = s.next(1) else { panic!("a poll is due") };
        assert!((52_500..67_501).contains(&at), "{at}");
        assert_eq!(s.next(at), Due::Now(NODES));
        s.ask_nodes();
        assert_eq!(s.next(2), Due::Now(NODES));
        s.begin(2, NODES);
        s.end(3, false, false, 0);
        assert_eq!(s.next(3), Due::Never, "without nodes nothing wakes it up");
    }

    #[test]
    fn rounds_for_changes_here_ask_nobody_and_put_off_no_poll() {
        let mut s = settled();
        let Due::At(at) = s.next(1) else { panic!("a poll is due") };
        for t in (1000..at).step_by(1000) {
            s.share_changed(t - 200);
            assert_eq!(s.next(t), Due::Now(SHARE));
            s.begin(t, SHARE);
            s.end(t, false, true, 128);
        }
        assert_eq!(s.next(at), Due::Now(NODES));
        // What is due with a notice comes together.
        s.share_changed(at);
        s.ask_nodes();
        assert_eq!(s.next(at + 200), Due::Now(Work { nodes: true, ..SHARE }));
    }

    #[test]
    fn what_was_left_is_tried_again_later_and_later() {
        let mut s = settled();
        s.everything();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..10 {
            let Due::Now(w) = s.next(now) else { panic!("due at {now}") };
            s.begin(now, w);
            s.end(now, true, false, 0);
            let Due::At(at) = s.next(now) else { panic!("a repetition is due") };
            waits.push(at - now);
            now = at;
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn a_pause_holds_everything_and_ends_by_itself() {
        let mut s = settled();
        s.pause(Some(5000));
        s.share_changed(1000);
        assert_eq!(s.next(2000), Due::At(5000));
        assert_eq!(s.next(5000), Due::Now(Work { nodes: true, ..SHARE }));
        s.pause(None);
        assert_eq!(s.next(1_000_000), Due::Never);
        s.resume();
        assert!(matches!(s.next(1_000_000), Due::Now(_)));
    }

    #[test]
    fn a_round_that_is_asked_for_comes_in_a_pause_and_does_not_end_it() {
        let mut s = settled();
        s.pause(None);
        s.force();
        assert_eq!(s.next(1), Due::Now(ALL));
        s.begin(1, ALL);
        s.end(2, false, true, 0);
        assert_eq!(s.next(1_000_000), Due::Never);
    }

    #[test]
    fn an_echo_in_secure_waits_and_a_change_by_others_does_not() {
        const SECURE: Work = Work { secure: true, ..NOTHING };
        let mut s = settled();
        s.secure_changed(5000);
        assert_eq!(s.next(5000), Due::At(5200));
        assert_eq!(s.next(5200), Due::Now(SECURE));
        s.begin(5200, SECURE);
        s.secure_changed(5300);
        s.end(5400, false, true, 0);
        s.secure_changed(5500);
        assert_eq!(s.next(5500), Due::At(7500));
        // Share does not wait for it.
        s.share_changed(5600);
        assert_eq!(s.next(5800), Due::Now(SHARE));
        s.begin(5800, SHARE);
        s.end(5900, false, true, 0);
        assert_eq!(s.next(7500), Due::Now(SECURE));
        // Written all the time, it is looked at all the same.
        s.begin(7500, SECURE);
        s.end(7500, false, true, 0);
        let late = (9000..40_000).step_by(100).find(|t| {
            s.secure_changed(*t);
            matches!(s.next(*t), Due::Now(w) if w.secure)
        });
        assert_eq!(late, Some(19_000));
    }

    #[test]
    fn a_failing_node_is_left_alone_longer_and_longer() {
        let mut b = Backoff::default();
        let waits: Vec<u64> = (0..11).map(|_| b.failed(255)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]);
        b.succeeded();
        assert_eq!(b.failed(0), 500);
    }
}
