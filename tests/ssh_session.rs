//! The connection itself, against a real sshd: servers that stop answering, logins, accounts that allow little.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use sha1::Digest;
use sharelock::error::{Error, Kind, Result};
use sharelock::git::{PackSource, RefStatus, RefUpdate, Remote};
use sharelock::id::Oid;
use sharelock::ssh::key;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::client::{LIMIT, Person, remote};
use support::{Home, Pass, Sshd, between, git_ok, says_only};

/// What a call that meets a silent server may take at most.
const BOUND: Duration = Duration::from_secs(5 * LIMIT);

/// A pack that stock git made, with `main` of a repository in it.
struct Pack(Vec<u8>, u32);

impl PackSource for Pack {
    fn objects(&self) -> u32 {
        self.1
    }

    fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
        out.write_all(&self.0).map_err(Error::from)
    }
}

/// A repository with a file of so many bytes that do not compress, its head, and all of it as a pack.
fn repository(size: usize) -> (tempfile::TempDir, Oid, Pack) {
    let dir = tempfile::tempdir().unwrap();
    git_ok(dir.path(), &["init", "-q", "-b", "main", "."]);
    std::fs::write(dir.path().join("noise"), support::noise(size, 1)).unwrap();
    git_ok(dir.path(), &["add", "."]);
    git_ok(dir.path(), &["commit", "-q", "-m", "x"]);
    let head = Oid::from_hex(git_ok(dir.path(), &["rev-parse", "HEAD"]).trim().as_bytes()).unwrap();
    let mut child = Command::new("git")
        .args(["pack-objects", "--all", "--stdout", "-q"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pack = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut pack).unwrap();
    assert!(child.wait().unwrap().success());
    let objects = u32::from_be_bytes(pack[8..12].try_into().unwrap());
    (dir, head, Pack(pack, objects))
}

fn main_to(head: Oid) -> RefUpdate {
    RefUpdate { name: "refs/heads/main".into(), old: None, new: Some(head) }
}

#[track_caller]
fn unreachable_soon<T>(what: &str, f: impl FnOnce() -> Result<T>) {
    let start = Instant::now();
    let e = f().err().unwrap_or_else(|| panic!("{what}: it worked"));
    assert_eq!(e.kind(), Kind::Unreachable, "{what}: {e}");
    assert!(start.elapsed() < BOUND, "{what}: {:?}", start.elapsed());
}

#[test]
fn a_server_that_never_speaks_properly_is_given_up_in_time() {
    let home = Home::new();
    for words in [&b""[..], b"SSH-2.0-slow\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-1.5-old\r\n"] {
        let port = says_only(words);
        let mut r = remote(&home, &format!("ssh://{}@127.0.0.1:{port}/v.git", support::user()), &Person::default());
        unreachable_soon(&String::from_utf8_lossy(words), || r.refs());
    }
    let port = support::free_port();
    let mut r = remote(&home, &format!("ssh://{}@127.0.0.1:{port}/v.git", support::user()), &Person::default());
    unreachable_soon("nobody listens", || r.refs());
}

#[test]
fn a_line_that_falls_silent_is_given_up_in_time() {
    let sshd = Sshd::start(&["ed25519"], "");
    let home = Home::new();
    home.let_in(&sshd);
    let (work, head, mut pack) = repository(2_000_000);
    let full = sshd.dir.path().join("full.git");
    git_ok(sshd.dir.path(), &["clone", "-q", "--bare", &work.path().display().to_string(), "full.git"]);
    let empty = sshd.dir.path().join("empty.git");
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "empty.git"]);
    let person = Person { trusts: true, ..Person::default() };
    // In the exchange of keys, in the login, before and in the pack.
    for bytes in [500, 2_500, 4_500, 6_000, 100_000] {
        let line = between(sshd.port, move |_, total| if total > bytes { Pass::Swallow } else { Pass::On });
        let mut sink = Vec::new();
        let mut r = remote(&home, &sshd.url_by(line.port, &full), &person);
        unreachable_soon(&format!("fetch, {bytes}"), || r.fetch(&mut |_| Ok(vec![head]), &[], &mut sink));
        drop(r);
        let mut r = remote(&home, &sshd.url_by(line.port, &empty), &person);
        let start = Instant::now();
        unreachable_soon(&format!("push, {bytes}"), || r.push(&[main_to(head)], false, &mut pack));
        drop(r);
        assert!(start.elapsed() < BOUND, "nor does the farewell wait");
    }
    assert_eq!(git_ok(&empty, &["for-each-ref"]), "");
    // The same node without the bad line.
    let mut r = remote(&home, &sshd.url(&empty), &person);
    assert_eq!(r.push(&[main_to(head)], false, &mut pack).unwrap(), [RefStatus::Ok]);
    git_ok(&empty, &["fsck", "--strict"]);
}

#[test]
fn a_new_host_is_put_to_a_person_once() {
    let sshd = Sshd::start(&["rsa", "ecdsa", "ed25519"], "");
    let home = Home::new();
    home.let_in(&sshd);
    let known = home.path(".ssh/known_hosts");
    // The last line lacks its end.
    std::fs::write(&known, "# mine").unwrap();
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "v.git"]);
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    let person = Person::default();
    let e = remote(&home, &url, &person).refs().unwrap_err();
    assert_eq!(e.kind(), Kind::Unreachable);
    assert_eq!(std::fs::read_to_string(&known).unwrap(), "# mine");
    assert!(person.asked.lock().unwrap()[0].contains(" ed25519 SHA256:"), "ssh prefers it too: {:?}", person.asked);
    assert!(e.remedies()[0].command.ends_with("ssh_host_ed25519_key.pub"));
    let person = Person { trusts: true, ..Person::default() };
    remote(&home, &url, &person).refs().unwrap();
    remote(&home, &url, &person).refs().unwrap();
    assert_eq!(person.asked.lock().unwrap().len(), 1);
    let found = Command::new("ssh-keygen").arg("-F").arg(format!("[127.0.0.1]:{}", sshd.port)).arg("-f").arg(&known).output().unwrap();
    assert!(found.status.success(), "ssh-keygen finds what was written");
    assert!(String::from_utf8_lossy(&found.stdout).contains(sshd.known("ed25519").trim()));
}

#[test]
fn a_revoked_key_cannot_be_trusted() {
    let sshd = Sshd::start(&["ed25519"], "");
    let home = Home::new();
    home.let_in(&sshd);
    let known = home.path(".ssh/known_hosts");
    let line = sshd.known("ed25519");
    std::fs::write(&known, format!("@revoked * {}", line.split_once(' ').unwrap().1)).unwrap();
    let before = std::fs::read_to_string(&known).unwrap();
    let mut r = remote(&home, &sshd.url(Path::new("/v.git")), &Person::default());
    assert!(r.trust(&sshd.fingerprint("ed25519")).unwrap_err().what().contains("revoked"));
    assert_eq!(std::fs::read_to_string(&known).unwrap(), before);
}

/// An account that runs a script instead of what it is asked to.
fn restricted(sshd: &Sshd, home: &Home, cases: &str) {
    let script = sshd.dir.path().join("only");
    let text = format!("#!/bin/sh\ncd '{}'\ncase \"$SSH_ORIGINAL_COMMAND\" in\n{cases}\nesac\n", sshd.dir.path().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    home.let_in_with(sshd, &format!("restrict,command=\"{}\"", script.display()));
}

const RUN: &str = "exec sh -c \"$SSH_ORIGINAL_COMMAND\" ;;";

fn sftp_server() -> PathBuf {
    ["/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server"]
        .into_iter()
        .map(PathBuf::from)
        .find(|p| p.exists())
        .expect("sftp-server: apt-get install openssh-sftp-server")
}

#[test]
fn a_server_that_talks_much_on_standard_error_is_heard_out() {
    let sshd = Sshd::start(&["ed25519"], "");
    let home = Home::new();
    restricted(&sshd, &home, &format!("*) head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; {RUN}"));
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "v.git"]);
    let mut r = remote(&home, &sshd.url(&sshd.dir.path().join("v.git")), &Person::default());
    assert!(r.refs().unwrap().is_empty());
}

/// OpenSSH exchanges keys anew after a gigabyte; here, after each megabyte. The window is to be widened meanwhile, and
/// that has to wait: libssh2 then lost count of it, and threw away what came beyond its own idea of it.
#[test]
fn keys_are_exchanged_anew_in_the_middle_of_a_pack() {
    let sshd = Sshd::start(&["ed25519"], "RekeyLimit 1M none");
    let home = Home::new();
    home.let_in(&sshd);
    let (dir, head, _) = repository(48 << 20);
    let url = sshd.url(&dir.path().join(".git"));
    let mut got = Vec::new();
    let settings = sharelock::ssh::session::Settings { idle_timeout: 30, connect_timeout: 30, ..support::client::settings(&home) };
    sharelock::ssh::remote::SshRemote::new(sharelock::ssh::url::Url::parse(&url).unwrap(), settings, Box::new(Person::default()))
        .fetch(&mut |_| Ok(vec![head]), &[], &mut got)
        .unwrap();
    let (pack, sum) = got.split_at(got.len() - 20);
    assert!(pack.len() > 48 << 20);
    assert_eq!(sha1::Sha1::digest(pack)[..], *sum);
}

#[test]
fn where_only_git_and_sftp_are_allowed_sftp_makes_repositories_and_lets_keys_in() {
    let sshd = Sshd::start(&["ed25519"], "");
    let home = Home::new();
    let sftp = sftp_server();
    // Every other command starts the sftp server, as with `ForceCommand internal-sftp`: at its end it says success.
    restricted(&sshd, &home, &format!("\"git-upload-pack '\"*|\"git-receive-pack '\"*) {RUN}\n*) exec {} ;;", sftp.display()));
    let node = sshd.dir.path().join("v.git");
    let mut r = remote(&home, &sshd.url(&node), &Person::default());
    r.create().unwrap_or_else(|e| panic!("{e} {:?}", e.details()));
    git_ok(&node, &["fsck", "--strict"]);
    assert_eq!(git_ok(&node, &["rev-parse", "--is-bare-repository"]), "true\n");
    let (_, head, mut pack) = repository(10);
    assert_eq!(r.push(&[main_to(head)], true, &mut pack).unwrap(), [RefStatus::Ok]);
    for before in ["ref: refs/heads/master\n", "ref: refs/heads/a-branch-with-a-longer-name-than-ours\n", "ref: refs/heads/x\n"] {
        std::fs::write(node.join("HEAD"), before).unwrap();
        assert!(r.set_head().unwrap());
        assert_eq!(git_ok(&node, &["symbolic-ref", "HEAD"]), "refs/heads/main\n", "{before}");
    }
    r.create().unwrap();
    assert_eq!(r.refs().unwrap().get("refs/heads/main"), Some(&head), "what is there stays");
    let line = key::make(&home.path("own"), "pi").unwrap();
    r.authorize(&line).unwrap();
    assert!(std::fs::read_to_string(sshd.dir.path().join(".ssh/authorized_keys")).unwrap().lines().any(|l| l == line));
}

#[test]
fn keys_are_let_in_by_dd_and_by_shell() {
    let sshd = Sshd::start(&["ed25519"], "");
    let file = sshd.dir.path().join(".ssh/authorized_keys");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    for cases in [format!("\"dd of=\"*) {RUN}\n*) echo no >&2; exit 1 ;;"), format!("*) HOME=\"$PWD\"; export HOME; {RUN}")] {
        let home = Home::new();
        restricted(&sshd, &home, &cases);
        // The last line lacks its end.
        std::fs::write(&file, "ssh-ed25519 AAAA first").unwrap();
        let line = key::make(&home.path("own"), "pi").unwrap();
        let mut r = remote(&home, &sshd.url(Path::new("/v.git")), &Person::default());
        r.authorize(&line).unwrap_or_else(|e| panic!("{cases}: {e}"));
        let text = std::fs::read_to_string(&file).unwrap();
        let keys: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(keys, ["ssh-ed25519 AAAA first", &line], "{cases}");
    }
    // An account that answers everything with success and does nothing.
    let home = Home::new();
    restricted(&sshd, &home, "*) cat > /dev/null ;;");
    let line = key::make(&home.path("own"), "pi").unwrap();
    let mut r = remote(&home, &sshd.url(Path::new("/v.git")), &Person::default());
    assert_eq!(r.authorize(&line).unwrap_err().kind(), Kind::Failed, "nothing was written and nothing else is said");
    assert!(r.create().is_err());
    assert!(!r.set_head().unwrap_or(false));
}

/// HEAD of a node is never empty on the way, however the line breaks: the server takes it for no repository then.
#[test]
fn a_line_that_breaks_leaves_head_as_it_was() {
    let sshd = Sshd::start(&["ed25519"], "");
    let node = sshd.dir.path().join("v.git");
    git_ok(sshd.dir.path(), &["init", "-q", "--bare", "v.git"]);
    let master = "ref: refs/heads/a-branch-with-a-longer-name-than-ours\n";
    for (input, done) in [("</dev/null", false), ("", true)] {
        std::fs::write(node.join("HEAD"), master).unwrap();
        let home = Home::new();
        restricted(&sshd, &home, &format!("\"dd of=\"*) exec sh -c \"$SSH_ORIGINAL_COMMAND\" {input} ;;\n*) echo no >&2; exit 1 ;;"));
        let mut r = remote(&home, &sshd.url(&node), &Person::default());
        assert_eq!(r.set_head().unwrap(), done);
        let branch = git_ok(&node, &["symbolic-ref", "HEAD"]);
        assert_eq!(branch, if done { "refs/heads/main\n" } else { "refs/heads/a-branch-with-a-longer-name-than-ours\n" });
    }
}

#[test]
fn this_devices_key_is_read_by_ssh_keygen_and_made_once() {
    let home = Home::new();
    let file = home.path("own");
    let line = key::make(&file, "my\npi").unwrap();
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(key::check_line(&line), Some(line.as_str()));
    let shown = Command::new("ssh-keygen").arg("-yf").arg(&file).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim(), line);
    assert_eq!(key::make(&file, "pi").unwrap(), line);
    // A stop between the two files.
    std::fs::remove_file(home.path("own.pub")).unwrap();
    assert_eq!(key::make(&file, "pi").unwrap().split(' ').nth(1), line.split(' ').nth(1), "the same key");
}
