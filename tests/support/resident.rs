//! A running agent of a home.

use super::{Home, wait_for};
use std::process::{Child, Stdio};

/// `sharelock run` in the foreground, ended by its pid.
pub struct Resident {
    child: Child,
    log: std::path::PathBuf,
}

impl Resident {
    /// Started, and answering on its socket.
    pub fn start(home: &Home) -> Resident {
        Resident::start_with(home, |_| ())
    }

    /// With more in its environment.
    pub fn start_with(home: &Home, more: impl FnOnce(&mut std::process::Command)) -> Resident {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(home.path("agent.txt")).expect("a log");
        let mut command = home.command(["run", "--verbose"]);
        more(&mut command);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the program runs");
        let mut agent = Resident { child, log: home.path("agent.txt") };
        wait_for("the agent's socket", || {
            assert!(agent.child.try_wait().expect("a child").is_none(), "it ended: {}", Resident::log(home));
            home.path(".local/state/sharelock/agent.sock").exists()
        });
        agent
    }

    /// What it and those before it have said.
    pub fn log(home: &Home) -> String {
        std::fs::read_to_string(home.path("agent.txt")).unwrap_or_default()
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it runs");
    }

    /// SIGKILL: it tidies nothing up.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("its end");
    }

    /// Waits for its end by itself; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the agent's end", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|s| s.code())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- an agent's log:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}
