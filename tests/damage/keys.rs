//! The unlocked key: no wrong key is ever written anywhere.

use crate::support::{Home, tree};

/// A device that starts without a password, and with a key file if `passwd` has made one.
fn without_password(key_file: bool) -> Home {
    let a = Home::new();
    a.write("x.txt", "one\n");
    a.init(&a.path("node.git").display().to_string());
    let new = a.path("pw");
    a.ok(["passwd", "--new-password-file", new.to_str().unwrap(), "--start-without-password"]);
    if !key_file {
        std::fs::remove_file(a.path(".config/sharelock/vault.key")).unwrap();
    }
    a
}

/// As a person without a password file: without `--password-file`.
fn run(a: &Home, args: &[&str]) -> crate::support::Ran {
    let mut c = std::process::Command::new(crate::support::PROGRAM);
    c.env_clear().env("HOME", a.dir.path()).env("TZ", "UTC").args(args).stdin(std::process::Stdio::null());
    crate::support::ran(c.output().unwrap())
}

#[test]
fn a_damaged_unlocked_key_is_named_and_no_wrong_key_is_written() {
    for key_file in [true, false] {
        let a = without_password(key_file);
        let (path, key) = (a.path(".config/sharelock/unlocked.key"), a.path(".config/sharelock/vault.key"));
        let good = std::fs::read(&path).unwrap();
        assert_eq!(good.len(), 64);
        assert_eq!(run(&a, &["sync"]).code, 0);
        let (share, wrapped) = (tree(&a.path("share")), std::fs::read(&key).ok());
        let pw = a.path("pw").display().to_string();
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            bytes
        };
        let cases = [
            ("a bit of the header", flipped(1)),
            ("a bit of the vault's id", flipped(10)),
            ("a bit of the key", flipped(40)),
            ("a bit of the check value", flipped(60)),
            ("cut short", good[..63].to_vec()),
            ("cut shorter", good[..20].to_vec()),
            ("empty", Vec::new()),
            ("extended", [&good[..], b"x"].concat()),
        ];
        for (what, bytes) in cases {
            std::fs::write(&path, bytes).unwrap();
            for args in [&["sync"][..], &["verify"], &["passwd", "--new-password-file", &pw], &["key", "show-recovery"]] {
                let r = run(&a, args);
                assert_eq!(r.code, 6, "{what}, {args:?}: {}{}", r.out, r.err);
                assert!(r.err.starts_with("sharelock: ~/.config/sharelock/unlocked.key is damaged"), "{what}: {}", r.err);
                assert!(r.err.ends_with("sharelock passwd --recovery-key --start-without-password\n"), "{what}: {}", r.err);
                assert_eq!(r.err.contains("rm ~/.config/sharelock/unlocked.key"), key_file, "{what}: {}", r.err);
                assert_eq!(std::fs::read(&key).ok(), wrapped, "{what}, {args:?}");
            }
        }
        // The answers.
        if key_file {
            std::fs::remove_file(&path).unwrap();
            a.ok(["sync"]);
            std::fs::write(&path, flipped(40)).unwrap();
        }
        let paper = a.path("rk").display().to_string();
        let args = ["passwd", "--recovery-key-file", &paper, "--new-password-file", &pw, "--start-without-password"];
        assert_eq!(run(&a, &args).code, 0);
        assert_eq!(std::fs::read(&path).unwrap(), good);
        assert_eq!(run(&a, &["sync"]).code, 0);
        a.ok(["verify"]);
        assert_eq!(tree(&a.path("share")), share);
    }
}

/// What earlier versions wrote has no check value.
#[test]
fn the_old_form_is_read_and_proved_before_anything_is_made_of_it() {
    let a = without_password(true);
    let (path, key) = (a.path(".config/sharelock/unlocked.key"), a.path(".config/sharelock/vault.key"));
    let good = std::fs::read(&path).unwrap();
    let pw = a.path("pw").display().to_string();
    std::fs::write(&path, &good[..56]).unwrap();
    assert_eq!(run(&a, &["sync"]).code, 0);
    let wrapped = std::fs::read(&key).unwrap();
    for at in [10, 40] {
        let mut bytes = good[..56].to_vec();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        for args in [&["passwd", "--new-password-file", &pw][..], &["key", "show-recovery"]] {
            let r = run(&a, args);
            assert!(r.code == 6 && r.err.contains("unlocked.key is damaged"), "{args:?}: {}{}", r.out, r.err);
            assert_eq!((std::fs::read(&key).unwrap(), r.out), (wrapped.clone(), String::new()), "{args:?}");
        }
    }
    std::fs::write(&path, &good[..56]).unwrap();
    assert_eq!(run(&a, &["passwd", "--new-password-file", &pw, "--start-without-password"]).code, 0);
    assert_eq!(std::fs::read(&path).unwrap(), good, "from now on with its check value");
}
