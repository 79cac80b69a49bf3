//! The merge once more, as slow and plain as its table reads (src/tree/MERGE.md, 5 and 6), and sharing nothing with
//! src/tree: trees are maps from paths, and every question is asked of the whole map again.

use std::collections::{BTreeMap, BTreeSet};

/// A file or link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    pub writer: &'static str,
    pub time: i64,
    pub id: u16,
    pub generation: u64,
    pub text: u32,
    pub link: bool,
    pub exec: bool,
    pub private: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Dir(u16),
    File(File),
}

/// Path to entry.
pub type Tree = BTreeMap<String, Entry>;

/// The id of the holding directory (0 at the top) and the name in it.
pub type Place = (u16, String);

fn up(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(dir, _)| dir)
}

pub fn place(t: &Tree, path: &str) -> Place {
    let holder = match up(path).map(|dir| &t[dir]) {
        None => 0,
        Some(Entry::Dir(id)) => *id,
        Some(Entry::File(_)) => panic!("{path} is in a file"),
    };
    (holder, path.rsplit('/').next().unwrap().to_string())
}

fn file<'t>(t: &'t Tree, path: &str) -> Option<&'t File> {
    match t.get(path) {
        Some(Entry::File(f)) => Some(f),
        _ => None,
    }
}

fn files(t: &Tree) -> Vec<&str> {
    t.keys().map(String::as_str).filter(|p| file(t, p).is_some()).collect()
}

fn path_of_dir(t: &Tree, id: u16) -> Option<&str> {
    t.iter().find(|(_, e)| **e == Entry::Dir(id)).map(|(p, _)| p.as_str())
}

fn place_of_dir(t: &Tree, id: u16) -> Option<Place> {
    path_of_dir(t, id).map(|p| place(t, p))
}

fn dirs(t: &Tree) -> BTreeSet<u16> {
    t.values().filter_map(|e| if let Entry::Dir(id) = e { Some(*id) } else { None }).collect()
}

fn at_place<'t>(t: &'t Tree, wanted: &Place) -> Option<&'t str> {
    files(t).into_iter().find(|p| place(t, p) == *wanted)
}

/// What an unchanged plaintext is: against the base, and where a base is being made, other ids are other plaintexts.
fn same(a: &File, b: &File, only_one_id: bool) -> bool {
    a.link == b.link && a.text == b.text && (!only_one_id || a.id == b.id)
}

/// Base's files to a side's: same place and id; the one left over with an id; same place.
fn matched(base: &Tree, side: &Tree) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let taken = |out: &BTreeMap<String, String>, q: &str| out.values().any(|v| v == q);
    for p in files(base) {
        if let Some(q) = at_place(side, &place(base, p))
            && file(base, p).unwrap().id == file(side, q).unwrap().id
        {
            out.insert(p.into(), q.into());
        }
    }
    let left_base: Vec<&str> = files(base).into_iter().filter(|p| !out.contains_key(*p)).collect();
    let left_side: Vec<&str> = files(side).into_iter().filter(|q| !taken(&out, q)).collect();
    let holders = |t: &Tree, left: &[&str], id: u16| -> Vec<String> {
        let all: Vec<&str> = left.iter().copied().filter(|p| file(t, p).unwrap().id == id).collect();
        let plain = all.iter().filter(|p| all.len() < 2 || mark(p.rsplit('/').next().unwrap()).is_none());
        plain.map(|p| p.to_string()).collect()
    };
    for id in left_base.iter().map(|p| file(base, p).unwrap().id).collect::<BTreeSet<u16>>() {
        if let ([p], [q]) = (&holders(base, &left_base, id)[..], &holders(side, &left_side, id)[..]) {
            out.insert(p.clone(), q.clone());
        }
    }
    for p in files(base) {
        if let Some(q) = at_place(side, &place(base, p))
            && !out.contains_key(p)
            && !taken(&out, q)
        {
            out.insert(p.into(), q.into());
        }
    }
    out
}

/// A directory above is gone on the other side and was moved on this one.
fn carried(base: &Tree, side: &Tree, other: &Tree, path: &str) -> bool {
    let mut at = path;
    while let Some(dir) = up(at) {
        let Entry::Dir(id) = side[dir] else { unreachable!() };
        let moved = place_of_dir(base, id).is_some_and(|p| place_of_dir(side, id) != Some(p));
        if moved && place_of_dir(other, id).is_none() {
            return true;
        }
        at = dir;
    }
    false
}

fn changed_one(base: Option<&Place>, one: Place, two: Place) -> Place {
    if base == Some(&one) { two } else { one }
}

/// R-generation: greater than that of every other version of the id.
fn raised(mut w: File, others: &[&File]) -> File {
    let of_id = || others.iter().filter(|o| o.id == w.id);
    if of_id().any(|o| **o != w && o.generation >= w.generation) {
        w.generation = of_id().map(|o| o.generation).max().unwrap() + 1;
    }
    w
}

/// One who wants a name.
struct Wants {
    place: Place,
    /// Is it its place on one? (Else on two.)
    ones: bool,
    file: File,
}

/// Merges; `for_base`: the result is a base.
pub fn merge(base: &Tree, one: &Tree, two: &Tree, for_base: bool) -> Tree {
    if one == two {
        return one.clone();
    }
    // Directories.
    let mut at: BTreeMap<u16, Place> = BTreeMap::new();
    let mut stays: BTreeSet<u16> = BTreeSet::new();
    for id in dirs(one).union(&dirs(two)) {
        let b = place_of_dir(base, *id);
        let (here, row) = match (place_of_dir(one, *id), place_of_dir(two, *id)) {
            (Some(x), Some(y)) => (changed_one(b.as_ref(), x, y), true),
            (x, y) => {
                let (side, other) = if x.is_some() { (one, two) } else { (two, one) };
                let here = x.or(y).unwrap();
                let moved_or_new = b.as_ref() != Some(&here);
                let with_the_mover = carried(base, side, other, path_of_dir(side, *id).unwrap());
                (here, moved_or_new || with_the_mover)
            }
        };
        at.insert(*id, here);
        if row {
            stays.insert(*id);
        }
    }
    // Files, row by row.
    let (in_one, in_two) = (matched(base, one), matched(base, two));
    let mut wants: Vec<Wants> = Vec::new();
    let mut losers: Vec<(Place, File)> = Vec::new();
    for p in files(base) {
        let b = file(base, p).unwrap();
        let bp = place(base, p);
        match (in_one.get(p), in_two.get(p)) {
            (None, None) => {}
            (Some(x), Some(y)) => {
                let place = changed_one(Some(&bp), place(one, x), place(two, y));
                both(Some(b), (one, x), (two, y), place, for_base, &mut wants, &mut losers);
            }
            (x, y) => {
                let (side, other, q) = if let Some(x) = x { (one, two, x) } else { (two, one, y.unwrap()) };
                let e = file(side, q).unwrap();
                let untouched = same(b, e, true) && (b.exec, b.private) == (e.exec, e.private) && place(side, q) == bp;
                if !untouched || carried(base, side, other, q) {
                    wants.push(Wants { place: place(side, q), ones: x.is_some(), file: raised(e.clone(), &[e, b]) });
                }
            }
        }
    }
    let new = |side: &Tree, known: &BTreeMap<String, String>| -> Vec<String> {
        files(side).into_iter().filter(|q| !known.values().any(|v| v == q)).map(String::from).collect()
    };
    let (new_one, mut new_two) = (new(one, &in_one), new(two, &in_two));
    for x in &new_one {
        let here = place(one, x);
        let twin = new_two.iter().position(|y| place(two, y) == here && file(two, y).unwrap().id == file(one, x).unwrap().id);
        match twin {
            Some(n) => both(None, (one, x), (two, &new_two.remove(n)), here, for_base, &mut wants, &mut losers),
            None => wants.push(Wants { place: here, ones: true, file: file(one, x).unwrap().clone() }),
        }
    }
    for y in &new_two {
        wants.push(Wants { place: place(two, y), ones: false, file: file(two, y).unwrap().clone() });
    }
    // Which directories there are, none in itself.
    let there = loop {
        let mut there = stays.clone();
        let named = wants.iter().map(|w| w.place.0).chain(losers.iter().map(|l| l.0.0));
        there.extend(named.filter(|id| *id != 0));
        loop {
            let above: BTreeSet<u16> = there.iter().map(|id| at[id].0).filter(|id| *id != 0).collect();
            if above.is_subset(&there) {
                break;
            }
            there.extend(above);
        }
        let in_itself = |id: u16| {
            let mut up = at[&id].0;
            for _ in 0..there.len() {
                if up == 0 || up == id {
                    break;
                }
                up = at[&up].0;
            }
            up == id
        };
        let back: Vec<(u16, Place)> = there
            .iter()
            .filter(|id| in_itself(**id))
            .filter_map(|id| place_of_dir(one, *id).filter(|p| at[id] != *p).map(|p| (*id, p)))
            .collect();
        if back.is_empty() {
            break there;
        }
        at.extend(back);
    };
    // From the root down.
    let mut out = Tree::new();
    let mut lost: Vec<(String, File)> = Vec::new();
    let mut todo: Vec<(String, BTreeSet<u16>)> = vec![(String::new(), BTreeSet::from([0]))];
    while let Some((path, ids)) = todo.pop() {
        let full = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        let mut names: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        for id in there.iter().filter(|id| ids.contains(&at[id].0)) {
            names.entry(&at[id].1).or_default().insert(*id);
        }
        for (name, same_name) in &names {
            let ones = same_name.iter().find(|id| place_of_dir(one, **id).as_ref() == Some(&at[id]));
            let id = ones.or(same_name.first()).unwrap();
            out.insert(full(name), Entry::Dir(*id));
            todo.push((full(name), same_name.clone()));
        }
        let mut here: Vec<&Wants> = wants.iter().filter(|w| ids.contains(&w.place.0)).collect();
        here.sort_by_key(|w| (w.place.1.clone(), !w.ones, w.file.id, w.file.generation, w.file.text));
        for w in here {
            let p = full(&w.place.1);
            match out.get(&p).cloned() {
                None => {
                    out.insert(p, Entry::File(w.file.clone()));
                }
                Some(Entry::Dir(_)) => lost.push((p, w.file.clone())),
                Some(Entry::File(have)) => {
                    let mut winner = have.clone();
                    if same(&have, &w.file, for_base) {
                        winner.exec |= w.file.exec && !have.link;
                        winner.private |= w.file.private && !have.link;
                    } else {
                        lost.push((p.clone(), w.file.clone()));
                    }
                    out.insert(p, Entry::File(raised(winner, &[&have, &w.file])));
                }
            }
        }
        lost.extend(losers.iter().filter(|l| ids.contains(&l.0.0)).map(|l| (full(&l.0.1), l.1.clone())));
    }
    // Conflict copies; `File` is ordered by writer, time, id, generation.
    lost.sort();
    for (p, f) in lost {
        copy(&mut out, &p, f, for_base);
    }
    out
}

fn both(
    b: Option<&File>,
    (one, x): (&Tree, &str),
    (two, y): (&Tree, &str),
    here: Place,
    for_base: bool,
    wants: &mut Vec<Wants>,
    losers: &mut Vec<(Place, File)>,
) {
    let (e1, e2) = (file(one, x).unwrap(), file(two, y).unwrap());
    let is_base = |e: &File| b.is_some_and(|b| same(b, e, true));
    let mut w = match b {
        _ if e1 == e2 => e1.clone(),
        Some(b) if b == e1 => e2.clone(),
        Some(b) if b == e2 => e1.clone(),
        _ if same(e1, e2, for_base) => {
            let untouched = is_base(e1) && b.is_some_and(|b| (b.time, b.writer) == (e1.time, e1.writer));
            if untouched { e2.clone() } else { e1.clone() }
        }
        _ if is_base(e1) => e2.clone(),
        _ if is_base(e2) => e1.clone(),
        _ => {
            losers.push((here.clone(), e2.clone()));
            e1.clone()
        }
    };
    let conflict = losers.last().is_some_and(|l| l.0 == here && l.1 == *e2);
    if !e1.link && !e2.link && !conflict && e1 != e2 {
        let bit = |of: fn(&File) -> bool| match b.filter(|b| !b.link) {
            Some(b) if of(b) == of(e1) => of(e2),
            Some(_) => of(e1),
            None => of(e1) || of(e2),
        };
        (w.exec, w.private) = (bit(|f| f.exec), bit(|f| f.private));
    }
    let others: Vec<&File> = [Some(e1), Some(e2), b].into_iter().flatten().collect();
    wants.push(Wants { ones: here == place(one, x), file: raised(w, &others), place: here });
}

fn copy(out: &mut Tree, wanted: &str, f: File, for_base: bool) {
    let dir = up(wanted).map_or(String::new(), |d| format!("{d}/"));
    let name = wanted.rsplit('/').next().unwrap();
    let again = |out: &mut Tree, q: &str| {
        let Some(Entry::File(x)) = out.get_mut(q) else { return };
        if x.id == f.id && *x != f && x.generation <= f.generation {
            x.generation = f.generation + 1;
        }
    };
    let there = files(out).into_iter().map(String::from).find(|q| {
        up(q) == up(wanted)
            && q != wanted
            && mark(q.rsplit('/').next().unwrap()).is_some_and(|(stem, _)| stem == unmarked(name))
            && extension(q) == extension(name)
            && same(file(out, q).unwrap(), &f, for_base)
    });
    if let Some(q) = there {
        return again(out, &q);
    }
    for n in 1.. {
        let number = if n > 1 { format!(" {n}") } else { String::new() };
        let q = format!("{dir}{} (conflict {} {}{number}){}", unmarked(name), f.writer, date(f.time), extension(name));
        match out.get(&q) {
            None => {
                out.insert(q, Entry::File(f));
                return;
            }
            Some(Entry::File(x)) if same(x, &f, for_base) => return again(out, &q),
            Some(_) => {}
        }
    }
}

/// `.txt`, or nothing (the names of these tests have no others).
fn extension(name: &str) -> &'static str {
    if name.ends_with(".txt") && !name.ends_with("/.txt") && name != ".txt" { ".txt" } else { "" }
}

/// The stem before the mark of a conflict copy, and the mark.
pub fn mark(name: &str) -> Option<(&str, &str)> {
    let stem = name.strip_suffix(extension(name)).unwrap();
    let (before, mark) = stem.strip_suffix(')')?.rsplit_once(" (conflict ")?;
    (!before.is_empty()).then_some((before, mark))
}

fn unmarked(name: &str) -> &str {
    mark(name).map_or_else(|| name.strip_suffix(extension(name)).unwrap(), |m| m.0)
}

/// Times of these tests lie in the first days of 1970.
pub fn date(time: i64) -> String {
    assert!((0..31 * 86_400).contains(&time));
    format!("1970-01-{:02} {:02}{:02}{:02}", 1 + time / 86_400, time / 3600 % 24, time / 60 % 60, time % 60)
}
