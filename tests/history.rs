//! `log` and `restore`: files and folders, by number, time and commit; over renames, conflicts and deletions.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Home, assert_equal_trees, tree, wait_for};

fn two() -> (Home, Home) {
    let (a, b) = (Home::new(), Home::new());
    a.write("notes/todo.txt", "one\n");
    a.write("taxes/2024/form", "form\n");
    a.write("taxes/2024/more/letter", "letter\n");
    let node = a.path("node.git").display().to_string();
    a.init(&node);
    b.join(&node, &a, "beta");
    (a, b)
}

/// Waits until the next second has begun, and gives it as `restore` takes it.
fn tick() -> String {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let began = now();
    wait_for("the next second", || now() > began);
    let out = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{began}")]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_string()
}

fn versions(h: &Home, path: &str) -> Vec<serde_json::Value> {
    serde_json::from_str::<serde_json::Value>(&h.ok(["log", "--json", path])).unwrap().as_array().unwrap().clone()
}

#[test]
fn a_file_comes_back_by_number_time_and_commit() {
    let (a, _) = two();
    let first = tick();
    a.write("notes/todo.txt", "second\n");
    a.ok(["sync"]);
    let second = tick();
    std::fs::rename(a.share("notes/todo.txt"), a.share("notes/list.txt")).unwrap();
    a.ok(["sync"]);
    a.write("notes/list.txt", "third, longer\n");
    a.ok(["sync"]);
    // What the file was, whatever its name was then.
    let commit = versions(&a, "notes/list.txt").iter().find(|v| v["number"] == 2).unwrap()["commit"].as_str().unwrap().to_string();
    for (at, want) in [
        ("1", "one\n"),
        ("2", "second\n"),
        (&first, "one\n"),
        (&second, "second\n"),
        (&commit[..8], "second\n"),
        ("now", "third, longer\n"),
    ] {
        let dry = a.ok(["restore", "notes/list.txt", "--at", at, "--dry-run"]);
        assert!(dry.starts_with("notes/list.txt would be the version of today "), "{dry}");
        assert_eq!(a.read("notes/list.txt"), "third, longer\n", "{at}");
        let to = a.path(&format!("copy {}", at.replace(':', "-")));
        a.ok(["restore", "notes/list.txt", "--at", at, "--to", &to.display().to_string()]);
        assert_eq!(std::fs::read_to_string(&to).unwrap(), want, "{at}");
        assert_eq!(a.run(["restore", "notes/list.txt", "--at", at, "--to", &to.display().to_string()]).code, 1, "nothing is overwritten");
    }
    // A commit that changed something else stands for the state then.
    a.write("else", "else\n");
    a.ok(["sync"]);
    let other = versions(&a, "else")[0]["commit"].as_str().unwrap().to_string();
    a.write("notes/list.txt", "fourth\n");
    a.ok(["sync"]);
    a.ok(["restore", "notes/list.txt", "--at", &other[..10]]);
    assert_eq!(a.read("notes/list.txt"), "third, longer\n");
    // Without --at: the version before.
    let out = a.ok(["restore", "notes/list.txt"]);
    assert!(out.contains(" again (7 B)\nthe version that was there is number 6 in the log\n"), "{out}");
    assert_eq!(a.read("notes/list.txt"), "fourth\n");
    // What is no version.
    for (at, code) in [("99", 1), ("2001-01-01", 1), ("yesterday", 1), ("3 days ago", 1), ("frobnicate", 2), ("ffffffff", 2)] {
        let r = a.run(["restore", "notes/list.txt", "--at", at]);
        assert_eq!(r.code, code, "{at}: {}", r.err);
        if code == 2 {
            assert!(r.err.contains("yesterday") && r.err.contains("sharelock log"), "{}", r.err);
        } else {
            let answer = r.err.lines().find_map(|l| l.split_once("its versions: sharelock ")).unwrap().1;
            a.ok(answer.split(' '));
        }
    }
    assert_eq!(a.read("notes/list.txt"), "fourth\n");
}

#[test]
fn a_folder_comes_back() {
    let (a, b) = two();
    let whole = tree(&a.path("share"));
    let then = tick();
    b.write("taxes/2024/form", "changed\n");
    b.write("taxes/2024/added", "added\n");
    std::fs::remove_dir_all(b.share("taxes/2024/more")).unwrap();
    b.ok(["sync"]);
    a.ok(["sync"]);
    // One that is still there: as it was, and what was added since stays.
    let dry = a.ok(["restore", "taxes", "--at", &then, "--dry-run"]);
    assert!(
        dry.starts_with("taxes would have the files of today ")
            && dry.ends_with(" again: 2 files, 12 B\n  taxes/2024/form   5 B\n  taxes/2024/more/letter   7 B\n"),
        "{dry}"
    );
    assert_eq!(a.read("taxes/2024/form"), "changed\n");
    let out = a.ok(["restore", "taxes", "--at", &then]);
    assert!(out.starts_with("taxes has the files of today ") && out.ends_with(" again: 2 files, 12 B\n"), "{out}");
    assert_eq!(a.read("taxes/2024/added"), "added\n");
    std::fs::remove_file(a.share("taxes/2024/added")).unwrap();
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert_equal_trees(&a.path("share"), &b.path("share"));
    // Times are those of the version, too.
    assert_eq!(tree(&a.path("share")), whole);
    assert!(a.ok(["restore", "taxes", "--at", "now"]).starts_with("taxes has all files of today "));
    // One that was deleted on another device.
    std::fs::remove_dir_all(b.share("taxes/2024")).unwrap();
    b.ok(["sync"]);
    a.ok(["sync"]);
    assert!(!a.share("taxes/2024").exists());
    let dry = a.ok(["restore", "taxes/2024", "--dry-run"]);
    assert!(dry.starts_with("taxes/2024, deleted on beta ") && dry.contains(" s ago, would be back: 3 files, 18 B\n"), "{dry}");
    assert!(!a.share("taxes/2024").exists());
    let by_time = a.ok(["restore", "taxes/2024", "--at", &then]);
    assert!(by_time.ends_with(" again: 2 files, 12 B\n"), "{by_time}");
    a.ok(["sync"]);
    assert_eq!(tree(&a.path("share")), whole);
    let out = a.ok(["restore", "taxes/2024"]);
    assert!(out.starts_with("taxes/2024, deleted on alpha ") && out.contains(" s ago, is back: 1 file, 6 B\n"), "{out}");
    // A single file, and what was never there.
    std::fs::remove_file(a.share("notes/todo.txt")).unwrap();
    a.ok(["sync"]);
    let out = a.ok(["restore", "notes/todo.txt"]);
    assert!(out.starts_with("notes/todo.txt, deleted on alpha ") && out.contains("is back: 1 file, 4 B\n"), "{out}");
    assert_eq!(a.read("notes/todo.txt"), "one\n");
    let r = a.run(["restore", "never"]);
    assert!(r.code == 1 && r.err.contains("nothing was changed") && r.err.ends_with("sharelock log --deleted\n"), "{}", r.err);
    a.ok(["log", "--deleted"]);
    assert_eq!(a.run(["restore", "taxes", "--at", "1"]).code, 2, "a folder has no numbers");
    assert_eq!(a.run(["restore", "taxes", "--at", &then, "--to", "x"]).code, 2);
}

/// A file that stands in the way and is not in the history yet is not overwritten, and holds up no other.
#[test]
fn what_is_not_in_the_history_is_not_overwritten() {
    let (a, _) = two();
    std::fs::remove_dir_all(a.share("taxes")).unwrap();
    a.ok(["sync"]);
    a.write("taxes/2024/form", "written a moment ago\n");
    let r = a.run(["restore", "taxes"]);
    assert_eq!(r.code, 3, "{}", r.err);
    assert!(
        r.err.starts_with("sharelock: taxes/2024/form: what stands there is not in the history yet\n  nothing was changed\n"),
        "{}",
        r.err
    );
    assert_eq!((a.read("taxes/2024/form"), a.read("taxes/2024/more/letter")), ("written a moment ago\n".into(), "letter\n".into()));
}

/// As VOICE shows it: numbered over renames, with what head has of each.
#[test]
fn the_log_numbers_versions_and_names_the_copy() {
    let (a, b) = two();
    a.write("todo.txt", "new\n");
    a.ok(["sync"]);
    std::fs::rename(a.share("todo.txt"), a.share("notes/plan.txt")).unwrap();
    a.ok(["sync"]);
    a.write("notes/plan.txt", "changed\n");
    a.ok(["sync"]);
    b.ok(["sync"]);
    a.write("notes/plan.txt", "of alpha, longer\n");
    a.ok(["sync"]);
    // Later than alpha's, by the clock of versions.
    tick();
    b.write("notes/plan.txt", "of beta, longer still\n");
    b.ok(["sync"]);
    a.ok(["sync"]);
    assert_eq!(a.run(["conflicts"]).code, 3);
    let shown = |h: &Home, path: &str| -> Vec<String> {
        let text = h.ok(["log", path]);
        // The times are of today.
        text.lines()
            .map(|l| l.split_whitespace().enumerate().filter(|(i, _)| *i != 2).map(|(_, w)| w).collect::<Vec<_>>().join(" "))
            .collect()
    };
    let all = [
        "5 today beta changed 22 B (now the conflict copy)",
        "4 today alpha changed 17 B current",
        "3 today alpha changed 8 B",
        "2 today alpha renamed from todo.txt",
        "1 today alpha new 4 B",
    ];
    for h in [&a, &b] {
        assert_eq!(shown(h, "notes/plan.txt"), all);
    }
    let text = a.ok(["log", "notes/plan.txt"]);
    assert!(text.lines().all(|l| l.len() <= 80 && &l[1..3] == "  "), "{text}");
    assert_eq!(
        versions(&a, "notes/plan.txt").iter().map(|v| v["now"].as_str()).collect::<Vec<_>>(),
        [Some("copy"), Some("current"), None, None, None]
    );
    // The version before is that before the current one, and the copy stays what it is.
    a.ok(["restore", "notes/plan.txt"]);
    assert_eq!(a.read("notes/plan.txt"), "changed\n");
    assert_eq!(shown(&a, "notes/plan.txt")[0], "6 today alpha changed 8 B current");
    a.ok(["resolve", "notes/plan.txt", "--keep", "copy"]);
    assert_eq!(a.read("notes/plan.txt"), "of beta, longer still\n");
    let after = shown(&a, "notes/plan.txt");
    assert_eq!(after[0], "- today alpha deleted 22 B (was a conflict copy)");
    assert!(after[1].ends_with(" current") && !after[1..].iter().any(|l| l.contains("copy")), "{after:#?}");
    // What was deleted is named, and its log goes on to the end.
    std::fs::remove_file(a.share("notes/plan.txt")).unwrap();
    a.ok(["sync"]);
    let deleted = a.ok(["log", "--deleted"]);
    assert!(deleted.contains("  alpha  notes/plan.txt\n") && deleted.contains("\nto bring one back: sharelock restore "), "{deleted}");
    assert!(shown(&a, "notes/plan.txt")[0].starts_with("- today alpha deleted"));
    a.ok(["restore", "notes/plan.txt"]);
    assert_eq!(a.read("notes/plan.txt"), "of beta, longer still\n");
    assert!(!a.ok(["log", "--deleted"]).contains("  notes/plan.txt"));
}
