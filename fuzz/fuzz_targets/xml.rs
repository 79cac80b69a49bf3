#![no_main]
//! What an XMPP server may send: before TLS, after it, and once the stream is up.
#[path = "../parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::run("xml", data));
