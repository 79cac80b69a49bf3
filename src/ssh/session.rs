//! A connection: who the server is, who we are, and channels as streams. Every wait has a limit.

use super::config::{self, HostConfig};
use super::known_hosts::{self, KnownHosts};
use super::url::Url;
use super::{auth, hostkey, limit};
use crate::error::{Error, Kind, Remedy, Result};
use crate::git::Pulse;
use crate::path::printable;
use ssh2::{BlockDirections, HostKeyType, MethodType, Session};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Questions that only a person can answer. Without a terminal every answer is no.
pub trait Ask: Send {
    /// The host is new to this device: is this its key?
    fn host_key(&mut self, host: &str, kind: &str, fingerprint: &str) -> bool;
    /// The passphrase of a key file.
    fn passphrase(&mut self, key: &Path) -> Option<Zeroizing<String>>;
    /// The user's password at the server, to put this device's key there. `left`: tries that are left after a wrong one.
    fn password(&mut self, user_at_host: &str, left: Option<u32>) -> Option<Zeroizing<String>>;
    /// A question of the server itself (RFC 4256), as it puts it; `echo`: the answer may be seen.
    fn question(&mut self, text: &str, echo: bool) -> Option<Zeroizing<String>>;
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The user's home.
    pub home: PathBuf,
    /// This device's own key, tried after the user's.
    pub own_key: PathBuf,
    /// Limit for connecting and for logging in, in seconds.
    pub connect_timeout: u64,
    /// Limit for any answer, in seconds.
    pub idle_timeout: u64,
    /// The fingerprint that a person has read off the server: it decides instead of a question.
    pub host_key: Option<String>,
    /// The command that answers for a host key, for remedies; a fingerprint completes it.
    pub trust: String,
    /// What makes the repository if there is none.
    pub make: Option<Remedy>,
    /// Where the server's signs of life are seen.
    pub pulse: Pulse,
}

/// An open, logged-in connection.
pub struct Connection {
    session: Session,
    socket: Arc<TcpStream>,
    /// `host` or `[host]:port`.
    pub host: String,
    /// The SSH key that the server has taken: its file, or the agent's comment.
    pub key: Option<String>,
    pulse: Pulse,
}

/// What of the configuration a host's connection needs.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// Its name in known_hosts.
    pub(super) known_as: String,
    /// The user's files of host keys; new ones go to the first.
    pub(super) files: Vec<PathBuf>,
    pub(super) config: HostConfig,
}

impl Target {
    /// What is on file: the user's files, then the system's.
    pub(super) fn known(&self) -> KnownHosts {
        let mut files = self.files.clone();
        files.extend(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from));
        KnownHosts::read(&files)
    }
}

pub(super) fn target(url: &Url, s: &Settings) -> Result<Target> {
    let config = config::read(&s.home.join(".ssh/config"), &url.host, &s.home)?;
    let host = config.host_name.clone().unwrap_or_else(|| url.host.clone());
    let port = url.port.or(config.port).unwrap_or(22);
    let user = match url
        .user
        .clone()
        .or_else(|| config.user.clone())
        .or_else(|| std::env::var("USER").ok())
        .or_else(|| std::env::var("LOGNAME").ok())
    {
        Some(u) => u,
        None => return Err(Error::new(Kind::Usage, format!("which user on {host}? write user@{host}"))),
    };
    let known_as = match &config.host_key_alias {
        Some(alias) => alias.to_ascii_lowercase(),
        None => known_hosts::name_of(&host, port),
    };
    let files = match &config.known_hosts {
        None => vec![s.home.join(".ssh/known_hosts"), s.home.join(".ssh/known_hosts2")],
        Some(files) => files.clone(),
    };
    Ok(Target { host, port, user, known_as, files, config })
}

pub(super) fn unreachable(host: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unreachable, format!("{host} is not reachable: {why}"))
        .detail("nothing is lost: what could not be sent waits on this device")
}

/// The line broke, or was given up.
pub(super) fn lost(host: &str, pulse: &Pulse, why: impl std::fmt::Display) -> Error {
    if pulse.is_given_up() { unreachable(host, "it fell silent, and other work waited") } else { unreachable(host, why) }
}

/// Connects, checks the host key, logs in.
pub fn connect(url: &Url, s: &Settings, ask: &mut dyn Ask) -> Result<Connection> {
    let t = target(url, s)?;
    let (session, socket) = hostkey::meet(&t, s, ask)?;
    let key = auth::log_in(&session, &t, s, ask)?;
    let mut connection = Connection::new(session, socket, t.host, s);
    connection.key = key;
    Ok(connection)
}

fn millis(seconds: u64) -> u32 {
    u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX)
}

/// Connects and agrees on keys; who the server is was not checked yet. `only`: types of host keys, by commas; none but
/// these are taken.
pub(super) fn greet(t: &Target, s: &Settings, only: Option<&str>) -> Result<(Session, Arc<TcpStream>)> {
    let limit = Duration::from_secs(s.connect_timeout);
    let addresses = limit::addresses(&t.host, t.port, limit).map_err(|e| unreachable(&t.host, e))?;
    let stream = limit::connect(&addresses, limit).map_err(|e| unreachable(&t.host, e))?;
    stream.set_nodelay(true)?;
    keep_alive(&stream);
    // libssh2 waits by itself, with the session's limit; this one is for the banner.
    stream.set_read_timeout(Some(limit))?;
    let mut session = Session::new().map_err(|e| Error::failed("ssh").because(e))?;
    session.set_timeout(millis(s.connect_timeout));
    let kinds = t.known().kinds(&t.known_as);
    if let Some(only) = only {
        session.method_pref(MethodType::HostKey, only).map_err(|e| unreachable(&t.host, e))?;
    } else if !kinds.is_empty() {
        // What is on file first: a server with several keys must not look changed.
        let mut prefs: Vec<String> = Vec::new();
        for k in &kinds {
            if k == "ssh-rsa" {
                prefs.extend(["rsa-sha2-512".into(), "rsa-sha2-256".into(), "ssh-rsa".into()]);
            } else {
                prefs.push(k.clone());
            }
        }
        for k in ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"] {
            if !prefs.iter().any(|p| p == k) {
                prefs.push(k.into());
            }
        }
        let offered = session.supported_algs(MethodType::HostKey).unwrap_or_default();
        prefs.retain(|p| offered.is_empty() || offered.contains(&p.as_str()));
        session.method_pref(MethodType::HostKey, &prefs.join(",")).map_err(|e| unreachable(&t.host, e))?;
    }
    let socket = Arc::new(stream.try_clone()?);
    session.set_tcp_stream(stream);
    let line = Arc::downgrade(&socket);
    s.pulse.line(move || {
        if let Some(socket) = line.upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    });
    session.handshake().map_err(|e| unreachable(&t.host, e.message()))?;
    Ok((session, socket))
}

/// Lets the kernel notice a line that died silently, so that a kept connection is not waited for in vain.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(target_os = "linux")]
    {
        let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(30));
        let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10));
        let _ = sockopt::set_tcp_keepcnt(stream, 3);
    }
}

/// The key that the server shows, and its type.
pub(super) fn shown_key(session: &Session, host: &str) -> Result<(Vec<u8>, String)> {
    let (key, kind) = session.host_key().ok_or_else(|| unreachable(host, "it shows no host key"))?;
    let kind = known_hosts::kind_of(key).unwrap_or_else(|| match kind {
        HostKeyType::Rsa => "ssh-rsa".into(),
        _ => "unknown".into(),
    });
    Ok((key.to_vec(), kind))
}

/// The limit of a wait was reached.
pub(super) const TIMEOUT: ssh2::ErrorCode = ssh2::ErrorCode::Session(-9);

/// True if no other operation can go well on this session: SOCKET_SEND, TIMEOUT, SOCKET_DISCONNECT, SOCKET_RECV.
pub(super) fn is_broken(e: &ssh2::Error) -> bool {
    matches!(e.code(), ssh2::ErrorCode::Session(-7 | -9 | -13 | -43))
}

/// A command on the server, as a stream.
pub struct Channel {
    inner: ssh2::Channel,
    session: Session,
    socket: Arc<TcpStream>,
    host: String,
    pulse: Pulse,
    broken: bool,
    /// The start of standard error.
    said: Vec<u8>,
}

/// Most of a command's standard error that is kept.
const STDERR: usize = 4096;
/// Limit for SFTP to answer at all: some accounts take the request and say nothing, and other ways are left.
const SFTP_LIMIT: u32 = 10_000;
/// Most of a command's output that is thrown away before the channel is closed.
const REST: u64 = 1 << 20;

impl Connection {
    pub(super) fn new(session: Session, socket: Arc<TcpStream>, host: String, s: &Settings) -> Connection {
        session.set_timeout(millis(s.idle_timeout));
        s.pulse.alive();
        Connection { session, socket, host, key: None, pulse: s.pulse.clone() }
    }

    /// Starts a command.
    pub fn exec(&self, command: &str) -> Result<Channel> {
        let lost = |e: ssh2::Error| lost(&self.host, &self.pulse, e.message());
        let mut inner = self.session.channel_open("session", 1 << 20, 32_768, None).map_err(lost)?;
        inner.exec(command).map_err(lost)?;
        self.pulse.alive();
        let (session, socket) = (self.session.clone(), self.socket.clone());
        Ok(Channel { inner, session, socket, host: self.host.clone(), pulse: self.pulse.clone(), broken: false, said: Vec::new() })
    }

    /// SFTP, where the server has it.
    pub fn sftp(&self) -> Option<ssh2::Sftp> {
        let limit = self.session.timeout();
        self.session.set_timeout(SFTP_LIMIT.min(limit));
        let sftp = self.session.sftp().ok();
        self.session.set_timeout(limit);
        sftp
    }
}

impl Drop for Connection {
    /// Without the farewell: a server that hangs would be waited for.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Channel {
    /// Ends our side and gives exit status and the start of standard error.
    pub fn finish(&mut self) -> (i32, String) {
        let done = self.close();
        if done.is_err() {
            self.cut();
        }
        let status = if done.is_ok() { self.inner.exit_status().unwrap_or(-1) } else { -1 };
        (status, printable(self.said.trim_ascii()))
    }

    fn close(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // The other side may have ended already.
        let _ = self.inner.send_eof();
        if io::copy(&mut self.take(REST), &mut io::sink())? == REST {
            return Ok(self.inner.close()?);
        }
        Ok(self.inner.wait_close()?)
    }

    /// Ends our side, so that what waits for input ends too, and gives all of standard output, at most `limit` bytes, then
    /// as [`Channel::finish`].
    pub fn output(&mut self, limit: u64) -> (Vec<u8>, i32, String) {
        let mut out = Vec::new();
        let _ = self.inner.send_eof();
        let _ = self.take(limit).read_to_end(&mut out);
        let (status, text) = self.finish();
        (out, status, text)
    }

    /// Ends the whole connection: whatever still waits for the server returns at once.
    pub fn cut(&mut self) {
        self.broken = true;
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn lost(&mut self, e: io::Error) -> io::Error {
        // A channel that the other side has closed may still hold its last words; a line that broke has none.
        let timed_out = e.kind() == io::ErrorKind::TimedOut;
        if timed_out || ssh2::Error::last_session_error(&self.session).is_some_and(|e| is_broken(&e)) {
            self.cut();
        }
        lost(&self.host, &self.pulse, e).into()
    }

    fn alive(&self, done: io::Result<usize>) -> io::Result<usize> {
        if matches!(done, Ok(1..)) {
            self.pulse.alive();
        }
        done
    }
}

impl Read for Channel {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.session.set_blocking(false);
        let got = self.listen(buf);
        self.session.set_blocking(true);
        self.alive(got).map_err(|e| self.lost(e))
    }
}

impl Channel {
    /// Reads from both streams, for they share one window: standard error that nobody reads would stop the other.
    ///
    /// Each read takes in all packets that have come, also those of the other stream, the end, and the status; the socket
    /// is silent about these from then on. So standard output is asked last before the wait, and the wait is cut into
    /// pieces for what that last read took in of standard error.
    ///
    /// Both are asked for the same number of bytes. A read widens the window by what it wants; where that has to wait (while
    /// keys are exchanged anew, say), libssh2 sends the first read's number and reckons with the last one's, and throws
    /// away what comes beyond its own reckoning.
    fn listen(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let limit = Duration::from_millis(self.session.timeout().into());
        let mut words = [0u8; WORDS];
        let size = buf.len().min(WORDS);
        let (buf, words) = (&mut buf[..size], &mut words[..size]);
        loop {
            let left = limit.checked_sub(start.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
            match self.inner.stderr().read(words) {
                Ok(0) => {}
                Ok(n) => {
                    self.hear(&words[..n]);
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            match self.inner.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // What stands in the error stream at the end is kept for the message.
                Ok(0) if !buf.is_empty() => {
                    while let Ok(n @ 1..) = self.inner.stderr().read(words) {
                        self.hear(&words[..n]);
                    }
                    return Ok(0);
                }
                done => return done,
            }
            wait(&self.socket, self.session.block_directions(), left.min(LOOK_AGAIN))?;
        }
    }

    fn hear(&mut self, words: &[u8]) {
        self.pulse.alive();
        let room = STDERR.saturating_sub(self.said.len());
        self.said.extend_from_slice(&words[..words.len().min(room)]);
    }
}

/// Most bytes of either stream in one read.
const WORDS: usize = 16 * 1024;
/// The longest wait before both streams are asked again. In an exchange of keys libssh2 may ask to be called once more
/// without anything to come from the server.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Waits until the socket can do what libssh2 is waiting for, or the time is over.
fn wait(socket: &TcpStream, what: BlockDirections, limit: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let flags = match what {
        BlockDirections::Outbound => PollFlags::OUT,
        BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        BlockDirections::Inbound | BlockDirections::None => PollFlags::IN,
    };
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::new(socket, flags)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

impl Write for Channel {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let done = self.inner.write(buf);
        self.alive(done).map_err(|e| self.lost(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let done = self.inner.flush();
        done.map_err(|e| self.lost(e))
    }
}
