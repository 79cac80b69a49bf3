#![no_main]
//! Rules of what is not followed.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("ignore", data));
