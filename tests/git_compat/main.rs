//! The git engine, judged by stock git in both directions. Everything happens in temporary directories, with no
//! configuration of this machine or user.
#![allow(clippy::unwrap_used)]

mod index;
mod index_split;
mod ingest;
mod local;
mod packs;
mod support;
mod walk;
mod wire;
