#![no_main]
//! ~/.ssh/config.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("ssh_config", data));
