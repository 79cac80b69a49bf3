//! Secure as a git work tree: what differs from its index.

mod anew;
mod clear;
mod known;
mod update;
pub use anew::make_anew;
pub use clear::{clear, is_at, is_only_ours};
use known::Known;
use update::rebuild_index;
pub use update::write_index;

use super::Device;
use super::secure::MAIN;
use crate::clock::{Clock, Random, Time};
use crate::error::{Error, Kind, Result};
use crate::files::{self, Files};
use crate::git::index::{Cached, Entry, Reader};
use crate::state::State;
use std::collections::BTreeMap;

/// Names in secure that are never looked at: the repository, updates under way, strays.
pub fn passed_over(name: &[u8]) -> bool {
    use crate::crypt::name::{Listed, classify};
    matches!(classify(name), Listed::Git | Listed::New | Listed::Stray)
}

/// What `lstat` says of paths in secure.
pub type Stats = BTreeMap<Vec<u8>, Cached>;

/// Stats that are taken anew in one comparison at most.
const REFRESHED: usize = 16_384;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    /// What differs, by path.
    pub differs: Vec<(Vec<u8>, Difference)>,
    /// Files that were read in vain: their `lstat` is another, their content is not. With these in the index
    /// ([`write_index`]) they are not read again.
    pub refreshed: Stats,
}

/// How a path in secure differs from head's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Another content, or another kind of entry.
    Changed,
    /// Not there.
    Missing,
    /// There, and not in head's tree.
    Extra,
}

/// Compares secure with its index, which is that of head's tree. Contents are read
/// only where `lstat` differs from what the index knows, or is too fresh to tell.
pub fn compare<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Compared> {
    let Some(tip) = d.git.get_ref(MAIN)? else { return Ok(Compared::default()) };
    let index = match d.git.index() {
        Err(e) if e.is_stopped() => return Err(e),
        index => index.unwrap_or_default(),
    };
    match index.map(|index| compare_with(d, index)) {
        // Damaged, as came out only on the way.
        Some(Err(e)) if matches!(e.kind(), Kind::Integrity(_)) => {}
        Some(compared) => return compared,
        None => {}
    }
    // Gone or damaged: made anew, without trusting any stat.
    rebuild_index(d, &super::secure::tree_of(d, &tip)?)?;
    compare_with(d, d.git.index()?.ok_or_else(|| Error::new(Kind::Raced, ".git/index vanished"))?)
}

fn compare_with<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, mut index: Reader<F::File>) -> Result<Compared> {
    let (mut out, mut refreshed) = (Vec::new(), Stats::new());
    let written = index.written;
    let mut entry = Entry::default();
    let mut have = index.next(&mut entry)?;
    let mut path: Vec<u8> = Vec::new();
    let mut stack = vec![(listing(d, &d.secure.root())?, 0usize, d.secure.root())];
    while let Some((rest, base, dir)) = stack.last_mut() {
        path.truncate(*base);
        let Some((name, kind)) = rest.pop() else {
            stack.pop();
            continue;
        };
        let dir = dir.clone();
        path.extend_from_slice(&name);
        if kind == files::Kind::Dir {
            path.push(b'/');
            while have && entry.path < path {
                out.push((entry.path.clone(), Difference::Missing));
                have = index.next(&mut entry)?;
            }
            if have && entry.path.starts_with(&path) {
                let inner = d.secure.open_dir(&dir, &name)?;
                let names = listing(d, &inner)?;
                stack.push((names, path.len(), inner));
            } else {
                path.pop();
                out.push((path.clone(), Difference::Extra));
            }
            continue;
        }
        while have && entry.path < path {
            out.push((entry.path.clone(), Difference::Missing));
            have = index.next(&mut entry)?;
        }
        if !have || entry.path != path {
            out.push((path.clone(), Difference::Extra));
            continue;
        }
        let stat = d.secure.stat(&dir, &name)?;
        let same = match &stat {
            None => None,
            Some(s) if s.kind != files::Kind::File => Some(false),
            Some(s) => {
                let fresh = |t: Time| t >= written;
                let known = Cached::of(s) == entry.stat;
                let trusted = known && !fresh(s.mtime) && !fresh(s.ctime);
                let same = trusted || super::secure::blob_at(&d.secure, &dir, &name)? == Some(entry.oid);
                if same && !known && refreshed.len() < REFRESHED {
                    refreshed.insert(path.clone(), Cached::of(s));
                }
                Some(same)
            }
        };
        match same {
            Some(true) => {}
            Some(false) => out.push((path.clone(), Difference::Changed)),
            None => out.push((path.clone(), Difference::Missing)),
        }
        have = index.next(&mut entry)?;
    }
    while have {
        out.push((entry.path.clone(), Difference::Missing));
        have = index.next(&mut entry)?;
    }
    Ok(Compared { differs: out, refreshed })
}

/// The names of a directory in git's order, last first.
fn listing<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, dir: &F::Dir) -> Result<Vec<(Box<[u8]>, files::Kind)>> {
    let mut out = Vec::new();
    for (name, kind) in d.secure.list(dir)? {
        if passed_over(&name) {
            continue;
        }
        let kind = match kind {
            Some(k) => k,
            None => match d.secure.stat(dir, &name)? {
                Some(s) => s.kind,
                None => continue,
            },
        };
        out.push((name, kind));
    }
    let key = |e: &(Box<[u8]>, files::Kind)| {
        let mut k = e.0.to_vec();
        if e.1 == files::Kind::Dir {
            k.push(b'/');
        }
        k
    };
    out.sort_by_cached_key(key);
    out.reverse();
    Ok(out)
}
