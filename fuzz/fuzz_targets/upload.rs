#![no_main]
//! pkt-lines of git-upload-pack: advertisement and answer.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("upload", data));
