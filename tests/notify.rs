//! What a person is told on the desktop: a sentence, once, by the program that the desktop has for it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use support::{Home, wait_for};

/// An agent, ended by its pid.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_conflict_is_told_on_the_desktop_in_one_sentence() {
    let (a, b) = (Home::new(), Home::new());
    let node = a.path("node.git").display().to_string();
    a.write("letter", "dear");
    a.init(&node);
    b.join(&node, &a, "beta");
    let bin = a.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("notify-send"), "#!/bin/sh\nprintf '%s|' \"$@\" >>\"$HOME/told\"\n").unwrap();
    std::fs::set_permissions(bin.join("notify-send"), std::fs::Permissions::from_mode(0o755)).unwrap();
    a.write("letter", "dear A");
    b.write("letter", "dear B");
    b.ok(["sync"]);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = a.command(["run"]);
    let _agent = Ends(command.env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let told = || std::fs::read_to_string(a.path("told")).unwrap_or_default();
    wait_for("the notification", || !told().is_empty());
    // Further rounds find the conflict again, and it is not told again.
    a.ok(["sync"]);
    a.ok(["sync"]);
    let sentence = "letter was changed on two devices at once; both versions are kept";
    assert_eq!(told(), format!("--app-name=sharelock|--|sharelock|{sentence}|"));
}
