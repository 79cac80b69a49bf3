#![no_main]
//! The index of a pack, and objects found by it.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("idx", data));
