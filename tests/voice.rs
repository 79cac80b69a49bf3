//! `init` and `join` as a person meets them at a terminal, word by word, with a real sshd.
#![cfg(feature = "ssh")]
#![allow(clippy::unwrap_used)]

mod support;

use support::{Home, Sshd, Terminal};

/// What was shown, with what differs from run to run replaced by its name.
fn shown(t: &Terminal, names: &[(&str, &str)]) -> String {
    let mut text = t.text().replace("\r\n", "\n");
    for (value, name) in names {
        text = text.replace(value, name);
    }
    // How far long work is, drawn over and gone.
    let lines: Vec<&str> = text.lines().map(|l| l.rsplit("\r\x1b[K").next().unwrap().trim_end()).collect();
    lines.join("\n") + "\n"
}

/// The groups of a recovery key, as they are shown in `text`.
fn groups(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|l| l.starts_with("    1 ") || l.starts_with("    5 "));
    rows.flat_map(|l| l.split_whitespace().filter(|w| w.len() > 2).map(str::to_string).collect::<Vec<_>>()).collect()
}

/// ` 41 GB are free` without its number.
fn without_number(text: &str, before: &str, after: &str) -> String {
    let (head, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before}: {text}"));
    let (_, tail) = rest.split_once(after).unwrap_or_else(|| panic!("{after}: {text}"));
    format!("{head}{before}N{after}{tail}")
}

#[test]
fn from_the_first_device_to_the_second() {
    let sshd = Sshd::start(&["ed25519"], "");
    let a = Home::new();
    a.let_in(&sshd);
    std::fs::remove_file(a.path(".ssh/known_hosts")).unwrap();
    for n in 0..30 {
        a.write(&format!("same/{n}"), &format!("{n}"));
    }
    a.write("notes/todo.txt", "of the laptop\n");
    let url = sshd.url(&sshd.dir.path().join("vault.git"));
    let fingerprint = sshd.fingerprint("ed25519");

    let mut t = Terminal::start(&a, &["init", "--device", "laptop", "--remote", &url, "--create"]);
    t.wait("are they the same? [yes/No] ").line("yes");
    t.wait("password for this device:").line("secret").wait("once more:").line("secret");
    t.wait("type groups ");
    t.wait("> ");
    let key = groups(&shown(&t, &[]));
    assert_eq!(key.len(), 8, "{}", t.text());
    let asked = t.text();
    let asked = asked.rsplit("type groups ").next().unwrap();
    let numbers: Vec<usize> = asked.split(' ').filter_map(|w| w.parse().ok()).take(2).collect();
    let typed = format!("{} {}", key[numbers[0] - 1], key[numbers[1] - 1]);
    t.line(&typed);
    assert_eq!(t.end(), 0, "{}", t.text());
    let text = shown(&t, &[(&url, "URL"), (&fingerprint, "FINGERPRINT"), (&typed, "GROUPS")]);
    let rows = |from: usize| (from..from + 4).map(|n| format!("{} {}", n + 1, key[n])).collect::<Vec<_>>().join("   ");
    let want = format!(
        "share   ~/share    31 files, 64 B, none of them will be moved or changed
secure  ~/secure   new, needs about 37 kB (N are free)
device  laptop

127.0.0.1 is new to this device. its ed25519 key is
  FINGERPRINT
the server shows its own with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
are they the same? [yes/No] yes

password for this device:
once more:

this is the recovery key. it opens the vault without a password, for ever:

    {}
    {}

write it on paper and keep it away from this machine. whoever has it can read
everything; without it and without the password nobody can, we neither.
to show that you have it, type groups {} and {} (Enter: later, `key check`):
> GROUPS
right
done: 31 files are encrypted and stored on origin
  start at login      sharelock service install
  another device      sharelock join URL
",
        rows(0),
        rows(4),
        numbers[0],
        numbers[1]
    );
    assert_eq!(without_number(&text, "37 kB (", " are free"), want);

    // A second device that the server does not know yet, with files of its own.
    let b = Home::new();
    b.knows(&sshd);
    for n in 0..30 {
        b.write(&format!("same/{n}"), &format!("{n}"));
    }
    for n in 0..6 {
        b.write(&format!("own/{n}"), "only here");
    }
    b.write("notes/todo.txt", "of the pi\n");
    b.write("scratch.txt~", "ignored");
    let mut t = Terminal::start(&b, &["join", &url, "--device", "pi"]);
    t.wait("waiting, Ctrl-C stops and loses nothing ... ");
    let line = t.text().split('\'').nth(1).unwrap().to_string();
    // By the device that has the vault. The test's server reads another file than the one that this writes.
    sshd.authorize(&b.path(".config/sharelock/id_ed25519.pub"), "");
    t.wait("let in").wait("  1 ").line(&key[0]).wait("  2 ").line("00000000").wait("once more");
    for (n, group) in key.iter().enumerate().skip(1) {
        t.wait(&format!("  {} ", n + 1)).line(group);
    }
    t.wait("password for this device (may differ from the others'):").line("other").wait("once more:").line("other");
    assert_eq!(t.end(), 0, "{}", t.text());
    let text = shown(&t, &[(&line, "KEY pi")]);
    let (beginning, rest) = text.split_once("  1 ").unwrap();
    let user = support::user();
    assert_eq!(
        beginning,
        format!(
            "device  pi   (another name: --device NAME)
the server does not let this device in yet (no SSH key of it is accepted)
do, on a device that has the vault (works on rsync.net too):
  sharelock remote authorize origin 'KEY pi'
or add that key to ~/.ssh/authorized_keys of {user} on 127.0.0.1
waiting, Ctrl-C stops and loses nothing ... let in
recovery key, group by group (or start again with --key-file F):
"
        )
    );
    assert!(rest.contains("  2 00000000\ntyping error in group 2, once more\n  2 "), "{rest}");
    let end = rest.split_once("\nright: ").unwrap_or_else(|| panic!("{rest}")).1;
    let (first, then) = end.split_once('\n').unwrap();
    assert_eq!(first, "the vault has 31 files, 64 B, and the device laptop");
    let (height, then) = then.split_once('\n').unwrap();
    assert!(height.starts_with("it is at change 2, made by laptop today "), "{height}");
    assert_eq!(
        then,
        "password for this device (may differ from the others'):
once more:

~/share has 37 files already
  30 are the same as in the vault     nothing to fetch
   6 are only here                    will be added
   1 differs (notes/todo.txt)         both versions will be kept
done: this device has everything: 38 files. start at login: sharelock service install
"
    );
    assert_eq!(b.read("own/3"), "only here");
}
