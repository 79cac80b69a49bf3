//! Signs of life of a storage node, seen from another thread.
//!
//! A node that says nothing may be at work, or behind a line that has died without a word: whoever talks with it waits
//! patiently, for minutes. Whoever has something else to do meanwhile looks at this, and cuts the line.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module. Clones share one state.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Mutex<Beat>>);

#[derive(Default)]
struct Beat {
    /// It is waited for.
    waited: bool,
    /// Its last sign of life, or when it was first waited for since [`Pulse::take_up`].
    since: Option<Instant>,
    cut: Option<Box<dyn Fn() + Send>>,
    given_up: bool,
}

impl Pulse {
    fn beat(&self) -> MutexGuard<'_, Beat> {
        // Each change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the node is waited for, until the result is dropped.
    pub fn waiting(&self) -> Waiting {
        let mut beat = self.beat();
        beat.waited = true;
        beat.since.get_or_insert_with(Instant::now);
        drop(beat);
        Waiting(self.clone())
    }

    /// The line that is in use: `cut` makes every wait on it return with an error.
    pub fn line(&self, cut: impl Fn() + Send + 'static) {
        self.beat().cut = Some(Box::new(cut));
    }

    /// The node has said or taken something.
    pub fn alive(&self) {
        self.beat().since = Some(Instant::now());
    }

    /// How long the node has been waited for without a sign of it, however often it was tried meanwhile; `None` if it is not
    /// waited for.
    pub fn silence(&self) -> Option<Duration> {
        let beat = self.beat();
        beat.since.filter(|_| beat.waited).map(|since| since.elapsed())
    }

    /// Ends the conversation: what waits for the node returns with an error, and so does what would begin another one, until
    /// [`Pulse::take_up`]. For whoever is cut off asks once more what has become of it, and would wait again.
    pub fn give_up(&self) {
        let mut beat = self.beat();
        beat.given_up = true;
        if let Some(cut) = &beat.cut {
            cut();
        }
    }

    /// The node may be spoken with again.
    pub fn take_up(&self) {
        let mut beat = self.beat();
        (beat.given_up, beat.since) = (false, None);
    }

    /// True from [`Pulse::give_up`] until [`Pulse::take_up`].
    pub fn is_given_up(&self) -> bool {
        self.beat().given_up
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.silence()).finish()
    }
}

/// The node is waited for as long as this lives.
#[must_use]
pub struct Waiting(Pulse);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.beat().waited = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn silence_is_counted_while_somebody_waits() {
        let pulse = Pulse::default();
        assert_eq!(pulse.silence(), None);
        pulse.alive();
        assert_eq!(pulse.silence(), None, "nobody waits");
        let waiting = pulse.waiting();
        while pulse.silence() < Some(Duration::from_millis(2)) {}
        let before = Instant::now();
        pulse.alive();
        assert!(pulse.silence() <= Some(before.elapsed()));
        drop(waiting);
        assert_eq!(pulse.silence(), None);
        // The next try goes on with the same silence.
        pulse.alive();
        while pulse.waiting().0.silence() < Some(Duration::from_millis(2)) {}
        pulse.take_up();
        let before = Instant::now();
        let _waiting = pulse.waiting();
        assert!(pulse.silence() <= Some(before.elapsed()));
    }

    #[test]
    fn a_line_is_cut_and_no_other_begun() {
        let pulse = Pulse::default();
        let cuts = Arc::new(AtomicU32::new(0));
        let count = cuts.clone();
        let _waiting = pulse.waiting();
        pulse.give_up();
        assert!(pulse.is_given_up(), "there was no line yet");
        pulse.line(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        pulse.give_up();
        assert_eq!(cuts.load(Ordering::Relaxed), 1);
        let _next = pulse.waiting();
        assert!(pulse.is_given_up());
        pulse.take_up();
        assert!(!pulse.is_given_up());
    }
}
