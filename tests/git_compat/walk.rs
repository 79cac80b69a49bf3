//! What has to be sent: judged by `git rev-list --objects`, and counted.

use crate::support::*;
use proptest::prelude::*;
use sharelock::git::object::TreeBuilder;
use sharelock::git::store::PackWriter;
use sharelock::git::{PackSource, Type};
use sharelock::id::Oid;
use std::collections::{BTreeMap, BTreeSet};

type Disk = sharelock::files::real::Disk;

/// A tree of paths (`a/b/c`) and contents.
type Paths = BTreeMap<String, Vec<u8>>;

fn tree(pack: &mut PackWriter<Disk>, paths: &Paths) -> Oid {
    let mut below: BTreeMap<&str, Paths> = BTreeMap::new();
    let mut builder = TreeBuilder::default();
    for (path, content) in paths {
        match path.split_once('/') {
            Some((dir, rest)) => {
                below.entry(dir).or_default().insert(rest.into(), content.clone());
            }
            None => builder.add_blob(path.as_bytes(), pack.add(Type::Blob, content).unwrap()).unwrap(),
        }
    }
    for (dir, paths) in below {
        let oid = tree(pack, &paths);
        builder.add_tree(dir.as_bytes(), oid).unwrap();
    }
    pack.add(Type::Tree, &builder.finish().unwrap()).unwrap()
}

fn commit(ours: &Ours, paths: &Paths, parents: &[Oid], time: i64) -> Oid {
    let mut pack = ours.store.pack_writer().unwrap();
    let tree = tree(&mut pack, paths);
    let text = String::from_utf8(commit_bytes(&tree, parents, paths.len())).unwrap();
    let oid = pack.add(Type::Commit, text.replace("1700000000", &time.to_string()).as_bytes()).unwrap();
    pack.finish().unwrap();
    oid
}

/// What git says that is needed.
fn needed(ours: &Ours, want: Oid, have: &[Oid]) -> BTreeSet<Oid> {
    let mut args = vec!["rev-list".to_string(), "--objects".into(), want.to_string()];
    args.extend(have.iter().map(|h| format!("^{h}")));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    git(ours.dir(), &args).lines().map(|l| oid(&l[..40])).collect()
}

/// All that a commit reaches.
fn reached(ours: &Ours, from: &[Oid]) -> BTreeSet<Oid> {
    from.iter().flat_map(|f| needed(ours, *f, &[])).collect()
}

/// Enough, and nothing twice.
fn check(ours: &Ours, want: Oid, have: &[Oid]) -> Vec<Oid> {
    let list = ours.store.closure(&[want], have).unwrap();
    let sent: BTreeSet<Oid> = list.iter().copied().collect();
    assert_eq!(sent.len(), list.len(), "something twice");
    let there = reached(ours, have);
    for oid in reached(ours, &[want]) {
        assert!(sent.contains(&oid) || there.contains(&oid), "{oid} would be missing");
    }
    list
}

fn paths(n: usize) -> Paths {
    (0..n).map(|i| (format!("d{}/e{}/f{i}", i % 5, i % 3), noise(i as u64, 20))).collect()
}

#[test]
fn an_edit_costs_its_path() {
    let ours = Ours::new();
    let mut p = paths(300);
    let first = commit(&ours, &p, &[], 1000);
    assert_eq!(check(&ours, first, &[]).len(), needed(&ours, first, &[]).len());
    p.insert("d1/e1/f1".into(), b"edited".to_vec());
    let second = commit(&ours, &p, &[first], 1001);
    // A commit, three trees, a blob.
    assert_eq!(check(&ours, second, &[first]).len(), 5);
    assert!(check(&ours, second, &[second]).is_empty());
    assert!(check(&ours, first, &[second]).is_empty(), "an ancestor");
    // A head that is not here is passed over.
    assert_eq!(check(&ours, second, &[first]).len(), ours.store.closure(&[second], &[Oid([9; 20]), first]).unwrap().len());
}

#[test]
fn renames_and_moves_of_directories_cost_trees_only() {
    let ours = Ours::new();
    let p = paths(300);
    let first = commit(&ours, &p, &[], 1000);
    let renamed: Paths = p.iter().map(|(k, v)| (k.replace("d1/", "x1/"), v.clone())).collect();
    let second = commit(&ours, &renamed, &[first], 1001);
    assert_eq!(check(&ours, second, &[first]).len(), 2);
    let moved: Paths = renamed.iter().map(|(k, v)| (k.replace("x1/", "d2/in/"), v.clone())).collect();
    let third = commit(&ours, &moved, &[second], 1002);
    assert_eq!(check(&ours, third, &[second]).len(), 3);
    // Renamed and edited within at once.
    let mut both: Paths = moved.iter().map(|(k, v)| (k.replace("d3/", "y3/"), v.clone())).collect();
    both.insert("y3/e0/f3".into(), b"edited".to_vec());
    let fourth = commit(&ours, &both, &[third], 1003);
    assert_eq!(check(&ours, fourth, &[third]).len(), 5);
}

#[test]
fn merges_and_clocks_that_run_backwards() {
    let ours = Ours::new();
    let mut p = paths(30);
    let base = commit(&ours, &p, &[], 5000);
    p.insert("left".into(), b"l".to_vec());
    let mut left = base;
    for i in 0..20i64 {
        p.insert("left".into(), vec![i as u8]);
        left = commit(&ours, &p, &[left], 5000 - i * 100);
    }
    p.remove("left");
    p.insert("right".into(), b"r".to_vec());
    let right = commit(&ours, &p, &[base], 9000);
    p.insert("left".into(), vec![19]);
    let merge = commit(&ours, &p, &[left, right], 10);
    for have in [vec![], vec![base], vec![left], vec![right], vec![left, right], vec![merge]] {
        check(&ours, merge, &have);
    }
    // The merge, its root, and the other side's commit with what it brought.
    assert_eq!(check(&ours, merge, &[left]).len(), 5);
}

#[test]
fn a_small_change_reads_little() {
    let ours = Ours::new();
    let mut p: Paths = (0..3000).map(|i| (format!("d{}/f{i}", i % 300), vec![i as u8, (i >> 8) as u8])).collect();
    let mut head = commit(&ours, &p, &[], 1000);
    for i in 0..50 {
        p.insert("d7/f7".into(), vec![i; 3]);
        head = commit(&ours, &p, &[head], 1001 + i64::from(i));
    }
    let before = head;
    p.insert("d7/f7".into(), b"edited".to_vec());
    head = commit(&ours, &p, &[head], 2000);
    let mut list: Vec<Oid> = ours.store.closure(&[head], &[before]).unwrap();
    assert_eq!(list.len(), 4);
    // The same in a store that has nothing but the changed path of both: anything else that is read is missing.
    let old = git(ours.dir(), &["rev-parse", &before.to_string(), &format!("{before}^{{tree}}"), &format!("{before}:d7")]);
    list.extend(old.lines().map(oid));
    let other = Ours::new();
    let mut sink = other.store.ingest().unwrap();
    ours.store.pack_source(list).unwrap().write_to(&mut sink).unwrap();
    sink.finish().unwrap();
    assert_eq!(other.store.closure(&[head], &[before]).unwrap().len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random histories: every pair of commits.
    #[test]
    fn random_histories(steps in prop::collection::vec((0..6usize, 0..6usize, "[ab]/[ab]/[abc]|[ab]/[abc]|[cd]", any::<u8>(), 0..40i64), 1..9)) {
        let ours = Ours::new();
        let mut all: Vec<(Oid, Paths)> = vec![];
        for (i, (a, b, path, content, time)) in steps.into_iter().enumerate() {
            let (mut parents, mut p) = (vec![], Paths::new());
            if !all.is_empty() {
                let (x, y) = (a % all.len(), b % all.len());
                parents.push(all[x].0);
                p = all[x].1.clone();
                if x != y {
                    parents.push(all[y].0);
                    let there = all[y].1.clone();
                    p.extend(there);
                }
            }
            // A name is a file or a directory, not both.
            p.retain(|k, _| !k.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{k}/")));
            let known: Vec<String> = p.keys().cloned().collect();
            p.retain(|k, _| !known.iter().any(|o| k.starts_with(&format!("{o}/"))));
            if content < 60 { p.remove(&path); } else { p.insert(path, vec![content / 50]); }
            all.push((commit(&ours, &p, &parents, 1000 + time + i as i64 * 10), p));
        }
        let last = all[all.len() - 1].0;
        for (have, _) in &all {
            check(&ours, last, &[*have]);
            check(&ours, *have, &[last]);
        }
    }
}
