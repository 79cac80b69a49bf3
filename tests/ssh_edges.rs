//! The corners of ssh, with the library against a real sshd; ssh and ssh-keygen judge what we read.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use sharelock::error::{Error, Kind, Result};
use sharelock::git::{PackSource, RefStatus, RefUpdate, Remote};
use sharelock::id::Oid;
use sharelock::ssh::known_hosts::{Answer, KnownHosts, name_of};
use sharelock::ssh::remote::SshRemote;
use sharelock::ssh::session::{Ask, Settings};
use sharelock::ssh::url::Url;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Home, Sshd, git_ok, keygen, wait_for};
use zeroize::Zeroizing;

/// Answers as a test says.
#[derive(Clone, Default)]
struct Answers {
    host: bool,
    passphrase: Option<&'static str>,
}

impl Ask for Answers {
    fn host_key(&mut self, _: &str, _: &str, _: &str) -> bool {
        self.host
    }
    fn passphrase(&mut self, _: &Path) -> Option<Zeroizing<String>> {
        self.passphrase.map(|p| Zeroizing::new(p.to_string()))
    }
    fn password(&mut self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

fn settings(home: &Home) -> Settings {
    Settings { home: home.dir.path().into(), own_key: home.path("own"), connect_timeout: 5, idle_timeout: 3, node: "origin".into() }
}

fn remote(home: &Home, url: &str, answers: Answers) -> SshRemote {
    SshRemote::new(Url::parse(url).unwrap(), settings(home), Box::new(answers))
}

/// A server with an empty repository `v.git`.
fn server(more: &str) -> (Sshd, String) {
    let sshd = Sshd::start(&["ed25519"], more);
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "main", "v.git"]);
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    (sshd, url)
}

/// A home that knows the server, with an empty agent.
fn home(sshd: &Sshd) -> Home {
    let home = Home::new();
    std::fs::create_dir(home.path(".ssh")).unwrap();
    std::fs::write(home.path(".ssh/known_hosts"), sshd.known("ed25519")).unwrap();
    std::fs::write(home.path(".ssh/config"), "IdentityAgent none\n").unwrap();
    home
}

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
            let e = remote(&home, &url, Answers { passphrase: answer, ..Answers::default() }).refs().unwrap_err();
            assert!(refused(&e), "{format} {kind}: {e}");
        }
        let r = remote(&home, &url, Answers { passphrase: Some("open sesame"), ..Answers::default() }).refs();
        assert!(r.is_ok(), "{format} {kind}: {r:?}");
    }
}

/// An agent with these keys.
struct Agent(Child);

impl Agent {
    fn start(home: &Home, keys: &[&str]) -> Agent {
        let socket = home.path("agent.sock");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        wait_for("ssh-agent", || socket.exists());
        let agent = Agent(child);
        for k in keys {
            let done = Command::new("ssh-add").arg(home.path(k)).env("SSH_AUTH_SOCK", &socket).stdin(Stdio::null()).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_agent_and_too_many_keys() {
    let (sshd, url) = server("MaxAuthTries 3");
    let home = home(&sshd);
    for n in 0..6 {
        keygen("ed25519", &home.path(&format!("k{n}")), "");
    }
    let _agent = Agent::start(&home, &["k0", "k1", "k2", "k3", "k4", "k5"]);
    let config = |more: &str| {
        std::fs::write(home.path(".ssh/config"), format!("IdentityAgent ~/agent.sock\n{more}")).unwrap();
    };
    // The server hangs up after three: that is a login refused, not a line that broke.
    config("");
    let e = remote(&home, &url, Answers::default()).refs().unwrap_err();
    assert!(refused(&e), "{e} {:?}", e.details());
    // The agent's last key is the right one; its private file is gone. The configuration names it.
    sshd.authorize(&home.path("k5.pub"), "");
    std::fs::remove_file(home.path("k5")).unwrap();
    let e = remote(&home, &url, Answers::default()).refs().unwrap_err();
    assert!(refused(&e), "{e}");
    for more in ["IdentityFile ~/k5\n", "IdentityFile ~/k5\nIdentitiesOnly yes\n", "IdentitiesOnly yes\nIdentityFile ~/k5.pub\n"] {
        config(more);
        remote(&home, &url, Answers::default()).refs().unwrap_or_else(|e| panic!("{more}: {e}"));
    }
    // This device's own key comes before all of them.
    config("");
    let line = sharelock::ssh::key::make(&home.path("own"), "dev").unwrap();
    std::fs::write(home.path("line.pub"), line).unwrap();
    sshd.authorize(&home.path("line.pub"), "");
    remote(&home, &url, Answers::default()).refs().unwrap();
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
    remote(&home, &url, Answers::default()).refs().unwrap();
    std::fs::remove_file(home.path(".ssh/id_rsa")).unwrap();
    let e = remote(&home, &url, Answers::default()).refs().unwrap_err();
    assert!(e.details().iter().any(|d| d.contains("others can read it")), "{:?}", e.details());
}

#[test]
fn a_new_host_is_remembered_when_a_person_says_so() {
    let (sshd, url) = server("");
    let home = Home::new();
    keygen("ed25519", &home.path("k"), "");
    sshd.authorize(&home.path("k.pub"), "");
    std::fs::create_dir(home.path(".ssh")).unwrap();
    std::fs::write(home.path(".ssh/config"), "IdentityFile ~/k\n").unwrap();
    let e = remote(&home, &url, Answers::default()).refs().unwrap_err();
    assert!(e.what().ends_with("is new to this device") && e.details().iter().any(|d| d.contains("SHA256:")), "{e}");
    remote(&home, &url, Answers { host: true, ..Answers::default() }).refs().unwrap();
    assert_eq!(std::fs::read_to_string(home.path(".ssh/known_hosts")).unwrap(), sshd.known("ed25519"));
    remote(&home, &url, Answers::default()).refs().unwrap();
    // `none` is no file of that name.
    std::fs::write(home.path(".ssh/config"), "IdentityFile ~/k\nUserKnownHostsFile none\n").unwrap();
    assert!(remote(&home, &url, Answers::default()).refs().is_err());
    remote(&home, &url, Answers { host: true, ..Answers::default() }).refs().unwrap();
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
    let mut r = remote(&home, &url, Answers::default());
    assert!(r.refs().unwrap_err().what().contains("another host key"));
    let line = sshd.known("ed25519");
    let shown = Command::new("ssh-keygen").arg("-lf").arg(sshd.dir.path().join("host_ed25519.pub")).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    r.trust(shown.split(' ').nth(1).unwrap()).unwrap();
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

/// `ssh -G` and our reading of keys, files and agents.
#[test]
fn config_as_ssh_reads_it() {
    let home = Home::new();
    let file = home.path("config");
    let path = |name: &str| home.path(name).display().to_string();
    for text in [
        format!("IdentityFile {}/%h-%n-%p-%r\nHostName real.%h\nPort 77\nUser me\n", path("d")),
        "ProxyJump none\nHost *\n ProxyJump elsewhere\n User a\n".to_string(),
        "ProxyCommand none\nUser a\n".to_string(),
        format!("UserKnownHostsFile {} {}\nUserKnownHostsFile {}\n", path("a"), path("b"), path("c")),
        "UserKnownHostsFile none\n".to_string(),
        format!("IdentityAgent {}\nIdentityAgent none\n", path("s")),
        "IdentitiesOnly yes\nIdentitiesOnly no\nHostKeyAlias  other\n".to_string(),
        format!("Host x\n IdentityFile {0}/1\nHost h y\n IdentityFile {0}/2\nHost *\n IdentityFile {0}/3\n", path("d")),
    ] {
        std::fs::write(&file, &text).unwrap();
        let ours = sharelock::ssh::config::read(&file, "h", home.dir.path()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let out = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg("h").output().unwrap();
        let theirs = String::from_utf8(out.stdout).unwrap();
        let values =
            |key: &str| theirs.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix(' ')).map(str::to_string).collect::<Vec<_>>();
        let show = |list: &[std::path::PathBuf]| list.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        if !ours.identity_files.is_empty() {
            // -G shows tokens as they stand.
            assert_eq!(ours.identity_files.len(), values("identityfile").len(), "{text}");
            let theirs: Vec<String> = values("identityfile")
                .iter()
                .map(|f| f.replace("%h", "real.h").replace("%n", "h").replace("%p", "77").replace("%r", "me"))
                .collect();
            assert_eq!(show(&ours.identity_files), theirs, "{text}");
        }
        match &ours.known_hosts {
            Some(list) if list.is_empty() => assert_eq!(values("userknownhostsfile"), ["none"]),
            Some(list) => assert_eq!(show(list).join(" "), values("userknownhostsfile")[0], "{text}"),
            None => {}
        }
        if let Some(agent) = ours.identity_agent {
            assert_eq!([agent], *values("identityagent"), "{text}");
        }
        if let Some(only) = ours.identities_only {
            assert_eq!([if only { "yes" } else { "no" }], *values("identitiesonly"));
        }
        if let Some(alias) = ours.host_key_alias {
            assert_eq!([alias], *values("hostkeyalias"));
        }
    }
    for (text, at) in [
        ("User a\nProxyJump x\n", "config:2"),
        ("Match host h\nUser x\n", "config:1"),
        ("Host h\n ProxyCommand nc\n", "config:2"),
        ("Port x\n", "config:1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let e = sharelock::ssh::config::read(&file, "h", home.dir.path()).unwrap_err();
        assert!(e.kind() == Kind::Usage && e.what().contains(at), "{e}");
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

/// Passes `limit` bytes of the client's on, then nothing more in either direction, with the line open.
fn stopping_proxy(port: u16, limit: usize) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let here = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut back, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut to));
            std::thread::spawn(move || {
                let mut left = limit;
                let mut buffer = [0u8; 4096];
                while left > 0 {
                    let n = client.read(&mut buffer).unwrap_or(0);
                    if n == 0 || server.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                    left = left.saturating_sub(n);
                }
                std::thread::sleep(Duration::from_secs(60));
            });
        }
    });
    here
}

#[test]
fn a_line_that_goes_silent_is_given_up_once() {
    let (sshd, _) = server("");
    let home = home(&sshd);
    keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
    sshd.authorize(&home.path(".ssh/id_ed25519.pub"), "");
    let oid = Oid([7; 20]);
    let update = RefUpdate { name: "refs/heads/main".into(), old: None, new: Some(oid) };
    for limit in [10_000, 300_000] {
        let port = stopping_proxy(sshd.port, limit);
        std::fs::write(home.path(".ssh/known_hosts"), sshd.known("ed25519").replace(&sshd.port.to_string(), &port.to_string())).unwrap();
        let url = format!("ssh://{}@127.0.0.1:{port}{}", support::user(), sshd.dir.path().join("v.git").display());
        let mut r = remote(&home, &url, Answers::default());
        r.refs().unwrap();
        let start = Instant::now();
        let e = r.push(std::slice::from_ref(&update), false, &mut Endless).unwrap_err();
        assert_eq!(e.kind(), Kind::Unreachable, "{e}");
        drop(r);
        // The idle limit is 3 s; it is not waited for again at every step of tidying up.
        assert!(start.elapsed() < Duration::from_secs(9), "{limit}: {:?}", start.elapsed());
    }
}

type Lines = std::sync::Arc<std::sync::Mutex<Vec<TcpStream>>>;

/// Passes everything on; a test can break its lines.
fn breakable_proxy(port: u16) -> (u16, Lines) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let here = listener.local_addr().unwrap().port();
    let lines = Lines::default();
    let list = lines.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            list.lock().unwrap().push(client.try_clone().unwrap());
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (here, lines)
}

#[test]
fn a_kept_connection_that_died_is_made_anew() {
    let (sshd, url) = server("");
    let home = home(&sshd);
    keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
    sshd.authorize(&home.path(".ssh/id_ed25519.pub"), "");
    let (port, lines) = breakable_proxy(sshd.port);
    let line = sshd.known("ed25519").replace(&sshd.port.to_string(), &port.to_string());
    std::fs::write(home.path(".ssh/known_hosts"), format!("{line}{}", sshd.known("ed25519"))).unwrap();
    let mut r = remote(&home, &url.replace(&sshd.port.to_string(), &port.to_string()), Answers::default());
    r.refs().unwrap();
    r.refs().unwrap();
    assert_eq!(lines.lock().unwrap().len(), 1, "one connection for both");
    for l in &*lines.lock().unwrap() {
        l.shutdown(std::net::Shutdown::Both).unwrap();
    }
    r.refs().unwrap();
    assert_eq!(lines.lock().unwrap().len(), 2);
}

#[test]
fn odd_names_and_a_repository_that_is_not_there() {
    let (sshd, _) = server("");
    let home = home(&sshd);
    keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
    sshd.authorize(&home.path(".ssh/id_ed25519.pub"), "");
    let odd = sshd.dir.path().join("it's $(x) !.git");
    let mut r = remote(&home, &sshd.url(&odd), Answers::default());
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
        let home = home(&sshd);
        keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
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
        sshd.authorize(&home.path(".ssh/id_ed25519.pub"), &format!("restrict,command=\"{}\"", only.display()));
        // Its last line has no end.
        std::fs::write(&file, "ssh-rsa OLD").unwrap();
        remote(&home, &url, Answers::default()).authorize(line).unwrap_or_else(|e| panic!("{way}: {e}"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("ssh-rsa OLD\n{line}\n"), "{way}");
    }
    let home = home(&sshd);
    keygen("ed25519", &home.path(".ssh/id_ed25519"), "");
    sshd.authorize(&home.path(".ssh/id_ed25519.pub"), "restrict,command=\"exit 1\"");
    let e = remote(&home, &url, Answers::default()).authorize(line).unwrap_err();
    assert!(e.details().iter().any(|d| d == line), "{e}");
}
