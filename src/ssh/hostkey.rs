//! Whether a server is who it was: what happens with the key that it shows.

use super::known_hosts::{self, Answer, KnownHosts};
use super::session::{self, Ask, Settings, Target, shown_key};
use super::url::Url;
use crate::error::{Class, Error, Kind, Result};
use crate::path::printable;
use ssh2::Session;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Connects, and makes sure that the server is who it was: by a fingerprint that a person has given, else by what is on
/// file.
pub(super) fn meet(t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<(Session, Arc<TcpStream>)> {
    if let Some(wanted) = &s.host_key {
        return vouched(t, s, wanted);
    }
    let (session, socket) = session::greet(t, s, None)?;
    check(&session, t, s, ask)?;
    Ok((session, socket))
}

/// Checks the key that the server shows; one that is new is put to a person.
fn check(session: &Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<()> {
    let (key, kind) = shown_key(session, &t.host)?;
    let short = short(&kind);
    let now = known_hosts::fingerprint(&key);
    let shows = format!("ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub");
    let place = |file: &Path| match file.strip_prefix(&s.home) {
        Ok(below) => format!("~/{}", below.display()),
        Err(_) => file.display().to_string(),
    };
    match t.known().ask(&t.known_as, &key) {
        Answer::Known => Ok(()),
        Answer::Unknown => {
            if ask.host_key(&t.host, short, &now) {
                return remember(t, &kind, &key);
            }
            Err(Error::new(Kind::Unreachable, format!("not connected: {} is new to this device", t.host))
                .detail(format!("its {} key is", short))
                .detail(format!("  {now}"))
                .detail("nothing was sent")
                .remedy("the server shows its own with", shows)
                .remedy("if they are the same", format!("{} {now}", s.trust)))
        }
        Answer::Changed { fingerprint, file, line } => {
            Err(Error::new(Kind::Unreachable, format!("not connected: {} has another host key than on file", t.host))
                .detail(format!("on file   {fingerprint}"))
                .detail(format!("          ({}:{line})", place(&file)))
                .detail(format!("now       {now}"))
                .detail("a reinstalled server looks like this, an attack too. nothing was sent")
                .remedy("look on the server", shows)
                .remedy("with what it says there", format!("{} SHA256:...", s.trust)))
        }
        Answer::Revoked { file, line } => Err(Error::new(Kind::Unreachable, format!("not connected: the key of {} was revoked", t.host))
            .detail(format!("by {}:{line}", place(&file)))
            .detail("nothing was sent")),
    }
}

/// The type of a key, as people say it and as its file on the server is called.
fn short(kind: &str) -> &str {
    match kind.strip_prefix("ssh-") {
        Some(rest) => rest,
        None if kind.starts_with("ecdsa-") => "ecdsa",
        None => kind,
    }
}

/// Appends a key to the user's first file; with `UserKnownHostsFile none` it is known for this once.
fn remember(t: &Target, kind: &str, key: &[u8]) -> Result<()> {
    let Some(file) = t.files.first() else { return Ok(()) };
    let failed = |e: std::io::Error| Error::from(e).at(format!("can't write {}", file.display()));
    if let Some(dir) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let mut text = known_hosts::line(&t.known_as, kind, key);
    if std::fs::read(file).is_ok_and(|old| !old.is_empty() && !old.ends_with(b"\n")) {
        text.insert(0, '\n');
    }
    let mut f = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file).map_err(failed)?;
    f.write_all(text.as_bytes()).map_err(failed)
}

/// Types of host keys that are asked for one by one when a fingerprint decides: a person may have read that of any of the
/// server's keys.
const KINDS: [&str; 3] = ["ssh-ed25519", "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", "rsa-sha2-512,rsa-sha2-256"];

/// Connects to a server that shows the key with this fingerprint, and puts that key on file, in place of others.
fn vouched(t: &Target, s: &Settings, wanted: &str) -> Result<(Session, Arc<TcpStream>)> {
    let wanted = known_hosts::parse_fingerprint(wanted).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{} is no fingerprint of a host key", printable(wanted.as_bytes())))
            .detail("it is SHA256: and 43 letters, as the server's own ssh-keygen -lf shows it")
    })?;
    let mut first = None;
    for only in [None].into_iter().chain(KINDS.map(Some)) {
        let met = match session::greet(t, s, only) {
            Ok(met) => met,
            Err(e) if first.is_none() => return Err(e),
            Err(_) => continue, // It has no key of this type.
        };
        let (key, kind) = shown_key(&met.0, &t.host)?;
        let now = known_hosts::fingerprint(&key);
        if now != wanted {
            first.get_or_insert(now);
            continue;
        }
        match t.known().ask(&t.known_as, &key) {
            Answer::Known => {}
            Answer::Revoked { file, line } => {
                return Err(Error::new(Kind::Unreachable, format!("the key that {} shows was revoked", t.host))
                    .detail(format!("by {}:{line}", file.display()))
                    .detail("nothing was changed"));
            }
            Answer::Unknown | Answer::Changed { .. } => {
                for file in &t.files {
                    replace(file, &t.known_as)?;
                }
                remember(t, &kind, &key)?;
            }
        }
        return Ok(met);
    }
    Err(Error::integrity(Class::Auth, format!("not connected: {} shows another host key than that", t.host))
        .detail(format!("given  {wanted}"))
        .detail(format!("shown  {}", first.unwrap_or_default()))
        .detail("a mistyped fingerprint looks like this, an attack too. nothing was sent, nothing was changed"))
}

/// Puts the key that the server shows on file, in place of others, if its fingerprint is the one given.
pub fn trust(url: &Url, s: &Settings, wanted: &str) -> Result<()> {
    vouched(&session::target(url, s)?, s, wanted).map(drop)
}

/// Takes the host out of a file of host keys, keeping everything else of it, and its mode.
fn replace(file: &Path, host: &str) -> Result<()> {
    // A link stays one.
    let Ok(file) = std::fs::canonicalize(file) else { return Ok(()) };
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(()) };
    let without = KnownHosts::without(host, &text);
    if without == text {
        return Ok(());
    }
    let failed = |e: std::io::Error| Error::from(e).at(format!("can't write {}", file.display()));
    let mode = std::fs::metadata(&file).map_err(failed)?.permissions();
    let temporary = file.with_extension("sharelock-tmp");
    std::fs::write(&temporary, without).map_err(failed)?;
    std::fs::set_permissions(&temporary, mode).map_err(failed)?;
    std::fs::rename(&temporary, &file).map_err(failed)
}
