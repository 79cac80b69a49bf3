//! A storage node that went back, or lost its repository, is brought to the present again: real sshd, three devices, and
//! each command as the program itself shows it.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use support::{Home, Sshd, assert_equal_trees, git, git_ok};

struct World {
    a: Home,
    b: Home,
    c: Home,
    node: PathBuf,
    _sshd: Sshd,
}

/// Three devices in sync by a server.
fn world() -> World {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, b, c) = (Home::new(), Home::new(), Home::new());
    for h in [&a, &b, &c] {
        h.let_in(&sshd);
    }
    let node = sshd.dir.path().join("vault.git");
    let url = sshd.url(&node);
    a.write("x.txt", "one\n");
    a.write("d/y.txt", "y\n");
    a.init(&url);
    b.join(&url, &a, "beta");
    c.join(&url, &a, "gamma");
    git_ok(&node, &["config", "gc.auto", "0"]);
    // Who joins says so.
    [&a, &b, &c].iter().for_each(|h| _ = h.ok(["sync"]));
    World { a, b, c, node, _sshd: sshd }
}

/// Runs the command that an error shows for a purpose, as it stands.
fn answer(h: &Home, err: &str, purpose: &str) -> String {
    let line = err.lines().find(|l| l.contains(purpose)).unwrap_or_else(|| panic!("{purpose}: {err}"));
    let command = line.split_once(": ").unwrap().1.trim_start().strip_prefix("sharelock ").unwrap();
    h.ok(command.split(' '))
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

impl World {
    /// All devices sync until each has heard of all, and are equal; their histories are sound.
    fn settled(&self) {
        for _ in 0..2 {
            for h in [&self.a, &self.b, &self.c] {
                h.ok(["sync"]);
            }
        }
        assert_equal_trees(&self.a.path("share"), &self.b.path("share"));
        assert_equal_trees(&self.a.path("share"), &self.c.path("share"));
        for h in [&self.a, &self.b, &self.c] {
            h.ok(["verify"]);
        }
        assert_eq!(git(&self.node, &["fsck", "--strict"]).code, 0);
    }
}

#[test]
fn a_restored_backup_on_which_another_device_went_on() {
    let w = world();
    let backup = w.a.path("backup.git");
    copy(&w.node, &backup);
    // What the backup does not have; gamma is not there to see it.
    w.a.write("x.txt", "two\n");
    w.a.write("new/a", "of alpha\n");
    w.a.ok(["sync"]);
    w.b.ok(["sync"]);
    w.b.write("d/y.txt", "of beta\n");
    w.b.ok(["sync"]);
    w.a.ok(["sync"]);
    std::fs::remove_dir_all(&w.node).unwrap();
    copy(&backup, &w.node);
    // Gamma goes on from the backup, and nothing tells it that there was more.
    w.c.write("x.txt", "of gamma\n");
    w.c.write("new/c", "of gamma\n");
    w.c.ok(["sync"]);
    for h in [&w.a, &w.b] {
        let r = h.run(["sync"]);
        assert_eq!(r.code, 6, "{}", r.err);
        assert!(r.err.starts_with("sharelock: origin (127.0.0.1) shows an older state than it had before\n"), "{}", r.err);
        assert!(r.err.contains("2 changes are missing there. a restored backup looks like this, an attack too\n"), "{}", r.err);
        assert!(!h.share("new/c").exists());
    }
    // Beta has changes of its own that it could not send.
    w.b.write("waits", "of beta\n");
    let r = w.b.run(["sync"]);
    let said = answer(&w.b, &r.err, "to store the present state there again");
    assert_eq!(
        said, "origin has the present state again: 6 files\n  1 change that only it had (gamma) came into the vault\n",
        "the count is of the vault"
    );
    w.settled();
    for h in [&w.a, &w.b, &w.c] {
        assert_eq!((h.read("new/a"), h.read("new/c"), h.read("waits")), ("of alpha\n".into(), "of gamma\n".into(), "of beta\n".into()));
        assert_eq!(h.read("d/y.txt"), "of beta\n");
        // Both versions of what both changed are kept.
        let mut both: Vec<String> = std::fs::read_dir(h.path("share"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.is_file())
            .filter_map(|p| p.file_name().unwrap().to_str().unwrap().starts_with('x').then(|| std::fs::read_to_string(&p).unwrap()))
            .collect();
        both.sort();
        assert_eq!(both, ["of gamma\n", "two\n"]);
    }
    // The second answer, on a device for which all is well by now, changes nothing.
    let head = git_ok(&w.node, &["rev-parse", "main"]);
    assert_eq!(w.a.ok(["remote", "heal", "origin"]), "origin has the present state again: 6 files\n");
    assert_eq!(git_ok(&w.node, &["rev-parse", "main"]), head);
}

#[test]
fn a_lost_repository_is_made_again_and_no_device_loses_what_only_it_has() {
    for lost in ["removed", "empty"] {
        let w = world();
        // Alpha has not heard of beta's last change, which the server had taken.
        w.b.write("late", "of beta\n");
        w.b.ok(["sync"]);
        std::fs::remove_dir_all(&w.node).unwrap();
        if lost == "empty" {
            git_ok(w.node.parent().unwrap(), &["init", "-q", "--bare", "vault.git"]);
        }
        let r = w.a.run(["sync"]);
        let said = match lost {
            "removed" => {
                assert_eq!(r.code, 5, "{}", r.err);
                answer(&w.a, &r.err, "if it was lost, to make it again")
            }
            _ => {
                assert_eq!(r.code, 6, "{}", r.err);
                answer(&w.a, &r.err, "to store the present state there again")
            }
        };
        let how = if lost == "removed" { "has a new repository, and the present state" } else { "has the present state again" };
        assert_eq!(said, format!("origin {how}: 2 files\n"));
        // The new one does not have what beta knows that it had.
        let r = w.b.run(["sync"]);
        assert_eq!(r.code, 6, "{}", r.err);
        assert_eq!(answer(&w.b, &r.err, "to store the present state there again"), "origin has the present state again: 3 files\n");
        w.settled();
        assert_eq!(w.a.read("late"), "of beta\n");
        // A stock clone of it is whole.
        git_ok(&w.a.path(""), &["clone", "-q", &w.node.display().to_string(), "clone"]);
        assert_eq!(git_ok(&w.a.path("clone"), &["rev-parse", "HEAD"]), git_ok(&w.node, &["rev-parse", "main"]));
    }
}

#[test]
fn a_lost_folder_on_a_disk_is_made_again() {
    let (a, dir) = (Home::new(), tempfile::tempdir().unwrap());
    let node = dir.path().join("disk/vault.git");
    a.write("x.txt", "one\n");
    a.init(&node.display().to_string());
    // The disk itself is away: nothing says that anything was lost.
    std::fs::rename(dir.path().join("disk"), dir.path().join("away")).unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 5 && !r.err.contains("heal"), "{}", r.err);
    let r = a.run(["remote", "heal", "origin"]);
    assert!(r.code == 5 && !dir.path().join("disk").exists(), "{}", r.err);
    std::fs::rename(dir.path().join("away"), dir.path().join("disk")).unwrap();
    a.ok(["sync"]);
    std::fs::remove_dir_all(&node).unwrap();
    let r = a.run(["sync"]);
    assert_eq!(r.code, 5, "{}", r.err);
    assert_eq!(answer(&a, &r.err, "to make it again"), "origin has a new repository, and the present state: 1 file\n");
    a.ok(["status", "--check"]);
}

/// A server that takes no forced update is named, with what its owner has to do.
#[test]
fn what_no_device_made_is_replaced_or_the_owner_is_told_how() {
    let w = world();
    let tree = git_ok(&w.node, &["rev-parse", "main^{tree}"]);
    let commit = git_ok(&w.node, &["commit-tree", tree.trim(), "-m", "sharelock"]);
    git_ok(&w.node, &["update-ref", "refs/heads/main", commit.trim()]);
    git_ok(&w.node, &["config", "receive.denyNonFastForwards", "true"]);
    let r = w.a.run(["sync"]);
    assert!(r.code == 6 && r.err.contains("shows something that no device of this vault has made"), "{}", r.err);
    let r = w.a.run(["remote", "heal", "origin"]);
    assert!(r.code == 1 && r.err.contains("nothing is lost: this device has everything"), "{}", r.err);
    let on_server = r.err.lines().find_map(|l| l.split_once("on the server, in the repository: ")).unwrap().1.trim();
    git_ok(&w.node, &on_server.split(' ').skip(1).collect::<Vec<_>>());
    answer(&w.a, &r.err, "then here, once more");
    w.settled();
}

/// Where a damaged disk has lost what the node had, too, the present state takes its place, and all devices accept that.
#[test]
fn what_is_lost_here_too_is_superseded() {
    let w = world();
    let secure = w.a.path("secure");
    let old = git_ok(&secure, &["rev-parse", "main"]);
    w.c.write("z", "of gamma\n");
    w.c.ok(["sync"]);
    for h in [&w.a, &w.b] {
        h.ok(["sync"]);
    }
    // One tree of that state, the database, and the branch as it was are what the damage leaves.
    let tree = git_ok(&secure, &["rev-parse", "main^{tree}"]);
    let packs = secure.join(".git/objects/pack");
    std::fs::rename(&packs, w.a.path("packs")).unwrap();
    for pack in
        std::fs::read_dir(w.a.path("packs")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pack"))
    {
        let unpacked = std::process::Command::new("git")
            .current_dir(&secure)
            .args(["unpack-objects", "-q"])
            .stdin(std::fs::File::open(pack).unwrap())
            .status()
            .unwrap();
        assert!(unpacked.success());
    }
    let (folder, file) = tree.trim().split_at(2);
    std::fs::remove_file(secure.join(".git/objects").join(folder).join(file)).unwrap();
    git_ok(&secure, &["update-ref", "refs/heads/main", old.trim()]);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(w.a.path(".local/state/sharelock").join(name));
    }
    std::fs::remove_dir_all(&w.node).unwrap();
    let r = w.a.run(["sync"]);
    let said = answer(&w.a, &r.err, "to make it again");
    assert!(said.contains("what it had before is not on this device any more: all devices take the present state instead"), "{said}");
    // The files of that state still stood in alpha's share.
    w.settled();
    assert_eq!(w.b.read("z"), "of gamma\n");
}

/// Where not even its commit is left, this device cannot answer: one that has it can, and is named.
#[test]
fn what_is_not_known_at_all_is_not_superseded() {
    let w = world();
    w.c.write("z", "of gamma\n");
    w.c.ok(["sync"]);
    w.b.ok(["sync"]);
    let newest = git_ok(&w.node, &["rev-parse", "main"]);
    git_ok(&w.a.path("secure"), &["pack-refs", "--all", "--prune"]);
    let refs = w.a.path("secure/.git/packed-refs");
    let text = std::fs::read_to_string(&refs).unwrap();
    let seen = text.lines().find(|l| l.ends_with("refs/sharelock/seen/origin")).unwrap();
    std::fs::write(&refs, text.replace(seen, &format!("{} refs/sharelock/seen/origin", newest.trim()))).unwrap();
    std::fs::remove_dir_all(&w.node).unwrap();
    w.a.run(["sync"]);
    let r = w.a.run(["remote", "heal", "origin"]);
    assert!(r.code == 6 && r.err.contains("what origin had before is not on this device any more"), "{}", r.err);
    answer(&w.b, &r.err, "on a device that has it");
    w.settled();
    assert_eq!(w.a.read("z"), "of gamma\n");
}
