#![no_main]
//! What a git server says first.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = sharelock::git::wire::advertisement(&mut &data[..]);
});
