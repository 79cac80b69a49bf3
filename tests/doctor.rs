//! `doctor`: what runs or would, how folders are watched, XMPP, lingering.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::{Home, PROGRAM, Resident, ran};

fn home() -> Home {
    let h = Home::new();
    h.write("a/b/c", "x");
    h.init(&h.path("node.git").display().to_string());
    h
}

/// Grade and remedy of the finding whose text begins so.
fn finding(h: &Home, begins: &str) -> (String, String) {
    let all: Value = serde_json::from_str(&h.run(["doctor", "--json"]).out).unwrap();
    let found = all.as_array().unwrap().iter().find(|x| x["what"].as_str().unwrap().starts_with(begins));
    let found = found.unwrap_or_else(|| panic!("{begins}: {all:#}"));
    (found["grade"].as_str().unwrap().into(), found["remedy"].as_str().unwrap_or_default().into())
}

#[test]
fn with_and_without_an_agent() {
    let h = home();
    let ok = ("ok".to_string(), String::new());
    assert_eq!(finding(&h, "sharelock is not running"), ("warn".into(), "sharelock run --daemon".into()));
    if cfg!(target_os = "linux") {
        assert_eq!(finding(&h, "~/share is watched by inotify, 3 folders"), ok);
        assert_eq!(finding(&h, "~/secure is watched by inotify, "), ok);
    }
    assert_eq!(finding(&h, "the clock is not behind"), ok);
    let agent = Resident::start(&h);
    h.ok(["wait", "--timeout", "60"]);
    assert_eq!(finding(&h, &format!("sharelock is running (process {})", agent.pid().as_raw_nonzero())), ok);
    if cfg!(target_os = "linux") {
        assert_eq!(finding(&h, "~/share is watched by inotify, 3 folders"), ok);
        assert_eq!(finding(&h, "~/secure is watched by inotify, "), ok);
    }
    h.ok(["pause"]);
    assert_eq!(finding(&h, "sharelock is paused"), ("warn".into(), "sharelock resume".into()));
    agent.signal(rustix::process::Signal::STOP);
    let silent = finding(&h, "sharelock runs here, but does not answer");
    agent.signal(rustix::process::Signal::CONT);
    assert_eq!(silent.0, "fail");
}

#[test]
fn folders_that_are_polled() {
    let h = home();
    let config = h.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("# watch = \"auto\"", "watch = \"poll\"")).unwrap();
    assert_eq!(finding(&h, "~/share is looked at every 60 s, as `watch`").0, "ok");
}

/// In a user namespace with a limit of its own, where one can be had.
#[test]
#[cfg(target_os = "linux")]
fn more_folders_than_watches() {
    let h = home();
    let run = |script: &str| {
        let mut c = Command::new("unshare");
        c.args([
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            &format!("echo 4 >/proc/sys/user/max_inotify_watches && {script}"),
            "sh",
            PROGRAM,
        ]);
        c.env_clear().env("HOME", h.dir.path()).env("PATH", std::env::var_os("PATH").unwrap()).output()
    };
    match run("true") {
        Ok(o) if o.status.success() => {}
        other => return eprintln!("skipped: no user namespace here ({other:?})"),
    }
    let r = ran(run("exec \"$1\" doctor").unwrap());
    assert_eq!(r.code, 1, "{}{}", r.out, r.err);
    let want = " folders can't be watched, they are looked at every 60 s
        do: echo fs.inotify.max_user_watches=65536 | \\
            sudo tee /etc/sysctl.d/60-sharelock.conf && sudo sysctl --system\n";
    assert!(r.out.contains(want), "{}{}", r.out, r.err);
}

#[test]
#[cfg(feature = "xmpp")]
fn an_account() {
    let h = home();
    assert_eq!(finding(&h, "no XMPP account: other devices' changes are asked for every 60 s").0, "ok");
    let config = h.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // Nobody answers at port 1.
    let account = "[xmpp]\njid = \"me@xmpp.test\"\npassword = \"geheim\"\nhost = \"127.0.0.1\"\nport = 1\n";
    std::fs::write(&config, format!("{text}\n{account}")).unwrap();
    assert_eq!(finding(&h, "xmpp: me@xmpp.test was not tried"), ("warn".into(), "sharelock run --daemon".into()));
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = finding(&h, "configuration ~/.config/sharelock/config.toml holds a password, and can be read by others");
    assert_eq!(open, ("fail".into(), "chmod 600 ~/.config/sharelock/config.toml".into()));
    let _agent = Resident::start(&h);
    support::wait_for("the failure to connect", || {
        h.run(["doctor"]).out.contains("xmpp: me@xmpp.test is offline and tries again by itself: ")
    });
}

#[test]
fn lingering() {
    let h = home();
    let bin = h.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("loginctl"), "#!/bin/sh\ncat \"$HOME/linger\"\n").unwrap();
    std::fs::set_permissions(bin.join("loginctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let says = |linger: &str| {
        std::fs::write(h.path("linger"), linger).unwrap();
        ran(h.command(["doctor"]).env("PATH", &path).output().unwrap()).out
    };
    let warning = "warn  without a login session nothing starts: lingering is off
        do: sudo loginctl enable-linger $USER\n";
    assert!(!says("Linger=no\n").contains(warning), "systemd starts nothing here");
    let units = h.path(".config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::write(units.join("sharelock.service"), "").unwrap();
    assert!(says("Linger=no\n").contains(warning));
    assert!(!says("Linger=yes\n").contains("lingering"));
}

/// A server says which key it takes, how its clock goes, and what a plain clone of it would get.
#[test]
#[cfg(feature = "ssh")]
fn a_server() {
    let sshd = support::Sshd::start(&["ed25519"], "");
    let h = Home::new();
    h.let_in(&sshd);
    h.write("x", "x");
    let node = sshd.dir.path().join("v.git");
    h.init(&sshd.url(&node));
    let well = finding(&h, "origin: 127.0.0.1 takes ~/.ssh/id_ed25519, clocks ");
    assert_eq!(well, ("ok".into(), String::new()));
    let out = h.run(["doctor"]).out;
    assert!(!out.contains("git clone") && out.contains("share and secure are apart, on "), "{out}");
    for (branch, what) in
        [("master", "would come out empty (its HEAD names master)"), ("other", "with another branch (its HEAD names other)")]
    {
        if branch == "other" {
            support::git_ok(&node, &["branch", "other", "main"]);
        }
        support::git_ok(&node, &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        let (grade, remedy) = finding(&h, "origin: a plain `git clone` would come out ");
        let out = h.run(["doctor"]).out;
        assert!(grade == "warn" && out.contains(what), "{out}");
        let want = format!(" git --git-dir {} symbolic-ref HEAD refs/heads/main", node.display());
        assert!(remedy.starts_with("ssh -p ") && remedy.ends_with(&want), "{remedy}");
    }
}

#[test]
fn a_local_node_whose_head_names_another_branch() {
    let h = home();
    support::git_ok(&h.path("node.git"), &["symbolic-ref", "HEAD", "refs/heads/master"]);
    let (grade, remedy) = finding(&h, "origin: a plain `git clone` would come out empty (its HEAD names master)");
    assert_eq!(grade, "warn");
    assert!(Command::new("sh").args(["-c", &remedy]).status().unwrap().success());
    assert!(!h.run(["doctor"]).out.contains("git clone"));
}
