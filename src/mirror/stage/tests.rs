//! What two threads seal is what one seals, in order, and an end at any place is an end.
#![allow(clippy::unwrap_used)]

use super::belt::{Work, seal};
use crate::crypt::head::FileHead;
use crate::crypt::large::Writer;
use crate::crypt::{Master, VaultKeys};
use crate::error::{Error, Result};
use crate::id::Id;
use crate::tree;

/// Small segments, and more of them than the belt has room for; the last ones hold little, or padding only.
const SIZES: [u64; 4] = [(1 << 20) + 1, 17 << 16, (33 << 16) - 1, 40 << 16];

fn head(size: u64) -> FileHead {
    FileHead::file(Id([7; 16]), tree::Writer::new("test"), size, 16)
}

/// What the file's segments hold is their number; ends at a place, if it is to.
#[derive(Default)]
struct Seen {
    filled: u8,
    objects: Vec<Vec<u8>>,
    end_at: Option<u8>,
    fail_at: Option<usize>,
}

impl Work for Seen {
    fn fill(&mut self, place: &mut [u8]) -> Result<bool> {
        if self.end_at == Some(self.filled) {
            return Ok(false);
        }
        place.fill(self.filled);
        self.filled += 1;
        Ok(true)
    }

    fn sealed(&mut self, writer: &mut Writer<'_>, object: &[u8], mac: &[u8; 32]) -> Result<()> {
        if self.fail_at == Some(self.objects.len()) {
            return Err(Error::failed("no room"));
        }
        writer.take(mac)?;
        self.objects.push(object.to_vec());
        Ok(())
    }
}

fn run(size: u64, threads: usize, mut seen: Seen) -> (Result<bool>, Seen, Option<[u8; 32]>) {
    let keys = VaultKeys::new(&Master::from_bytes(&[1; 32]));
    let mut writer = Writer::new(&keys, head(size)).unwrap();
    let mut buffer = Vec::new();
    let whole = seal(&mut writer, &mut buffer, threads, &mut seen);
    let mac = matches!(whole, Ok(true)).then(|| writer.finish(&mut buffer).unwrap().mac);
    (whole, seen, mac)
}

#[test]
fn two_threads_seal_what_one_seals() {
    for size in SIZES {
        let (_, one, mac) = run(size, 1, Seen::default());
        assert_eq!(one.objects.len() as u64, crate::crypt::pad::padded(size).div_ceil(1 << 16));
        for _ in 0..5 {
            let (whole, two, other) = run(size, 2, Seen::default());
            assert!(matches!(whole, Ok(true)));
            assert!(one.objects == two.objects && mac == other && mac.is_some(), "{size} bytes");
        }
    }
}

#[test]
fn an_end_at_any_place_is_an_end() {
    for threads in [1, 2] {
        for n in [0, 1, 3, 4, 5, 16] {
            let (whole, seen, _) = run(SIZES[3], threads, Seen { end_at: Some(n), ..Seen::default() });
            assert!(matches!(whole, Ok(false)) && seen.objects.len() <= usize::from(n), "{threads} threads, {n}");
            let (failed, seen, _) = run(SIZES[3], threads, Seen { fail_at: Some(usize::from(n)), ..Seen::default() });
            assert!(failed.is_err() && seen.objects.len() == usize::from(n), "{threads} threads, {n}");
        }
    }
}
