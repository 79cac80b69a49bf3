#![no_main]
//! known_hosts, ssh URLs, lines for authorized_keys.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("known_hosts", data));
