//! A storage node that lies: refused, exit code 6, plaintext untouched.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use support::{Home, git, git_ok, noise, tree};

struct Set {
    a: Home,
    b: Home,
    node: PathBuf,
}

/// Two devices in sync; B has taken in everything.
fn set() -> Set {
    let (a, b) = (Home::new(), Home::new());
    a.write("x.txt", "one\n");
    a.write("d/y.txt", "two\n");
    let node = a.path("node.git");
    a.init(&node.display().to_string());
    b.join(&node.display().to_string(), &a, "beta");
    // Who joins says so: what alpha changes then comes after that.
    a.ok(["sync"]);
    a.write("x.txt", "three\n");
    a.ok(["sync"]);
    b.ok(["sync"]);
    git_ok(&node, &["config", "gc.auto", "0"]);
    Set { a, b, node }
}

impl Set {
    fn head(&self) -> String {
        git_ok(&self.node, &["rev-parse", "main"]).trim().to_string()
    }

    /// B meets the node as it is now: refused, nothing of it taken, and `heal` is the answer.
    fn refused(&self, what: &str) {
        let (before, history) = (tree(&self.b.path("share")), git_ok(&self.b.path("secure"), &["rev-parse", "main"]));
        let r = self.b.run(["sync"]);
        assert_eq!(r.code, 6, "{what}: {}{}", r.out, r.err);
        assert!(r.err.contains("sharelock remote heal origin") && r.err.contains("nothing was taken from it"), "{what}: {}", r.err);
        assert_eq!(tree(&self.b.path("share")), before, "{what}");
        assert_eq!(git_ok(&self.b.path("secure"), &["rev-parse", "main"]), history, "{what}");
        // Work goes on, and waits.
        self.b.write("meanwhile", what);
        assert_eq!(self.b.run(["sync"]).code, 6);
        assert_eq!(self.b.read("meanwhile"), what);
        self.b.ok(["verify"]);
        // The answer.
        self.b.ok(["remote", "heal", "origin"]);
        self.b.ok(["sync"]);
        self.a.ok(["sync"]);
        assert_eq!(self.a.read("meanwhile"), what);
        assert_eq!(tree(&self.a.path("share")), tree(&self.b.path("share")), "{what}");
    }

    /// A commit of stock git over a tree, with main as its parent.
    fn forge(&self, tree: &str) {
        let parent = self.head();
        let commit = git_ok(&self.node, &["commit-tree", tree, "-p", &parent, "-m", "sharelock"]);
        git_ok(&self.node, &["update-ref", "refs/heads/main", commit.trim()]);
    }
}

#[test]
fn rolled_back() {
    let s = set();
    git_ok(&s.node, &["update-ref", "refs/heads/main", &format!("{}~1", s.head())]);
    let r = s.b.run(["sync"]);
    assert!(r.err.starts_with("sharelock: origin (") && r.err.contains(") shows an older state than it had before\n"), "{}", r.err);
    assert!(r.err.contains("  it was at today ") && r.err.contains("with alpha's change"), "{}", r.err);
    assert!(r.err.contains("1 change is missing there. a restored backup looks like this, an attack too"), "{}", r.err);
    s.refused("rolled back");
}

#[test]
fn emptied() {
    let s = set();
    git_ok(&s.node, &["update-ref", "-d", "refs/heads/main"]);
    s.refused("emptied");
}

#[test]
fn an_unsealed_commit() {
    let s = set();
    let tree = git_ok(&s.node, &["rev-parse", "main^{tree}"]);
    s.forge(tree.trim());
    s.refused("unsealed");
}

#[test]
fn swapped_blobs_and_a_planted_link() {
    for plant in ["swap", "link", "strange name"] {
        let s = set();
        let list = git_ok(&s.node, &["ls-tree", "main"]);
        let mut lines: Vec<String> = list.lines().map(str::to_string).collect();
        let blob = lines.iter().position(|l| l.contains(" blob ") && !l.ends_with("\tvault")).unwrap();
        match plant {
            "swap" => {
                let vault = lines.iter().find(|l| l.ends_with("\tvault")).unwrap().split_whitespace().nth(2).unwrap().to_string();
                let old = lines[blob].split_whitespace().nth(2).unwrap().to_string();
                lines[blob] = lines[blob].replace(&old, &vault);
            }
            "link" => lines[blob] = lines[blob].replacen("100644", "120000", 1),
            _ => {
                let old = lines[blob].clone();
                lines.push(format!("{}\t.bashrc", old.split('\t').next().unwrap()));
            }
        }
        let mut child = std::process::Command::new("git")
            .current_dir(&s.node)
            .arg("mktree")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Write;
        child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        s.forge(String::from_utf8(out.stdout).unwrap().trim());
        s.refused(plant);
    }
}

#[test]
fn another_vault() {
    let s = set();
    let c = Home::new();
    c.write("other", "other\n");
    c.init(&c.path("node.git").display().to_string());
    git_ok(&s.node, &["fetch", "-q", &c.path("node.git").display().to_string(), "main"]);
    git_ok(&s.node, &["update-ref", "refs/heads/main", "FETCH_HEAD"]);
    s.refused("another vault");
    let r = s.b.run(["remote", "add", "wrong", &c.path("node.git").display().to_string()]);
    assert_eq!(r.code, 6, "{}", r.err);
    assert!(!s.b.ok(["remote", "list"]).contains("wrong"));
}

#[test]
fn half_of_a_push() {
    let s = set();
    // A push of more than one batch leaves its staging ref behind if the line breaks: here it is put back by hand.
    for n in 0..2 {
        std::fs::write(s.a.share(&format!("big{n}")), noise(45_000_000, n)).unwrap();
    }
    s.a.ok(["sync"]);
    assert_eq!(git_ok(&s.node, &["for-each-ref", "--format=%(refname)", "refs/sharelock"]), "", "staging refs are removed");
    let all = git_ok(&s.node, &["rev-list", "--all", "--reflog"]);
    let objects = git_ok(&s.node, &["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
    let staging = objects
        .lines()
        .filter_map(|l| l.strip_suffix(" commit"))
        .find(|c| !all.contains(*c) && !git_ok(&s.node, &["cat-file", "-p", c]).contains("parent"))
        .expect("a staging commit stays at the server as an object");
    git_ok(&s.node, &["update-ref", "refs/heads/main", staging]);
    let r = s.b.run(["sync"]);
    assert!(r.code == 6 && r.err.contains("half of an unfinished transfer"), "{}", r.err);
    assert_eq!(s.b.read("x.txt"), "three\n");
}

#[test]
fn a_fast_line_gets_it_all_in_one_go() {
    let s = set();
    let commits = || git_ok(&s.node, &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]).matches("commit").count();
    let mut made = Vec::new();
    for round in 0..2 {
        let before = commits();
        for n in 0..2 {
            std::fs::write(s.a.share(&format!("big{n}")), noise(45_000_000, 2 * round + n)).unwrap();
        }
        s.a.ok(["sync"]);
        made.push(commits() - before);
    }
    // The first time nothing is known of the line: there is a commit for what goes ahead, too.
    assert_eq!(made, [2, 1]);
}

#[test]
fn a_damaged_pack_at_a_local_node() {
    let s = set();
    s.a.write("new", "new\n");
    s.a.ok(["sync"]);
    // The newest pack is cut short.
    let packs = s.node.join("objects/pack");
    let newest = std::fs::read_dir(&packs)
        .unwrap()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "pack"))
        .max_by_key(|e| e.metadata().unwrap().modified().unwrap())
        .unwrap()
        .path();
    let bytes = std::fs::read(&newest).unwrap();
    let mut permissions = std::fs::metadata(&newest).unwrap().permissions();
    use std::os::unix::fs::PermissionsExt;
    permissions.set_mode(0o644);
    std::fs::set_permissions(&newest, permissions).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let before = tree(&s.b.path("share"));
    let r = s.b.run(["sync"]);
    assert_eq!(r.code, 6, "{}", r.err);
    assert_eq!(tree(&s.b.path("share")), before);
    std::fs::write(&newest, &bytes).unwrap();
    s.b.ok(["sync"]);
    assert_eq!(s.b.read("new"), "new\n");
}

#[test]
fn old_and_altered_files_in_secure_are_not_taken_over() {
    let s = set();
    let entry = |name: &str| s.b.path("secure").join(s.b.ok(["name", "encrypt", name]).trim());
    let x = entry("x.txt");
    let old = std::fs::read(&x).unwrap();
    s.b.write("x.txt", "newer\n");
    s.b.ok(["sync"]);
    // Rolled back by hand; altered; another file's content under its name; a stranger.
    let current = std::fs::read(&x).unwrap();
    let mut altered = current.clone();
    altered[600] ^= 1;
    let other = std::fs::read(entry("d/y.txt")).unwrap();
    for bad in [&old, &altered, &other] {
        std::fs::write(&x, bad).unwrap();
        let r = s.b.run(["sync"]);
        assert!(r.code == 1 && r.err.contains("not taken over"), "{}{}", r.out, r.err);
        assert_eq!(s.b.read("x.txt"), "newer\n");
        std::fs::write(&x, &current).unwrap();
    }
    s.b.ok(["sync"]);
    // What verifies is taken over: a newer version that came by rsync.
    s.a.ok(["sync"]);
    s.a.write("x.txt", "by rsync\n");
    s.a.ok(["sync"]);
    let from = s.a.path("secure").join(s.a.ok(["name", "encrypt", "x.txt"]).trim());
    std::fs::copy(from, &x).unwrap();
    s.b.run(["sync"]);
    assert_eq!(s.b.read("x.txt"), "by rsync\n");
    assert_eq!(git(&s.b.path("secure"), &["fsck", "--strict"]).code, 0);
}

#[test]
fn a_lost_or_damaged_long_name_is_no_deletion() {
    let s = set();
    let (name, dir) = ("a long name ".repeat(15), "a long folder ".repeat(13));
    s.b.write(&name, "kept\n");
    s.b.write(&format!("{dir}/inside"), "kept too\n");
    s.b.ok(["sync"]);
    let (before, head) = (tree(&s.b.path("share")), s.head());
    let secure = s.b.path("secure");
    let longs = || -> Vec<PathBuf> {
        let all = std::fs::read_dir(&secure).unwrap().map(|e| e.unwrap().path());
        let mut all: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == "n")).collect();
        all.sort();
        all
    };
    let names = longs();
    assert_eq!(names.len(), 2);
    for damage in [None, Some("damaged")] {
        for p in &names {
            match damage {
                None => std::fs::remove_file(p).unwrap(),
                Some(text) => std::fs::write(p, text).unwrap(),
            }
        }
        s.b.ok(["sync"]);
        assert_eq!((tree(&s.b.path("share")), s.head()), (before.clone(), head.clone()), "{damage:?}");
        assert_eq!(longs(), names, "{damage:?}: they are made again");
        s.b.ok(["verify"]);
    }
}

/// After `cp -a`, a backup or a `touch`, everything is read once, and not at each sync for ever.
#[test]
fn stats_that_changed_without_the_contents_are_taken_anew() {
    let s = set();
    let secure = s.b.path("secure");
    let x = secure.join(s.b.ok(["name", "encrypt", "x.txt"]).trim());
    let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(&x).unwrap().set_modified(past).unwrap();
    let differs = || git(&secure, &["diff-files", "--quiet"]).code != 0;
    assert!(differs(), "git compares stats");
    s.b.ok(["sync"]);
    assert!(!differs(), "the index knows the new one");
}
