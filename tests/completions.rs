//! Completion in the real shells: somebody types half a word and presses Tab.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use support::{Home, PROGRAM, Terminal, ran};

/// One for all tests that run at the same time; the last one removes it.
fn home() -> Arc<Home> {
    static HOME: Mutex<Weak<Home>> = Mutex::new(Weak::new());
    let mut slot = HOME.lock().unwrap_or_else(|e| e.into_inner());
    slot.upgrade().unwrap_or_else(|| {
        let h = Arc::new(new_home());
        *slot = Arc::downgrade(&h);
        h
    })
}

/// A home with a vault, two storage nodes, a conflict, and a `sharelock` that answers the shells and else tells its arguments;
/// the completion files are where each shell looks for them.
fn new_home() -> Home {
    let (a, b) = (Home::new(), Home::new());
    let node = a.path("node.git").display().to_string();
    for (name, content) in [("notes/my file.txt", "x"), ("notes/it's @ odd: one", "x"), ("notes/other", "x"), ("todo.txt", "one\n")] {
        a.write(name, content);
    }
    a.init(&node);
    b.join(&node, &a, "beta");
    a.ok(["remote", "add", "--create", "usb", &a.path("usb.git").display().to_string()]);
    a.write("todo.txt", "from alpha\n");
    b.write("todo.txt", "from beta\n");
    for h in [&a, &b, &a] {
        h.ok(["sync"]);
    }
    std::fs::create_dir(a.path("bin")).unwrap();
    std::fs::create_dir(a.path("sync")).unwrap();
    std::fs::write(a.path("a file"), "").unwrap();
    let program = a.path("bin/sharelock");
    let script = format!("#!/bin/sh\n[ \"$1\" != --complete ] || exec '{PROGRAM}' \"$@\"\nprintf ran:\nprintf '<%s>' \"$@\"\necho .\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (functions, fish) = (a.path("functions"), a.path(".local/share/fish/vendor_completions.d"));
    for dir in [&functions, &fish] {
        std::fs::create_dir_all(dir).unwrap();
    }
    for (shell, file) in [("bash", a.path("bash")), ("zsh", functions.join("_sharelock")), ("fish", fish.join("sharelock.fish"))] {
        let text = ran(Command::new(PROGRAM).args(["completions", shell]).env("HOME", a.dir.path()).output().unwrap()).out;
        std::fs::write(file, text).unwrap();
    }
    std::fs::write(a.path("rc"), "PS1='ready>'\nbind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\n. ~/bash\n").unwrap();
    let rc = "fpath+=(~/functions)\nautoload -Uz compinit && compinit -u -d ~/dump\nPS1='ready>'\nunsetopt prompt_sp beep\n";
    std::fs::write(a.path(".zshrc"), rc).unwrap();
    a
}

/// What is typed (Tab is `\t`), and the arguments that the program then gets.
const TYPED: &[(&str, &str)] = &[
    ("sharelock remo\the\tus\t", "<remote><heal><usb>"),
    ("sharelock remote add --cr\tx", "<remote><add><--create><x>"),
    ("sharelock --vault default syn\t", "<--vault><default><sync>"),
    ("sharelock restore no\tmy\t", "<restore><notes/my file.txt>"),
    ("sharelock cat notes/it\t", "<cat><notes/it's @ odd: one>"),
    ("sharelock resolve --keep cu\tto\t", "<resolve><--keep><current><todo.txt>"),
    ("sharelock key export a\t", "<key><export><a file>"),
    ("sharelock init --share sy\tx", "<init><--share><sync/x>"),
];

/// Plays [`TYPED`] at a shell's own prompt.
fn at_the_prompt(shell: &str, home: &Home, command: &str) {
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let mut t = Terminal::of(home, &format!("cd {} && PATH={path} TERM=xterm {command}", home.dir.path().display()));
    t.wait("ready>");
    for (keys, want) in TYPED {
        // One key press at a time, as people do: the next word is typed when this one is there.
        for part in keys.split_inclusive('\t') {
            t.keys(part);
        }
        t.keys("\r").wait(&format!("ran:{want}."));
        t.wait("ready>");
    }
    t.keys("exit\r");
    assert_eq!(t.end(), 0, "{shell}: {}", t.text());
}

#[test]
fn bash_completes() {
    at_the_prompt("bash", &home(), "bash --noprofile --rcfile rc -i");
}

/// What bash has to choose from, where more than one thing may follow.
#[test]
fn bash_offers() {
    let h = home();
    let offers = |line: &str| {
        let script = r##"compopt() { :; }; . ~/bash
            COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
            _sharelock; printf '%s\n' "${COMPREPLY[@]}""##;
        shell(&h, "bash", &["--norc", "-c", script, "bash", line])
    };
    for (line, want) in [
        ("sharelock re", "resume\nremote\nreport\nrestore\nresolve\n"),
        ("sharelock remote heal ", "origin\nusb\n"),
        ("sharelock status --json --", "--help\n--files\n--watch\n--check\n--all\n"),
        ("sharelock log notes/", "notes/it's @ odd: one\nnotes/my file.txt\nnotes/other\n"),
        // The editor's word begins behind the @ that nothing quotes.
        ("sharelock log notes/it\\'s\\ @", " odd: one\n"),
        ("sharelock log notes/it\\'s\\ \\@", "notes/it's @ odd: one\n"),
        ("sharelock conflicts --diff ", "todo.txt\n"),
        ("sharelock nonsense ", "\n"),
    ] {
        assert_eq!(offers(line), want, "{line:?}");
    }
}

#[test]
fn zsh_completes() {
    at_the_prompt("zsh", &home(), "zsh -i");
}

#[test]
fn fish_completes() {
    let h = home();
    let offers = |line: &str| shell(&h, "fish", &["-c", "complete -C $argv[1]", line]);
    for (line, want) in [
        ("sharelock remote heal u", vec![format!("usb\t{}", h.path("usb.git").display())]),
        ("sharelock --vault default rem", vec!["remote\tstorage nodes".into()]),
        ("sharelock cat notes/my", vec!["notes/my file.txt".into()]),
        ("sharelock cat 'notes/it", vec!["notes/it's @ odd: one".into()]),
        ("sharelock resolve todo.txt --keep ", vec!["both".into(), "copy".into(), "current".into()]),
        ("sharelock key export a", vec!["a file".into()]),
        ("sharelock init --share sy", vec!["sync/\tDirectory".into()]),
        ("sharelock sync ", vec!["--help\tdisplay usage information".into()]),
    ] {
        let mut got: Vec<String> = offers(line).lines().map(|l| l.trim_end().to_string()).collect();
        got.sort();
        assert_eq!(got, want, "{line:?}");
    }
}

fn shell(home: &Home, name: &str, args: &[&str]) -> String {
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let mut c = Command::new(name);
    c.args(args).env_clear().env("HOME", home.dir.path()).env("PATH", path).current_dir(home.dir.path()).stdin(Stdio::null());
    let r = ran(c.output().unwrap_or_else(|e| panic!("apt-get install {name}: {e}")));
    assert!(r.err.is_empty(), "{name} {args:?}: {}", r.err);
    r.out
}

/// What is in the share beside, and the working directory in it.
#[test]
fn paths_are_those_that_the_verbs_take_here() {
    let h = home();
    let ask = |dir: &Path, words: &[&str]| {
        let mut c = Command::new(PROGRAM);
        c.env_clear().env("HOME", h.dir.path()).current_dir(dir).args(["--complete", "fish", "sharelock"]).args(words);
        ran(c.output().unwrap()).out
    };
    let outside = h.dir.path();
    let all = ask(outside, &["log", ""]);
    let names: Vec<&str> = all.lines().map(|l| l.split(" (").next().unwrap()).collect();
    assert_eq!(names, ["paths", "notes/", "todo", "todo.txt"], "{all}");
    assert_eq!(ask(outside, &["log", "."]), "paths\n");
    assert_eq!(ask(&h.share("notes"), &["log", ""]), "files\n");
    assert_eq!(ask(outside, &["log", "/"]), "files\n");
    let todo = h.share("todo.txt").display().to_string();
    assert_eq!(ask(&h.share("notes"), &["resolve", ""]), format!("paths\n{todo}\n"));
    assert_eq!(ask(&h.share(""), &["resolve", ""]), "paths\ntodo.txt\n");
    assert_eq!(ask(outside, &["--config", "/nonexistent", "remote", "heal", ""]), "words\n");
}
