#![no_main]
//! The index of a work tree, and refs, packed and loose.
use libfuzzer_sys::fuzz_target;
use sharelock::files::Files;
use sharelock::git::store::Store;
use sharelock::sim::clock::SimClock;
use sharelock::sim::disk::{ABLE, SimDisk};
use std::io::Write;
fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new(ABLE, &SimClock::new());
    let store = Store::init(&disk, &1, false).expect("an empty repository");
    for name in [&b"index"[..], b"packed-refs"] {
        disk.create(&1, name, 0o644).and_then(|mut f| f.write_all(data)).expect("written");
    }
    if let Ok(Some(mut index)) = store.index() {
        let mut entry = sharelock::git::index::Entry::default();
        while index.next(&mut entry).unwrap_or(false) {}
    }
    let _ = store.refs("refs/");
});
