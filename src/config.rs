//! The configuration file, in TOML: what it says ([`Config`]), how it is read (`parse`), how it is written (`write`), and
//! what is taken over from an old `~/.autosync` ([`autosync`]).

pub mod autosync;
mod parse;
mod write;
#[cfg(feature = "xmpp")]
mod xmpp;

use crate::tree::Writer;
use crate::watch::Choice;
use std::path::{Path, PathBuf};

pub use parse::ignore_lines;
pub use write::{Account, First, Wishes, with_device, with_remote, without_remote, write};
#[cfg(feature = "xmpp")]
pub use xmpp::Xmpp;

/// A storage node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// `ssh://`, `user@host:path`, or a local path.
    pub url: String,
}

/// A way to tell a person something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// A notification on the desktop.
    Desktop,
    /// By chat, to those of `xmpp.alsonotify`.
    Xmpp,
    /// The log only.
    Log,
    /// Not at all.
    None,
}

/// The longest time that a configuration may ask for, in milliseconds: a week.
const MOST: u64 = 7 * 86_400_000;

/// The checked configuration of one vault on one device.
#[derive(Clone, Debug)]
pub struct Config {
    /// The plain folder.
    pub share: PathBuf,
    /// The encrypted folder.
    pub secure: PathBuf,
    /// This device's name.
    pub device: Writer,
    /// A command that prints the password.
    pub password_command: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Further ignore patterns.
    pub ignore: Vec<String>,
    /// Bytes that stay free.
    pub min_free: u64,
    /// The brake's number of files.
    pub brake_files: u64,
    /// The brake's fraction.
    pub brake_fraction: f64,
    /// A burst of changes is over after so many milliseconds without one.
    pub quiet: u64,
    /// A file that is still written to waits so many milliseconds at most.
    pub max_delay: u64,
    /// Storage nodes are asked every so many milliseconds.
    pub poll: u64,
    /// How the folders are watched.
    pub watch: Choice,
    /// How a person is told.
    pub notify: Vec<Notify>,
    /// Storage nodes, in order.
    pub remotes: Vec<Remote>,
    /// What this build cannot heed, each with its place and what follows from it.
    pub unheeded: Vec<String>,
    /// The account for notices.
    #[cfg(feature = "xmpp")]
    pub xmpp: Option<Xmpp>,
}

/// Reads `64MB`, `500 kB`, `1GB`, `0`: powers of 1000.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = match text.trim()[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads `200ms`, `10s`, `2h`: milliseconds.
pub fn duration(text: &str) -> Option<u64> {
    let t = text.trim();
    let digits = t.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &t[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// Names of storage nodes become parts of ref names.
pub fn valid_remote(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

/// `~` and `~/..`.
pub fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        for (t, n) in
            [("64MB", Some(64_000_000)), ("0", Some(0)), ("5 kB", Some(5000)), ("99999999999GB", None), ("x", None), ("5 parsec", None)]
        {
            assert_eq!(size(t), n, "{t}");
        }
        for (t, n) in [("200ms", Some(200)), ("2h", Some(7_200_000)), ("10", None), ("", None)] {
            assert_eq!(duration(t), n, "{t}");
        }
    }
}
