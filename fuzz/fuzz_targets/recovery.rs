#![no_main]
//! Recovery keys as typed.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = sharelock::crypt::recovery::parse(text);
        for g in 0..8 {
            let _ = sharelock::crypt::recovery::parse_group(g, text);
        }
    }
});
