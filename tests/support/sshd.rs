//! A real sshd, and homes that it lets in.

use super::{Home, free_port, user, wait_for};
use std::ffi::OsStr;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A real sshd on a free loopback port, ended by its pid.
pub struct Sshd {
    pub dir: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    /// With host keys of these types and further lines of configuration (they come first, so they count).
    pub fn start(kinds: &[&str], more: &str) -> Sshd {
        Sshd::started(kinds, more, &[])
    }

    /// Started by another program, which must become it.
    pub fn started(kinds: &[&str], more: &str, by: &[&OsStr]) -> Sshd {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut config = format!(
            "{more}\nListenAddress 127.0.0.1\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n",
            dir.path().join("authorized_keys").display()
        );
        for kind in kinds {
            let key = dir.path().join(format!("host_{kind}"));
            keygen(kind, &key, "");
            config.push_str(&format!("HostKey {}\n", key.display()));
        }
        std::fs::write(dir.path().join("authorized_keys"), "").expect("a file");
        let _ = std::fs::create_dir_all("/run/sshd");
        let file = dir.path().join("sshd_config");
        // A port that was free a moment ago may be taken: then another one.
        for _ in 0..5 {
            let port = free_port();
            std::fs::write(&file, format!("Port {port}\n{config}")).expect("a file");
            if let Some(child) = listening(&dir.path().join("log"), by, &file, port) {
                return Sshd { dir, port, child };
            }
        }
        panic!("sshd does not start: {}", std::fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    /// The fingerprint of its host key of a type, as its own ssh-keygen shows it.
    pub fn fingerprint(&self, kind: &str) -> String {
        let out = Command::new("ssh-keygen").arg("-lf").arg(self.dir.path().join(format!("host_{kind}.pub"))).output().expect("ssh-keygen");
        String::from_utf8(out.stdout).expect("text").split(' ').nth(1).expect("a fingerprint").to_string()
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
        self.url_by(self.port, path)
    }

    /// The same by way of another port.
    pub fn url_by(&self, port: u16, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{port}{}", user(), path.display())
    }

    /// The line for known_hosts by way of another port.
    pub fn known_by(&self, port: u16, kind: &str) -> String {
        self.known(kind).replace(&format!("]:{} ", self.port), &format!("]:{port} "))
    }
}

/// An account with a password of its own, without a change to the machine: only sshd sees it, in a mount namespace.
pub struct Passwords {
    pub sshd: Sshd,
    /// The account's home.
    pub home: tempfile::TempDir,
}

impl Passwords {
    /// The password that it takes.
    pub const RIGHT: &str = "let me in";

    /// An sshd that takes it as `method` (a line of its configuration) says; `None`, with the reason printed, where nobody
    /// may make such an account.
    pub fn start(method: &str) -> Option<Passwords> {
        let home = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| home.path().join(name);
        let replaced = |file: &str, line: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let rest = text.lines().filter(|l| !l.starts_with("root:")).map(|l| format!("{l}\n"));
            std::iter::once(format!("{line}\n")).chain(rest).collect::<String>()
        };
        let hash = "$6$sharelock$NEQcSQeaBgBMfNpsDTP5SRTOdw3mfe96WJcdxhNnH.N/T/xvhhTQAys99CeCxeAdvRWLCoyyxf/RyFN/t10/I.";
        let me = format!("root:x:0:0:root:{}:/bin/sh", home.path().display());
        std::fs::write(at("passwd"), replaced("/etc/passwd", &me)).expect("a file");
        std::fs::write(at("shadow"), replaced("/etc/shadow", &format!("root:{hash}:19000:0:99999:7:::"))).expect("a file");
        std::fs::create_dir(at("pam.d")).expect("a folder");
        for name in ["sshd", "other"] {
            let rules = "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n";
            std::fs::write(at("pam.d").join(name), rules).expect("a file");
        }
        let mounts = "for f in passwd shadow pam.d; do mount --bind \"$0/$f\" /etc/$f || exit 97; done; exec \"$@\"";
        let by = ["unshare", "-m", "sh", "-c", mounts].map(OsStr::new).into_iter().chain([home.path().as_os_str()]).collect::<Vec<_>>();
        let tried = Command::new(by[0]).args(&by[1..]).arg("true").output();
        match tried {
            Ok(o) if o.status.success() => {}
            other => {
                eprintln!("skipped: an account with a password of its own needs root and unshare(1) -m: {other:?}");
                return None;
            }
        }
        let keys = format!("AuthorizedKeysFile {}\n{method}", at(".ssh/authorized_keys").display());
        let sshd = Sshd::started(&["ed25519"], &keys, &by);
        Some(Passwords { sshd, home })
    }
}

/// Starts sshd and waits until it listens; `None` if it has ended instead.
fn listening(log: &Path, by: &[&OsStr], config: &Path, port: u16) -> Option<Child> {
    let program =
        ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|p| Path::new(p).exists()).expect("sshd: apt-get install openssh-server");
    let words: Vec<&OsStr> = by.iter().copied().chain([program, "-D", "-e", "-f"].map(OsStr::new)).collect();
    let log = std::fs::File::create(log).expect("a log");
    let mut child = Command::new(words[0]).args(&words[1..]).arg(config).stderr(log).stdin(Stdio::null()).spawn().expect("sshd starts");
    let mut alive = true;
    wait_for("sshd", || {
        alive = child.try_wait().expect("a child").is_none();
        !alive || TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    // Another program may listen there: ours must still be alive.
    (alive && child.try_wait().expect("a child").is_none()).then_some(child)
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
    /// Puts the server's key on file here.
    pub fn knows(&self, sshd: &Sshd) {
        std::fs::create_dir_all(self.path(".ssh")).expect("a folder");
        std::fs::write(self.path(".ssh/known_hosts"), sshd.known("ed25519")).expect("a file");
    }

    /// Gives this home a key that the server accepts, and the server's key on file.
    pub fn let_in(&self, sshd: &Sshd) {
        self.let_in_with(sshd, "");
    }

    /// The same with options before the key (`restrict,command="..."`).
    pub fn let_in_with(&self, sshd: &Sshd, options: &str) {
        self.knows(sshd);
        let key = self.path(".ssh/id_ed25519");
        keygen("ed25519", &key, "");
        sshd.authorize(&key.with_extension("pub"), options);
    }
}
