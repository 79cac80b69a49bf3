//! Logging in: this device's own key, the agent, and key files.

use super::hostkey;
use super::limit;
use super::session::{self, Ask, Connection, Settings, Target, unreachable};
use super::url::Url;
use crate::error::{Error, Kind, Result};
use crate::path::printable;
use data_encoding::BASE64;
use ssh2::{KeyboardInteractivePrompt, Prompt, Session};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// What has become of one try.
enum Tried {
    /// With this key, as it is shown.
    In(String),
    Refused,
}

/// Tries what there is, in this order: this device's own key (it exists only because no other was accepted), the
/// agent's keys (those that the configuration names first), then key files. Gives the key that was taken; `None` if the
/// server asks for none.
pub(super) fn log_in(session: &Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<Option<String>> {
    if let Err(e) = session.auth_methods(&t.user) {
        // A server that lets in without a key says so by an error.
        if session.authenticated() {
            return Ok(None);
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
    let (answer, confirm) = (Duration::from_secs(s.connect_timeout), Duration::from_secs(s.idle_timeout));
    let mut l = LogIn { session, t, tried: Vec::new(), done: Vec::new(), hung_up: false, answer, confirm };
    let all = |l: &mut LogIn<'_>, ask: &mut dyn Ask| -> Result<Tried> {
        if let Tried::In(key) = l.file(&s.own_key, ask)? {
            return Ok(Tried::In(key));
        }
        let only = t.config.identities_only.unwrap_or(false);
        if let Tried::In(key) = l.agent(&files, only)? {
            return Ok(Tried::In(key));
        }
        for file in &files {
            if let Tried::In(key) = l.file(file, ask)? {
                return Ok(Tried::In(key));
            }
        }
        Ok(Tried::Refused)
    };
    match all(&mut l, ask) {
        Ok(Tried::In(key)) => return Ok(Some(key)),
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
    /// What the agent may take to say anything.
    answer: Duration,
    /// What it may take to sign, a person's consent included.
    confirm: Duration,
}

impl LogIn<'_> {
    /// A refused key goes on to the next one; a broken line does not.
    fn still_there(&mut self, e: &ssh2::Error) -> Result<()> {
        self.hung_up = session::is_broken(e) && e.code() != session::TIMEOUT;
        if session::is_broken(e) { Err(unreachable(&self.t.host, e.message())) } else { Ok(()) }
    }

    /// The agent's keys; those of `files` first, and with `only` no others.
    fn agent(&mut self, files: &[PathBuf], only: bool) -> Result<Tried> {
        let Some(socket) = agent_socket(self.t.config.identity_agent.as_deref()) else { return Ok(Tried::Refused) };
        // An agent that has gone silent (one forwarded over a line that broke, say) must not hide the keys on file.
        let there = socket.clone();
        if !limit::within(self.answer, move || answers(&there)).unwrap_or_else(|_| {
            self.tried.push(format!("the agent at {} (it does not answer)", socket.display()));
            false
        }) {
            return Ok(Tried::Refused);
        }
        let named: Vec<Vec<u8>> = files.iter().filter_map(|f| public_key(f)).collect();
        let (session, user, mut done) = (self.session.clone(), self.t.user.clone(), self.done.clone());
        // It may ask a person before it signs, so it has longer than a machine; libssh2 waits for it without any limit.
        let signing = limit::within(self.confirm, move || {
            let mut tried = Vec::new();
            let end = try_agent(&session, &socket, &user, &named, only, &mut done, &mut tried);
            (end, done, tried)
        });
        let (end, done, tried) = signing.map_err(|e| {
            // The thread has the session from now on.
            Error::new(Kind::Unreachable, format!("{} does not let {} in: the ssh-agent does not sign", self.t.host, self.t.user))
                .because(e)
                .detail("nothing was sent")
                .detail("IdentityAgent none in ~/.ssh/config does without it")
        })?;
        self.done = done;
        self.tried.extend(tried);
        match end {
            Ok(tried) => Ok(tried),
            Err(e) => self.still_there(&e).map(|()| Tried::Refused),
        }
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
            Ok(()) => Ok(Tried::In(shown)),
            Err(e) => {
                self.tried.push(shown);
                self.still_there(&e)?;
                Ok(Tried::Refused)
            }
        }
    }
}

/// Where the agent listens, if there is to be one.
fn agent_socket(configured: Option<&str>) -> Option<PathBuf> {
    match configured {
        Some("none") => None,
        Some(path) if path != "SSH_AUTH_SOCK" => Some(path.into()),
        _ => std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from),
    }
}

/// True if an agent answers a request for its keys (draft-ietf-sshm-ssh-agent, 3.5); how it answers is libssh2's concern.
fn answers(socket: &Path) -> bool {
    use std::io::{Read, Write};
    let asked = std::os::unix::net::UnixStream::connect(socket).and_then(|mut s| {
        s.write_all(&[0, 0, 0, 1, 11])?;
        s.read_exact(&mut [0; 5])
    });
    asked.is_ok()
}

/// Offers the agent's keys one by one. An error is one that may have broken the line.
fn try_agent(
    session: &Session,
    socket: &Path,
    user: &str,
    named: &[Vec<u8>],
    only: bool,
    done: &mut Vec<Vec<u8>>,
    tried: &mut Vec<String>,
) -> Result<Tried, ssh2::Error> {
    let Ok(mut agent) = session.agent() else { return Ok(Tried::Refused) };
    if agent.set_identity_path(socket).is_err() || agent.connect().is_err() || agent.list_identities().is_err() {
        return Ok(Tried::Refused);
    }
    let mut ids = agent.identities().unwrap_or_default();
    ids.retain(|id| !only || named.iter().any(|k| k == id.blob()));
    ids.sort_by_key(|id| named.iter().position(|k| k == id.blob()).unwrap_or(usize::MAX));
    for id in ids {
        if done.iter().any(|k| k == id.blob()) {
            continue;
        }
        done.push(id.blob().to_vec());
        let shown = format!("agent ({})", printable(id.comment().as_bytes()));
        match agent.userauth(user, &id) {
            Ok(()) => return Ok(Tried::In(shown)),
            Err(e) => {
                tried.push(shown);
                if session::is_broken(&e) {
                    return Err(e);
                }
            }
        }
    }
    Ok(Tried::Refused)
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

/// How often a password may be mistyped.
const TRIES: u32 = 3;

/// Logs in once by password, so that this device's key can be put on the server; `None` if the server takes none or nobody
/// gives one. Servers with PAM often take it only as the answer to a question of their own (RFC 4256).
pub fn connect_by_password(url: &Url, s: &Settings, ask: &mut dyn Ask) -> Result<Option<Connection>> {
    let t = session::target(url, s)?;
    let (session, socket) = hostkey::meet(&t, s, ask)?;
    let methods = session.auth_methods(&t.user).unwrap_or_default().to_string();
    let has = |method: &str| methods.split(',').any(|m| m == method);
    if !has("password") && !has("keyboard-interactive") {
        return Ok(None);
    }
    let who = format!("{}@{}", t.user, t.host);
    let mut left = None;
    loop {
        // A question of the server is put as it stands, so only a plain password is asked for beforehand.
        let mut asked = Questions { ask, gave_up: false };
        let tried = if has("password") {
            let Some(password) = asked.ask.password(&who, left) else { return Ok(None) };
            session.userauth_password(&t.user, &password)
        } else {
            session.userauth_keyboard_interactive(&t.user, &mut asked)
        };
        let Err(e) = tried else { return Ok(Some(Connection::new(session, socket, t.host, s))) };
        if asked.gave_up {
            return Ok(None);
        }
        let still = left.unwrap_or(TRIES) - 1;
        if session::is_broken(&e) || still == 0 {
            return Err(Error::new(Kind::Unreachable, format!("{} does not take that password", t.host))
                .because(e.message().to_string())
                .detail("nothing was changed there"));
        }
        left = Some(still);
    }
}

/// Puts a server's questions to a person.
struct Questions<'a> {
    ask: &'a mut dyn Ask,
    /// Somebody did not answer.
    gave_up: bool,
}

impl KeyboardInteractivePrompt for Questions<'_> {
    fn prompt<'p>(&mut self, _: &str, instructions: &str, prompts: &[Prompt<'p>]) -> Vec<String> {
        let mut out = Vec::new();
        for p in prompts {
            // Foreign text: it may not move the cursor.
            let text = [instructions, &p.text].map(|t| printable(t.trim().as_bytes()));
            let text = text.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(" ");
            let answer = if self.gave_up { None } else { self.ask.question(&text, p.echo) };
            self.gave_up |= answer.is_none();
            // libssh2 frees its copy; this one lives as long as its caller needs it.
            out.push(answer.map(|a| a.to_string()).unwrap_or_default());
        }
        out
    }
}
