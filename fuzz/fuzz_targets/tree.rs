#![no_main]
//! Git trees, and the lines of a commit that are read unsealed.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("tree", data));
