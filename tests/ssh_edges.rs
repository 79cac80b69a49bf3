//! The corners of ssh, with the library against a real sshd; ssh and ssh-keygen judge what we read.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use sharelock::agent::exchange::rate;
use sharelock::error::{Kind, Result};
use sharelock::git::{PackSource, RefStatus, RefUpdate, Remote};
use sharelock::id::Oid;
use sharelock::ssh::known_hosts::{Answer, KnownHosts, name_of};
use sharelock::state::State;
use sharelock::state::db::Db;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::client::{Person, home, remote, server};
use support::{Home, Pass, Sshd, between, dribbling, git_ok, keygen, noise};

/// A home that the server lets in.
fn let_in(sshd: &Sshd, options: &str) -> Home {
    let home = home(sshd);
    home.let_in_with(sshd, options);
    home
}

fn trusting() -> Person {
    Person { trusts: true, ..Person::default() }
}

#[test]
fn a_new_host_is_remembered_when_a_person_says_so() {
    let (sshd, url) = server("");
    let home = Home::new();
    keygen("ed25519", &home.path("k"), "");
    sshd.authorize(&home.path("k.pub"), "");
    std::fs::create_dir(home.path(".ssh")).unwrap();
    std::fs::write(home.path(".ssh/config"), "IdentityFile ~/k\n").unwrap();
    let e = remote(&home, &url, &Person::default()).refs().unwrap_err();
    assert!(e.what().ends_with("is new to this device") && e.details().iter().any(|d| d.contains("SHA256:")), "{e}");
    remote(&home, &url, &trusting()).refs().unwrap();
    assert_eq!(std::fs::read_to_string(home.path(".ssh/known_hosts")).unwrap(), sshd.known("ed25519"));
    remote(&home, &url, &Person::default()).refs().unwrap();
    // `none` is no file of that name.
    std::fs::write(home.path(".ssh/config"), "IdentityFile ~/k\nUserKnownHostsFile none\n").unwrap();
    assert!(remote(&home, &url, &Person::default()).refs().is_err());
    remote(&home, &url, &trusting()).refs().unwrap();
    assert!(!Path::new("none").exists() && !home.path("none").exists());
}

#[test]
fn trust_keeps_what_is_not_this_host() {
    let (sshd, url) = server("");
    let home = home(&sshd);
    keygen("ed25519", &home.path("old"), "");
    let old = std::fs::read_to_string(home.path("old.pub")).unwrap();
    let old = old.trim();
    let me = format!("[127.0.0.1]:{}", sshd.port);
    let known = home.path("real");
    std::fs::write(&known, format!("# x\n{me} {old}\nother,{me} {old}\n*.lan {old}\nend {old}")).unwrap();
    std::fs::remove_file(home.path(".ssh/known_hosts")).unwrap();
    std::os::unix::fs::symlink(&known, home.path(".ssh/known_hosts")).unwrap();
    let mut r = remote(&home, &url, &Person::default());
    assert!(r.refs().unwrap_err().what().contains("another host key"));
    let line = sshd.known("ed25519");
    r.trust(&sshd.fingerprint("ed25519")).unwrap();
    assert_eq!(std::fs::read_to_string(&known).unwrap(), format!("# x\nother {old}\n*.lan {old}\nend {old}\n{line}"));
    assert!(home.path(".ssh/known_hosts").is_symlink());
}

/// `ssh-keygen -F` finds a line exactly when we do.
#[test]
fn known_hosts_as_ssh_keygen_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    keygen("ed25519", &dir.path().join("k"), "");
    let public = std::fs::read_to_string(dir.path().join("k.pub")).unwrap();
    let key: Vec<&str> = public.split_whitespace().take(2).collect();
    let bytes = data_encoding::BASE64.decode(key[1].as_bytes()).unwrap();
    let file = dir.path().join("kh");
    let plain = dir.path().join("hash");
    std::fs::write(&plain, format!("hashed.example {}\n[hashed.example]:2222 {}\n", key.join(" "), key.join(" "))).unwrap();
    assert!(Command::new("ssh-keygen").args(["-H", "-f"]).arg(&plain).output().unwrap().status.success());
    let hashed = std::fs::read_to_string(&plain).unwrap();
    let k = key.join(" ");
    let text = format!(
        "# c\nbroken\nplain.example,10.0.0.1 {k} note\n*.wild.example,!not.wild.example {k}\n[port.example]:2222 {k}\nUPPER.example {k}\n ind.example {k}\nq?.example\t{k}\n{hashed}"
    );
    std::fs::write(&file, text).unwrap();
    let known = KnownHosts::read(std::slice::from_ref(&file));
    for (host, port) in [
        ("plain.example", 22),
        ("10.0.0.1", 22),
        ("plain.example", 23),
        ("a.wild.example", 22),
        ("not.wild.example", 22),
        ("port.example", 2222),
        ("port.example", 22),
        ("upper.example", 22),
        ("Plain.Example", 22),
        ("ind.example", 22),
        ("qx.example", 22),
        ("qxx.example", 22),
        ("hashed.example", 22),
        ("hashed.example", 2222),
        ("hashed.example", 23),
        ("none", 22),
    ] {
        let name = name_of(host, port);
        let theirs = Command::new("ssh-keygen").arg("-F").arg(&name).arg("-f").arg(&file).output().unwrap();
        let theirs = theirs.status.success() && !theirs.stdout.is_empty();
        assert_eq!(known.ask(&name, &bytes) == Answer::Known, theirs, "{name}");
    }
}

struct Endless;

impl PackSource for Endless {
    fn objects(&self) -> u32 {
        1
    }
    fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
        // A stored stream that goes on for 64 MB.
        out.write_all(b"PACK\0\0\0\x02\0\0\0\x01\xb0\x80\x80\x80\x02\x78\x01")?;
        for _ in 0..1100 {
            out.write_all(&[0, 0xff, 0xff, 0, 0])?;
            out.write_all(&[0u8; 65_535])?;
        }
        Ok(())
    }
}

#[test]
fn a_line_that_goes_silent_is_given_up_once() {
    let (sshd, _) = server("");
    let home = let_in(&sshd, "");
    let oid = Oid([7; 20]);
    let update = RefUpdate { name: "refs/heads/main".into(), old: None, new: Some(oid) };
    for limit in [10_000, 300_000] {
        // So much of the client's goes on; then nothing more is taken in either direction, with the line open.
        let line = between(sshd.port, move |client, total| if client && total > limit { Pass::Hold } else { Pass::On });
        std::fs::write(home.path(".ssh/known_hosts"), sshd.known_by(line.port, "ed25519")).unwrap();
        let url = sshd.url_by(line.port, &sshd.dir.path().join("v.git"));
        let mut r = remote(&home, &url, &Person::default());
        r.refs().unwrap();
        let start = Instant::now();
        let e = r.push(std::slice::from_ref(&update), false, &mut Endless).unwrap_err();
        assert_eq!(e.kind(), Kind::Unreachable, "{e}");
        drop(r);
        // The idle limit is 2 s; it is not waited for again at every step of tidying up.
        assert!(start.elapsed() < Duration::from_secs(9), "{limit}: {:?}", start.elapsed());
    }
}

#[test]
fn a_kept_connection_that_died_is_made_anew() {
    let (sshd, _) = server("");
    let home = let_in(&sshd, "");
    let line = between(sshd.port, |_, _| Pass::On);
    let known = format!("{}{}", sshd.known_by(line.port, "ed25519"), sshd.known("ed25519"));
    std::fs::write(home.path(".ssh/known_hosts"), known).unwrap();
    let mut r = remote(&home, &sshd.url_by(line.port, &sshd.dir.path().join("v.git")), &Person::default());
    r.refs().unwrap();
    r.refs().unwrap();
    assert_eq!(line.connections(), 1, "one connection for both");
    line.cut();
    r.refs().unwrap();
    assert_eq!(line.connections(), 2);
}

#[test]
fn odd_names_and_a_repository_that_is_not_there() {
    let (sshd, _) = server("");
    let home = let_in(&sshd, "");
    let odd = sshd.dir.path().join("it's $(x) !.git");
    let mut r = remote(&home, &sshd.url(&odd), &Person::default());
    let e = r.refs().unwrap_err();
    assert!(e.kind() == Kind::Unreachable && e.what().contains("can't use"), "{e}");
    r.create().unwrap();
    assert!(r.refs().unwrap().is_empty() && odd.join("HEAD").exists());
    std::fs::write(odd.join("HEAD"), "ref: refs/heads/master\n").unwrap();
    assert!(r.set_head().unwrap());
    assert_eq!(std::fs::read_to_string(odd.join("HEAD")).unwrap(), "ref: refs/heads/main\n");
    // What the server refuses is heard.
    let update = RefUpdate { name: "refs/heads/main".into(), old: None, new: Some(Oid([7; 20])) };
    let said = r.push(&[update], false, &mut Endless);
    assert!(matches!(said.as_deref(), Ok([RefStatus::Refused(_)])) || said.is_err());
    r.refs().unwrap();
}

/// The three ways to let a key in, each alone, and never twice on one line.
#[test]
fn keys_are_appended() {
    use std::os::unix::fs::PermissionsExt;
    let (sshd, url) = server("");
    // The account's home must not be that of who runs the tests.
    let account = sshd.dir.path().join("account");
    std::fs::create_dir_all(account.join(".ssh")).unwrap();
    let sftp = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"]
        .into_iter()
        .find(|p| Path::new(p).exists());
    let mut ways = vec![
        ("shell", "*) exec sh -c \"$SSH_ORIGINAL_COMMAND\"".to_string()),
        ("dd", "\"dd of=\"*) exec sh -c \"$SSH_ORIGINAL_COMMAND\"".to_string()),
    ];
    ways.extend(sftp.map(|p| ("sftp", format!("*sftp*) exec {p}"))));
    let file = account.join(".ssh/authorized_keys");
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvxqzuFlMSgsnlxo+h1qGrgL0hbQmpbmoTtoz2Ur0E pi";
    for (way, case) in ways {
        let only = sshd.dir.path().join(format!("only_{way}"));
        std::fs::write(
            &only,
            format!(
                "#!/bin/sh\nHOME={0}; export HOME; cd {0}\ncase \"$SSH_ORIGINAL_COMMAND\" in\n{case};;\n*) exit 1;;\nesac\n",
                account.display()
            ),
        )
        .unwrap();
        std::fs::set_permissions(&only, PermissionsExt::from_mode(0o755)).unwrap();
        let home = let_in(&sshd, &format!("restrict,command=\"{}\"", only.display()));
        // Its last line has no end.
        std::fs::write(&file, "ssh-rsa OLD").unwrap();
        remote(&home, &url, &Person::default()).authorize(line).unwrap_or_else(|e| panic!("{way}: {e}"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("ssh-rsa OLD\n{line}\n"), "{way}");
    }
    let home = let_in(&sshd, "restrict,command=\"exit 1\"");
    let e = remote(&home, &url, &Person::default()).authorize(line).unwrap_err();
    assert!(e.details().iter().any(|d| d == line), "{e}");
}

/// The end of a command may come at any moment, also between the reads of the two streams: whichever takes it in, nothing
/// is waited for that has come already.
#[test]
fn the_end_of_a_command_is_heard_whenever_it_comes() {
    let (sshd, _) = server("");
    // Words on standard error, too: both streams are read.
    let home = let_in(&sshd, "command=\"echo words >&2; exec sh -c \\\"$SSH_ORIGINAL_COMMAND\\\"\"");
    let line = dribbling(sshd.port);
    std::fs::write(home.path(".ssh/known_hosts"), sshd.known_by(line.port, "ed25519")).unwrap();
    let mut r = remote(&home, &sshd.url_by(line.port, &sshd.dir.path().join("v.git")), &Person::default());
    for n in 0..30 {
        // What is missed is waited for until the limit, and is an error then.
        r.refs().unwrap_or_else(|e| panic!("{n}: {e}"));
    }
}

#[test]
fn a_repository_below_the_accounts_home_gets_its_head_by_git() {
    let place = tempfile::tempdir().unwrap();
    // SFTP knows another home: only git can do it.
    let sshd = Sshd::start(&["ed25519"], &format!("SetEnv HOME={}", place.path().display()));
    let home = let_in(&sshd, "");
    git_ok(place.path(), &["init", "-q", "--bare", "-b", "master", "of it's.git"]);
    let mut r = remote(&home, &format!("ssh://{}@127.0.0.1:{}/~/of%20it's.git", support::user(), sshd.port), &Person::default());
    assert!(r.refs().unwrap().is_empty());
    assert!(r.set_head().unwrap());
    assert_eq!(git_ok(&place.path().join("of it's.git"), &["symbolic-ref", "HEAD"]), "refs/heads/main\n");
}

/// How fast a line was is known from the last push that tells something of it, until it breaks.
#[test]
fn a_broken_line_is_one_that_nothing_is_known_of() {
    let (sshd, _) = server("");
    let home = let_in(&sshd, "");
    let broken = Arc::new(AtomicBool::new(false));
    let cuts = broken.clone();
    let line = between(sshd.port, move |_, total| match cuts.load(Ordering::SeqCst) && total > 500_000 {
        true => Pass::Cut,
        false => Pass::On,
    });
    std::fs::write(home.path(".ssh/known_hosts"), sshd.known_by(line.port, "ed25519")).unwrap();
    home.write("small", "small");
    home.init(&sshd.url_by(line.port, &sshd.dir.path().join("v.git")));
    let rate = || {
        let db = Db::open(&home.path(".local/state/sharelock/state.db")).unwrap();
        db.value(&rate::key("origin")).unwrap().map(|v| String::from_utf8(v).unwrap().parse::<u64>().unwrap())
    };
    assert_eq!(rate(), None, "a small push tells nothing");
    for (n, breaks) in [false, true, false].into_iter().enumerate() {
        std::fs::write(home.share("large"), noise(2_000_000, n as u64)).unwrap();
        broken.store(breaks, Ordering::SeqCst);
        let r = home.run(["sync"]);
        assert_eq!(r.code, if breaks { 5 } else { 0 }, "{}{}", r.out, r.err);
        assert_eq!(rate().is_none(), breaks, "{n}: {:?}", rate());
    }
}
