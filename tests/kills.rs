//! `sync` killed at random moments: the next one finishes, nothing is lost, git and the vault are sound.
//! `SHARELOCK_KILLS` sets how often (the run was made with 200).
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;
use support::{Home, Sshd, assert_equal_trees, git_ok, tree};

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
    let url = sshd.url(&sshd.dir.path().join("v.git"));
    let rk = a.path("rk").display().to_string();
    a.ok(["init", "--start-without-password", "--device", "alpha", "--remote", &url, "--create", "--recovery-key-out", &rk]);
    b.ok(["join", &url, "--start-without-password", "--device", "beta", "--recovery-key-file", &rk]);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let sync = |h: &Home| {
        let mut c = std::process::Command::new(support::PROGRAM);
        c.env_clear().env("HOME", h.dir.path()).env("USER", support::user()).env("PATH", std::env::var_os("PATH").unwrap()).arg("sync");
        c.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        c
    };
    let mut written: Vec<String> = Vec::new();
    let mut killed = 0;
    for n in 0..kills {
        let h = if draw(2) == 0 { &a } else { &b };
        for _ in 0..=draw(8) {
            let name = format!("d{}/g{}", draw(7), draw(40));
            match draw(5) {
                0 => {
                    let to = format!("d{}/m{n}", draw(7));
                    if h.share(&name).exists() {
                        let _ = std::fs::rename(h.share(&name), h.share(&to));
                    }
                }
                1 => {
                    let big = vec![draw(256) as u8; 2_500_000];
                    std::fs::write(h.share(&format!("big{}", draw(3))), big).unwrap();
                }
                _ => {
                    // One name for each content: it must be there at the end.
                    let own = format!("keep/{n}.{}", draw(1000));
                    h.write(&own, &own);
                    written.push(own);
                }
            }
        }
        let mut child = sync(h).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(draw(350)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for _ in 0..3 {
        for h in [&a, &b] {
            assert!(sync(h).status().unwrap().code().is_some_and(|c| c < 2));
        }
    }
    assert!(killed * 3 > kills, "{killed} of {kills} were alive when they were killed");
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
    git_ok(&sshd.dir.path().join("v.git"), &["fsck", "--strict"]);
}
