//! An idle connection does nothing: no thread wakes. In a program of its own, because it counts the whole process.
#![cfg(all(feature = "xmpp", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;
mod xmpp;

use sharelock::xmpp::Command;
use std::time::{Duration, Instant};
use xmpp::{Device, Kind, Server};

/// Voluntary context switches of all threads but this one.
fn wake_ups() -> u64 {
    let own = std::fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().to_owned();
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten().filter(|t| *t.file_name() != *own);
    let status = threads.filter_map(|t| std::fs::read_to_string(t.path().join("status")).ok());
    status.map(|s| s.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap().trim().parse::<u64>().unwrap()).sum()
}

#[test]
fn an_idle_connection_wakes_nothing() {
    for kind in [Kind::Prosody, Kind::Ejabberd] {
        let Some(server) = Server::new(kind) else { continue };
        server.register("alice", "pw-alice");
        let mut a = Device::online(server.config("alice", "pw-alice"));
        let b = Device::online(server.config("alice", "pw-alice"));
        b.send(Command::Publish(vec![1; 128]));
        a.notice();
        // How long a notice takes, for the record.
        let mut took: Vec<Duration> = (2..52u8)
            .map(|n| {
                let began = Instant::now();
                b.send(Command::Publish(vec![n; 128]));
                assert_eq!(a.notice(), vec![n; 128]);
                began.elapsed()
            })
            .collect();
        took.sort();
        eprintln!("{kind:?}: a notice takes {:?} (median), {:?} (p95)", took[25], took[47]);
        // Quiet begins once pool threads of the login have gone (they wait half a second for more): a second without any.
        let mut before = wake_ups();
        support::wait_for("quiet", || {
            std::thread::sleep(Duration::from_secs(1));
            std::mem::replace(&mut before, wake_ups()) == before
        });
        // The time is the measure: so many wake-ups in so long.
        std::thread::sleep(Duration::from_secs(10));
        let woken = wake_ups() - before;
        eprintln!("{kind:?}: {woken} wake-ups in 10 s");
        assert!(woken <= 4, "{kind:?}: {woken} wake-ups in 10 s");
        a.stop();
        b.stop();
    }
}
