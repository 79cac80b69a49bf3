//! Disks that are filled to the last byte in the middle of a round: the share's, secure's, the state's, each a small tmpfs of
//! its own in a mount namespace that only the test sees.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Home, assert_equal_trees, git_ok, noise, tree};

/// True inside a mount namespace of its own, where the test goes on; else it is run there by a program of its own. Where nobody
/// may mount anything that is said, and nothing is tested.
fn inside(test: &str) -> bool {
    const INSIDE: &str = "SHARELOCK_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let options: &[&str] = if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--mount", "--user", "--map-root-user"] };
    let unshare = |words: &[&str]| {
        let mut c = Command::new("unshare");
        c.args(options).args(words);
        c
    };
    match unshare(&["mount", "-t", "tmpfs", "none", "/mnt"]).output() {
        Ok(o) if o.status.success() => {}
        other => {
            eprintln!("skipped: {test} needs unshare(1) and mounts of its own, which are not allowed here: {other:?}");
            return false;
        }
    }
    let me = std::env::current_exe().unwrap();
    let done = unshare(&[me.to_str().unwrap(), test, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    false
}

/// Puts what is in a folder on a disk of so many KiB.
fn small(folder: &Path, kib: u64) {
    let aside = folder.with_extension("aside");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::rename(folder, &aside).unwrap();
    std::fs::create_dir(folder).unwrap();
    ok(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("mode=0700,size={kib}k"), "none"]).arg(folder));
    ok(Command::new("cp").arg("-a").arg(aside.join(".")).arg(folder));
    std::fs::remove_dir_all(aside).unwrap();
}

/// Gives it more room.
fn room(folder: &Path, kib: u64) {
    ok(Command::new("mount").args(["-o", &format!("remount,size={kib}k")]).arg(folder));
}

/// Fills the disk of a folder but for so many bytes.
fn fill(folder: &Path, but: u64) -> PathBuf {
    let path = folder.join("filler.new");
    let free = rustix::fs::statvfs(folder).map(|s| s.f_bavail * s.f_frsize).unwrap();
    std::fs::write(&path, vec![1; usize::try_from(free.saturating_sub(but)).unwrap()]).unwrap();
    path
}

fn ok(c: &mut Command) {
    let o = c.output().unwrap();
    assert!(o.status.success(), "{c:?}: {o:?}");
}

/// To the last byte: no amount is kept free.
fn to_the_last(h: &Home) {
    let config = h.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("# min_free = \"64MB\"", "min_free = \"0\"")).unwrap();
}

fn two() -> (Home, Home) {
    let (a, b) = (Home::new(), Home::new());
    for n in 0..20 {
        a.write(&format!("old/{n}"), &format!("old {n}"));
    }
    a.write("edited", "before");
    let node = a.path("node.git").display().to_string();
    a.init(&node);
    b.join(&node, &a, "beta");
    to_the_last(&a);
    to_the_last(&b);
    (a, b)
}

/// Every file of `b` is one that `a` has or had, whole, and no temporary is left.
fn nothing_is_half_written(b: &Home, known: &BTreeSet<Vec<u8>>) {
    for (path, _) in tree(&b.path("share")) {
        let at = b.path("share").join(&path);
        assert!(!path.to_string_lossy().contains(".sharelock-tmp-"), "{}", path.display());
        if at.is_file() && path.to_str() != Some(".sharelock-root") && !path.ends_with("filler.new") {
            assert!(known.contains(&std::fs::read(&at).unwrap()), "{} is half-written", path.display());
        }
    }
}

fn contents(h: &Home) -> BTreeSet<Vec<u8>> {
    tree(&h.path("share")).iter().filter_map(|(p, _)| std::fs::read(h.path("share").join(p)).ok()).collect()
}

#[test]
fn the_shares() {
    if !inside("the_shares") {
        return;
    }
    let (a, b) = two();
    small(&b.path("share"), 512);
    b.ok(["sync"]);
    let mut known = contents(&a);
    // Files of a byte take a page each: what is counted beforehand is too little, and the disk itself says when it is full.
    for n in 0..150 {
        a.write(&format!("new/{n}"), &format!("{n}"));
    }
    std::fs::write(a.share("large"), noise(3_000_000, 1)).unwrap();
    a.write("edited", &"after ".repeat(1000));
    for n in 0..10 {
        std::fs::remove_file(a.share(&format!("old/{n}"))).unwrap();
    }
    a.ok(["sync"]);
    known.extend(contents(&a));
    b.write("own", "of beta");
    known.insert(b"of beta".to_vec());
    let r = b.run(["sync"]);
    assert_eq!(r.code, 1);
    assert!(r.err.starts_with("sharelock: ~/share needs ") && r.err.contains(" free on ") && r.err.contains(" files wait: "), "{}", r.err);
    assert!(
        r.err.ends_with(
            "  everything else, and deletions, go on; these follow when there is room\n  to see what takes the space: sharelock du\n"
        ),
        "{}",
        r.err
    );
    nothing_is_half_written(&b, &known);
    assert!(!b.share("old/3").exists(), "a deletion makes room");
    a.ok(["sync"]);
    assert!(a.has("own", "of beta"), "what is here is sent");
    // Again and again, to the last byte.
    let filler = fill(&b.path("share"), 0);
    for n in 10..12 {
        std::fs::remove_file(a.share(&format!("old/{n}"))).unwrap();
        a.ok(["sync"]);
        let _ = b.run(["sync"]);
        assert!(!b.share(&format!("old/{n}")).exists());
        nothing_is_half_written(&b, &known);
    }
    std::fs::remove_file(filler).unwrap();
    room(&b.path("share"), 32 << 10);
    b.ok(["sync"]);
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
    b.ok(["verify"]);
}

#[test]
fn secures() {
    if !inside("secures") {
        return;
    }
    let (a, b) = two();
    small(&a.path("secure"), 4096);
    a.ok(["sync"]);
    for n in 0..12 {
        std::fs::write(a.share(&format!("big{n}")), noise(400_000, n)).unwrap();
    }
    a.write("edited", "after");
    for n in 0..10 {
        std::fs::remove_file(a.share(&format!("old/{n}"))).unwrap();
    }
    let before = contents(&a);
    for _ in 0..2 {
        let r = a.run(["sync"]);
        assert_eq!(r.code, 1, "{}", r.out);
        assert!(r.err.starts_with("sharelock: ~/secure needs ") && r.err.contains(" files wait: big"), "{}", r.err);
        assert!(
            r.err.ends_with(
                "  everything else, and deletions, go on; these follow when there is room\n  to see what takes the space: sharelock du\n"
            ),
            "{}",
            r.err
        );
        assert_eq!(contents(&a), before, "the share stays as it is");
        git_ok(&a.path("secure"), &["fsck", "--strict"]);
    }
    let s = a.ok(["status"]);
    assert!(s.contains("big") && s.contains(" to be sent"), "{s}");
    b.ok(["sync"]);
    assert!(b.has("edited", "after") && !b.share("old/3").exists() && b.share("big0").exists(), "the rest has gone on");
    // Not a byte: the round says so, and leaves everything as it was.
    let filler = fill(&a.path("secure"), 0);
    a.write("edited", "once more");
    let r = a.run(["sync"]);
    assert_eq!(r.code, 1, "{}{}", r.out, r.err);
    std::fs::remove_file(filler).unwrap();
    git_ok(&a.path("secure"), &["fsck", "--strict"]);
    room(&a.path("secure"), 64 << 10);
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
    a.ok(["verify", "--remote"]);
}

#[test]
fn the_states() {
    if !inside("the_states") {
        return;
    }
    let (a, b) = two();
    let state = a.path(".local/state/sharelock");
    small(&state, 512);
    a.ok(["sync"]);
    for n in 0..600 {
        a.write(&format!("many/{}/{n}", n % 7), &format!("{n}"));
    }
    std::fs::remove_file(a.share("old/3")).unwrap();
    let before = contents(&a);
    for but in [128 << 10, 64 << 10, 0] {
        let filler = fill(&state, but);
        let r = a.run(["sync"]);
        assert_eq!(r.code, 1, "{but}: {}", r.out);
        assert!(r.err.contains("the state database can't be ") && r.err.contains("nothing is lost: "), "{but}: {}", r.err);
        assert_eq!(contents(&a), before, "the share stays as it is");
        git_ok(&a.path("secure"), &["fsck", "--strict"]);
        std::fs::remove_file(filler).unwrap();
    }
    b.ok(["sync"]);
    room(&state, 64 << 10);
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
    a.ok(["verify", "--remote"]);
}
