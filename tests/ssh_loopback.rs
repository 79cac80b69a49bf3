//! Storage nodes by ssh, against a real sshd on the loopback interface.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::{Agent, Home, Pass, Passwords, Sshd, Terminal, assert_equal_trees, between, git_ok, keygen, ran};

/// A home that a server lets in, with a vault on it.
fn vault(sshd: &Sshd) -> (Home, String) {
    let a = Home::new();
    a.let_in(sshd);
    a.write("x.txt", "hello\n");
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    a.init(&url);
    (a, url)
}

#[test]
fn two_devices_by_a_key_on_file() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, url) = vault(&sshd);
    let b = Home::new();
    b.let_in(&sshd);
    b.join(&url, &a, "beta");
    assert_equal_trees(&a.path("share"), &b.path("share"));
    b.write("y.txt", "from b\n");
    b.ok(["sync"]);
    a.ok(["sync"]);
    assert_eq!(a.read("y.txt"), "from b\n");
    let node = sshd.dir.path().join("v.git");
    assert_eq!(git_ok(&node, &["fsck", "--strict"]), "");
    assert_eq!(git_ok(&node, &["symbolic-ref", "HEAD"]), "refs/heads/main\n");
    // After a gc the server sends deltas.
    for n in 0..12 {
        a.write("x.txt", &format!("edit {n}\n"));
        a.ok(["sync"]);
    }
    git_ok(&node, &["gc", "-q"]);
    b.ok(["sync"]);
    assert_eq!(b.read("x.txt"), "edit 11\n");
    git_ok(&b.path("secure"), &["fsck", "--strict"]);
}

#[test]
fn a_repository_made_as_the_article_makes_it() {
    let sshd = Sshd::start(&["ed25519"], "");
    let node = sshd.dir.path().join("autosync.git");
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "master", "autosync.git"]);
    let a = Home::new();
    a.let_in(&sshd);
    a.write("x", "x");
    a.ok(["init", "--device", "a", "--remote", &sshd.url(&node), "--recovery-key-out", &a.path("rk").display().to_string()]);
    git_ok(sshd.dir.path(), &["clone", "-q", "autosync.git", "clone"]);
    assert!(sshd.dir.path().join("clone/vault").exists(), "a plain clone has the files");
}

#[test]
fn agent_and_passphrase() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, url) = vault(&sshd);
    let b = Home::new();
    b.knows(&sshd);
    keygen("ed25519", &b.path(".ssh/id_ed25519"), "open sesame");
    sshd.authorize(&b.path(".ssh/id_ed25519.pub"), "");
    let rk = a.path("rk").display().to_string();
    let r = b.run(["join", &url, "--device", "b", "--recovery-key-file", &rk]);
    assert!(r.code == 5 && r.err.contains("its passphrase was not given"), "{}", r.err);
    // The agent has the key open.
    let agent = Agent::start(&b, &[".ssh/id_ed25519"], "open sesame");
    let join = ["join", &url, "--device", "b", "--recovery-key-file", &rk];
    let joined = b.command(join).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    let r = ran(joined);
    assert_eq!(r.code, 0, "{}", r.err);
    assert_eq!(b.read("x.txt"), "hello\n");
}

#[test]
fn host_keys() {
    let sshd = Sshd::start(&["ed25519", "ecdsa"], "");
    let (a, url) = vault(&sshd);
    let known = a.path(".ssh/known_hosts");
    // Unknown: refused without a terminal, with the fingerprint that ssh-keygen shows.
    std::fs::write(&known, "").unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 5 && r.err.contains("127.0.0.1 is new to this device"), "{}", r.err);
    let shown = ["ed25519", "ecdsa"].map(|kind| sshd.fingerprint(kind));
    assert!(shown.iter().any(|f| r.err.contains(f)), "{} {shown:?}", r.err);
    // Only the ecdsa key on file: no false alarm.
    std::fs::write(&known, sshd.known("ecdsa")).unwrap();
    a.ok(["sync"]);
    // Hashed.
    std::fs::write(&known, sshd.known("ed25519")).unwrap();
    assert!(Command::new("ssh-keygen").args(["-H", "-f"]).arg(&known).output().unwrap().status.success());
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("|1|"));
    a.ok(["sync"]);
    // Changed.
    let other = a.path("other");
    keygen("ed25519", &other, "");
    let line = std::fs::read_to_string(a.path("other.pub")).unwrap();
    let key: Vec<&str> = line.split_whitespace().collect();
    std::fs::write(&known, format!("# mine\n[127.0.0.1]:{} {} {}\n", sshd.port, key[0], key[1])).unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 5 && r.err.starts_with("sharelock: not connected: 127.0.0.1 has another host key than on file\n"), "{}", r.err);
    assert!(r.err.contains(".ssh/known_hosts:2") && r.err.contains("sharelock remote trust origin SHA256:..."), "{}", r.err);
    assert_eq!(a.run(["remote", "trust", "origin", "SHA256:wrong"]).code, 2);
    let mine = format!("SHA256:{}", "A".repeat(43));
    let r = a.run(["remote", "trust", "origin", &mine]);
    assert!(r.code == 6 && r.err.contains(&mine) && r.err.contains(&sshd.fingerprint("ed25519")), "{}", r.err);
    a.ok(["remote", "trust", "origin", &sshd.fingerprint("ed25519")]);
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("# mine\n"), "other lines stay");
    a.ok(["sync"]);
    // Revoked.
    let line = sshd.known("ed25519");
    let revoked = line.split_once(' ').unwrap().1;
    std::fs::write(&known, format!("{line}@revoked * {revoked}")).unwrap();
    let r = a.run(["sync"]);
    assert!(r.code == 5 && r.err.contains("was revoked"), "{}", r.err);
    let _ = url;
}

/// Unattended: the fingerprint that somebody has read off the server, of any of its keys, instead of the question.
#[test]
fn the_host_key_of_a_first_contact_is_given() {
    let sshd = Sshd::start(&["ed25519", "ecdsa", "rsa"], "");
    let a = Home::new();
    a.let_in(&sshd);
    a.write("x.txt", "hello\n");
    let known = a.path(".ssh/known_hosts");
    std::fs::remove_file(&known).unwrap();
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    let rk = a.path("rk").display().to_string();
    let init = ["init", "--device", "a", "--create", "--recovery-key-out", &rk, "--remote", &url];
    // Without it the command is repeated with the fingerprint that ssh-keygen shows on the server.
    let r = a.run(init);
    let answer = format!("{} --host-key {}\n", init.join(" "), sshd.fingerprint("ed25519"));
    assert!(r.code == 5 && r.err.ends_with(&answer), "{}", r.err);
    let other = format!("SHA256:{}", "A".repeat(43));
    let r = a.run(init.into_iter().chain(["--host-key", &other]));
    assert_eq!(r.code, 6, "{}", r.err);
    assert!(r.err.contains("\nsharelock: not connected: 127.0.0.1 shows another host key than that\n"), "{}", r.err);
    assert!(r.err.contains(&format!("given  {other}\n  shown  {}\n", sshd.fingerprint("ed25519"))), "{}", r.err);
    assert!(!known.exists() && !sshd.dir.path().join("v.git").exists());
    let r = a.run(init.into_iter().chain(["--host-key", "ab:cd"]));
    assert!(r.code == 2 && r.err.contains("is no fingerprint"), "{}", r.err);
    a.ok(init.into_iter().chain(["--host-key", &sshd.fingerprint("rsa")]));
    assert_eq!(std::fs::read_to_string(&known).unwrap(), sshd.known("rsa"));
    a.ok(["sync"]);
    let b = Home::new();
    b.let_in(&sshd);
    std::fs::remove_file(b.path(".ssh/known_hosts")).unwrap();
    let f = sshd.fingerprint("ecdsa");
    b.ok(["join", &url, "--device", "b", "--recovery-key-file", &rk, "--host-key", &f]);
    assert_eq!(std::fs::read_to_string(b.path(".ssh/known_hosts")).unwrap(), sshd.known("ecdsa"));
    // A key of this host that is on file gives way to the one that somebody answers for.
    b.ok(["remote", "add", "--create", "--host-key", &sshd.fingerprint("ed25519"), "two", &url.replace("v.git", "two.git")]);
    assert_eq!(std::fs::read_to_string(b.path(".ssh/known_hosts")).unwrap(), sshd.known("ed25519"));
    b.ok(["sync"]);
    let r = b.run(["remote", "add", "--create", "--host-key", &f, "usb", &b.path("usb.git").display().to_string()]);
    assert!(r.code == 2 && r.err.contains("it has no host key"), "{}", r.err);
}

/// At a terminal `join` takes the server's password once, as ssh-copy-id does.
#[test]
fn join_takes_the_servers_password_once() {
    let Some(account) = Passwords::start("PasswordAuthentication yes") else { return };
    let a = Home::new();
    let b = Home::new();
    a.write("x.txt", "hello\n");
    let node = account.home.path().join("v.git");
    a.init(&node.display().to_string());
    b.knows(&account.sshd);
    let url = account.sshd.url(&node);
    let rk = a.path("rk").display().to_string();
    let mut t = Terminal::start(&b, &["join", &url, "--device", "b", "--recovery-key-file", &rk]);
    t.wait("sharelock remote authorize origin 'ssh-ed25519 ");
    t.wait("password of ").line("wrong").wait("that is not the password. 2 tries left").wait("password:").line(Passwords::RIGHT);
    t.wait("let in").wait("password for this device").line("mine").wait("once more").line("mine");
    assert_eq!(t.end(), 0, "{}", t.text());
    assert_eq!(b.read("x.txt"), "hello\n");
}

#[test]
fn ssh_config_names_host_port_user_and_key() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, _) = vault(&sshd);
    let b = Home::new();
    std::fs::create_dir(b.path(".ssh")).unwrap();
    keygen("ecdsa", &b.path("special key"), "");
    sshd.authorize(&b.path("special key.pub"), "");
    std::fs::write(b.path("kh"), sshd.known("ed25519")).unwrap();
    let config = format!(
        "Host other\n  Port 1\nInclude more\nHost sync !x\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile \"~/special key\"\n  UserKnownHostsFile ~/kh\n",
        sshd.port,
        support::user()
    );
    std::fs::write(b.path(".ssh/config"), &config).unwrap();
    std::fs::write(b.path(".ssh/more"), "Host nothing\n ProxyJump y\n").unwrap();
    let url = format!("sync:{}", sshd.dir.path().join("v.git").display());
    b.join(&url, &a, "b");
    assert_eq!(b.read("x.txt"), "hello\n");
    std::fs::write(b.path(".ssh/config"), format!("{config}\nHost s*\n  ProxyJump elsewhere\n")).unwrap();
    let r = b.run(["sync"]);
    assert!(r.code == 2 && r.err.contains(".ssh/config:12: a connection through another host is not supported"), "{}", r.err);
}

#[test]
fn ssh_itself_judges_our_reading_of_its_configuration() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    let file = home.path().join(".ssh/config");
    for (text, host) in [
        ("Host a\n Port 7\nHost *\n Port 8\n User u\n HostName h.%h\n", "a"),
        ("Host a\n Port 7\nHost *\n Port 8\n User u\n HostName h.%h\n", "b"),
        ("User first\nHost *.x !no.x\n User second\n Port=99\n", "yes.x"),
        ("User first\nHost *.x !no.x\n Port 99\n", "no.x"),
        ("Match all\n User m\n", "z"),
        ("Host a b \"c\"\n User \"quoted\" # remark\n", "c"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ours = sharelock::ssh::config::read(&file, host, home.path()).unwrap();
        let out = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg(host).output().unwrap();
        let theirs = String::from_utf8(out.stdout).unwrap();
        let value = |key: &str| theirs.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.trim().to_string()).unwrap_or_default();
        assert_eq!(ours.host_name.unwrap_or_else(|| host.into()), value("hostname "), "{text} {host}");
        assert_eq!(ours.port.unwrap_or(22).to_string(), value("port "), "{text} {host}");
        if let Some(user) = ours.user {
            assert_eq!(user, value("user "), "{text} {host}");
        }
    }
}

#[test]
fn a_restricted_account_as_providers_have() {
    let sshd = Sshd::start(&["ed25519"], "");
    let a = Home::new();
    let only = sshd.dir.path().join("only");
    std::fs::write(
        &only,
        "#!/bin/sh\ncase \"$SSH_ORIGINAL_COMMAND\" in\n  \"git-upload-pack '\"*|\"git-receive-pack '\"*|\"git init --bare \"*|\"dd of=\"*) exec sh -c \"$SSH_ORIGINAL_COMMAND\" ;;\n  *) echo 'not allowed' >&2; exit 1 ;;\nesac\n",
    )
    .unwrap();
    std::fs::set_permissions(&only, PermissionsExt::from_mode(0o755)).unwrap();
    a.let_in_with(&sshd, &format!("restrict,command=\"{}\"", only.display()));
    a.write("x", "x");
    let node = sshd.dir.path().join("v.git");
    // An old git would leave HEAD at master.
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "master", "v.git"]);
    a.ok(["init", "--device", "a", "--remote", &sshd.url(&node), "--create", "--recovery-key-out", &a.path("rk").display().to_string()]);
    assert_eq!(std::fs::read_to_string(node.join("HEAD")).unwrap().trim(), "ref: refs/heads/main", "set by dd");
    a.write("y", "y");
    a.ok(["sync"]);
}

#[test]
fn git_shell() {
    let sshd = Sshd::start(&["ed25519"], "");
    let a = Home::new();
    a.let_in_with(&sshd, "restrict,command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\"");
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "main", "v.git"]);
    a.write("x", "x");
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    a.ok(["init", "--device", "a", "--remote", &url, "--recovery-key-out", &a.path("rk").display().to_string()]);
    let r = a.run(["remote", "add", "--create", "two", &sshd.url(&sshd.dir.path().join("none.git"))]);
    assert!(r.code == 1 && r.err.contains("make an empty, private repository without README there"), "{}", r.err);
}

#[test]
fn the_key_of_another_device_is_let_in() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, url) = vault(&sshd);
    let b = Home::new();
    b.knows(&sshd);
    let rk = a.path("rk").display().to_string();
    let r = b.run(["join", &url, "--device", "b", "--recovery-key-file", &rk]);
    assert_eq!(r.code, 5);
    let line = r.err.split('\'').nth(1).expect("the line for authorized_keys").to_string();
    assert!(line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" b"), "{line}");
    assert_eq!(std::fs::metadata(b.path(".config/sharelock/id_ed25519")).unwrap().permissions().mode() & 0o777, 0o600);
    // ssh-keygen reads the key that was made.
    let shown = Command::new("ssh-keygen").arg("-yf").arg(b.path(".config/sharelock/id_ed25519")).output().unwrap();
    assert!(line.starts_with(String::from_utf8_lossy(&shown.stdout).split(" b").next().unwrap().trim()));
    sshd.authorize(&b.path(".config/sharelock/id_ed25519.pub"), "");
    b.join(&url, &a, "b");
    assert_eq!(b.read("x.txt"), "hello\n");
    assert_eq!(a.run(["remote", "authorize", "origin", "command=\"x\" ssh-ed25519 AAAA"]).code, 2);
}

#[test]
fn lines_that_break_in_the_middle() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, _) = vault(&sshd);
    let b = Home::new();
    b.let_in(&sshd);
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    b.join(&url, &a, "b");
    let config = a.path(".config/sharelock/config.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let mut cut = 0;
    for (n, limit) in [6_000u64, 9_000, 30_000, 200_000, 600_000].into_iter().enumerate() {
        std::fs::write(a.share(&format!("big{n}")), support::noise(700_000, n as u64)).unwrap();
        let bad = between(sshd.port, move |_, total| if total > limit { Pass::Cut } else { Pass::On });
        let port = bad.port;
        std::fs::write(&config, good.replace(&sshd.port.to_string(), &port.to_string())).unwrap();
        let line = sshd.known_by(port, "ed25519");
        std::fs::write(a.path(".ssh/known_hosts"), format!("{}{line}", sshd.known("ed25519"))).unwrap();
        let r = a.run(["sync"]);
        assert!(r.code == 5 || r.code == 0, "{limit}: {r:?}");
        cut += u32::from(r.code == 5);
        // The same for the receiving side.
        let theirs = b.path(".config/sharelock/config.toml");
        let plain = std::fs::read_to_string(&theirs).unwrap();
        std::fs::write(&config, &good).unwrap();
        a.ok(["sync"]);
        std::fs::write(&theirs, plain.replace(&sshd.port.to_string(), &port.to_string())).unwrap();
        std::fs::write(b.path(".ssh/known_hosts"), format!("{}{line}", sshd.known("ed25519"))).unwrap();
        let r = b.run(["sync"]);
        assert!(r.code == 5 || r.code == 0, "{limit}: {r:?}");
        cut += u32::from(r.code == 5);
        std::fs::write(&theirs, &plain).unwrap();
        b.ok(["sync"]);
        assert_equal_trees(&a.path("share"), &b.path("share"));
    }
    assert!(cut >= 6, "lines were cut: {cut}");
    git_ok(&sshd.dir.path().join("v.git"), &["fsck", "--strict"]);
    git_ok(&b.path("secure"), &["fsck", "--strict"]);
    b.ok(["verify"]);
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, _) = vault(&sshd);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = a.path(".config/sharelock/config.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, good.replace(&sshd.port.to_string(), &port.to_string())).unwrap();
    let start = std::time::Instant::now();
    let r = a.run(["sync"]);
    assert!(r.code == 5 && r.err.contains("is not reachable"), "{}", r.err);
    assert!(start.elapsed().as_secs() < 60, "it waits for a bounded time");
    drop(listener);
}

#[test]
fn a_repository_that_refuses_our_namespace_still_takes_everything() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, _) = vault(&sshd);
    let node = sshd.dir.path().join("v.git");
    git_ok(&node, &["config", "receive.hideRefs", "refs/sharelock"]);
    git_ok(&node, &["config", "--add", "receive.hideRefs", "refs/heads/sharelock"]);
    // More than one batch.
    for n in 0..3u64 {
        std::fs::write(a.share(&format!("big{n}")), support::noise(30_000_000, n)).unwrap();
    }
    a.ok(["sync"]);
    git_ok(&node, &["fsck", "--strict"]);
    assert_eq!(git_ok(&node, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    // And one that takes it is left without a trace of it.
    let free = sshd.dir.path().join("free.git");
    a.ok(["remote", "add", "--create", "free", &sshd.url(&free)]);
    assert_eq!(git_ok(&free, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    git_ok(&free, &["fsck", "--strict"]);
}

/// What stands on the head that the server showed last is offered to it without asking; meanwhile another device has pushed.
#[test]
fn a_push_of_another_device_before_what_is_offered() {
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, url) = vault(&sshd);
    let node = sshd.dir.path().join("v.git");
    let b = Home::new();
    // Notes which of git's services is asked for.
    let (gate, asked) = (sshd.dir.path().join("gate"), sshd.dir.path().join("asked"));
    let script = format!(
        "#!/bin/sh\ncd {}\necho \"${{SSH_ORIGINAL_COMMAND%% *}}\" >>asked\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        sshd.dir.path().display()
    );
    std::fs::write(&gate, script).unwrap();
    std::fs::set_permissions(&gate, PermissionsExt::from_mode(0o755)).unwrap();
    b.let_in_with(&sshd, &format!("command=\"{}\"", gate.display()));
    b.join(&url, &a, "beta");
    let services = |change: &str| {
        let _ = std::fs::remove_file(&asked);
        b.write(change, "of beta");
        b.ok(["sync"]);
        std::fs::read_to_string(&asked).unwrap().replace("git-", "").replace('\n', " ")
    };
    assert_eq!(services("one"), "receive-pack ");
    a.write("two", "of alpha");
    a.ok(["sync"]);
    assert_eq!(services("three"), "receive-pack upload-pack upload-pack receive-pack ");
    a.ok(["sync"]);
    for home in [&a, &b] {
        assert_eq!(["one", "two", "three"].map(|name| home.read(name)), ["of beta", "of alpha", "of beta"]);
    }
    git_ok(&node, &["fsck", "--strict"]);
}
