//! Logging in, against a real sshd: keys of all kinds, agents, passwords.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use sharelock::error::{Error, Kind};
use sharelock::git::Remote;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};
use support::client::{LIMIT, Person, home, patient, remote, server};
use support::{Agent, Home, Passwords, git_ok, keygen};

fn refused(e: &Error) -> bool {
    e.kind() == Kind::Unreachable && e.what().contains("does not let")
}

#[test]
fn encrypted_keys_of_all_formats() {
    let (sshd, url) = server("");
    for (format, kind) in
        [("RFC4716", "ed25519"), ("RFC4716", "ecdsa"), ("RFC4716", "rsa"), ("PEM", "rsa"), ("PEM", "ecdsa"), ("PKCS8", "rsa")]
    {
        let home = home(&sshd);
        let key = home.path(&format!(".ssh/id_{kind}"));
        let mut c = Command::new("ssh-keygen");
        c.args(["-q", "-t", kind, "-N", "open sesame", "-f"]).arg(&key);
        if format != "RFC4716" {
            c.args(["-m", format]);
        }
        assert!(c.status().unwrap().success());
        sshd.authorize(&key.with_extension("pub"), "");
        // Nobody to ask, and a wrong answer: refused, and alive.
        for answer in [None, Some("wrong")] {
            let e = patient(&home, &url, &Person::with_passphrase(answer)).refs().unwrap_err();
            assert!(refused(&e), "{format} {kind}: {e}");
        }
        let r = patient(&home, &url, &Person::with_passphrase(Some("open sesame"))).refs();
        assert!(r.is_ok(), "{format} {kind}: {r:?}");
    }
}

#[test]
fn keys_of_all_types_and_formats_without_a_passphrase() {
    let (sshd, url) = server("");
    for (kind, format) in
        [("ed25519", "RFC4716"), ("ecdsa", "RFC4716"), ("ecdsa", "PEM"), ("rsa", "RFC4716"), ("rsa", "PEM"), ("rsa", "PKCS8")]
    {
        let home = Home::new();
        home.knows(&sshd);
        let file = home.path(&format!(".ssh/id_{kind}"));
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-m", format, "-N", "", "-f"]).arg(&file).status().unwrap();
        assert!(made.success());
        sshd.authorize(&file.with_extension("pub"), "");
        let person = Person::default();
        patient(&home, &url, &person).refs().unwrap_or_else(|e| panic!("{kind} {format}: {e} {:?}", e.details()));
        assert!(person.asked.lock().unwrap().is_empty(), "nobody is asked for a passphrase that there is not");
    }
}

#[test]
fn the_agent_and_too_many_keys() {
    let (sshd, url) = server("MaxAuthTries 3");
    let home = home(&sshd);
    for n in 0..6 {
        keygen("ed25519", &home.path(&format!("k{n}")), "");
    }
    let _agent = Agent::start(&home, &["k0", "k1", "k2", "k3", "k4", "k5"], "");
    let config = |more: &str| {
        std::fs::write(home.path(".ssh/config"), format!("IdentityAgent ~/agent.sock\n{more}")).unwrap();
    };
    // The server hangs up after three: that is a login refused, not a line that broke.
    config("");
    let e = remote(&home, &url, &Person::default()).refs().unwrap_err();
    assert!(refused(&e), "{e} {:?}", e.details());
    // The agent's last key is the right one; its private file is gone. The configuration names it.
    sshd.authorize(&home.path("k5.pub"), "");
    std::fs::remove_file(home.path("k5")).unwrap();
    let e = remote(&home, &url, &Person::default()).refs().unwrap_err();
    assert!(refused(&e), "{e}");
    for more in ["IdentityFile ~/k5\n", "IdentityFile ~/k5\nIdentitiesOnly yes\n", "IdentitiesOnly yes\nIdentityFile ~/k5.pub\n"] {
        config(more);
        remote(&home, &url, &Person::default()).refs().unwrap_or_else(|e| panic!("{more}: {e}"));
    }
    // This device's own key comes before all of them.
    config("");
    let line = sharelock::ssh::key::make(&home.path("own"), "dev").unwrap();
    std::fs::write(home.path("line.pub"), line).unwrap();
    sshd.authorize(&home.path("line.pub"), "");
    remote(&home, &url, &Person::default()).refs().unwrap();
}

#[test]
fn a_key_that_others_can_read_does_not_hide_the_next_one() {
    use std::os::unix::fs::PermissionsExt;
    let (sshd, url) = server("");
    let home = home(&sshd);
    keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
    keygen("rsa", &home.path(".ssh/id_rsa"), "");
    sshd.authorize(&home.path(".ssh/id_rsa.pub"), "");
    std::fs::set_permissions(home.path(".ssh/id_ed25519"), PermissionsExt::from_mode(0o644)).unwrap();
    remote(&home, &url, &Person::default()).refs().unwrap();
    std::fs::remove_file(home.path(".ssh/id_rsa")).unwrap();
    let e = remote(&home, &url, &Person::default()).refs().unwrap_err();
    assert!(e.details().iter().any(|d| d.contains("others can read it")), "{:?}", e.details());
}

/// A repository of an account that has a password and no key yet, and a home with a key of its own.
fn by_password(method: &str) -> Option<(Passwords, Home, String, String)> {
    let account = Passwords::start(method)?;
    git_ok(account.home.path(), &["init", "-q", "--bare", "v.git"]);
    let home = home(&account.sshd);
    let line = sharelock::ssh::key::make(&home.path("own"), "pi").unwrap();
    let url = account.sshd.url(&account.home.path().join("v.git"));
    assert!(refused(&remote(&home, &url, &Person::default()).refs().unwrap_err()));
    Some((account, home, url, line))
}

const PASSWORD: &str = "PasswordAuthentication yes";
/// PAM asks by itself, as most servers do that show no `password` method.
const QUESTIONS: &str = "UsePAM yes\nKbdInteractiveAuthentication yes";

#[test]
fn a_password_lets_a_key_in() {
    for method in [PASSWORD, QUESTIONS] {
        let Some((account, home, url, line)) = by_password(method) else { return };
        let person = Person::with_passwords(&["wrong", Passwords::RIGHT]);
        let mut r = remote(&home, &url, &person);
        let put = r.copy_own_key(&line).unwrap_or_else(|e| panic!("{method}: {e} {:?}", e.details()));
        assert!(put, "{method}: {:?}", person.asked);
        assert_eq!(person.asked.lock().unwrap().len(), 2, "{method}: {:?}", person.asked);
        assert_eq!(std::fs::read_to_string(account.home.path().join(".ssh/authorized_keys")).unwrap(), format!("{line}\n"));
        r.refs().unwrap_or_else(|e| panic!("{method}: by its own key from now on: {e}"));
    }
}

#[test]
fn a_password_that_is_wrong_or_not_given() {
    for method in [PASSWORD, QUESTIONS] {
        let Some((account, home, url, line)) = by_password(method) else { return };
        let person = Person::with_passwords(&["a", "b", "c", Passwords::RIGHT]);
        let e = remote(&home, &url, &person).copy_own_key(&line).unwrap_err();
        assert!(e.kind() == Kind::Unreachable && e.what().contains("does not take that password"), "{method}: {e}");
        assert_eq!(person.asked.lock().unwrap().len(), 3, "{method}: three tries");
        assert!(!remote(&home, &url, &Person::default()).copy_own_key(&line).unwrap(), "{method}: not now");
        assert!(!account.home.path().join(".ssh/authorized_keys").exists());
    }
}

#[test]
fn a_server_without_passwords_asks_for_none() {
    let (sshd, url) = server("");
    let person = Person::with_passwords(&[Passwords::RIGHT]);
    assert!(!remote(&home(&sshd), &url, &person).copy_own_key("ssh-ed25519 AAAA x").unwrap());
    assert!(person.asked.lock().unwrap().is_empty());
}

/// An agent that takes the connection and says nothing hides no key on file; one that never signs ends the login in time.
#[test]
fn an_agent_that_falls_silent() {
    let (sshd, url) = server("");
    let home = home(&sshd);
    home.let_in(&sshd);
    std::fs::write(home.path(".ssh/config"), "IdentityAgent ~/silent.sock\n").unwrap();
    let silent = UnixListener::bind(home.path("silent.sock")).unwrap();
    let start = Instant::now();
    remote(&home, &url, &Person::default()).refs().unwrap();
    assert!(start.elapsed() < Duration::from_secs(3 * LIMIT));
    drop(silent);
    // One that lists a key, and does not sign.
    let agent = Agent::start(&home, &[".ssh/id_ed25519"], "");
    std::fs::remove_file(home.path("silent.sock")).unwrap();
    let mute = UnixListener::bind(home.path("silent.sock")).unwrap();
    let real = agent.socket.clone();
    std::thread::spawn(move || {
        for mut client in mute.incoming().flatten() {
            let Ok(mut agent) = UnixStream::connect(&real) else { return };
            std::thread::spawn(move || {
                let mut head = [0u8; 5];
                while client.read_exact(&mut head).is_ok() && head[4] == 11 {
                    agent.write_all(&head).unwrap();
                    agent.read_exact(&mut head[..4]).unwrap();
                    let mut answer = vec![0; u32::from_be_bytes(head[..4].try_into().unwrap()) as usize];
                    agent.read_exact(&mut answer).unwrap();
                    client.write_all(&head[..4]).and_then(|()| client.write_all(&answer)).unwrap();
                }
                // Reads what it is asked to sign, to the end of the line.
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            });
        }
    });
    let start = Instant::now();
    let e = remote(&home, &url, &Person::default()).refs().unwrap_err();
    assert!(e.kind() == Kind::Unreachable && e.what().contains("the ssh-agent does not sign"), "{e}");
    assert!(start.elapsed() < Duration::from_secs(4 * LIMIT), "{:?}", start.elapsed());
}
