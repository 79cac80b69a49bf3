//! An old configuration, whole and in pieces.

use super::*;

/// The example that dvcs-autosync came with, filled in, its long comments cut.
#[cfg(feature = "xmpp")]
const SAMPLE: &str = r#"[autosync]
path = ~/amw
pidfile = ~/.autosync.pid
# Available synchronization methods: "xmpp" and "none"
#syncmethod = none
syncmethod = xmpp

pulllock = conservative
#pulllock = optimized

readfrequency = 5
ignorepath = .git .svn .hg src/packages src/java/openuat
    src/csharp/sparkleshare ./src/cpp//cross/keepassx *.tmp ../up
notifymethod = all

[dvcs]
# for git
statuscmd = git status | grep -iq "nothing to commit"
addcmd = git add %s
movecmd = git rm %s
    git add %s
remoteurlcmd = git config --get remote.origin.url

[xmpp]
username = Me@Example.org/work
password = ge#h;eim: = x ; my old one
alsonotify : friend@example.net

[autosync-server]
server = http://whatever.sync.server
"#;

#[cfg(feature = "xmpp")]
fn what<'a>(a: &'a Autosync, key: &str) -> &'a str {
    &a.told.iter().find(|(k, _)| k == key).unwrap_or_else(|| panic!("{key}: {:?}", a.told)).1
}

#[cfg(feature = "xmpp")]
fn complaints(text: &str) -> Vec<String> {
    let e = read(text, "~/.autosync").err().expect("a complaint");
    assert_eq!(e.exit_code(), 2);
    assert!(!format!("{e}{:?}", e.details()).contains("geheim"), "no password in a message");
    std::iter::once(e.what().to_string()).chain(e.details().iter().cloned()).collect()
}

#[test]
#[cfg(feature = "xmpp")]
fn the_old_tools_example_is_taken_over() {
    let a = read(SAMPLE, "~/.autosync").unwrap();
    assert_eq!(a.path.as_deref(), Some("~/amw"));
    let ignore = ["/.git", "/.svn", "/.hg", "/src/packages", "/src/java/openuat", "/src/csharp/sparkleshare", "/src/cpp/cross/keepassx"];
    assert_eq!(a.wishes.ignore, ignore);
    assert_eq!((a.wishes.quiet, a.wishes.notify.join(" ")), (Some(5), "desktop xmpp".into()));
    let x = a.wishes.xmpp.as_ref().unwrap();
    assert_eq!(
        (x.jid.as_str(), x.password.as_str()),
        ("me@example.org", "ge#h;eim: = x ; my old one"),
        "only the first ; may be a remark's"
    );
    assert_eq!(x.alsonotify, ["friend@example.net"]);
    // Something is said of each key, and the password stays where it belongs.
    assert_eq!(a.told.len(), 15, "{:?}", a.told);
    assert!(a.told.iter().all(|(_, what)| !what.is_empty() && !what.contains("ge#h")), "{:?}", a.told);
    for (key, want) in [
        ("autosync.path", "share = \"~/amw\""),
        ("autosync.readfrequency", "quiet = \"5s\""),
        ("autosync.pidfile", "not needed"),
        ("dvcs.movecmd", "not needed"),
        ("xmpp.username", "xmpp.jid = \"me@example.org\" (each"),
        ("xmpp.alsonotify", "xmpp.alsonotify = [\"friend@example.net\"]"),
        ("autosync-server.server", "not supported"),
    ] {
        assert!(what(&a, key).starts_with(want), "{key}: {}", what(&a, key));
    }
    assert!(what(&a, "autosync.ignorepath").ends_with("*.tmp ../up"), "{}", what(&a, "autosync.ignorepath"));
}

#[test]
fn values_are_read_as_python_read_them() {
    let read = |value: &str| {
        let mut c = Complaints { file: "f", all: Vec::new() };
        let all = ini(&format!("[s]\r\nk{value}"), &mut c);
        assert!(c.all.is_empty(), "{:?}", c.all);
        all.last().unwrap().value.to_string()
    };
    for (text, want) in [
        ("= a b \r\n", "a b"),
        ("=a;b", "a;b"),
        ("= a ;b", "a"),
        ("= a#b", "a#b"),
        (": a=b", "a=b"),
        ("=\"\"", ""),
        ("=", ""),
        ("= ;remark", ";remark"),
        ("= a\n  # goes on\n\n  b", "a\n# goes on\nb"),
        ("= a\nrem ark\n# and\nK = c", "c"),
    ] {
        assert_eq!(read(text), want, "{text:?}");
    }
}

#[test]
fn defaults_and_repeated_keys() {
    let a = read("[DEFAULT]\npath = /d\nreadfrequency = 1\n[autosync]\nreadfrequency = 2\nreadfrequency = 3\n", "f").unwrap();
    assert_eq!((a.path.as_deref(), a.wishes.quiet, a.told.len()), (Some("/d"), Some(3), 2));
}

#[test]
#[cfg(feature = "xmpp")]
fn the_account_counts_only_where_it_was_used() {
    let with = |method: &str| read(&format!("[autosync]\n{method}\n[xmpp]\nusername = me@d\npassword = geheim\n"), "f").unwrap();
    assert!(with("").wishes.xmpp.is_some());
    assert!(with("syncmethod = xmpp").wishes.xmpp.is_some());
    for method in ["none", "autosync-server"] {
        let a = with(&format!("syncmethod = {method}"));
        assert!(a.wishes.xmpp.is_none() && what(&a, "xmpp.password").starts_with("not taken over"), "{method}");
    }
    assert!(read("[autosync]\nsyncmethod = xmpp\n", "f").unwrap().wishes.xmpp.is_none());
}

#[test]
#[cfg(feature = "xmpp")]
fn what_is_wrong_is_named_with_its_line_all_at_once() {
    let text = "path = /x\n[autosync\n[autosync]\n  stray\nreadfrequency = often\nnotifymethod = drums\nsyncmethod = smoke\npath = ~bob/x\n\
                [xmpp]\nusername = your XMPP id here\npassword = geheim\nalsonotify = nobody\n";
    let all = complaints(text);
    let lines: Vec<&str> = all.iter().filter_map(|l| l.split(": ").next()).collect();
    for n in [1, 2, 4, 5, 6, 7, 8, 10, 12] {
        assert!(lines.contains(&format!("~/.autosync:{n}").as_str()), "{n}: {all:#?}");
    }
    assert_eq!(all.last().unwrap(), "nothing was changed");
    assert_eq!(complaints("[xmpp]\nusername = me@d\n")[0], "~/.autosync:2: xmpp.username has no password beside it");
    assert_eq!(complaints("[xmpp]\npassword = geheim\n")[0], "~/.autosync:2: xmpp.password has no username beside it");
}

#[test]
fn hostile_files_end_in_an_answer() {
    for text in ["", "\u{feff}", "[", "[]", "[]]\n=", "[a]\n=\n:\n", "[a]\n\u{0}=\u{0}", "[autosync]\npath=\u{0}\n", "rem", "[s]\nk=;\n ;"]
    {
        let _ = read(text, "f");
    }
    let long = format!("[autosync]\nignorepath = {}\n", "a/b ".repeat(50_000));
    assert_eq!(read(&long, "f").unwrap().wishes.ignore, ["/a/b"]);
    assert!(read("[autosync]\npath=a\u{0}b\n", "f").is_err());
    assert!(read(&format!("[autosync]\nreadfrequency = {}\n", u64::MAX), "f").is_err());
    let many: String = (0..100_000).map(|n| format!("k{n}=\n")).collect();
    assert!(read(&format!("[a]\n{many}"), "f").is_err());
    let odd = read("[else]\nkey = value\n[xmpp]\ncolour = red\n", "f").unwrap();
    assert!(odd.told.iter().all(|(_, w)| w.starts_with("not known")), "{:?}", odd.told);
}
