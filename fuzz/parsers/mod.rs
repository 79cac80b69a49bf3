//! What each fuzz target does with its bytes. The targets in `fuzz_targets` are one line each; `tests/fuzz_seeds.rs` plays
//! the seeds of `fuzz/seeds` through the same functions, so that the ordinary suite holds what the fuzzer found.
//!
//! Where a MAC or a checksum would stop everything that is not ours, the target makes a right one over the fuzzer's bytes
//! ([`forge`]): so the fuzzer plays the one writer that gets behind it, a hostile or faulty device of the same vault.

mod chat;
mod crypt;
mod forge;
mod git;
mod text;

/// Name and function of every target; true if something was accepted, behind the forged tag where there is one.
pub const TARGETS: [(&str, fn(&[u8]) -> bool); 20] = [
    ("commit", crypt::commit),
    ("headers", crypt::headers),
    ("keyfile", crypt::keyfile),
    ("large", crypt::large),
    ("names", crypt::names),
    ("notice", crypt::notice),
    ("recovery", crypt::recovery),
    ("small", crypt::small),
    ("idx", git::idx),
    ("index", git::index),
    ("pack", git::pack),
    ("push", git::push),
    ("refs", git::refs),
    ("tree", git::tree),
    ("upload", git::upload),
    ("config", text::config),
    ("ignore", text::ignore),
    ("known_hosts", text::known_hosts),
    ("ssh_config", text::ssh_config),
    ("xml", chat::xml),
];

/// Runs the target of this name.
#[allow(dead_code)]
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|t| t.0 == name).expect("a target of this name");
    target(data);
}
