//! The merge (MERGE 4 and 5): pure, total, and the same on every device.

use super::conflict;
use super::naming;
use super::planted::{self, Mistake};
use super::rows::{Row, hit};
use super::{FileKind, Place, Tree, Version};
use crate::error::{Class, Error, Result};
use crate::id::{Id, Oid};
use std::collections::{BTreeMap, BTreeSet};

/// Answers 'same plaintext?' for two versions with different ids (or epochs or segment sizes) and equal kind and size.
pub trait Same {
    /// Both are opened and compared.
    fn same(&mut self, a: &Version, b: &Version) -> Result<bool>;
}

/// Whether the result is a tree or itself a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A tree.
    Real,
    /// A base made of several: different ids always count as different, for not every device can open them.
    VirtualBase,
}

/// What came out.
#[derive(Debug)]
pub enum Outcome {
    /// A tree.
    Merged(Merged),
    /// These closed or thin directories must be listed whole in all three trees; then the merge is called again.
    Open(BTreeSet<Id>),
}

/// A merged tree.
#[derive(Debug, Default)]
pub struct Merged {
    /// The tree; directories that were closed are closed in it. A directory's `tree` is zero unless it is closed.
    pub tree: Tree,
    /// Places whose version got a new file head: the object whose content it takes. Their `oid` is zero.
    pub reseal: BTreeMap<Place, Oid>,
    /// Conflict copies that were made: the place that was wanted, and the copy's.
    pub conflicts: Vec<(Place, Place)>,
}

/// A version on its way into the result.
#[derive(Clone, Debug)]
pub(super) struct Winner {
    /// What it says. `v.oid` stays that of the version whose content it takes.
    pub v: Version,
    /// True if its head has to be sealed anew.
    pub anew: bool,
}

impl Winner {
    pub fn of(v: &Version) -> Winner {
        Winner { v: v.clone(), anew: false }
    }

    pub fn set_bits(&mut self, exec: bool, private: bool) {
        self.anew |= self.v.exec != exec || self.v.private != private;
        self.v.exec = exec;
        self.v.private = private;
    }

    pub fn set_generation(&mut self, generation: u64) {
        self.anew |= self.v.generation != generation;
        self.v.generation = generation;
    }
}

/// Comparisons of one merge, each pair opened once.
pub(super) struct Compare<'a> {
    how: How,
    ask: &'a mut dyn Same,
    known: BTreeMap<(Id, [u8; 32], Id, [u8; 32]), bool>,
}

impl Compare<'_> {
    pub fn eq(&mut self, a: &Version, b: &Version) -> Result<bool> {
        if let Some(known) = a.same_plaintext(b) {
            return Ok(known);
        }
        if self.how == How::VirtualBase {
            return Ok(false);
        }
        let key = |x: &Version, y: &Version| (x.id, x.mac, y.id, y.mac);
        let (x, y) = if (a.id, a.mac) <= (b.id, b.mac) { (a, b) } else { (b, a) };
        if let Some(known) = self.known.get(&key(x, y)) {
            return Ok(*known);
        }
        let same = self.ask.same(a, b)?;
        self.known.insert(key(x, y), same);
        Ok(same)
    }
}

/// The base's version against a side's: with different ids they always count as different.
fn as_base(b: Option<&Version>, e: &Version) -> bool {
    b.is_some_and(|b| b.id == e.id && b.same_plaintext(e) == Some(true))
}

/// Which of two changed places stands: the one that differs from the base's, the first's if both do.
fn third<'p>(base: Option<&Place>, first: &'p Place, second: &'p Place) -> &'p Place {
    if Some(first) == base { second } else { first }
}

/// R-generation: above every other version with the winner's id.
pub(super) fn regenerate(w: &mut Winner, others: &[&Version]) {
    if planted::is(Mistake::NoGeneration) {
        return;
    }
    let same_id = || others.iter().filter(|v| v.id == w.v.id);
    let is = |v: &Version| *v == w.v;
    if same_id().any(|v| is(v)) && same_id().all(|v| is(v) || v.generation < w.v.generation) {
        return;
    }
    if same_id().any(|v| !is(v)) {
        let top = same_id().map(|v| v.generation).max().unwrap_or(0);
        hit(Row::Generation);
        w.set_generation(top + 1);
    }
}

/// How the files of the base are matched to those of a side.
fn match_files<'t>(base: &'t Tree, side: &'t Tree) -> (BTreeMap<&'t Place, &'t Place>, BTreeSet<&'t Place>) {
    let mut to = BTreeMap::new();
    let mut used = BTreeSet::new();
    let files = |t: &'t Tree| t.iter().filter_map(|(p, n)| Some((p, n.file()?)));
    let file_at = |p: &Place| -> Option<(&'t Place, &'t Version)> { side.iter_at(p).and_then(|(q, n)| Some((q, n.file()?))) };
    for (p, v) in files(base) {
        if let Some((q, s)) = file_at(p)
            && s.id == v.id
        {
            to.insert(p, q);
            used.insert(q);
        }
    }
    if !planted::is(Mistake::NoRename) {
        let mut left_base: BTreeMap<Id, Vec<&Place>> = BTreeMap::new();
        let mut left_side: BTreeMap<Id, Vec<&Place>> = BTreeMap::new();
        for (p, v) in files(base).filter(|(p, _)| !to.contains_key(p)) {
            left_base.entry(v.id).or_default().push(p);
        }
        for (p, v) in files(side).filter(|(p, _)| !used.contains(p)) {
            left_side.entry(v.id).or_default().push(p);
        }
        // Conflict copies keep their id: they do not count beside another holder.
        let plain = |x: &[&'t Place]| -> Option<&'t Place> {
            let mut x: Vec<&'t Place> = x.to_vec();
            if x.len() > 1 {
                x.retain(|p| conflict::parse(&p.name).is_none());
            }
            (x.len() == 1).then(|| x[0])
        };
        for (id, x) in &left_base {
            let (Some(b), Some(s)) = (plain(x), left_side.get(id).and_then(|y| plain(y))) else { continue };
            to.insert(b, s);
            used.insert(s);
        }
    }
    for (p, _) in files(base) {
        if to.contains_key(p) {
            continue;
        }
        if let Some((q, _)) = file_at(p)
            && !used.contains(q)
        {
            to.insert(p, q);
            used.insert(q);
        }
    }
    (to, used)
}

/// Merges two trees over their base. `first`'s versions keep their names where both sides want one.
///
/// Errors: those of [`Same`], and trees that no device makes (a directory in itself).
pub fn merge(base: &Tree, first: &Tree, second: &Tree, how: How, same: &mut dyn Same) -> Result<Outcome> {
    if first == second {
        return Ok(Outcome::Merged(Merged { tree: first.clone(), ..Merged::default() }));
    }
    let mut compare = Compare { how, ask: same, known: BTreeMap::new() };
    let mut plan = naming::Plan::default();
    directories(base, first, second, &mut plan);
    files(base, first, second, &mut compare, &mut plan)?;
    plan.settle_directories(first)?;
    plan.name_everything(first, second, &mut compare)
}

/// True if a directory above a place is gone on the other side and was moved on this one.
fn rescued(base: &Tree, side: &Tree, other: &Tree, place: &Place) -> bool {
    !planted::is(Mistake::NoRescue)
        && side.above(place).any(|d| base.dir(&d).is_some() && other.dir(&d).is_none() && side.dir(&d) != base.dir(&d))
}

fn directories(base: &Tree, first: &Tree, second: &Tree, plan: &mut naming::Plan) {
    let ids: BTreeSet<Id> = first.dirs().chain(second.dirs()).map(|(id, _)| *id).collect();
    for id in ids {
        let b = base.dir(&id);
        let (place, stays) = match (first.dir(&id), second.dir(&id)) {
            (Some(x), Some(y)) => {
                moved(b, x, y, Row::DirRename);
                (third(b, x, y), true)
            }
            (Some(x), None) => (x, dir_of_one(b, x, rescued(base, first, second, x))),
            (None, Some(y)) => (y, dir_of_one(b, y, rescued(base, second, first, y))),
            (None, None) => continue,
        };
        plan.at.insert(id, place.clone());
        if stays {
            plan.stay.insert(id);
        }
    }
}

/// Notes the row of a place that both sides have: moved by one of them (then it is the row `one`), or by both.
fn moved(base: Option<&Place>, first: &Place, second: &Place, one: Row) {
    if first != second {
        hit(if base == Some(first) || base == Some(second) { one } else { Row::RenameRename });
    }
}

/// Whether a directory stays that one side only has.
fn dir_of_one(base: Option<&Place>, place: &Place, rescued: bool) -> bool {
    let row = match base {
        None => Row::DirAdd,
        Some(b) if b != place || rescued => Row::DirRenameDelete,
        Some(_) => Row::DirDelete,
    };
    hit(row);
    row != Row::DirDelete
}

fn files(base: &Tree, first: &Tree, second: &Tree, compare: &mut Compare<'_>, plan: &mut naming::Plan) -> Result<()> {
    let (to1, used1) = match_files(base, first);
    let (to2, used2) = match_files(base, second);
    let version = |t: &'_ Tree, p: &Place| t.get(p).and_then(|n| n.file()).cloned();
    for (bp, b) in base.iter().filter_map(|(p, n)| Some((p, n.file()?))) {
        let q1 = to1.get(bp).copied();
        let q2 = to2.get(bp).copied();
        match (q1, q2) {
            (None, None) => hit(Row::BothDeleted),
            (Some(q), None) => one_side(base, first, second, (bp, b), q, 0, plan),
            (None, Some(q)) => one_side(base, second, first, (bp, b), q, 1, plan),
            (Some(q1), Some(q2)) => {
                let (Some(e1), Some(e2)) = (version(first, q1), version(second, q2)) else { continue };
                both(Some((bp, b)), (q1, &e1), (q2, &e2), compare, plan)?;
            }
        }
    }
    let added2: BTreeSet<&Place> = second.iter().filter(|(p, n)| n.file().is_some() && !used2.contains(p)).map(|(p, _)| p).collect();
    let mut paired: BTreeSet<&Place> = BTreeSet::new();
    for (q, e1) in first.iter().filter_map(|(p, n)| Some((p, n.file()?))).filter(|(p, _)| !used1.contains(p)) {
        let other = added2.get(q).and_then(|p| version(second, p)).filter(|e2| e2.id == e1.id);
        match other {
            Some(e2) => {
                paired.insert(q);
                both(None, (q, e1), (q, &e2), compare, plan)?;
            }
            None => {
                hit(Row::Add);
                plan.placed.push((q.clone(), 0, Winner::of(e1)));
            }
        }
    }
    for q in added2 {
        if !paired.contains(q)
            && let Some(e2) = version(second, q)
        {
            hit(Row::Add);
            plan.placed.push((q.clone(), 1, Winner::of(&e2)));
        }
    }
    Ok(())
}

/// A file of the base that only one side still has.
fn one_side(base: &Tree, side: &Tree, other: &Tree, (bp, b): (&Place, &Version), q: &Place, prio: u8, plan: &mut naming::Plan) {
    let Some(e) = side.get(q).and_then(|n| n.file()) else { return };
    let unchanged = as_base(Some(b), e) && b.exec == e.exec && b.private == e.private && q == bp;
    if unchanged && !rescued(base, side, other, q) {
        return hit(Row::Delete);
    }
    hit(match (unchanged, q == bp) {
        (true, _) => Row::DirRenameDelete,
        (false, false) => Row::RenameDelete,
        (false, true) => Row::EditDelete,
    });
    let mut w = Winner::of(e);
    regenerate(&mut w, &[e, b]);
    plan.placed.push((q.clone(), prio, w));
}

/// A file that both sides have.
fn both(
    b: Option<(&Place, &Version)>,
    (q1, e1): (&Place, &Version),
    (q2, e2): (&Place, &Version),
    compare: &mut Compare<'_>,
    plan: &mut naming::Plan,
) -> Result<()> {
    let place = match b {
        Some((bp, _)) => {
            moved(Some(bp), q1, q2, Row::Rename);
            third(Some(bp), q1, q2)
        }
        None => q1,
    };
    let b = b.map(|(_, v)| v);
    let mut loser = None;
    let mut w;
    if e1 == e2 || b == Some(e2) {
        hit(if e1 == e2 { Row::Same } else { Row::Edit });
        w = Winner::of(e1);
    } else if b == Some(e1) {
        hit(Row::Edit);
        w = Winner::of(e2);
    } else {
        if compare.eq(e1, e2)? {
            // R-same, R-touch: the whole version of one side.
            hit(Row::Same);
            let kept = b.is_some_and(|b| as_base(Some(b), e1) && (e1.mtime, &e1.writer) == (b.mtime, &b.writer));
            w = Winner::of(if kept { e2 } else { e1 });
        } else if as_base(b, e1) {
            hit(Row::Edit);
            w = Winner::of(e2);
        } else if as_base(b, e2) {
            hit(Row::Edit);
            w = Winner::of(e1);
        } else {
            hit(Row::EditEdit);
            w = Winner::of(e1);
            loser = Some(e2);
        }
        let files = [e1, e2].iter().all(|e| e.kind == FileKind::File);
        if files && loser.is_none() {
            // R-exec, each bit for itself.
            let bit = |of: fn(&Version) -> bool| match b.filter(|b| b.kind == FileKind::File) {
                None => of(e1) || of(e2),
                Some(b) if of(e1) == of(b) => of(e2),
                Some(_) => of(e1),
            };
            let (exec, private) = (bit(|v| v.exec), bit(|v| v.private));
            if (w.v.exec, w.v.private) != (exec, private) {
                hit(Row::Exec);
            }
            w.set_bits(exec, private);
        }
    }
    let mut others = vec![e1, e2];
    others.extend(b);
    regenerate(&mut w, &others);
    let prio = u8::from(place != q1);
    plan.placed.push((place.clone(), prio, w));
    if let Some(l) = loser {
        plan.losers.push((place.clone(), l.clone()));
    }
    Ok(())
}

/// The error of trees that no device makes.
pub(super) fn impossible(what: &str) -> Error {
    Error::integrity(Class::Form, format!("merge: {what}"))
}
