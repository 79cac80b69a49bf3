//! Fetch and push against `git upload-pack` and `git receive-pack` over pipes.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use sharelock::error::{Class, Kind, Result};
use sharelock::git::wire::{advertisement, fetch_over, hang_up, push_over};
use sharelock::git::{PackSource, RefStatus, RefUpdate};
use sharelock::id::Oid;
use std::io::Write;
use std::path::Path;

fn push(dir: &Path, config: &[&str], updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Vec<RefStatus> {
    let mut pipe = Pipe::new(dir, config, "receive-pack");
    let server = advertisement(&mut pipe).unwrap();
    let out = push_over(&mut pipe, &server, updates, atomic, pack).unwrap();
    pipe.end();
    out
}

fn fetch(dir: &Path, into: &Ours, want: &[Oid], have: &[Oid]) -> Result<u32> {
    let mut pipe = Pipe::upload(dir);
    let server = advertisement(&mut pipe)?;
    let mut sink = into.store.ingest()?;
    fetch_over(&mut pipe, &server, want, have, &mut sink)?;
    let objects = sink.finish()?.objects;
    pipe.end();
    Ok(objects)
}

fn refused(status: &RefStatus) -> bool {
    matches!(status, RefStatus::Refused(why) if !why.is_empty())
}

/// Updates that only delete have no pack.
struct None0;

impl PackSource for None0 {
    fn objects(&self) -> u32 {
        0
    }

    fn write_to(&mut self, _: &mut dyn Write) -> Result<()> {
        panic!("nobody asks for this pack")
    }
}

#[test]
fn an_empty_repository() {
    let (_temp, dir) = bare();
    for service in ["upload-pack", "receive-pack"] {
        let mut pipe = Pipe::new(&dir, &[], service);
        let server = advertisement(&mut pipe).unwrap();
        assert!(server.refs.is_empty(), "{service}");
        hang_up(&mut pipe).unwrap();
        pipe.end();
    }
    let ours = Ours::new();
    assert_eq!(fetch(&dir, &ours, &[], &[]).unwrap(), 0);
}

#[test]
fn the_first_push_then_an_edit_then_a_fetch() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let big = noise(1, 300_000);
    let first = ours.commit(&[("a", b"one"), ("big", &big), ("empty", b"")], &[]);
    assert_eq!(push(&dir, &[], &[update(MAIN, None, Some(first))], false, &mut ours.pack(&[first], &[])), [RefStatus::Ok]);
    let second = ours.commit(&[("a", b"two"), ("big", &big), ("empty", b"")], &[first]);
    let mut small = ours.pack(&[second], &[first]);
    assert_eq!(small.objects(), 3);
    assert_eq!(push(&dir, &[], &[update(MAIN, Some(first), Some(second))], true, &mut small), [RefStatus::Ok]);
    fsck(&dir);
    assert_eq!(git_bytes(&dir, &["cat-file", "blob", "main:big"], b""), big);
    assert_eq!(git(&dir, &["rev-list", "--count", "main"]), "2\n");

    // Another device fetches everything, then only what is new; twice, for the node is set back by an empty pack.
    for _ in 0..2 {
        let other = Ours::new();
        let gone = fetch(&dir, &other, &[first], &[]).unwrap_err();
        assert_eq!(gone.kind(), Kind::Raced, "{gone}");
        assert_eq!(fetch(&dir, &other, &[second], &[]).unwrap(), 8);
        let third = ours.commit(&[("a", b"three"), ("big", &noise(2, 300_000)), ("empty", b"")], &[second]);
        let now = oid(&git(&dir, &["rev-parse", "main"]));
        let status = push(&dir, &[], &[update(MAIN, Some(now), Some(third))], false, &mut ours.pack(&[third], &[second]));
        assert_eq!(status, [RefStatus::Ok]);
        let n = fetch(&dir, &other, &[third], &[second]).unwrap();
        assert!((4..8).contains(&n), "{n} objects");
        other.store.complete(&third, &[second]).unwrap();
        other.store.set_ref(MAIN, sharelock::git::store::Expect::Absent, Some(third)).unwrap();
        fsck(other.dir());
        let back = update(MAIN, Some(third), Some(second));
        assert_eq!(push(&dir, &[], &[back], false, &mut ours.pack(&[second], &[second])), [RefStatus::Ok], "empty pack");
    }
}

#[test]
fn a_fetch_after_the_servers_gc() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let mut big = noise(3, 1 << 20);
    let first = ours.commit(&[("a", b"one"), ("big", &big)], &[]);
    push(&dir, &[], &[update(MAIN, None, Some(first))], false, &mut ours.pack(&[first], &[]));
    big[5000..5100].fill(0);
    let second = ours.commit(&[("a", b"one"), ("big", &big)], &[first]);
    push(&dir, &[], &[update(MAIN, Some(first), Some(second))], false, &mut ours.pack(&[second], &[first]));
    git(&dir, &["symbolic-ref", "HEAD", MAIN]);
    git(&dir, &["gc", "-q"]);
    let mut pipe = Pipe::upload(&dir);
    let server = advertisement(&mut pipe).unwrap();
    assert_eq!(server.refs.get(MAIN), Some(&second));
    hang_up(&mut pipe).unwrap();
    pipe.end();
    // All of it: the server sends the two versions of `big` as one and a delta.
    let other = Ours::new();
    assert_eq!(fetch(&dir, &other, &[second], &[]).unwrap(), 7);
    other.store.complete(&second, &[]).unwrap();
    other.store.set_ref(MAIN, sharelock::git::store::Expect::Absent, Some(second)).unwrap();
    fsck(other.dir());
    assert_eq!(git_bytes(other.dir(), &["cat-file", "blob", "main:big"], b""), big);
}

#[test]
fn somebody_else_was_faster() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let (theirs, mine) = (ours.commit(&[("a", b"1")], &[base]), ours.commit(&[("a", b"2")], &[base]));
    push(&dir, &[], &[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[]));

    // Before the advertisement: nothing is sent.
    push(&dir, &[], &[update(MAIN, Some(base), Some(theirs))], false, &mut ours.pack(&[theirs], &[base]));
    let late = push(&dir, &[], &[update(MAIN, Some(base), Some(mine))], false, &mut ours.pack(&[mine], &[base]));
    assert!(refused(&late[0]));
    assert!(!open(&dir).contains(&mine).unwrap(), "the objects of a lost race were sent");

    // Between advertisement and push: the server compares and refuses.
    for atomic in [false, true] {
        git(&dir, &["update-ref", MAIN, &base.to_string()]);
        let mut pipe = Pipe::receive(&dir);
        let server = advertisement(&mut pipe).unwrap();
        git(&dir, &["update-ref", MAIN, &theirs.to_string()]);
        let both = [update(MAIN, Some(base), Some(mine)), update("refs/sharelock/staging/x", None, Some(mine))];
        let status = push_over(&mut pipe, &server, &both, atomic, &mut ours.pack(&[mine], &[base])).unwrap();
        pipe.end();
        assert!(refused(&status[0]), "{status:?}");
        assert_eq!(refused(&status[1]), atomic, "{status:?}");
        assert_eq!(open(&dir).get_ref(MAIN).unwrap(), Some(theirs));
    }
    fsck(&dir);
}

#[test]
fn refusals_of_a_servers_configuration() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let staging = "refs/sharelock/staging/pi";
    let both = [update(MAIN, None, Some(base)), update(staging, None, Some(base))];
    let hidden = &["receive.hideRefs=refs/sharelock"];
    let status = push(&dir, hidden, &both, false, &mut ours.pack(&[base], &[]));
    assert!(status[0] == RefStatus::Ok && refused(&status[1]), "{status:?}");
    assert_eq!(push(&dir, &[], &both[1..], false, &mut ours.pack(&[base], &[base])), [RefStatus::Ok]);

    // denyDeletes is about branches only.
    let branch = [update(MAIN, Some(base), None)];
    assert!(refused(&push(&dir, &["receive.denyDeletes=true"], &branch, false, &mut None0)[0]));
    assert_eq!(open(&dir).get_ref(MAIN).unwrap(), Some(base));
    let delete = [update(staging, Some(base), None)];
    assert_eq!(push(&dir, &[], &delete, false, &mut None0), [RefStatus::Ok]);
    assert_eq!(open(&dir).get_ref(staging).unwrap(), None);

    // A hook's words reach the person.
    let hook = dir.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'quota \x1b[31mexceeded' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let next = ours.commit(&[("a", b"1")], &[base]);
    let status = push(&dir, &[], &[update(MAIN, Some(base), Some(next))], false, &mut ours.pack(&[next], &[base]));
    assert!(matches!(&status[0], RefStatus::Refused(why) if why.contains("quota \\u{1b}[31mexceeded")), "{status:?}");
}

#[test]
fn a_move_and_a_deletion_in_one_atomic_push() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let next = ours.commit(&[("a", b"1")], &[base]);
    let staging = "refs/sharelock/staging/pi";
    push(&dir, &[], &[update(MAIN, None, Some(base)), update(staging, None, Some(base))], true, &mut ours.pack(&[base], &[]));
    let both = [update(MAIN, Some(base), Some(next)), update(staging, Some(base), None)];
    let status = push(&dir, &[], &both, true, &mut ours.pack(&[next], &[base]));
    assert_eq!(status, [RefStatus::Ok, RefStatus::Ok]);
    assert_eq!(open(&dir).refs("refs/").unwrap().into_iter().collect::<Vec<_>>(), [(MAIN.to_string(), next)]);
}

#[test]
fn a_pack_that_the_server_cannot_unpack() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let next = ours.commit(&[("a", b"1")], &[base]);
    // The commit alone: what it needs is missing.
    let mut lacking = ours.store.pack_source(vec![next]).unwrap();
    assert!(refused(&push(&dir, &[], &[update(MAIN, None, Some(next))], false, &mut lacking)[0]));
    assert!(open(&dir).refs("refs/").unwrap().is_empty());

    // Bytes that are no pack.
    struct Garbage;
    impl PackSource for Garbage {
        fn objects(&self) -> u32 {
            3
        }
        fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
            // The server hangs up within this: a line that breaks, but with a report.
            Ok(out.write_all(&vec![b'x'; 1 << 20])?)
        }
    }
    let mut pipe = Pipe::receive(&dir);
    let server = advertisement(&mut pipe).unwrap();
    match push_over(&mut pipe, &server, &[update(MAIN, None, Some(next))], false, &mut Garbage) {
        Ok(status) => assert!(refused(&status[0])),
        Err(e) => assert_eq!(e.kind(), Kind::Unreachable, "{e}"),
    }
}

#[test]
fn our_own_error_while_the_pack_is_read() {
    struct Damaged;
    impl PackSource for Damaged {
        fn objects(&self) -> u32 {
            3
        }
        fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
            out.write_all(b"PACK")?;
            Err(sharelock::error::Error::integrity(Class::Auth, "a damaged object"))
        }
    }
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let mut pipe = Pipe::receive(&dir);
    let server = advertisement(&mut pipe).unwrap();
    let e = push_over(&mut pipe, &server, &[update(MAIN, None, Some(base))], false, &mut Damaged).unwrap_err();
    assert_eq!(e.kind(), Kind::Integrity(Class::Auth));
    assert!(open(&dir).refs("refs/").unwrap().is_empty());
}

#[test]
fn a_server_that_dies() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let mut pipe = Pipe::receive(&dir);
    let server = advertisement(&mut pipe).unwrap();
    pipe.kill();
    let e = push_over(&mut pipe, &server, &[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[])).unwrap_err();
    assert_eq!(e.kind(), Kind::Unreachable, "{e}");

    push(&dir, &[], &[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[]));
    let mut pipe = Pipe::upload(&dir);
    let server = advertisement(&mut pipe).unwrap();
    pipe.kill();
    let e = fetch_over(&mut pipe, &server, &[base], &[], &mut Vec::new()).unwrap_err();
    assert_eq!(e.kind(), Kind::Unreachable, "{e}");
}

#[test]
fn no_repository_there() {
    let temp = tempfile::TempDir::new().unwrap();
    let mut pipe = Pipe::upload(temp.path());
    let e = advertisement(&mut pipe).unwrap_err();
    assert_eq!(e.kind(), Kind::Unreachable);
}

#[test]
fn a_sha256_repository_is_refused_by_name() {
    let temp = tempfile::TempDir::new().unwrap();
    git(temp.path(), &["init", "-q", "--bare", "--object-format=sha256", "."]);
    for service in ["upload-pack", "receive-pack"] {
        let e = advertisement(&mut Pipe::new(temp.path(), &[], service)).unwrap_err();
        assert_eq!(e.kind(), Kind::Integrity(Class::Version), "{service}: {e}");
        assert!(e.what().contains("sha256"));
    }
}

/// A server that knows a commit and its parent says so for each.
#[test]
fn all_that_we_have_may_be_known() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let first = ours.commit(&[("a", b"1")], &[]);
    let second = ours.commit(&[("a", b"2")], &[first]);
    let side = ours.commit(&[("b", b"side")], &[first]);
    let third = ours.commit(&[("a", b"3")], &[second, side]);
    push(&dir, &[], &[update(MAIN, None, Some(third))], false, &mut ours.pack(&[third], &[]));
    let other = Ours::new();
    let unknown = other.commit(&[("c", b"1")], &[]);
    assert_eq!(fetch(&dir, &other, &[third], &[unknown]).unwrap(), 12);
    let haves: [&[Oid]; 5] =
        [&[second, first], &[first, second], &[side, unknown, second, first], &[unknown, side, second, first], &[third, second]];
    for have in haves {
        let objects = if have.contains(&third) {
            0
        } else if have.contains(&side) {
            3
        } else {
            6
        };
        assert_eq!(fetch(&dir, &ours, &[third], have).unwrap(), objects, "{have:?}");
    }
}

#[test]
fn a_server_that_has_moved_on_gives_its_new_state_only() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let first = ours.commit(&[("a", b"1")], &[]);
    let second = ours.commit(&[("a", b"2")], &[first]);
    push(&dir, &[], &[update(MAIN, None, Some(second))], false, &mut ours.pack(&[second], &[]));
    let other = Ours::new();
    assert_eq!(fetch(&dir, &other, &[first], &[]).unwrap_err().kind(), Kind::Raced);
    assert_eq!(fetch(&dir, &other, &[second], &[]).unwrap(), 6);
    // Some give all that they have.
    git(&dir, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(fetch(&dir, &Ours::new(), &[first], &[]).unwrap(), 3);
}

#[test]
fn protocol_version_1_is_spoken() {
    let (_temp, dir) = bare();
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    push(&dir, &[], &[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[]));
    let mut child = git_command(&dir, &["upload-pack", "."]);
    child.env("GIT_PROTOCOL", "version=1").stdin(std::process::Stdio::null());
    let out = child.output().unwrap().stdout;
    assert!(out.starts_with(b"000eversion 1\n"));
    assert_eq!(advertisement(&mut &out[..]).unwrap().refs[MAIN], base);
}
