//! The resident agent behind a line to a real sshd that falls silent without breaking.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Home, Pass, Resident, Sshd, between, git_ok, wait_for};

#[test]
fn a_line_that_freezes_keeps_nothing_out_of_the_vault_and_no_other_node_waiting() {
    let (sshd, frozen) = (Sshd::start(&["ed25519"], ""), Arc::new(AtomicBool::new(false)));
    let seen = frozen.clone();
    let line = between(sshd.port, move |_, _| if seen.load(Ordering::SeqCst) { Pass::Hold } else { Pass::On });
    let (a, b) = (Home::new(), Home::new());
    a.let_in(&sshd);
    std::fs::write(a.path(".ssh/known_hosts"), sshd.known_by(line.port, "ed25519")).unwrap();
    let (server, disk) = (sshd.dir.path().join("v.git"), a.path("disk.git").display().to_string());
    a.init(&sshd.url_by(line.port, &server));
    a.ok(["remote", "add", "--create", "disk", &disk]);
    b.join(&disk, &a, "beta");
    let config = a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("# poll = \"60s\"", "poll = \"1s\"");
    std::fs::write(&config, text).unwrap();
    let _agent = Resident::start(&a);
    a.ok(["wait", "--timeout", "60"]);
    frozen.store(true, Ordering::SeqCst);
    let began = Instant::now();
    // The agent's answers are waited for below, each less long than it would wait for the server.
    for (n, name) in ["while it asks", "while it is away"].into_iter().enumerate() {
        a.write(name, "of a moment");
        wait_for(name, || {
            b.ok(["sync"]);
            b.has(name, "of a moment")
        });
        // What stood for a moment only is in the history.
        a.write(name, "of today");
        wait_for("the next version", || {
            b.ok(["sync"]);
            b.has(name, "of today")
        });
        // However often it is tried meanwhile.
        assert!(n > 0 || began.elapsed() < Duration::from_secs(28), "{:?}", began.elapsed());
        let log = Resident::log(&a);
        assert!(log.contains("origin has said nothing for 15 s, and other work waits"), "{n}: {log}");
    }
    assert_eq!(a.status()["remotes"][0]["name"], "origin");
    let error = a.status()["remotes"][0]["error"].to_string();
    assert!(error.contains("not reachable"), "{error}");
    let head = || git_ok(&a.path("secure"), &["rev-parse", "main"]);
    assert_ne!(git_ok(&server, &["rev-parse", "main"]), head());
    frozen.store(false, Ordering::SeqCst);
    wait_for("the server to catch up", || git_ok(&server, &["rev-parse", "main"]) == head());
}
