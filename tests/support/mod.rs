//! Homes, a real sshd and git for integration tests. Everything lies in temporary folders; processes end by pid.
#![allow(dead_code)] // Each test program uses its part of this.

mod agent;
#[cfg(feature = "ssh")]
pub mod client;
mod lines;
mod resident;
mod sshd;
mod terminal;

#[allow(unused_imports)]
pub use agent::Agent;
#[allow(unused_imports)]
pub use lines::{Line, Pass, between, dribbling, free_port, says_only};
#[allow(unused_imports)]
pub use resident::Resident;
#[allow(unused_imports)]
pub use sshd::{Passwords, Sshd, keygen};
#[allow(unused_imports)]
pub use terminal::Terminal;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sharelock");

/// A machine: a home of its own and nothing else of the environment.
pub struct Home {
    pub dir: tempfile::TempDir,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Home {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("pw"), "secret\n").expect("a password file");
        std::fs::create_dir(dir.path().join("share")).expect("a share");
        Home { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn share(&self, name: &str) -> PathBuf {
        self.path("share").join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.share(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.share(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A file with this content is there.
    pub fn has(&self, name: &str, content: &str) -> bool {
        std::fs::read_to_string(self.share(name)).is_ok_and(|c| c == content)
    }

    /// What `status` says to programs.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok(["status", "--json", "--files"])).expect("JSON")
    }

    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        let mut c = Command::new(PROGRAM);
        c.env_clear().env("HOME", self.dir.path()).env("USER", user()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        c.env("TZ", "UTC").arg("--password-file").arg(self.path("pw")).args(args).stdin(Stdio::null());
        c
    }

    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Ran {
        ran(self.command(args).output().expect("the program runs"))
    }

    /// Runs and expects success.
    pub fn ok<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        let r = self.run(args);
        assert_eq!(r.code, 0, "{}{}", r.out, r.err);
        r.out
    }

    /// A vault with a local bare repository as its node.
    pub fn init(&self, node: &str) {
        self.ok(["init", "--device", "alpha", "--remote", node, "--create", "--recovery-key-out", &self.path("rk").display().to_string()]);
    }

    pub fn join(&self, node: &str, first: &Home, device: &str) {
        self.ok(["join", node, "--device", device, "--recovery-key-file", &first.path("rk").display().to_string()]);
    }
}

pub fn user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout).expect("a name").trim().to_string()
}

pub fn ran(o: Output) -> Ran {
    Ran {
        code: o.status.code().unwrap_or_else(|| panic!("ended by {:?}: {}", o.status, String::from_utf8_lossy(&o.stderr))),
        out: String::from_utf8_lossy(&o.stdout).into_owned(),
        err: String::from_utf8_lossy(&o.stderr).into_owned(),
    }
}

/// git, without anybody's configuration.
pub fn git(dir: &Path, args: &[&str]) -> Ran {
    let mut c = Command::new("git");
    c.current_dir(dir).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", dir);
    for (k, v) in [("NAME", "t"), ("EMAIL", "t@localhost")] {
        c.env(format!("GIT_AUTHOR_{k}"), v).env(format!("GIT_COMMITTER_{k}"), v);
    }
    ran(c.output().expect("git is installed"))
}

/// git, expected to succeed.
pub fn git_ok(dir: &Path, args: &[&str]) -> String {
    let r = git(dir, args);
    assert_eq!(r.code, 0, "git {args:?}: {}{}", r.out, r.err);
    r.out
}

/// Relative paths of everything below a folder with content, link target, executable bit and (of files) mtime.
pub fn tree(dir: &Path) -> Vec<(PathBuf, String)> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mut out = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(&d).expect("a folder") {
            let e = e.expect("an entry");
            let m = e.path().symlink_metadata().expect("metadata");
            let rel = e.path().strip_prefix(dir).expect("below").to_path_buf();
            if rel == Path::new(".sharelock-root") {
                continue;
            }
            let what = if m.is_dir() {
                todo.push(e.path());
                "dir".into()
            } else if m.is_symlink() {
                format!("link {:?}", std::fs::read_link(e.path()).expect("a link"))
            } else {
                let bytes = std::fs::read(e.path()).expect("a file");
                let sum = bytes.iter().fold(0u64, |h, b| h.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(*b)));
                format!("{} {sum:x} {} {}.{}", bytes.len(), m.permissions().mode() & 0o100 != 0, m.mtime(), m.mtime_nsec())
            };
            out.push((rel, what));
        }
    }
    out.sort();
    out
}

/// Fails with the first differences of two trees.
pub fn assert_equal_trees(a: &Path, b: &Path) {
    let (a, b) = (tree(a), tree(b));
    let only = |x: &[(PathBuf, String)], y: &[(PathBuf, String)]| -> Vec<String> {
        x.iter().filter(|e| !y.contains(e)).take(5).map(|e| format!("{e:?}")).collect()
    };
    assert!(a == b, "only in the first: {:#?}\nonly in the second: {:#?}", only(&a, &b), only(&b, &a));
}

/// Waits until a condition holds; fails after a generous time.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So many bytes that do not compress, others for each seed.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Randomness that is none, for what must come out the same.
pub struct Fixed;

impl sharelock::clock::Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> sharelock::error::Result<()> {
        out.fill(0x42);
        Ok(())
    }
}
