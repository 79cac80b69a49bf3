//! The merge by its table: each row by name, and planted mistakes that the rows find. (Random small trees: merge_model and
//! merge_partial; whole rounds: merge_scenarios.)
#![allow(clippy::unwrap_used)]

use sharelock::clock::Time;
use sharelock::error::Result;
use sharelock::id::{Id, Oid};
use sharelock::path::Name;
use sharelock::tree::merge::{How, Merged, Outcome, Same, merge};
use sharelock::tree::{FileKind, Node, Place, Tree, Version, Writer};
use std::collections::BTreeMap;

/// One entry: `d` + id for a directory; a file as (id, content, generation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum E {
    D(u8),
    F(u8, char, u64),
    /// Executable.
    X(u8, char, u64),
    /// A later time.
    T(u8, char, u64),
}
use E::{D, F, T, X};

fn id(n: u8) -> Id {
    Id([n; 16])
}

fn version(e: E) -> Option<Version> {
    let (i, c, generation, exec, s) = match e {
        D(_) => return None,
        F(i, c, g) => (i, c, g, false, 100),
        X(i, c, g) => (i, c, g, true, 100),
        T(i, c, g) => (i, c, g, false, 200),
    };
    let writer = if c.is_ascii_uppercase() { "beta" } else { "alpha" };
    let mut oid = [0u8; 20];
    oid[..5].copy_from_slice(&[i, c as u8, generation as u8, u8::from(exec) + 1, s as u8]);
    Some(Version {
        id: id(i),
        kind: FileKind::File,
        size: 1,
        mac: [c.to_ascii_lowercase() as u8; 32],
        epoch: 0,
        segment: 0,
        exec,
        private: false,
        mtime: Time { s, ns: 0 },
        offset: 0,
        generation,
        writer: Writer::new(writer).unwrap(),
        oid: Oid(oid),
    })
}

fn tree(entries: &[(&str, E)]) -> Tree {
    let mut t = Tree::new();
    let mut dirs: BTreeMap<&str, Id> = BTreeMap::from([("", Id::ROOT)]);
    for (path, e) in entries {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let place = Place { dir: dirs[dir], name: Name::new(name.as_bytes()).unwrap() };
        let node = match *e {
            D(i) => {
                dirs.insert(path, id(i));
                Node::Dir { id: id(i), tree: Oid::ZERO }
            }
            f => Node::File(version(f).unwrap()),
        };
        t.insert(place, node);
    }
    t
}

/// Contents decide; ids do not matter to who asks.
struct ByContent;

impl Same for ByContent {
    fn same(&mut self, a: &Version, b: &Version) -> Result<bool> {
        assert!(a.kind == b.kind && a.size == b.size && a.id != b.id, "asked only for what is not known");
        Ok(a.mac == b.mac)
    }
}

fn run(b: &Tree, x: &Tree, y: &Tree) -> Merged {
    match merge(b, x, y, How::Real, &mut ByContent).unwrap() {
        Outcome::Merged(m) => m,
        Outcome::Open(_) => panic!("nothing was closed"),
    }
}

/// Path to what stands there: directories as `d<id>`, files as `<id><content><generation>` with `x` if executable.
fn show(t: &Tree) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![(String::new(), Id::ROOT)];
    let mut steps = 0;
    while let Some((path, dir)) = todo.pop() {
        steps += 1;
        assert!(steps < 1000, "directories lie in each other");
        for (place, node) in t.children(dir) {
            let p = format!("{path}{}", place.name);
            match node {
                Node::Dir { id, .. } => {
                    todo.push((format!("{p}/"), *id));
                    out.insert(p, format!("d{}", id.0[0]));
                }
                Node::File(v) => {
                    let exec = if v.exec { "x" } else { "" };
                    out.insert(p, format!("{}{}{}{exec}", v.id.0[0], v.mac[0] as char, v.generation));
                }
            }
        }
    }
    out
}

const COPY_A: &str = " (conflict alpha 1970-01-01 000140)";
const COPY_B: &str = " (conflict beta 1970-01-01 000140)";

type Entries = &'static [(&'static str, E)];

/// Name, base, first, second, result.
const ROWS: &[(&str, Entries, Entries, Entries, &[(&str, &str)])] = &[
    ("R-same", &[("a", F(1, 'x', 1))], &[("a", F(1, 'y', 2))], &[("a", F(1, 'y', 2))], &[("a", "1y2")]),
    ("R-edit", &[("a", F(1, 'x', 1))], &[("a", F(1, 'x', 1))], &[("a", F(1, 'y', 2))], &[("a", "1y2")]),
    ("R-edit-edit", &[("a", F(1, 'x', 1))], &[("a", F(1, 'y', 2))], &[("a", F(1, 'Z', 2))], &[("a", "1y3"), ("a+B", "1z2")]),
    ("R-exec", &[("a", F(1, 'x', 1))], &[("a", X(1, 'x', 2))], &[("a", F(1, 'y', 2))], &[("a", "1y3x")]),
    ("R-touch", &[("a", F(1, 'x', 1))], &[("a", F(1, 'x', 1))], &[("a", T(1, 'x', 2))], &[("a", "1x2")]),
    ("R-both-deleted", &[("a", F(1, 'x', 1))], &[], &[], &[]),
    (
        "R-delete",
        &[("a", F(1, 'x', 1)), ("b", F(2, 'x', 1))],
        &[("b", F(2, 'x', 1))],
        &[("a", F(1, 'x', 1)), ("b", F(2, 'y', 2))],
        &[("b", "2y2")],
    ),
    ("R-dir-delete", &[("d", D(9)), ("d/a", F(1, 'x', 1))], &[], &[("d", D(9)), ("d/a", F(1, 'x', 1))], &[]),
    ("R-edit-delete", &[("d", D(9)), ("d/a", F(1, 'x', 1))], &[], &[("d", D(9)), ("d/a", F(1, 'y', 2))], &[("d", "d9"), ("d/a", "1y2")]),
    ("R-rename-delete", &[("a", F(1, 'x', 1))], &[], &[("b", F(1, 'x', 1))], &[("b", "1x1")]),
    (
        "R-dir-rename-delete",
        &[("d", D(9)), ("d/a", F(1, 'x', 1))],
        &[],
        &[("e", D(9)), ("e/a", F(1, 'x', 1))],
        &[("e", "d9"), ("e/a", "1x1")],
    ),
    ("R-add", &[], &[("a", F(1, 'x', 1))], &[("b", F(2, 'y', 1))], &[("a", "1x1"), ("b", "2y1")]),
    ("R-dir-add", &[], &[("d", D(9))], &[("d", D(9)), ("d/a", F(1, 'x', 1))], &[("d", "d9"), ("d/a", "1x1")]),
    ("R-rename", &[("a", F(1, 'x', 1))], &[("b", F(1, 'x', 1))], &[("a", F(1, 'y', 2))], &[("b", "1y2")]),
    (
        "R-dir-rename",
        &[("d", D(9)), ("d/a", F(1, 'x', 1))],
        &[("e", D(9)), ("e/a", F(1, 'x', 1))],
        &[("d", D(9)), ("d/a", F(1, 'y', 2)), ("d/n", F(2, 'n', 1))],
        &[("e", "d9"), ("e/a", "1y2"), ("e/n", "2n1")],
    ),
    ("R-rename-rename", &[("a", F(1, 'x', 1))], &[("b", F(1, 'x', 1))], &[("c", F(1, 'x', 1))], &[("b", "1x1")]),
    ("R-cycle", &[("d", D(8)), ("e", D(9))], &[("e", D(9)), ("e/d", D(8))], &[("d", D(8)), ("d/e", D(9))], &[("e", "d9"), ("e/d", "d8")]),
    (
        "R-dir-dir",
        &[],
        &[("d", D(9)), ("d/a", F(1, 'x', 1))],
        &[("d", D(8)), ("d/b", F(2, 'y', 1))],
        &[("d", "d9"), ("d/a", "1x1"), ("d/b", "2y1")],
    ),
    ("R-file-dir", &[], &[("n", F(1, 'x', 1))], &[("n", D(9)), ("n/a", F(2, 'y', 1))], &[("n", "d9"), ("n/a", "2y1"), ("n+A", "1x1")]),
    ("R-add-add-same", &[], &[("a", F(1, 'x', 1))], &[("a", X(2, 'x', 1))], &[("a", "1x2x")]),
    ("R-add-add", &[], &[("a", F(1, 'x', 1))], &[("a", F(2, 'Y', 1))], &[("a", "1x1"), ("a+B", "2y1")]),
    (
        "R-rename-onto",
        &[("a", F(1, 'x', 1)), ("b", F(2, 'y', 1))],
        &[("c", F(1, 'x', 1)), ("b", F(2, 'y', 1))],
        &[("a", F(1, 'x', 1)), ("c", F(2, 'y', 1))],
        &[("c", "1x1"), ("c+A", "2y1")],
    ),
    (
        "R-copy-exists",
        &[("a", F(1, 'x', 1))],
        &[("a", F(1, 'y', 2)), ("a+B", F(1, 'Z', 2))],
        &[("a", F(1, 'Z', 2))],
        &[("a", "1y3"), ("a+B", "1z2")],
    ),
    ("R-generation", &[("a", F(1, 'x', 5))], &[("a", F(1, 'y', 6))], &[("a", F(1, 'y', 9))], &[("a", "1y10")]),
];

fn expand(path: &str) -> String {
    path.replace("+A", COPY_A).replace("+B", COPY_B)
}

fn entries(e: Entries) -> Tree {
    let owned: Vec<(String, E)> = e.iter().map(|(p, e)| (expand(p), *e)).collect();
    let refs: Vec<(&str, E)> = owned.iter().map(|(p, e)| (p.as_str(), *e)).collect();
    tree(&refs)
}

fn check(row: &(&str, Entries, Entries, Entries, &[(&str, &str)])) -> std::result::Result<(), String> {
    let m = run(&entries(row.1), &entries(row.2), &entries(row.3));
    let want: BTreeMap<String, String> = row.4.iter().map(|(p, v)| (expand(p), v.to_string())).collect();
    let have = show(&m.tree);
    if have == want { Ok(()) } else { Err(format!("{}: {have:?}, should be {want:?}", row.0)) }
}

#[test]
fn every_row() {
    for row in ROWS {
        check(row).unwrap();
    }
}

#[test]
fn what_is_made_anew_names_its_source() {
    let m = run(&tree(&[("a", F(1, 'x', 1))]), &tree(&[("a", X(1, 'x', 2))]), &tree(&[("a", F(1, 'y', 2))]));
    let (place, source) = m.reseal.iter().next().unwrap();
    assert_eq!(*source, version(F(1, 'y', 2)).unwrap().oid);
    assert_eq!(m.tree.get(place).unwrap().file().unwrap().oid, Oid::ZERO);
}

#[cfg(feature = "sim")]
#[test]
fn the_rows_find_planted_mistakes() {
    use sharelock::tree::planted::{Mistake, plant};
    for (mistake, by) in [
        (Mistake::NoCycle, "R-cycle"),
        (Mistake::NoRescue, "R-dir-rename-delete"),
        (Mistake::NoRename, "R-rename"),
        (Mistake::NoGeneration, "R-generation"),
        (Mistake::NowNames, "R-edit-edit"),
    ] {
        plant(Some(mistake));
        let row = ROWS.iter().find(|r| r.0 == by).unwrap();
        let found = std::panic::catch_unwind(|| check(row));
        plant(None);
        assert!(!matches!(found, Ok(Ok(()))), "{by} does not find {}", mistake.name());
        check(row).unwrap();
    }
}
