#![doc = include_str!("MERGE.md")]

pub mod conflict;
pub mod entry;
pub mod merge;
mod naming;
pub mod partial;
pub mod planted;
pub mod rows;

pub use entry::{FileKind, Node, Place, Version, Writer};
pub use partial::Tree;
