//! A real ssh-agent.

use super::{Home, wait_for};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An agent, ended by its pid.
pub struct Agent {
    pub socket: PathBuf,
    child: Child,
}

impl Agent {
    /// With these keys of a home, which all have this passphrase.
    pub fn start(home: &Home, keys: &[&str], passphrase: &str) -> Agent {
        let socket = home.path("agent.sock");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().expect("ssh-agent");
        let agent = Agent { socket, child };
        wait_for("ssh-agent", || agent.socket.exists());
        let ask = home.path("ask");
        std::fs::write(&ask, format!("#!/bin/sh\necho '{passphrase}'\n")).expect("a file");
        std::fs::set_permissions(&ask, PermissionsExt::from_mode(0o700)).expect("a mode");
        for k in keys {
            let done = Command::new("ssh-add")
                .arg(home.path(k))
                .env("SSH_AUTH_SOCK", &agent.socket)
                .env("SSH_ASKPASS", &ask)
                .env("SSH_ASKPASS_REQUIRE", "force")
                .stdin(Stdio::null())
                .output()
                .expect("ssh-add");
            assert!(done.status.success(), "{done:?}");
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
