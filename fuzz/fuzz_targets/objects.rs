#![no_main]
//! Small files, heads of large files, the vault file.
use libfuzzer_sys::fuzz_target;
use sharelock::crypt::{Master, VaultKeys};
use sharelock::id::Id;
fuzz_target!(|data: &[u8]| {
    let keys = VaultKeys::new(&Master::from_bytes(&[9; 32]));
    let mut plain = Vec::new();
    let _ = sharelock::crypt::small::open(&keys, &Id([1; 16]), data, &mut plain);
    let _ = sharelock::crypt::large::read_head(&keys, &Id([1; 16]), data, data.len() as u64);
    let _ = keys.open_vault_file(data);
});
