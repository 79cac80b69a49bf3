//! A storage node by ssh: stock git on the other side, and the few commands beside it.

use super::key;
use super::keyring;
use super::session::{self, Ask, Channel, Connection, Settings};
use super::setup;
use super::url::{Url, quote};
use crate::clock::Time;
use crate::error::{Error, Kind, Result};
use crate::git::wire::{self, Advertisement, Head};
use crate::git::{Choose, PackSource, Pulse, RefStatus, RefUpdate, Refs, Remote};
use crate::id::Oid;
use crate::path::printable;
use std::io::Write;
use std::path::Path;

/// What `doctor` sees of a node.
pub struct Looked {
    /// Its refs.
    pub refs: Refs,
    /// The ref that its HEAD names, if that is not known to be there: a plain clone comes out empty.
    pub head: Option<String>,
    /// The SSH key that the server has taken.
    pub key: Option<String>,
    /// The seconds by which its clock is ahead of ours, where it has a shell that tells.
    pub ahead: Option<i64>,
}

/// See the module. One connection is kept and used again.
pub struct SshRemote {
    url: Url,
    settings: Settings,
    ask: Box<dyn Ask>,
    connection: Option<Connection>,
    /// The last command, which has said all that was to be heard and may still be at its ending: it is waited for when the
    /// next one begins.
    ending: Option<Channel>,
}

impl SshRemote {
    /// A node that is not connected yet.
    pub fn new(url: Url, settings: Settings, ask: Box<dyn Ask>) -> SshRemote {
        SshRemote { url, settings, ask, connection: None, ending: None }
    }

    /// The host, for messages.
    pub fn host(&self) -> &str {
        &self.url.host
    }

    /// The user there, if the URL says one.
    pub fn user(&self) -> Option<&str> {
        self.url.user.as_deref()
    }

    /// Looks at the node, and at what is beside the repository.
    ///
    /// Errors: as [`Remote::refs`].
    pub fn look(&mut self, now: impl Fn() -> Time) -> Result<Looked> {
        let (mut channel, adv) = self.service("git-upload-pack")?;
        let _ = wire::hang_up(&mut channel);
        channel.finish();
        let head = match adv.head() {
            Head::Names(name) => Some(name.to_string()),
            Head::There => None,
            Head::Missing => {
                let path = self.path();
                let (out, status, _) = self.exec(&format!("git --git-dir {path} symbolic-ref HEAD"))?.output(4096);
                let name = printable(out.trim_ascii());
                Some(if status == 0 && name.starts_with("refs/") { name } else { "another branch".into() })
            }
        };
        let ahead = self.ahead(now);
        Ok(Looked { refs: adv.refs, head, key: self.connection.as_ref().and_then(|c| c.key.clone()), ahead })
    }

    fn ahead(&mut self, now: impl Fn() -> Time) -> Option<i64> {
        let before = now().s;
        let (out, status, _) = self.exec("date +%s").ok()?.output(64);
        let there: i64 = std::str::from_utf8(&out).ok()?.trim().parse().ok().filter(|s| status == 0 && *s > 0)?;
        // It was read at some time between the two.
        Some(match (before, now().s) {
            (first, _) if there < first => there - first,
            (_, last) if there > last => there - last,
            _ => 0,
        })
    }

    fn exec(&mut self, command: &str) -> Result<Channel> {
        if let Some(mut last) = self.ending.take() {
            last.finish();
        }
        if self.settings.pulse.is_given_up() {
            self.connection = None;
            return Err(session::lost(&self.url.host, &self.settings.pulse, ""));
        }
        // A kept connection may have died while nobody looked: once more on a new one.
        if let Some(c) = &self.connection {
            match c.exec(command) {
                Err(e) if self.settings.pulse.is_given_up() => {
                    self.connection = None;
                    return Err(e);
                }
                Err(_) => self.connection = None,
                done => return done,
            }
        }
        let connection = session::connect(&self.url, &self.settings, self.ask.as_mut())?;
        let channel = connection.exec(command)?;
        self.connection = Some(connection);
        Ok(channel)
    }

    /// The path as a word of a shell that expands `~`; git's own services expand it themselves.
    fn path(&self) -> String {
        match self.url.path.strip_prefix("~/") {
            Some(rest) => format!("~/{}", quote(rest)),
            None => quote(&self.url.path),
        }
    }

    fn service(&mut self, name: &str) -> Result<(Channel, Advertisement)> {
        // Quoted as git quotes it: git-shell and forges take no other form.
        let command = format!("{name} {}", quote(&self.url.path));
        let mut channel = self.exec(&command)?;
        match wire::advertisement(&mut channel) {
            Ok(adv) => Ok((channel, adv)),
            Err(e) if e.kind() == Kind::Unreachable => {
                let (status, text) = channel.finish();
                if status < 0 {
                    self.connection = None;
                }
                Err(self.no_service(name, status, &text, e))
            }
            Err(e) => Err(e),
        }
    }

    /// True if a service of git answers for the path; a line that broke is an error.
    fn answers(&mut self, name: &str) -> Result<bool> {
        match self.service(name) {
            Ok((mut channel, _)) => {
                let _ = wire::hang_up(&mut channel);
                channel.finish();
                Ok(true)
            }
            Err(e) if self.connection.is_none() => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// Why git did not answer.
    fn no_service(&self, name: &str, status: i32, text: &str, e: Error) -> Error {
        let (host, path) = (&self.url.host, &self.url.path);
        if status == 127 {
            return Error::new(Kind::Unreachable, format!("{host} has no {name}: git is not installed there"));
        }
        if text.is_empty() {
            // A line that broke names its host itself.
            if e.what().starts_with(host.as_str()) {
                return e;
            }
            return Error::new(Kind::Unreachable, format!("{host}: {e}"))
                .detail("nothing is lost: what could not be sent waits on this device");
        }
        let missing =
            text.contains("not a git repository") || text.contains("does not exist") || text.contains("not appear to be a git repository");
        let e = Error::new(Kind::Unreachable, format!("{host} can't use {path}: {text}"));
        match self.settings.make.as_ref().filter(|_| missing) {
            Some(make) => e.remedy(&make.purpose, &make.command),
            None => e,
        }
    }

    /// Puts the key that the server shows on file, if it is the one with this fingerprint.
    pub fn trust(&mut self, fingerprint: &str) -> Result<()> {
        super::hostkey::trust(&self.url, &self.settings, fingerprint)
    }

    /// Lets a key in: appends its line to `authorized_keys`, by shell, else by SFTP, else by the `dd` that restricted
    /// providers allow.
    pub fn authorize(&mut self, line: &str) -> Result<()> {
        let line = key::check_line(line)
            .ok_or_else(|| {
                Error::new(Kind::Usage, "that is no line for authorized_keys: a type, a key and a name, as ssh-keygen prints it")
            })?
            .to_string();
        setup::append_key(self.connected()?, &line)
    }

    /// Lets keys in no more: takes the lines with these comments out of `authorized_keys`, and gives them. Keys that this
    /// device has itself stay, whatever they are called.
    pub fn lock_out(&mut self, comments: &[String]) -> Result<Vec<String>> {
        let dirs = [self.settings.own_key.parent().map(Path::to_path_buf), Some(self.settings.home.join(".ssh"))];
        let files = dirs.into_iter().flatten().filter_map(|d| std::fs::read_dir(d).ok()).flatten().flatten();
        let public = files.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "pub"));
        let texts = public.filter_map(|p| std::fs::read_to_string(p).ok());
        let keep: Vec<String> = texts.filter_map(|t| t.split_ascii_whitespace().nth(1).map(str::to_string)).collect();
        keyring::remove(self.connected()?, |comment| comments.iter().any(|c| c == comment), &keep)
    }

    fn connected(&mut self) -> Result<&Connection> {
        if self.connection.is_none() {
            self.connection = Some(session::connect(&self.url, &self.settings, self.ask.as_mut())?);
        }
        self.connection.as_ref().ok_or_else(|| Error::failed("not connected"))
    }

    /// Logs in once with the server's password and puts this device's key there, as ssh-copy-id does; `false` if the
    /// server takes no password or nobody gives one.
    pub fn copy_own_key(&mut self, line: &str) -> Result<bool> {
        match super::auth::connect_by_password(&self.url, &self.settings, self.ask.as_mut())? {
            Some(c) => setup::append_key(&c, line).map(|()| true),
            None => Ok(false),
        }
    }
}

impl Remote for SshRemote {
    fn fetch(&mut self, choose: Choose<'_>, have: &[Oid], sink: &mut dyn Write) -> Result<()> {
        let _waiting = self.settings.pulse.waiting();
        let (mut channel, adv) = self.service("git-upload-pack")?;
        let want = choose(&adv.refs).inspect_err(|_| self.connection = None)?;
        if want.is_empty() {
            // Some have ended by now.
            let _ = wire::hang_up(&mut channel);
            self.ending = Some(channel);
            return Ok(());
        }
        let done = wire::fetch_over(&mut channel, &adv, &want, have, sink);
        if done.is_err() {
            self.connection = None;
        } else {
            self.ending = Some(channel);
        }
        done
    }

    fn push(&mut self, updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Result<Vec<RefStatus>> {
        let _waiting = self.settings.pulse.waiting();
        let (mut channel, adv) = self.service("git-receive-pack")?;
        let done = wire::push_over(&mut channel, &adv, updates, atomic, pack);
        if done.is_err() {
            self.connection = None;
        } else {
            self.ending = Some(channel);
        }
        done
    }

    fn create(&mut self) -> Result<()> {
        let _waiting = self.settings.pulse.waiting();
        let path = self.path();
        let mut last = String::new();
        for flags in ["-b main --object-format=sha1 ", "-b main ", ""] {
            let mut channel = self.exec(&format!("git init --bare {flags}{path}"))?;
            let (_, status, text) = channel.output(64 * 1024);
            if status == 0 && self.answers("git-upload-pack")? {
                return Ok(());
            }
            last = text;
        }
        let made = self.connection.as_ref().is_some_and(|c| setup::create_by_sftp(c, &self.url.path));
        // A forge makes repositories by its own page, or by the first push.
        if made && self.answers("git-upload-pack")? || self.answers("git-receive-pack")? {
            return Ok(());
        }
        let e = Error::failed(format!("{} does not make repositories by ssh", self.url.host));
        let e = if last.is_empty() { e } else { e.detail(format!("it says: {last}")) };
        Err(e.detail("make an empty, private repository without README there, then use its URL without --create"))
    }

    fn set_head(&mut self) -> Result<bool> {
        let _waiting = self.settings.pulse.waiting();
        let path = self.path();
        self.exec(&format!("git --git-dir {path} symbolic-ref HEAD refs/heads/main"))?.output(4096);
        let (out, status, _) = self.exec(&format!("git --git-dir {path} symbolic-ref HEAD"))?.output(4096);
        if status == 0 && out.trim_ascii() == b"refs/heads/main" {
            return Ok(true);
        }
        Ok(self.connection.as_ref().is_some_and(|c| setup::write_head(c, &self.url.path)))
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(self.settings.pulse.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Ask for Nobody {
        fn host_key(&mut self, _: &str, _: &str, _: &str) -> bool {
            false
        }

        fn passphrase(&mut self, _: &std::path::Path) -> Option<zeroize::Zeroizing<String>> {
            None
        }

        fn password(&mut self, _: &str, _: Option<u32>) -> Option<zeroize::Zeroizing<String>> {
            None
        }

        fn question(&mut self, _: &str, _: bool) -> Option<zeroize::Zeroizing<String>> {
            None
        }
    }

    #[test]
    fn the_host_is_named_once() {
        let settings = Settings {
            home: "/h".into(),
            own_key: "/h/k".into(),
            connect_timeout: 1,
            idle_timeout: 1,
            host_key: None,
            trust: String::new(),
            make: None,
            pulse: Pulse::default(),
        };
        let remote = SshRemote::new(Url::parse("ssh://me@127.0.0.1/r.git").unwrap(), settings, Box::new(Nobody));
        let said = |e: Error| {
            let e = remote.no_service("git-upload-pack", -1, "", e);
            (e.to_string(), e.details().join("; "))
        };
        let safe = "nothing is lost: what could not be sent waits on this device".to_string();
        let broken = session::unreachable("127.0.0.1", "the line broke");
        assert_eq!(said(broken), ("127.0.0.1 is not reachable: the line broke".into(), safe.clone()));
        let ended = Error::new(Kind::Unreachable, "the server ended early");
        assert_eq!(said(ended), ("127.0.0.1: the server ended early".into(), safe));
    }
}
