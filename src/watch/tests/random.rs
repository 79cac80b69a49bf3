//! Any sequence of changes, drained at any moments: whoever looks only where they are told knows everything.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    MakeDir(usize, u8),
    MakeDeep(usize, u8),
    Write(usize, u8),
    Append(usize),
    Rename(usize, usize, u8),
    Exchange(usize, usize),
    Remove(usize),
    Out(usize),
    In(usize, u8),
    /// A bounded piece of the watcher's work, without waiting for its end.
    Step(u8),
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let n = any::<usize>;
    let c = || 0..6u8;
    prop_oneof![
        3 => (n(), c()).prop_map(|(d, c)| Op::MakeDir(d, c)),
        1 => (n(), c()).prop_map(|(d, c)| Op::MakeDeep(d, c)),
        3 => (n(), c()).prop_map(|(d, c)| Op::Write(d, c)),
        2 => n().prop_map(Op::Append),
        6 => (n(), n(), c()).prop_map(|(a, b, c)| Op::Rename(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Op::Exchange(a, b)),
        2 => n().prop_map(Op::Remove),
        1 => n().prop_map(Op::Out),
        1 => (n(), c()).prop_map(|(d, c)| Op::In(d, c)),
        2 => (1..4u8).prop_map(Op::Step),
        1 => Just(Op::Drain),
    ]
}

/// All directories, or all else, below the root; the root first.
fn entries(root: &Path, dirs: bool) -> Vec<std::path::PathBuf> {
    let mut out = vec![];
    let mut todo = vec![root.to_path_buf()];
    while let Some(d) = todo.pop() {
        let mut names: Vec<_> = fs::read_dir(&d).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for p in names {
            match p.symlink_metadata().unwrap().is_dir() {
                true => todo.push(p),
                false if dirs => {}
                false => out.push(p),
            }
        }
        if dirs {
            out.push(d);
        }
    }
    out
}

/// Does it; what the disk refuses (a name that is taken, a directory into itself) does nothing.
fn act(root: &Path, outside: &Path, op: &Op) {
    let dirs = entries(root, true);
    let dir = |i: usize| &dirs[i % dirs.len()];
    let below = |i: usize| dirs.get(1 + i % dirs.len().max(2).saturating_sub(1));
    let name = |c: u8| format!("n{c}");
    let _ = match op {
        Op::MakeDir(d, c) => fs::create_dir(dir(*d).join(name(*c))),
        Op::MakeDeep(d, c) => fs::create_dir_all(dir(*d).join(name(*c)).join("n0/n1/n2")),
        Op::Write(d, c) => fs::write(dir(*d).join(name(*c)), "x"),
        Op::Append(i) => {
            let files = entries(root, false);
            files.get(i % files.len().max(1)).map_or(Ok(()), |f| {
                use std::io::Write;
                fs::OpenOptions::new().append(true).open(f).and_then(|mut f| f.write_all(b"more"))
            })
        }
        Op::Rename(a, b, c) => {
            let all: Vec<_> = dirs[1..].iter().cloned().chain(entries(root, false)).collect();
            all.get(a % all.len().max(1)).map_or(Ok(()), |from| fs::rename(from, dir(*b).join(name(*c))))
        }
        Op::Exchange(a, b) => match (below(*a), below(*b)) {
            (Some(a), Some(b)) => {
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, a, cwd, b, rustix::fs::RenameFlags::EXCHANGE).map_err(Into::into)
            }
            _ => Ok(()),
        },
        Op::Remove(d) => below(*d).map_or(Ok(()), fs::remove_dir_all),
        Op::Out(d) => below(*d).map_or(Ok(()), |d| fs::rename(d, outside.join("kept"))),
        Op::In(d, c) => fs::rename(outside.join("kept"), dir(*d).join(name(*c))),
        Op::Step(_) | Op::Drain => Ok(()),
    };
}

/// Each directory is watched under its own name.
fn assert_watched(root: &Path, w: &mut Watcher) {
    for d in entries(root, true) {
        fs::write(d.join("probe"), "x").unwrap();
        let rel = d.strip_prefix(root).unwrap();
        assert_eq!(w.drain(), [dir(rel.to_str().unwrap())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_looks_where_they_are_told_knows_everything(ops in prop::collection::vec(op(), 1..60)) {
        let outside = tempfile::tempdir().unwrap();
        let mut s = Seen::new(&["n0/n1", "n2"]);
        let mut eye = Eye::new(s.dir.path());
        for op in &ops {
            act(s.dir.path(), outside.path(), op);
            match op {
                Op::Step(n) => {
                    for _ in 0..*n {
                        s.watcher.step();
                    }
                    eye.look(std::iter::from_fn(|| s.watcher.pending.pop()).collect());
                }
                Op::Drain => {
                    eye.look(s.drain());
                    eye.assert_complete();
                }
                _ => {}
            }
        }
        eye.look(s.drain());
        eye.assert_complete();
        prop_assert_eq!(s.watcher.state().watched, eye.directories());
        let root = s.dir.path().to_path_buf();
        assert_watched(&root, &mut s.watcher);
    }
}

#[test]
fn renames_while_the_watcher_reads() {
    let outside = tempfile::tempdir().unwrap();
    let mut s = Seen::new(&["n0/n1/n2", "n2/n0", "n3/n1"]);
    let mut eye = Eye::new(s.dir.path());
    let (root, out) = (s.dir.path().to_path_buf(), outside.path().to_path_buf());
    let mover = std::thread::spawn(move || {
        let mut seed = 1u64;
        for _ in 0..3000 {
            let mut n = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as usize
            };
            let (a, b, c) = (n(), n(), (n() % 4) as u8);
            let op = match n() % 8 {
                0 => Op::MakeDeep(a, c),
                1 => Op::Write(a, c),
                2 => Op::Exchange(a, b),
                3 => Op::Remove(a),
                4 => Op::Out(a),
                5 => Op::In(a, c),
                _ => Op::Rename(a, b, c),
            };
            act(&root, &out, &op);
        }
    });
    while !mover.is_finished() {
        eye.look(s.drain());
    }
    mover.join().unwrap();
    eye.look(s.drain());
    eye.assert_complete();
    assert_eq!(s.watcher.state().watched, eye.directories());
    let root = s.dir.path().to_path_buf();
    assert_watched(&root, &mut s.watcher);
}
