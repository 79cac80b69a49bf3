//! `scripts/vectors.py decrypt`: nobody depends on our binary to get their files back.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use sharelock::clock::Time;
use sharelock::crypt::head::{FileHead, HeadKind};
use sharelock::crypt::large::{self, Part};
use sharelock::crypt::name::{self, EntryKind};
use sharelock::crypt::{Master, VaultKeys, keyfile, recovery, small};
use sharelock::id::Id;
use sharelock::tree::Writer;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::Fixed;

const VAULT: Id = Id([0x10; 16]);

fn master() -> Master {
    Master::from_bytes(&std::array::from_fn(|i| i as u8))
}

/// Bytes that repeat nowhere soon.
fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// `scripts/vectors.py decrypt` opens what this library sealed: a folder with a long name, a link, an empty directory, a
/// large file whose segment waits as `.new`, and one damaged file that is named and left out.
#[test]
fn another_program_decrypts_a_whole_secure_folder() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/vectors.py");
    let probe = std::process::Command::new("python3").args(["-c", "import cryptography.hazmat.primitives.kdf.argon2"]).output();
    if !probe.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: needs python3 with the package cryptography");
        return;
    }
    let keys = VaultKeys::new(&master());
    let dir = tempfile::tempdir().unwrap();
    let secure = dir.path().join("secure");
    std::fs::create_dir(&secure).unwrap();
    std::fs::write(secure.join("vault"), keys.vault_file(&VAULT)).unwrap();
    let file = |id: u8, size: usize, kind| FileHead {
        id: Id([id; 16]),
        kind,
        exec: id == 1,
        private: id == 2,
        mtime: Time { s: 1_700_000_000, ns: 5 },
        offset: 0,
        size: size as u64,
        generation: 1,
        mac: [0; 32],
        writer: Writer::new("laptop"),
        segment: if small::is_small(size as u64) { 0 } else { 16 },
        epoch: 0,
    };
    let entry = |at: &Path, parent: &Id, kind, id: &Id, plain: &[u8]| {
        let s = name::seal(&keys, parent, kind, id, plain);
        if let Some((n, content)) = s.long {
            std::fs::write(at.join(&*n), content).unwrap();
        }
        at.join(&*s.entry)
    };
    let small = |at: &Path, parent: &Id, plain_name: &[u8], mut h: FileHead, plain: &[u8], damage: bool| {
        let mut out = Vec::new();
        small::seal(&keys, &mut h, plain, &mut out).unwrap();
        out[200] ^= u8::from(damage);
        let kind = if h.kind == HeadKind::Keeper { EntryKind::Keeper } else { EntryKind::Small };
        std::fs::write(entry(at, parent, kind, &h.id, plain_name), out).unwrap();
    };
    let (sub, empty) = (Id([0x51; 16]), Id([0x52; 16]));
    let sub_at = entry(&secure, &Id::ROOT, EntryKind::Dir, &sub, "Fotos".as_bytes());
    let empty_at = entry(&sub_at, &sub, EntryKind::Dir, &empty, b"empty");
    std::fs::create_dir_all(&empty_at).unwrap();
    small(&empty_at, &empty, b"", FileHead::keeper(empty), b"", false);
    small(&secure, &Id::ROOT, b"run.sh", file(1, 5, HeadKind::File), b"echo\n", false);
    small(&secure, &Id::ROOT, b"key", file(2, 0, HeadKind::File), b"", false);
    small(&sub_at, &sub, &[b'n'; 200], file(3, 5000, HeadKind::File), &pattern(5000), false);
    small(&sub_at, &sub, b"link", file(4, 9, HeadKind::Link), b"../run.sh", false);
    small(&secure, &Id::ROOT, b"broken", file(5, 5, HeadKind::File), b"12345", true);
    let big = pattern(17 << 20);
    let big_at = entry(&secure, &Id::ROOT, EntryKind::Large, &Id([6; 16]), b"big");
    let mut w = large::Writer::new(&keys, file(6, big.len(), HeadKind::File)).unwrap();
    std::fs::create_dir_all(big_at.join("g0001")).unwrap();
    let put = |p: Part, object: &[u8]| {
        let (group, part) = p.path();
        // Between the commit point of an update and its end: the old part still has the name, the new one waits.
        let at = group.map_or(big_at.clone(), |g| big_at.join(g));
        if p == Part::Segment(3) {
            std::fs::write(at.join(&part), b"the old segment").unwrap();
            std::fs::write(at.join(part + ".new"), object).unwrap();
        } else {
            std::fs::write(at.join(part), object).unwrap();
        }
    };
    let mut out = Vec::new();
    for s in 0..w.segments() as usize {
        let at = (s << 16).min(big.len());
        let p = w.segment(&big[at..(at + (1 << 16)).min(big.len())], &mut out).unwrap();
        put(p, &out);
        if let Some((p, object)) = w.take_index() {
            put(p, &object);
        }
    }
    w.finish(&mut out).unwrap();
    put(Part::Head, &out);

    let master = master();
    let recovery_key: Vec<String> = recovery::print(&master).iter().map(|g| g.to_string()).collect();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("paper"), recovery_key.join("\n")).unwrap();
    std::fs::write(at("vault.key"), keyfile::seal(&master, &VAULT, b"geheim", keyfile::Cost::LEAST, &mut Fixed).unwrap()).unwrap();
    std::fs::write(at("password"), "geheim\n").unwrap();
    std::fs::write(at("wrong"), "Geheim\n").unwrap();
    let run = |out: &str, secret: &[&str]| {
        let mut c = std::process::Command::new("python3");
        c.arg(&tool).arg("decrypt").arg(&secure).arg(at(out));
        for s in secret {
            if s.starts_with("--") {
                c.arg(s)
            } else {
                c.arg(at(s))
            };
        }
        c.output().unwrap()
    };
    assert!(!run("no", &["--key-file", "vault.key", "--password-file", "wrong"]).status.success());
    assert!(!at("no").exists());
    for (to, secret) in
        [("one", &["--recovery-key-file", "paper"][..]), ("two", &["--key-file", "vault.key", "--password-file", "password"])]
    {
        let done = run(to, secret);
        let (said, share) = (String::from_utf8_lossy(&done.stderr).into_owned(), at(to));
        assert_eq!(String::from_utf8_lossy(&done.stdout), "5 files, 1 problems\n", "{said}");
        assert!(!done.status.success() && said.contains("auth"));
        assert_eq!(std::fs::read(share.join("run.sh")).unwrap(), b"echo\n");
        assert!(std::fs::metadata(share.join("run.sh")).unwrap().permissions().mode() & 0o100 != 0);
        assert_eq!(std::fs::metadata(share.join("key")).unwrap().permissions().mode() & 0o177, 0);
        assert!(std::fs::read(share.join("Fotos").join("n".repeat(200))).unwrap() == pattern(5000));
        assert_eq!(std::fs::read_link(share.join("Fotos/link")).unwrap(), Path::new("../run.sh"));
        assert_eq!(std::fs::read_dir(share.join("Fotos/empty")).unwrap().count(), 0);
        assert!(std::fs::read(share.join("big")).unwrap() == big);
        assert!(!share.join("broken").exists());
        assert_eq!(std::fs::read_dir(&share).unwrap().count(), 4);
        let mtime = std::fs::metadata(share.join("big")).unwrap().modified().unwrap();
        assert_eq!(mtime.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(), 1_700_000_000_000_000_005);
    }
}
