//! Sealing takes no memory per chunk: counted by the allocation.
#![allow(clippy::unwrap_used)]
// Counting needs an allocator, and an allocator is unsafe; it only passes on to the system's.
#![allow(unsafe_code)]

use sharelock::crypt::backend::{Backend, Choice};
use sharelock::crypt::head::FileHead;
use sharelock::crypt::large::Writer;
use sharelock::crypt::{Master, VaultKeys, small};
use sharelock::id::Id;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this thread has asked for memory.
fn allocations(step: impl FnOnce()) -> usize {
    let before = COUNT.get();
    step();
    COUNT.get() - before
}

fn head(size: usize, segment: u8) -> FileHead {
    FileHead::file(Id([7; 16]), sharelock::tree::Writer::new("test"), size as u64, segment)
}

#[test]
fn sealing_takes_no_memory_per_chunk() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))) == 1, "the allocator counts");
    for backend in Backend::ALL {
        let keys = VaultKeys::by(Choice::all(*backend), &Master::from_bytes(&[1; 32]));
        // A large file: what its first segment has taken serves all the others.
        let writer = Writer::new(&keys, head(5 << 20, 20)).unwrap();
        let (sealer, mut object) = (writer.sealer(), Vec::new());
        let mut seal = |s| {
            writer.begin(s, &mut object).fill(0x5a);
            sealer.seal(s, &mut object);
        };
        let first = allocations(|| seal(0));
        assert!((1..=3).contains(&first), "{backend:?}: {first} for the first segment");
        assert_eq!(allocations(|| (1..5).for_each(seal)), 0, "{backend:?}: four segments of 256 chunks");
        // A small file: as many of one chunk as of 200.
        let [one, many] = [4096, 200 * 4096].map(|size| {
            let (plain, mut out) = (vec![0x5a; size], Vec::with_capacity(2 << 20));
            allocations(|| small::seal(&keys, &mut head(size, 0), &plain, &mut out).unwrap())
        });
        assert_eq!(one, many, "{backend:?}");
    }
}
