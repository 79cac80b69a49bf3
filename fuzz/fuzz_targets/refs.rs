#![no_main]
//! packed-refs, loose refs, HEAD.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("refs", data));
