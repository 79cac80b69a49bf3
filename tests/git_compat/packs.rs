//! Packs, loose objects and refs: ours read by stock git, stock git's read by us.

use crate::support::*;
use sharelock::git::Type;
use sharelock::git::store::Expect;
use sharelock::id::Oid;
use std::path::Path;

/// How many packs lie in a repository.
fn packs(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("objects/pack"))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pack"))
        .count()
}

#[test]
fn a_pack_of_every_size_is_what_git_reads() {
    let ours = Ours::new();
    let sizes = [0, 1, 14, 15, 16, 17, 2047, 2048, 65_534, 65_535, 65_536, 131_070, 131_071, 1 << 20];
    let mut pack = ours.store.pack_writer().unwrap();
    let oids: Vec<Oid> = sizes.iter().map(|n| pack.add(Type::Blob, &noise(*n as u64, *n)).unwrap()).collect();
    assert_eq!(pack.add(Type::Blob, b"").unwrap(), oids[0], "twice, and written once");
    assert_eq!(pack.objects() as usize, sizes.len());
    pack.finish().unwrap();
    for (oid, n) in oids.iter().zip(sizes) {
        assert_eq!(git_bytes(ours.dir(), &["cat-file", "blob", &oid.to_string()], b""), noise(n as u64, n));
        assert_eq!(ours.store.read(oid, Type::Blob, 1 << 20).unwrap(), noise(n as u64, n));
        assert_eq!(ours.store.header(oid).unwrap(), Some((Type::Blob, n as u64)));
    }
    for entry in std::fs::read_dir(ours.dir().join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|x| x == "pack") {
            let path = path.to_str().unwrap();
            git(ours.dir(), &["verify-pack", path]);
            git(ours.dir(), &["index-pack", "--strict", "-o", "judged.idx", path]);
            let mine = std::fs::read(path.replace(".pack", ".idx")).unwrap();
            assert!(mine == std::fs::read(ours.dir().join("judged.idx")).unwrap(), "git's own index of it differs");
        }
    }
    fsck(ours.dir());
}

/// A repository of stock git with history, and what every object of it is.
fn stock() -> (tempfile::TempDir, std::path::PathBuf, Vec<(Oid, String, Vec<u8>)>) {
    let (temp, dir) = bare();
    let work = temp.path().join("work");
    git(temp.path(), &["clone", "-q", dir.to_str().unwrap(), "work"]);
    let mut big = noise(9, 200_000);
    for i in 0..12u8 {
        big[usize::from(i) * 5000] ^= 0xff;
        std::fs::create_dir_all(work.join("d")).unwrap();
        std::fs::write(work.join("d/big"), &big).unwrap();
        std::fs::write(work.join(format!("f{i}")), [i; 50]).unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "c"]);
    }
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    let list = git(&dir, &["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
    let all = list.lines().map(|l| {
        let (hex, kind) = l.split_once(' ').unwrap();
        (oid(hex), kind.to_string(), git_bytes(&dir, &["cat-file", kind, hex], b""))
    });
    let all = all.collect();
    (temp, dir, all)
}

fn reads_back(dir: &Path, all: &[(Oid, String, Vec<u8>)]) {
    let store = open(dir);
    for (oid, kind, content) in all {
        let (k, c) = store.read_any(oid, 1 << 20).unwrap();
        assert!(k.name() == kind && c == *content, "{oid}");
        assert_eq!(store.header(oid).unwrap(), Some((k, content.len() as u64)), "{oid}");
        if kind == "blob" {
            let (start, len) = store.read_start(oid, 100).unwrap();
            assert_eq!((&start[..], len), (&content[..content.len().min(100)], content.len() as u64));
        }
    }
}

#[test]
fn what_stock_git_packs_reads_back() {
    let (_temp, dir, all) = stock();
    reads_back(&dir, &all);
    for (config, name) in [("repack.useDeltaBaseOffset=true", "OFS_DELTA"), ("repack.useDeltaBaseOffset=false", "REF_DELTA")] {
        git(&dir, &["-c", config, "repack", "-adfq", "--depth=50", "--window=50"]);
        assert_eq!(packs(&dir), 1);
        let deltas = git(&dir, &["cat-file", "--batch-all-objects", "--batch-check=%(deltabase)"]);
        assert!(deltas.lines().any(|l| l != Oid::ZERO.to_string()), "{name}: no delta in it");
        reads_back(&dir, &all);
    }
}

#[test]
fn loose_objects_read_back_at_any_compression() {
    let (_temp, dir) = bare();
    for level in ["0", "1", "9"] {
        for n in [0usize, 1, 16_383, 16_384, 70_000] {
            let content = noise(n as u64 + level.as_bytes()[0] as u64, n);
            let config = format!("core.looseCompression={level}");
            let hex = git_bytes(&dir, &["-c", &config, "hash-object", "-w", "--stdin"], &content);
            let oid = oid(std::str::from_utf8(&hex).unwrap());
            assert_eq!(open(&dir).read(&oid, Type::Blob, 1 << 20).unwrap(), content);
            assert_eq!(open(&dir).header(&oid).unwrap(), Some((Type::Blob, n as u64)));
        }
    }
}

#[test]
fn refs_of_both() {
    let (_temp, dir, all) = stock();
    let commits: Vec<Oid> = all.iter().filter(|o| o.1 == "commit").map(|o| o.0).collect();
    git(&dir, &["tag", "-a", "-m", "t", "v1", &commits[0].to_string()]);
    git(&dir, &["pack-refs", "--all"]);
    let store = open(&dir);
    let main = store.get_ref("refs/heads/main").unwrap().unwrap();
    assert_eq!(main, oid(&git(&dir, &["rev-parse", "main"])));
    // A loose ref hides the packed one; deleting it deletes both.
    let other = *commits.iter().find(|c| **c != main).unwrap();
    assert!(store.set_ref("refs/heads/main", Expect::Is(other), Some(other)).is_err());
    store.set_ref("refs/heads/main", Expect::Is(main), Some(other)).unwrap();
    assert_eq!(oid(&git(&dir, &["rev-parse", "main"])), other);
    store.set_ref("refs/sharelock/seen/origin", Expect::Absent, Some(main)).unwrap();
    assert_eq!(oid(&git(&dir, &["rev-parse", "refs/sharelock/seen/origin"])), main);
    store.set_ref("refs/heads/main", Expect::Is(other), None).unwrap();
    let left = git(&dir, &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(left, "refs/sharelock/seen/origin\nrefs/tags/v1\n");
    assert_eq!(store.refs("refs/").unwrap().len(), 2);
    fsck(&dir);
}

/// A fuzzer's: `refs` listed from `packed-refs` what `get_ref` then called no name, so a node with one such line was lost.
#[test]
fn packed_refs_that_nobody_can_ask_for_are_not_listed() {
    let ours = Ours::new();
    let a = "a".repeat(40);
    let names = ["refs/heads/main", "refs/share\0\u{3}ck/seen", "refs/heads/\u{1b}[2J", "ref", "refs/heads/a..b", "refs/heads/ü"];
    let text: String = names.iter().map(|n| format!("{a} {n}\n")).collect();
    std::fs::write(ours.dir().join("packed-refs"), text).unwrap();
    let listed = ours.store.refs("refs/").unwrap();
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["refs/heads/main"]);
    for (name, oid) in listed {
        assert_eq!(ours.store.get_ref(&name).unwrap(), Some(oid));
    }
    for line in [format!("{a}\trefs/heads/main"), format!("{a}refs/heads/main"), a.clone(), "x".into()] {
        std::fs::write(ours.dir().join("packed-refs"), line).unwrap();
        assert!(ours.store.refs("refs/").is_err());
    }
}

#[test]
fn many_small_packs_become_few_and_nothing_is_lost() {
    let ours = Ours::new();
    let mut head = None;
    for i in 0..200u32 {
        let content = i.to_be_bytes();
        head = Some(ours.commit(&[("a", &content), ("same", b"same")], head.as_slice()));
        ours.store.consolidate().unwrap();
        assert!(packs(ours.dir()) < 30, "{} packs after {i}", packs(ours.dir()));
    }
    let head = head.unwrap();
    ours.store.set_ref("refs/heads/main", Expect::Absent, Some(head)).unwrap();
    assert_eq!(git(ours.dir(), &["rev-list", "--count", "main"]), "200\n");
    open(ours.dir()).complete(&head, &[]).unwrap();
    fsck(ours.dir());
}

#[test]
fn a_consolidated_pack_that_is_one_of_its_sources_stays() {
    let ours = Ours::new();
    // One pack has everything, and the others only what it has: put together they are that pack again.
    let blobs: Vec<Vec<u8>> = (0..40).map(|i| noise(i, 50)).collect();
    let mut oids: Vec<Oid> = blobs.iter().map(|b| sharelock::git::object::id(Type::Blob, b)).collect();
    oids.sort();
    let content = |oid: &Oid| blobs.iter().find(|b| sharelock::git::object::id(Type::Blob, b) == *oid).unwrap();
    for oid in &oids {
        let mut pack = ours.store.pack_writer().unwrap();
        pack.add(Type::Blob, content(oid)).unwrap();
        pack.finish().unwrap();
    }
    // The order in which the sources are copied is the store's: play it once, to learn what comes out.
    ours.store.consolidate().unwrap();
    for _ in 0..3 {
        for oid in &oids {
            let mut pack = ours.store.pack_writer().unwrap();
            pack.add(Type::Blob, content(oid)).unwrap();
            pack.finish().unwrap();
        }
        ours.store.consolidate().unwrap();
        let again = open(ours.dir());
        for oid in &oids {
            assert!(again.contains(oid).unwrap(), "{oid} is lost");
        }
    }
    fsck(ours.dir());
}

#[test]
fn deltas_of_stock_git_survive_consolidation() {
    for offsets in ["true", "false"] {
        let (_temp, dir, all) = stock();
        git(&dir, &["-c", &format!("repack.useDeltaBaseOffset={offsets}"), "repack", "-adfq", "--depth=50", "--window=50"]);
        let store = open(&dir);
        for i in 0..40 {
            let mut pack = store.pack_writer().unwrap();
            pack.add(Type::Blob, &noise(i, 30_000)).unwrap();
            // What the large pack holds as a delta stands here whole.
            pack.add(Type::Blob, &all[i as usize % 3].2).unwrap();
            pack.finish().unwrap();
        }
        store.consolidate().unwrap();
        store.consolidate().unwrap();
        assert!(packs(&dir) < 24);
        let deltas = git(&dir, &["cat-file", "--batch-all-objects", "--batch-check=%(deltabase)"]);
        assert!(deltas.lines().filter(|l| *l != Oid::ZERO.to_string()).count() > 6, "deltas were written whole");
        reads_back(&dir, &all);
        fsck(&dir);
    }
}

#[test]
fn packs_that_git_keeps_stay() {
    let ours = Ours::new();
    for i in 0..30u32 {
        ours.commit(&[("a", &i.to_be_bytes())], &[]);
    }
    let dir = ours.dir().join("objects/pack");
    let pack = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|x| x == "pack")).unwrap();
    std::fs::write(pack.with_extension("keep"), "").unwrap();
    ours.store.consolidate().unwrap();
    assert!(packs(ours.dir()) < 24 && pack.exists() && pack.with_extension("keep").exists());
    fsck(ours.dir());
}

#[test]
fn damage_is_not_copied_into_a_new_pack() {
    let ours = Ours::new();
    for i in 0..30u64 {
        let mut pack = ours.store.pack_writer().unwrap();
        pack.add(Type::Blob, &noise(i, 500)).unwrap();
        pack.finish().unwrap();
    }
    let dir = ours.dir().join("objects/pack");
    let pack = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|x| x == "pack")).unwrap();
    std::fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let before = packs(ours.dir());
    let e = open(ours.dir()).consolidate().unwrap_err();
    assert!(matches!(e.kind(), sharelock::error::Kind::Integrity(_)), "{e}");
    assert_eq!(packs(ours.dir()), before);
}
