//! `sharelock report`: one HTML page that tells how a vault does.
//!
//! It is one file, and asks for nothing: no script, no link, no picture of its own; charts are inline SVG. A strict
//! Content-Security-Policy stands in it, which lets nothing through but the page's one style sheet, by its hash. Names of
//! files, devices and servers are strangers' words: all text goes through [`html::Html::text`], the one place that escapes,
//! and markup can only be what stands in this program's source.
//!
//! This room knows no vault: what there is to tell is put together by the command line ([`Report`]).

mod chart;
mod days;
mod html;
mod page;

pub use page::{MARK, page};
use std::collections::BTreeMap;

/// All that a page tells. Times are texts, by the zone and in the words of who asks; days count from 1970-01-01.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The share, as its owner calls it.
    pub share: String,
    /// The device that tells.
    pub device: String,
    /// When.
    pub made: String,
    /// By which version.
    pub version: String,
    /// How things stand, one line each.
    pub standing: Vec<String>,
    /// Something is wrong, or waits for a decision.
    pub troubled: bool,
    /// The day on which it was made.
    pub today: i64,
    /// Problems and conflicts.
    pub problems: Vec<Problem>,
    /// The devices of the vault, this one first.
    pub devices: Vec<Device>,
    /// Its storage nodes.
    pub nodes: Vec<Node>,
    /// What takes the space on this device, by part.
    pub parts: Vec<Taken>,
    /// The largest in the share.
    pub largest: Vec<Taken>,
}

/// Something to be mended or decided.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    /// The file that it is about.
    pub path: Option<String>,
    /// What it is.
    pub what: String,
    /// The command that answers it.
    pub command: Option<String>,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What is known of it: when it was last heard of, how far it is behind.
    pub lines: Vec<String>,
    /// What it sent on which day.
    pub days: BTreeMap<i64, Day>,
}

/// What a device sent on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// How often.
    pub changes: u64,
    /// How much that was, encrypted.
    pub bytes: u64,
}

/// A storage node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its host or path.
    pub place: String,
    /// How it does.
    pub lines: Vec<String>,
    /// How much it had been given by the end of a day, ascending; only days on which that grew.
    pub given: Vec<(i64, u64)>,
}

/// Something that takes space.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// How much it takes.
    pub bytes: u64,
}
