//! The program as a person meets it: texts, exit codes, and what is safe.
#![allow(clippy::unwrap_used)]

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
fn two_devices_and_a_bare_repository_made_as_the_article_makes_it() {
    let (a, b) = (Home::new(), Home::new());
    a.write("d/x.txt", "hello\n");
    std::fs::create_dir(a.share("empty")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", a.share("link")).unwrap();
    let node = node(&a);
    git_ok(a.dir.path(), &["init", "-q", "--bare", "-b", "master", &node]);
    let out = a.ok(["init", "--device", "alpha", "--remote", &node, "--recovery-key-out", &a.path("rk").display().to_string()]);
    assert!(out.starts_with("done: 2 files are encrypted and stored on origin\n"), "{out}");
    b.join(&node, &a, "beta");
    assert_equal_trees(&a.path("share"), &b.path("share"));
    // Stock git judges both sides.
    assert_eq!(git_ok(a.path("node.git").as_path(), &["fsck", "--strict"]), "");
    assert_eq!(git_ok(&a.path("secure"), &["status", "--porcelain"]), "");
    git_ok(&a.path("secure"), &["fsck", "--strict"]);
    assert_eq!(git_ok(&a.path("secure"), &["log", "--oneline"]).lines().count(), 2);
    let clone = a.path("clone").display().to_string();
    git_ok(a.dir.path(), &["clone", "-q", &node, &clone]);
    assert!(a.path("clone").join("vault").exists(), "a plain clone has the files");
    // No plaintext name or content in what is stored.
    let names = git_ok(&a.path("clone"), &["ls-files"]);
    assert!(!names.contains("x.txt") && !names.contains("link"));
}

#[test]
fn status_and_exit_codes() {
    let (a, b, _) = two();
    assert!(a.ok(["status"]).starts_with("in sync: 2 files, 6 B, everything is stored on 1 of 1 storage nodes\n"));
    a.write("new.txt", "new");
    let s = a.run(["status", "--check"]);
    assert!(s.code == 1 && s.out.contains("1 file waits to be sent (3 B)\n") && s.out.contains("send    new.txt"), "{}", s.out);
    let json: serde_json::Value = serde_json::from_str(&a.ok(["status", "--json"])).unwrap();
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
    assert!(out.contains("b.txt is the version of") && out.contains("the version that was there is number 4 in the log"), "{out}");
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
    assert!(out.starts_with("notes, deleted on alpha today"), "{out}");
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

#[test]
fn keys_and_passwords() {
    let (a, _, _) = two();
    assert!(a.ok(["key", "check", "--recovery-key-file", &a.path("rk").display().to_string()]).starts_with("right"));
    std::fs::write(a.path("bad"), "2001081Q G81860WM 40J2GB1M G6GW3RG8 24916503 N2RBHG6A 8T3CE1TN 7GZMGRP6").unwrap();
    assert_eq!(a.run(["key", "check", "--recovery-key-file", &a.path("bad").display().to_string()]).code, 4);
    std::fs::write(a.path("new"), "another\n").unwrap();
    a.ok([
        "passwd",
        "--recovery-key-file",
        &a.path("rk").display().to_string(),
        "--new-password-file",
        &a.path("new").display().to_string(),
    ]);
    assert_eq!(a.run(["sync"]).code, 4);
    std::fs::write(a.path("pw"), "another").unwrap();
    a.ok(["sync"]);
    a.ok(["key", "export", &a.path("out.key").display().to_string()]);
    let c = Home::new();
    c.ok([
        "join",
        &node(&a),
        "--device",
        "c",
        "--key-file",
        &a.path("out.key").display().to_string(),
        "--key-password-file",
        &a.path("new").display().to_string(),
    ]);
    assert_eq!(c.read("b.txt"), "b\n");
}

#[test]
fn without_a_password_on_a_machine_without_a_keyboard() {
    let a = Home::new();
    a.write("x", "x");
    std::fs::remove_file(a.path("pw")).unwrap();
    let run = |args: &[&str]| {
        let mut c = std::process::Command::new(support::PROGRAM);
        c.env_clear().env("HOME", a.dir.path()).args(args).stdin(std::process::Stdio::null());
        support::ran(c.output().unwrap())
    };
    let r = run(&["init", "--device", "pi", "--start-without-password", "--recovery-key-out", &a.path("rk").display().to_string()]);
    assert_eq!(r.code, 0, "{}", r.err);
    assert_eq!(run(&["sync"]).code, 0);
    use std::os::unix::fs::PermissionsExt;
    let key = a.path(".config/sharelock/unlocked.key");
    let whole = std::fs::read(&key).unwrap();
    for n in [0, 7, 8, 23, 24, 55] {
        std::fs::write(&key, &whole[..n]).unwrap();
        let r = run(&["sync"]);
        assert_eq!(r.code, 6, "{n} bytes of a key: {}", r.err);
    }
    std::fs::write(&key, &whole).unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let r = run(&["sync"]);
    assert!(r.code == 2 && r.err.contains("chmod 600"), "{}", r.err);
}

#[test]
fn nothing_of_the_users_is_written_over() {
    let a = Home::new();
    a.write("x", "x");
    a.write("precious", "somebody's only copy");
    let precious = a.share("precious").display().to_string();
    let node = a.path("node.git").display().to_string();
    let r = a.run(["init", "--device", "alpha", "--remote", &node, "--create", "--recovery-key-out", &precious]);
    assert!(r.code == 2 && r.err.contains("is there already"), "{}", r.err);
    assert_eq!(a.read("precious"), "somebody's only copy");
    a.init(&node); // Nothing was left that is in its way.
    let r = a.run(["key", "export", &precious]);
    assert!(r.code == 2 && r.err.contains("is there already"), "{}", r.err);
    assert_eq!(a.read("precious"), "somebody's only copy");
}

#[test]
fn a_password_that_cannot_be_set_leaves_the_key() {
    let a = Home::new();
    a.write("x", "x");
    std::fs::remove_file(a.path("pw")).unwrap();
    let run = |args: &[&str]| {
        let mut c = std::process::Command::new(support::PROGRAM);
        c.env_clear().env("HOME", a.dir.path()).args(args).stdin(std::process::Stdio::null());
        support::ran(c.output().unwrap())
    };
    let r = run(&["init", "--device", "pi", "--start-without-password", "--recovery-key-out", &a.path("rk").display().to_string()]);
    assert_eq!(r.code, 0, "{}", r.err);
    let unlocked = a.path(".config/sharelock/unlocked.key");
    assert!(unlocked.exists() && !a.path(".config/sharelock/vault.key").exists(), "the only key of this device");
    assert_ne!(run(&["passwd"]).code, 0, "there is nobody to ask");
    assert!(unlocked.exists());
    assert_eq!(run(&["sync"]).code, 0);
    a.write("../new", "a password\n");
    let new = a.path("new").display().to_string();
    let r = run(&["passwd", "--new-password-file", &new]);
    assert_eq!(r.code, 0, "{}", r.err);
    assert!(!unlocked.exists(), "from now on the password is needed");
    assert_eq!(run(&["--password-file", &new, "sync"]).code, 0);
}

/// At a terminal long work is told on one line, which is gone in the end; elsewhere short work says nothing.
#[test]
fn long_work_tells_how_far_it_is() {
    let (a, _, _) = two();
    for n in 0..1500 {
        a.write(&format!("many/{n}"), &format!("{n}"));
    }
    std::fs::write(a.share("large"), support::noise(40_000_000, 3)).unwrap();
    let mut t = support::Terminal::start(&a, &["sync"]);
    t.wait("password for vault ~/share on alpha (checking takes about ").line("secret").wait("\r\x1b[K").wait("in sync: 1,503 files");
    assert_eq!(t.end(), 0);
    let text = t.text();
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

/// A failed join leaves what somebody put beside the fetched history.
#[test]
fn a_join_that_fails_can_be_done_again() {
    let (a, b) = (Home::new(), Home::new());
    a.write("x", "x");
    let node = a.path("node.git").display().to_string();
    a.init(&node);
    b.write("../wrong", "AAAA\n");
    let r = b.run(["join", &node, "--device", "beta", "--recovery-key-file", &b.path("wrong").display().to_string()]);
    assert_ne!(r.code, 0);
    assert!(!b.path("secure").exists());
    b.join(&node, &a, "beta");
    assert_equal_trees(&a.path("share"), &b.path("share"));
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
fn folders_in_each_other_are_refused() {
    let a = Home::new();
    for (share, secure) in [("~/share", "~/share/secure"), ("~/x/y", "~/x"), ("~/share", "~/share"), ("~", "~/secure")] {
        let r = a.run(["init", "--device", "a", "--share", share, "--secure", secure, "--recovery-key-out", "/nonexistent/rk"]);
        assert!(r.code == 2 && r.err.contains("may not lie in each other"), "{share} {secure}: {}", r.err);
    }
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

#[test]
fn what_dvcs_autosync_had_is_taken_over() {
    let a = Home::new();
    let old = a.path("amw");
    std::fs::create_dir_all(old.join(".git")).unwrap();
    std::fs::create_dir_all(old.join("src/packages")).unwrap();
    for (name, content) in [(".git/HEAD", "ref: x"), ("src/packages/big", "x"), ("letter", "dear")] {
        std::fs::write(old.join(name), content).unwrap();
    }
    let file = a.path(".autosync");
    let init = |more: &[&str]| {
        let rk = a.path("rk").display().to_string();
        let mut args = vec!["init", "--device", "alpha", "--recovery-key-out", &rk, "--import-autosync"];
        let file = file.display().to_string();
        args.push(&file);
        args.extend(more);
        a.run(args)
    };
    std::fs::write(&file, "[autosync]\npath = ~/amw\nreadfrequency = now and then\n").unwrap();
    let r = init(&[]);
    assert_eq!((r.code, r.out.as_str()), (2, ""), "{}", r.err);
    assert_eq!(r.err, "sharelock: ~/.autosync:3: autosync.readfrequency is a number of seconds\n  nothing was changed\n");
    std::fs::write(&file, b"[autosync]\npath = \xff\n").unwrap();
    assert!(init(&[]).err.starts_with("sharelock: ~/.autosync:2: this is no UTF-8 text\n"));
    assert!(!a.path(".config").exists(), "nothing was changed");
    std::fs::write(
        &file,
        "[autosync]\npath = ~/amw\npidfile = ~/.autosync.pid\nsyncmethod = xmpp\nreadfrequency = 5\nignorepath = src/packages\n\
         notifymethod = none\n[dvcs]\npushcmd = git push\n[xmpp]\nusername = me@example.org\npassword = geheim\n",
    )
    .unwrap();
    let r = init(&[]);
    assert_eq!(r.code, 0, "{}", r.err);
    for line in [
        "from ~/.autosync:\n",
        "\n  autosync.path           share = \"~/amw\"\n",
        "\n  autosync.pidfile        not needed: ",
        "\n  autosync.readfrequency  quiet = \"5s\" (",
        "\n  autosync.ignorepath     ignore = [\"/src/packages\"]\n",
        "\n  dvcs.pushcmd            not needed: ",
        "\n  ~/amw has a .git: added to ignore",
    ] {
        assert!(r.err.contains(line), "{line}: {}", r.err);
    }
    assert!(!r.err.contains("geheim") && !r.out.contains("geheim"));
    let config = a.path(".config/sharelock/config.toml");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&config).unwrap();
    for line in ["quiet = \"5s\"", "notify = [\"none\"]", "ignore = [\"/src/packages\", \"/.git\"]"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    #[cfg(feature = "xmpp")]
    for line in ["jid = \"me@example.org\"", "password = \"geheim\""] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(r.out.contains("\n  start at login      sharelock service install\n"), "{}", r.out);
    let log = a.ok(["status", "--json"]);
    let v: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(v["files"], 1, "the letter, and nothing of .git and src/packages: {log}");
}

#[test]
fn what_encfs_has_encrypted_is_not_encrypted_again() {
    let a = Home::new();
    std::fs::create_dir(a.path("amw")).unwrap();
    std::fs::write(a.path("amw/.encfs6.xml"), "<x/>").unwrap();
    std::fs::write(a.path(".autosync"), "[autosync]\npath = ~/amw\n").unwrap();
    let (rk, file) = (a.path("rk").display().to_string(), a.path(".autosync").display().to_string());
    let r = a.run(["init", "--device", "alpha", "--recovery-key-out", &rk, "--import-autosync", &file]);
    assert!(r.code == 0 && r.err.contains("autosync.path  not taken over: EncFS"), "{}", r.err);
    assert!(a.path("share/.sharelock-root").exists());
}
