//! What the kernel refuses or takes away: a full queue, no more watches, an unmounted disk. The last two need a user or
//! mount namespace of their own: the test starts itself in one, and says so if it cannot.

use super::*;
use std::process::Command;

/// In a namespace made by `unshare` with these options, after `prepare` (a shell script), runs this very test again and
/// returns false; there it returns true. Prints a skip where there are no such namespaces.
fn inside(test: &str, options: &[&str], prepare: &str) -> bool {
    if std::env::var_os("SHARELOCK_TEST_NAMESPACE").is_some_and(|t| t == test) {
        return true;
    }
    let run = |script: &str| {
        let mut c = Command::new("unshare");
        c.args(options).args(["sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        c.arg(format!("watch::tests::limits::{test}")).args(["--exact", "--nocapture"]).env("SHARELOCK_TEST_NAMESPACE", test);
        c.output()
    };
    match run(&format!("{prepare} && true")) {
        Ok(o) if o.status.success() => {}
        other => {
            let why = other.map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_else(|e| e.to_string());
            eprintln!("skipped {test}: no namespace here ({})", why.trim());
            return false;
        }
    }
    let o = run(&format!("{prepare} && exec \"$@\"")).unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert!(o.status.success() && text.contains("1 passed"), "{text}");
    false
}

#[test]
fn an_overflow_asks_for_a_look_at_everything() {
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    if limit > 100_000 {
        eprintln!("skipped: the queue holds {limit} events here");
        return;
    }
    let mut s = Seen::new(&["a", "b/c"]);
    let mut eye = Eye::new(s.dir.path());
    // Two files in turn, so that no event equals the one before it.
    let files = [s.at("a/1"), s.at("a/2")].map(|f| fs::File::create(f).unwrap());
    for i in 0..limit as u64 + 10 {
        use std::os::unix::fs::FileExt;
        files[(i % 2) as usize].write_all_at(b"x", i).unwrap();
    }
    // None of this has room in the queue.
    fs::create_dir_all(s.at("new/deep")).unwrap();
    fs::rename(s.at("b"), s.at("z")).unwrap();
    fs::remove_dir_all(s.at("z/c")).unwrap();
    let told = s.drain();
    assert_eq!(told[0], Change::All);
    eye.look(told);
    eye.assert_complete();
    // The watches are what they should be again.
    for d in ["a", "new/deep", "z"] {
        fs::write(s.at(d).join("file"), "x").unwrap();
        assert_eq!(s.drain(), [dir(d)]);
    }
    assert_eq!(s.watcher.state().watched, 5);
}

#[test]
fn beyond_the_limit_of_watches_the_rest_is_polled() {
    let prepare = "echo 6 >/proc/sys/user/max_inotify_watches";
    if !inside("beyond_the_limit_of_watches_the_rest_is_polled", &["--user", "--map-root-user"], prepare) {
        return;
    }
    let dirs: Vec<String> = (0..12).map(|i| format!("d{i:02}/sub/deep")).collect();
    let tmp = tempfile::tempdir().unwrap();
    dirs.iter().for_each(|d| fs::create_dir_all(tmp.path().join(d)).unwrap());
    let interval = Duration::from_millis(50);
    let mut w = Watcher::new(tmp.path(), Choice::Inotify, interval, skip_ours()).unwrap();
    assert_eq!(w.drain(), [Change::All]);
    let state = w.state();
    assert_eq!((state.watched, state.unwatched), (6, 31), "{state:?}");
    assert!(state.remedy().is_some());

    // A change anywhere is told within the interval.
    let mut eye = Eye::new(tmp.path());
    dirs.iter().for_each(|d| fs::write(tmp.path().join(d).join("file"), "x").unwrap());
    let told = |w: &mut Watcher, enough: &dyn Fn(&Change) -> bool| {
        let start = Instant::now();
        let mut all = Vec::new();
        while !all.iter().any(enough) {
            assert!(start.elapsed() < Duration::from_secs(60), "{all:?}");
            all.push(smol::block_on(w.next()));
            all.extend(w.drain());
        }
        all
    };
    eye.look(told(&mut w, &|c| matches!(c, Change::Tree(_))));
    eye.assert_complete();

    // What is removed frees watches, and the rest takes them at the next look.
    for d in &dirs[3..] {
        fs::remove_dir_all(tmp.path().join(&d[..3])).unwrap();
    }
    let start = Instant::now();
    while w.state().unwatched > 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", w.state());
        w.drain();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((w.state().watched, w.state().unwatched), (6, 4));
    fs::write("/proc/sys/user/max_inotify_watches", "100").unwrap();
    while w.state().unwatched > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", w.state());
        w.drain();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(w.state().watched, 10);
    w.drain();
    fs::write(tmp.path().join(&dirs[2]).join("file"), "y").unwrap();
    assert_eq!(w.drain(), [dir(&dirs[2])]);
}

#[test]
fn an_unmounted_root_is_gone_and_an_unmounted_folder_is_looked_at() {
    let test = "an_unmounted_root_is_gone_and_an_unmounted_folder_is_looked_at";
    let options: &[&str] = if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--mount", "--user", "--map-root-user"] };
    if !inside(test, options, "mount -t tmpfs none /mnt") {
        return;
    }
    let shell = |script: String| assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{script}");
    let root = Path::new("/mnt/root");
    fs::create_dir_all(root.join("disk/under")).unwrap();
    shell("mount -t tmpfs none /mnt/root/disk".into());
    fs::create_dir_all(root.join("disk/a/b")).unwrap();
    let mut w = watch(root);
    assert_eq!(w.state().watched, 4);
    fs::write(root.join("disk/a/b/file"), "x").unwrap();
    assert_eq!(w.drain(), [dir("disk/a/b")]);

    shell("umount /mnt/root/disk".into());
    let told = w.drain();
    assert!(told.contains(&tree("disk")), "{told:?}");
    fs::write(root.join("disk/under/file"), "x").unwrap();
    assert_eq!(w.drain(), [dir("disk/under")], "what was beneath is watched");

    shell("mkdir -p /mnt/usb && mount -t tmpfs none /mnt/usb && mkdir /mnt/usb/sub".into());
    let mut w = watch(Path::new("/mnt/usb"));
    shell("umount /mnt/usb".into());
    assert_eq!(w.drain(), [Change::Gone]);
}

#[test]
fn without_inotify_auto_polls() {
    let prepare = "echo 0 >/proc/sys/user/max_inotify_instances";
    if !inside("without_inotify_auto_polls", &["--user", "--map-root-user"], prepare) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let w = Watcher::new(dir.path(), Choice::Auto, POLL, skip_ours()).unwrap();
    assert!(matches!(w.state().backend, Backend::Poll(why) if why.starts_with("watching does not work here")));
    assert!(Watcher::new(dir.path(), Choice::Inotify, POLL, skip_ours()).is_err());
}

#[test]
fn without_descriptors_it_looks_again_later() {
    // A process of its own: nobody else shall run out of them.
    if !inside("without_descriptors_it_looks_again_later", &[], "ulimit -n 64") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut w = Watcher::new(dir.path(), Choice::Inotify, Duration::from_millis(30), skip_ours()).unwrap();
    w.drain();
    let all: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    fs::create_dir_all(dir.path().join("new/sub")).unwrap();
    assert_eq!(w.drain(), [super::dir("")]);
    assert_eq!(w.state().watched, 1);
    drop(all);
    let start = Instant::now();
    while w.state().watched < 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", w.state());
        w.drain();
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(dir.path().join("new/sub/file"), "x").unwrap();
    assert!(w.drain().contains(&super::dir("new/sub")));
}
