//! `sync` killed at random moments: the next one finishes, nothing is lost, git and the vault are sound.
//! `SHARELOCK_KILLS` sets how often (the run was made with 200).
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Home, Sshd, assert_equal_trees, git, git_ok, tree};

/// xorshift64 (Marsaglia 2003).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn sync(h: &Home) -> std::process::Command {
    let mut c = std::process::Command::new(support::PROGRAM);
    c.env_clear().env("HOME", h.dir.path()).env("USER", support::user()).env("PATH", std::env::var_os("PATH").unwrap()).arg("sync");
    c.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    c
}

/// Syncs to the end, and says how long that took.
fn whole(h: &Home) -> Duration {
    let started = Instant::now();
    let code = sync(h).status().unwrap().code();
    assert!(code.is_some_and(|c| c < 2), "a sync after kills ends with {code:?}");
    started.elapsed()
}

/// A user works. What is written under `keep/` has one name for each content: it must be there at the end.
fn work(h: &Home, n: u64, random: &mut Draw, written: &mut Vec<String>) {
    for _ in 0..=random.below(8) {
        let name = format!("d{}/g{}", random.below(7), random.below(40));
        match random.below(6) {
            0 => {
                let to = format!("d{}/m{n}", random.below(7));
                if h.share(&name).exists() {
                    let _ = std::fs::rename(h.share(&name), h.share(&to));
                }
            }
            1 => {
                let big = vec![random.below(256) as u8; 2_500_000];
                std::fs::write(h.share(&format!("big{}", random.below(3))), big).unwrap();
            }
            2 => h.write(&name, &format!("{n} {}", random.below(1000))),
            _ => {
                let own = format!("keep/{n}.{}", random.below(1_000_000));
                h.write(&own, &own);
                written.push(own);
            }
        }
    }
}

fn head(repository: &Path, name: &str) -> Option<String> {
    let r = git(repository, &["rev-parse", "-q", "--verify", name]);
    (r.code == 0).then_some(r.out)
}

/// What a kill has interrupted, as far as the disks tell.
fn interrupted(h: &Home, node: &Path, before: &Option<String>) -> &'static str {
    let secure = h.path("secure");
    let now = head(&secure, "refs/heads/main");
    let temporary = |(p, _): &(std::path::PathBuf, String)| p.to_string_lossy().contains(".sharelock-tmp-");
    if tree(&h.path("share")).iter().any(temporary) {
        "apply"
    } else if head(&secure, "refs/sharelock/pending").is_some() {
        "bringing secure to a commit"
    } else if now == *before {
        "before there was a commit (scan, import, or fetch)"
    } else if head(node, "refs/heads/main") != now {
        "between the commit and the end of the push"
    } else {
        "after the push"
    }
}

#[test]
fn killed_at_random_moments() {
    let kills: u64 = std::env::var("SHARELOCK_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(30);
    let sshd = Sshd::start(&["ed25519"], "");
    let (a, b) = (Home::new(), Home::new());
    a.let_in(&sshd);
    b.let_in(&sshd);
    for n in 0..60 {
        a.write(&format!("d{}/f{n}", n % 7), &format!("content {n}\n"));
    }
    // No Argon2 between the start and what is to be killed.
    let node = sshd.dir.path().join("v.git");
    let url = sshd.url(&node);
    let rk = a.path("rk").display().to_string();
    a.ok(["init", "--start-without-password", "--device", "alpha", "--remote", &url, "--create", "--recovery-key-out", &rk]);
    b.ok(["join", &url, "--start-without-password", "--device", "beta", "--recovery-key-file", &rk]);
    let mut random = Draw(0x9e37_79b9_7f4a_7c15);
    let mut written: Vec<String> = Vec::new();
    // How long a sync takes here that has both to send and to take in: moments are drawn over that.
    work(&a, 1_000_000, &mut random, &mut written);
    whole(&a);
    work(&b, 1_000_001, &mut random, &mut written);
    let mut usual = whole(&b);
    let mut where_ = BTreeMap::<String, u64>::new();
    let (mut killed, mut tries) = (0, 0);
    while killed < kills {
        let n = tries;
        tries += 1;
        assert!(tries <= 3 * kills + 9, "{killed} of {tries} syncs were alive when they were to be killed");
        let (h, other, who) = if random.below(2) == 0 { (&a, &b, "alpha") } else { (&b, &a, "beta") };
        // Half of the time there is something to fetch and apply.
        if random.below(2) == 0 {
            work(other, n + 2_000_000, &mut random, &mut written);
            whole(other);
        }
        work(h, n, &mut random, &mut written);
        let before = head(&h.path("secure"), "refs/heads/main");
        let moment = usual.mul_f64(random.below(1100) as f64 / 1000.0);
        let started = Instant::now();
        let mut child = sync(h).spawn().unwrap();
        let ended = loop {
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            if started.elapsed() >= moment {
                break false;
            }
            // How finely the drawn moment is met: any is right.
            std::thread::sleep(Duration::from_millis(1));
        };
        if ended {
            usual = (usual * 3 + started.elapsed()) / 4;
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        *where_.entry(format!("{who}: {}", interrupted(h, &node, &before))).or_default() += 1;
        // A killed one is followed by more kills or by a whole one, which tells the usual time again.
        if random.below(3) == 0 {
            usual = (usual * 3 + whole(h)) / 4;
        }
    }
    for _ in 0..3 {
        whole(&a);
        whole(&b);
    }
    eprintln!("{killed} of {tries} syncs killed, one takes {} ms; interrupted: {where_:#?}", usual.as_millis());
    assert_equal_trees(&a.path("share"), &b.path("share"));
    for name in &written {
        assert_eq!(a.read(name), *name, "nothing that was written is lost");
    }
    for h in [&a, &b] {
        git_ok(&h.path("secure"), &["fsck", "--strict"]);
        assert_eq!(git_ok(&h.path("secure"), &["status", "--porcelain"]), "");
        assert!(h.ok(["verify"]).contains("decrypt and match"));
        let litter: Vec<_> = tree(&h.path("share")).into_iter().filter(|(p, _)| p.to_string_lossy().contains(".sharelock-tmp-")).collect();
        assert!(litter.is_empty(), "{litter:?}");
    }
    git_ok(&node, &["fsck", "--strict"]);
}
