//! `leave`: what goes, what stays, what refuses it, and that it can be said again after a crash at any place.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::{Home, Resident, Terminal, git_ok, ran, tree, wait_for};

/// A vault of two devices with a node at a path.
struct Two {
    a: Home,
    b: Home,
    nodes: tempfile::TempDir,
}

impl Two {
    fn new() -> Two {
        let two = Two { a: Home::new(), b: Home::new(), nodes: tempfile::tempdir().unwrap() };
        two.a.write("notes/todo.txt", "buy bread");
        two.a.write("large", &"x".repeat(3 << 20));
        std::fs::create_dir(two.a.share("empty")).unwrap();
        two.a.write(&"n".repeat(200), "a long name");
        two.a.init(&two.node());
        two.b.join(&two.node(), &two.a, "pi");
        two.b.write("of-pi", "x");
        two.b.ok(["sync"]);
        two.a.ok(["sync"]);
        two
    }

    fn node(&self) -> String {
        self.nodes.path().join("origin.git").display().to_string()
    }
}

const LEFT: &str = "sharelock has left this machine: service, state, key and ~/secure are removed
~/share stays as it is, 4 files. the vault goes on on pi
";

/// What is left of sharelock in a home.
fn left(h: &Home) -> Vec<PathBuf> {
    let ours = [".config/sharelock", ".local/state/sharelock", "secure", "share/.sharelock-root", ".config/systemd/user/sharelock.service"];
    ours.iter().map(|p| h.path(p)).filter(|p| p.symlink_metadata().is_ok()).collect()
}

fn nothing_was_removed(h: &Home) {
    h.ok(["sync"]);
    h.ok(["verify"]);
    assert!(h.path("secure/.git").exists() && h.path(".config/sharelock/vault.key").exists());
}

#[test]
fn everything_goes_but_the_plain_files() {
    let two = Two::new();
    let before = tree(&two.a.path("share"));
    assert_eq!(two.a.ok(["leave", "--yes"]), LEFT);
    assert_eq!(left(&two.a), Vec::<PathBuf>::new());
    let after = tree(&two.a.path("share"));
    let plain = |t: &[(PathBuf, String)]| t.iter().filter(|e| e.0.to_str() != Some(".sharelock-root")).cloned().collect::<Vec<_>>();
    assert_eq!(plain(&before), plain(&after));
    two.b.ok(["sync"]);
    two.b.ok(["verify", "--remote"]);
    assert!(two.b.has("notes/todo.txt", "buy bread"));
    // It may come back.
    std::fs::rename(two.a.path("share"), two.a.path("kept")).unwrap();
    std::fs::create_dir(two.a.path("share")).unwrap();
    two.a.join(&two.node(), &two.a, "again");
    assert!(two.a.has("of-pi", "x"));
    assert!(two.a.run(["leave"]).err.contains("there is no terminal"));
}

#[test]
fn the_agent_is_ended_and_its_service_is_gone() {
    let two = Two::new();
    std::fs::create_dir(two.a.path("bin")).unwrap();
    let systemctl = two.a.path("bin/systemctl");
    std::fs::write(&systemctl, "#!/bin/sh\necho \"$*\" >>\"$HOME/asked\"\n").unwrap();
    std::fs::set_permissions(&systemctl, PermissionsExt::from_mode(0o755)).unwrap();
    let here = |args: &[&str]| {
        let path = format!("{}:{}", two.a.path("bin").display(), std::env::var("PATH").unwrap());
        ran(two.a.command(args).env("PATH", path).output().unwrap())
    };
    assert_eq!(here(&["service", "install", "--by", "systemd"]).code, 0);
    // One of another vault stays.
    let other = two.a.path(".config/systemd/user/sharelock-work.service");
    std::fs::write(&other, "[Service]\nExecStart=/x/sharelock --vault work run\n").unwrap();
    let mut agent = Resident::start(&two.a);
    let r = here(&["leave", "--yes"]);
    assert_eq!((r.code, r.out.as_str()), (0, LEFT), "{}", r.err);
    assert_eq!(agent.ended(), Some(0));
    assert_eq!(left(&two.a), Vec::<PathBuf>::new());
    assert!(other.exists());
    let asked = std::fs::read_to_string(two.a.path("asked")).unwrap();
    assert!(asked.ends_with("--user disable --now sharelock.service\n--user daemon-reload\n"), "{asked}");
}

#[test]
fn what_waits_to_be_sent_refuses_it() {
    let two = Two::new();
    two.a.write("new", "only here");
    std::fs::remove_file(two.a.share("of-pi")).unwrap();
    let r = two.a.run(["leave", "--yes"]);
    assert_eq!(
        (r.code, r.err.as_str()),
        (1, "sharelock: not left: 2 files wait to be sent\n  new, of-pi\n  nothing was removed\n  do: sharelock sync\n")
    );
    two.b.ok(["sync"]);
    assert!(two.b.has("of-pi", "x"), "a deletion is not sent by leaving");
    // An agent that pauses keeps them, too.
    let agent = Resident::start(&two.a);
    two.a.ok(["wait", "--timeout", "60"]);
    two.a.ok(["pause"]);
    two.a.write("newer", "only here");
    let r = two.a.run(["leave", "--yes"]);
    assert!(r.code == 1 && r.err.contains("1 file waits to be sent\n  newer\n"), "{}", r.err);
    assert_eq!(two.a.status()["agent"]["running"], true);
    two.a.ok(["resume"]);
    two.a.ok(["wait", "--timeout", "60"]);
    drop(agent);
    nothing_was_removed(&two.a);
}

#[test]
fn no_node_that_has_everything_refuses_it() {
    let two = Two::new();
    let away = two.nodes.path().join("away.git");
    std::fs::rename(two.node(), &away).unwrap();
    let r = two.a.run(["leave", "--yes"]);
    assert_eq!(r.code, 5, "{}", r.err);
    assert!(r.err.starts_with("sharelock: not left: no storage node is known to have everything of this device\n  origin: "), "{}", r.err);
    assert!(r.err.ends_with("  nothing was removed\n  do: sharelock sync\n"), "{}", r.err);
    // Committed here, and nowhere else.
    two.a.write("committed", "x");
    assert_eq!(two.a.run(["sync"]).code, 5);
    std::fs::rename(&away, two.node()).unwrap();
    let r = two.a.run(["leave", "--yes"]);
    assert!(r.code == 1 && r.err.contains(") lacks 1 change\n  nothing was removed\n"), "{}", r.err);
    nothing_was_removed(&two.a);
    // A second node that has it will do.
    let usb = two.nodes.path().join("usb.git").display().to_string();
    two.a.ok(["remote", "add", "--create", "usb", &usb]);
    std::fs::rename(two.node(), &away).unwrap();
    assert_eq!(two.a.ok(["leave", "--yes"]).lines().next(), LEFT.lines().next());
    // On one device alone.
    let alone = Home::new();
    alone.ok(["init", "--device", "x", "--recovery-key-out", &alone.path("rk").display().to_string()]);
    let r = alone.run(["leave", "--yes"]);
    assert!(r.code == 1 && r.err.contains("this vault is on this device only"), "{}", r.err);
}

/// Another one's changes in secure are not thrown away, and neither is what is not sharelock's.
#[test]
fn what_is_not_ours_stays() {
    let two = Two::new();
    let entry = std::fs::read_dir(two.a.path("secure"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_file() && p.file_name().unwrap() != "vault")
        .unwrap();
    let whole = std::fs::read(&entry).unwrap();
    std::fs::write(&entry, "from a stick").unwrap();
    let r = two.a.run(["leave", "--yes"]);
    assert!(r.code == 1 && r.err.contains("~/secure holds changes by others that no sync has looked at"), "{}", r.err);
    std::fs::write(&entry, whole).unwrap();
    nothing_was_removed(&two.a);
    for name in ["secure/x.stray-1", ".config/sharelock/mine", "secure/.git/refs/heads/mine"] {
        let _ = std::fs::copy(two.a.path("secure/.git/refs/heads/main"), two.a.path(name)).unwrap();
    }
    let said = two.a.ok(["leave", "--yes"]);
    let rest = said.strip_prefix(LEFT).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(
        rest,
        "  ~/secure stays, with what is not sharelock's: .git, x.stray-1\n  ~/.config/sharelock stays, with what is not sharelock's: mine\n"
    );
    git_ok(&two.a.path("secure"), &["rev-parse", "mine"]);
}

/// Killed at any of its steps, it is said again, and no other verb takes what is missing for deleted.
#[test]
fn after_a_crash_it_can_be_said_again() {
    for moment in 0..6u32 {
        let two = Two::new();
        two.a.ok(["sync"]);
        let leaving = two.a.path(".config/sharelock/config.toml.leaving");
        let mut child = two.a.command(["leave", "--yes"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut ended = false;
        wait_for("the beginning of the end", || {
            ended = child.try_wait().unwrap().is_some();
            ended || leaving.exists()
        });
        // Each time a little later, by work and not by the clock.
        for _ in 0..moment * 800 {
            let _ = leaving.symlink_metadata();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if leaving.exists() && !two.a.path(".config/sharelock/config.toml").exists() {
            for verb in ["sync", "run", "status"] {
                let r = two.a.run([verb]);
                assert!(r.code == 2 && r.err.ends_with("  to go on with it: sharelock leave --yes\n"), "{verb}: {}", r.err);
            }
            assert_eq!(two.a.ok(["leave", "--yes"]), LEFT);
        } else if !left(&two.a).is_empty() {
            let said = two.a.run(["leave", "--yes"]);
            assert!(said.code == 0 || !two.a.path(".config/sharelock/vault.key").exists(), "{}", said.err);
        }
        assert!(two.a.has("notes/todo.txt", "buy bread") && two.a.has("of-pi", "x"));
        two.b.ok(["sync"]);
        assert!(two.b.has("notes/todo.txt", "buy bread"), "nothing was deleted elsewhere");
    }
}

/// Each state that a crash can leave, made by hand: one step more is done in each.
#[test]
fn it_goes_on_from_each_of_its_steps() {
    let steps: [&[&str]; 7] = [
        &[],
        &["secure/vault"],
        &["secure/vault", "share/.sharelock-root"],
        &["secure/.git/HEAD", "secure/.git/refs/heads/main"],
        &["secure"],
        &["secure", "share/.sharelock-root", ".local/state/sharelock/state.db"],
        &["secure", "share/.sharelock-root", ".local/state/sharelock", ".config/sharelock/vault.key"],
    ];
    let two = Two::new();
    let (config, state) = (two.a.path(".config/sharelock"), two.a.path(".local/state/sharelock"));
    let keep = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    // A folder in the place of the key's temporary stops it at its end, with the notes still there.
    std::fs::create_dir(config.join("vault.key.tmp")).unwrap();
    for (from, to) in [(config.clone(), "config"), (state.clone(), "state"), (two.a.path("secure"), "secure")] {
        copy(&from, &keep.path().join(to));
    }
    let r = two.a.run(["leave", "--yes"]);
    assert!(r.code == 1 && r.err.contains("a part is removed") && r.err.contains("sharelock leave --yes"), "{}", r.err);
    let notes = std::fs::read(config.join("config.toml.leaving")).unwrap();
    for step in steps {
        for (to, from) in [(&config, "config"), (&state, "state"), (&two.a.path("secure"), "secure")] {
            let _ = std::fs::remove_dir_all(to);
            copy(&keep.path().join(from), to);
        }
        std::fs::remove_dir(config.join("vault.key.tmp")).unwrap();
        std::fs::remove_file(config.join("config.toml")).unwrap();
        std::fs::write(config.join("config.toml.leaving"), &notes).unwrap();
        for name in step {
            let path = two.a.path(name);
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        let said = two.a.ok(["leave", "--yes"]);
        assert!(said.starts_with(LEFT), "{step:?}: {said}");
        // A repository whose branch is not the vault's any more is not known to be ours.
        let unknown = step.contains(&"secure/.git/HEAD");
        assert_eq!(left(&two.a).is_empty(), !unknown, "{step:?}: {:?}", left(&two.a));
    }
}

/// What others do in secure between a crash of it and the next try is not thrown away.
#[test]
fn what_others_change_before_it_goes_on_stays() {
    let two = Two::new();
    let (config, state, secure) = (two.a.path(".config/sharelock"), two.a.path(".local/state/sharelock"), two.a.path("secure"));
    let entry = |name: &str| secure.join(two.a.ok(["name", "encrypt", name]).trim());
    let (todo, large, same) = (entry("notes/todo.txt"), entry("large").join("01"), entry("of-pi"));
    // A folder in the place of the key's temporary stops it at its end; all but its notes is then put back.
    std::fs::create_dir(config.join("vault.key.tmp")).unwrap();
    let keep = tempfile::tempdir().unwrap();
    let places = [(&config, "config"), (&state, "state"), (&secure, "secure")];
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    places.iter().for_each(|(from, to)| copy(from, &keep.path().join(to)));
    assert_eq!(two.a.run(["leave", "--yes"]).code, 1);
    let notes = std::fs::read(config.join("config.toml.leaving")).unwrap();
    for (to, from) in places {
        let _ = std::fs::remove_dir_all(to);
        copy(&keep.path().join(from), to);
    }
    std::fs::remove_dir(config.join("vault.key.tmp")).unwrap();
    std::fs::remove_file(config.join("config.toml")).unwrap();
    std::fs::write(config.join("config.toml.leaving"), &notes).unwrap();
    let mut changed = std::fs::read(&large).unwrap();
    changed[1000] ^= 1;
    std::fs::write(&large, &changed).unwrap();
    std::fs::write(&todo, "from a stick").unwrap();
    // Written anew, but with the same content: nobody's change.
    std::fs::write(&same, std::fs::read(&same).unwrap()).unwrap();
    let said = two.a.ok(["leave", "--yes"]);
    assert!(said.starts_with(LEFT) && said.contains("  ~/secure stays, with what is not sharelock's: AQAA"), "{said}");
    assert!(std::fs::read(&large).unwrap() == changed && std::fs::read(&todo).unwrap() == b"from a stick");
    let left: Vec<PathBuf> = tree(&secure).into_iter().filter(|(_, what)| what != "dir").map(|(path, _)| secure.join(path)).collect();
    let mut want = [large, todo];
    want.sort();
    assert_eq!(left, want);
    assert!(!config.exists() && !state.exists());
}

#[test]
fn a_person_is_asked() {
    let two = Two::new();
    let mut t = Terminal::start(&two.a, &["leave"]);
    t.wait("password for vault").line("secret");
    t.wait("this device, alpha, leaves the vault: its service, state, key\r\n  and ~/secure will be removed\r\n");
    t.wait("  ~/share stays as it is, 4 files. the vault goes on on pi\r\nleave? [yes/No] ").line("");
    t.wait("sharelock: not left\r\n  nothing was removed\r\n");
    assert_eq!(t.end(), 1);
    nothing_was_removed(&two.a);
    let r = two.a.run(["leave"]);
    assert!(r.code == 2 && r.err.ends_with("  nothing was removed\n  do: sharelock leave --yes\n"), "{}", r.err);
    let mut t = Terminal::start(&two.a, &["leave"]);
    t.wait("password for vault").line("secret").wait("leave? ").line("yes").wait("sharelock has left this machine");
    assert_eq!(t.end(), 0);
    assert!(left(&two.a).is_empty());
}
