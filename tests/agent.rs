//! The resident agent on real disks, with storage nodes at local paths.
#![allow(clippy::unwrap_used)]

mod support;

use rustix::fs::inotify;
use rustix::process::Signal;
use std::io::Write;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Home, Resident, assert_equal_trees, git_ok, wait_for};

/// A vault on two devices, whose agents ask the nodes once a second.
struct Two {
    a: Home,
    b: Home,
    nodes: tempfile::TempDir,
}

fn impatient(home: &Home) {
    let config = home.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("# poll = \"60s\"", "poll = \"1s\"");
    let text = text.replace("# notify = [\"desktop\"]", "notify = [\"log\"]").replace("# min_free = \"64MB\"", "min_free = \"0\"");
    assert!(text.contains("\npoll = \"1s\"\n") && text.contains("\nnotify = [\"log\"]\n"), "{text}");
    std::fs::write(config, text).unwrap();
}

impl Two {
    fn new() -> Two {
        let two = Two { a: Home::new(), b: Home::new(), nodes: tempfile::tempdir().unwrap() };
        two.a.write("first", "of alpha");
        two.a.init(&two.node());
        two.b.join(&two.node(), &two.a, "beta");
        impatient(&two.a);
        impatient(&two.b);
        two
    }

    fn node(&self) -> String {
        self.nodes.path().join("origin.git").display().to_string()
    }
}

fn commits(home: &Home) -> usize {
    git_ok(&home.path("secure"), &["log", "--format=%H"]).lines().count()
}

fn state_file(home: &Home, name: &str) -> PathBuf {
    home.path(".local/state/sharelock").join(name)
}

#[test]
fn an_edit_crosses_and_a_burst_is_one_commit() {
    let two = Two::new();
    let (_a, _b) = (Resident::start(&two.a), Resident::start(&two.b));
    two.a.write("new", "from alpha");
    wait_for("the edit on beta", || two.b.has("new", "from alpha"));
    two.b.write("back", "from beta");
    wait_for("the edit on alpha", || two.a.has("back", "from beta"));
    two.a.ok(["wait", "--timeout", "60"]);
    let before = commits(&two.a);
    for n in 0..200 {
        two.a.write(&format!("burst/{n}"), "x");
    }
    wait_for("the burst on beta", || two.b.share("burst").read_dir().is_ok_and(|d| d.count() == 200));
    two.a.ok(["wait", "--timeout", "60"]);
    // Writing 200 files may take longer than `quiet` on a busy machine; one commit a file it is never.
    let made = commits(&two.a) - before;
    assert!((1..=3).contains(&made), "{made} commits");
    wait_for("both in sync", || two.a.status()["in_sync"] == true && two.b.status()["in_sync"] == true);
    assert_equal_trees(&two.a.path("share"), &two.b.path("share"));
}

#[test]
fn what_the_agent_writes_is_no_change_of_the_user() {
    let two = Two::new();
    let (_a, _b) = (Resident::start(&two.a), Resident::start(&two.b));
    for n in 0..5 {
        two.a.write(&format!("d{n}/f"), "x");
        wait_for("the edit on beta", || two.b.has(&format!("d{n}/f"), "x"));
    }
    two.b.ok(["sync"]);
    two.a.ok(["sync"]);
    // Each commit is alpha's: none came back from beta.
    let before = commits(&two.a);
    for _ in 0..3 {
        two.b.ok(["sync"]);
        two.a.ok(["sync"]);
    }
    assert_eq!(commits(&two.a), before);
    assert!(!two.a.ok(["log"]).contains("beta"), "{}", two.a.ok(["log"]));
}

#[test]
fn a_file_that_is_written_all_the_time_holds_no_other_back() {
    let two = Two::new();
    let (_a, _b) = (Resident::start(&two.a), Resident::start(&two.b));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, path) = (stop.clone(), two.a.share("log"));
    let writer = std::thread::spawn(move || {
        let mut f = std::fs::File::create(path).unwrap();
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            f.write_all(b"line\n").unwrap();
            // The pace of a program that logs, well below the time in which a file counts as quiet.
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    wait_for("the busy file", || two.a.share("log").exists());
    two.a.write("letter", "done");
    let began = Instant::now();
    wait_for("the finished file on beta", || two.b.has("letter", "done"));
    // `max_delay` is 10 s, and the busy file has not stopped.
    assert!(began.elapsed() < Duration::from_secs(9), "it waited for the other: {:?}", began.elapsed());
    wait_for("the busy file on beta, after max_delay", || two.b.share("log").exists());
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    wait_for("all of it", || std::fs::read(two.a.share("log")).unwrap() == std::fs::read(two.b.share("log")).unwrap_or_default());
}

#[test]
fn one_agent_a_vault_and_what_it_says() {
    let two = Two::new();
    let said = two.a.ok(["run", "--daemon"]);
    assert!(said.starts_with("sharelock is running"), "{said}");
    for again in [&["run"][..], &["run", "--daemon"]] {
        assert_eq!(two.a.ok(again), "sharelock is running already\n");
    }
    let now = two.a.status();
    assert_eq!(now["agent"]["running"], true);
    let pid = now["agent"]["pid"].as_u64().unwrap();
    // Apart from whoever started it, and nothing secret where others can see it.
    let of = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
    let stat = String::from_utf8(of("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own, without a terminal");
    for place in ["cmdline", "environ"] {
        let text = String::from_utf8_lossy(&of(place)).into_owned();
        assert!(!text.contains("secret"), "{place}: {text}");
    }
    assert_eq!(two.a.ok(["stop"]), "sharelock has stopped on this device; what changes here is sent when it runs again\n");
    assert!(!state_file(&two.a, "agent.sock").exists());
    let r = two.a.run(["stop"]);
    assert_eq!(
        (r.code, r.err.as_str()),
        (1, "sharelock: sharelock is not running on this device\n  to start it: sharelock run --daemon\n")
    );
    assert_eq!(two.a.status()["agent"]["running"], false);
    let log = std::fs::read_to_string(state_file(&two.a, "agent.log")).unwrap();
    assert!(log.contains("begins") && log.trim_end().ends_with("sharelock ends"), "{log}");
}

#[test]
fn a_daemon_finds_a_configuration_that_was_named_from_here() {
    let two = Two::new();
    for name in [".config/sharelock", ".local/state/sharelock"] {
        let to = if name.ends_with("config/sharelock") { "elsewhere" } else { "elsewhere/state" };
        std::fs::rename(two.a.path(name), two.a.path(to)).unwrap();
    }
    let here = |args: &[&str]| {
        let mut c = two.a.command(["--config", "elsewhere/config.toml"]);
        let o = c.args(args).current_dir(two.a.path("")).output().unwrap();
        assert!(o.status.success(), "{args:?}: {o:?}");
    };
    here(&["run", "--daemon"]);
    here(&["wait", "--timeout", "60"]);
    here(&["stop"]);
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let two = Two::new();
    std::fs::rename(two.a.path("share"), two.a.path("elsewhere")).unwrap();
    let r = two.a.run(["run", "--daemon"]);
    assert_eq!(r.code, 1, "{}{}", r.out, r.err);
    assert!(r.err.contains("can't open ~/share") && r.err.contains("nothing was changed"), "{}", r.err);
    std::fs::write(two.a.path("pw"), "wrong").unwrap();
    assert_eq!(two.a.run(["run", "--daemon"]).code, 4);
}

#[test]
fn a_verb_borrows_the_vault_and_the_agent_goes_on() {
    let two = Two::new();
    let _a = Resident::start(&two.a);
    two.a.write("first", "second version");
    two.a.ok(["wait", "--timeout", "60"]);
    for _ in 0..3 {
        assert!(two.a.ok(["log", "first"]).lines().count() >= 2);
    }
    two.a.ok(["restore", "first", "--at", "1"]);
    assert_eq!(two.a.read("first"), "of alpha");
    two.a.ok(["verify"]);
    two.a.write("after", "borrowed");
    two.a.ok(["wait", "--timeout", "60"]);
    two.b.ok(["sync"]);
    assert_eq!((two.b.read("after"), two.b.read("first")), ("borrowed".into(), "of alpha".into()));
    // Many at once take turns.
    let all: Vec<_> = (0..4).map(|_| two.a.command(["log"]).output()).collect();
    assert!(all.into_iter().all(|o| o.unwrap().status.success()));
}

#[test]
fn a_borrower_that_is_killed_gives_the_vault_back() {
    let two = Two::new();
    let _a = Resident::start(&two.a);
    // It holds the vault while it waits for its standard input.
    let socket = std::os::unix::net::UnixStream::connect(state_file(&two.a, "agent.sock")).unwrap();
    (&socket).write_all(b"lend\n").unwrap();
    wait_for("the loan", || two.a.status()["agent"]["state"] == "lent");
    two.a.write("meanwhile", "x");
    drop(socket);
    two.a.ok(["wait", "--timeout", "60"]);
    two.b.ok(["sync"]);
    assert_eq!(two.b.read("meanwhile"), "x");
}

#[test]
fn a_pause_holds_and_ends() {
    let two = Two::new();
    let (_a, _b) = (Resident::start(&two.a), Resident::start(&two.b));
    two.a.ok(["wait", "--timeout", "60"]);
    assert!(two.a.ok(["pause", "--for", "2h"]).starts_with("paused until "));
    two.a.write("held", "x");
    wait_for("the pause in status", || two.a.status()["agent"]["state"] == "paused");
    assert!(two.a.ok(["status"]).starts_with("paused until ") && two.a.status()["agent"]["paused_until"].is_string());
    wait_for("what waits in status", || two.a.status()["pending"]["paths"][0] == "held");
    assert!(!two.b.share("held").exists());
    let r = two.a.run(["wait"]);
    assert_eq!((r.code, r.err.as_str()), (1, "sharelock: paused\n  nothing is lost: changes are noted\n  do: sharelock resume\n"));
    // A round that somebody asks for comes all the same, and the pause goes on.
    two.a.ok(["sync"]);
    wait_for("what was asked for, on beta", || two.b.share("held").exists());
    assert_eq!(two.a.status()["agent"]["state"], "paused");
    two.a.write("still held", "x");
    wait_for("what waits in status", || two.a.status()["pending"]["paths"][0] == "still held");
    two.a.ok(["resume"]);
    wait_for("what was held, on beta", || two.b.share("still held").exists());
    assert_eq!(two.a.run(["pause", "--for", "later"]).code, 2);
    two.a.ok(["pause", "--for", "1s"]);
    two.a.write("later", "y");
    wait_for("the end of the pause", || two.b.share("later").exists());
}

/// At moments that cannot be missed; those between are drawn in tests/kills.rs.
#[test]
fn killed_at_any_time_the_next_one_goes_on() {
    let two = Two::new();
    let _b = Resident::start(&two.b);
    let node = PathBuf::from(two.node());
    let head = |repository: &Path| git_ok(repository, &["rev-parse", "main"]);
    let moments = ["at once", "noticed", "committed", "sent", "arrived", "ending"];
    for (n, moment) in moments.into_iter().enumerate() {
        let a = Resident::start(&two.a);
        let name = format!("k{n}");
        let (of_a, of_node) = (head(&two.a.path("secure")), head(&node));
        two.a.write(&name, &"x".repeat(20_000));
        let committed = || head(&two.a.path("secure")) != of_a;
        wait_for(moment, || match moment {
            "noticed" => committed() || !two.a.status()["pending"]["paths"].as_array().unwrap().is_empty(),
            "committed" => committed(),
            "sent" => head(&node) != of_node,
            "arrived" => two.b.share(&name).exists(),
            _ => true,
        });
        if moment == "ending" {
            a.signal(Signal::TERM);
        }
        a.kill();
        two.a.write(&format!("dead{n}"), "written while nobody looked");
    }
    let _a = Resident::start(&two.a);
    let all = || (0..moments.len()).all(|n| two.b.share(&format!("k{n}")).exists() && two.b.share(&format!("dead{n}")).exists());
    wait_for("all of it on beta", all);
    two.b.ok(["sync"]);
    assert_equal_trees(&two.a.path("share"), &two.b.path("share"));
    git_ok(&two.a.path("secure"), &["fsck", "--strict"]);
}

#[test]
fn signals() {
    let two = Two::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut a = Resident::start(&two.a);
        let began = Instant::now();
        a.signal(signal);
        assert_eq!(a.ended(), Some(0));
        // Two seconds are promised; the rest is for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }
    let a = Resident::start(&two.a);
    let usb = two.nodes.path().join("usb.git");
    git_ok(two.nodes.path(), &["init", "-q", "--bare", "usb.git"]);
    let config = two.a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[[remote]]\nname = \"usb\"\nurl = \"{}\"\n", usb.display())).unwrap();
    a.signal(Signal::HUP);
    wait_for("the new node", || usb.join("refs/heads/main").exists());
    // A configuration that is wrong stops nothing that runs for good: it is said, and read again when it is mended.
    std::fs::write(&config, "shar = 1").unwrap();
    a.signal(Signal::HUP);
    wait_for("the complaint", || Resident::log(&two.a).contains("no such key: shar"));
    std::fs::write(&config, text).unwrap();
    a.signal(Signal::HUP);
    two.a.write("mended", "x");
    wait_for("the agent at work again", || two.a.run(["wait", "--timeout", "5"]).code == 0);
}

#[test]
fn a_node_that_is_away_holds_nobody_up_and_catches_up() {
    let two = Two::new();
    let usb = two.nodes.path().join("usb.git");
    two.a.ok(["remote", "add", "--create", "usb", &usb.display().to_string()]);
    let _a = Resident::start(&two.a);
    two.a.ok(["wait", "--timeout", "60"]);
    let away = two.nodes.path().join("away.git");
    std::fs::rename(&usb, &away).unwrap();
    two.a.write("without usb", "x");
    let said = two.a.ok(["wait", "--timeout", "60"]);
    assert!(said.starts_with("stored on origin (usb is away)"), "{said}");
    two.b.ok(["sync"]);
    assert_eq!(two.b.read("without usb"), "x");
    let now = two.a.status();
    assert!(now["remotes"][1]["error"].as_str().unwrap().contains("away"), "{now:#}");
    std::fs::rename(&away, &usb).unwrap();
    wait_for("the node to catch up", || {
        std::fs::read_to_string(usb.join("refs/heads/main")).ok()
            == std::fs::read_to_string(Path::new(&two.node()).join("refs/heads/main")).ok()
    });
    // Added and removed while it runs.
    let third = two.nodes.path().join("third.git");
    two.a.ok(["remote", "add", "--create", "third", &third.display().to_string()]);
    wait_for("the third node", || third.join("refs/heads/main").exists());
    two.a.ok(["remote", "remove", "third"]);
    let names: Vec<String> = two.a.status()["remotes"].as_array().unwrap().iter().map(|r| r["name"].to_string()).collect();
    assert_eq!(names, ["\"origin\"", "\"usb\""]);
}

#[test]
fn a_share_that_vanishes_deletes_nothing_and_is_watched_again() {
    let two = Two::new();
    let (_a, _b) = (Resident::start(&two.a), Resident::start(&two.b));
    two.a.ok(["wait", "--timeout", "60"]);
    std::fs::rename(two.a.path("share"), two.a.path("unplugged")).unwrap();
    wait_for("the complaint", || Resident::log(&two.a).contains("is gone"));
    two.b.write("meanwhile", "x");
    two.b.ok(["sync"]);
    std::fs::rename(two.a.path("unplugged"), two.a.path("share")).unwrap();
    wait_for("what was missed", || two.a.has("meanwhile", "x"));
    assert_eq!(two.b.read("first"), "of alpha");
    two.a.write("watched again", "y");
    wait_for("an edit after it", || two.b.has("watched again", "y"));
}

#[test]
fn nothing_is_written_where_the_share_is_not_mounted() {
    let two = Two::new();
    std::fs::rename(two.a.path("share"), two.a.path("unplugged")).unwrap();
    // The mount point: a folder is there, the share is not.
    std::fs::create_dir(two.a.path("share")).unwrap();
    let a = Resident::start(&two.a);
    two.b.write("new", "from beta");
    two.b.ok(["sync"]);
    let asked = || Resident::log(&two.a).matches("its file .sharelock-root is missing").count();
    wait_for("a few rounds", || asked() > 3);
    assert_eq!(two.a.path("share").read_dir().unwrap().count(), 0);
    a.kill();
    std::fs::remove_dir(two.a.path("share")).unwrap();
    std::fs::rename(two.a.path("unplugged"), two.a.path("share")).unwrap();
    let _a = Resident::start(&two.a);
    wait_for("what was missed", || two.a.has("new", "from beta"));
    two.b.ok(["sync"]);
    assert_eq!((two.b.read("new"), two.b.read("first")), ("from beta".into(), "of alpha".into()));
}

#[test]
fn secure_changed_by_others_is_seen() {
    let two = Two::new();
    // It must not come by itself, in the middle of the pull.
    let config = two.a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("poll = \"1s\"", "poll = \"1h\"");
    std::fs::write(&config, text).unwrap();
    let _a = Resident::start(&two.a);
    two.a.ok(["wait", "--timeout", "60"]);
    two.b.write("by hand", "carried on a stick");
    two.b.ok(["sync"]);
    // A `git pull` by hand into secure.
    git_ok(&two.a.path("secure"), &["pull", "-q", &two.node(), "main"]);
    wait_for("the file in share", || two.a.has("by hand", "carried on a stick"));
}

#[test]
fn conflicts_and_the_brake_are_told_once() {
    let two = Two::new();
    for n in 0..30 {
        two.a.write(&format!("many/{n}"), "x");
    }
    two.a.ok(["sync"]);
    two.b.ok(["sync"]);
    let a = Resident::start(&two.a);
    two.a.ok(["pause"]);
    two.a.write("first", "alpha's");
    two.b.write("first", "beta's");
    two.b.ok(["sync"]);
    two.a.ok(["resume"]);
    wait_for("the conflict", || Resident::log(&two.a).contains("first was changed on two devices at once; both versions are kept"));
    std::fs::remove_dir_all(two.a.share("many")).unwrap();
    wait_for("the brake", || Resident::log(&two.a).contains("stopped before deleting 30 of"));
    // It holds still at every further round, without being told again.
    assert_eq!(two.a.run(["sync"]).code, 3);
    drop(a);
    assert_eq!(Resident::log(&two.a).matches("was changed on two devices at once").count(), 1);
    two.b.ok(["sync"]);
    assert_eq!(two.b.read("many/7"), "x");
}

#[test]
fn a_node_that_another_device_holds_for_a_moment_refuses_nothing() {
    let two = Two::new();
    let node = two.nodes.path().join("origin.git");
    let lock = node.join("refs/heads/main.lock");
    // git's lock, as another device holds it while it moves the branch.
    std::fs::write(&lock, "of another git").unwrap();
    two.a.write("new", "from alpha");
    // The first attempt must find it, a later one must not: between the two the branch is read, to see what has happened.
    let seen = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let pushed = inotify::add_watch(&seen, node.join("objects/pack"), inotify::WatchFlags::MOVED_TO).unwrap();
    let read = inotify::add_watch(&seen, node.join("refs/heads/main"), inotify::WatchFlags::OPEN).unwrap();
    let mut sync = two.a.command(["sync"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let (mut buffer, mut last) = ([MaybeUninit::uninit(); 4096], 0);
    wait_for("a refusal", || {
        let mut events = inotify::Reader::new(&seen, &mut buffer);
        while let Ok(event) = events.next() {
            if event.wd() == pushed || last == pushed {
                last = event.wd();
            }
        }
        last == read
    });
    std::fs::remove_file(&lock).unwrap();
    assert!(sync.wait().unwrap().success());
    two.b.ok(["sync"]);
    assert_eq!(two.b.read("new"), "from alpha");
    // One that is held for good is told.
    std::fs::write(&lock, "of another git").unwrap();
    two.a.write("new", "again");
    let r = two.a.run(["sync"]);
    assert!(r.code == 1 && r.err.contains("main.lock"), "{r:?}");
}
