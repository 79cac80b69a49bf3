//! A storage node at a local path: a repository of stock git, without git.

use crate::support::*;
use sharelock::error::{Error, Kind};
use sharelock::files::real::Disk;
use sharelock::git::local::LocalRemote;
use sharelock::git::{RefStatus, Remote};
use std::path::Path;

fn node(dir: &Path) -> LocalRemote<Disk> {
    let dir = dir.to_path_buf();
    LocalRemote::new("disk", Box::new(move || Disk::open(&dir).map_err(Error::from)))
}

#[test]
fn push_and_fetch_with_a_repository_that_git_keeps_house_in() {
    let (_temp, dir) = bare();
    let mut remote = node(&dir);
    let ours = Ours::new();
    assert!(remote.refs().unwrap().is_empty());
    let mut head = None;
    for i in 0..12u32 {
        let next = ours.commit(&[("a", &i.to_be_bytes()), ("big", &noise(1, 50_000))], head.as_slice());
        let mut pack = ours.pack(&[next], head.as_slice());
        assert_eq!(remote.push(&[update(MAIN, head, Some(next))], true, &mut pack).unwrap(), [RefStatus::Ok]);
        head = Some(next);
        match i % 4 {
            1 => drop(git(&dir, &["gc", "-q"])),
            2 => drop(git(&dir, &["pack-refs", "--all"])),
            _ => {}
        }
        assert_eq!(remote.refs().unwrap().get(MAIN), head.as_ref());
        fsck(&dir);
    }
    assert!(remote.set_head().unwrap());
    let head = head.unwrap();
    let clone = ours.dir().join("clone");
    git(ours.dir(), &["clone", "-q", dir.to_str().unwrap(), "clone"]);
    assert_eq!(std::fs::read(clone.join("a")).unwrap(), 11u32.to_be_bytes());
    let other = Ours::new();
    let mut sink = other.store.ingest().unwrap();
    remote.fetch(&mut |_| Ok(vec![head]), &[], &mut sink).unwrap();
    sink.finish().unwrap();
    other.store.complete(&head, &[]).unwrap();
    git(&clone, &["commit", "-q", "--allow-empty", "-m", "by stock git"]);
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
    let theirs = remote.refs().unwrap()[MAIN];
    let mut sink = other.store.ingest().unwrap();
    remote.fetch(&mut |_| Ok(vec![theirs]), &[head], &mut sink).unwrap();
    assert_eq!(sink.finish().unwrap().objects, 1);
}

#[test]
fn a_lost_race_and_an_atomic_push() {
    let (_temp, dir) = bare();
    let mut remote = node(&dir);
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let (x, y) = (ours.commit(&[("a", b"1")], &[base]), ours.commit(&[("a", b"2")], &[base]));
    remote.push(&[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[])).unwrap();
    remote.push(&[update(MAIN, Some(base), Some(x))], false, &mut ours.pack(&[x], &[base])).unwrap();
    for atomic in [false, true] {
        let both = [update(MAIN, Some(base), Some(y)), update("refs/sharelock/staging/pi", None, Some(y))];
        let status = remote.push(&both, atomic, &mut ours.pack(&[y], &[base])).unwrap();
        assert!(matches!(status[0], RefStatus::Refused(_)));
        assert_eq!(matches!(status[1], RefStatus::Refused(_)), atomic);
        assert_eq!(remote.refs().unwrap()[MAIN], x);
        remote.push(&[update("refs/sharelock/staging/pi", Some(y), None)], false, &mut ours.pack(&[], &[])).unwrap();
    }
    fsck(&dir);
}

/// All locks are taken before any ref moves: one that another git holds lets none of them move.
#[test]
fn an_atomic_push_beside_another_git() {
    let (_temp, dir) = bare();
    let mut remote = node(&dir);
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let next = ours.commit(&[("a", b"1")], &[base]);
    let (early, late) = ("refs/heads/a", "refs/heads/z");
    let first = [update(early, None, Some(base)), update(late, None, Some(base))];
    remote.push(&first, true, &mut ours.pack(&[base], &[])).unwrap();
    let lock = dir.join("refs/heads/z.lock");
    let then = [update(early, Some(base), Some(next)), update(late, Some(base), None)];
    for atomic in [true, false] {
        std::fs::write(&lock, "git's").unwrap();
        let status = remote.push(&then, atomic, &mut ours.pack(&[next], &[base])).unwrap();
        assert_eq!(matches!(status[0], RefStatus::Refused(_)), atomic);
        assert!(matches!(status[1], RefStatus::Refused(_)));
        assert_eq!(remote.refs().unwrap()[early], if atomic { base } else { next });
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), "git's");
        let left: Vec<_> = std::fs::read_dir(dir.join("refs/heads")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(remote.push(&[update(late, Some(base), None)], true, &mut ours.pack(&[], &[])).unwrap(), [RefStatus::Ok]);
    fsck(&dir);
}

#[test]
fn a_disk_that_is_away_and_a_repository_of_another_kind() {
    let temp = tempfile::TempDir::new().unwrap();
    assert_eq!(node(&temp.path().join("none")).refs().unwrap_err().kind(), Kind::Unreachable);
    assert_eq!(node(temp.path()).refs().unwrap_err().kind(), Kind::Unreachable, "mounted, but empty");
    git(temp.path(), &["init", "-q", "--bare", "--object-format=sha256", "s"]);
    let e = node(&temp.path().join("s")).refs().unwrap_err();
    assert!(e.to_string().contains("sha256") && e.exit_code() == 6, "{e}");
}

#[test]
fn made_by_us() {
    let temp = tempfile::TempDir::new().unwrap();
    let mut remote = node(temp.path());
    remote.create().unwrap();
    remote.create().unwrap();
    fsck(temp.path());
    assert_eq!(git(temp.path(), &["symbolic-ref", "HEAD"]), "refs/heads/main\n");
    assert_eq!(git(temp.path(), &["rev-parse", "--is-bare-repository"]), "true\n");
}

#[test]
fn a_lock_that_a_killed_push_has_left_is_taken_away_and_one_of_a_push_that_lives_is_not() {
    let (_temp, dir) = bare();
    let mut remote = node(&dir);
    let ours = Ours::new();
    let base = ours.commit(&[("a", b"0")], &[]);
    let next = ours.commit(&[("a", b"1")], &[base]);
    let lock = dir.join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    assert_eq!(remote.push(&[update(MAIN, None, Some(base))], false, &mut ours.pack(&[base], &[])).unwrap(), [RefStatus::Ok]);
    assert!(!lock.exists());
    let other = std::fs::File::create(&lock).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let then = [update(MAIN, Some(base), Some(next))];
    let status = remote.push(&then, false, &mut ours.pack(&[next], &[base])).unwrap();
    assert!(matches!(&status[0], RefStatus::Refused(why) if why.contains("main.lock is held by another git")), "{status:?}");
    assert!(lock.exists());
    drop(other);
    assert_eq!(remote.push(&then, false, &mut ours.pack(&[next], &[base])).unwrap(), [RefStatus::Ok]);
}
