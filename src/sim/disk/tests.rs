//! The simulated disk against the real one, and what a power cut may and may not do.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::files::real::Disk;
use crate::files::{Files, Open};
use crate::sim::clock::SimRandom;
use crate::sim::hook::Act;
use std::io::{ErrorKind, Read, Write};

type Outcome = Result<String, ErrorKind>;

/// One disk with the handles that a sequence of verbs has opened.
struct Side<F: Files> {
    disk: F,
    dirs: Vec<F::Dir>,
    files: Vec<F::File>,
}

/// What is compared: kind, size of what is no directory, mode, a time that was set. (Inode numbers are used again.)
fn show(s: Option<Stat>) -> String {
    let Some(s) = s else { return "nothing".into() };
    let size = if s.kind == Kind::Dir { 0 } else { s.size };
    let set = if s.mtime.s < 1_000_000 { Some(s.mtime) } else { None };
    let mode = if s.kind == Kind::Link { 0 } else { s.mode };
    format!("{:?} {size} {mode:o} {set:?}", s.kind)
}

/// Renames by `f`, and tells whether the inode is the same at its new place.
fn moved<F: Files>(disk: &F, from: (&F::Dir, &[u8]), to: (&F::Dir, &[u8]), f: impl FnOnce() -> io::Result<()>) -> io::Result<String> {
    let before = disk.stat(from.0, from.1)?.map(|s| s.ino);
    f()?;
    Ok(format!("same: {}", disk.stat(to.0, to.1)?.map(|s| s.ino) == before))
}

impl<F: Files> Side<F> {
    fn new(disk: F) -> Self {
        Side { dirs: vec![disk.root()], disk, files: Vec::new() }
    }

    fn play(&mut self, r: &mut SimRandom) -> (String, Outcome) {
        const NAMES: [&[u8]; 5] = [b"a", b"b", b"c", b"\xff", b"long"];
        let long = [b'n'; 256];
        let name = |r: &mut SimRandom| if r.chance(2) { &long[..] } else { *r.pick(&NAMES) };
        let (i, j) = (r.below(self.dirs.len() as u64) as usize, r.below(self.dirs.len() as u64) as usize);
        let (at, to) = (self.dirs[i].clone(), self.dirs[j].clone());
        let (a, b) = (name(r).to_vec(), name(r).to_vec());
        let (a, b) = (&a[..], &b[..]);
        let mode = *r.pick(&[0o600, 0o644, 0o777, 0o666]);
        let f = r.below(self.files.len().max(1) as u64) as usize;
        let t = Time { s: r.below(999_999) as i64, ns: r.below(1_000_000_000) as u32 };
        let bytes = vec![b'0' + r.below(10) as u8; r.below(20) as usize];
        let offset = r.below(30);
        let disk = self.disk.clone();
        let verb = r.below(22);
        let out: io::Result<String> = (|| {
            Ok(match verb {
                0 | 1 => return disk.mkdir(&at, a, mode).map(|()| String::new()),
                2 | 3 => {
                    self.files.push(disk.create(&at, a, mode)?);
                    String::new()
                }
                4 => return disk.symlink(b"a/../b", &at, a).map(|()| String::new()),
                5..7 => moved(&disk, (&at, a), (&to, b), || disk.rename(&at, a, &to, b))?,
                7 => moved(&disk, (&at, a), (&to, b), || disk.rename_noreplace(&at, a, &to, b))?,
                8 => moved(&disk, (&at, a), (&to, b), || disk.exchange(&at, a, &to, b))?,
                9 => return disk.unlink(&at, a).map(|()| String::new()),
                10 => return disk.rmdir(&at, a).map(|()| String::new()),
                11 | 12 => {
                    self.dirs.push(disk.open_dir(&at, a)?);
                    String::new()
                }
                13 => {
                    let mut text = String::new();
                    disk.open(&at, a)?.read_to_string(&mut text)?;
                    text
                }
                14 => {
                    self.files.push(disk.open_rw(&at, a)?);
                    String::new()
                }
                15 => format!("{:?}", disk.readlink(&at, a)?),
                16 => {
                    let mut names: Vec<_> = disk.list(&at)?.into_iter().map(|(n, _)| n).collect();
                    names.sort();
                    format!("{names:?}")
                }
                17 => {
                    let s = disk.stat(&at, a)?;
                    show(s)
                }
                18 => {
                    let s = disk.stat_dir(&at)?;
                    show(Some(s))
                }
                19 => return disk.set_link_mtime(&at, a, t).map(|()| String::new()),
                _ if self.files.is_empty() => String::new(),
                20 => {
                    let file = &mut self.files[f];
                    match offset % 6 {
                        0 => file.write_at(offset, &bytes)?,
                        1 => file.write_all(&bytes)?,
                        2 => file.set_len(offset)?,
                        3 => file.set_mode(mode)?,
                        4 => file.set_mtime(t)?,
                        _ => file.sync()?,
                    }
                    String::new()
                }
                _ => {
                    let mut buf = [b'.'; 8];
                    let n = self.files[f].read_at(offset, &mut buf)?;
                    let s = self.files[f].stat()?;
                    format!("{n} {buf:?} {}", show(Some(s)))
                }
            })
        })();
        (format!("verb {verb}, dir {i} {a:?}, dir {j} {b:?}, file {f}, offset {offset}"), out.map_err(|e| e.kind()))
    }
}

#[test]
fn both_disks_answer_alike() {
    for seed in 0..400 {
        let dir = tempfile::tempdir().unwrap();
        let real = Disk::open(dir.path()).unwrap();
        if !real.traits().exchange || real.traits().folds_case {
            return; // Here the real disk is the lesser one.
        }
        let mut real = Side::new(real);
        let mut sim = Side::new(SimDisk::new(ABLE, &SimClock::new()));
        let (mut r, mut s) = (SimRandom::new(seed), SimRandom::new(seed));
        let mut story = Vec::new();
        for _ in 0..80 {
            let (verb, x) = real.play(&mut r);
            let (_, y) = sim.play(&mut s);
            story.push(format!("{verb}: {x:?}"));
            if verb.starts_with("verb 18, dir 0") {
                continue; // The temporary directory itself is 0700.
            }
            assert_eq!(x, y, "(real, simulated) seed {seed}\n{}", story.join("\n"));
        }
    }
}

fn put(disk: &SimDisk, name: &[u8], bytes: &[u8]) {
    let f = disk.create(&disk.root(), name, 0o644).unwrap();
    f.write_at(0, bytes).unwrap();
}

fn get(disk: &SimDisk, at: &u64, name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    disk.open(at, name).ok()?.read_to_end(&mut out).unwrap();
    Some(out)
}

/// What stands under the names after `play` and a power cut, over many seeds, without repetition.
fn after_cuts(names: &[&[u8]], play: impl Fn(&SimDisk)) -> BTreeSet<Vec<Option<Vec<u8>>>> {
    (0..200)
        .map(|seed| {
            let disk = SimDisk::new(ABLE, &SimClock::new());
            play(&disk);
            disk.power_cut(&mut SimRandom::new(seed));
            names.iter().map(|n| get(&disk, &ROOT, n)).collect()
        })
        .collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

fn old_is_durable(disk: &SimDisk) {
    put(disk, b"f", b"old");
    disk.sync_all().unwrap();
    put(disk, b"t", b"newer");
}

#[test]
fn what_was_synced_survives() {
    let seen = after_cuts(&[b"f"], |disk| {
        put(disk, b"f", b"text");
        disk.open_rw(&ROOT, b"f").unwrap().sync().unwrap();
        disk.sync_dir(&ROOT).unwrap();
    });
    assert_eq!(seen, BTreeSet::from([vec![some(b"text")]]));
    let seen = after_cuts(&[b"f", b"t"], |disk| {
        old_is_durable(disk);
        disk.rename(&ROOT, b"t", &ROOT, b"f").unwrap();
        disk.sync_all().unwrap();
    });
    assert_eq!(seen, BTreeSet::from([vec![some(b"newer"), None]]));
}

#[test]
fn what_was_not_synced_may_be_lost_or_torn() {
    let seen = after_cuts(&[b"f"], |disk| put(disk, b"f", b"text"));
    assert!(seen.contains(&vec![None]) && seen.contains(&vec![some(b"text")]));
    assert!(seen.contains(&vec![some(b"")]) && seen.contains(&vec![some(b"te\0\0")]), "{seen:?}");
}

#[test]
fn a_replacement_is_old_or_new_if_the_file_was_synced_first_and_only_then() {
    let replace = |sync: bool| {
        after_cuts(&[b"f"], move |disk| {
            old_is_durable(disk);
            if sync {
                disk.open_rw(&ROOT, b"t").unwrap().sync().unwrap();
            }
            disk.rename(&ROOT, b"t", &ROOT, b"f").unwrap();
        })
    };
    let whole = BTreeSet::from([vec![some(b"old")], vec![some(b"newer")]]);
    assert_eq!(replace(true), whole);
    assert!(replace(false).len() > 2, "a forgotten fsync must show");
}

#[test]
fn an_exchange_happens_whole_or_not_at_all() {
    let seen = after_cuts(&[b"f", b"t"], |disk| {
        old_is_durable(disk);
        disk.sync_all().unwrap();
        disk.exchange(&ROOT, b"f", &ROOT, b"t").unwrap();
    });
    let before = vec![some(b"old"), some(b"newer")];
    let after = vec![some(b"newer"), some(b"old")];
    assert_eq!(seen, BTreeSet::from([before, after]));
}

#[test]
fn what_moves_between_directories_is_in_one_of_them() {
    for synced in [None, Some(b"from"), Some(b"to  ")] {
        let mut places = BTreeSet::new();
        for seed in 0..200 {
            let disk = SimDisk::new(ABLE, &SimClock::new());
            let names: [&[u8]; 2] = [b"from", b"to  "];
            for name in names {
                disk.mkdir(&ROOT, name, 0o755).unwrap();
            }
            let dirs = names.map(|n| disk.open_dir(&ROOT, n).unwrap());
            disk.create(&dirs[0], b"f", 0o644).unwrap().write_at(0, b"text").unwrap();
            disk.sync_all().unwrap();
            disk.rename(&dirs[0], b"f", &dirs[1], b"g").unwrap();
            if let Some(name) = synced {
                disk.sync_dir(&disk.open_dir(&ROOT, name).unwrap()).unwrap();
            }
            disk.power_cut(&mut SimRandom::new(seed));
            places.insert((get(&disk, &dirs[0], b"f").is_some(), get(&disk, &dirs[1], b"g").is_some()));
        }
        let moved = BTreeSet::from([(false, true)]);
        let either = BTreeSet::from([(true, false), (false, true)]);
        assert_eq!(places, if synced.is_some() { moved } else { either }, "{synced:?}");
    }
}

#[test]
fn after_any_story_a_cut_leaves_a_tree() {
    for seed in 0..2000 {
        let mut r = SimRandom::new(seed);
        let disk = SimDisk::new(ABLE, &SimClock::new());
        let mut side = Side::new(disk.clone());
        for _ in 0..3 {
            for _ in 0..40 {
                let _ = side.play(&mut r);
                if r.chance(5) {
                    let at = *r.pick(&side.dirs);
                    disk.sync_dir(&at).unwrap();
                }
            }
            disk.power_cut(&mut r);
            let (mut todo, mut seen) = (vec![ROOT], BTreeSet::from([ROOT]));
            while let Some(at) = todo.pop() {
                for (name, _) in disk.list(&at).unwrap() {
                    let stat = disk.stat(&at, &name).unwrap().expect("a name leads to something");
                    if stat.kind == Kind::Dir {
                        assert!(seen.insert(stat.ino), "seed {seed}: a directory at two places");
                        todo.push(disk.open_dir(&at, &name).unwrap());
                    }
                }
            }
        }
    }
}

#[test]
fn without_noreplace_a_kill_may_leave_both_names() {
    let disk = SimDisk::new(Traits { noreplace: false, ..ABLE }, &SimClock::new());
    put(&disk, b"a", b"text");
    put(&disk, b"taken", b"other");
    let life = Life::new(0);
    let engine = disk.for_engine(&life, Seam::Share);
    assert_eq!(engine.rename_noreplace(&ROOT, b"a", &ROOT, b"taken").unwrap_err().kind(), ErrorKind::AlreadyExists);
    life.schedule(Some(Rc::new(|_, _, verb| if verb == "link" { Act::Kill } else { Act::Go })));
    assert!(engine.rename_noreplace(&ROOT, b"a", &ROOT, b"b").is_err());
    assert!(engine.stat(&ROOT, b"a").is_err(), "a dead device's seams refuse");
    let ino = |name: &[u8]| disk.stat(&ROOT, name).unwrap().unwrap().ino;
    assert_eq!(ino(b"a"), ino(b"b"));
    // rename(2) of two names of one inode does nothing.
    disk.rename(&ROOT, b"a", &ROOT, b"b").unwrap();
    assert_eq!(ino(b"a"), ino(b"b"));
    life.schedule(None);
    life.revive();
    assert!(engine.rename_noreplace(&ROOT, b"b", &ROOT, b"c").is_ok() && disk.stat(&ROOT, b"b").unwrap().is_none());
}

#[test]
fn a_folding_disk_shows_a_name_as_it_was_written() {
    let disk = SimDisk::new(Traits { folds_case: true, ..ABLE }, &SimClock::new());
    put(&disk, b"a", b"text");
    assert!(disk.create(&ROOT, b"A", 0o644).is_err());
    assert_eq!(get(&disk, &ROOT, b"A"), some(b"text"));
    disk.rename(&ROOT, b"a", &ROOT, b"A").unwrap();
    assert_eq!(disk.list(&ROOT).unwrap(), [((*b"A").into(), None)]);
}
