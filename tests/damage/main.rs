//! Damage to real files of secure and state: what is damaged is named, what is mendable is mended, and no file of the share is
//! ever touched by it.
#![allow(clippy::unwrap_used)]

mod keys;
mod objects;
mod refs;
mod share;
#[path = "../support/mod.rs"]
mod support;
