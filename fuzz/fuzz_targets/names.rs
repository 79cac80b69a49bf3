#![no_main]
//! Entry names and long names.
use libfuzzer_sys::fuzz_target;
use sharelock::crypt::{Master, VaultKeys};
use sharelock::id::Id;
fuzz_target!(|data: &[u8]| {
    let keys = VaultKeys::new(&Master::from_bytes(&[9; 32]));
    let (name, long) = data.split_at(data.len() / 2);
    let _ = sharelock::crypt::name::classify(data);
    let _ = sharelock::crypt::name::open(&keys, &Id([1; 16]), name, Some(long));
    let _ = sharelock::crypt::name::open(&keys, &Id([1; 16]), data, None);
});
