//! How a vault begins: init, join, keys, passwords, and what was there before.

use crate::support::{Home, PROGRAM, Ran, assert_equal_trees, git_ok, ran};
use crate::{node, two};

/// Runs without a password, and with nobody to ask.
fn alone(home: &Home, args: &[&str]) -> Ran {
    let mut c = std::process::Command::new(PROGRAM);
    c.env_clear().env("HOME", home.dir.path()).args(args).stdin(std::process::Stdio::null());
    ran(c.output().unwrap())
}

/// A vault that asks for no password.
fn without_password() -> Home {
    let a = Home::new();
    a.write("x", "x");
    std::fs::remove_file(a.path("pw")).unwrap();
    let rk = a.path("rk").display().to_string();
    let r = alone(&a, &["init", "--device", "pi", "--start-without-password", "--recovery-key-out", &rk]);
    assert_eq!(r.code, 0, "{}", r.err);
    a
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
    let a = without_password();
    let run = |args: &[&str]| alone(&a, args);
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
    let node = node(&a);
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
    let a = without_password();
    let run = |args: &[&str]| alone(&a, args);
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

/// A failed join leaves what somebody put beside the fetched history.
#[test]
fn a_join_that_fails_can_be_done_again() {
    let (a, b) = (Home::new(), Home::new());
    a.write("x", "x");
    let node = node(&a);
    a.init(&node);
    b.write("../wrong", "AAAA\n");
    let r = b.run(["join", &node, "--device", "beta", "--recovery-key-file", &b.path("wrong").display().to_string()]);
    assert_ne!(r.code, 0);
    assert!(!b.path("secure").exists());
    b.join(&node, &a, "beta");
    assert_equal_trees(&a.path("share"), &b.path("share"));
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
    let now = a.status();
    assert_eq!(now["files"], 1, "the letter, and nothing of .git and src/packages: {now}");
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
