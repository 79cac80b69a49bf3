//! The index of a work tree, judged by `git status` and `git ls-files`.

use crate::support::*;
use sharelock::clock::Time;
use sharelock::error::Kind;
use sharelock::files::{Files, Open, real::Disk};
use sharelock::git::Type;
use sharelock::git::index::{Cached, Entry, SPLIT_FROM, Writer};
use sharelock::git::object::TreeBuilder;
use sharelock::git::store::{Expect, Store};
use sharelock::id::Oid;
use std::path::Path;

/// Short ones and the longest that a directory takes.
fn names() -> Vec<String> {
    let mut names: Vec<String> = (0..300).map(|i| format!("f{i:03}")).collect();
    names.push("l".repeat(255));
    names.sort();
    names
}

/// A work tree with these files, its repository, and entries for the index.
fn work(dir: &Path) -> (Store<Disk>, Vec<Entry>, Oid) {
    let disk = Disk::open(dir).unwrap();
    disk.mkdir(&disk.root(), b".git", 0o777).unwrap();
    let store = Store::init(&disk, &disk.open_dir(&disk.root(), b".git").unwrap(), false).unwrap();
    let mut pack = store.pack_writer().unwrap();
    let (mut tree, mut entries) = (TreeBuilder::default(), Vec::new());
    for name in names() {
        std::fs::write(dir.join(&name), name.as_bytes()).unwrap();
        let oid = pack.add(Type::Blob, name.as_bytes()).unwrap();
        tree.add_blob(name.as_bytes(), oid).unwrap();
        let stat = disk.stat(&disk.root(), name.as_bytes()).unwrap().unwrap();
        entries.push(Entry { path: name.into_bytes(), stat: Cached::of(&stat), oid });
    }
    let tree = pack.add(Type::Tree, &tree.finish().unwrap()).unwrap();
    let commit = pack.add(Type::Commit, &commit_bytes(&tree, &[], 1)).unwrap();
    pack.finish().unwrap();
    store.set_ref("refs/heads/main", Expect::Absent, Some(commit)).unwrap();
    (store, entries, tree)
}

fn write(store: &Store<Disk>, entries: &[Entry], tree: Oid) -> sharelock::error::Result<()> {
    let mut w = Writer::new(store, entries.len() as u32, SPLIT_FROM)?;
    entries.iter().try_for_each(|e| w.add(e))?;
    w.tree(b"", entries.len() as u32, 0, tree);
    w.finish()
}

fn read(store: &Store<Disk>) -> Vec<Entry> {
    let mut reader = store.index().unwrap().unwrap();
    let (mut out, mut e) = (Vec::new(), Entry::default());
    while reader.next(&mut e).unwrap() {
        out.push(e.clone());
    }
    out
}

#[test]
fn status_is_clean_and_a_commit_reuses_the_trees() {
    let temp = tempfile::TempDir::new().unwrap();
    let (store, entries, tree) = work(temp.path());
    write(&store, &entries, tree).unwrap();
    assert_eq!(git(temp.path(), &["status", "--porcelain"]), "");
    let listed: String = entries.iter().map(|e| format!("H 100644 {} 0\t{}\n", e.oid, String::from_utf8_lossy(&e.path))).collect();
    assert_eq!(git(temp.path(), &["ls-files", "--stage", "-v"]), listed);
    assert_eq!(oid(&git(temp.path(), &["write-tree"])), tree);
    fsck(temp.path());
    // An edit shows, and a stock commit takes it.
    std::fs::write(temp.path().join("f007"), "edited").unwrap();
    assert_eq!(git(temp.path(), &["status", "--porcelain"]), " M f007\n");
    git(temp.path(), &["commit", "-q", "-a", "-m", "by hand"]);
    assert_eq!(git(temp.path(), &["status", "--porcelain"]), "");
    fsck(temp.path());
}

/// Times that 32 bits do not hold: git cuts them, and finds a file unchanged by the same cut.
#[test]
fn files_of_any_century_are_clean() {
    let temp = tempfile::TempDir::new().unwrap();
    let (store, mut entries, tree) = work(temp.path());
    let disk = Disk::open(temp.path()).unwrap();
    let times = [-1, -(1 << 31), 0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 5, 8_000_000_000];
    for (e, s) in entries.iter_mut().zip(times) {
        let f = disk.open_rw(&disk.root(), &e.path).unwrap();
        f.set_mtime(Time { s, ns: 5 }).unwrap();
        let stat = disk.stat(&disk.root(), &e.path).unwrap().unwrap();
        assert_eq!(stat.mtime.s, s, "the disk keeps it");
        e.stat = Cached::of(&stat);
    }
    write(&store, &entries, tree).unwrap();
    // Not by a stat of its own: what is listed is what was written, and nothing of it is out of date.
    assert_eq!(git(temp.path(), &["diff-files"]), "");
    assert_eq!(git(temp.path(), &["status", "--porcelain"]), "");
    let shown = git(temp.path(), &["ls-files", "--debug", "--", "f005", "f007"]);
    assert!(shown.contains("mtime: 4294967295:5") && shown.contains("mtime: 5:5"), "{shown}");
    git(temp.path(), &["update-index", "--really-refresh"]);
    assert_eq!(read(&store).iter().map(|e| e.stat.mtime).collect::<Vec<_>>(), entries.iter().map(|e| e.stat.mtime).collect::<Vec<_>>());
}

#[test]
fn every_version_that_git_writes_is_read() {
    let temp = tempfile::TempDir::new().unwrap();
    let (store, entries, tree) = work(temp.path());
    write(&store, &entries, tree).unwrap();
    assert_eq!(read(&store), entries);
    for version in ["2", "4"] {
        git(temp.path(), &["update-index", "--index-version", version]);
        assert_eq!(read(&store), entries, "version {version}");
    }
    // Version 3 has extended flags: an intended addition brings them.
    git(temp.path(), &["update-index", "--index-version", "2"]);
    std::fs::write(temp.path().join("zz"), "new").unwrap();
    git(temp.path(), &["add", "-N", "zz"]);
    let all = read(&store);
    assert_eq!((all.len(), &all[..entries.len()]), (entries.len() + 1, &entries[..]));
}

#[test]
fn an_index_under_gits_lock_is_left_alone() {
    let temp = tempfile::TempDir::new().unwrap();
    let (store, entries, tree) = work(temp.path());
    write(&store, &entries[..1], tree).unwrap();
    let lock = temp.path().join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    assert_eq!(write(&store, &entries, tree).unwrap_err().kind(), Kind::Raced);
    assert!(lock.exists());
    assert_eq!(read(&store).len(), 1);
}

#[test]
fn damaged_indexes_are_refused_and_no_more() {
    let temp = tempfile::TempDir::new().unwrap();
    let (store, entries, tree) = work(temp.path());
    write(&store, &entries, tree).unwrap();
    let path = temp.path().join(".git/index");
    let good = std::fs::read(&path).unwrap();
    // One that ends within the entries, at any place; the reader says so at last.
    for cut in (0..good.len() / 2).step_by(37) {
        std::fs::write(&path, &good[..cut]).unwrap();
        let failed = match store.index() {
            Err(_) => true,
            Ok(reader) => {
                let (mut reader, mut e) = (reader.unwrap(), Entry::default());
                loop {
                    match reader.next(&mut e) {
                        Ok(true) => {}
                        Ok(false) => break false,
                        Err(_) => break true,
                    }
                }
            }
        };
        assert!(failed, "cut at {cut}");
    }
}
