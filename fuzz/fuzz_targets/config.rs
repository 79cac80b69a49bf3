#![no_main]
//! The configuration file.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = sharelock::config::Config::parse(text, "config.toml", std::path::Path::new("/home/me"));
    }
});
