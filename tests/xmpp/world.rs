//! What stands around a server: a foreign client, a proxy that can break, a small DNS server.

use super::{DOMAIN, LONG, Server};
use crate::support::wait_for;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

/// A Python with slixmpp; `None`, with a printed line, if there is none.
fn python() -> Option<String> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python").to_string();
    let found = std::env::var("PYTHON").into_iter().chain(["python3".to_string(), own]).find(|p| {
        let import = Command::new(p).args(["-c", "import slixmpp"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        import.is_ok_and(|s| s.success())
    });
    if found.is_none() {
        eprintln!("skipped: there is no Python with slixmpp (scripts/test installs it)");
    }
    found
}

/// A foreign client (phone.py).
pub struct Phone {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<serde_json::Value>,
    pub jid: String,
    heard: Vec<serde_json::Value>,
}

impl Phone {
    pub fn new(server: &Server, jid: &str, password: &str, priority: i8) -> Option<Phone> {
        Self::start(server, jid, password, priority, false)
    }

    /// One that behaves as dvcs-autosync's bot.
    pub fn bot(server: &Server, jid: &str, password: &str) -> Option<Phone> {
        Self::start(server, jid, password, 0, true)
    }

    fn start(server: &Server, jid: &str, password: &str, priority: i8, bot: bool) -> Option<Phone> {
        let ca = server.dir.path().join("certs/ca.crt");
        let mut p = Command::new(python()?);
        p.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/xmpp/phone.py")).args([jid, password, "127.0.0.1"]);
        p.arg(server.start.to_string()).arg(ca).arg(priority.to_string());
        if bot {
            p.env("BOT", "1");
        }
        let mut child = p.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (tx, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tx.send(serde_json::from_str(&line).unwrap());
            }
        });
        let stdin = child.stdin.take().unwrap();
        let mut phone = Phone { child, stdin, lines, jid: String::new(), heard: Vec::new() };
        phone.jid = phone.until("a login", |v| v["online"].is_string())["online"].as_str().unwrap().to_string();
        Some(phone)
    }

    pub fn say(&mut self, to: &str, body: &str) {
        writeln!(self.stdin, "{}", serde_json::json!({ "to": to, "body": body })).unwrap();
    }

    pub fn until(&mut self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let end = Instant::now() + LONG;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(v) => {
                    self.heard.push(v.clone());
                    if wanted(&v) {
                        return v;
                    }
                }
                Err(_) => panic!("no {what}; heard {:?}", self.heard),
            }
        }
    }

    /// The next chat with a body; its text.
    pub fn chat(&mut self) -> String {
        self.until("chat", |v| v["body"].as_str().is_some_and(|b| !b.is_empty()))["body"].as_str().unwrap().to_string()
    }

    /// All that was heard up to now.
    pub fn all(&mut self) -> String {
        self.heard.extend(self.lines.try_iter());
        format!("{:?}", self.heard)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Forwards to a port until it is told to break.
pub struct Proxy {
    pub port: u16,
    silent: Arc<AtomicBool>,
    swallowed: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub fn new(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silent, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let swallowed = Arc::new(AtomicUsize::new(0));
        let (quiet, kept, lost) = (silent.clone(), open.clone(), swallowed.clone());
        std::thread::spawn(move || {
            for a in listener.incoming().map_while(Result::ok) {
                let Ok(b) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                kept.lock().unwrap().extend([a.try_clone().unwrap(), b.try_clone().unwrap()]);
                for (mut from, mut into) in [(a.try_clone().unwrap(), b.try_clone().unwrap()), (b, a)] {
                    let (quiet, lost) = (quiet.clone(), lost.clone());
                    // The mode of the connection's beginning counts: a new connection works while an old one is dead.
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        let mut dead = false;
                        while let Ok(n) = from.read(&mut buffer)
                            && n > 0
                        {
                            dead |= quiet.load(Ordering::SeqCst);
                            lost.fetch_add(usize::from(dead), Ordering::SeqCst);
                            if !dead && into.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        if !dead {
                            let _ = into.shutdown(Shutdown::Both);
                        }
                    });
                }
            }
        });
        Proxy { port, silent, swallowed, open }
    }

    /// While `act` is done, and until something was lost, bytes vanish; a connection that has lost one stays dead.
    pub fn silence(&self, act: impl FnOnce()) {
        let before = self.swallowed.load(Ordering::SeqCst);
        self.silent.store(true, Ordering::SeqCst);
        act();
        wait_for("a loss", || self.swallowed.load(Ordering::SeqCst) != before);
        self.silent.store(false, Ordering::SeqCst);
    }

    /// Ends what is connected.
    pub fn cut(&self) {
        for s in self.open.lock().unwrap().drain(..) {
            let _ = s.shutdown(Shutdown::Both);
        }
    }
}

/// A record: priority, weight, port, target (`.` for none).
pub type Srv = (u16, u16, u16, &'static str);

/// A DNS server (RFC 1035) that knows SRV records of `xmpp.test` and nothing else.
pub fn dns(start: Vec<Srv>, direct: Vec<Srv>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..n];
            let (mut name, mut at) = (String::new(), 12);
            while query[at] != 0 {
                let len = usize::from(query[at]);
                name += &format!("{}.", String::from_utf8_lossy(&query[at + 1..at + 1 + len]));
                at += len + 1;
            }
            let records = match name.to_ascii_lowercase() {
                n if n == format!("_xmpp-client._tcp.{DOMAIN}.") => &start,
                n if n == format!("_xmpps-client._tcp.{DOMAIN}.") => &direct,
                n => panic!("asked for {n}"),
            };
            // The question alone, without what may follow it (EDNS).
            let question = &query[12..at + 5];
            let mut answer = query[..2].to_vec();
            // An answer; NXDOMAIN where there is nothing.
            answer.extend([0x81, if records.is_empty() { 0x83 } else { 0x80 }, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
            answer.extend(question);
            for (priority, weight, port, target) in records {
                let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|n| n.to_be_bytes()).collect();
                for label in target.split('.').filter(|l| !l.is_empty()) {
                    data.push(label.len() as u8);
                    data.extend(label.as_bytes());
                }
                data.push(0);
                answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
                answer.extend((data.len() as u16).to_be_bytes());
                answer.extend(data);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}
