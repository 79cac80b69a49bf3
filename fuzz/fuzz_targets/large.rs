#![no_main]
//! Large files: head, lists, segments, random access.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("large", data));
