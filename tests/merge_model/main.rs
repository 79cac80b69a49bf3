//! The merge against a naive model of its own (`naive`), over random small histories: a base, and what two devices made
//! of it. Every failure shrinks to the fewest steps.
#![allow(clippy::unwrap_used)]

mod naive;

use naive::{Entry, File};
use proptest::prelude::*;
use sharelock::clock::Time;
use sharelock::error::Result;
use sharelock::id::{Id, Oid};
use sharelock::path::Name;
use sharelock::tree::merge::{How, Outcome, Same, merge};
use sharelock::tree::{FileKind, Node, Place, Tree, Version, Writer};
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 4] = ["a", "b", "c.txt", "d"];

/// From here on contents that are written more than once.
const OFTEN: u32 = 1_000_000;

/// One device's hand on a tree.
struct Hand {
    tree: naive::Tree,
    writer: &'static str,
    /// Makes ids and contents that no other hand makes.
    fresh: u16,
    time: i64,
}

/// A step: what, and three choices.
type Step = (u8, u8, u8, u8);

impl Hand {
    fn dir(&self, n: u8) -> String {
        let dirs: Vec<&String> = self.tree.iter().filter(|(_, e)| matches!(e, Entry::Dir(_))).map(|(p, _)| p).collect();
        match usize::from(n) % (dirs.len() + 1) {
            0 => String::new(),
            n => format!("{}/", dirs[n - 1]),
        }
    }

    fn any(&self, n: u8) -> Option<String> {
        (!self.tree.is_empty()).then(|| self.tree.keys().nth(usize::from(n) % self.tree.len()).unwrap().clone())
    }

    fn file(&self, n: u8) -> Option<(String, File)> {
        let files: Vec<(String, File)> =
            self.tree.iter().filter_map(|(p, e)| if let Entry::File(f) = e { Some((p.clone(), f.clone())) } else { None }).collect();
        (!files.is_empty()).then(|| files[usize::from(n) % files.len()].clone())
    }

    fn unused(&mut self) -> u16 {
        self.fresh += 1;
        self.fresh
    }

    fn write(&mut self, path: String, mut f: File, text: u32) {
        let of_id = self.tree.values().filter_map(|e| if let Entry::File(x) = e { (x.id == f.id).then_some(x.generation) } else { None });
        f.generation = 1 + of_id.chain([f.generation]).max().unwrap();
        (f.text, f.writer, f.time) = (text, self.writer, self.time);
        self.tree.insert(path, Entry::File(f));
    }

    fn step(&mut self, (what, a, b, c): Step) {
        self.time += 60;
        let free = |t: &naive::Tree, p: &String| !t.contains_key(p);
        let name = NAMES[usize::from(c) % NAMES.len()];
        match what {
            0..=2 => {
                // Most directories have the id that their place gives; who makes the same one has the same id.
                let path = format!("{}{name}", self.dir(b));
                if free(&self.tree, &path) {
                    let (up, _) = if path.contains('/') { naive::place(&self.tree, &path) } else { (0, String::new()) };
                    let derived = 60_000 + (u32::from(up) * 4 + u32::from(c) % 4) as u16 % 5_000;
                    let taken = self.tree.values().any(|e| *e == Entry::Dir(derived));
                    let id = if taken || a > 230 { self.unused() } else { derived };
                    self.tree.insert(path, Entry::Dir(id));
                }
            }
            3..=6 => {
                let path = format!("{}{name}", self.dir(b));
                let text = self.unused();
                // Now and then the id that somebody else has for this place, or a content that somebody else writes, too.
                let id = if a > 200 { 50_000 + u16::from(c % 4) } else { text };
                let text = if a % 8 == 0 { OFTEN + u32::from(c % 2) } else { u32::from(text) };
                if free(&self.tree, &path) {
                    let f = File { writer: "", time: 0, id, generation: 0, text, link: a % 5 == 0, exec: false, private: false };
                    self.write(path, f, text);
                }
            }
            7..=9 => {
                if let Some((path, f)) = self.file(a) {
                    let text = if b % 6 == 0 { OFTEN + u32::from(c % 2) } else { u32::from(self.unused()) };
                    self.write(path, f, text);
                }
            }
            10..=12 => {
                if let Some(path) = self.any(a) {
                    self.tree.retain(|p, _| *p != path && !p.starts_with(&format!("{path}/")));
                }
            }
            13..=18 => {
                let Some(from) = self.any(a) else { return };
                let to = format!("{}{name}", self.dir(b));
                if free(&self.tree, &to) && !to.starts_with(&format!("{from}/")) {
                    let below = format!("{from}/");
                    let moved: Vec<(String, Entry)> = self.tree.extract_if(.., |p, _| *p == from || p.starts_with(&below)).collect();
                    self.tree.extend(moved.into_iter().map(|(p, e)| (format!("{to}{}", &p[from.len()..]), e)));
                }
            }
            19 | 20 => {
                if let Some((path, mut f)) = self.file(a).filter(|(_, f)| !f.link) {
                    if b % 2 == 0 {
                        f.exec = !f.exec
                    } else {
                        f.private = !f.private
                    }
                    f.generation += 1;
                    self.tree.insert(path, Entry::File(f));
                }
            }
            21 => {
                if let Some((path, f)) = self.file(a) {
                    let text = f.text;
                    self.write(path, f, text);
                }
            }
            22 => {
                // One file over another: the name keeps its id.
                if let (Some((from, f)), Some((to, over))) = (self.file(a), self.file(b))
                    && from != to
                {
                    self.tree.remove(&from);
                    let exec = f.exec;
                    self.write(to, File { link: f.link, exec, ..over }, f.text);
                }
            }
            _ => {
                // A conflict copy of before: the same id at another name.
                if let Some((path, f)) = self.file(a) {
                    let stem = path.strip_suffix(".txt").unwrap_or(&path);
                    let stem = stem.split(" (conflict").next().unwrap();
                    let ext = &path[path.strip_suffix(".txt").map_or(path.len(), str::len)..];
                    let copy = format!("{stem} (conflict {} {}){ext}", self.writer, naive::date(self.time));
                    if free(&self.tree, &copy) {
                        let text = u32::from(self.unused());
                        self.write(copy, f, text);
                    }
                }
            }
        }
    }
}

/// A base and what two devices made of it.
fn history(steps: &[Vec<Step>; 3]) -> [naive::Tree; 3] {
    let mut base = Hand { tree: naive::Tree::new(), writer: "gamma", fresh: 0, time: 0 };
    steps[0].iter().for_each(|s| base.step(*s));
    let side = |writer, fresh, time, steps: &[Step]| {
        let mut hand = Hand { tree: base.tree.clone(), writer, fresh, time };
        steps.iter().for_each(|s| hand.step(*s));
        hand.tree
    };
    let (one, two) = (side("alpha", 10_000, 100_000, &steps[1]), side("beta", 20_000, 100_030, &steps[2]));
    [base.tree, one, two]
}

fn id(n: u16) -> Id {
    let mut out = [0; 16];
    out[..2].copy_from_slice(&n.to_be_bytes());
    if n == 0 { Id::ROOT } else { Id(out) }
}

fn version(f: &File) -> Version {
    let mut mac = [0; 32];
    mac[..4].copy_from_slice(&f.text.to_be_bytes());
    // One object for one version, and no other.
    let mut oid = [1; 20];
    oid[..2].copy_from_slice(&f.id.to_be_bytes());
    oid[2..6].copy_from_slice(&f.text.to_be_bytes());
    oid[6..10].copy_from_slice(&(f.time as u32).to_be_bytes());
    oid[10] = f.generation as u8;
    oid[11] = u8::from(f.exec) + 2 * u8::from(f.private) + 4 * u8::from(f.link);
    oid[12] = f.writer.as_bytes()[0];
    Version {
        id: id(f.id),
        kind: if f.link { FileKind::Link } else { FileKind::File },
        size: 1,
        mac,
        epoch: 0,
        segment: 0,
        exec: f.exec,
        private: f.private,
        mtime: Time { s: f.time, ns: 0 },
        offset: 0,
        generation: f.generation,
        writer: Writer::new(f.writer).unwrap(),
        oid: Oid(oid),
    }
}

fn real(t: &naive::Tree) -> Tree {
    let mut out = Tree::new();
    for (path, e) in t {
        let (dir, name) = naive::place(t, path);
        let node = match e {
            Entry::Dir(n) => Node::Dir { id: id(*n), tree: Oid::ZERO },
            Entry::File(f) => Node::File(version(f)),
        };
        out.insert(Place { dir: id(dir), name: Name::new(name.into_bytes()).unwrap() }, node);
    }
    out
}

/// The result by path, and everything that a version says.
fn shown(t: &Tree) -> naive::Tree {
    let mut out = naive::Tree::new();
    let mut todo = vec![(String::new(), Id::ROOT)];
    while let Some((path, dir)) = todo.pop() {
        for (place, node) in t.children(dir) {
            let p = format!("{path}{}", String::from_utf8_lossy(place.name.as_bytes()));
            let number = |i: &Id| u16::from_be_bytes([i.0[0], i.0[1]]);
            let entry = match node {
                Node::Dir { id, .. } => {
                    todo.push((format!("{p}/"), *id));
                    Entry::Dir(number(id))
                }
                Node::File(v) => Entry::File(File {
                    writer: ["alpha", "beta", "gamma"].into_iter().find(|w| *w == v.writer.as_str()).unwrap(),
                    time: v.mtime.s,
                    id: number(&v.id),
                    generation: v.generation,
                    text: u32::from_be_bytes(v.mac[..4].try_into().unwrap()),
                    link: v.kind == FileKind::Link,
                    exec: v.exec,
                    private: v.private,
                }),
            };
            out.insert(p, entry);
        }
    }
    assert_eq!(out.len(), t.iter().count(), "everything hangs on the root");
    out
}

struct ByContent;

impl Same for ByContent {
    fn same(&mut self, a: &Version, b: &Version) -> Result<bool> {
        Ok(a.mac == b.mac)
    }
}

fn merged(b: &naive::Tree, one: &naive::Tree, two: &naive::Tree, how: How) -> naive::Tree {
    match merge(&real(b), &real(one), &real(two), how, &mut ByContent).unwrap() {
        Outcome::Merged(m) => shown(&m.tree),
        Outcome::Open(_) => panic!("nothing was closed"),
    }
}

fn texts(t: &naive::Tree) -> BTreeMap<u32, Vec<&File>> {
    let mut out: BTreeMap<u32, Vec<&File>> = BTreeMap::new();
    for e in t.values() {
        if let Entry::File(f) = e {
            out.entry(f.text).or_default().push(f);
        }
    }
    out
}

fn without_generations(t: naive::Tree) -> naive::Tree {
    let zero = |e| match e {
        Entry::File(f) => Entry::File(File { generation: 0, ..f }),
        dir => dir,
    };
    t.into_iter().map(|(p, e)| (p, zero(e))).collect()
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..24, any::<u8>(), any::<u8>(), any::<u8>()), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_merge_is_what_its_table_says(base in steps(14), one in steps(7), two in steps(7)) {
        let [base, one, two] = history(&[base, one, two]);
        let result = merged(&base, &one, &two, How::Real);
        prop_assert_eq!(&result, &naive::merge(&base, &one, &two, false));
        prop_assert_eq!(merged(&base, &one, &two, How::VirtualBase), naive::merge(&base, &one, &two, true));
        // The identities.
        prop_assert_eq!(without_generations(merged(&base, &base, &two, How::Real)), without_generations(two.clone()));
        prop_assert_eq!(without_generations(merged(&base, &one, &base, How::Real)), without_generations(one.clone()));
        prop_assert_eq!(&merged(&base, &one, &one, How::Real), &one);
        // Nothing is lost: what a side wrote, and what both still have, is there; what one side has deleted or replaced
        // and the other not touched is gone; nothing is invented.
        let (b, x, y, r) = (texts(&base), texts(&one), texts(&two), texts(&result));
        for text in x.keys().chain(y.keys()).filter(|t| !b.contains_key(t) || (**t < OFTEN && x.contains_key(t) && y.contains_key(t))) {
            prop_assert!(r.contains_key(text), "content {} is lost", text);
        }
        for text in r.keys() {
            prop_assert!(x.contains_key(text) || y.contains_key(text), "content {} is back or invented", text);
        }
        // No directory is there twice, none that only the base had, and what neither has moved or removed is there.
        let dirs = |t: &naive::Tree| t.values().filter_map(|e| if let Entry::Dir(d) = e { Some(*d) } else { None }).collect::<Vec<u16>>();
        let once: BTreeSet<u16> = dirs(&result).into_iter().collect();
        prop_assert_eq!(once.len(), dirs(&result).len());
        prop_assert!(once.iter().all(|d| dirs(&one).contains(d) || dirs(&two).contains(d)));
        for (p, e) in &base {
            if let Entry::Dir(_) = e
                && [&one, &two].iter().all(|t| t.get(p) == Some(e))
                && p.match_indices('/').all(|(i, _)| [&one, &two].iter().all(|t| t.get(&p[..i]) == base.get(&p[..i])))
            {
                prop_assert!(matches!(result.get(p), Some(Entry::Dir(_))), "directory {} is gone", p);
            }
        }
    }
}

/// Mistakes in the merge are found by the model, each within the cases of one run.
#[cfg(feature = "sim")]
#[test]
fn the_model_finds_planted_mistakes() {
    use proptest::test_runner::{Config, TestRunner};
    use sharelock::tree::planted::{Mistake, plant};
    for mistake in [Mistake::NoCycle, Mistake::NoRescue, Mistake::NoRename, Mistake::NoGeneration, Mistake::NowNames] {
        let config = Config { cases: 6_000, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
        plant(Some(mistake));
        let found = TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default())).run(
            &(steps(14), steps(7), steps(7)),
            |(base, one, two)| {
                let [base, one, two] = history(&[base, one, two]);
                let result = merge(&real(&base), &real(&one), &real(&two), How::Real, &mut ByContent);
                let Ok(Outcome::Merged(m)) = result else { return Err(TestCaseError::fail("an error")) };
                prop_assert_eq!(shown(&m.tree), naive::merge(&base, &one, &two, false));
                Ok(())
            },
        );
        plant(None);
        assert!(found.is_err(), "the model does not find {}", mistake.name());
    }
}
