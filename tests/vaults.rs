//! Two vaults of one user on one device: neither touches the other, and `status --all` shows both.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Child, Stdio};
use support::{Home, Ran, tree, wait_for};

/// An agent of one vault, ended by its pid.
struct Agent(Child);

impl Agent {
    fn start(h: &Home, vault: &str) -> Agent {
        let child = h.command(["--vault", vault, "run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let agent = Agent(child);
        wait_for("the agent", || h.run(["--vault", vault, "status"]).out.contains("in sync") && running(h, vault));
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn running(h: &Home, vault: &str) -> bool {
    let text = h.ok(["--vault", vault, "status", "--json"]);
    serde_json::from_str::<Value>(&text).unwrap()["agent"]["running"] == true
}

fn work(h: &Home, args: &[&str]) -> Ran {
    h.run(["--vault", "work"].iter().chain(args))
}

fn two() -> Home {
    let h = Home::new();
    h.write("private", "of the default vault");
    h.init(&h.path("default.git").display().to_string());
    std::fs::create_dir(h.path("work")).unwrap();
    std::fs::write(h.path("work/plan"), "of the other").unwrap();
    let (node, rk) = (h.path("work.git").display().to_string(), h.path("rk.work").display().to_string());
    let folders = ["--share", "~/work", "--secure", "~/work.secure"];
    let r =
        work(&h, &[&["init", "--device", "alpha", "--remote", &node, "--create", "--recovery-key-out", &rk][..], &folders[..]].concat());
    assert_eq!(r.code, 0, "{}", r.err);
    h
}

/// Everything of a vault: its folders, its node, its state and key.
fn all_of(h: &Home, folders: &[&str]) -> Vec<Vec<(std::path::PathBuf, String)>> {
    folders.iter().map(|f| tree(&h.path(f)).into_iter().filter(|(p, _)| !p.starts_with("vaults")).collect()).collect()
}

const DEFAULT: [&str; 5] = ["share", "secure", "default.git", ".config/sharelock", ".local/state/sharelock"];
const WORK: [&str; 5] = ["work", "work.secure", "work.git", ".config/sharelock/vaults/work", ".local/state/sharelock/vaults/work"];

#[test]
fn neither_touches_the_other() {
    let h = two();
    for (own, other, share) in [(&[][..], WORK, "share"), (&["--vault", "work"][..], DEFAULT, "work")] {
        let before = all_of(&h, &other);
        let run = |args: &[&str]| {
            let r = h.run(own.iter().chain(args));
            assert_eq!(r.code, 0, "{own:?} {args:?}: {}{}", r.out, r.err);
            r.out
        };
        std::fs::write(h.path(share).join("new"), "1").unwrap();
        run(&["sync"]);
        std::fs::write(h.path(share).join("new"), "two").unwrap();
        run(&["sync"]);
        run(&["restore", "new", "--at", "1"]);
        run(&["verify", "--remote"]);
        run(&["log"]);
        run(&["device", "rename", "beta"]);
        run(&["remote", "add", "--create", "usb", &h.path(&format!("usb.{share}.git")).display().to_string()]);
        run(&["remote", "remove", "usb"]);
        assert_eq!(all_of(&h, &other), before, "{own:?}");
    }
    // One's key is not the other's, and neither are names of devices.
    let key = |dir: &str| std::fs::read(h.path(dir).join("vault.key")).unwrap();
    assert_ne!(key(".config/sharelock"), key(".config/sharelock/vaults/work"));
    let r = work(&h, &["key", "check", "--recovery-key-file", &h.path("rk").display().to_string()]);
    assert_eq!(r.code, 4, "{}{}", r.out, r.err);
    // Both agents run at once.
    let (a, b) = (Agent::start(&h, "default"), Agent::start(&h, "work"));
    h.write("seen", "x");
    std::fs::write(h.path("work/seen"), "y").unwrap();
    for vault in ["default", "work"] {
        h.ok(["--vault", vault, "wait", "--timeout", "60"]);
    }
    h.ok(["--vault", "work", "stop"]);
    assert!(running(&h, "default") && !running(&h, "work"));
    h.ok(["--vault", "default", "stop"]);
    drop((a, b));
    let names = |vault: &str| h.ok(["--vault", vault, "log"]);
    assert!(names("default").contains("private") && !names("default").contains("plan"));
    assert!(names("work").contains("plan") && !names("work").contains("private"));
    // And one goes alone.
    let before = all_of(&h, &DEFAULT);
    let r = work(&h, &["leave", "--yes"]);
    assert_eq!(r.code, 0, "{}", r.err);
    assert_eq!(all_of(&h, &DEFAULT), before);
    assert!(!h.path(WORK[1]).exists() && !h.path(WORK[3]).exists() && h.path("work/plan").exists());
    h.ok(["sync"]);
}

#[test]
fn all_of_them_at_once() {
    let h = two();
    let said = h.ok(["status", "--all"]);
    let blocks: Vec<&str> = said.split("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{said}");
    assert!(blocks[0].starts_with("default: in sync: 1 file, 20 B, everything is stored on 1 of 1 storage nodes\n  origin "), "{said}");
    assert!(blocks[1].starts_with("work: in sync: 1 file, 12 B, ") && blocks[1].contains("~/work.git"), "{said}");
    assert_eq!(h.run(["status", "--all", "--check"]).code, 0);
    std::fs::write(h.path("work/new"), "x").unwrap();
    let json: Value = serde_json::from_str(&h.ok(["status", "--all", "--json"])).unwrap();
    let of = |n: usize, key: &str| json[n][key].clone();
    assert_eq!(
        (of(0, "vault"), of(0, "in_sync"), of(1, "vault"), of(1, "in_sync")),
        ("default".into(), true.into(), "work".into(), false.into())
    );
    assert_eq!(h.run(["status", "--all", "--check"]).code, 1);
    // One that cannot be looked at hides no other.
    std::fs::rename(h.path("share"), h.path("elsewhere")).unwrap();
    let r = h.run(["status", "--all"]);
    assert!(
        r.code == 1 && r.out.starts_with("default: can't open ~/share") && r.out.contains("\nwork: 1 file waits to be sent"),
        "{}",
        r.out
    );
    for args in [&["--vault", "work", "status", "--all"][..], &["status", "--all", "--watch"], &["--config", "x", "status", "--all"]] {
        assert_eq!(h.run(args).code, 2, "{args:?}");
    }
    let none = Home::new();
    assert!(none.run(["status", "--all"]).err.contains("there is no vault on this device yet"));
    assert!(!Path::new(&none.path(".local")).exists(), "asking makes nothing");
}
