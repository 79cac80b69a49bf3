#![no_main]
//! The 8 bytes of every object, and the vault file.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("headers", data));
