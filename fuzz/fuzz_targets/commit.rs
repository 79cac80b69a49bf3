#![no_main]
//! Sealed commits, and notices.
use libfuzzer_sys::fuzz_target;
use sharelock::crypt::{Master, VaultKeys};
use sharelock::id::Id;
fuzz_target!(|data: &[u8]| {
    let keys = VaultKeys::new(&Master::from_bytes(&[9; 32]));
    let _ = sharelock::crypt::seal::open_commit(&keys, &Id([1; 16]), data);
    let _ = sharelock::crypt::notice::open(&keys, data, |_| None);
});
