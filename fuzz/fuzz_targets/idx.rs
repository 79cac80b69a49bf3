#![no_main]
//! The index of a pack, and objects found by it.
use libfuzzer_sys::fuzz_target;
use sharelock::files::Files;
use sharelock::git::store::Store;
use sharelock::sim::clock::SimClock;
use sharelock::sim::disk::{ABLE, SimDisk};
use std::io::Write;
fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new(ABLE, &SimClock::new());
    let store = Store::init(&disk, &1, true).expect("an empty repository");
    drop(store);
    let dir = disk.open_dir(&disk.open_dir(&1, b"objects").expect("made"), b"pack").expect("made");
    let (idx, pack) = data.split_at(data.len() / 2);
    disk.create(&dir, b"pack-x.pack", 0o644).and_then(|mut f| f.write_all(pack)).expect("written");
    disk.create(&dir, b"pack-x.idx", 0o644).and_then(|mut f| f.write_all(idx)).expect("written");
    if let Ok(store) = Store::open(&disk, &1) {
        let mut oid = [0; 20];
        oid.iter_mut().zip(data).for_each(|(o, d)| *o = *d);
        let _ = store.header(&sharelock::id::Oid(oid));
        let _ = store.read_any(&sharelock::id::Oid(oid), 1 << 20);
    }
});
