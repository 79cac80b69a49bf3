//! The real clock and the kernel's randomness.

use super::{Clock, Random, Time, zone};
use crate::error::{Error, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Time {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(d) => Time { s: d.as_secs() as i64, ns: d.subsec_nanos() },
            Err(_) => Time::default(),
        }
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
