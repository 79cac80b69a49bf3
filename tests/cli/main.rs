//! The program as a person meets it: texts, exit codes, and what is safe.
#![allow(clippy::unwrap_used)]

mod setup;
#[path = "../support/mod.rs"]
mod support;

use support::{Home, assert_equal_trees, git, git_ok};

fn node(home: &Home) -> String {
    home.path("node.git").display().to_string()
}

fn two() -> (Home, Home, String) {
    let (a, b) = (Home::new(), Home::new());
    a.write("notes/todo.txt", "one\n");
    a.write("b.txt", "b\n");
    let node = node(&a);
    a.init(&node);
    b.join(&node, &a, "beta");
    (a, b, node)
}

#[test]
fn status_and_exit_codes() {
    let (a, b, _) = two();
    assert!(a.ok(["status"]).starts_with("in sync: 2 files, 6 B, everything is stored on 1 of 1 storage nodes\n"));
    a.write("new.txt", "new");
    let s = a.run(["status", "--check"]);
    assert!(s.code == 1 && s.out.contains("1 file waits to be sent (3 B)\n") && s.out.contains("send    new.txt"), "{}", s.out);
    let json = a.status();
    assert_eq!((json["in_sync"].as_bool(), json["pending"]["files"].as_u64()), (Some(false), Some(1)));
    for key in ["head", "remotes", "devices", "conflicts", "problems", "agent"] {
        assert!(!json[key].is_null(), "{key}");
    }
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_eq!(b.read("new.txt"), "new");
    assert_eq!(a.run(["frobnicate"]).code, 2);
    assert!(a.run(["stauts"]).err.contains("sharelock status"));
    assert_eq!(a.run(["init"]).code, 2, "a second vault is refused");
    std::fs::write(a.path("pw"), "wrong").unwrap();
    let w = a.run(["sync"]);
    assert_eq!(w.code, 4);
    assert_eq!(
        w.err,
        "sharelock: wrong password, nothing was changed\n  to set a new one with the key on paper: sharelock passwd --recovery-key\n"
    );
}

#[test]
fn a_conflict_is_shown_and_answered() {
    let (a, b, _) = two();
    a.write("notes/todo.txt", "from a\n");
    b.write("notes/todo.txt", "from b\n");
    a.ok(["sync"]);
    b.ok(["sync"]);
    a.ok(["sync"]);
    let c = a.run(["conflicts"]);
    assert_eq!(c.code, 3);
    assert!(c.out.starts_with("1 file was changed on two devices before they heard of each other\n  notes/todo.txt\n"), "{}", c.out);
    assert!(c.out.contains("current   from alpha") && c.out.contains("copy      from beta"), "{}", c.out);
    let d = a.ok(["conflicts", "--diff", "notes/todo.txt"]);
    assert!(d.contains("-from a") && d.contains("+from b"), "{d}");
    a.ok(["resolve", "notes/todo.txt", "--keep", "copy"]);
    b.ok(["sync"]);
    assert_eq!(b.read("notes/todo.txt"), "from b\n");
    assert_equal_trees(&a.path("share"), &b.path("share"));
    assert_eq!(a.run(["conflicts"]).out, "no conflicts\n");
    let log = a.ok(["log", "notes/todo.txt"]);
    assert!(log.lines().count() >= 4, "{log}");
}

#[test]
fn versions_come_back() {
    let (a, b, _) = two();
    for n in 2..5 {
        b.write("b.txt", &format!("version {n}\n"));
        b.ok(["sync"]);
    }
    a.ok(["sync"]);
    let out = a.ok(["restore", "b.txt", "--at", "2"]);
    assert!(
        out.contains("b.txt is the version of today ") && out.contains(" again (10 B)\nthe version that was there is number 4 in the log"),
        "{out}"
    );
    assert_eq!(a.read("b.txt"), "version 2\n");
    b.ok(["sync"]);
    assert_eq!(b.read("b.txt"), "version 2\n");
    // What is not in the history is not overwritten.
    a.write("b.txt", "unsaved");
    let r = a.run(["restore", "b.txt", "--at", "1"]);
    assert!(r.code == 3 && a.read("b.txt") == "unsaved", "{}", r.err);
    a.ok(["sync"]);
    std::fs::remove_dir_all(a.share("notes")).unwrap();
    a.ok(["sync"]);
    assert!(a.ok(["log", "--deleted"]).contains("notes/todo.txt"));
    let out = a.ok(["restore", "notes"]);
    assert!(out.starts_with("notes, deleted on alpha ") && out.contains(" s ago, is back: 1 file, 4 B\n"), "{out}");
    assert_eq!(a.read("notes/todo.txt"), "one\n");
    assert_eq!(a.ok(["cat", "notes/todo.txt"]), "one\n");
    assert_eq!(a.run(["restore", "b.txt", "--at", "99"]).code, 1);
}

#[test]
fn the_brake_stops_and_is_answered() {
    let (a, b, _) = two();
    for n in 0..60 {
        a.write(&format!("photos/{n}"), &format!("photo {n}"));
    }
    a.ok(["sync"]);
    b.ok(["sync"]);
    std::fs::remove_dir_all(a.share("photos")).unwrap();
    a.write("other", "goes on");
    let r = a.run(["sync"]);
    assert_eq!(r.code, 3);
    assert!(r.err.starts_with("sharelock: stopped before deleting 60 of 62 files ("), "{}", r.err);
    assert!(r.err.contains("photos/ (60 files)") && r.err.contains("sharelock undo"), "{}", r.err);
    b.ok(["sync"]);
    assert_eq!(b.read("other"), "goes on");
    assert_eq!(b.read("photos/7"), "photo 7");
    a.ok(["undo"]);
    assert_eq!(a.read("photos/59"), "photo 59");
    std::fs::remove_dir_all(a.share("photos")).unwrap();
    let r = a.run(["sync"]);
    let code = r.err.lines().find_map(|l| l.split("sharelock allow ").nth(1)).expect("a code").to_string();
    assert_eq!(a.run(["allow", "0000"]).code, 3, "another code allows nothing");
    a.ok(["allow", &code]);
    b.run(["sync"]);
    // The other device stops, too: it is asked before it loses most of its files.
    assert_eq!(b.read("photos/7"), "photo 7");
}

#[test]
fn an_unmounted_share_deletes_nothing() {
    let (a, b, _) = two();
    std::fs::rename(a.path("share"), a.path("elsewhere")).unwrap();
    std::fs::create_dir(a.path("share")).unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 1 && r.err.contains(".sharelock-root is missing"), "{}", r.err);
    b.ok(["sync"]);
    assert_eq!(b.read("b.txt"), "b\n");
}

/// At a terminal long work is told on one line, which is gone in the end; elsewhere short work says nothing.
#[test]
fn long_work_tells_how_far_it_is() {
    let (a, _, _) = two();
    for n in 0..1500 {
        a.write(&format!("many/{n}"), &format!("{n}"));
    }
    // What is long is a matter of the machine: twice as much until it is.
    let (mut size, mut text) = (40_000_000, String::new());
    while !text.contains("\r\x1b[K") {
        assert!(size < 4_000_000_000, "4 GB were not long: {text}");
        std::fs::write(a.share("large"), support::noise(size, size as u64)).unwrap();
        let mut t = support::Terminal::start(&a, &["sync"]);
        t.wait("password for vault ~/share on alpha (checking takes about ").line("secret").wait("in sync: 1,503 files");
        assert_eq!(t.end(), 0);
        (size, text) = (2 * size, t.text());
    }
    let shown = text.split("\r\x1b[K").filter(|part| !part.is_empty()).collect::<Vec<_>>();
    assert!(shown.len() >= 3, "{text}");
    for line in &shown[1..shown.len() - 1] {
        assert!(line.len() < 80 && !line.contains('\n'), "{text}");
    }
    assert!(shown.iter().any(|l| l.contains("] ") && l.contains(" of ")), "{text}");
    assert!(shown[shown.len() - 1].starts_with("in sync: 1,503 files"), "{text}");
    a.write("many/1", "another");
    let r = a.run(["sync"]);
    assert_eq!((r.code, r.err.as_str()), (0, ""));
}

#[test]
fn a_mistyped_verb_is_guessed_and_nothing_else_is() {
    let a = Home::new();
    let r = a.run(["statsu"]);
    assert!(r.code == 2 && r.err.contains("did you mean: sharelock status"), "{}", r.err);
    let r = a.run(["remote", "ad"]);
    assert!(r.code == 2 && !r.err.contains("did you mean"), "{}", r.err);
}

#[test]
fn names_that_are_odd() {
    use std::os::unix::ffi::OsStrExt;
    let (a, b, _) = two();
    let odd = std::ffi::OsStr::from_bytes(b"not utf-8 \xff\xfe");
    std::fs::write(a.path("share").join(odd), "odd").unwrap();
    let long = "x".repeat(255);
    a.write(&long, "long");
    a.write("with\nnewline", "nl");
    let deep: String = (0..40).map(|n| format!("deep{n}/")).collect();
    a.write(&format!("{deep}bottom"), "deep");
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
    let mut c = b.command(["cat"]);
    c.arg(odd);
    assert_eq!(support::ran(c.output().unwrap()).out, "odd");
    assert!(b.ok(["log"]).contains("with\\nnewline"), "escaped");
    let entry = a.ok(["name", "encrypt", "b.txt"]);
    assert_eq!(a.ok(["name", "decrypt", entry.trim()]), "b.txt\n");
}

#[test]
fn kinds_modes_and_times() {
    use std::os::unix::fs::PermissionsExt;
    let (a, b, _) = two();
    a.write("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(a.share("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    a.write("private", "p");
    std::fs::set_permissions(a.share("private"), PermissionsExt::from_mode(0o600)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(a.share("pipe")).status().unwrap().success());
    a.write("scratch.txt~", "ignored");
    a.write(".sharelockignore", "*.tmp\n");
    a.write("x.tmp", "ignored");
    let r = a.run(["sync"]);
    assert!(r.err.contains("pipe   is a socket, pipe or device and is not synced"), "{}", r.err);
    b.ok(["sync"]);
    let mode = |f: &str| std::fs::metadata(b.share(f)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh") & 0o100, mode("private") & 0o077), (0o100, 0));
    assert!(!b.share("pipe").exists() && !b.share("scratch.txt~").exists() && !b.share("x.tmp").exists());
}

#[test]
fn a_damaged_secure_is_named_and_repaired() {
    let (a, b, _) = two();
    let long = format!("notes/{}", "x".repeat(200));
    a.write(&long, "a long name\n");
    a.write("large", &"0123456789abcdef".repeat(100_000));
    a.ok(["sync"]);
    let encrypted = |name: &str| a.path("secure").join(a.ok(["name", "encrypt", name]).trim());
    // Changed, gone, and a part of a large file.
    let entry = encrypted("b.txt");
    let mut bytes = std::fs::read(&entry).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&entry, &bytes).unwrap();
    std::fs::remove_dir_all(encrypted("notes")).unwrap();
    let part = std::fs::read_dir(encrypted("large")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    std::fs::write(&part, "short").unwrap();
    a.write("../secure/stranger", "not of the vault");
    let r = a.run(["verify"]);
    assert_eq!(r.code, 6);
    for line in [
        "  b.txt: its encrypted file is damaged (~/secure/",
        "  notes/todo.txt: its encrypted file is missing (~/secure/",
        "  large: its encrypted file is damaged (~/secure/",
        "  ~/secure/stranger: is nothing of this vault; it stays, and is not synced\n",
    ] {
        assert!(r.err.contains(line), "{line}{}", r.err);
    }
    assert!(r.err.ends_with("sharelock verify --repair\n"), "{}", r.err);
    let r = a.run(["verify", "--repair"]);
    assert!(r.code == 6 && r.out.contains("made anew in ~/secure"), "the stranger is left: {}{}", r.out, r.err);
    std::fs::remove_file(a.path("secure/stranger")).unwrap();
    assert!(a.ok(["verify"]).starts_with("4 files decrypt and match, "));
    assert_eq!(git_ok(&a.path("secure"), &["status", "--porcelain"]), "");
    assert_eq!(a.read("b.txt"), "b\n");
    b.ok(["sync"]);
    assert_eq!(b.read(&long), "a long name\n");
}

#[test]
fn a_commit_made_with_stock_git_in_secure_is_no_catastrophe() {
    let (a, b, _) = two();
    std::fs::write(a.path("secure").join("stranger"), "x").unwrap();
    git_ok(&a.path("secure"), &["add", "stranger"]);
    git_ok(&a.path("secure"), &["commit", "-q", "-m", "mine"]);
    a.write("b.txt", "changed\n");
    let r = a.run(["sync"]);
    assert!(
        r.err.contains("somebody moved the branch in ~/secure with git") && r.err.contains("refs/sharelock/found/"),
        "{}{}",
        r.out,
        r.err
    );
    b.ok(["sync"]);
    assert_eq!(b.read("b.txt"), "changed\n");
    assert!(a.path("secure").join("stranger").exists(), "never deleted");
    git_ok(&a.path("secure"), &["fsck", "--strict"]);
}

#[test]
fn a_lost_database_loses_no_file() {
    let (a, b, _) = two();
    a.write("unsent", "only here");
    std::fs::remove_file(a.path(".local/state/sharelock/state.db")).unwrap();
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_eq!(b.read("unsent"), "only here");
    std::fs::write(a.path(".local/state/sharelock/state.db"), "this is no database, not at all, it is only text").unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 0 && r.err.contains("the old one is kept beside it"), "{}", r.err);
    assert_equal_trees(&a.path("share"), &b.path("share"));
}

#[test]
fn storage_nodes_come_and_go() {
    let (a, b, _) = two();
    let usb = a.path("usb.git").display().to_string();
    assert!(a.ok(["remote", "add", "--create", "usb", &usb]).starts_with("usb is a storage node now: 2 files"));
    assert_eq!(git(&a.path("usb.git"), &["fsck", "--strict"]).code, 0);
    std::fs::rename(&usb, a.path("away")).unwrap();
    a.write("b.txt", "while away\n");
    let r = a.run(["sync"]);
    assert!(r.code == 5 && r.err.contains("is away"), "{}", r.err);
    b.ok(["sync"]);
    assert_eq!(b.read("b.txt"), "while away\n", "one node down does not hold the other back");
    std::fs::rename(a.path("away"), &usb).unwrap();
    a.ok(["sync"]);
    assert!(a.ok(["remote", "list"]).contains("usb"));
    a.ok(["remote", "remove", "usb"]);
    assert!(!a.ok(["remote", "list"]).contains("usb"));
    assert_eq!(a.run(["remote", "heal", "usb"]).code, 2);
}

#[test]
fn a_wrong_configuration_is_named_by_line() {
    let (a, _, _) = two();
    let path = a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("hisotry = \"full\"\n{text}")).unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 2 && r.err.contains("config.toml:1: no such key: hisotry (did you mean history?)"), "{}", r.err);
    std::fs::write(&path, format!("history = \"lean\"\n{text}")).unwrap();
    let r = a.run(["status"]);
    assert!(r.code == 2 && r.err.contains("lean"), "{}", r.err);
}
