//! Three agents, a real sshd, a real XMPP server: what one writes, the others have within moments, long before they poll.
#![cfg(all(feature = "ssh", feature = "xmpp"))]
#![allow(clippy::unwrap_used)]

mod support;
mod xmpp;

use std::fmt::Write as _;
use std::time::{Duration, Instant};
use support::{Home, Resident, Sshd, assert_equal_trees, git_ok, wait_for};
use xmpp::world::Phone;
use xmpp::{Kind, Server};

/// The configured poll: nothing in these tests waits so long.
const POLL: Duration = Duration::from_secs(600);

struct Fleet {
    homes: Vec<Home>,
    _sshd: Sshd,
    _nodes: tempfile::TempDir,
}

impl Fleet {
    /// Nobody is told anything but by this server, at which they have an account.
    fn with_server() -> Option<(Server, Fleet)> {
        let server = Server::new(Kind::Prosody)?;
        server.register("alice", "pw-alice");
        let fleet = Fleet::new(&server);
        Some((server, fleet))
    }

    fn new(server: &Server) -> Fleet {
        let sshd = Sshd::start(&["ed25519"], "");
        let nodes = tempfile::tempdir().unwrap();
        git_ok(nodes.path(), &["init", "-q", "--bare", "origin.git"]);
        let url = sshd.url(&nodes.path().join("origin.git"));
        let homes: Vec<Home> = (0..3).map(|_| Home::new()).collect();
        for (n, home) in homes.iter().enumerate() {
            home.let_in(&sshd);
            match n {
                0 => home.init(&url),
                _ => home.join(&url, &homes[0], ["", "beta", "gamma"][n]),
            }
            let config = home.path(".config/sharelock/config.toml");
            let text = std::fs::read_to_string(&config).unwrap();
            let mut text = text.replace("# poll = \"60s\"", &format!("poll = \"{}s\"", POLL.as_secs()));
            let _ = write!(
                text,
                "\n[xmpp]\njid = \"alice@xmpp.test\"\npassword_command = \"cat {}\"\nhost = \"127.0.0.1\"\nport = {}\nca_file = \"{}\"\n",
                home.path("xmpp-password").display(),
                server.start,
                server.dir.path().join("certs/ca.crt").display()
            );
            std::fs::write(home.path("xmpp-password"), "pw-alice\n").unwrap();
            std::fs::write(config, text).unwrap();
        }
        Fleet { homes, _sshd: sshd, _nodes: nodes }
    }

    fn start(&self) -> Vec<Resident> {
        let all: Vec<Resident> = self.homes.iter().map(Resident::start).collect();
        for home in &self.homes {
            wait_for("the login", || home.status()["agent"]["xmpp"]["state"] == "online");
        }
        all
    }
}

#[test]
fn a_notice_brings_an_edit_across_and_each_knows_the_others() {
    let Some((_server, fleet)) = Fleet::with_server() else { return };
    let [a, b, c] = &fleet.homes[..] else { panic!("three") };
    let agents = fleet.start();
    let mut took = Vec::new();
    for n in 0..5 {
        let began = Instant::now();
        a.write(&format!("f{n}"), "from alpha");
        for other in [b, c] {
            wait_for("the edit", || other.has(&format!("f{n}"), "from alpha"));
        }
        took.push(began.elapsed());
    }
    println!("edits to plaintext on two other devices: {took:?}");
    c.write("back", "from gamma");
    wait_for("the way back", || a.has("back", "from gamma") && b.has("back", "from gamma"));
    // Who is there, by name.
    wait_for("the others online", || {
        let text = a.ok(["status"]);
        text.contains("beta online") || text.contains("gamma online")
    });
    let json = a.status();
    let gamma = json["devices"].as_array().unwrap().iter().find(|d| d["name"] == "gamma").unwrap().clone();
    assert_eq!(gamma["online"], true, "{json:#}");
    // How long a notice takes, alpha knows from its own.
    wait_for("the way of a notice", || a.status()["agent"]["xmpp"]["notice_ms"].is_number());
    assert_eq!(a.status()["agent"]["xmpp"]["tls"], "STARTTLS");
    let doctor = a.run(["doctor"]).out;
    assert!(doctor.contains("ok    xmpp: alice@xmpp.test by STARTTLS, notices arrive in 0."), "{doctor}");
    drop(agents);
    for home in [a, b, c] {
        home.ok(["sync"]);
    }
    assert_equal_trees(&a.path("share"), &b.path("share"));
    assert_equal_trees(&a.path("share"), &c.path("share"));
}

#[test]
fn what_happened_while_offline_is_not_missed_and_the_owner_may_ask_by_chat() {
    let Some((mut server, fleet)) = Fleet::with_server() else { return };
    let [a, b, _] = &fleet.homes[..] else { panic!("three") };
    let mut agents = fleet.start();
    // Beta is away while alpha works; what it missed is at the server when it comes back.
    agents.remove(1).kill();
    a.write("missed", "x");
    a.ok(["wait", "--timeout", "60"]);
    agents.insert(1, Resident::start(b));
    wait_for("what was missed", || b.has("missed", "x"));
    // The XMPP server restarts: the agents come back by themselves.
    server.halt(true);
    wait_for("the loss in status", || a.status()["agent"]["xmpp"]["state"] == "offline");
    a.write("while xmpp is down", "y");
    a.ok(["wait", "--timeout", "60"]);
    server.run();
    for home in &fleet.homes {
        wait_for("the login", || home.status()["agent"]["xmpp"]["state"] == "online");
    }
    wait_for("what came meanwhile", || b.has("while xmpp is down", "y"));
    let Some(mut phone) = Phone::new(&server, "alice@xmpp.test/phone", "pw-alice", -5) else { return };
    let log = Resident::log(a);
    let me = log.lines().rev().find_map(|l| l.split("xmpp: online as ").nth(1)).unwrap().trim().to_string();
    phone.say(&me, "status");
    phone.until("the answer", |v| v["body"].as_str().is_some_and(|t| t.starts_with("alpha: in sync: 2 files")));
    phone.say(&me, "whoami");
    phone.until("the answer", |v| v["body"].as_str().is_some_and(|t| t.starts_with("this is alpha, with sharelock ")));
    phone.say(&me, "pause 2h");
    phone.until("the answer", |v| v["body"].as_str().is_some_and(|t| t.starts_with("alpha: paused")));
    assert_eq!(a.status()["agent"]["state"], "paused");
    a.write("held", "z");
    phone.say(&me, "resume");
    wait_for("the held file", || b.has("held", "z"));
}

#[test]
fn a_wrong_password_is_a_problem_with_a_remedy_and_syncing_goes_on() {
    let Some((_server, fleet)) = Fleet::with_server() else { return };
    let [a, b, _] = &fleet.homes[..] else { panic!("three") };
    std::fs::write(a.path("xmpp-password"), "wrong\n").unwrap();
    let agent = Resident::start(a);
    wait_for("the refusal", || a.status()["agent"]["xmpp"]["state"] == "refused");
    let text = a.ok(["status"]);
    assert!(text.contains("xmpp: ") && text.contains("do: "), "{text}");
    a.write("all the same", "x");
    a.ok(["wait", "--timeout", "60"]);
    b.ok(["sync"]);
    assert_eq!(b.read("all the same"), "x");
    // Mended and read again.
    std::fs::write(a.path("xmpp-password"), "pw-alice\n").unwrap();
    agent.signal(rustix::process::Signal::HUP);
    wait_for("the login", || a.status()["agent"]["xmpp"]["state"] == "online");
}
