#![no_main]
//! pkt-lines of git-receive-pack: advertisement and report.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("push", data));
