//! `scripts/install`: which archive it takes on which machine, that nothing is installed whose sum is wrong, and that what is
//! there stays whole. Under dash, busybox and bash, as they are what `sh` is somewhere.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Home, PROGRAM, Ran, Resident, ran, tree, wait_for};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install");

const TARGETS: [&str; 4] =
    ["armv7-unknown-linux-musleabihf", "arm-unknown-linux-musleabihf", "aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"];

/// The shells, each by its arguments.
const SHELLS: [&[&str]; 3] = [&["dash"], &["busybox", "sh"], &["bash", "--posix"]];

/// Where everything lands below the prefix.
const PLACES: [&str; 6] = [
    "bin/sharelock",
    "share/man/man1/sharelock.1",
    "share/bash-completion/completions/sharelock",
    "share/zsh/site-functions/_sharelock",
    "share/fish/vendor_completions.d/sharelock.fish",
    "share/doc/sharelock/LICENSE-MIT",
];

fn executable(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(dir: &Path, command: &str) -> String {
    let r = ran(Command::new("sh").args(["-euc", command]).current_dir(dir).output().unwrap());
    assert_eq!(r.code, 0, "{command}: {}{}", r.out, r.err);
    r.out
}

/// A release of a version, of programs that tell their target.
struct Release {
    dir: tempfile::TempDir,
    version: String,
}

impl Release {
    fn new(version: &str) -> Release {
        Release::of(version, |target| format!("#!/bin/sh\n[ \"$1\" = --version ] || exit 1\necho 'sharelock {version} ({target})'\n"))
    }

    fn of(version: &str, program: impl Fn(&str) -> String) -> Release {
        let r = Release { dir: tempfile::tempdir().unwrap(), version: version.into() };
        for target in TARGETS {
            let top = r.dir.path().join(format!("sharelock-{version}-{target}"));
            std::fs::create_dir_all(top.join("completions")).unwrap();
            executable(&top.join("sharelock"), &program(target));
            for file in ["sharelock.1", "completions/sharelock.bash", "completions/_sharelock", "completions/sharelock.fish", "LICENSE-MIT"]
            {
                std::fs::write(top.join(file), format!("{file} {version}\n")).unwrap();
            }
            r.pack(target);
        }
        r.sums();
        r
    }

    fn archive(&self, target: &str) -> PathBuf {
        self.dir.path().join(format!("sharelock-{}-{target}.tar.gz", self.version))
    }

    fn pack(&self, target: &str) {
        run(self.dir.path(), &format!("tar -czf '{}' sharelock-{}-{target}", self.archive(target).display(), self.version));
    }

    fn sums(&self) {
        run(self.dir.path(), "sha256sum *.tar.gz >SHA256SUMS");
    }
}

/// A machine that says of itself what it is told to.
struct Machine {
    home: Home,
    shell: &'static [&'static str],
}

impl Machine {
    fn new(shell: &'static [&'static str]) -> Machine {
        let home = Home::new();
        std::fs::create_dir(home.path("fake")).unwrap();
        let m = Machine { home, shell };
        m.is("x86_64", 64, None);
        // Whoever runs the tests: they are of a user's installation.
        m.fake("id", "#!/bin/sh\necho 1000\n");
        m
    }

    fn fake(&self, name: &str, script: &str) {
        executable(&self.home.path("fake").join(name), script);
    }

    /// Kernel, bits of its programs, and features of its processor.
    fn is(&self, machine: &str, bits: u32, features: Option<&str>) {
        self.fake("uname", &format!("#!/bin/sh\ncase $1 in -s) echo Linux ;; -m) echo {machine} ;; esac\n"));
        self.fake("getconf", &format!("#!/bin/sh\n[ \"$*\" = LONG_BIT ] && echo {bits}\n"));
        let info = self.home.path("cpuinfo");
        std::fs::write(&info, features.map_or(String::new(), |f| format!("processor\t: 0\nFeatures\t: {f} \n"))).unwrap();
        // Only /proc/cpuinfo is another one.
        let other = format!("case \"$3\" in /proc/cpuinfo) exec /bin/sed \"$1\" \"$2\" '{}' ;; esac", info.display());
        self.fake("sed", &format!("#!/bin/sh\n{other}\nexec /bin/sed \"$@\"\n"));
    }

    fn install(&self, more: &[&str]) -> Ran {
        let mut c = Command::new(self.shell[0]);
        c.args(&self.shell[1..]).arg(SCRIPT).args(more).env_clear().env("HOME", self.home.dir.path()).stdin(Stdio::null());
        c.env("PATH", format!("{}:/usr/bin:/bin", self.home.path("fake").display())).env("TMPDIR", self.home.path("tmp"));
        std::fs::create_dir_all(self.home.path("tmp")).unwrap();
        let r = ran(c.output().unwrap_or_else(|e| panic!("apt-get install {}: {e}", self.shell[0])));
        assert_eq!(std::fs::read_dir(self.home.path("tmp")).unwrap().count(), 0, "nothing is left behind");
        r
    }

    fn from(&self, release: &Release, more: &[&str]) -> Ran {
        let from = release.dir.path().display().to_string();
        self.install(&[&["--from", from.as_str()], more].concat())
    }

    fn local(&self, name: &str) -> PathBuf {
        self.home.path(".local").join(name)
    }

    /// What `~/.local` holds.
    fn installed(&self) -> Vec<(PathBuf, String)> {
        if self.local("").exists() { tree(&self.local("")) } else { vec![] }
    }
}

fn in_each_shell(test: impl Fn(Machine)) {
    for shell in SHELLS {
        test(Machine::new(shell));
    }
}

#[test]
fn a_release_is_installed_and_removed() {
    let release = Release::new("1.2.3");
    in_each_shell(|m| {
        let r = m.from(&release, &[]);
        assert_eq!(
            (r.code, r.out.as_str(), r.err.as_str()),
            (
                0,
                format!(
                    "sharelock 1.2.3 (x86_64-unknown-linux-musl) for x86_64-unknown-linux-musl is installed: ~/.local/bin/sharelock
  with it: the manual page, completions for bash, zsh and fish, licences (~/.local/share)
  ~/.local/bin is not in PATH; to put it there, this line in ~/.profile:
    PATH=\"{}:$PATH\"
  zsh finds its completion by this line in ~/.zshrc, before compinit: fpath+=(~/.local/share/zsh/site-functions)
next: ~/.local/bin/sharelock init, or ~/.local/bin/sharelock join URL on a second device
",
                    m.local("bin").display()
                )
                .as_str(),
                ""
            ),
            "{:?}",
            m.shell
        );
        for place in PLACES {
            let mode = std::fs::metadata(m.local(place)).unwrap_or_else(|e| panic!("{place}: {e}")).permissions().mode() & 0o777;
            assert_eq!(mode, if place == "bin/sharelock" { 0o755 } else { 0o644 }, "{place}");
        }
        // A later one takes its place, a vault's files are nobody's business.
        std::fs::create_dir_all(m.home.path(".config/sharelock")).unwrap();
        std::fs::write(m.home.path(".config/sharelock/config.toml"), "mine").unwrap();
        let later = Release::new("1.3.0");
        let r = m.from(&later, &[]);
        assert!(r.out.contains("\n  it takes the place of sharelock 1.2.3 (x86"), "{}", r.out);
        assert!(r.out.ends_with("\nnext: ~/.local/bin/sharelock status\n"), "{}", r.out);
        assert_eq!(std::fs::read_to_string(m.local(PLACES[1])).unwrap(), "sharelock.1 1.3.0\n");
        std::fs::create_dir_all(m.home.path(".config/systemd/user")).unwrap();
        std::fs::write(m.home.path(".config/systemd/user/sharelock.service"), "").unwrap();
        let r = m.install(&["--uninstall"]);
        assert_eq!((r.code, r.err.as_str()), (0, ""));
        assert!(r.out.starts_with("~/.local/bin/sharelock and its manual and completions are removed\n"), "{}", r.out);
        assert!(r.out.contains("by this file: rm ~/.config/systemd/user/sharelock.service\n"), "{}", r.out);
        assert!(tree(&m.local("")).iter().all(|(_, what)| what == "dir"), "{:?}", m.installed());
        assert_eq!(std::fs::read_to_string(m.home.path(".config/sharelock/config.toml")).unwrap(), "mine");
        let r = m.install(&["--uninstall"]);
        assert_eq!((r.code, r.err.as_str()), (1, "install: there is no ~/.local/bin/sharelock\n"));
    });
}

#[test]
fn each_machine_gets_its_archive() {
    let release = Release::new("1.2.3");
    let v7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt";
    let rows: &[(&str, &str, u32, Option<&str>, &str)] = &[
        ("a Pi Zero or 1", "armv6l", 32, Some("half thumb fastmult vfp edsp java tls"), TARGETS[1]),
        ("a Pi 2", "armv7l", 32, Some(v7), TARGETS[0]),
        ("an ARMv7 without NEON", "armv7l", 32, Some("swp half thumb vfp edsp vfpv3 vfpv3d16"), TARGETS[0]),
        ("an ARMv7 with the old floating point only", "armv7l", 32, Some("swp half thumb vfp edsp"), TARGETS[1]),
        ("a Pi 4 with 64 bits", "aarch64", 64, Some("fp asimd evtstrm crc32 cpuid"), TARGETS[2]),
        ("a Pi 4 with a 64-bit kernel and a system of 32", "aarch64", 32, Some("fp asimd evtstrm crc32 cpuid"), TARGETS[0]),
        ("the same under setarch linux32", "armv8l", 32, Some(v7), TARGETS[0]),
        ("a machine that hides its features", "armv7l", 32, None, TARGETS[0]),
        ("an ordinary one", "x86_64", 64, None, TARGETS[3]),
        ("a 64-bit kernel, which runs it, below a system of 32", "x86_64", 32, None, TARGETS[3]),
    ];
    in_each_shell(|m| {
        for (what, machine, bits, features, target) in rows {
            m.is(machine, *bits, *features);
            let r = m.from(&release, &[]);
            assert!(r.out.contains(&format!(" for {target} is installed")), "{what}: {}{}", r.out, r.err);
        }
        for (what, machine, features, says) in [
            ("an ARMv6 without floating point", "armv6l", Some("swp half thumb edsp java"), "no floating point"),
            ("an ARMv5", "armv5tel", None, "there is no archive for armv5tel"),
            ("a PC of 32 bits", "i686", None, "there is no archive for i686"),
        ] {
            m.is(machine, 32, features);
            let before = m.installed();
            let r = m.from(&release, &[]);
            assert!(r.code == 1 && r.err.contains(says), "{what}: {}{}", r.out, r.err);
            assert_eq!(m.installed(), before, "{what}");
        }
    });
}

/// Without getconf the bits are those of /bin/sh.
#[test]
fn the_bits_of_a_system_are_read_from_its_programs() {
    let release = Release::new("1.2.3");
    in_each_shell(|m| {
        m.is("aarch64", 64, None);
        m.fake("getconf", "#!/bin/sh\nexit 1\n");
        let elf = std::fs::read("/bin/sh").unwrap();
        assert!(m.from(&release, &[]).out.contains(TARGETS[if elf[4] == 1 { 0 } else { 2 }]));
    });
}

#[test]
fn what_is_not_what_the_sums_say_is_not_unpacked() {
    in_each_shell(|m| {
        let good = Release::new("1.0.0");
        assert_eq!(m.from(&good, &[]).code, 0);
        let before = m.installed();
        let mine = TARGETS[3];
        let refused = |release: &Release, more: &[&str], says: &str| {
            let r = m.from(release, more);
            assert!(r.code == 1 && r.out.is_empty() && r.err.contains(says), "{says}: {}{}", r.out, r.err);
            assert_eq!(m.installed(), before, "{says}");
        };
        let altered = |name: &str, alter: &dyn Fn(&Release)| {
            let r = Release::new(name);
            alter(&r);
            r
        };
        let cut = |r: &Release| {
            let bytes = std::fs::read(r.archive(mine)).unwrap();
            std::fs::write(r.archive(mine), &bytes[..bytes.len() / 2]).unwrap();
        };
        refused(&altered("2.0.0", &cut), &[], "sharelock-2.0.0-x86_64-unknown-linux-musl.tar.gz is not what SHA256SUMS says");
        let swapped = |r: &Release| _ = std::fs::copy(good.archive(mine), r.archive(mine)).unwrap();
        refused(&altered("2.0.0", &swapped), &[], "nothing was unpacked, nothing was changed");
        // Sums of what is broken: a release that was made badly.
        let summed = |alter: &dyn Fn(&Release)| {
            let r = altered("2.0.0", alter);
            r.sums();
            r
        };
        refused(&summed(&cut), &[], "cannot be unpacked");
        let bare = |r: &Release| {
            std::fs::remove_file(r.dir.path().join(format!("sharelock-2.0.0-{mine}/sharelock.1"))).unwrap();
            r.pack(mine);
        };
        refused(&summed(&bare), &[], "has no sharelock.1");
        let foreign = |r: &Release| {
            executable(&r.dir.path().join(format!("sharelock-2.0.0-{mine}/sharelock")), "\x7fELF\x01\x01\x01");
            r.pack(mine);
        };
        refused(&summed(&foreign), &[], "does not run on this machine (x86_64)");
        refused(&altered("2.0.0", &|r| std::fs::remove_file(r.archive(mine)).unwrap()), &[], "there is no sharelock-2.0.0-x86_64");
        refused(&altered("2.0.0", &|r| std::fs::remove_file(r.dir.path().join("SHA256SUMS")).unwrap()), &[], "there is no SHA256SUMS in");
        refused(&altered("2.0.0", &|r| std::fs::write(r.dir.path().join("SHA256SUMS"), "").unwrap()), &[], "names no archive for x86_64");
        let evil = |r: &Release| {
            let line = format!("{} ../../etc/sharelock-2.0.0-{mine}.tar.gz\n", "0".repeat(64));
            std::fs::write(r.dir.path().join("SHA256SUMS"), line).unwrap();
        };
        refused(&altered("2.0.0", &evil), &[], "names no archive for x86_64");
        let both = |r: &Release| {
            std::fs::copy(good.archive(mine), r.dir.path().join(good.archive(mine).file_name().unwrap())).unwrap();
        };
        refused(&summed(&both), &[], "names more than one archive");
        // The sum of the sums.
        refused(&good, &["--sum", &"0".repeat(64)], "SHA256SUMS is not the file that --sum speaks of");
        refused(&good, &["--nonsense"], "--nonsense is no option");
        let sum = run(good.dir.path(), "sha256sum SHA256SUMS | cut -c1-64");
        assert_eq!(m.from(&good, &["--sum", sum.trim()]).code, 0);
    });
}

/// A folder that cannot be written to, and names that are taken by folders.
#[test]
fn what_cannot_be_put_in_place_changes_nothing() {
    let release = Release::new("1.0.0");
    in_each_shell(|m| {
        std::fs::create_dir_all(m.local("bin/sharelock")).unwrap();
        let r = m.from(&release, &[]);
        assert!(r.code == 1 && r.err.contains("~/.local/bin/sharelock is a folder"), "{}", r.err);
        assert_eq!(std::fs::read_dir(m.local("bin")).unwrap().count(), 1);
        std::fs::write(m.home.path("file"), "").unwrap();
        let r = m.from(&release, &["--prefix", &m.home.path("file").display().to_string()]);
        assert!(r.code == 1 && r.err.contains("another place: --prefix FOLDER"), "{}", r.err);
    });
}

/// Answers GET requests for the files of a folder, on a port of this machine.
fn serve(dir: &Path) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let dir = dir.to_path_buf();
    std::thread::spawn(move || {
        for mut s in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                match s.read(&mut buffer) {
                    Ok(n @ 1..) => request.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or("").to_string();
            let found = path.strip_prefix("/v1/").filter(|n| !n.contains('/')).and_then(|n| std::fs::read(dir.join(n)).ok());
            let (status, body) = found.map_or(("404 Not Found", vec![]), |b| ("200 OK", b));
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = s.write_all(head.as_bytes()).and_then(|()| s.write_all(&body));
        }
    });
    url
}

#[test]
fn from_a_server_by_curl_or_wget() {
    let release = Release::new("1.0.0");
    let url = serve(release.dir.path());
    let sum = run(release.dir.path(), "sha256sum SHA256SUMS | cut -c1-64");
    let sum = sum.trim();
    in_each_shell(|m| {
        // Whoever can change the archive on its way can change its sum, too.
        let r = m.install(&["--from", &url]);
        assert!(r.code == 1 && r.err.contains("only https is trusted"), "{}", r.err);
        let r = m.install(&["--from", &url, "--sum", sum]);
        assert_eq!(r.code, 0, "{}", r.err);
        let r = m.install(&["--from", &url.replace("/v1", "/v2"), "--sum", sum]);
        assert!(r.code == 1 && r.err.contains("cannot fetch http://127.0.0.1:"), "{}", r.err);
        // Only wget, and neither.
        let bare = m.home.path("bare");
        std::fs::create_dir(&bare).unwrap();
        let tools =
            "sh dash busybox bash cat cut awk tr sed mktemp rm cp chmod mv mkdir dirname tar gzip sha256sum dd od grep head pwd wget";
        for tool in tools.split(' ') {
            let from = Path::new("/usr/bin").join(tool);
            if from.exists() {
                symlink(from, bare.join(tool)).unwrap();
            }
        }
        for has_wget in [true, false] {
            if !has_wget {
                std::fs::remove_file(bare.join("wget")).unwrap();
            }
            let mut c = Command::new(m.shell[0]);
            c.args(&m.shell[1..]).arg(SCRIPT).args(["--from", &url, "--sum", sum]).env_clear().env("HOME", m.home.dir.path());
            c.env("PATH", format!("{}:{}", m.home.path("fake").display(), bare.display()));
            let r = ran(c.output().unwrap());
            // busybox has a wget of its own.
            let can = has_wget || m.shell[0] == "busybox" && r.code == 0;
            assert_eq!(r.code, if can { 0 } else { 1 }, "{:?} {has_wget}: {}", m.shell, r.err);
            assert!(can || r.err.contains("there is neither curl nor wget here"), "{}", r.err);
        }
    });
}

/// An agent goes on while its program is replaced, is told of, and is stopped before its program is removed.
#[test]
fn a_running_agent_is_told_of() {
    let m = Machine::new(SHELLS[0]);
    let release = Release::of("1.0.0", |_| format!("#!/bin/sh\nexec '{PROGRAM}' \"$@\"\n"));
    m.fake("systemctl", "#!/bin/sh\nexit 1\n");
    assert_eq!(m.from(&release, &[]).code, 0);
    m.home.init(&m.home.path("node.git").display().to_string());
    let vault = || std::fs::read(m.home.path(".config/sharelock/vault.key")).unwrap();
    let key = vault();
    let _agent = Resident::start(&m.home);
    wait_for("the agent", || m.home.status()["agent"]["running"] == true);
    let r = m.from(&release, &[]);
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        r.out.contains(&format!(
            "\n  the agent that runs is still sharelock {version}\n    to change over: ~/.local/bin/sharelock stop && "
        )),
        "{}",
        r.out
    );
    assert_eq!(m.home.status()["agent"]["running"], true);
    m.fake("systemctl", "#!/bin/sh\n[ \"$*\" = '--user is-active --quiet sharelock.service' ]\n");
    assert!(m.from(&release, &[]).out.contains("\n    to change over: systemctl --user restart sharelock.service\n"));
    let r = m.install(&["--uninstall"]);
    assert_eq!(r.code, 0, "{}", r.err);
    assert!(r.err.contains("sharelock has stopped"), "{}", r.err);
    assert_eq!(m.home.status()["agent"]["running"], false);
    assert_eq!(vault(), key);
}
