//! `service install`: what it puts in place, what it runs, and what it says. The programs that it talks to are scripts
//! that note what they were asked.
#![allow(clippy::unwrap_used)]

mod support;
use std::os::unix::fs::PermissionsExt;
use support::{Home, PROGRAM, Ran, ran};

/// A home with a vault and a folder of programs of its own.
fn home() -> Home {
    let h = Home::new();
    h.init(&h.path("node.git").display().to_string());
    std::fs::create_dir(h.path("bin")).unwrap();
    h
}

fn program(h: &Home, name: &str, script: &str) {
    let path = h.path("bin").join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>\"$HOME/asked\"\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn install(h: &Home, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut c = std::process::Command::new(PROGRAM);
    c.env_clear().env("HOME", h.dir.path()).env("PATH", h.path("bin")).args(["service", "install"]).args(more);
    c.envs(variables.iter().copied());
    ran(c.output().unwrap())
}

fn asked(h: &Home) -> String {
    std::fs::read_to_string(h.path("asked")).unwrap_or_default()
}

/// What is said when no password can be had without somebody at the keyboard.
const PASSWORD: &str = "  the password is asked for at each start, and nobody is there then to type it
    to keep the unlocked key on this device: sharelock passwd --start-without-password
    or put password_command into ~/.config/sharelock/config.toml
";

#[test]
fn a_systemd_unit_where_the_users_systemd_answers() {
    let h = home();
    program(&h, "systemctl", "");
    program(&h, "loginctl", "echo Linger=no");
    let r = install(&h, &[], &[]);
    assert_eq!(
        (r.code, r.out.as_str(), r.err.as_str()),
        (
            0,
            format!(
                "sharelock runs, and starts at login, by systemd: ~/.config/systemd/user/sharelock.service
  its log: journalctl --user -u sharelock.service
  without a login session nothing starts: lingering is off
    do: sudo loginctl enable-linger $USER
{PASSWORD}"
            )
            .as_str(),
            ""
        )
    );
    let unit = std::fs::read_to_string(h.path(".config/systemd/user/sharelock.service")).unwrap();
    assert!(unit.contains(&format!("\nExecStart={PROGRAM} run\n")), "{unit}");
    let log = asked(&h);
    assert!(log.contains("systemctl --user daemon-reload\nsystemctl --user enable --now sharelock.service\n"), "{log}");

    program(&h, "loginctl", "echo Linger=yes");
    assert!(!install(&h, &[], &[]).out.contains("lingering"));

    program(&h, "systemctl", "[ \"$2\" = show-environment ] || { echo 'Failed to enable unit: no' >&2; exit 1; }");
    let r = install(&h, &[], &[]);
    assert_eq!(r.code, 1);
    assert!(r.err.starts_with("sharelock: systemctl failed: Failed to enable unit: no\n"), "{}", r.err);
}

#[test]
fn autostart_on_a_desktop_without_systemd() {
    let h = home();
    program(&h, "systemctl", "exit 1");
    let r = install(&h, &[], &[("XDG_CURRENT_DESKTOP", "XFCE")]);
    assert!(r.out.starts_with("sharelock starts when you log in to the desktop: ~/.config/autostart/sharelock.desktop\n"), "{r:?}");
    let entry = std::fs::read_to_string(h.path(".config/autostart/sharelock.desktop")).unwrap();
    assert!(entry.contains(&format!("\nExec={PROGRAM} run --daemon\n")), "{entry}");
}

#[test]
fn a_line_in_the_crontab_beside_what_is_there() {
    let h = home();
    program(
        &h,
        "crontab",
        "[ \"$1\" != -l ] || { [ ! -e \"$HOME/tab\" ] || while IFS= read -r l; do printf '%s\\n' \"$l\"; done <\"$HOME/tab\"; exit; }
while IFS= read -r l; do printf '%s\\n' \"$l\"; done >\"$HOME/tab\"",
    );
    std::fs::write(h.path("tab"), "5 4 * * * mine\n").unwrap();
    for _ in 0..2 {
        assert_eq!(install(&h, &["--by", "cron"], &[]).code, 0);
        let tab = std::fs::read_to_string(h.path("tab")).unwrap();
        assert!(tab.starts_with("5 4 * * * mine\n# sharelock: "), "{tab}");
        assert!(tab.ends_with(&format!("\n*/5 * * * * {PROGRAM} run --daemon\n")), "{tab}");
        assert_eq!(tab.lines().count(), 3);
    }
}

#[test]
fn the_login_script_where_nothing_else_is() {
    let h = home();
    let r = install(&h, &["--by", "login"], &[]);
    let script = h.path(".local/share/sharelock/login.sh");
    assert_eq!(
        r.out,
        format!(
            "nothing here starts programs by itself (no systemd, desktop or cron was found), but this script
does when you log in: ~/.local/share/sharelock/login.sh
  a line for ~/.profile or a window manager's autostart:
    SHARELOCK={PROGRAM} sh {0}
  with an ssh-agent, for ~/.profile:
    eval \"$(SHARELOCK={PROGRAM} sh {0} --ssh-agent)\"
{PASSWORD}",
            script.display()
        )
    );
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/login.sh");
    assert_eq!(std::fs::read(&script).unwrap(), std::fs::read(source).unwrap());
    assert!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o111 != 0);
}

#[test]
fn another_vault_has_a_file_of_its_own() {
    let h = home();
    let dir = h.path(".config/sharelock/vaults/work");
    std::fs::create_dir_all(&dir).unwrap();
    let text = std::fs::read_to_string(h.path(".config/sharelock/config.toml")).unwrap();
    std::fs::write(dir.join("config.toml"), format!("password_file = \"~/pw\"\n{text}")).unwrap();
    let mut c = h.command(["--vault", "work", "service", "install", "--by", "autostart"]);
    let r = ran(c.output().unwrap());
    assert!(r.out.contains("~/.config/autostart/sharelock-work.desktop") && !r.out.contains("is asked for"), "{r:?}");
    let entry = std::fs::read_to_string(h.path(".config/autostart/sharelock-work.desktop")).unwrap();
    assert!(entry.contains(" --vault work --password-file "), "{entry}");
}

#[test]
fn refusals() {
    let h = home();
    let r = install(&h, &["--by", "magic"], &[]);
    assert_eq!((r.code, r.err.as_str()), (2, "sharelock: --by is systemd, autostart, cron, login or launchd, not magic\n"));
    let h = Home::new();
    std::fs::create_dir(h.path("bin")).unwrap();
    let r = install(&h, &[], &[]);
    assert!(r.code == 2 && r.err.contains("there is no vault on this device yet"), "{r:?}");
}
