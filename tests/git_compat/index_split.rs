//! A split index, written by us and by stock git, read by both.

use crate::support::*;
use sharelock::error::Kind;
use sharelock::files::{Files, real::Disk};
use sharelock::git::Type;
use sharelock::git::index::{Cached, Change, Entry, SPLIT_FROM, Writer};
use sharelock::git::object::{TreeBuilder, id};
use sharelock::git::store::{Expect, Store};
use sharelock::id::Oid;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

/// A work tree of files in directories of one level, and what its index must be.
struct Work {
    temp: TempDir,
    disk: Disk,
    store: Store<Disk>,
    model: BTreeMap<Vec<u8>, Entry>,
    tree: Oid,
    /// Contents that no commit has yet.
    blobs: Vec<Vec<u8>>,
    commits: usize,
}

impl Work {
    /// With `n` files, an index and a commit.
    fn new(n: usize) -> Work {
        let temp = TempDir::new().unwrap();
        let disk = Disk::open(temp.path()).unwrap();
        disk.mkdir(&disk.root(), b".git", 0o777).unwrap();
        let store = Store::init(&disk, &disk.open_dir(&disk.root(), b".git").unwrap(), false).unwrap();
        let mut w = Work { temp, disk, store, model: BTreeMap::new(), tree: Oid::ZERO, blobs: Vec::new(), commits: 0 };
        for i in 0..n {
            w.put(&name(i), i as u64);
        }
        w.tree = w.commit();
        w.whole();
        w
    }

    fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// Writes a file and notes it in the model.
    fn put(&mut self, path: &str, seed: u64) -> Change {
        let content = noise(seed, 20);
        let file = self.dir().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &content).unwrap();
        let oid = id(Type::Blob, &content);
        self.blobs.push(content);
        let stat = self.stat(path);
        self.model.insert(path.into(), Entry { path: path.into(), stat, oid });
        Change::Is(stat, oid)
    }

    fn remove(&mut self, path: &str) -> Change {
        std::fs::remove_file(self.dir().join(path)).unwrap();
        self.model.remove(path.as_bytes()).unwrap();
        Change::Gone
    }

    fn stat(&self, path: &str) -> Cached {
        let (dir, name) = match path.split_once('/') {
            Some((dir, name)) => (self.disk.open_dir(&self.disk.root(), dir.as_bytes()).unwrap(), name),
            None => (self.disk.root(), path),
        };
        Cached::of(&self.disk.stat(&dir, name.as_bytes()).unwrap().unwrap())
    }

    /// Commits the model; its tree.
    fn commit(&mut self) -> Oid {
        let mut pack = self.store.pack_writer().unwrap();
        for content in self.blobs.drain(..) {
            pack.add(Type::Blob, &content).unwrap();
        }
        let mut trees: BTreeMap<&[u8], TreeBuilder> = BTreeMap::new();
        let mut root = TreeBuilder::default();
        for (path, e) in &self.model {
            match path.iter().position(|c| *c == b'/') {
                Some(i) => trees.entry(&path[..i]).or_default().add_blob(&path[i + 1..], e.oid).unwrap(),
                None => root.add_blob(path, e.oid).unwrap(),
            }
        }
        for (name, tree) in trees {
            root.add_tree(name, pack.add(Type::Tree, &tree.finish().unwrap()).unwrap()).unwrap();
        }
        let tree = pack.add(Type::Tree, &root.finish().unwrap()).unwrap();
        self.commits += 1;
        let commit = pack.add(Type::Commit, &commit_bytes(&tree, &[], self.commits)).unwrap();
        pack.finish().unwrap();
        self.store.set_ref("refs/heads/main", Expect::Any, Some(commit)).unwrap();
        tree
    }

    fn whole(&self) {
        let mut w = Writer::new(&self.store, self.model.len() as u32, SPLIT_FROM).unwrap();
        w.tree(b"", self.model.len() as u32, 0, self.tree);
        self.model.values().for_each(|e| w.add(e).unwrap());
        w.finish().unwrap();
    }

    /// Commits, and brings the index there; `false` if it had to be written whole.
    fn bring(&mut self, changes: &BTreeMap<Vec<u8>, Change>) -> bool {
        let from = std::mem::replace(&mut self.tree, Oid::ZERO);
        self.tree = self.commit();
        let done = self.store.update_index(&from, &self.tree, changes).unwrap();
        if !done {
            self.whole();
        }
        done
    }

    fn read(&self) -> Vec<Entry> {
        let mut reader = self.store.index().unwrap().unwrap();
        let (mut out, mut e) = (Vec::new(), Entry::default());
        while reader.next(&mut e).unwrap() {
            out.push(e.clone());
        }
        out
    }

    /// What we read, and what git lists, is the model.
    fn check(&self) {
        let want: Vec<Entry> = self.model.values().cloned().collect();
        assert_eq!(self.read(), want);
        let listed: String = want.iter().map(|e| format!("100644 {} 0\t{}\n", e.oid, String::from_utf8_lossy(&e.path))).collect();
        assert_eq!(git(self.dir(), &["ls-files", "--stage"]), listed);
        let times: String = want
            .iter()
            .flat_map(|e| {
                let s = e.stat;
                [("  ctime", s.ctime), ("  mtime", s.mtime)].map(|(what, t)| format!("{what}: {}:{}\n", t.0, t.1))
            })
            .collect();
        let debug = git(self.dir(), &["ls-files", "--stage", "--debug"]);
        let shown: String =
            debug.lines().filter(|l| l.starts_with("  ctime") || l.starts_with("  mtime")).map(|l| format!("{l}\n")).collect();
        assert_eq!(shown, times);
    }

    /// Git finds nothing to say.
    fn clean(&self) {
        // Does not write the index, as `git status` may.
        assert_eq!(git(self.dir(), &["diff-index", "--cached", "HEAD"]), "");
        assert_eq!(git(self.dir(), &["--no-optional-locks", "status", "--porcelain"]), "");
        fsck(self.dir());
    }

    fn bases(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir().join(".git")).unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n.starts_with("sharedindex")).collect()
    }

    fn index(&self) -> Vec<u8> {
        std::fs::read(self.dir().join(".git/index")).unwrap()
    }
}

fn name(i: usize) -> String {
    match i % 3 {
        0 => format!("f{i:04}"),
        1 => format!("d{}/f{i:04}", i % 7),
        _ => format!("e{}/{}{i:04}", i % 5, "long".repeat(i % 40)),
    }
}

fn one(path: &str, change: Change) -> BTreeMap<Vec<u8>, Change> {
    BTreeMap::from([(path.into(), change)])
}

#[test]
fn an_edit_writes_little_and_git_reads_it() {
    let mut w = Work::new(1000);
    w.check();
    w.clean();
    assert_eq!(w.bases().len(), 1);
    let base = std::fs::read(w.dir().join(".git").join(&w.bases()[0])).unwrap();
    for (i, path) in [name(500), name(0), name(999), "zz".into(), "a/new".into()].iter().enumerate() {
        let change = w.put(path, 5000 + i as u64);
        assert!(w.bring(&one(path, change)));
        assert!(w.index().len() < 1000, "{} bytes", w.index().len());
        w.check();
    }
    let gone = w.remove(&name(7));
    assert!(w.bring(&one(&name(7), gone)));
    w.check();
    w.clean();
    // One that was deleted from the base comes back.
    let change = w.put(&name(7), 1);
    assert!(w.bring(&one(&name(7), change)));
    w.check();
    // Only the stat.
    std::fs::write(w.dir().join(name(8)), noise(8, 20)).unwrap();
    let stat = w.stat(&name(8));
    w.model.get_mut(name(8).as_bytes()).unwrap().stat = stat;
    assert!(w.store.update_index(&w.tree, &w.tree, &one(&name(8), Change::Seen(stat))).unwrap());
    w.check();
    w.clean();
    assert_eq!(std::fs::read(w.dir().join(".git").join(&w.bases()[0])).unwrap(), base);
}

#[test]
fn a_new_base_takes_the_place_of_the_old_one() {
    let mut w = Work::new(200);
    let first = w.bases();
    let mut changes = BTreeMap::new();
    for i in 0..60 {
        let change = w.put(&name(i), 900 + i as u64);
        changes.insert(name(i).into_bytes(), change);
    }
    assert!(!w.bring(&changes));
    w.check();
    w.clean();
    assert_eq!(w.bases().len(), 1);
    assert_ne!(w.bases(), first);
    // A small vault has none.
    let mut changes = BTreeMap::new();
    for i in 0..198 {
        let change = w.remove(&name(i));
        changes.insert(name(i).into_bytes(), change);
    }
    assert!(!w.bring(&changes));
    assert_eq!(w.bases(), Vec::<String>::new());
    w.check();
    w.clean();
}

#[test]
fn bitmaps_at_the_edges_of_words() {
    for n in [128, 129, 191, 192, 193] {
        for at in [0, 1, 63, 64, 65, 127, n - 1] {
            let mut w = Work::new(n);
            let paths: Vec<String> = w.model.keys().map(|p| String::from_utf8(p.clone()).unwrap()).collect();
            let (path, other) = (&paths[at], &paths[(at + 1) % n]);
            let mut changes = one(path, w.remove(path));
            let change = w.put(other, 7777);
            changes.insert(other.as_bytes().to_vec(), change);
            assert!(w.bring(&changes), "{n} {at}");
            w.check();
        }
    }
}

#[test]
fn stock_git_goes_on_with_it_and_we_read_that() {
    let mut w = Work::new(300);
    let change = w.put(&name(3), 1);
    assert!(w.bring(&one(&name(3), change)));
    for config in [&["update-index", "--split-index"][..], &["update-index", "--no-split-index"], &["update-index", "--split-index"]] {
        git(w.dir(), config);
        assert_eq!(w.read().len(), 300);
        // Adds, changes and removes, then a commit.
        std::fs::write(w.dir().join("added"), "by hand").unwrap();
        std::fs::write(w.dir().join(name(9)), format!("edited {config:?}")).unwrap();
        git(w.dir(), &["add", "added", &name(9)]);
        git(w.dir(), &["rm", "-q", "--cached", &name(10)]);
        assert_eq!(w.read().len(), 300);
        // It says of no tree that it is its index.
        let other = w.store.index_splits().unwrap();
        assert!(other.is_none(), "{other:?}");
        git(w.dir(), &["commit", "-q", "-m", "by hand"]);
        git(w.dir(), &["add", &name(10)]);
        git(w.dir(), &["rm", "-q", "-f", "added"]);
        git(w.dir(), &["commit", "-q", "-m", "by hand again"]);
        let listed = git(w.dir(), &["ls-files", "--stage"]);
        let ours: String = w.read().iter().map(|e| format!("100644 {} 0\t{}\n", e.oid, String::from_utf8_lossy(&e.path))).collect();
        assert_eq!(ours, listed);
        w.clean();
    }
    // A base of git's is as good as one of ours.
    w.tree = oid(&git(w.dir(), &["rev-parse", "HEAD^{tree}"]));
    w.model = w.read().into_iter().map(|e| (e.path.clone(), e)).collect();
    git(w.dir(), &["read-tree", "HEAD"]);
    git(w.dir(), &["update-index", "--refresh"]);
    w.model = w.read().into_iter().map(|e| (e.path.clone(), e)).collect();
    let change = w.put(&name(20), 99);
    w.bring(&one(&name(20), change));
    w.check();
    w.clean();
}

#[test]
fn an_index_of_another_tree_is_not_updated() {
    let mut w = Work::new(200);
    let change = w.put(&name(3), 1);
    let changes = one(&name(3), change);
    assert!(!w.store.update_index(&Oid([7; 20]), &w.tree, &changes).unwrap());
    // A change of what is not there.
    assert!(!w.store.update_index(&w.tree, &w.tree, &one("not there", Change::Gone)).unwrap());
    std::fs::write(w.dir().join("added"), "by hand").unwrap();
    git(w.dir(), &["add", "added"]);
    assert!(!w.store.update_index(&w.tree, &w.tree, &changes).unwrap());
}

#[test]
fn random_sequences_equal_a_model() {
    let mut x = 88_172_645_463_325_252u64;
    let mut random = |n: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x % n as u64) as usize
    };
    let (mut updated, mut whole) = (0, 0);
    for n in [130, 260, 700] {
        let mut w = Work::new(n);
        for step in 0..40u64 {
            let mut changes = BTreeMap::new();
            for k in 0..1 + random(9) as u64 {
                let path = match random(4) {
                    0 => name(n + random(40)),
                    _ => {
                        let all: Vec<_> = w.model.keys().collect();
                        String::from_utf8(all[random(all.len())].clone()).unwrap()
                    }
                };
                let change = if random(3) == 0 && w.model.contains_key(path.as_bytes()) {
                    w.remove(&path)
                } else {
                    w.put(&path, 10_000 + 100 * step + k)
                };
                // What is made and gone within one commit is no change of the index.
                if change == Change::Gone && !in_tree(&w, &path) {
                    changes.remove(path.as_bytes());
                } else {
                    changes.insert(path.into_bytes(), change);
                }
            }
            *if w.bring(&changes) { &mut updated } else { &mut whole } += 1;
            w.check();
            if step % 8 == 7 {
                w.clean();
                assert!(w.bases().len() <= 1);
            }
        }
    }
    assert!(updated > 60 && whole > 3, "{updated} updated, {whole} written whole");
}

/// True if the index, which is that of the last commit, has the path.
fn in_tree(w: &Work, path: &str) -> bool {
    w.read().iter().any(|e| e.path == path.as_bytes())
}

#[test]
fn an_index_under_gits_lock_is_left_alone() {
    let mut w = Work::new(200);
    let before = (w.index(), w.bases());
    let change = w.put(&name(3), 1);
    let lock = w.dir().join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    let failed = w.store.update_index(&w.tree, &w.tree, &one(&name(3), change)).unwrap_err();
    assert_eq!(failed.kind(), Kind::Raced);
    // Nor is a new base left.
    let mut whole = Writer::new(&w.store, w.model.len() as u32, SPLIT_FROM).unwrap();
    w.model.values().for_each(|e| whole.add(e).unwrap());
    assert_eq!(whole.finish().unwrap_err().kind(), Kind::Raced);
    assert!(lock.exists());
    assert_eq!((w.index(), w.bases()), before);
}

#[test]
fn a_base_is_touched_before_git_would_remove_it() {
    let mut w = Work::new(200);
    let base = w.dir().join(".git").join(&w.bases()[0]);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(13 * 24 * 3600);
    std::fs::File::options().write(true).open(&base).unwrap().set_modified(old).unwrap();
    let change = w.put(&name(3), 1);
    assert!(w.bring(&one(&name(3), change)));
    assert!(base.metadata().unwrap().modified().unwrap() > old + std::time::Duration::from_secs(12 * 24 * 3600));
}

#[test]
fn damage_is_found_and_harms_nothing() {
    let mut w = Work::new(200);
    let mut changes = one(&name(3), w.remove(&name(3)));
    changes.insert(b"new".to_vec(), w.put("new", 5));
    changes.insert(name(9).into_bytes(), w.put(&name(9), 6));
    assert!(w.bring(&changes));
    let (path, good) = (w.dir().join(".git/index"), w.index());
    let walk = || -> sharelock::error::Result<usize> {
        let (mut reader, mut e) = (w.store.index()?.unwrap(), Entry::default());
        let mut n = 0;
        while reader.next(&mut e)? {
            n += 1;
        }
        Ok(n)
    };
    let link = good.windows(4).position(|b| b == b"link").unwrap();
    // Every bit of the link, one after the other; and every length.
    for at in link..good.len() - 20 {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            assert!(walk().map_or(true, |n| n <= 202));
            let _ = w.store.update_index(&w.tree, &Oid([1; 20]), &BTreeMap::new());
        }
    }
    let tree = good.windows(4).position(|b| b == b"TREE").unwrap();
    for cut in 0..good.len() - 1 {
        std::fs::write(&path, &good[..cut]).unwrap();
        match walk() {
            // Cut behind the link: then it no longer says of which tree it is.
            Ok(200) if cut == tree + 20 => assert!(w.store.index_splits().unwrap().is_none()),
            Ok(n) => panic!("cut at {cut}: {n} entries"),
            Err(e) => assert!(matches!(e.kind(), Kind::Integrity(_))),
        }
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(walk().unwrap(), 200);
    // The base gone, cut short, or another one.
    let base = w.dir().join(".git").join(&w.bases()[0]);
    let whole = std::fs::read(&base).unwrap();
    for cut in [0, 11, 12, 31, 32, 5000, whole.len() - 1] {
        std::fs::write(&base, &whole[..cut]).unwrap();
        assert!(walk().is_err(), "base cut at {cut}");
    }
    std::fs::remove_file(&base).unwrap();
    assert!(walk().is_err());
    assert!(w.store.update_index(&w.tree, &w.tree, &BTreeMap::new()).is_err());
    w.whole();
    w.check();
}
