//! Whether a server is who it was: what happens with the key that it shows.

use super::known_hosts::{self, Answer, KnownHosts};
use super::session::{self, Ask, Settings, Target, shown_key};
use super::url::Url;
use crate::error::{Error, Kind, Result};
use crate::path::printable;
use ssh2::Session;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Checks the key that the server shows; one that is new is put to a person.
pub(super) fn check(session: &Session, t: &Target, s: &Settings, ask: &mut dyn Ask) -> Result<()> {
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
                .remedy("if they are the same", format!("sharelock remote trust {} {now}", s.node)))
        }
        Answer::Changed { fingerprint, file, line } => {
            Err(Error::new(Kind::Unreachable, format!("not connected: {} has another host key than on file", t.host))
                .detail(format!("on file   {fingerprint}"))
                .detail(format!("          ({}:{line})", place(&file)))
                .detail(format!("now       {now}"))
                .detail("a reinstalled server looks like this, an attack too. nothing was sent")
                .remedy("look on the server", shows)
                .remedy("with what it says there", format!("sharelock remote trust {} SHA256:...", s.node)))
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

/// Puts the key that the server shows on file, in place of others, if its fingerprint is the one given.
pub fn trust(url: &Url, s: &Settings, wanted: &str) -> Result<()> {
    let t = session::target(url, s)?;
    let (session, _socket) = session::greet(&t, s)?;
    let (key, kind) = shown_key(&session, &t.host)?;
    let now = known_hosts::fingerprint(&key);
    if now != wanted {
        return Err(Error::new(Kind::Unreachable, format!("{} shows another key than that", t.host))
            .detail(format!("given  {}", printable(wanted.as_bytes())))
            .detail(format!("shown  {now}"))
            .detail("nothing was changed"));
    }
    if let Answer::Revoked { file, line } = t.known().ask(&t.known_as, &key) {
        return Err(Error::new(Kind::Unreachable, format!("the key that {} shows was revoked", t.host))
            .detail(format!("by {}:{line}", file.display()))
            .detail("nothing was changed"));
    }
    for file in &t.files {
        replace(file, &t.known_as)?;
    }
    if t.known().ask(&t.known_as, &key) == Answer::Known { Ok(()) } else { remember(&t, &kind, &key) }
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
