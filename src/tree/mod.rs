#![doc = include_str!("MERGE.md")]

pub mod conflict;
pub mod entry;
pub mod merge;

pub use entry::{FileKind, Node, Place, Version, Writer};
