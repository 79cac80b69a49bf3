//! Memory does not grow with the vault beyond a few bytes an object: the git engine counted by the byte, the whole
//! program by its growth from few files to many.
#![allow(clippy::unwrap_used)]
// Counting needs an allocator, and an allocator is unsafe; it only passes on to the system's.
#![allow(unsafe_code)]

mod support;

use sharelock::files::Files;
use sharelock::files::real::Disk;
use sharelock::git::object::TreeBuilder;
use sharelock::git::store::Store;
use sharelock::git::{PackSource, Type};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::{Home, PROGRAM};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    // As for the system, which moves large pieces without a copy beside them.
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        NOW.fetch_sub(layout.size(), Relaxed);
        PEAK.fetch_max(NOW.fetch_add(size, Relaxed) + size, Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One at a time: what is counted is the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// The most that a step needed beside what was there before, in bytes.
fn peak<T>(step: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let out = step();
    (out, PEAK.load(Relaxed) - before)
}

fn repository(dir: &Path) -> Store<Disk> {
    let files = Disk::open(dir).unwrap();
    Store::init(&files, &files.root(), true).unwrap()
}

#[test]
fn the_git_engine_needs_few_bytes_an_object() {
    const FILES: usize = 100_000;
    const DIRS: usize = 1000;
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (repository(a.path()), repository(b.path()));
    let mut bounds = Vec::new();
    let mut check = |what: &'static str, peak: usize, bound: usize| bounds.push((what, peak / (FILES + DIRS), peak, bound));
    let (head, written) = peak(|| {
        let mut pack = ours.pack_writer().unwrap();
        let mut root = TreeBuilder::default();
        for d in 0..DIRS {
            let mut tree = TreeBuilder::default();
            for f in 0..FILES / DIRS {
                let oid = pack.add(Type::Blob, format!("{d} {f}").as_bytes()).unwrap();
                tree.add_blob(format!("a name as long as names in secure are, of more than 68 bytes {f}").as_bytes(), oid).unwrap();
            }
            let tree = pack.add(Type::Tree, &tree.finish().unwrap()).unwrap();
            root.add_tree(d.to_string().as_bytes(), tree).unwrap();
        }
        let tree = pack.add(Type::Tree, &root.finish().unwrap()).unwrap();
        let text = format!("tree {tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n");
        let head = pack.add(Type::Commit, text.as_bytes()).unwrap();
        pack.finish().unwrap();
        head
    });
    check("writing a pack", written, 64);
    let (oids, listed) = peak(|| ours.closure(&[head], &[]).unwrap());
    check("listing what is to be sent", listed, 48);
    let mut sink = theirs.ingest().unwrap();
    let mut pack = ours.pack_source(oids).unwrap();
    let mut sent = std::fs::File::create(a.path().join("sent")).unwrap();
    let ((), sending) = peak(|| pack.write_to(&mut sent).unwrap());
    check("sending", sending, 4);
    drop(pack);
    let ((), taken) = peak(|| {
        std::io::copy(&mut std::fs::File::open(a.path().join("sent")).unwrap(), &mut sink).unwrap();
        sink.flush().unwrap();
        sink.finish().unwrap();
    });
    check("taking in", taken, 48);
    let ((), checked) = peak(|| theirs.complete(&head, &[]).unwrap());
    check("checking that nothing is missing", checked, 4);
    for (what, each, peak, bound) in &bounds {
        println!("{what}: {peak} bytes, {each} an object (bound {bound})");
    }
    for (what, each, _, bound) in bounds {
        assert!(each <= bound, "{what}: {each} bytes an object, more than {bound}");
    }
}

/// Runs the program without a password, so that no key is derived; its greatest resident set in kB.
fn resident(home: &Home, args: &[&str]) -> usize {
    let note = home.path("rss");
    let out = Command::new("time")
        .args(["-f", "%M", "-o"])
        .arg(&note)
        .arg(PROGRAM)
        .args(args)
        .env_clear()
        .env("HOME", home.dir.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .expect("time: apt-get install time");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    std::fs::read_to_string(note).unwrap().trim().parse().unwrap()
}

#[test]
fn a_vault_of_many_files_needs_little_more_than_a_small_one() {
    // In one folder some of what is held is an entry of it, a few times.
    for (folder, bound) in [(50, 1200), (usize::MAX, 1400)] {
        grows_little(folder, bound);
    }
}

fn grows_little(folder: usize, bound: usize) {
    const FEW: usize = 1000;
    const MANY: usize = 5000;
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let measured = [FEW, MANY].map(|files| {
        let (a, b) = (Home::new(), Home::new());
        for n in 0..files {
            a.write(&format!("{}/{n}", n / folder), &format!("file {n}"));
        }
        let node = a.path("node.git").display().to_string();
        let key = a.path("rk").display().to_string();
        let first = ["init", "--device", "a", "--remote", &node, "--create", "--start-without-password", "--recovery-key-out", &key];
        let init = resident(&a, &first);
        let join = resident(&b, &["join", &node, "--device", "b", "--start-without-password", "--recovery-key-file", &key]);
        let idle = resident(&b, &["sync"]);
        // Each has something new: their heads are merged.
        a.write("0/1", "of a");
        b.write("0/2", "of b");
        resident(&a, &["sync"]);
        let merge = resident(&b, &["sync"]);
        assert_eq!((b.read("0/1"), b.read("0/2")), ("of a".into(), "of b".into()));
        [init, join, idle, merge]
    });
    // What is left of the growth at these numbers is mostly the database's caches, which fill up and grow no more. A resident
    // set is some hundred kB more or less from run to run.
    let each = [0, 1, 2, 3].map(|n| measured[1][n].saturating_sub(measured[0][n]) * 1024 / (MANY - FEW));
    println!("{measured:?} kB; {each:?} bytes a file");
    assert!(each.iter().all(|n| *n <= bound), "{measured:?} kB; {each:?} bytes a file");
}
