//! `scripts/start` on a machine where everything is installed and built: no terminal, an empty home.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Home, PROGRAM, Ran, ran, wait_for};

fn start(project: &Path, home: &Home) -> Ran {
    let path = format!("{}:{}", project.join("bin").display(), std::env::var("PATH").unwrap());
    let mut c = Command::new(project.join("scripts/start"));
    ran(c.env_clear().env("HOME", home.dir.path()).env("PATH", path).env("TZ", "UTC").stdin(Stdio::null()).output().unwrap())
}

/// Ends the agent, however the test ends.
struct Ends<'a>(&'a Home);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(["stop"]).output();
    }
}

#[test]
fn from_nothing_to_a_running_vault_and_again() {
    let project = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in ["scripts", "bin", "target/release"] {
        std::fs::create_dir_all(project.path().join(dir)).unwrap();
    }
    for file in ["scripts/start", "scripts/lib.sh"] {
        std::fs::copy(here.join(file), project.path().join(file)).unwrap();
    }
    symlink(PROGRAM, project.path().join("target/release/sharelock")).unwrap();
    for (name, does) in [("cargo", "[ \"$1\" != --version ] || echo cargo 1.95.0"), ("dpkg-query", "echo install ok installed")] {
        let path = project.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let home = Home::new();
    let _ends = Ends(&home);
    let r = start(project.path(), &home);
    assert_eq!(r.code, 0, "{}{}", r.out, r.err);
    for line in [
        "made ~/share/welcome.txt, encrypted it, sent it to storage: in sync after ",
        "sharelock is running (",
        "  cp README.md ~/share/ && ~/.local/bin/sharelock status",
        "then: a second device and a real server, README.md \"Tour\"",
    ] {
        assert!(r.out.lines().any(|l| l.starts_with(line)), "{line}: {}", r.out);
    }
    for private in ["password", "recovery-key", "config.toml", "vault.key"] {
        let mode = std::fs::metadata(home.path(".config/sharelock").join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{private}");
    }
    // It runs, and does what it is there for.
    home.write("later", "x");
    let node = home.path(".local/share/sharelock/try.git/refs/heads/main");
    let before = std::fs::read(&node).unwrap();
    wait_for("the new file on the storage node", || std::fs::read(&node).unwrap() != before);
    let again = start(project.path(), &home);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.out.contains("\nsharelock is running already. try:\n"), "{}", again.out);
}
