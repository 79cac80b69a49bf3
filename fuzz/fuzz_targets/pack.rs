#![no_main]
//! A pack as a server sends it.
use libfuzzer_sys::fuzz_target;
use sharelock::git::store::Store;
use sharelock::sim::clock::SimClock;
use sharelock::sim::disk::{ABLE, SimDisk};
use std::io::Write;
fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new(ABLE, &SimClock::new());
    let store = Store::init(&disk, &1, true).expect("an empty repository");
    let mut ingest = store.ingest().expect("a temporary file");
    for piece in data.chunks(7) {
        if ingest.write_all(piece).is_err() {
            break;
        }
    }
    let _ = ingest.finish();
});
