//! A connection: who the server is, who we are, and channels as streams. Every wait has a limit.

use super::config::{self, HostConfig};
use super::known_hosts::{self, Answer, KnownHosts};
use super::url::Url;
use crate::error::{Error, Kind, Result};
use crate::path::printable;
use ssh2::{HostKeyType, MethodType, Session};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Questions that only a person can answer. Without a terminal every answer is no.
pub trait Ask {
    /// The host is new to this device: is this its key?
    fn host_key(&mut self, host: &str, kind: &str, fingerprint: &str) -> bool;
    /// The passphrase of a key file.
    fn passphrase(&mut self, key: &Path) -> Option<Zeroizing<String>>;
    /// The user's password at the server, once, to put this device's key there.
    fn password(&mut self, user_at_host: &str) -> Option<Zeroizing<String>>;
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
    /// How the storage node is called in remedies.
    pub node: String,
}

/// An open, logged-in connection.
pub struct Connection {
    session: Session,
    /// `host` or `[host]:port`.
    pub host: String,
}

/// What of the configuration a host's connection needs.
struct Target {
    host: String,
    port: u16,
    user: String,
    /// Its name in known_hosts.
    known_as: String,
    files: Vec<PathBuf>,
    config: HostConfig,
}

fn target(url: &Url, s: &Settings) -> Result<Target> {
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
    let files = match config.known_hosts.is_empty() {
        true => vec![s.home.join(".ssh/known_hosts"), s.home.join(".ssh/known_hosts2"), PathBuf::from("/etc/ssh/ssh_known_hosts")],
        false => config.known_hosts.clone(),
    };
    Ok(Target { host, port, user, known_as, files, config })
}

fn unreachable(host: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unreachable, format!("{host} is not reachable: {why}"))
        .detail("nothing is lost: what could not be sent waits on this device")
}

/// Connects, checks the host key, logs in.
pub fn connect(url: &Url, s: &Settings, ask: &mut dyn Ask) -> Result<Connection> {
    let t = target(url, s)?;
    let mut session = greet(&t, s)?;
    check_host(&mut session, &t, s, ask)?;
    log_in(&session, &t, s, ask)?;
    session.set_timeout(millis(s.idle_timeout));
    session.set_keepalive(true, 60);
    Ok(Connection { session, host: t.host })
}

fn millis(seconds: u64) -> u32 {
    u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX)
}

fn greet(t: &Target, s: &Settings) -> Result<Session> {
    let limit = Duration::from_secs(s.connect_timeout);
    let addresses = (t.host.as_str(), t.port).to_socket_addrs().map_err(|e| unreachable(&t.host, e))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let mut stream = None;
    for a in addresses {
        match TcpStream::connect_timeout(&a, limit) {
            Ok(s) => {
                stream = Some(s);
                break;
            }
            Err(e) => last = e,
        }
    }
    let stream = stream.ok_or_else(|| unreachable(&t.host, last))?;
    stream.set_nodelay(true)?;
    // libssh2 waits by itself, with the session's limit; this one is for the banner.
    stream.set_read_timeout(Some(limit))?;
    let mut session = Session::new().map_err(|e| Error::failed("ssh").because(e))?;
    session.set_timeout(millis(s.connect_timeout));
    let known = KnownHosts::read(&t.files);
    let kinds = known.kinds(&t.known_as);
    if !kinds.is_empty() {
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
    session.set_tcp_stream(stream);
    session.handshake().map_err(|e| unreachable(&t.host, e.message()))?;
    Ok(session)
}

fn shown_key(session: &Session, host: &str) -> Result<(Vec<u8>, String)> {
    let (key, kind) = session.host_key().ok_or_else(|| unreachable(host, "it shows no host key"))?;
    let kind = known_hosts::kind_of(key).unwrap_or_else(|| match kind {
        HostKeyType::Rsa => "ssh-rsa".into(),
        _ => "unknown".into(),
    });
    Ok((key.to_vec(), kind))
}

fn check_host(session: &mut Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<()> {
    let (key, kind) = shown_key(session, &t.host)?;
    let now = known_hosts::fingerprint(&key);
    match KnownHosts::read(&t.files).ask(&t.known_as, &key) {
        Answer::Known => Ok(()),
        Answer::Unknown => {
            if ask.host_key(&t.host, kind.trim_start_matches("ssh-"), &now) {
                return remember(&t.files[0], &t.known_as, &kind, &key);
            }
            Err(Error::new(Kind::Unreachable, format!("not connected: {} is new to this device", t.host))
                .detail(format!("its {} key is", kind.trim_start_matches("ssh-")))
                .detail(format!("  {now}"))
                .detail("nothing was sent")
                .remedy("the server shows its own with", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
                .remedy("if they are the same", format!("sharelock remote trust {} {now}", s.node)))
        }
        Answer::Changed { fingerprint, file, line } => {
            Err(Error::new(Kind::Unreachable, format!("not connected: {} has another host key than on file", t.host))
                .detail(format!("on file   {fingerprint}"))
                .detail(format!("          ({}:{line})", file.display()))
                .detail(format!("now       {now}"))
                .detail("a reinstalled server looks like this, an attack too. nothing was sent")
                .remedy("look on the server", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
                .remedy("with what it says there", format!("sharelock remote trust {} SHA256:...", s.node)))
        }
        Answer::Revoked { file, line } => Err(Error::new(Kind::Unreachable, format!("not connected: the key of {} was revoked", t.host))
            .detail(format!("by {}:{line}", file.display()))
            .detail("nothing was sent")),
    }
}

fn remember(file: &Path, host: &str, kind: &str, key: &[u8]) -> Result<()> {
    if let Some(dir) = file.parent() {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let old = std::fs::read(file).unwrap_or_default();
    let mut f = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    if !old.is_empty() && !old.ends_with(b"\n") {
        f.write_all(b"\n")?;
    }
    f.write_all(known_hosts::line(host, kind, key).as_bytes())?;
    Ok(())
}

/// Puts the key that the server shows on file, in place of others, if its fingerprint is the one given.
pub fn trust(url: &Url, s: &Settings, wanted: &str) -> Result<()> {
    let t = target(url, s)?;
    let session = greet(&t, s)?;
    let (key, kind) = shown_key(&session, &t.host)?;
    let now = known_hosts::fingerprint(&key);
    if now != wanted {
        return Err(Error::new(Kind::Unreachable, format!("{} shows another key than that", t.host))
            .detail(format!("given  {}", printable(wanted.as_bytes())))
            .detail(format!("shown  {now}"))
            .detail("nothing was changed"));
    }
    let known = KnownHosts::read(&t.files);
    for file in &t.files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let without = known.without(file, &t.known_as, &text);
        if without != text {
            let temporary = file.with_extension("sharelock-tmp");
            std::fs::write(&temporary, without)?;
            std::fs::rename(&temporary, file)?;
        }
    }
    remember(&t.files[0], &t.known_as, &kind, &key)
}

fn log_in(session: &Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<()> {
    let mut tried: Vec<String> = Vec::new();
    if session.auth_methods(&t.user).is_err() && session.authenticated() {
        return Ok(());
    }
    // Keys named in the configuration first, then the agent's, then the default ones, then this device's own.
    let only = t.config.identities_only.unwrap_or(false);
    for file in &t.config.identity_files {
        if key_file(session, t, file, ask, &mut tried)? {
            return Ok(());
        }
    }
    if !only && t.config.identity_agent.as_deref() != Some("none") && agent(session, t, &mut tried)? {
        return Ok(());
    }
    if t.config.identity_files.is_empty() {
        for name in ["id_ed25519", "id_ecdsa", "id_rsa"] {
            if key_file(session, t, &s.home.join(".ssh").join(name), ask, &mut tried)? {
                return Ok(());
            }
        }
    }
    if key_file(session, t, &s.own_key, ask, &mut tried)? {
        return Ok(());
    }
    let e = Error::new(Kind::Unreachable, format!("{} does not let {} in: no SSH key of this device is accepted", t.host, t.user));
    let e = match tried.is_empty() {
        true => e.detail("there is no key on this device and no agent"),
        false => e.detail(format!("tried: {}", tried.join(", "))),
    };
    Err(e.detail("nothing was sent"))
}

fn agent(session: &Session, t: &Target, tried: &mut Vec<String>) -> Result<bool> {
    let Ok(mut agent) = session.agent() else { return Ok(false) };
    if let Some(path) = t.config.identity_agent.as_deref().filter(|p| *p != "SSH_AUTH_SOCK" && !p.starts_with('$'))
        && agent.set_identity_path(Path::new(path)).is_err()
    {
        return Ok(false);
    }
    if agent.connect().is_err() || agent.list_identities().is_err() {
        return Ok(false);
    }
    for id in agent.identities().unwrap_or_default() {
        match agent.userauth(&t.user, &id) {
            Ok(()) => return Ok(true),
            Err(e) => {
                still_there(session, t, &e)?;
                tried.push(format!("agent ({})", printable(id.comment().as_bytes())));
            }
        }
    }
    Ok(false)
}

/// A refused key goes on to the next one; a broken line does not.
fn still_there(_: &Session, t: &Target, e: &ssh2::Error) -> Result<()> {
    const BROKEN: [i32; 4] = [-7, -9, -13, -43]; // SOCKET_SEND, TIMEOUT, SOCKET_DISCONNECT, SOCKET_RECV
    match e.code() {
        ssh2::ErrorCode::Session(c) if BROKEN.contains(&c) => Err(unreachable(&t.host, e.message())),
        _ => Ok(()),
    }
}

fn key_file(session: &Session, t: &Target, file: &Path, ask: &mut dyn Ask, tried: &mut Vec<String>) -> Result<bool> {
    if !file.is_file() {
        return Ok(false);
    }
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        return Err(Error::new(Kind::Unreachable, format!("{} can be read by others and is not used", file.display()))
            .remedy("do", format!("chmod 600 {}", file.display())));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).unwrap_or_default());
    match session.userauth_pubkey_memory(&t.user, None, &text, None) {
        Ok(()) => return Ok(true),
        Err(e) => still_there(session, t, &e)?,
    }
    if is_encrypted(&text) {
        if let Some(pass) = ask.passphrase(file) {
            match session.userauth_pubkey_memory(&t.user, None, &text, Some(&pass)) {
                Ok(()) => return Ok(true),
                Err(e) => still_there(session, t, &e)?,
            }
        } else {
            tried.push(format!("{} (its passphrase was not given)", file.display()));
            return Ok(false);
        }
    }
    tried.push(file.display().to_string());
    Ok(false)
}

/// True if a private key file needs a passphrase.
fn is_encrypted(text: &str) -> bool {
    if text.contains("ENCRYPTED") {
        return true;
    }
    let body: String = text.lines().filter(|l| !l.starts_with("-----")).collect();
    let Ok(bytes) = data_encoding::BASE64.decode(body.as_bytes()) else { return false };
    // openssh-key-v1 NUL, then the cipher's name.
    bytes.strip_prefix(b"openssh-key-v1\0").is_some_and(|b| b.len() > 8 && &b[4..8] != b"none")
}

/// Logs in once by password, so that this device's key can be put on the server.
pub fn connect_by_password(url: &Url, s: &Settings, ask: &mut dyn Ask) -> Result<Option<Connection>> {
    let t = target(url, s)?;
    let mut session = greet(&t, s)?;
    check_host(&mut session, &t, s, ask)?;
    let methods = session.auth_methods(&t.user).unwrap_or_default().to_string();
    if !methods.split(',').any(|m| m == "password") {
        return Ok(None);
    }
    let Some(password) = ask.password(&format!("{}@{}", t.user, t.host)) else { return Ok(None) };
    session
        .userauth_password(&t.user, &password)
        .map_err(|e| Error::new(Kind::Unreachable, format!("{} does not take that password", t.host)).because(e.message().to_string()))?;
    Ok(Some(Connection { session, host: t.host }))
}

/// A command on the server, as a stream.
pub struct Channel {
    inner: ssh2::Channel,
    host: String,
}

impl Connection {
    /// Starts a command.
    pub fn exec(&self, command: &str) -> Result<Channel> {
        let lost = |e: ssh2::Error| unreachable(&self.host, e.message());
        let mut inner = self.session.channel_open("session", 1 << 20, 32_768, None).map_err(lost)?;
        inner.exec(command).map_err(lost)?;
        Ok(Channel { inner, host: self.host.clone() })
    }

    /// SFTP, where the server has it.
    pub fn sftp(&self) -> Option<ssh2::Sftp> {
        self.session.sftp().ok()
    }
}

impl Channel {
    /// Ends our side and gives exit status and the start of standard error.
    pub fn finish(&mut self) -> (i32, String) {
        let _ = self.inner.send_eof();
        let mut rest = Vec::new();
        let _ = (&mut self.inner).take(64 * 1024).read_to_end(&mut rest);
        let mut text = Vec::new();
        let _ = self.inner.stderr().take(4096).read_to_end(&mut text);
        let _ = self.inner.wait_close();
        (self.inner.exit_status().unwrap_or(-1), printable(text.trim_ascii()))
    }

    /// All of standard output, at most `limit` bytes, then as [`Channel::finish`].
    pub fn output(&mut self, limit: u64) -> (Vec<u8>, i32, String) {
        let mut out = Vec::new();
        let _ = (&mut self.inner).take(limit).read_to_end(&mut out);
        let (status, text) = self.finish();
        (out, status, text)
    }

    fn lost(&self, e: io::Error) -> io::Error {
        unreachable(&self.host, e).into()
    }
}

impl Read for Channel {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|e| self.lost(e))
    }
}

impl Write for Channel {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf).map_err(|e| self.lost(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|e| self.lost(e))
    }
}
