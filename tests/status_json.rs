//! `status --json` and its list of keys, `src/cli/STATUS.md`: what is printed is written down, and what is written down is
//! printed.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::{Home, Resident, wait_for};

/// Keys of the document with their types.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/STATUS.md")).unwrap();
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix("| `") else { continue };
        let mut cells = row.split(" | ");
        let (key, types) = (cells.next().unwrap().trim_end_matches('`'), cells.next().unwrap());
        let before = out.insert(key.to_string(), types.split(" or ").map(str::to_string).collect());
        assert_eq!(before, None, "{key} stands there twice");
    }
    out
}

/// Every key of an answer, with the types that it had.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<&'static str>>);

impl Seen {
    fn take(&mut self, key: &str, v: &Value) {
        let kind = match v {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        if !key.is_empty() {
            self.0.entry(key.to_string()).or_default().insert(kind);
        }
        match v {
            Value::Array(all) => all.iter().for_each(|v| self.take(&format!("{key}[]"), v)),
            Value::Object(all) => {
                all.iter().for_each(|(name, v)| self.take(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, v));
            }
            _ => {}
        }
    }

    fn ask(&mut self, home: &Home, args: &[&str]) -> Value {
        let v: Value = serde_json::from_str(&home.ok([&["status", "--json"], args].concat())).unwrap();
        assert_eq!(v.get("not_in_sync").is_some(), args.contains(&"--files"));
        self.take("", &v);
        v
    }
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_there() {
    let (a, b, mut seen) = (Home::new(), Home::new(), Seen::default());
    let node = a.path("node.git").display().to_string();
    a.write("todo", "one\n");
    a.write("doc/x", "x");
    // Nothing yet; then a vault without a storage node that was ever asked.
    a.init(&node);
    b.join(&node, &a, "beta");
    let alone = seen.ask(&a, &[]);
    assert_eq!((&alone["in_sync"], &alone["agent"]["running"]), (&true.into(), &false.into()));
    let usb = a.path("usb.git").display().to_string();
    a.ok(["remote", "add", "--create", "usb", &usb]);

    // A conflict, a file that is skipped, one that waits, one that has a problem of its own, and a node that is away.
    a.write("todo", "of alpha\n");
    b.write("todo", "of beta\n");
    b.write("doc/y", "y");
    a.ok(["sync"]);
    b.ok(["sync"]);
    assert!(std::process::Command::new("mkfifo").arg(a.share("pipe")).status().unwrap().success());
    a.ok(["sync"]);
    std::fs::rename(&usb, a.path("elsewhere")).unwrap();
    a.write("doc/z", "z");
    assert_eq!(a.run(["sync"]).code, 5);
    a.write("new", "new");
    let v = seen.ask(&a, &["--files"]);
    assert_eq!(v["conflicts"], serde_json::json!(["todo"]));
    assert_eq!((&v["pending"]["files"], &v["remotes"][1]["files_behind"]), (&1.into(), &1.into()), "{v:#}");
    assert!(v["remotes"][1]["error"].is_string() && v["remotes"][0]["error"].is_null(), "{v:#}");
    let what: Vec<&str> = v["not_in_sync"].as_array().unwrap().iter().map(|r| r["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["send", "conflict", "skipped"], "{v:#}");

    // A node that never answered.
    let config = a.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[[remote]]\nname = \"far\"\nurl = \"{usb}2\"\n")).unwrap();
    let v = seen.ask(&a, &[]);
    assert!(v["remotes"][2]["last_success"].is_null() && v["remotes"][2]["head"].is_null(), "{v:#}");
    std::fs::write(&config, &text).unwrap();

    // The brake, on the other device.
    for n in 0..30 {
        b.write(&format!("many/{n}"), "x");
    }
    b.ok(["sync"]);
    a.run(["sync"]);
    std::fs::remove_dir_all(b.share("many")).unwrap();
    assert_eq!(b.run(["sync"]).code, 3);
    let brake = seen.ask(&b, &["--files"])["brake"].as_str().unwrap().to_string();
    b.ok(["allow", brake.split("sharelock allow ").nth(1).unwrap().trim()]);
    // And here, where they would be deleted.
    a.run(["sync"]);
    let v = seen.ask(&a, &["--files"]);
    assert_eq!((&v["incoming"]["files"], &v["incoming"]["bytes"]), (&30.into(), &0.into()), "{v:#}");

    with_an_agent(&a, &mut seen);
    let denied = problems(&b, &a, &mut seen);

    // A database that is lost; the next sync makes it anew.
    std::fs::remove_file(a.path(".local/state/sharelock/state.db")).unwrap();
    assert!(seen.ask(&a, &[])["head"].is_null());

    let documented = documented();
    for (key, types) in &seen.0 {
        let written = documented.get(key).unwrap_or_else(|| panic!("STATUS.md does not know {key}"));
        let unknown: Vec<_> = types.iter().filter(|t| !written.contains(**t)).collect();
        assert!(unknown.is_empty(), "{key} was {unknown:?}, STATUS.md has {written:?}");
    }
    for (key, types) in &documented {
        let here = seen.0.get(key);
        if here.is_none() && key.starts_with("agent.xmpp.") && !cfg!(feature = "xmpp") {
            continue;
        }
        let here = here.unwrap_or_else(|| panic!("{key} was never printed"));
        // An account that gets through needs a server: `agent_xmpp.rs` has one.
        let online = ["agent.xmpp.tls", "agent.xmpp.notice_ms", "agent.xmpp.why"].contains(&key.as_str());
        // Nothing is denied to root.
        let root = key == "problems[].remedy" && !denied;
        let missing: Vec<_> = types.iter().filter(|t| !here.contains(t.as_str()) && !online && !root).collect();
        assert!(missing.is_empty(), "{key} was never {missing:?}");
    }
}

fn with_an_agent(a: &Home, seen: &mut Seen) {
    // Nobody answers at port 1.
    #[cfg(feature = "xmpp")]
    configure(a, |text| format!("{text}\n[xmpp]\njid = \"me@xmpp.test\"\npassword = \"p\"\nhost = \"127.0.0.1\"\nport = 1\n"));
    let _agent = Resident::start(a);
    #[cfg(feature = "xmpp")]
    wait_for("an account that is offline", || seen.ask(a, &[])["agent"]["xmpp"]["state"] == "offline");
    wait_for("the other device", || seen.ask(a, &[])["devices"].as_array().unwrap().len() == 2);
    a.ok(["pause", "--for", "2h"]);
    wait_for("the pause", || seen.ask(a, &[])["agent"]["state"] == "paused");
    let v = seen.ask(a, &[]);
    assert!(v["agent"]["paused_until"].is_string() && v["agent"]["pid"].is_number(), "{v:#}");
}

fn configure(home: &Home, change: impl FnOnce(String) -> String) {
    let config = home.path(".config/sharelock/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, change(text)).unwrap();
}

/// A file that has no room, one that cannot be read (true if that can be had here), and an agent whose vault is gone.
fn problems(b: &Home, a: &Home, seen: &mut Seen) -> bool {
    use std::os::unix::fs::PermissionsExt;
    a.ok(["undo"]);
    a.write("doc/large", "from alpha");
    a.write("shut", "nobody reads this");
    std::fs::set_permissions(a.share("shut"), PermissionsExt::from_mode(0o000)).unwrap();
    let denied = std::fs::read(a.share("shut")).is_err();
    a.run(["sync"]);
    seen.ask(a, &["--files"]);
    configure(b, |text| text.replace("# min_free = \"64MB\"", "min_free = \"1000000GB\""));
    b.run(["sync"]);
    let v = seen.ask(b, &["--files"]);
    assert!(v["problems"].as_array().unwrap().iter().any(|p| p["path"] == "doc/large"), "{v:#}");
    let _agent = Resident::start(b);
    let key = b.path("share/.sharelock-root");
    std::fs::rename(&key, b.path("kept")).unwrap();
    // Something to do: the mark itself is no file that is watched.
    b.write("new", "from beta");
    wait_for("a problem of no single file", || {
        let v = seen.ask(b, &[]);
        v["problems"].as_array().unwrap().iter().any(|p| p["path"].is_null())
    });
    std::fs::rename(b.path("kept"), &key).unwrap();
    denied
}
