//! Storage nodes by ssh, with a person at the terminal to ask.

use super::nodes::Vouch;
use super::places::Places;
use super::secret;
use crate::config::Remote as Configured;
use crate::error::{Error, Kind, Result};
use crate::git::Pulse;
use crate::git::Remote;
use crate::id::Oid;
use crate::mirror::progress::Progress;
use crate::ssh::key;
use crate::ssh::remote::SshRemote;
use crate::ssh::session::{Ask, Settings};
use crate::ssh::url::Url;
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// Asks at the terminal; without one every answer is no.
struct Terminal {
    /// Its line gives way to a question.
    progress: Progress,
}

impl Ask for Terminal {
    fn host_key(&mut self, host: &str, kind: &str, fingerprint: &str) -> bool {
        if !secret::can_ask() {
            return false;
        }
        self.progress.end();
        eprintln!("{host} is new to this device. its {kind} key is\n  {fingerprint}");
        eprintln!("the server shows its own with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        let same = secret::ask("are they the same? [yes/No] ").is_ok_and(|a| a.eq_ignore_ascii_case("yes"));
        eprint!("\n");
        same
    }

    fn passphrase(&mut self, key: &Path) -> Option<Zeroizing<String>> {
        self.progress.end();
        hidden(&format!("passphrase of {}: ", key.display()))
    }

    fn password(&mut self, user_at_host: &str, left: Option<u32>) -> Option<Zeroizing<String>> {
        self.progress.end();
        match left {
            None => hidden(&format!("password of {user_at_host}, once, to put this device's key there (Enter: not now): ")),
            Some(left) => {
                eprintln!("that is not the password. {left} {} left", if left == 1 { "try" } else { "tries" });
                hidden("password: ")
            }
        }
    }

    fn question(&mut self, text: &str, echo: bool) -> Option<Zeroizing<String>> {
        let prompt = format!("the server asks, so that this device's key can be put there (Enter: not now): {text}\n");
        self.progress.end();
        match echo {
            false => hidden(&prompt),
            true if secret::can_ask() => secret::ask(&prompt).ok().filter(|a| !a.is_empty()).map(Zeroizing::new),
            true => None,
        }
    }
}

fn hidden(prompt: &str) -> Option<Zeroizing<String>> {
    if !secret::can_ask() {
        return None;
    }
    let bytes = secret::ask_hidden(prompt).ok()?;
    let text = Zeroizing::new(String::from_utf8(bytes.to_vec()).ok()?);
    (!text.is_empty()).then_some(text)
}

/// A node and its host.
pub fn open(r: &Configured, places: &Places, vouch: &Vouch, progress: &Progress) -> Result<(SshRemote, String)> {
    let parsed = Url::parse(&r.url)?;
    let host = parsed.host.clone();
    let settings = Settings {
        home: places.home.clone(),
        own_key: places.config_dir.join("id_ed25519"),
        connect_timeout: 15,
        idle_timeout: 120,
        host_key: vouch.host_key.clone(),
        trust: vouch.command.clone(),
        make: vouch.make.clone(),
        pulse: Pulse::default(),
    };
    Ok((SshRemote::new(parsed, settings, Box::new(Terminal { progress: progress.clone() })), host))
}

/// The refs of a node for a device that joins: makes a key of its own if none is accepted, says how to let it in, and
/// waits for that at a terminal.
pub fn let_in(remote: &mut SshRemote, name: &str, places: &Places, device: &str) -> Result<BTreeMap<String, Oid>> {
    let refused = match remote.refs() {
        Err(e) if e.kind() == Kind::Unreachable && e.what().contains("does not let") => e,
        other => return other,
    };
    let line = key::make(&places.config_dir.join("id_ed25519"), device)?;
    eprintln!("the server does not let this device in yet (no SSH key of it is accepted)");
    eprintln!("do, on a device that has the vault (works on rsync.net too):");
    eprintln!("  sharelock remote authorize {name} '{line}'");
    let of = remote.user().map_or(String::new(), |user| format!(" of {user}"));
    eprintln!("or add that key to ~/.ssh/authorized_keys{of} on {}", remote.host());
    if !secret::can_ask() {
        let e = Error::new(Kind::Unreachable, refused.what().to_string());
        let e = refused.details().iter().fold(e, |e, line| e.detail(line.clone()));
        return Err(e.detail("let this device's key in as said above, then join again"));
    }
    if remote.copy_own_key(&line)? {
        eprintln!("let in");
        return remote.refs();
    }
    eprint!("waiting, Ctrl-C stops and loses nothing ... ");
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3));
        match remote.refs() {
            Err(e) if e.kind() == Kind::Unreachable && e.what().contains("does not let") => {}
            other => {
                eprintln!("let in");
                return other;
            }
        }
    }
}
