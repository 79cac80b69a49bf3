//! The merge on thousands of random small trees with nested and moved directories: that what is closed changes nothing
//! (the contract of `tree/partial`), that nothing is lost, and that every head is one that somebody can seal.
#![allow(clippy::unwrap_used)]

use sharelock::clock::Time;
use sharelock::error::Result;
use sharelock::id::{Id, Oid};
use sharelock::mirror::partial::sift::Sift;
use sharelock::path::Name;
use sharelock::tree::merge::{How, Merged, Outcome, Same, merge};
use sharelock::tree::{FileKind, Node, Place, Tree, Version, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// xorshift64* (Vigna 2016): quick, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn of(&mut self, from: &[u8]) -> u8 {
        from[self.below(from.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn id(n: u8) -> Id {
    if n == 0 { Id::ROOT } else { Id([n; 16]) }
}

fn version(file: u8, kind: FileKind, content: u8, exec: bool, s: i64, writer: u8, generation: u64) -> Version {
    let mut v = Version {
        id: id(file),
        kind,
        size: 1,
        mac: [content; 32],
        epoch: 0,
        segment: 0,
        exec,
        private: false,
        mtime: Time { s, ns: 0 },
        offset: 0,
        generation,
        writer: Writer::new(std::str::from_utf8(&[writer]).unwrap()).unwrap(),
        oid: Oid::ZERO,
    };
    seal(&mut v);
    v
}

/// Two versions have one object exactly if they are equal.
fn seal(v: &mut Version) {
    let mut oid = [1u8; 20];
    let marks = [
        v.id.0[0],
        v.mac[0],
        v.kind as u8,
        u8::from(v.exec),
        u8::from(v.private),
        v.mtime.s as u8,
        v.writer.as_str().as_bytes()[0],
        v.generation as u8,
    ];
    oid[..marks.len()].copy_from_slice(&marks);
    v.oid = Oid(oid);
}

/// Contents decide, and each pair is asked for once.
#[derive(Default)]
struct ByContent(BTreeSet<(Id, [u8; 32], Id, [u8; 32])>);

impl Same for ByContent {
    fn same(&mut self, a: &Version, b: &Version) -> Result<bool> {
        assert!(a.kind == b.kind && a.size == b.size && a.id != b.id, "asked only for what is not known");
        assert!(self.0.insert((a.id, a.mac, b.id, b.mac)), "asked twice");
        assert!(!self.0.contains(&(b.id, b.mac, a.id, a.mac)), "asked twice");
        Ok(a.mac == b.mac)
    }
}

fn outcome(b: &Tree, x: &Tree, y: &Tree, how: How) -> Outcome {
    merge(b, x, y, how, &mut ByContent::default()).unwrap()
}

fn whole(b: &Tree, x: &Tree, y: &Tree, how: How) -> Merged {
    match outcome(b, x, y, how) {
        Outcome::Merged(m) => m,
        Outcome::Open(_) => panic!("nothing was closed"),
    }
}

const DIRS: &[u8] = b"VWXYZ";
const HOLDERS: &[u8] = b"\0\0VWXYZ";

type Loose = Vec<(Place, Node)>;

/// Some names are those that conflict copies get.
fn place(d: &mut Draw) -> Place {
    let (dir, name) = (id(d.of(HOLDERS)), d.of(b"abc") as char);
    let name = match d.chance(10) {
        true => format!("{name} (conflict {} 1970-01-01 00000{})", d.of(b"AB") as char, d.below(2)),
        false => name.to_string(),
    };
    Place { dir, name: Name::new(name.into_bytes()).unwrap() }
}

fn file(d: &mut Draw, n: u8) -> Node {
    let kind = if d.chance(15) { FileKind::Link } else { FileKind::File };
    let exec = kind == FileKind::File && d.chance(20);
    Node::File(version(n, kind, d.of(b"xyz"), exec, d.below(2) as i64, d.of(b"AB"), 1 + d.below(2)))
}

/// What can be reached from the root; `None` if a name or a directory is there twice.
fn build(loose: &Loose) -> Option<Tree> {
    let mut t = Tree::new();
    let (mut todo, mut seen) = (vec![Id::ROOT], BTreeSet::new());
    while let Some(dir) = todo.pop() {
        if !seen.insert(dir) {
            return None;
        }
        for (p, n) in loose.iter().filter(|(p, _)| p.dir == dir) {
            if t.get(p).is_some() {
                return None;
            }
            if n.is_dir() {
                todo.push(n.id());
            }
            t.insert(p.clone(), n.clone());
        }
    }
    Some(t)
}

fn random(d: &mut Draw) -> Tree {
    loop {
        let mut l = Loose::new();
        for dir in DIRS {
            if d.chance(65) {
                l.push((place(d), Node::Dir { id: id(*dir), tree: Oid::ZERO }));
            }
        }
        for f in b"1123" {
            if d.chance(80) {
                l.push((place(d), file(d, *f)));
            }
        }
        if let Some(t) = build(&l) {
            return t;
        }
    }
}

/// A few moves, edits, deletions and additions.
fn changed(d: &mut Draw, base: &Tree) -> Tree {
    for _ in 0..40 {
        let mut l: Loose = base.iter().map(|(p, n)| (p.clone(), n.clone())).collect();
        for _ in 0..d.below(4) {
            if l.is_empty() {
                break;
            }
            let i = d.below(l.len() as u64) as usize;
            match d.below(10) {
                0..=4 => l[i].0 = place(d),
                5..=6 => {
                    if let Node::File(v) = &mut l[i].1 {
                        if d.chance(50) {
                            v.mac = [d.of(b"xyz"); 32];
                        } else if v.kind == FileKind::File {
                            (v.exec, v.private) = (d.chance(50), d.chance(50));
                        }
                        v.generation += 1;
                        v.writer = Writer::new(if d.chance(50) { "A" } else { "B" }).unwrap();
                        seal(v);
                    }
                }
                7 => {
                    l.remove(i);
                }
                8 => l.push((place(d), file(d, b'4'))),
                _ => l.push((place(d), Node::Dir { id: id(b'U'), tree: Oid::ZERO })),
            }
        }
        if let Some(t) = build(&l) {
            return t;
        }
    }
    base.clone()
}

fn triple(d: &mut Draw) -> (Tree, Tree, Tree) {
    let b = random(d);
    match d.chance(25) {
        true => (b, random(d), random(d)),
        false => {
            let (x, y) = (changed(d, &b), changed(d, &b));
            (b, x, y)
        }
    }
}

/// With two directories that, where they stand, have the same entries in each tree; they may stand elsewhere in each.
fn grafted(d: &mut Draw) -> (Tree, Tree, Tree) {
    let dir = |n: u8| Node::Dir { id: id(n), tree: Oid::ZERO };
    let at = |dir: u8, name: u8| Place { dir: id(dir), name: Name::new([name]).unwrap() };
    loop {
        let mut same: Loose = vec![(at(b'M', b'a'), dir(b'N')), (at(b'P', b'a'), dir(b'Q'))];
        for (holder, n) in b"MNPQ".iter().zip(b"5678") {
            if d.chance(70) {
                same.push((at(*holder, d.of(b"abc")), file(d, *n)));
            }
        }
        let (b, x, y) = triple(d);
        let (m, p) = (place(d), place(d));
        let mut add = |t: &Tree| {
            let mut l: Loose = t.iter().map(|(p, n)| (p.clone(), n.clone())).chain(same.iter().cloned()).collect();
            l.push((if d.chance(60) { m.clone() } else { place(d) }, dir(b'M')));
            l.push((if d.chance(60) { p.clone() } else { place(d) }, dir(b'P')));
            build(&l)
        };
        if let (Some(b), Some(x), Some(y)) = (add(&b), add(&x), add(&y)) {
            return (b, x, y);
        }
    }
}

fn listing(t: &Tree, dir: Id) -> BTreeMap<Place, Node> {
    t.children(dir).map(|(p, n)| (p.clone(), n.clone())).collect()
}

/// Directories that a caller may close: in all three trees, with the same entries all the way down.
fn closable(trees: [&Tree; 3]) -> BTreeSet<Id> {
    let [b, x, y] = trees;
    let everywhere = |i: &Id| trees.iter().all(|t| t.dir(i).is_some());
    let mut out: BTreeSet<Id> = b.dirs().map(|(i, _)| *i).filter(everywhere).collect();
    out.retain(|i| listing(b, *i) == listing(x, *i) && listing(b, *i) == listing(y, *i));
    loop {
        let not: Vec<Id> = out.iter().filter(|i| b.children(**i).any(|(_, n)| n.is_dir() && !out.contains(&n.id()))).copied().collect();
        if not.is_empty() {
            return out;
        }
        not.iter().for_each(|i| assert!(out.remove(i)));
    }
}

/// The tree without what lies below closed directories.
fn part(t: &Tree, closed: &BTreeSet<Id>) -> Tree {
    let mut out = Tree::new();
    let mut todo = vec![Id::ROOT];
    while let Some(dir) = todo.pop() {
        if closed.contains(&dir) {
            out.close(dir);
            continue;
        }
        for (p, n) in t.children(dir) {
            if n.is_dir() {
                todo.push(n.id());
            }
            out.insert(p.clone(), n.clone());
        }
    }
    out
}

/// Puts back what lies below closed directories.
fn expand(t: &Tree, from: &Tree) -> BTreeMap<Place, Node> {
    let mut out: BTreeMap<Place, Node> = t.iter().map(|(p, n)| (p.clone(), n.clone())).collect();
    let mut todo: Vec<Id> = t.dirs().map(|(i, _)| *i).filter(|i| t.is_closed(i)).collect();
    while let Some(dir) = todo.pop() {
        for (p, n) in listing(from, dir) {
            if n.is_dir() {
                todo.push(n.id());
            }
            assert!(out.insert(p, n).is_none(), "a closed directory has listed entries");
        }
    }
    out
}

#[test]
fn closed_directories_change_nothing() {
    let mut d = Draw(0x5eed_0001);
    let (mut closed_some, mut opened) = (0, 0);
    for _ in 0..20_000 {
        let (b, x, y) = grafted(&mut d);
        let how = if d.chance(20) { How::VirtualBase } else { How::Real };
        let can = closable([&b, &x, &y]);
        let mut closed: BTreeSet<Id> = can.iter().filter(|_| d.chance(75)).copied().collect();
        closed_some += u32::from(!closed.is_empty());
        let want = whole(&b, &x, &y, how);
        let got = loop {
            match outcome(&part(&b, &closed), &part(&x, &closed), &part(&y, &closed), how) {
                Outcome::Merged(m) => break m,
                Outcome::Open(ids) => {
                    opened += 1;
                    assert!(!ids.is_empty(), "asked for nothing");
                    for i in ids {
                        assert!(closed.remove(&i), "asked for what is open");
                        closed.extend(b.children(i).filter(|(_, n)| n.is_dir()).map(|(_, n)| n.id()));
                    }
                }
            }
        };
        assert_eq!(expand(&got.tree, &x), expand(&want.tree, &x), "{b:#?}\n{x:#?}\n{y:#?}\n{closed:?}");
        assert_eq!((got.reseal, got.conflicts), (want.reseal, want.conflicts));
    }
    assert!(closed_some > 2_000 && opened > 20, "too few cases: {closed_some} closed, {opened} opened");
}

/// What the three trees list if they leave out what is settled, and what comes of that.
fn sifted(sift: &Sift, all: &[Tree; 3]) -> ([Tree; 3], Vec<(Place, Node)>) {
    let mut listed = [Tree::new(), Tree::new(), Tree::new()];
    let mut settled = Vec::new();
    let mut shown = BTreeSet::new();
    let places: BTreeSet<&Place> = all.iter().flat_map(|t| t.iter().map(|(p, _)| p)).collect();
    for p in places {
        let trio = all.each_ref().map(|t| t.get(p).cloned());
        let generation = &mut |n: &Node| Ok(n.file().unwrap().generation);
        if let Some(winner) = sift.settled(p.dir, &p.name, &trio, generation).unwrap()
            && (trio[0].is_some() || !shown.insert((p.dir, winner)))
        {
            listed.iter_mut().for_each(|t| t.thin(p.dir));
            settled.push((p.clone(), trio[winner].clone().unwrap()));
            continue;
        }
        for (tree, node) in listed.iter_mut().zip(trio) {
            node.into_iter().for_each(|n| tree.insert(p.clone(), n));
        }
    }
    (listed, settled)
}

#[test]
fn what_is_settled_by_itself_changes_nothing() {
    let mut d = Draw(0x5eed_0004);
    let (mut left_out, mut asked, mut added, mut edited) = (0, 0, 0, 0);
    for _ in 0..50_000 {
        let (b, x, y) = if d.chance(30) { grafted(&mut d) } else { triple(&mut d) };
        let want = whole(&b, &x, &y, How::Real);
        let all = [b, x, y];
        let mut sift = Sift::default();
        let places: BTreeSet<&Place> = all.iter().flat_map(|t| t.iter().map(|(p, _)| p)).collect();
        places.iter().for_each(|p| sift.note(&all.each_ref().map(|t| t.get(p).cloned())));
        let (got, settled) = loop {
            let (listed, settled) = sifted(&sift, &all);
            match outcome(&listed[0], &listed[1], &listed[2], How::Real) {
                Outcome::Merged(m) => break (m, settled),
                Outcome::Open(ids) => {
                    asked += 1;
                    assert!(!ids.is_empty() && ids.iter().all(|i| sift.whole.insert(*i)), "asked for what is whole");
                }
            }
        };
        left_out += settled.len();
        added += settled.iter().filter(|(p, _)| all[0].get(p).is_none()).count();
        edited += settled.iter().filter(|(p, n)| all[0].get(p).is_some_and(|b| b != n)).count();
        let mut tree: BTreeMap<Place, Node> = got.tree.iter().map(|(p, n)| (p.clone(), n.clone())).collect();
        for (p, n) in settled {
            assert!(tree.insert(p.clone(), n).is_none(), "something else got the name of what was settled: {p:?}\n{all:#?}");
        }
        assert_eq!(tree, expand(&want.tree, &all[1]), "{all:#?}");
        assert_eq!((got.reseal, got.conflicts), (want.reseal, want.conflicts), "{all:#?}");
    }
    println!("{left_out} left out, {added} added, {edited} edited, {asked} asked");
    assert!(left_out > 10_000 && added > 300 && edited > 1_500 && asked > 30, "too few: {left_out} {added} {edited} {asked}");
}

fn without_generations(t: &Tree) -> Vec<(Place, Node)> {
    let mut out: Vec<(Place, Node)> = t.iter().map(|(p, n)| (p.clone(), n.clone())).collect();
    for (_, n) in &mut out {
        if let Node::File(v) = n {
            (v.generation, v.oid) = (0, Oid::ZERO);
        }
    }
    out
}

#[test]
fn identities() {
    let mut d = Draw(0x5eed_0002);
    for _ in 0..10_000 {
        let (b, x, _) = triple(&mut d);
        assert_eq!(without_generations(&whole(&b, &b, &x, How::Real).tree), without_generations(&x), "merge(b, b, x)");
        assert_eq!(without_generations(&whole(&b, &x, &b, How::Real).tree), without_generations(&x), "merge(b, x, b)");
        assert_eq!(whole(&b, &x, &x, How::Real).tree, x, "merge(b, x, x)");
    }
}

#[test]
fn nothing_is_lost_and_every_head_can_be_sealed() {
    let mut d = Draw(0x5eed_0003);
    let mut resealed_copies = 0;
    for _ in 0..20_000 {
        let (b, x, y) = triple(&mut d);
        let m = whole(&b, &x, &y, How::Real);
        // A tree again: everything can be reached, no name and no directory twice.
        let all: Loose = m.tree.iter().map(|(p, n)| (p.clone(), n.clone())).collect();
        assert_eq!(build(&all).as_ref(), Some(&m.tree));
        let files = |t: &Tree| -> Vec<Version> { t.iter().filter_map(|(_, n)| n.file().cloned()).collect() };
        let content = |v: &Version| (v.kind, v.mac);
        let (old, kept) = (files(&b), files(&m.tree));
        for v in files(&x).iter().chain(&files(&y)) {
            let is_new = !old.iter().any(|o| content(o) == content(v));
            assert!(!is_new || kept.iter().any(|k| content(k) == content(v)), "lost {v:?} of\n{b:#?}\n{x:#?}\n{y:#?}");
        }
        let known: Vec<Version> = [&x, &y].into_iter().flat_map(files).collect();
        for (p, n) in m.tree.iter() {
            let Some(v) = n.file() else { continue };
            match m.reseal.get(p) {
                None => assert!(known.contains(v), "{p:?} says what no object holds: {v:?}"),
                Some(from) => {
                    assert_eq!(v.oid, Oid::ZERO);
                    assert!(known.iter().any(|k| k.oid == *from && k.id == v.id && content(k) == content(v)));
                    resealed_copies += u32::from(m.conflicts.iter().any(|(_, q)| q == p));
                }
            }
        }
        assert!(m.reseal.keys().all(|p| m.tree.get(p).is_some()));
    }
    assert!(resealed_copies > 0, "no conflict copy with a new head came up");
}
