//! What must hold for every commit of the history.

use super::{Outcome, text};
use crate::clock::Time;
use crate::id::{Id, Oid};
use crate::mirror::{commit, sealed};
use crate::path::Name;
use crate::sim::world::{Mode, SimDevice, World};
use crate::tree::{Node, Place, Version, conflict};
use std::collections::{BTreeMap, BTreeSet};

/// One commit, opened.
pub(super) struct Commit {
    /// Its files and links by path.
    pub files: BTreeMap<String, (Place, Version)>,
    pub parents: Vec<Oid>,
}

/// Every commit that head contains.
pub(super) type History = BTreeMap<Oid, Commit>;

/// Reads all of it.
pub(super) fn read(d: &SimDevice, head: &Oid) -> Result<History, String> {
    let mut out = History::new();
    let mut todo = vec![*head];
    let mut versions = sealed::Versions::default();
    while let Some(oid) = todo.pop() {
        if out.contains_key(&oid) {
            continue;
        }
        let c = commit::open(&d.git, &d.keys, &d.vault, &oid).map_err(text)?;
        let mut files = BTreeMap::new();
        let mut dirs = vec![(String::new(), Id::ROOT, c.tree)];
        while let Some((path, dir, tree)) = dirs.pop() {
            for item in sealed::list(&d.git, &d.keys, &dir, &tree).map_err(text)? {
                let Some(name) = &item.name else { continue };
                match sealed::node(&d.git, &d.keys, &mut versions, &item).map_err(text)? {
                    Some(Node::Dir { id, tree }) => dirs.push((format!("{path}{name}/"), id, tree)),
                    Some(Node::File(v)) => {
                        files.insert(format!("{path}{name}"), (Place { dir, name: name.clone() }, v));
                    }
                    None => {}
                }
            }
        }
        todo.extend(c.parents.clone());
        out.insert(oid, Commit { files, parents: c.parents });
    }
    Ok(out)
}

/// All checks of the history.
pub(super) fn all(w: &World, history: &History) -> Outcome {
    merges(history, w.unsure.get())?;
    copies(w.mode, history)?;
    match w.ledger.borrow().lost {
        true => Ok(()),
        false => generations(history),
    }
}

/// True for a conflict copy's path.
pub(super) fn is_copy(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    Name::new(name.as_bytes()).is_some_and(|n| conflict::parse(&n).is_some())
}

/// True if histories crossed and what `v` is at this path was fought over in them: two heads that were merged had several
/// bases, and these have different contents there, one of them `v`'s.
pub(super) fn fought_over(history: &History, path: &str, v: &Version) -> bool {
    let is_it = |oid: &Oid| history.get(oid).and_then(|c| c.files.get(path)).map(|(_, x)| (x.id, x.mac) == (v.id, v.mac));
    history.values().filter(|c| c.parents.len() > 1).any(|c| {
        let bases = bases(history, &c.parents[0], &c.parents[1]);
        bases.iter().any(|b| is_it(b) == Some(true)) && bases.iter().any(|b| is_it(b) == Some(false))
    })
}

/// The common ancestors of two commits that no other common one contains.
fn bases(history: &History, a: &Oid, b: &Oid) -> BTreeSet<Oid> {
    let common: BTreeSet<Oid> = contained(history, a).intersection(&contained(history, b)).copied().collect();
    let older = |oid: &Oid| common.iter().any(|c| c != oid && contained(history, c).contains(oid));
    common.iter().filter(|oid| !older(oid)).copied().collect()
}

/// A commit and all that it contains.
fn contained(history: &History, head: &Oid) -> BTreeSet<Oid> {
    let (mut todo, mut met) = (vec![*head], BTreeSet::new());
    while let Some(at) = todo.pop() {
        if met.insert(at) {
            todo.extend(history.get(&at).into_iter().flat_map(|c| &c.parents));
        }
    }
    met
}

/// The same first and second give the same commit on every device; and where every device knows what it has stored,
/// two heads have one order.
fn merges(history: &History, unsure: bool) -> Outcome {
    let mut made: BTreeMap<&[Oid], &Oid> = BTreeMap::new();
    for (oid, c) in history.iter().filter(|(_, c)| c.parents.len() > 1) {
        if let Some(other) = made.insert(&c.parents, oid) {
            return Err(format!("one pair was merged twice: {oid} and {other} have the parents {:?}", c.parents));
        }
    }
    for (parents, oid) in &made {
        let turned: Vec<Oid> = parents.iter().rev().copied().collect();
        if let Some(other) = made.get(&turned[..]).filter(|_| !unsure) {
            return Err(format!("one pair was merged in both orders: {oid} and {other} have the parents {parents:?}"));
        }
    }
    Ok(())
}

/// A conflict copy's name tells of its own version who wrote it and when, in the commit in which it is new. (One that a
/// user has edited is not new where it moved with its directory, or where it stands against its deletion.) In a serial
/// world there is none.
fn copies(mode: Mode, history: &History) -> Outcome {
    let named = |c: &Commit, v: &Version, name: &Name| c.files.values().any(|(place, x)| x.id == v.id && place.name == *name);
    for (oid, c) in history {
        let before: BTreeSet<&Place> =
            c.parents.iter().filter_map(|p| history.get(p)).flat_map(|p| p.files.values().map(|(place, _)| place)).collect();
        for (path, (place, v)) in c.files.iter().filter(|(path, (place, _))| is_copy(path) && !before.contains(place)) {
            if contained(history, oid).iter().any(|a| a != oid && named(&history[a], v, &place.name)) {
                continue;
            }
            let Some(told) = conflict::parse(&place.name) else { continue };
            if mode == Mode::Serial {
                return Err(format!("a needless copy: {path} in {oid}"));
            }
            if told.writer != v.writer.as_str() || told.stamp != on_the_writers_clock(v.mtime, v.offset) {
                return Err(format!("{path} in {oid} is a version of {} at {:?}, offset {}", v.writer.as_str(), v.mtime, v.offset));
            }
        }
    }
    Ok(())
}

/// `YYYY-MM-DD HHMMSS`, counted year by year.
fn on_the_writers_clock(t: Time, offset: i16) -> String {
    let s = t.s + i64::from(offset) * 60;
    let (mut days, rest) = (s.div_euclid(86_400), s.rem_euclid(86_400));
    let leap = |y: i64| i64::from(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    let mut year = 1970;
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let mut month = 0;
    let long = |m: usize| [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][m];
    while days >= long(month) {
        days -= long(month);
        month += 1;
    }
    format!("{year:04}-{:02}-{:02} {:02}{:02}{:02}", month + 1, days + 1, rest / 3600, rest / 60 % 60, rest % 60)
}

/// From parent to child no name's generation for one id goes down, and no two versions at one name share both.
fn generations(history: &History) -> Outcome {
    for (oid, c) in history {
        for before in c.parents.iter().filter_map(|p| history.get(p)) {
            for (path, (_, old)) in &before.files {
                let Some((_, new)) = c.files.get(path).filter(|n| n.1.id == old.id) else { continue };
                let fine = new == old || new.generation > old.generation || (new.mac == old.mac && is_copy(path));
                if !fine {
                    return Err(format!("generation of {path} went from {} to {} in {oid}", old.generation, new.generation));
                }
            }
        }
    }
    Ok(())
}
