//! What the tests of this module share; the tests stand by subject in `tests/`.
#![allow(clippy::unwrap_used)]

mod backends;
mod files;
mod names;
mod primitives;
mod seals;
mod secrets;

use super::head::{FileHead, HeadKind};
use super::large::{Part, Parts};
use super::{Master, VaultKeys};
use crate::clock::{Random, Time};
use crate::error::{Class, Error, Kind, Result};
use crate::id::Id;
use crate::tree::Writer;
use std::collections::BTreeMap;

fn keys() -> VaultKeys {
    VaultKeys::new(&Master::from_bytes(&std::array::from_fn(|i| i as u8)))
}

fn class<T: std::fmt::Debug>(r: Result<T>) -> Class {
    match r.unwrap_err().kind() {
        Kind::Integrity(c) => c,
        k => panic!("{k:?} where an object must be refused"),
    }
}

fn head(size: usize, segment: u8) -> FileHead {
    FileHead {
        id: Id([7; 16]),
        kind: HeadKind::File,
        exec: true,
        private: false,
        mtime: Time { s: -5, ns: 999_999_999 },
        offset: -90,
        size: size as u64,
        generation: 3,
        mac: [0; 32],
        writer: Writer::new("läptop"),
        segment,
        epoch: 0,
    }
}

fn bytes(n: usize) -> Vec<u8> {
    let mut x = 1u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..n).map(|_| next()).collect()
}

/// The parts of a large file in memory.
#[derive(Clone, Default)]
struct Disk(BTreeMap<Part, Vec<u8>>);

impl Parts for Disk {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b[..b.len().min(limit as usize)].to_vec()))
    }
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b.iter().skip(offset as usize).take(len).copied().collect()))
    }
    fn len(&self, part: Part) -> Result<Option<u64>> {
        Ok(self.0.get(&part).map(|b| b.len() as u64))
    }
}

struct Fixed;
impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Error> {
        out.fill(0x42);
        Ok(())
    }
}
