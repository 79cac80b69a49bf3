#![no_main]
//! The key file, up to where the password would be asked.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = sharelock::crypt::keyfile::peek(data);
});
