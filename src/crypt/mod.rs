#![doc = include_str!("FORMAT.md")]

pub mod backend;
mod chunk;
pub mod head;
pub mod header;
pub mod keyfile;
pub mod keys;
pub mod large;
mod lock;
pub mod name;
pub mod notice;
pub mod pad;
mod part;
pub mod recovery;
pub mod seal;
pub mod siv;
pub mod small;
#[cfg(test)]
mod tests;
pub mod unlocked;

pub use keys::{Master, VaultKeys};
pub use large::content_mac;

/// Longest `head` object: of a file of 16 TiB.
pub const HEAD_LIMIT: u64 = 2_105_480;
