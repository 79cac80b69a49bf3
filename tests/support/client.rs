//! The client's side of ssh, without the program around it.

use super::{Home, Sshd, git_ok};
use sharelock::ssh::remote::SshRemote;
use sharelock::ssh::session::{Ask, Settings};
use sharelock::ssh::url::Url;
use std::path::Path;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// Limits in seconds; a call may meet both, and reconnect once.
pub const LIMIT: u64 = 2;

/// Answers as prepared, and notes what was asked.
#[derive(Clone, Default)]
pub struct Person {
    /// Takes new host keys.
    pub trusts: bool,
    pub passphrase: Option<&'static str>,
    /// What is given one after the other where a password is asked for.
    pub passwords: Arc<Mutex<Vec<&'static str>>>,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Person {
    pub fn with_passphrase(passphrase: Option<&'static str>) -> Person {
        Person { passphrase, ..Person::default() }
    }

    /// Gives these passwords, the first one first.
    pub fn with_passwords(passwords: &[&'static str]) -> Person {
        Person { passwords: Arc::new(Mutex::new(passwords.iter().rev().copied().collect())), ..Person::default() }
    }

    fn note(&self, what: String) {
        self.asked.lock().expect("the notes").push(what);
    }

    fn next(&self) -> Option<Zeroizing<String>> {
        self.passwords.lock().expect("the passwords").pop().map(|p| Zeroizing::new(p.to_string()))
    }
}

impl Ask for Person {
    fn host_key(&mut self, host: &str, kind: &str, fingerprint: &str) -> bool {
        self.note(format!("{host} {kind} {fingerprint}"));
        self.trusts
    }

    fn passphrase(&mut self, key: &Path) -> Option<Zeroizing<String>> {
        self.note(key.display().to_string());
        self.passphrase.map(|p| Zeroizing::new(p.to_string()))
    }

    fn password(&mut self, user_at_host: &str, left: Option<u32>) -> Option<Zeroizing<String>> {
        self.note(format!("{user_at_host} {left:?}"));
        self.next()
    }

    fn question(&mut self, text: &str, echo: bool) -> Option<Zeroizing<String>> {
        self.note(format!("{text} {echo}"));
        self.next()
    }
}

pub fn settings(home: &Home) -> Settings {
    Settings {
        home: home.dir.path().into(),
        own_key: home.path("own"),
        connect_timeout: LIMIT,
        idle_timeout: LIMIT,
        host_key: None,
        trust: "sharelock remote trust origin".into(),
        make: None,
        pulse: Default::default(),
    }
}

pub fn remote(home: &Home, url: &str, person: &Person) -> SshRemote {
    SshRemote::new(Url::parse(url).expect("a URL"), settings(home), Box::new(person.clone()))
}

/// One that a busy machine keeps waiting.
pub fn patient(home: &Home, url: &str, person: &Person) -> SshRemote {
    let settings = Settings { connect_timeout: 60, idle_timeout: 60, ..settings(home) };
    SshRemote::new(Url::parse(url).expect("a URL"), settings, Box::new(person.clone()))
}

/// A server with an empty repository `v.git`.
pub fn server(more: &str) -> (Sshd, String) {
    let sshd = Sshd::start(&["ed25519"], more);
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "main", "v.git"]);
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    (sshd, url)
}

/// A home that knows the server, and asks no agent.
pub fn home(sshd: &Sshd) -> Home {
    let home = Home::new();
    home.knows(sshd);
    std::fs::write(home.path(".ssh/config"), "IdentityAgent none\n").expect("a file");
    home
}
