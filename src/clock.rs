//! Time and randomness: two of the five seams. Engine code never asks the system for either by itself.

pub mod date;
pub mod system;
mod zone;

use crate::error::Result;

/// A point in time: seconds and nanoseconds since 1970-01-01 UTC. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub s: i64,
    /// Nanoseconds, below 10^9.
    pub ns: u32,
}

impl Time {
    /// The nearest time that a file head can say (FORMAT 6): some disks keep later ones.
    pub fn sealable(self) -> Time {
        Time { s: self.s.clamp(-(1 << 40), 1 << 40), ..self }
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub fn nanos(self) -> i128 {
        i128::from(self.s) * 1_000_000_000 + i128::from(self.ns)
    }
}

/// The clock seam.
pub trait Clock {
    /// Now, by the wall clock.
    fn now(&self) -> Time;
    /// This device's offset from UTC at `at`, in minutes (for conflict names).
    fn offset_minutes(&self, at: Time) -> i16;
    /// Waits, for instance before a push is tried again. The simulation only moves its clock.
    fn wait(&self, millis: u64);
}

/// The randomness seam.
pub trait Random {
    /// Fills `out` with bytes that nobody can predict.
    fn fill(&mut self, out: &mut [u8]) -> Result<()>;
}
