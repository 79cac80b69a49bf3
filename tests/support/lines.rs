//! Lines between a client and a server that a test can make bad.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// What becomes of bytes that came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// They go on.
    On,
    /// They and all later ones are taken and go nowhere; the line stays open.
    Swallow,
    /// Nothing more is taken; the line stays open.
    Hold,
    /// The line breaks.
    Cut,
}

/// A port that leads to a server.
pub struct Line {
    pub port: u16,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    over: Arc<(Mutex<bool>, Condvar)>,
}

impl Line {
    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.clients.lock().expect("the list").len()
    }

    /// Breaks all of them.
    pub fn cut(&self) {
        for c in &*self.clients.lock().expect("the list") {
            let _ = c.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        *self.over.0.lock().expect("the end") = true;
        self.over.1.notify_all();
        self.cut();
    }
}

/// A line whose `rule` is asked about each piece: is it the client's, and how many bytes of the connection have come with
/// it, both ways together.
pub fn between(server: u16, rule: impl Fn(bool, u64) -> Pass + Send + Sync + 'static) -> Line {
    let rule = Arc::new(rule);
    open(server, move |from, to, is_client, total, over| {
        let mut buffer = [0u8; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            match rule(is_client, total.fetch_add(n as u64, Ordering::SeqCst) + n as u64) {
                Pass::On if to.write_all(&buffer[..n]).is_ok() => {}
                Pass::Swallow => {
                    let _ = std::io::copy(from, &mut std::io::sink());
                    return;
                }
                Pass::Hold => {
                    let end = over.0.lock().expect("the end");
                    let _end = over.1.wait_while(end, |over| !*over).expect("the end");
                    return;
                }
                Pass::Cut => {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
                Pass::On => return,
            }
        }
    })
}

/// A line that gives on byte by byte what the server says: the client is woken in the middle of everything.
pub fn dribbling(server: u16) -> Line {
    open(server, move |from, to, is_client, _, _| {
        if is_client {
            let _ = std::io::copy(from, to);
            return;
        }
        let _ = to.set_nodelay(true);
        let mut buffer = [0u8; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if buffer[..n].iter().any(|byte| to.write_all(&[*byte]).is_err()) {
                return;
            }
        }
    })
}

/// Takes connections, says `words`, and nothing more.
pub fn says_only(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let here = listener.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut client in listener.incoming().flatten() {
            let _ = client.write_all(words);
            kept.push(client);
        }
    });
    here
}

/// A port that nobody listens at: each once in this program, and below those that the kernel gives to outgoing connections, or two
/// servers of two tests would share one.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        let port = 10_000 + u16::from_le_bytes(random) % 22_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port) {
            return port;
        }
    }
}

type End = (Mutex<bool>, Condvar);

fn open<F>(server: u16, carry: F) -> Line
where
    F: Fn(&mut TcpStream, &mut TcpStream, bool, &AtomicU64, &End) + Send + Sync + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let line = Line { port: listener.local_addr().expect("a port").port(), clients: Arc::default(), over: Arc::default() };
    let (clients, over, carry) = (line.clients.clone(), line.over.clone(), Arc::new(carry));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
            let copy = |s: &TcpStream| s.try_clone().expect("a descriptor");
            clients.lock().expect("the list").push(copy(&client));
            let total = Arc::new(AtomicU64::new(0));
            for (mut from, mut to, is_client) in [(copy(&client), copy(&server), true), (server, client, false)] {
                let (total, over, carry) = (total.clone(), over.clone(), carry.clone());
                std::thread::spawn(move || {
                    carry(&mut from, &mut to, is_client, &total, &over);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    line
}
