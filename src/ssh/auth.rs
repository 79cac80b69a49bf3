//! Logging in: this device's own key, the agent, and key files.

use super::hostkey;
use super::session::{self, Ask, Connection, Settings, Target, unreachable};
use super::url::Url;
use crate::error::{Error, Kind, Result};
use crate::path::printable;
use data_encoding::BASE64;
use ssh2::Session;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What has become of one try.
enum Tried {
    In,
    Refused,
}

/// Tries what there is, in this order: this device's own key (it exists only because no other was accepted), the
/// agent's keys (those that the configuration names first), then key files.
pub(super) fn log_in(session: &Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<()> {
    if let Err(e) = session.auth_methods(&t.user) {
        // A server that lets in without a key says so by an error.
        if session.authenticated() {
            return Ok(());
        }
        if session::is_broken(&e) {
            return Err(unreachable(&t.host, e.message()));
        }
    }
    let configured = &t.config.identity_files;
    let files: Vec<PathBuf> = match configured.is_empty() {
        true => ["id_ed25519", "id_ecdsa", "id_rsa"].map(|n| s.home.join(".ssh").join(n)).to_vec(),
        false => configured.clone(),
    };
    let mut l = LogIn { session, t, tried: Vec::new(), done: Vec::new(), hung_up: false };
    let all = |l: &mut LogIn<'_>, ask: &mut dyn Ask| -> Result<Tried> {
        if let Tried::In = l.file(&s.own_key, ask)? {
            return Ok(Tried::In);
        }
        let only = t.config.identities_only.unwrap_or(false);
        if let Tried::In = l.agent(&files, only)? {
            return Ok(Tried::In);
        }
        for file in &files {
            if let Tried::In = l.file(file, ask)? {
                return Ok(Tried::In);
            }
        }
        Ok(Tried::Refused)
    };
    match all(&mut l, ask) {
        Ok(Tried::In) => return Ok(()),
        Ok(Tried::Refused) => {}
        // A server hangs up after some keys that it does not take (MaxAuthTries).
        Err(_) if l.hung_up && l.tried.len() >= 2 => {}
        Err(e) => return Err(e),
    }
    let e = Error::new(Kind::Unreachable, format!("{} does not let {} in: no SSH key of this device is accepted", t.host, t.user));
    let e = match l.tried.is_empty() {
        true => e.detail("there is no key on this device and no agent"),
        false => e.detail(format!("tried: {}", l.tried.join(", "))),
    };
    Err(e.detail("nothing was sent"))
}

struct LogIn<'a> {
    session: &'a Session,
    t: &'a Target,
    /// What was refused, for the message.
    tried: Vec<String>,
    /// Public keys that were offered already.
    done: Vec<Vec<u8>>,
    /// The server ended the connection (it did not just fall silent).
    hung_up: bool,
}

impl LogIn<'_> {
    /// A refused key goes on to the next one; a broken line does not.
    fn still_there(&mut self, e: &ssh2::Error) -> Result<()> {
        self.hung_up = session::is_broken(e) && e.code() != session::TIMEOUT;
        if session::is_broken(e) { Err(unreachable(&self.t.host, e.message())) } else { Ok(()) }
    }

    /// The agent's keys; those of `files` first, and with `only` no others.
    fn agent(&mut self, files: &[PathBuf], only: bool) -> Result<Tried> {
        let socket = self.t.config.identity_agent.as_deref();
        if socket == Some("none") {
            return Ok(Tried::Refused);
        }
        let Ok(mut agent) = self.session.agent() else { return Ok(Tried::Refused) };
        if let Some(path) = socket.filter(|p| *p != "SSH_AUTH_SOCK")
            && agent.set_identity_path(Path::new(path)).is_err()
        {
            return Ok(Tried::Refused);
        }
        if agent.connect().is_err() || agent.list_identities().is_err() {
            return Ok(Tried::Refused);
        }
        let named: Vec<Vec<u8>> = files.iter().filter_map(|f| public_key(f)).collect();
        let mut ids = agent.identities().unwrap_or_default();
        ids.retain(|id| !only || named.iter().any(|k| k == id.blob()));
        ids.sort_by_key(|id| named.iter().position(|k| k == id.blob()).unwrap_or(usize::MAX));
        for id in ids {
            if self.done.iter().any(|k| k == id.blob()) {
                continue;
            }
            self.done.push(id.blob().to_vec());
            match agent.userauth(&self.t.user, &id) {
                Ok(()) => return Ok(Tried::In),
                Err(e) => {
                    self.tried.push(format!("agent ({})", printable(id.comment().as_bytes())));
                    self.still_there(&e)?;
                }
            }
        }
        Ok(Tried::Refused)
    }

    fn file(&mut self, file: &Path, ask: &mut dyn Ask) -> Result<Tried> {
        // `IdentityFile x.pub` names a key of the agent.
        if !file.is_file() || file.extension().is_some_and(|e| e == "pub") {
            return Ok(Tried::Refused);
        }
        if public_key(file).is_some_and(|k| self.done.contains(&k)) {
            return Ok(Tried::Refused);
        }
        let shown = file.display().to_string();
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(file)?.permissions().mode() & 0o077 != 0;
        let text = match std::fs::read_to_string(file) {
            Ok(text) if !open => Zeroizing::new(text),
            Ok(_) => {
                self.tried.push(format!("{shown} (not used: others can read it, chmod 600 mends that)"));
                return Ok(Tried::Refused);
            }
            Err(e) => {
                self.tried.push(format!("{shown} ({e})"));
                return Ok(Tried::Refused);
            }
        };
        // Known beforehand, so that a missing passphrase is not reported as a refused key.
        let pass = match is_encrypted(&text) {
            false => None,
            true => match ask.passphrase(file) {
                Some(pass) => Some(pass),
                None => {
                    self.tried.push(format!("{shown} (its passphrase was not given)"));
                    return Ok(Tried::Refused);
                }
            },
        };
        self.done.extend(public_key(file));
        match self.session.userauth_pubkey_memory(&self.t.user, None, &text, pass.as_ref().map(|p| p.as_str())) {
            Ok(()) => Ok(Tried::In),
            Err(e) => {
                self.tried.push(shown);
                self.still_there(&e)?;
                Ok(Tried::Refused)
            }
        }
    }
}

/// The public key of a key file: beside it, or in it.
fn public_key(file: &Path) -> Option<Vec<u8>> {
    beside(file).or_else(|| super::key::public_of(&Zeroizing::new(std::fs::read_to_string(file).ok()?)))
}

fn beside(file: &Path) -> Option<Vec<u8>> {
    let mut name = file.as_os_str().to_os_string();
    if file.extension().is_none_or(|e| e != "pub") {
        name.push(".pub");
    }
    let text = std::fs::read_to_string(PathBuf::from(name)).ok()?;
    BASE64.decode(text.split_ascii_whitespace().nth(1)?.as_bytes()).ok()
}

/// True if a private key file needs a passphrase.
fn is_encrypted(text: &str) -> bool {
    if text.contains("ENCRYPTED") {
        return true;
    }
    let body: String = text.lines().filter(|l| !l.starts_with("-----")).collect();
    let Ok(bytes) = BASE64.decode(body.as_bytes()) else { return false };
    // openssh-key-v1 NUL, then the cipher's name.
    bytes.strip_prefix(b"openssh-key-v1\0").is_some_and(|b| b.len() > 8 && &b[4..8] != b"none")
}

/// Logs in once by password, so that this device's key can be put on the server.
pub fn connect_by_password(url: &Url, s: &Settings, ask: &mut dyn Ask) -> Result<Option<Connection>> {
    let t = session::target(url, s)?;
    let (session, socket) = session::greet(&t, s)?;
    hostkey::check(&session, &t, s, ask)?;
    let methods = session.auth_methods(&t.user).unwrap_or_default().to_string();
    if !methods.split(',').any(|m| m == "password") {
        return Ok(None);
    }
    let Some(password) = ask.password(&format!("{}@{}", t.user, t.host)) else { return Ok(None) };
    session
        .userauth_password(&t.user, &password)
        .map_err(|e| Error::new(Kind::Unreachable, format!("{} does not take that password", t.host)).because(e.message().to_string()))?;
    Ok(Some(Connection::new(session, socket, t.host, s)))
}
