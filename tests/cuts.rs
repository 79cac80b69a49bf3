//! The network is cut at each pkt-line of a push and of a fetch, in both directions, with a real sshd and git: the round
//! fails or goes on by another connection, the next one finishes, nothing is lost, and git finds every repository sound.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use support::{Home, Pass, Sshd, assert_equal_trees, between, git_ok, ran, tree, wait_for};

/// A server that stops a conversation after so many pkt-lines, a line to it that can be cut, and two devices: the first is
/// behind that line.
struct World {
    sshd: Sshd,
    a: Home,
    b: Home,
}

impl World {
    fn new() -> World {
        let sshd = Sshd::start(&["ed25519"], "");
        let (a, b) = (Home::new(), Home::new());
        let wrapper = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stopping.py");
        a.let_in_with(&sshd, &format!("command=\"python3 {wrapper} {}\"", sshd.dir.path().display()));
        b.let_in(&sshd);
        a.write("note", "one");
        git_ok(sshd.dir.path(), &["init", "-q", "--bare", "-b", "main", "v.git"]);
        let url = sshd.url(&sshd.dir.path().join("v.git"));
        a.ok(["init", "--device", "alpha", "--remote", &url, "--recovery-key-out", &a.path("rk").display().to_string()]);
        a.ok(["sync"]);
        b.join(&url, &a, "beta");
        World { sshd, a, b }
    }

    /// The first device syncs, and its line is cut when so many pkt-lines have gone over it. Says where that was; nothing if
    /// it had ended before.
    fn cut_after(&self, lines: u32) -> Option<String> {
        let line = between(self.sshd.port, |_, _| Pass::On);
        let config = self.a.path(".config/sharelock/config.toml");
        let direct = std::fs::read_to_string(&config).unwrap();
        let url = |port: u16| format!("127.0.0.1:{port}/");
        std::fs::write(&config, direct.replace(&url(self.sshd.port), &url(line.port))).unwrap();
        let known = self.sshd.known("ed25519") + &self.sshd.known_by(line.port, "ed25519");
        std::fs::write(self.a.path(".ssh/known_hosts"), known).unwrap();
        let at = |name: &str| self.sshd.dir.path().join(name);
        let _ = std::fs::remove_file(at("stopped"));
        std::fs::write(at("stop"), lines.to_string()).unwrap();

        let mut child = self.a.command(["sync"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        wait_for("a pkt-line or the end", || at("stopped").exists() || child.try_wait().unwrap().is_some());
        let stopped = std::fs::read_to_string(at("stopped")).ok();
        line.cut();
        let end = ran(child.wait_with_output().unwrap());
        match &stopped {
            Some(at) => assert!(matches!(end.code, 0 | 5), "cut at {at}: {}: {}", end.code, end.err),
            None => assert_eq!(end.code, 0, "not cut: {}", end.err),
        }
        let _ = std::fs::remove_file(at("stop"));
        std::fs::write(&config, direct).unwrap();
        stopped
    }

    /// After it: the next sync ends well, has lost nothing, and git finds everything sound.
    fn heals(&self, cut: &str) {
        let before = tree(&self.a.path("share"));
        let ran = self.a.run(["sync"]);
        assert_eq!(ran.code, 0, "after a cut at {cut}: {}", ran.err);
        let after = tree(&self.a.path("share"));
        assert!(before.iter().all(|file| after.contains(file)), "after a cut at {cut}");
        for repository in [self.sshd.dir.path().join("v.git"), self.a.path("secure")] {
            git_ok(&repository, &["fsck", "--strict", "--no-dangling"]);
        }
        assert_eq!(git_ok(&self.a.path("secure"), &["status", "--porcelain"]), "", "after a cut at {cut}");
    }

    /// The other device gets what the first one has.
    fn equal(&self) {
        [&self.b, &self.a].iter().for_each(|home| _ = home.ok(["sync"]));
        assert_equal_trees(&self.a.path("share"), &self.b.path("share"));
    }

    /// Cuts later and later, until a round ends before it is cut. `change` makes what the round has to carry.
    fn cut_everywhere(&self, change: impl Fn(&World, u32)) -> Vec<String> {
        let mut places = Vec::new();
        for lines in 0.. {
            assert!(lines < 500, "no end of pkt-lines: {places:?}");
            change(self, lines);
            let Some(place) = self.cut_after(lines) else { break };
            self.heals(&place);
            if lines % 5 == 0 {
                self.equal();
            }
            places.push(place);
        }
        self.heals("nothing");
        self.equal();
        places
    }
}

fn among(places: &[String], words: &str) -> bool {
    places.iter().any(|p| p.contains(words))
}

#[test]
fn a_push_is_cut_at_each_pkt_line() {
    let w = World::new();
    let places = w.cut_everywhere(|w, n| {
        w.a.write(&format!("sent/{n}"), &format!("{n}"));
        std::fs::write(w.a.share("larger"), support::noise(1_500, u64::from(n))).unwrap();
    });
    assert!(among(&places, "git-receive-pack: from") && among(&places, "git-receive-pack: to a piece of a pack"), "{places:?}");
    // What the server says of a push comes after all of the pack: there the commit is at the server, and the device does not know it.
    assert!(places.last().unwrap().contains("from"), "{places:?}");
    assert!(places.len() >= 8, "{places:?}");
}

#[test]
fn a_fetch_is_cut_at_each_pkt_line() {
    let w = World::new();
    let places = w.cut_everywhere(|w, n| {
        w.b.write(&format!("fetched/{n}"), &format!("{n}"));
        w.b.ok(["sync"]);
    });
    assert!(among(&places, "git-upload-pack: to") && among(&places, "git-upload-pack: from"), "{places:?}");
    assert!(places.len() >= 8, "{places:?}");
}
