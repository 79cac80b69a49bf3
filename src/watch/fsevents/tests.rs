//! What FSEvents.h promises, told by hand: its flags and paths, singly, in any order, gathered and lost, up to the watcher.

use super::super::pending::Pending;
use super::super::{Backend, Change, Choice, Engine, POLL, Skip, Watcher};
use super::decode::{Decoder, flag::*};
use super::events::{Events, Inbox};
use crate::path::RelPath;
use std::sync::Arc;
use std::time::Duration;

const FILE: u32 = 0x1_0000;
const MODIFIED: u32 = 0x1000;
const REMOVED: u32 = 0x200;
const XATTR: u32 = 0x8000;

const ROOT: &str = "/Users/me/share";

fn skip() -> Skip {
    Box::new(|_, name| name == b".git" || name.ends_with(b"~"))
}

fn told_below(root: &str, events: &[(&str, u32)]) -> Vec<Change> {
    let d = Decoder::new(root.as_bytes(), skip());
    let mut out = Pending::default();
    events.iter().for_each(|(path, flags)| d.take(path.as_bytes(), *flags, &mut out));
    std::iter::from_fn(|| out.pop()).collect()
}

fn told(events: &[(&str, u32)]) -> Vec<Change> {
    told_below("/Users/me/share/", events)
}

fn p(s: &str) -> RelPath {
    RelPath::new(s.as_bytes()).unwrap()
}

fn dir(s: &str) -> Change {
    Change::Dir(p(s))
}

fn tree(s: &str) -> Change {
    Change::Tree(p(s))
}

#[test]
fn where_to_look() {
    const B: &str = "/Users/me/share/a/b/";
    let rows: &[(&str, &str, u32, &[Change])] = &[
        ("a file", "/Users/me/share/a/f", FILE | MODIFIED, &[dir("a")]),
        ("a file at the root", "/Users/me/share/f", FILE | MODIFIED, &[dir("")]),
        ("a file that came and went", "/Users/me/share/a/f", FILE | ITEM_CREATED | ITEM_RENAMED | REMOVED, &[dir("a")]),
        ("a file with no flag at all", "/Users/me/share/a/f", 0, &[dir("a")]),
        ("flags that are not known yet", "/Users/me/share/a/f", FILE | 0x8000_0000, &[dir("a")]),
        ("a new folder", B, ITEM_IS_DIR | ITEM_CREATED, &[tree("a/b"), dir("a")]),
        ("a renamed folder", B, ITEM_IS_DIR | ITEM_RENAMED, &[tree("a/b"), dir("a")]),
        ("a removed folder", B, ITEM_IS_DIR | REMOVED, &[dir("a")]),
        ("a folder that may be read now", B, ITEM_IS_DIR | ITEM_INODE_META_MOD, &[tree("a/b"), dir("a")]),
        ("a folder with a new owner", B, ITEM_IS_DIR | ITEM_CHANGE_OWNER, &[tree("a/b"), dir("a")]),
        ("a folder's attribute", B, ITEM_IS_DIR | XATTR, &[dir("a")]),
        ("merged events", B, MUST_SCAN_SUB_DIRS, &[tree("a/b"), dir("a")]),
        ("a mount", B, MOUNT, &[tree("a/b"), dir("a")]),
        ("an unmount", B, UNMOUNT, &[tree("a/b"), dir("a")]),
        ("dropped by the kernel", B, MUST_SCAN_SUB_DIRS | KERNEL_DROPPED, &[Change::All]),
        ("dropped by us", B, MUST_SCAN_SUB_DIRS | USER_DROPPED, &[Change::All]),
        ("dropped, for a name that is no concern", "/Users/me/share/.git/x", MUST_SCAN_SUB_DIRS | USER_DROPPED, &[Change::All]),
        ("wrapped ids", B, EVENT_IDS_WRAPPED, &[Change::All]),
        ("the end of history", ROOT, HISTORY_DONE, &[]),
        ("the root", ROOT, ROOT_CHANGED, &[Change::Gone]),
        ("the root, by a path that is not there any more", "", ROOT_CHANGED, &[Change::Gone]),
    ];
    for (what, path, flags, want) in rows {
        assert_eq!(told(&[(path, *flags)]), *want, "{what}");
    }
}

#[test]
fn paths_that_are_not_below() {
    assert_eq!(told(&[("/Users/me", MUST_SCAN_SUB_DIRS)]), [Change::All]);
    assert_eq!(told(&[("/", MUST_SCAN_SUB_DIRS)]), [Change::All]);
    assert_eq!(told(&[("/Users", UNMOUNT)]), [Change::Gone]);
    assert_eq!(told(&[("/Users/me/share", UNMOUNT)]), [Change::Gone]);
    assert_eq!(told(&[("/Users/me/share", ITEM_IS_DIR | XATTR)]), [dir("")]);
    assert_eq!(told(&[("/Users/me", ITEM_IS_DIR | XATTR)]), [dir("")]);
    // Nothing else is ever told: if something is, it is about a place here that is not understood.
    for path in ["/Users/me/share2/x", "/Users/me/shar", "/Volumes/x", "x", "/Users/me/share//x", "/Users/me/share/../x"] {
        assert_eq!(told(&[(path, FILE | MODIFIED)]), [Change::All], "{path}");
    }
    let long = format!("{ROOT}/{}", "n".repeat(256));
    assert_eq!(told(&[(&long, FILE)]), [Change::All]);
}

#[test]
fn the_root_by_other_letters() {
    for path in
        ["/System/Volumes/Data/Users/me/share/a/f", "/Users/me/Share/a/f", "/USERS/ME/SHARE/a/f", "/System/Volumes/Data/users/me/share/a/f"]
    {
        assert_eq!(told(&[(path, FILE | MODIFIED)]), [dir("a")], "{path}");
    }
    assert_eq!(told(&[("/Users/me/SHARE/.git/x", FILE)]), [], "what is no concern is none");
    assert_eq!(told(&[("/Users/me/SHARE", MUST_SCAN_SUB_DIRS)]), [Change::All]);
    // One name, composed and not.
    let (nfc, nfd) = ("/Users/j\u{f6}rg", "/Users/jo\u{308}rg");
    for (root, path) in [(nfc, nfd), (nfd, nfc)] {
        assert_eq!(told_below(root, &[(&format!("{path}/a/f"), FILE)]), [dir("a")]);
        assert_eq!(told_below(root, &[(&format!("{path}y/a/f"), FILE)]), [Change::All]);
    }
    // The name below the root stays as it was told.
    assert_eq!(told(&[("/Users/me/share/A\u{308}/f", FILE)]), [dir("A\u{308}")]);
    // A root that is a disk, and the disk of the system.
    assert_eq!(told_below("/", &[("/a/f", FILE)]), [dir("a")]);
    assert_eq!(told_below("/Volumes/USB", &[("/Volumes/USB/f", FILE)]), [dir("")]);
    assert_eq!(told_below("/System/Volumes/Data/Users/me/share", &[("/Users/me/share/f", FILE)]), [dir("")]);
    // Bytes that are no text: not understood, not lost.
    let d = Decoder::new(ROOT.as_bytes(), skip());
    let mut out = Pending::default();
    d.take(b"/Users/me/sh\xffre/f", FILE, &mut out);
    assert_eq!(out.pop(), Some(Change::All));
}

#[test]
fn names_that_are_no_concern() {
    for path in ["/Users/me/share/.git", "/Users/me/share/.git/objects/ab", "/Users/me/share/a/f~"] {
        assert_eq!(told(&[(path, ITEM_CREATED)]), [], "{path}");
    }
    assert_eq!(told(&[("/Users/me/share/.git", ITEM_IS_DIR | MUST_SCAN_SUB_DIRS)]), []);
    assert_eq!(told(&[("/Users/me/share/.gitx/f", ITEM_CREATED)]), [dir(".gitx")]);
}

/// A watcher on events that this test tells; the first look is done.
fn watcher() -> (Watcher, Arc<Inbox>) {
    let (events, inbox) = Events::new(ROOT.as_bytes(), skip());
    let mut pending = Pending::default();
    pending.all();
    let mut w = Watcher { engine: Engine::Fsevents(events), pending, interval: POLL, due: None };
    assert_eq!(w.drain(), [Change::All], "the first look");
    (w, inbox)
}

fn tell(inbox: &Inbox, events: &[(&str, u32)]) {
    inbox.take(events.iter().map(|(path, flags)| (path.as_bytes(), *flags)));
}

/// What comes next, within a minute.
fn next(w: &mut Watcher) -> Change {
    let late = async {
        smol::Timer::after(Duration::from_secs(60)).await;
        panic!("nothing was told");
    };
    smol::block_on(smol::future::or(w.next(), late))
}

#[test]
fn an_event_wakes_a_watcher_that_waits() {
    let (mut w, inbox) = watcher();
    let told = std::thread::spawn(move || {
        for n in 0..200 {
            // Each after the one before was taken, or while it is.
            tell(&inbox, &[(&format!("{ROOT}/d{n}/f"), FILE | MODIFIED)]);
        }
        inbox
    });
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        seen.insert(next(&mut w));
    }
    assert_eq!(w.state().backend, Backend::Fsevents);
    let inbox = told.join().unwrap();
    assert_eq!(w.drain(), []);
    tell(&inbox, &[(&format!("{ROOT}/again/f"), FILE)]);
    assert_eq!(next(&mut w), dir("again"));
}

#[test]
fn nobody_is_woken_for_nothing() {
    let (mut w, inbox) = watcher();
    assert_eq!(w.drain(), []);
    assert_eq!(w.due, None, "no timer: the framework wakes");
    // What is no concern wakes the watcher, which tells nobody.
    tell(&inbox, &[(&format!("{ROOT}/.git/index"), FILE | MODIFIED), (ROOT, HISTORY_DONE)]);
    let quiet = async {
        smol::Timer::after(Duration::from_millis(50)).await;
        None
    };
    assert_eq!(smol::block_on(smol::future::or(async { Some(w.next().await) }, quiet)), None);
}

#[test]
fn a_burst_is_one_look_at_each_place() {
    let (mut w, inbox) = watcher();
    // The run loop's thread never waits for a watcher that is busy elsewhere.
    for n in 0..20_000 {
        tell(&inbox, &[(&format!("{ROOT}/a/f{n}"), FILE | ITEM_CREATED), (&format!("{ROOT}/b/f{n}"), FILE | MODIFIED)]);
    }
    assert_eq!(w.drain(), [dir("a"), dir("b")]);
    for n in 0..20_000 {
        tell(&inbox, &[(&format!("{ROOT}/d{n}/f"), FILE)]);
    }
    assert_eq!(w.drain(), [Change::All], "beyond so many places the list costs more than a look");
    // What was lost on the way covers what was not.
    tell(&inbox, &[(&format!("{ROOT}/a/f"), FILE), (ROOT, MUST_SCAN_SUB_DIRS | KERNEL_DROPPED), (&format!("{ROOT}/b/f"), FILE)]);
    assert_eq!(w.drain(), [Change::All]);
}

#[test]
fn a_root_that_went_ends_the_watcher() {
    for (path, flags) in [(ROOT, ROOT_CHANGED), ("/Users", UNMOUNT)] {
        let (mut w, inbox) = watcher();
        tell(&inbox, &[(&format!("{ROOT}/a/f"), FILE), (path, flags), (&format!("{ROOT}/b/f"), FILE)]);
        assert_eq!(next(&mut w), Change::Gone);
        tell(&inbox, &[(&format!("{ROOT}/a/f"), FILE)]);
        assert_eq!(w.drain(), [], "nothing comes after it");
        assert_eq!(w.state().backend, Backend::Poll("the folder is gone".into()));
    }
}

#[test]
fn it_is_told_before_a_burst_is_over() {
    // What the system holds back is a part of the pause that ends a burst, or bursts would end too early.
    let quiet = crate::config::Config::parse("device = \"d\"", "config.toml", std::path::Path::new("/")).unwrap().quiet;
    assert!(Duration::from_secs_f64(super::LATENCY) * 2 < Duration::from_millis(quiet));
}

#[test]
#[cfg(not(target_os = "macos"))]
fn it_is_refused_by_name_where_there_is_none() {
    let root = tempfile::tempdir().unwrap();
    let e = Watcher::new(root.path(), Choice::Fsevents, POLL, skip()).err().unwrap();
    assert!(e.to_string().contains("can't watch"), "{e}");
}

/// The framework's rules, on real changes: a path for each entry that changed, its flags gathered over any while, in any
/// order of paths, and now and then only a directory with "look at all beneath".
#[cfg(any(target_os = "linux", target_os = "android"))]
mod gathered {
    use super::super::super::tests::Eye;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    #[derive(Clone, Debug)]
    enum Op {
        Write(usize, u8),
        MakeDeep(usize, u8),
        Remove(usize),
        Rename(usize, usize, u8),
        /// The framework calls; with this, it has merged what lies beneath some directory.
        Call(Option<usize>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let (n, c) = (any::<usize>, || 0..5u8);
        prop_oneof![
            4 => (n(), c()).prop_map(|(d, c)| Op::Write(d, c)),
            3 => (n(), c()).prop_map(|(d, c)| Op::MakeDeep(d, c)),
            2 => n().prop_map(Op::Remove),
            5 => (n(), n(), c()).prop_map(|(a, d, c)| Op::Rename(a, d, c)),
            2 => prop::option::weighted(0.3, n()).prop_map(Op::Call),
        ]
    }

    fn all(at: &Path, dirs_only: bool, out: &mut Vec<PathBuf>) {
        let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for path in names {
            let is_dir = path.is_dir();
            if is_dir || !dirs_only {
                out.push(path.clone());
            }
            if is_dir {
                all(&path, dirs_only, out);
            }
        }
    }

    /// Does it, and notes what the framework would tell.
    fn act(root: &Path, op: &Op, notes: &mut BTreeMap<PathBuf, u32>) {
        let (mut dirs, mut entries) = (vec![root.to_path_buf()], Vec::new());
        all(root, true, &mut dirs);
        all(root, false, &mut entries);
        let dir = |n: &usize| &dirs[n % dirs.len()];
        let kind = |path: &Path| if path.is_dir() { ITEM_IS_DIR } else { FILE };
        let mut note = |path: &Path, flags: u32| *notes.entry(path.to_path_buf()).or_default() |= flags;
        match op {
            Op::Write(d, c) => {
                let path = dir(d).join(format!("n{c}"));
                if fs::write(&path, "x".repeat(entries.len() + 1)).is_ok() {
                    note(&path, FILE | ITEM_CREATED | MODIFIED);
                }
            }
            Op::MakeDeep(d, c) => {
                let mut at = dir(d).clone();
                for name in [&format!("n{c}"), "n0", "n1"] {
                    at.push(name);
                    if fs::create_dir(&at).is_ok() {
                        note(&at, ITEM_IS_DIR | ITEM_CREATED);
                    }
                }
            }
            Op::Remove(n) if !entries.is_empty() => {
                let path = &entries[n % entries.len()];
                let mut gone = vec![path.clone()];
                if path.is_dir() {
                    all(path, false, &mut gone);
                }
                for path in gone.iter().rev() {
                    let flags = kind(path) | REMOVED;
                    let done = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
                    done.unwrap();
                    note(path, flags);
                }
            }
            Op::Rename(n, d, c) if !entries.is_empty() => {
                let (from, to) = (&entries[n % entries.len()], dir(d).join(format!("n{c}")));
                let flags = kind(from) | ITEM_RENAMED;
                if from != &to && fs::rename(from, &to).is_ok() {
                    // Nothing is told of what lies beneath.
                    note(from, flags);
                    note(&to, flags);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whoever_looks_where_they_are_told_knows_everything(mut ops in prop::collection::vec(op(), 1..50), reversed: bool) {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().canonicalize().unwrap();
            let (events, inbox) = Events::new(path.to_str().unwrap().as_bytes(), skip());
            let mut w = Watcher { engine: Engine::Fsevents(events), pending: Pending::default(), interval: POLL, due: None };
            let mut eye = Eye::new(&path);
            let mut notes = BTreeMap::new();
            ops.push(Op::Call(None));
            for op in &ops {
                act(&path, op, &mut notes);
                let Op::Call(merged) = op else { continue };
                if let Some((under, _)) = merged.and_then(|n| notes.iter().nth(n % notes.len().max(1))) {
                    // All that lies beneath its directory, by that directory's name alone.
                    let top = under.parent().unwrap().to_path_buf();
                    notes.retain(|p, _| !p.starts_with(&top));
                    notes.insert(top, ITEM_IS_DIR | MUST_SCAN_SUB_DIRS);
                }
                let mut told: Vec<_> = std::mem::take(&mut notes).into_iter().collect();
                if reversed {
                    told.reverse();
                }
                inbox.take(told.iter().map(|(p, f)| (p.to_str().unwrap().as_bytes(), *f)));
                eye.look(w.drain());
                eye.assert_complete();
            }
        }
    }
}
