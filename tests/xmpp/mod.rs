//! Real XMPP servers on loopback, and devices that speak to them.
#![allow(dead_code, clippy::unwrap_used)]

pub mod world;

use crate::support::{free_port, wait_for};
use jid::BareJid;
use sharelock::xmpp::{Command, Config, Event, Trust, client};
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

pub const DOMAIN: &str = "xmpp.test";
/// A bound for what should take moments: a machine may be busy.
pub const LONG: Duration = Duration::from_secs(60);

fn run(program: &str, args: &[&str], dir: &Path) {
    let out = Process::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

pub fn there_is(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]).any(|d| d.join(program).is_file());
    if !here {
        eprintln!("skipped: {program} is not installed (scripts/test installs it)");
    }
    here
}

/// `certs/`: an authority (ca.crt) and the server's key and certificate by it (server.key, server.crt with the authority's behind it,
/// server.pem with all); `own.key`, `own.crt`: signed by nobody else.
pub fn certificates(dir: &Path) {
    let certs = dir.join("certs");
    fs::create_dir_all(&certs).unwrap();
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let openssl = |before: &[&str], after: &[&str]| run("openssl", &[before, &new, after].concat(), &certs);
    openssl(
        &["req", "-x509"],
        &["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=an authority for tests", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    );
    openssl(&["req"], &["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=xmpp.test"]);
    fs::write(certs.join("names"), "subjectAltName=DNS:xmpp.test\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n").unwrap();
    let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30"];
    run("openssl", &[&sign[..], &["-out", "leaf.crt", "-extfile", "names"]].concat(), &certs);
    openssl(
        &["req", "-x509"],
        &["-keyout", "own.key", "-out", "own.crt", "-subj", "/CN=xmpp.test", "-addext", "subjectAltName=DNS:xmpp.test"],
    );
    let text = |name: &str| fs::read_to_string(certs.join(name)).unwrap();
    fs::write(certs.join("server.crt"), text("leaf.crt") + &text("ca.crt")).unwrap();
    fs::write(certs.join("server.pem"), text("leaf.crt") + &text("ca.crt") + &text("server.key")).unwrap();
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Prosody,
    Ejabberd,
}

/// What is unusual about a server.
#[derive(Clone, Copy, Default)]
pub struct Oddities {
    /// Signed by nobody but itself.
    pub self_signed: bool,
    /// No TLS at all.
    pub no_tls: bool,
    /// No PEP.
    pub no_pep: bool,
}

/// A server that ends with this value.
pub struct Server {
    pub kind: Kind,
    pub dir: tempfile::TempDir,
    pub start: u16,
    pub direct: u16,
    http: u16,
    child: Option<Child>,
}

impl Server {
    /// `None`, with a printed line, if it is not installed.
    pub fn new(kind: Kind) -> Option<Server> {
        Self::odd(kind, Oddities::default())
    }

    pub fn odd(kind: Kind, odd: Oddities) -> Option<Server> {
        let installed = there_is("openssl")
            && match kind {
                Kind::Prosody => there_is("prosody"),
                Kind::Ejabberd => there_is("ejabberdctl") && there_is("erl"),
            };
        if !installed {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut s = Server { kind, dir, start: free_port(), direct: free_port(), http: free_port(), child: None };
        certificates(s.dir.path());
        let certs = s.dir.path().join("certs");
        if odd.self_signed {
            for end in ["key", "crt"] {
                fs::copy(certs.join(format!("own.{end}")), certs.join(format!("server.{end}"))).unwrap();
            }
        }
        let (template, name) = match kind {
            Kind::Prosody => (include_str!("prosody.cfg.lua"), "prosody.cfg.lua"),
            Kind::Ejabberd => (include_str!("ejabberd.yml"), "ejabberd.yml"),
        };
        let text = template
            .replace("@DIR@", &s.dir.path().display().to_string())
            .replace("@START@", &s.start.to_string())
            .replace("@DIRECT@", &s.direct.to_string())
            .replace("@HTTP@", &s.http.to_string())
            .replace("@REQUIRE@", if odd.no_tls { "false" } else { "true" })
            .replace("@DISABLED@", if odd.no_tls { ", \"tls\"" } else { "" })
            .replace("@ENABLED@", if odd.no_pep { "" } else { ", \"pep\"" });
        fs::write(s.dir.path().join(name), text).unwrap();
        for d in ["data", "spool", "log", "home"] {
            fs::create_dir_all(s.dir.path().join(d)).unwrap();
        }
        s.run();
        Some(s)
    }

    /// Starts it and waits until it listens.
    pub fn run(&mut self) {
        let d = self.dir.path().to_path_buf();
        let out = fs::File::create(d.join("stdout.log")).unwrap();
        let mut p = match self.kind {
            Kind::Prosody => {
                let mut p = Process::new("prosody");
                p.arg("--config").arg(d.join("prosody.cfg.lua")).arg("-F");
                p
            }
            Kind::Ejabberd => {
                let mut p = Process::new("erl");
                p.env("HOME", d.join("home")).env("EJABBERD_CONFIG_PATH", d.join("ejabberd.yml"));
                p.env("EJABBERD_LOG_PATH", d.join("log/ejabberd.log")).env("EJABBERD_PID_PATH", d.join("ejabberd.pid"));
                p.env("ERL_LIBS", erlang_libraries()).env("ERL_CRASH_DUMP", "/dev/null").env("ERL_CRASH_DUMP_BYTES", "0");
                // Without a name there is no distribution, hence no epmd.
                p.args(["-noinput", "+P", "50000", "+S", "1:1", "-mnesia", "dir"]).arg(format!("\"{}\"", d.join("spool").display()));
                p.args(["-ejabberd", "log_rate_limit", "0", "-s", "ejabberd"]).current_dir(d.join("spool"));
                p
            }
        };
        p.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        self.child = Some(p.spawn().unwrap());
        let port = if self.kind == Kind::Ejabberd { self.http } else { self.start };
        wait_for("the server", || {
            assert!(self.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it has ended");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        if self.kind == Kind::Ejabberd {
            wait_for("its answers", || self.api("status", "{}").contains("ejabberd"));
        }
    }

    /// Ends it, as a power cut would or in peace.
    pub fn halt(&mut self, gently: bool) {
        let Some(mut child) = self.child.take() else { return };
        if gently {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        } else {
            let _ = child.kill();
        }
        let _ = child.wait();
    }

    pub fn log(&self) -> String {
        ["stdout.log", "prosody.log", "log/ejabberd.log"]
            .iter()
            .filter_map(|f| fs::read_to_string(self.dir.path().join(f)).ok())
            .map(|t| t.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub fn log_has(&self, text: &str) -> bool {
        ["prosody.log", "log/ejabberd.log"].iter().any(|f| fs::read_to_string(self.dir.path().join(f)).is_ok_and(|t| t.contains(text)))
    }

    pub fn register(&self, user: &str, password: &str) {
        match self.kind {
            Kind::Prosody => {
                let config = self.dir.path().join("prosody.cfg.lua");
                run("prosodyctl", &["--config", config.to_str().unwrap(), "register", user, DOMAIN, password], self.dir.path());
            }
            Kind::Ejabberd => {
                let body = format!("{{\"user\":\"{user}\",\"host\":\"{DOMAIN}\",\"password\":\"{password}\"}}");
                let answer = self.api("register", &body);
                assert!(answer.contains("200 OK"), "{answer}");
            }
        }
    }

    fn api(&self, verb: &str, body: &str) -> String {
        let Ok(mut s) = TcpStream::connect(("127.0.0.1", self.http)) else { return String::new() };
        let head = format!(
            "POST /api/{verb} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let mut out = Vec::new();
        let _ = s.write_all(format!("{head}{body}").as_bytes());
        let _ = s.read_to_end(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("certs").join(name)).unwrap()
    }

    /// SHA-256 of the server's public key, by openssl.
    pub fn pin(&self, certificate: &str) -> [u8; 32] {
        let certs = self.dir.path().join("certs");
        run(
            "sh",
            &[
                "-c",
                &format!(
                    "openssl x509 -in {certificate} -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary > pin"
                ),
            ],
            &certs,
        );
        fs::read(certs.join("pin")).unwrap().try_into().unwrap()
    }

    /// A configuration that works.
    pub fn config(&self, user: &str, password: &str) -> Config {
        config(user, password, self.start, self.file("ca.crt"))
    }
}

/// A configuration for a server at this port that shows a certificate by this authority.
pub fn config(user: &str, password: &str, port: u16, authority: Vec<u8>) -> Config {
    Config {
        password: password.to_string().into(),
        host: Some("127.0.0.1".into()),
        port: Some(port),
        trust: Trust::Roots(authority),
        node: "urn:sharelock:node:5ca1ab1e".into(),
        ..Config::new(BareJid::new(&format!("{user}@{DOMAIN}")).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt(false);
        if std::thread::panicking() {
            eprintln!("--- the server's log:\n{}", self.log());
        }
    }
}

/// Where Debian has the applications of Erlang that ejabberd needs.
fn erlang_libraries() -> String {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|e| e.path());
    let here = places
        .filter(|p| fs::read_dir(p).into_iter().flatten().flatten().any(|e| e.file_name().to_string_lossy().starts_with("ejabberd-")));
    here.map(|p| p.display().to_string()).collect::<Vec<_>>().join(":")
}

/// A device: the task, and the agent's ends of its channels.
pub struct Device {
    pub say: Sender<Command>,
    events: Receiver<Event>,
    task: smol::Task<()>,
    /// All that was heard, for messages.
    pub heard: Vec<Event>,
}

impl Device {
    pub fn new(config: Config) -> Device {
        let (say, from_agent) = smol::channel::unbounded();
        let (to_agent, events) = smol::channel::unbounded();
        let task = smol::spawn(client::run(config, from_agent, to_agent));
        Device { say, events, task, heard: Vec::new() }
    }

    /// A device that is online.
    pub fn online(config: Config) -> Device {
        let mut d = Device::new(config);
        d.until("online", |e| matches!(e, Event::Online { .. }));
        d
    }

    pub fn send(&self, c: Command) {
        self.say.send_blocking(c).unwrap();
    }

    /// Events that wait to be heard.
    pub fn waiting(&self) -> usize {
        self.events.len()
    }

    pub fn within(&mut self, d: Duration) -> Option<Event> {
        let next = async { self.events.recv().await.ok() };
        let late = async {
            smol::Timer::after(d).await;
            None
        };
        let e = smol::block_on(next.or(late));
        self.heard.extend(e.clone());
        e
    }

    /// The next event that `wanted` wants; the others are passed over.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + LONG;
        loop {
            match self.within(end.saturating_duration_since(Instant::now())) {
                Some(e) if wanted(&e) => return e,
                Some(_) => {}
                None => panic!("no {what}; heard: {:#?}", self.heard),
            }
        }
    }

    pub fn notice(&mut self) -> Vec<u8> {
        match self.until("notice", |e| matches!(e, Event::Notice(_))) {
            Event::Notice(n) => n,
            _ => unreachable!(),
        }
    }

    pub fn refused(config: Config) -> (String, String) {
        let mut d = Device::new(config);
        match d.until("refusal", |e| matches!(e, Event::Refused { .. } | Event::Online { .. })) {
            Event::Refused { why, remedy } => (why, remedy),
            other => panic!("{other:?}"),
        }
    }

    /// Ends the task, which must end by itself.
    pub fn stop(self) {
        self.send(Command::Stop);
        let began = Instant::now();
        smol::block_on(self.task);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
