//! The real clock and the kernel's randomness.

use super::{Clock, Random, Time, zone};
use crate::error::{Error, Result};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Time {
        // Not by std, which on ARM with musl asks for 32 bits of seconds, and ends the program from 2038 on.
        let t = clock_gettime(ClockId::Realtime);
        // A clock that was never set may stand before 1970; what a commit says must not.
        Time { s: t.tv_sec, ns: u32::try_from(t.tv_nsec).unwrap_or(0) }.max(Time::default())
    }

    fn offset_minutes(&self, at: Time) -> i16 {
        zone::offset_minutes(at.s)
    }

    fn wait(&self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }
}

/// Random bytes from the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|e| Error::failed("the system gives no random bytes").because(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_systems_clock() {
        let std = || std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let (before, now, after) = (std(), System.now(), std());
        let at = Duration::new(now.s.try_into().expect("after 1970"), now.ns);
        assert!(before <= at && at <= after, "{before:?} {at:?} {after:?}");
    }
}
