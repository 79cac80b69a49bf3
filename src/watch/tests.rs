//! Real inotify on temporary folders. Events are queued before the call that causes them returns, so what a test did is
//! in the very next drain.

mod eye;
mod limits;
mod random;

use super::*;
use crate::path::Name;
pub(super) use eye::Eye;
use std::fs;

/// A folder that is watched, with the first look done.
struct Seen {
    dir: tempfile::TempDir,
    watcher: Watcher,
}

fn skip_ours() -> Skip {
    Box::new(|_, name| name.starts_with(b".skip"))
}

fn watch(dir: &Path) -> Watcher {
    let mut w = Watcher::new(dir, Choice::Inotify, POLL, skip_ours()).unwrap();
    assert_eq!(w.drain(), [Change::All], "the first look");
    w
}

impl Seen {
    fn new(dirs: &[&str]) -> Seen {
        let dir = tempfile::tempdir().unwrap();
        for d in dirs {
            fs::create_dir_all(dir.path().join(d)).unwrap();
        }
        let watcher = watch(dir.path());
        Seen { dir, watcher }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    fn drain(&mut self) -> Vec<Change> {
        self.watcher.drain()
    }
}

fn p(path: &str) -> RelPath {
    RelPath::new(path.as_bytes()).unwrap()
}

fn dir(path: &str) -> Change {
    Change::Dir(p(path))
}

fn tree(path: &str) -> Change {
    Change::Tree(p(path))
}

#[test]
fn files_are_told_by_their_directory() {
    let mut s = Seen::new(&["a/b", "c"]);
    fs::write(s.at("a/b/file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("a/b")]);
    fs::write(s.at("file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("")]);
    let open = fs::OpenOptions::new().append(true).open(s.at("a/b/file")).unwrap();
    assert_eq!(s.drain(), []);
    use std::io::Write;
    (&open).write_all(b"more").unwrap();
    assert_eq!(s.drain(), [dir("a/b")], "a file that is never closed");
    drop(open);
    assert_eq!(s.drain(), [dir("a/b")]);
    fs::set_permissions(s.at("a/b/file"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(s.drain(), [dir("a/b")]);
    fs::rename(s.at("a/b/file"), s.at("c/new")).unwrap();
    assert_eq!(s.drain(), [dir("a/b"), dir("c")]);
    fs::remove_file(s.at("c/new")).unwrap();
    assert_eq!(s.drain(), [dir("c")]);
    std::os::unix::fs::symlink("/", s.at("a/link")).unwrap();
    assert_eq!(s.drain(), [dir("a")]);
}

#[test]
fn new_directories_are_watched() {
    let mut s = Seen::new(&[]);
    fs::create_dir_all(s.at("x/y/z")).unwrap();
    assert_eq!(s.drain(), [dir(""), dir("x"), dir("x/y"), dir("x/y/z")]);
    fs::write(s.at("x/y/z/file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("x/y/z")]);
    assert_eq!(s.watcher.state(), State { backend: Backend::Inotify, watched: 4, unwatched: 0, poll: POLL });
    fs::remove_dir_all(s.at("x")).unwrap();
    assert!(s.drain().contains(&dir("")));
    assert_eq!(s.watcher.state().watched, 1);
}

#[test]
fn a_directory_keeps_its_watches_when_it_moves_within() {
    let mut s = Seen::new(&["a/b/c", "d"]);
    fs::rename(s.at("a/b"), s.at("d/new")).unwrap();
    assert_eq!(s.drain(), [tree("d/new"), dir("a"), dir("d")]);
    fs::write(s.at("d/new/c/file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("d/new/c")]);
    assert_eq!(s.watcher.state().watched, 5);
    // Over each other, and in a circle.
    fs::rename(s.at("d/new"), s.at("e")).unwrap();
    fs::rename(s.at("d"), s.at("e/c/d")).unwrap();
    fs::rename(s.at("a"), s.at("e/c/d/a")).unwrap();
    fs::rename(s.at("e"), s.at("a")).unwrap();
    s.drain();
    fs::write(s.at("a/c/d/a/file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("a/c/d/a")]);
    assert_eq!(s.watcher.state().watched, 5);
}

#[test]
fn exchanged_directories_are_told_under_their_new_names() {
    let mut s = Seen::new(&["a/in_a", "b/in_b"]);
    let root = fs::File::open(s.dir.path()).unwrap();
    rustix::fs::renameat_with(&root, "a", &root, "b", rustix::fs::RenameFlags::EXCHANGE).unwrap();
    let told = s.drain();
    assert!(told.contains(&tree("a")) && told.contains(&tree("b")), "{told:?}");
    fs::write(s.at("a/in_b/file"), "x").unwrap();
    fs::write(s.at("b/in_a/file"), "x").unwrap();
    assert_eq!(s.drain(), [dir("a/in_b"), dir("b/in_a")]);
    assert_eq!(s.watcher.state().watched, 5);
}

#[test]
fn out_and_in_again() {
    let outside = tempfile::tempdir().unwrap();
    let mut s = Seen::new(&["a/b/c", "d"]);
    fs::rename(s.at("a"), outside.path().join("a")).unwrap();
    assert_eq!(s.drain(), [dir("")]);
    assert_eq!(s.watcher.state().watched, 2, "what left is not watched");
    fs::write(outside.path().join("a/b/c/file"), "x").unwrap();
    assert_eq!(s.drain(), []);
    fs::rename(outside.path().join("a"), s.at("d/z")).unwrap();
    assert_eq!(s.drain(), [dir("d"), dir("d/z"), dir("d/z/b"), dir("d/z/b/c")]);
    fs::write(s.at("d/z/b/c/file"), "y").unwrap();
    assert_eq!(s.drain(), [dir("d/z/b/c")]);
    // Out and in before anybody looked.
    fs::rename(s.at("d/z"), outside.path().join("z")).unwrap();
    fs::write(outside.path().join("z/b/new"), "x").unwrap();
    fs::rename(outside.path().join("z"), s.at("y")).unwrap();
    let told = s.drain();
    assert!(told.contains(&tree("y")), "{told:?}");
    fs::write(s.at("y/b/c/file"), "z").unwrap();
    assert_eq!(s.drain(), [dir("y/b/c")]);
}

#[test]
fn what_leaves_a_directory_that_is_being_moved_is_forgotten() {
    let outside = tempfile::tempdir().unwrap();
    let mut s = Seen::new(&["a/b/c", "d"]);
    // When the second event is read, the first has only said that `a` is somewhere else.
    fs::rename(s.at("a"), s.at("e")).unwrap();
    fs::rename(s.at("e"), s.at("d/e")).unwrap();
    fs::rename(s.at("d/e/b"), outside.path().join("b")).unwrap();
    fs::rename(s.at("d/e"), s.at("f")).unwrap();
    s.drain();
    assert_eq!(s.watcher.state().watched, 3);
    fs::write(outside.path().join("b/c/file"), "x").unwrap();
    assert_eq!(s.drain(), []);
}

#[test]
fn a_recreated_directory_is_a_new_one() {
    let mut s = Seen::new(&["a/b"]);
    for round in 0..3 {
        fs::remove_dir_all(s.at("a")).unwrap();
        fs::create_dir_all(s.at("a/b")).unwrap();
        s.drain();
        fs::write(s.at("a/b/file"), format!("{round}")).unwrap();
        assert_eq!(s.drain(), [dir("a/b")]);
        assert_eq!(s.watcher.state().watched, 3);
    }
}

#[test]
fn names_that_are_no_concern_are_not_told_and_not_watched() {
    let mut s = Seen::new(&[".skip/deep", "a"]);
    fs::write(s.at(".skip/deep/file"), "x").unwrap();
    fs::write(s.at("a/.skip-tmp"), "x").unwrap();
    fs::create_dir(s.at("a/.skip-dir")).unwrap();
    fs::write(s.at("a/.skip-dir/file"), "x").unwrap();
    assert_eq!(s.drain(), []);
    assert_eq!(s.watcher.state().watched, 2);
    fs::rename(s.at("a/.skip-tmp"), s.at("a/file")).unwrap();
    assert_eq!(s.drain(), [dir("a")], "but its new name is");
}

#[test]
fn a_link_is_not_followed_and_a_root_behind_a_link_is() {
    let outside = tempfile::tempdir().unwrap();
    let mut s = Seen::new(&[]);
    std::os::unix::fs::symlink(outside.path(), s.at("link")).unwrap();
    assert_eq!(s.drain(), [dir("")]);
    fs::write(outside.path().join("file"), "x").unwrap();
    assert_eq!(s.drain(), []);
    assert_eq!(s.watcher.state().watched, 1);
    let mut w = watch(&s.at("link"));
    fs::create_dir(outside.path().join("sub")).unwrap();
    fs::write(outside.path().join("sub/file"), "x").unwrap();
    assert_eq!(w.drain(), [dir(""), dir("sub")]);
}

#[test]
fn a_touched_directory_may_have_become_readable() {
    let mut s = Seen::new(&["a/b"]);
    fs::set_permissions(s.at("a"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(s.drain(), [tree("a"), dir("")]);
}

#[test]
fn the_root_can_go() {
    for how in ["removed", "moved", "above"] {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("mid/root");
        fs::create_dir_all(root.join("sub")).unwrap();
        let mut w = watch(&root);
        match how {
            "removed" => fs::remove_dir_all(&root).unwrap(),
            "moved" => fs::rename(&root, above.path().join("away")).unwrap(),
            _ => {
                fs::rename(above.path().join("mid"), above.path().join("away")).unwrap();
                // The watches still stand, but the path does not lead there: seen when a directory is looked at.
                fs::create_dir(above.path().join("away/root/new")).unwrap();
            }
        }
        assert_eq!(w.drain(), [Change::Gone], "{how}");
        assert_eq!(w.drain(), [], "{how}: nothing comes after it");
    }
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let e = Watcher::new(&dir.path().join("none"), Choice::Auto, POLL, skip_ours()).err().unwrap();
    assert!(e.what().starts_with("can't watch "), "{e}");
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(Watcher::new(&dir.path().join("file"), Choice::Auto, POLL, skip_ours()).is_err());
    assert!(Watcher::new(dir.path(), Choice::Fsevents, POLL, skip_ours()).is_err());
}

#[test]
fn next_waits_and_can_be_given_up() {
    let mut s = Seen::new(&["a"]);
    let file = s.at("a/file");
    let waited = smol::block_on(async {
        // Given up many times before anything happens.
        for _ in 0..20 {
            let none = async {
                smol::Timer::after(Duration::from_millis(1)).await;
                None
            };
            assert_eq!(async { Some(s.watcher.next().await) }.or(none).await, None);
        }
        let writer = smol::unblock(move || fs::write(file, "x").unwrap());
        let change = s.watcher.next().await;
        writer.await;
        change
    });
    assert_eq!(waited, dir("a"));
}

#[test]
fn polling_asks_for_a_look_at_each_interval() {
    let dir = tempfile::tempdir().unwrap();
    let interval = Duration::from_millis(30);
    let mut w = Watcher::new(dir.path(), Choice::Poll, interval, skip_ours()).unwrap();
    assert_eq!(w.state().backend, Backend::Poll("asked for".into()));
    let start = Instant::now();
    for _ in 0..4 {
        assert_eq!(smol::block_on(w.next()), Change::All);
    }
    // The first is the first look.
    assert!(start.elapsed() >= interval * 3, "{:?}", start.elapsed());
}

#[test]
fn deep_trees_made_quickly_are_seen_to_their_leaves() {
    let mut s = Seen::new(&[]);
    let mut eye = Eye::new(s.dir.path());
    let root = s.dir.path().to_path_buf();
    let maker = std::thread::spawn(move || {
        for i in 0..60 {
            let leaf = root.join(format!("t{i}/a/b/c/d/e{}/f/g", i % 7));
            fs::create_dir_all(&leaf).unwrap();
            fs::write(leaf.join("leaf"), "x").unwrap();
            if i % 3 == 0 {
                fs::rename(root.join(format!("t{i}/a/b")), root.join(format!("moved{i}"))).unwrap();
                fs::write(root.join(format!("moved{i}/c/late")), "x").unwrap();
            }
        }
    });
    while !maker.is_finished() {
        eye.look(s.drain());
    }
    maker.join().unwrap();
    eye.look(s.drain());
    eye.assert_complete();
    assert_eq!(s.watcher.state().watched, eye.directories());
}

#[test]
fn paths_beyond_path_max_are_watched() {
    let mut s = Seen::new(&[]);
    let name = "n".repeat(200);
    let mut at: std::os::fd::OwnedFd = rustix::fs::open(s.dir.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    let mut path = RelPath::root();
    for _ in 0..30 {
        rustix::fs::mkdirat(&at, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        at = walk::open_in(&at, name.as_bytes(), rustix::fs::OFlags::RDONLY).unwrap();
        path = path.join(&Name::new(name.as_bytes()).unwrap());
    }
    s.drain();
    rustix::fs::mkdirat(&at, "last", rustix::fs::Mode::RWXU).unwrap();
    let last = path.join(&Name::new(&b"last"[..]).unwrap());
    assert_eq!(s.drain(), [Change::Dir(path), Change::Dir(last)]);
}

#[test]
fn no_descriptor_a_directory_and_few_bytes() {
    let dirs: Vec<String> = (0..500).map(|i| format!("d{}/e{i}", i % 10)).collect();
    let refs: Vec<&str> = dirs.iter().map(String::as_str).collect();
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = count();
    let s = Seen::new(&refs);
    // Other tests open some at the same time.
    assert!(count() < before + 200, "{before} {}", count());
    assert_eq!(s.watcher.state().watched, 511);
}

#[test]
fn the_remedy_names_the_sysctl_and_enough() {
    let state = |watched, unwatched| State { backend: Backend::Inotify, watched, unwatched, poll: POLL };
    assert_eq!(state(10, 0).remedy(), None);
    let text = state(8192, 3412).remedy().unwrap();
    assert_eq!(text, "echo fs.inotify.max_user_watches=65536 | sudo tee /etc/sysctl.d/60-sharelock.conf && sudo sysctl --system");
    assert!(state(100_000, 100_000).remedy().unwrap().contains("=524288 "));
}
