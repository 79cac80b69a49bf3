//! A clock and randomness from a seed.

use crate::clock::{Clock, Random, Time};
use crate::error::Result;
use std::cell::Cell;
use std::rc::Rc;

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
pub struct SimRandom(u64);

impl SimRandom {
    /// From a seed.
    pub fn new(seed: u64) -> SimRandom {
        SimRandom(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len() as u64) as usize]
    }
}

impl Random for SimRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        for chunk in out.chunks_mut(8) {
            let n = self.draw().to_le_bytes();
            chunk.copy_from_slice(&n[..chunk.len()]);
        }
        Ok(())
    }
}

/// The world's time: it moves a little at each look, so that no two moments are one.
#[derive(Clone)]
pub struct SimClock {
    now: Rc<Cell<u64>>,
    offset: i16,
}

impl SimClock {
    /// Begins in 2026.
    pub fn new() -> SimClock {
        SimClock { now: Rc::new(Cell::new(1_780_000_000_000_000_000)), offset: 0 }
    }

    /// The same clock for a device in another time zone.
    pub fn with_offset(&self, minutes: i16) -> SimClock {
        SimClock { now: self.now.clone(), offset: minutes }
    }

    /// Lets time pass.
    pub fn pass(&self, nanoseconds: u64) {
        self.now.set(self.now.get() + nanoseconds);
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        self.pass(1000);
        let n = self.now.get();
        Time { s: (n / 1_000_000_000) as i64, ns: (n % 1_000_000_000) as u32 }
    }

    fn offset_minutes(&self, _: Time) -> i16 {
        self.offset
    }

    fn wait(&self, millis: u64) {
        self.pass(millis * 1_000_000);
    }
}
