//! What a person is told on the desktop: a sentence, once, by the program that the desktop has for it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::{Home, Resident, wait_for};

#[test]
fn a_conflict_is_told_on_the_desktop_in_one_sentence_and_no_shell_reads_it() {
    let (a, b) = (Home::new(), Home::new());
    let node = a.path("node.git").display().to_string();
    let name = "$(touch evil) <b>.txt";
    a.write(name, "dear");
    a.init(&node);
    b.join(&node, &a, "beta");
    let bin = a.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = bin.join("notify-send");
    // In one write: whoever reads it sees all or nothing.
    std::fs::write(&program, "#!/bin/sh\ntold=$(printf '%s|' \"$@\")\nprintf '%s' \"$told\" >>\"$HOME/told\"\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    b.write(name, "dear B");
    b.ok(["sync"]);
    a.write(name, "dear A");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let _agent = Resident::start_with(&a, |c| {
        c.env("PATH", path);
    });
    let told = || std::fs::read_to_string(a.path("told")).unwrap_or_default();
    wait_for("the notification", || !told().is_empty());
    // Further rounds find the conflict again, and it is not told again.
    a.ok(["sync"]);
    a.ok(["sync"]);
    let sentence = "$(touch evil) &lt;b&gt;.txt was changed on two devices at once; both versions are kept";
    assert_eq!(told(), format!("--app-name=sharelock|--|sharelock|{sentence}|"));
    assert!(!a.share("evil").exists() && !a.path("evil").exists() && !Path::new("evil").exists());
}
