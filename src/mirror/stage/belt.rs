//! Two cores for one large file: a second thread seals segments while the first one reads, hashes and writes them.
//!
//! Segments go round in a few buffers. The first thread does whatever is next of its own work (it alone touches disks), and
//! seals, too, when there is nothing else for it to do, so neither waits while the other has work. Segments come out in
//! order: what is written does not depend on who sealed what.

use crate::crypt::large::{Sealer, Writer};
use crate::error::Result;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Buffers: one in each thread's hands, one filled, one to be filled. Each is as long as a segment.
const SLOTS: usize = 4;
/// Sealing needs little of a stack.
const STACK: usize = 128 * 1024;

enum Slot {
    /// May be filled, and may have been used before.
    Free(Vec<u8>),
    /// Waits to be sealed.
    Filled(Vec<u8>),
    /// In somebody's hands.
    Taken,
    /// Sealed, with its MAC.
    Sealed(Vec<u8>, [u8; 32]),
}

struct Belt {
    slots: [Slot; SLOTS],
    /// The next segment to be sealed.
    next: u64,
    /// Nothing more will come.
    ended: bool,
}

struct Shared {
    belt: Mutex<Belt>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Belt> {
        self.belt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals the next segment that waits; `false` if none does.
    fn seal_one(&self, sealer: &Sealer) -> bool {
        let mut belt = self.lock();
        let s = belt.next;
        let slot = &mut belt.slots[at(s)];
        let Slot::Filled(object) = slot else { return false };
        let mut object = std::mem::take(object);
        *slot = Slot::Taken;
        belt.next += 1;
        drop(belt);
        let mac = sealer.seal(s, &mut object);
        self.lock().slots[at(s)] = Slot::Sealed(object, mac);
        self.changed.notify_all();
        true
    }

    /// The second thread.
    fn help(&self, sealer: &Sealer) {
        loop {
            if self.seal_one(sealer) {
                continue;
            }
            let belt = self.lock();
            let idle = |b: &mut Belt| !b.ended && !matches!(b.slots[at(b.next)], Slot::Filled(_));
            let belt = self.changed.wait_while(belt, idle).unwrap_or_else(PoisonError::into_inner);
            if belt.ended {
                return;
            }
        }
    }
}

/// Ends the second thread however the first one ends.
struct End<'s>(&'s Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

fn at(segment: u64) -> usize {
    (segment % SLOTS as u64) as usize
}

/// What is done with a file's segments.
pub(super) trait Work {
    /// Fills the place of the next segment; `false` ends the whole.
    fn fill(&mut self, place: &mut [u8]) -> Result<bool>;
    /// Takes the next segment's object.
    fn sealed(&mut self, writer: &mut Writer<'_>, object: &[u8], mac: &[u8; 32]) -> Result<()>;
}

/// Seals all segments of a file, on `threads` threads (one or two); `false` if [`Work::fill`] has ended it.
pub(super) fn seal(writer: &mut Writer<'_>, buffer: &mut Vec<u8>, threads: usize, work: &mut impl Work) -> Result<bool> {
    if threads < 2 {
        return one_by_one(writer, buffer, work);
    }
    let sealer = writer.sealer().clone();
    let shared = Shared {
        belt: Mutex::new(Belt { slots: std::array::from_fn(|_| Slot::Free(Vec::new())), next: 0, ended: false }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        let _end = End(&shared);
        let helper = thread::Builder::new().name("seal".into()).stack_size(STACK);
        match helper.spawn_scoped(scope, || shared.help(&sealer)) {
            Ok(_) => both(writer, &shared, work),
            // No room for another thread.
            Err(_) => one_by_one(writer, buffer, work),
        }
    })
}

fn one_by_one(writer: &mut Writer<'_>, buffer: &mut Vec<u8>, work: &mut impl Work) -> Result<bool> {
    for s in 0..writer.segments() {
        if !work.fill(writer.begin(s, buffer))? {
            return Ok(false);
        }
        let mac = writer.sealer().seal(s, buffer);
        work.sealed(writer, buffer, &mac)?;
    }
    Ok(true)
}

/// The first thread.
fn both(writer: &mut Writer<'_>, shared: &Shared, work: &mut impl Work) -> Result<bool> {
    let segments = writer.segments();
    let (mut filled, mut taken) = (0, 0);
    while taken < segments {
        let mut belt = shared.lock();
        let slot = &mut belt.slots[at(taken)];
        if let Slot::Sealed(object, mac) = slot {
            let (object, mac) = (std::mem::take(object), *mac);
            *slot = Slot::Taken;
            drop(belt);
            work.sealed(writer, &object, &mac)?;
            shared.lock().slots[at(taken)] = Slot::Free(object);
            taken += 1;
            continue;
        }
        if filled < segments
            && let Slot::Free(object) = &mut belt.slots[at(filled)]
        {
            let mut object = std::mem::take(object);
            drop(belt);
            if !work.fill(writer.begin(filled, &mut object))? {
                return Ok(false);
            }
            shared.lock().slots[at(filled)] = Slot::Filled(object);
            shared.changed.notify_all();
            filled += 1;
            continue;
        }
        drop(belt);
        if !shared.seal_one(writer.sealer()) {
            let belt = shared.lock();
            let waits = |b: &mut Belt| matches!(b.slots[at(taken)], Slot::Taken);
            drop(shared.changed.wait_while(belt, waits).unwrap_or_else(PoisonError::into_inner));
        }
    }
    Ok(true)
}
