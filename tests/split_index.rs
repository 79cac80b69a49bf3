//! The index of secure over many commits: an edit writes little, stock git agrees, and what others changed in secure
//! never becomes invisible by it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use support::Home;

fn vault() -> Home {
    let a = Home::new();
    for i in 0..200 {
        a.write(&format!("d{}/e{}/f{i}", i % 5, i % 3), &format!("number {i}\n"));
    }
    a.init(&a.path("node.git").display().to_string());
    a
}

/// All that git says in secure.
fn git(a: &Home, args: &[&str]) -> String {
    let r = support::git(&a.path("secure"), args);
    assert_eq!(r.code, 0, "git {args:?}: {}{}", r.out, r.err);
    r.out + &r.err
}

/// Git finds nothing to say, and lists what head's tree holds.
fn clean(a: &Home) {
    assert_eq!(git(a, &["--no-optional-locks", "status", "--porcelain"]), "");
    assert_eq!(git(a, &["diff-index", "--cached", "HEAD"]), "");
    assert_eq!(git(a, &["write-tree"]), git(a, &["rev-parse", "HEAD^{tree}"]));
    let of_head: Vec<String> = git(a, &["ls-tree", "-r", "HEAD"]).lines().map(|l| l.replace(" blob ", " ")).collect();
    let listed: Vec<String> = git(a, &["ls-files", "--stage"]).lines().map(|l| l.replace(" 0\t", "\t")).collect();
    assert_eq!(listed, of_head);
    git(a, &["fsck", "--strict"]);
}

fn bases(a: &Home) -> Vec<PathBuf> {
    let all = std::fs::read_dir(a.path("secure/.git")).unwrap();
    all.map(|e| e.unwrap().path()).filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("sharedindex")).collect()
}

fn entry(a: &Home, name: &str) -> PathBuf {
    a.path("secure").join(a.ok(["name", "encrypt", name]).trim())
}

#[test]
fn commits_of_few_changes_leave_the_base_as_it_is() {
    let a = vault();
    let base = bases(&a);
    assert_eq!(base.len(), 1);
    clean(&a);
    let change: [&dyn Fn(); 6] = [
        &|| a.write("d0/e0/f0", "edited\n"),
        &|| a.write("new/file", "added, with its folder\n"),
        &|| std::fs::remove_file(a.share("d1/e1/f1")).unwrap(),
        &|| std::fs::rename(a.share("d2/e2/f2"), a.share("d2/moved")).unwrap(),
        &|| std::fs::rename(a.share("new"), a.share("d3/new")).unwrap(),
        &|| a.write("large", &"0123456789abcdef".repeat(200_000)),
    ];
    for (i, change) in change.iter().enumerate() {
        change();
        a.ok(["sync"]);
        assert_eq!(bases(&a), base, "change {i}");
        assert!(a.path("secure/.git/index").metadata().unwrap().len() < 4096);
        clean(&a);
    }
    // More than is worth while: the base is another one, and the old one is gone.
    for i in 0..60 {
        a.write(&format!("d4/f{i}"), "many\n");
    }
    a.ok(["sync"]);
    assert!(bases(&a).len() == 1 && bases(&a) != base);
    clean(&a);
    a.ok(["verify"]);
}

/// An encrypted file that others have changed is told after every commit, and after it was mended all is well again.
fn hides_nothing(a: &Home, before: impl FnOnce(), at_each: impl Fn()) {
    let others = entry(a, "d3/e0/f3");
    let sound = std::fs::read(&others).unwrap();
    std::fs::write(&others, "of others").unwrap();
    before();
    for i in 0..3 {
        a.write("d0/e0/f0", &format!("edit {i}\n"));
        let r = a.run(["sync"]);
        assert!(r.code != 0 && r.err.contains("not taken over"), "{}{}", r.out, r.err);
        at_each();
    }
    std::fs::write(&others, sound).unwrap();
    a.ok(["sync"]);
    clean(a);
}

#[test]
fn a_commit_hides_no_change_that_others_made() {
    let a = vault();
    let changed = || git(&a, &["--no-optional-locks", "status", "--porcelain"]).lines().count();
    hides_nothing(&a, || (), || assert_eq!(changed(), 1));
}

#[test]
fn a_lost_base_is_made_anew_and_hides_nothing() {
    let a = vault();
    let lose = || std::fs::remove_file(&bases(&a)[0]).unwrap();
    hides_nothing(&a, lose, || assert_eq!(bases(&a).len(), 1));
    // Damage within it comes out on the way.
    let base = &bases(&a)[0];
    let mut bytes = std::fs::read(base).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 200].fill(0xff);
    std::fs::write(base, bytes).unwrap();
    a.ok(["sync"]);
    clean(&a);
}

#[test]
fn what_stock_git_does_to_the_index_is_taken() {
    let a = vault();
    for (i, act) in
        [&["update-index", "--no-split-index"][..], &["update-index", "--split-index"], &["update-index", "--index-version", "2"]]
            .iter()
            .enumerate()
    {
        git(&a, act);
        a.ok(["sync"]);
        a.write("d0/e0/f0", &format!("edit {i}\n"));
        a.ok(["sync"]);
        clean(&a);
    }
    // Staged, but not committed: the index is not head's any more.
    let others = entry(&a, "d3/e0/f3");
    git(&a, &["rm", "-q", "--cached", &others.display().to_string()]);
    a.write("d0/e0/f0", "the last edit\n");
    a.ok(["sync"]);
    clean(&a);
}
