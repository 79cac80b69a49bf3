//! Homes, a real sshd and git for integration tests. Everything lies in temporary folders; processes end by pid.
#![allow(dead_code)] // Each test program uses its part of this.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
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

/// A free port on the loopback interface.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Waits until a condition holds; fails after a generous time.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A real sshd on a free loopback port, ended by its pid.
pub struct Sshd {
    pub dir: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    /// With host keys of these types and further lines of configuration.
    pub fn start(kinds: &[&str], more: &str) -> Sshd {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n{more}\n",
            dir.path().join("authorized_keys").display()
        );
        for kind in kinds {
            let key = dir.path().join(format!("host_{kind}"));
            keygen(kind, &key, "");
            config.push_str(&format!("HostKey {}\n", key.display()));
        }
        std::fs::write(dir.path().join("authorized_keys"), "").expect("a file");
        std::fs::write(dir.path().join("sshd_config"), config).expect("a file");
        let _ = std::fs::create_dir_all("/run/sshd");
        let program =
            ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|p| Path::new(p).exists()).expect("sshd: apt-get install openssh-server");
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(dir.path().join("sshd_config"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("sshd starts");
        let s = Sshd { dir, port, child };
        wait_for("sshd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        s
    }

    /// Lets a key in; `options` stand before it (`command="..."`).
    pub fn authorize(&self, public: &Path, options: &str) {
        use std::io::Write;
        let key = std::fs::read_to_string(public).expect("a public key");
        let mut f = std::fs::OpenOptions::new().append(true).open(self.dir.path().join("authorized_keys")).expect("the file");
        writeln!(f, "{options}{}{}", if options.is_empty() { "" } else { " " }, key.trim()).expect("written");
    }

    /// The line of its host key of a type for known_hosts.
    pub fn known(&self, kind: &str) -> String {
        let public = std::fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).expect("a host key");
        let mut w = public.split_whitespace();
        format!("[127.0.0.1]:{} {} {}\n", self.port, w.next().expect("type"), w.next().expect("key"))
    }

    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", user(), self.port, path.display())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn keygen(kind: &str, path: &Path, passphrase: &str) {
    let s = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(path).status().expect("ssh-keygen");
    assert!(s.success());
}

impl Home {
    /// Gives this home a key that the server accepts, and the server's key on file.
    pub fn let_in(&self, sshd: &Sshd) {
        let ssh = self.path(".ssh");
        std::fs::create_dir_all(&ssh).expect("a folder");
        keygen("ed25519", &ssh.join("id_ed25519"), "");
        sshd.authorize(&ssh.join("id_ed25519.pub"), "");
        std::fs::write(ssh.join("known_hosts"), sshd.known("ed25519")).expect("a file");
    }
}
