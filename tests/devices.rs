//! `device list|rename|forget`, on real disks and with a real sshd.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::client::{Person, home, remote, server};
use support::{Home, Resident, Sshd, Terminal, keygen, wait_for};

/// A server whose account has a home of its own, in which its keys are looked for.
struct Account {
    sshd: Sshd,
    home: PathBuf,
}

impl Account {
    fn new() -> Account {
        let (sshd, _) = server("");
        let home = sshd.dir.path().join("account");
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        Account { sshd, home }
    }

    /// Options of a key that may do what this case of a shell's `case` says.
    fn only(&self, name: &str, case: &str) -> String {
        let only = self.sshd.dir.path().join(name);
        let home = self.home.display();
        let text =
            format!("#!/bin/sh\nHOME={home}; export HOME; cd {home}\ncase \"$SSH_ORIGINAL_COMMAND\" in\n{case};;\n*) exit 1;;\nesac\n");
        std::fs::write(&only, text).unwrap();
        std::fs::set_permissions(&only, PermissionsExt::from_mode(0o755)).unwrap();
        format!("restrict,command=\"{}\"", only.display())
    }

    fn keys(&self) -> PathBuf {
        self.home.join(".ssh/authorized_keys")
    }
}

fn list(h: &Home) -> Vec<serde_json::Value> {
    serde_json::from_str(&h.ok(["device", "list", "--json"])).unwrap()
}

fn names(h: &Home) -> Vec<String> {
    list(h).iter().map(|d| d["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn who_has_the_vault_and_a_new_name() {
    let (a, b) = (Home::new(), Home::new());
    let node = a.path("node.git").display().to_string();
    a.write("x", "x");
    a.init(&node);
    assert_eq!(a.ok(["device", "list"]), "alpha   this device\n");
    b.join(&node, &a, "beta");
    b.write("y", "y");
    b.ok(["sync"]);
    a.ok(["sync"]);
    let said = a.ok(["device", "list"]);
    assert!(said.starts_with("alpha   this device\nbeta    last seen ") && said.ends_with(" s ago, has everything\n"), "{said}");
    a.write("z", "z");
    a.ok(["sync"]);
    assert!(a.ok(["device", "list"]).ends_with(" ago, may lack 1 file of the last changes\n"));
    assert_eq!((list(&a)[0]["this"].as_bool(), list(&a)[1]["may_lack_files"].as_u64()), (Some(true), Some(1)));

    // With comments, and beside a running agent.
    let agent = Resident::start(&b);
    let before = std::fs::read_to_string(b.path(".config/sharelock/config.toml")).unwrap();
    assert_eq!(b.ok(["device", "rename", "gamma"]), "this device is called gamma now; what it wrote as beta stays beta's\n");
    let after = std::fs::read_to_string(b.path(".config/sharelock/config.toml")).unwrap();
    assert_eq!(after, before.replace("device = \"beta\"", "device = \"gamma\""));
    wait_for("the agent's new name", || b.status()["devices"][0]["name"] == "gamma");
    b.write("w", "w");
    b.ok(["wait", "--timeout", "60"]);
    drop(agent);
    a.ok(["sync"]);
    assert_eq!(names(&a), ["alpha", "gamma"]);
    assert!(a.ok(["log", "w"]).contains("gamma") && a.ok(["log", "y"]).contains("beta"));
    for (name, why) in [("a b", "cannot be a device's name"), ("alpha", "another device is called alpha")] {
        let r = b.run(["device", "rename", name]);
        assert!(r.code == 2 && r.err.contains(why), "{}", r.err);
    }
    assert_eq!(b.ok(["device", "rename", "gamma"]), "this device is called gamma already\n");
    for h in [&a, &b] {
        h.ok(["sync"]);
        h.ok(["verify", "--remote"]);
    }
}

#[test]
fn a_lost_device_is_off_the_list_and_locked_out() {
    let server = Account::new();
    let any = server.only("any", "*) exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let (a, b, c) = (Home::new(), Home::new(), Home::new());
    for h in [&a, &b, &c] {
        h.let_in_with(&server.sshd, &any);
    }
    let url = server.sshd.url(&server.sshd.dir.path().join("v.git"));
    a.write("x", "x");
    a.ok(["init", "--device", "laptop", "--remote", &url, "--recovery-key-out", &a.path("rk").display().to_string()]);
    b.join(&url, &a, "mac");
    c.join(&url, &a, "pi");
    // They have changed nothing; it is enough that they joined.
    a.ok(["sync"]);
    assert_eq!(names(&a), ["laptop", "mac", "pi"]);
    // Its key, one of another device, and this one's own, which somebody has called mac, too.
    let own = std::fs::read_to_string(a.path(".ssh/id_ed25519.pub")).unwrap();
    let own = own.split(' ').take(2).collect::<Vec<_>>().join(" ");
    keygen("ed25519", &a.path("mac"), "");
    let mac = std::fs::read_to_string(a.path("mac.pub")).unwrap();
    let mac = mac.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let text = format!("{own} mac\n# a remark\nrestrict {mac} mac\n{mac} pi\n");
    std::fs::write(server.keys(), &text).unwrap();
    let said = a.ok(["device", "forget", "mac"]);
    assert_eq!(
        said,
        "mac is off the list, and origin no longer lets its SSH key in. what was on its
  disk it may still have: the files, and the key. if it was stolen, change the
  XMPP password, and take the files into a vault with a new key:
    sharelock --vault NEW init
"
    );
    assert_eq!(std::fs::read_to_string(server.keys()).unwrap(), format!("{own} mac\n# a remark\n{mac} pi\n"));
    assert_eq!(std::fs::metadata(server.keys()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(&a), ["laptop", "pi"]);
    c.ok(["sync"]);
    assert_eq!(names(&c), ["pi", "laptop"]);
    // The agent says so, too, and so does who joins.
    let agent = Resident::start(&c);
    c.ok(["wait", "--timeout", "60"]);
    let told = c.status();
    assert!(told["devices"].as_array().unwrap().iter().all(|d| d["name"] != "mac"), "{told:#}");
    drop(agent);
    // Once more: it is not known; with no key on the server it says where to look.
    let r = a.run(["device", "forget", "mac"]);
    assert_eq!((r.code, r.err.as_str()), (2, "sharelock: no other device is called mac\n  there are: pi\n"));
    let r = a.run(["device", "forget", "laptop"]);
    assert!(r.code == 2 && r.err.contains("laptop is this device") && r.err.contains("sharelock leave"), "{}", r.err);
    std::fs::write(server.keys(), "").unwrap();
    let said = a.ok(["device", "forget", "pi"]);
    assert!(said.starts_with("pi is off the list. what was on its\n"), "{said}");
    assert!(said.ends_with("  no SSH key called pi was found on origin\n    look into ~/.ssh/authorized_keys there\n"), "{said}");
    // A device that goes on is on the list again: it is there.
    c.ok(["sync"]);
    c.write("back", "x");
    c.ok(["sync"]);
    a.ok(["sync"]);
    assert_eq!(names(&a), ["laptop", "pi"]);
    a.ok(["verify", "--remote"]);
}

/// By shell, by SFTP and by dd alone.
#[test]
fn keys_are_taken_out() {
    let account = Account::new();
    let sftp = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"]
        .into_iter()
        .find(|p| Path::new(p).exists());
    let mut ways = vec![
        ("shell", "*) exec sh -c \"$SSH_ORIGINAL_COMMAND\"".to_string()),
        ("dd", "\"dd \"*) exec sh -c \"$SSH_ORIGINAL_COMMAND\"".to_string()),
    ];
    ways.extend(sftp.map(|p| ("sftp", format!("*sftp*) exec {p}"))));
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvxqzuFlMSgsnlxo+h1qGrgL0hbQmpbmoTtoz2Ur0E";
    let url = account.sshd.url(&account.sshd.dir.path().join("v.git"));
    for (way, case) in ways {
        let h = home(&account.sshd);
        keygen("ed25519", &h.path(".ssh/id_ed25519"), "");
        account.sshd.authorize(&h.path(".ssh/id_ed25519.pub"), &account.only(way, &case));
        std::fs::write(account.keys(), format!("{key} a\n{key} b\n{key} a\n{key} c")).unwrap();
        let mut r = remote(&h, &url, &Person::default());
        let out = r.lock_out(&["a".into(), "c".into()]).unwrap_or_else(|e| panic!("{way}: {e}"));
        assert_eq!(out, [format!("{key} a"), format!("{key} a"), format!("{key} c")], "{way}");
        let text = std::fs::read_to_string(account.keys()).unwrap();
        let live: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(live, [format!("{key} b")], "{way}: {text}");
        assert!(r.lock_out(&["a".into()]).unwrap().is_empty(), "{way}");
    }
    let h = home(&account.sshd);
    keygen("ed25519", &h.path(".ssh/id_ed25519"), "");
    account.sshd.authorize(&h.path(".ssh/id_ed25519.pub"), "restrict,command=\"exit 1\"");
    let e = remote(&h, &url, &Person::default()).lock_out(&["b".into()]).unwrap_err();
    assert!(e.what().contains("lets nobody write authorized_keys"), "{e}");
}

#[test]
fn at_a_terminal() {
    let a = Home::new();
    a.write("x", "x");
    a.init(&a.path("node.git").display().to_string());
    let mut t = Terminal::start(&a, &["device", "list"]);
    t.wait("password for vault").line("secret").wait("alpha   this device");
    assert_eq!(t.end(), 0);
}
