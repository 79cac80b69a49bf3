//! README's tour: every command in it is run here, on two homes and a real sshd, and does what README says of it.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use support::{Home, PROGRAM, Ran, Resident, Sshd, Terminal, ran, wait_for};

/// The commands of README: indented lines, and what stands between backquotes.
fn written() -> BTreeSet<String> {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut out = BTreeSet::new();
    let mut prose = String::new();
    for line in text.lines() {
        // A remark behind a command is prose, too.
        let (code, words) = match line.strip_prefix("    ") {
            Some(code) => code.split_once("  #").unwrap_or((code, "")),
            None => ("", line),
        };
        out.extend(Some(code.trim()).filter(|c| c.starts_with("sharelock ")).map(str::to_string));
        prose.push_str(&format!("{words} "));
    }
    out.extend(prose.split('`').skip(1).step_by(2).filter(|c| c.starts_with("sharelock ")).map(str::to_string));
    out
}

/// What has been run, by README's words.
struct Tour {
    left: BTreeSet<String>,
    written: BTreeSet<String>,
}

impl Tour {
    /// Marks a command of README as run.
    fn by(&mut self, readme: &str) {
        assert!(self.written.contains(readme), "README does not say `{readme}`");
        self.left.remove(readme);
    }

    /// Runs a command of README with its examples replaced.
    fn run(&mut self, home: &Home, readme: &str, replaced: &[(&str, &str)]) -> Ran {
        self.by(readme);
        let mut line = readme.strip_prefix("sharelock ").unwrap().to_string();
        for (example, real) in replaced {
            assert!(line.contains(example), "{readme}: {example}");
            line = line.replace(example, real);
        }
        let words: Vec<String> = match line.split_once('\'') {
            None => line.split(' ').map(str::to_string).collect(),
            Some((before, quoted)) => {
                before.trim().split(' ').map(str::to_string).chain([quoted.trim_end_matches('\'').to_string()]).collect()
            }
        };
        home.run(words)
    }

    fn ok(&mut self, home: &Home, readme: &str, replaced: &[(&str, &str)]) -> String {
        let r = self.run(home, readme, replaced);
        assert_eq!(r.code, 0, "{readme}: {}{}", r.out, r.err);
        r.out
    }
}

const URL: &str = "ssh://me@sync.example.org/home/me/vault.git";

#[test]
fn the_tour() {
    let written = written();
    assert!(written.len() > 20, "{written:?}");
    let mut t = Tour { left: written.clone(), written };
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, b) = (Home::new(), Home::new());
    for h in [&a, &b] {
        h.let_in(&sshd);
    }
    let url = sshd.url(&sshd.dir.path().join("vault.git"));
    a.write("todo.txt", "one\n");
    a.write("folder/file", "x");
    let rk = a.path("rk").display().to_string();
    let fingerprint = sshd.fingerprint("ed25519");

    // A vault, and a second device.
    alone(&mut t);
    let init = format!("{url} --create --device alpha --recovery-key-out {rk}");
    t.ok(&a, &format!("sharelock init --remote {URL} --create"), &[(&format!("{URL} --create"), &init)]);
    std::fs::remove_file(b.path(".ssh/known_hosts")).unwrap();
    let example = "SHA256:Uo0c7J4mQ2d1kYx8vT3nW6zR5bE9hLqP0sFgAaJiKcM";
    let key = format!("{fingerprint} --device beta --recovery-key-file {rk}");
    t.ok(&b, &format!("sharelock join {URL} --host-key {example}"), &[(URL, &url), (example, &key)]);
    assert_eq!(b.read("todo.txt"), "one\n");
    another(&mut t, &sshd, &a, &url);
    let usb = a.path("usb.git").display().to_string();
    t.ok(&a, "sharelock remote add --create NAME URL", &[("NAME URL", &format!("usb {usb}"))]);

    agents(&mut t, &a);
    conflicts_and_versions(&mut t, &a, &b);
    the_brake(&mut t, &a);

    assert!(t.ok(&a, "sharelock report", &[]).starts_with("~/.local/state/sharelock/report.html tells how ~/share does\n"));
    assert_eq!(t.ok(&a, "sharelock ignored", &[]), "all of ~/share is followed\n");
    t.ok(&a, "sharelock ignored PATH", &[("PATH", "folder")]);
    t.ok(&a, "sharelock du", &[]);
    t.ok(&a, "sharelock du photos", &[("photos", "folder")]);

    // A node that goes back.
    let node = sshd.dir.path().join("vault.git");
    let before = support::git_ok(&node, &["rev-parse", "main~3"]);
    support::git_ok(&node, &["update-ref", "refs/heads/main", before.trim()]);
    assert_eq!(a.run(["sync"]).code, 6);
    t.ok(&a, "sharelock remote heal NAME", &[("NAME", "origin")]);
    assert_eq!(t.run(&a, "sharelock doctor", &[]).code, 0);
    b.ok(["sync"]);
    assert!(t.ok(&a, "sharelock device list", &[]).contains("beta "));
    t.ok(&b, "sharelock device rename NAME", &[("NAME", "gamma")]);
    assert!(t.ok(&a, "sharelock device forget DEVICE", &[("DEVICE", "c")]).starts_with("c is off the list"));
    t.ok(&b, "sharelock leave", &[("leave", "leave --yes")]);
    assert!(!b.path("secure").exists() && b.path("share").exists());
    assert!(t.left.is_empty(), "README says, and nothing here runs: {:#?}", t.left);
}

/// Without a storage node, and from dvcs-autosync; a start-up file.
fn alone(t: &mut Tour) {
    let (h, old) = (Home::new(), Home::new());
    let rk = |h: &Home| format!("--recovery-key-out {}", h.path("rk").display());
    t.ok(&h, "sharelock init", &[("init", &format!("init {}", rk(&h)))]);
    assert!(t.ok(&h, "sharelock bench", &[]).contains("this vault    "));
    t.by("sharelock service install");
    std::fs::create_dir(h.path("bin")).unwrap();
    let mut c = Command::new(PROGRAM);
    c.env_clear().env("HOME", h.dir.path()).env("PATH", h.path("bin")).args(["service", "install"]);
    let r = ran(c.output().unwrap());
    assert_eq!(r.code, 0, "{}{}", r.out, r.err);
    std::fs::write(old.path(".autosync"), "[autosync]\npath = ~/share\n").unwrap();
    let file = format!("{} {}", old.path(".autosync").display(), rk(&old));
    t.ok(&old, "sharelock init --import-autosync ~/.autosync", &[("~/.autosync", &file)]);
}

/// A third device with a copy of the key file, which another lets in at the server.
fn another(t: &mut Tour, sshd: &Sshd, a: &Home, url: &str) {
    let c = Home::new();
    c.knows(sshd);
    let exported = a.path("copy.key").display().to_string();
    t.ok(a, "sharelock key export FILE", &[("FILE", &exported)]);
    let pw = a.path("pw").display().to_string();
    let join = format!("{url} --device c --key-file {exported} --key-password-file {pw}");
    let refused = t.run(&c, &format!("sharelock join {URL}"), &[(URL, &join)]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    let line = refused.err.split('\'').nth(1).expect("the line for authorized_keys");
    // The server is this machine, and its account is this one: what is appended would stay. It refuses what is no key.
    let example = "ssh-ed25519 AAAA.. pi";
    let r = t.run(a, &format!("sharelock remote authorize origin '{example}'"), &[]);
    assert_eq!(r.code, 2, "{}", r.err);
    assert!(line.starts_with("ssh-ed25519 AAAA"), "{line}");
    sshd.authorize(&c.path(".config/sharelock/id_ed25519.pub"), "");
    t.ok(&c, &format!("sharelock join {URL}"), &[(URL, &join)]);
    assert_eq!(c.read("folder/file"), "x");
}

fn agents(t: &mut Tour, a: &Home) {
    assert!(t.ok(a, "sharelock run --daemon", &[]).starts_with("sharelock is running"));
    assert_eq!(t.ok(a, "sharelock run", &[]), "sharelock is running already\n");
    t.by("sharelock status --watch");
    let mut terminal = Terminal::start(a, &["status", "--watch"]);
    terminal.wait("(this one)").interrupt();
    terminal.end();
    assert!(t.ok(a, "sharelock wait", &[]).contains("you can close the lid"));
    assert!(t.ok(a, "sharelock pause --for 2h", &[]).starts_with("paused until "));
    assert!(t.ok(a, "sharelock status", &[]).starts_with("paused until "));
    t.ok(a, "sharelock resume", &[]);
    t.ok(a, "sharelock sync", &[]);
    assert!(t.ok(a, "sharelock stop", &[]).starts_with("sharelock has stopped"));
    // In the foreground, as the first.
    let _agent = Resident::start(a);
    wait_for("the agent", || a.status()["agent"]["running"] == true);
}

fn conflicts_and_versions(t: &mut Tour, a: &Home, b: &Home) {
    b.ok(["sync"]);
    a.write("todo.txt", "from alpha\n");
    b.write("todo.txt", "from beta\n");
    for h in [a, b, a] {
        h.ok(["sync"]);
    }
    assert_eq!(t.run(a, "sharelock conflicts", &[]).code, 3);
    t.ok(a, "sharelock resolve", &[("resolve", "resolve todo.txt --keep current")]);
    a.write("todo.txt", "later\n");
    a.ok(["sync"]);
    assert!(t.ok(a, "sharelock log FILE", &[("FILE", "todo.txt")]).contains("current"));
    assert!(t.ok(a, "sharelock restore FILE --at 3", &[("FILE", "todo.txt")]).contains(" again ("));
    std::fs::remove_dir_all(a.share("folder")).unwrap();
    a.ok(["sync"]);
    assert!(t.ok(a, "sharelock log --deleted", &[]).contains("folder/file"));
    t.ok(a, "sharelock restore FOLDER", &[("FOLDER", "folder")]);
    assert_eq!(a.read("folder/file"), "x");
}

fn the_brake(t: &mut Tour, a: &Home) {
    for n in 0..30 {
        a.write(&format!("many/{n}"), "x");
    }
    a.ok(["sync"]);
    let stopped = || {
        std::fs::remove_dir_all(a.share("many")).unwrap();
        let r = a.run(["sync"]);
        assert_eq!(r.code, 3, "{}", r.err);
        r.err.split("sharelock allow ").nth(1).unwrap().trim().to_string()
    };
    stopped();
    t.ok(a, "sharelock undo", &[]);
    assert_eq!(a.read("many/29"), "x");
    let code = stopped();
    t.ok(a, "sharelock allow CODE", &[("CODE", &code)]);
    assert!(a.ok(["log", "--deleted"]).contains("many/29"));
}

/// The configuration of an account, as README shows it.
#[test]
#[cfg(feature = "xmpp")]
fn the_xmpp_block() {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block: Vec<&str> = text.lines().skip_while(|l| *l != "    [xmpp]").take_while(|l| l.starts_with("    ")).map(str::trim).collect();
    assert!(block.len() > 3);
    let whole = format!("share = \"~/share\"\nsecure = \"~/secure\"\ndevice = \"x\"\n{}\n", block.join("\n"));
    let config = sharelock::config::Config::parse(&whole, "README.md", std::path::Path::new("/home/x")).unwrap();
    assert!(config.xmpp.is_some());
}
