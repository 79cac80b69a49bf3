//! Stock git as a fixture and as a judge.
#![allow(clippy::unwrap_used)]

use sharelock::files::Files;
use sharelock::files::real::Disk;
use sharelock::git::object::TreeBuilder;
use sharelock::git::store::Store;
use sharelock::git::{PackSource, RefUpdate, Type};
use sharelock::id::Oid;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// `git` without this machine's and this user's configuration, with fixed names and times.
pub fn git_command(dir: &Path, args: &[&str]) -> Command {
    let mut c = Command::new("git");
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("GIT_") {
            c.env_remove(key);
        }
    }
    c.current_dir(dir).args(args);
    c.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", dir).env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        c.env(format!("GIT_{who}_NAME"), "t").env(format!("GIT_{who}_EMAIL"), "t@example.org");
        c.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
    }
    c
}

/// Runs git; its output. Panics if it fails.
pub fn git(dir: &Path, args: &[&str]) -> String {
    git_with(dir, args, b"")
}

/// The same with standard input.
pub fn git_with(dir: &Path, args: &[&str], input: &[u8]) -> String {
    String::from_utf8(git_bytes(dir, args, input)).unwrap()
}

/// The same, as bytes.
pub fn git_bytes(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = git_command(dir, args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// `git fsck --strict --full` finds nothing at all but unreachable objects.
pub fn fsck(dir: &Path) {
    let out = git_command(dir, &["fsck", "--strict", "--full", "--no-dangling"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let quiet = said.lines().all(|l| l.starts_with("notice: ") || l.starts_with("Checking"));
    assert!(out.status.success() && quiet, "fsck: {said}");
}

/// A directory with a bare repository of ours in it.
pub struct Ours {
    pub temp: TempDir,
    pub store: Store<Disk>,
}

impl Ours {
    pub fn new() -> Ours {
        let temp = TempDir::new().unwrap();
        let disk = Disk::open(temp.path()).unwrap();
        let store = Store::init(&disk, &disk.root(), true).unwrap();
        Ours { temp, store }
    }

    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// A commit of these files (names without `/`) and parents, in a pack of its own.
    pub fn commit(&self, files: &[(&str, &[u8])], parents: &[Oid]) -> Oid {
        let mut pack = self.store.pack_writer().unwrap();
        let mut tree = TreeBuilder::default();
        for (name, content) in files {
            tree.add_blob(name.as_bytes(), pack.add(Type::Blob, content).unwrap()).unwrap();
        }
        let tree = pack.add(Type::Tree, &tree.finish().unwrap()).unwrap();
        let commit = pack.add(Type::Commit, &commit_bytes(&tree, parents, files.len())).unwrap();
        pack.finish().unwrap();
        commit
    }

    /// What stock git would be sent for `want` without `have`.
    pub fn pack(&self, want: &[Oid], have: &[Oid]) -> impl PackSource + use<> {
        self.store.pack_source(self.store.closure(want, have).unwrap()).unwrap()
    }
}

pub fn commit_bytes(tree: &Oid, parents: &[Oid], n: usize) -> Vec<u8> {
    let mut out = format!("tree {tree}\n");
    for p in parents {
        out += &format!("parent {p}\n");
    }
    out += &format!("author t <t@example.org> 1700000000 +0000\ncommitter t <t@example.org> 1700000000 +0000\n\nno {n}\n");
    out.into_bytes()
}

/// Opens a repository that stock git has made.
pub fn open(dir: &Path) -> Store<Disk> {
    let disk = Disk::open(dir).unwrap();
    Store::open(&disk, &disk.root()).unwrap()
}

/// A bare repository made by stock git, as the old article makes it.
pub fn bare() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("vault.git");
    git(temp.path(), &["init", "-q", "--bare", "vault.git"]);
    (temp, dir)
}

/// An oid from hex.
pub fn oid(hex: &str) -> Oid {
    Oid::from_hex(hex.trim().as_bytes()).unwrap()
}

/// The branch that vaults use.
pub const MAIN: &str = "refs/heads/main";

pub fn update(name: &str, old: Option<Oid>, new: Option<Oid>) -> RefUpdate {
    RefUpdate { name: name.into(), old, new }
}

/// A git process at the other end of two pipes.
pub struct Pipe {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Pipe {
    pub fn new(dir: &Path, config: &[&str], service: &str) -> Pipe {
        let mut args: Vec<&str> = config.iter().flat_map(|c| ["-c", c]).collect();
        args.extend([service, "."]);
        let mut child = git_command(dir, &args);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Pipe { child, input, output }
    }

    pub fn upload(dir: &Path) -> Pipe {
        Pipe::new(dir, &[], "upload-pack")
    }

    pub fn receive(dir: &Path) -> Pipe {
        Pipe::new(dir, &[], "receive-pack")
    }

    /// Waits for git to end: it must have nothing more to say and be content.
    pub fn end(mut self) {
        self.input = None;
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "more from git after the conversation");
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills git, and waits until it is dead: what it had still to say is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.output.read(buf)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.input.as_mut().unwrap().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().unwrap().flush()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that do not compress and do not repeat, the same for each seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    })
    .take(len)
    .collect()
}
