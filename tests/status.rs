//! `status`: what is not in sync by name, and following along.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::{Home, Terminal, wait_for};

fn two() -> (Home, Home) {
    let (a, b) = (Home::new(), Home::new());
    a.write("notes/todo.txt", "one\n");
    a.write("b.txt", "b\n");
    a.write("empty", "");
    let node = a.path("node.git").display().to_string();
    a.init(&node);
    b.join(&node, &a, "beta");
    (a, b)
}

#[test]
fn every_file_that_is_not_in_sync_by_name() {
    let (a, b) = two();
    assert!(a.ok(["status", "--files"]).starts_with("in sync: 3 files, 6 B, "));
    a.write("b.txt", "from a\n");
    b.write("b.txt", "from beta\n");
    b.ok(["sync"]);
    assert!(std::process::Command::new("mkfifo").arg(a.share("pipe")).status().unwrap().success());
    let r = a.run(["sync"]);
    assert_eq!(r.code, 0, "{}", r.err);
    a.write("notes/todo.txt", "two, and more\n");
    a.write("new one", "new\n");
    std::fs::remove_file(a.share("empty")).unwrap();
    for n in 0..7 {
        a.write(&format!("many/{n}"), "n");
    }
    let s = a.ok(["status", "--files"]);
    let want = "10 files wait to be sent (25 B)\n  send    empty   gone here\n  send    many/0   1 B   new here\n";
    assert!(s.starts_with(want), "{s}");
    for line in [
        "  send    many/6   1 B   new here\n",
        "  send    new one   4 B   new here\n",
        "  send    notes/todo.txt   14 B   changed here\n    do: sharelock sync\n",
        "\n    do: sharelock conflicts\n  pipe   is a socket, pipe or device",
        "  pipe   is a socket, pipe or device and is not synced\n",
    ] {
        assert!(s.contains(line), "{line}{s}");
    }
    assert_eq!(s.matches("do: sharelock sync").count(), 1, "{s}");
    let conflict = s.lines().find(|l| l.starts_with("  b.txt   changed on ")).unwrap_or_else(|| panic!("{s}"));
    assert!(conflict.contains("alpha today ") && conflict.contains(" and on ") && conflict.contains("beta today "), "{conflict}");
    // Without it the first five, and where the rest is.
    let s = a.ok(["status"]);
    assert!(s.contains("  send    many/3  1 B\n  and 5 more: sharelock status --files\n") && !s.contains("pipe"), "{s}");
    let json: serde_json::Value = serde_json::from_str(&a.ok(["status", "--files", "--json"])).unwrap();
    let rows = json["not_in_sync"].as_array().unwrap();
    assert_eq!(rows.len(), 12, "{json:#}");
    let row = |path: &str| rows.iter().find(|r| r["path"] == path).unwrap_or_else(|| panic!("{path}")).clone();
    assert_eq!(row("empty")["why"], "gone here");
    assert_eq!((row("pipe")["what"].as_str(), row("pipe")["remedy"].as_str()), (Some("skipped"), None));
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert!(b.ok(["status", "--files"]).contains("in sync, 1 conflict waits for you"));
}

/// What the brake holds back is in the vault and not in the share, or the other way round.
#[test]
fn what_the_brake_holds_back_by_name() {
    let (a, b) = two();
    for n in 0..40 {
        a.write(&format!("f/{n}"), "x");
    }
    a.ok(["sync"]);
    b.ok(["sync"]);
    std::fs::remove_dir_all(a.share("f")).unwrap();
    assert_eq!(a.run(["sync"]).code, 3);
    let s = a.run(["status", "--files", "--check"]);
    assert_eq!(s.code, 3);
    assert!(s.out.starts_with("sharelock: ") || s.out.starts_with("stopped before deleting 40 of 43 files"), "{}", s.out);
    assert!(s.out.contains("  send    f/0   gone here; the brake holds that back\n") && s.out.contains("sharelock undo"), "{}", s.out);
    let code = s.out.split("sharelock allow ").nth(1).unwrap().split_whitespace().next().unwrap().to_string();
    a.ok(["allow", &code]);
    assert_eq!(b.run(["sync"]).code, 3, "and on the other device");
    let s = b.ok(["status", "--files"]);
    assert!(s.contains("  fetch   f/0   deleted on another device\n"), "{s}");
}

#[test]
fn status_while_another_sharelock_is_at_work() {
    let (a, _b) = two();
    let lock = std::fs::File::open(a.path(".local/state/sharelock/lock")).unwrap();
    lock.lock().unwrap();
    let s = a.ok(["status"]);
    assert!(s.starts_with("another sharelock is at work on this vault just now\nin sync: "), "{s}");
    let r = a.run(["sync"]);
    assert!(r.code == 1 && r.err.contains("another sharelock is at work"), "{}", r.err);
    lock.unlock().unwrap();
    a.ok(["sync"]);
}

#[test]
fn watched_without_a_terminal() {
    let (a, _b) = two();
    let mut child = a.command(["status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
    assert!(lines.next().unwrap().starts_with("in sync: 3 files"));
    a.write("new.txt", "new");
    let block: Vec<String> = lines.by_ref().skip_while(|l| !l.is_empty()).take(3).collect();
    assert_eq!(block[1..], ["1 file waits to be sent (3 B)", "  send    new.txt  3 B"]);
    a.ok(["sync"]);
    assert!(lines.by_ref().any(|l| l.starts_with("in sync: 4 files")));
    // Nobody reads any more, and nothing changes any more.
    drop(lines);
    let mut status = None;
    wait_for("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn watched_at_a_terminal() {
    let (a, _b) = two();
    let mut t = Terminal::start(&a, &["status", "--watch"]);
    t.wait("in sync: 3 files").wait("(this one)");
    a.write("new.txt", "new");
    t.wait("\x1b[3A").wait("1 file waits to be sent").wait("send    new.txt").wait("(this one)");
    t.interrupt();
    assert_ne!(t.end(), 0);
    a.ok(["sync"]);
}

/// A reader that goes away early is no failure.
#[test]
fn a_reader_that_has_gone() {
    let (a, _b) = two();
    for args in [&["status"][..], &["log"], &["--help"], &["status", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = a.command(args).stdout(writer).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_full_disk_says_what_waits_and_the_rest_goes_on() {
    let (a, b) = two();
    let config = b.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("# min_free = \"64MB\"", "min_free = \"1000000GB\"")).unwrap();
    for n in 0..7 {
        a.write(&format!("videos/{n}"), &"x".repeat(1000));
    }
    std::fs::remove_file(a.share("b.txt")).unwrap();
    a.ok(["sync"]);
    let r = b.run(["sync"]);
    assert_eq!(r.code, 1, "{}", r.err);
    assert!(r.err.starts_with("sharelock: ~/share needs 7.0 kB more, ") && r.err.contains(" are free on /"), "{}", r.err);
    let rest = " (1000000 GB are kept)
  7 files wait: videos/0 (1.0 kB), videos/1 (1.0 kB), 5 more
  everything else, and deletions, go on; these follow when there is room
  to see what takes the space: sharelock du\n";
    assert!(r.err.ends_with(rest), "{}", r.err);
    assert!(!b.share("b.txt").exists(), "a deletion makes room");
    let s = b.ok(["status"]);
    assert!(s.starts_with("7 problems, the other 2 files are in sync\n  videos/0   waits: no space left on this disk\n"), "{s}");
    assert!(s.contains("  videos/4   waits: no space left on this disk\n  and 2 more: sharelock status --files\n"), "{s}");
    assert_eq!(b.ok(["status", "--files"]).matches("   waits: ").count(), 7);
    std::fs::write(&config, &text).unwrap();
    b.ok(["sync"]);
    assert!(b.has("videos/6", &"x".repeat(1000)) && b.ok(["status"]).starts_with("in sync: 9 files"));
}
