//! `service install`: the start-up file that is right for this machine, in place.
//!
//! The files are those of `scripts/`, with the program's path and options put where they have an example.

mod quote;
mod removal;

use super::args::Secrets;
use super::open;
use super::places::{Places, private_dir};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use argh::{ArgsInfo, FromArgs};
use quote::{for_cron, for_desktop, for_shell, for_systemd, for_xml};
pub use removal::remove;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const UNIT: &str = include_str!("../../scripts/sharelock.service");
const PLIST: &str = include_str!("../../scripts/org.sharelock.agent.plist");
const DESKTOP: &str = include_str!("../../scripts/sharelock.desktop");
const CRON: &str = include_str!("../../scripts/sharelock.cron");
const LOGIN: &str = include_str!("../../scripts/login.sh");

/// start sharelock at login
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "service", example = "sharelock service install")]
pub struct ServiceVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: ServiceVerb,
}

/// A verb of `service`.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum ServiceVerb {
    Install(Install),
}

/// put the start-up file in place that is right for this machine
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "install", example = "sharelock service install")]
pub struct Install {
    /// by systemd, autostart (a desktop), cron, login (a script) or launchd, instead of what is found here
    #[argh(option, arg_name = "systemd|autostart|cron|login|launchd")]
    pub by: Option<String>,
}

/// Who starts the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The user's systemd.
    Systemd,
    /// The desktop (XDG autostart).
    Autostart,
    /// cron.
    Cron,
    /// A script that the user's own start-up files call.
    Login,
    /// macOS.
    Launchd,
}

/// What is started: the program and its options, and what tells one vault's files from another's.
struct Start {
    program: String,
    options: Vec<String>,
    /// Empty for the default vault, else `-NAME`.
    suffix: String,
}

/// Runs a verb.
pub fn run(places: &Places, secrets: &Secrets, config: Option<&str>, vault: Option<&str>, verb: ServiceVerb) -> Result<u8> {
    let ServiceVerb::Install(a) = verb;
    let by = match a.by.as_deref() {
        None => detect(places),
        Some("systemd") => By::Systemd,
        Some("autostart") => By::Autostart,
        Some("cron") => By::Cron,
        Some("login") => By::Login,
        Some("launchd") => By::Launchd,
        Some(other) => return Err(Error::new(Kind::Usage, format!("--by is systemd, autostart, cron, login or launchd, not {other}"))),
    };
    let checked = open::config(places)?;
    let start = Start::new(places, secrets, config, vault)?;
    match by {
        By::Systemd => systemd(places, &start)?,
        By::Autostart => autostart(places, &start)?,
        By::Cron => cron(&start)?,
        By::Login => login(places, &start)?,
        By::Launchd => launchd(places, &start, &checked)?,
    }
    if secrets.password_file.is_none() && checked.password_command.is_none() && checked.password_file.is_none() && !places.unlocked.exists()
    {
        println!("  the password is asked for at each start, and nobody is there then to type it");
        println!("    to keep the unlocked key on this device: sharelock passwd --start-without-password");
        println!("    or put password_command into {}", places.short(&places.config));
    }
    Ok(0)
}

/// The first that works here.
fn detect(places: &Places) -> By {
    if cfg!(target_os = "macos") {
        return By::Launchd;
    }
    if says("systemctl", &["--user", "show-environment"]).is_some() {
        return By::Systemd;
    }
    let desktop = ["XDG_CURRENT_DESKTOP", "DESKTOP_SESSION"].iter().any(|v| std::env::var_os(v).is_some_and(|v| !v.is_empty()));
    if desktop || config_home(places).join("autostart").is_dir() {
        return By::Autostart;
    }
    if in_path(Path::new("crontab")).is_some() && cron_runs() { By::Cron } else { By::Login }
}

impl Start {
    fn new(places: &Places, secrets: &Secrets, config: Option<&str>, vault: Option<&str>) -> Result<Start> {
        let program = program()?;
        let program = program
            .to_str()
            .filter(|p| !p.contains('\n'))
            .ok_or_else(|| Error::new(Kind::Usage, format!("the program's path is no text: {}", program.display())))?;
        let mut start = Start { program: program.into(), options: Vec::new(), suffix: String::new() };
        if let Some(vault) = vault.filter(|v| *v != "default") {
            start.options.extend(["--vault".into(), vault.into()]);
            start.suffix = format!("-{vault}");
        }
        if config.is_some() {
            let path = text(&places.config)?;
            start.suffix = format!("-{:08x}", crc32fast::hash(path.as_bytes()));
            start.options.extend(["--config".into(), path]);
        }
        if let Some(file) = secrets.password_file.as_deref().filter(|f| *f != "-") {
            start.options.extend(["--password-file".into(), text(&std::path::absolute(file)?)?]);
        }
        Ok(start)
    }

    /// The command line, each word quoted by `quote`.
    fn line(&self, quote: impl Fn(&str) -> String, rest: &str) -> String {
        let words = std::iter::once(&self.program).chain(&self.options).map(|w| quote(w));
        words.chain(std::iter::once(rest.to_string())).collect::<Vec<_>>().join(" ")
    }

    fn unit(&self) -> String {
        filled(UNIT, "%h/.local/bin/sharelock run", &self.line(for_systemd, "run"))
    }

    fn desktop(&self) -> String {
        filled(DESKTOP, "sharelock run --daemon", &self.line(for_desktop, "run --daemon"))
    }

    fn cron(&self) -> String {
        filled(CRON, "sharelock run --daemon", &self.line(for_cron, "run --daemon"))
    }

    fn plist(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.options);
        let strings: Vec<String> = words.map(|w| format!("<string>{}</string>", for_xml(w))).collect();
        let named = filled(PLIST, "<string>org.sharelock.agent</string>", &format!("<string>{}</string>", self.label()));
        filled(&named, "<string>/usr/local/bin/sharelock</string>", &strings.join("\n        "))
    }

    fn label(&self) -> String {
        format!("org.sharelock.agent{}", for_xml(&self.suffix))
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|p| !p.contains('\n'));
    text.map(String::from).ok_or_else(|| Error::new(Kind::Usage, format!("a start-up file can't name {}", path.display())))
}

/// The text with its example replaced.
fn filled(text: &str, example: &str, by: &str) -> String {
    text.replacen(example, by, 1)
}

fn systemd(places: &Places, start: &Start) -> Result<()> {
    let unit = format!("sharelock{}.service", start.suffix);
    let path = config_home(places).join("systemd/user").join(&unit);
    write(&path, &start.unit(), 0o644)?;
    done(Command::new("systemctl").args(["--user", "daemon-reload"]))?;
    done(Command::new("systemctl").args(["--user", "enable", "--now", &unit]))?;
    println!("sharelock runs, and starts at login, by systemd: {}", places.short(&path));
    println!("  its log: journalctl --user -u {unit}");
    if lingers() != Some(true) {
        println!("  without a login session nothing starts: lingering is off");
        println!("    do: sudo loginctl enable-linger $USER");
    }
    Ok(())
}

fn autostart(places: &Places, start: &Start) -> Result<()> {
    let path = config_home(places).join(format!("autostart/sharelock{}.desktop", start.suffix));
    write(&path, &start.desktop(), 0o644)?;
    println!("sharelock starts when you log in to the desktop: {}", places.short(&path));
    println!("  to start it now: {}", start.line(for_shell, "run --daemon"));
    Ok(())
}

fn cron(start: &Start) -> Result<()> {
    // Exit code 1 and nothing: there is no crontab yet.
    let before = says("crontab", &["-l"]).unwrap_or_default();
    let wanted = start.cron();
    let line = wanted.lines().last().unwrap_or_default();
    if before.lines().any(|l| l == line) {
        println!("cron looks every five minutes whether sharelock runs; the line was there already");
        return Ok(());
    }
    let mut after = before;
    if !after.is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    after.push_str(&wanted);
    let mut child = Command::new("crontab").arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(after.as_bytes())?;
    }
    succeeded("crontab -", &child.wait_with_output()?)?;
    println!("cron looks every five minutes whether sharelock runs, and starts it. the line in your crontab:");
    println!("  {line}");
    Ok(())
}

fn login(places: &Places, start: &Start) -> Result<()> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let path = data.unwrap_or_else(|| places.home.join(".local/share")).join("sharelock/login.sh");
    write(&path, LOGIN, 0o755)?;
    let script = for_shell(&text(&path)?);
    let options: String = start.options.iter().map(|o| format!(" {}", for_shell(o))).collect();
    let program = format!("SHARELOCK={}", for_shell(&start.program));
    println!("nothing here starts programs by itself (no systemd, desktop or cron was found), but this script");
    println!("does when you log in: {}", places.short(&path));
    println!("  a line for ~/.profile or a window manager's autostart:");
    println!("    {program} sh {script}{options}");
    println!("  with an ssh-agent, for ~/.profile:");
    println!("    eval \"$({program} sh {script} --ssh-agent{options})\"");
    Ok(())
}

fn launchd(places: &Places, start: &Start, config: &Config) -> Result<()> {
    let path = places.home.join(format!("Library/LaunchAgents/{}.plist", start.label()));
    write(&path, &start.plist(), 0o644)?;
    let domain = format!("gui/{}", rustix::process::getuid().as_raw());
    // One that runs under this name is replaced; that there is none is no error.
    let _ = says("launchctl", &["bootout", &format!("{domain}/{}", start.label())]);
    done(Command::new("launchctl").args(["bootstrap", &domain]).arg(&path))?;
    println!("sharelock runs, and starts at login, by launchd: {}", places.short(&path));
    let asks = ["Documents", "Desktop", "Downloads"].iter().find(|d| {
        let guarded = places.home.join(d);
        config.share.starts_with(&guarded) || config.secure.starts_with(&guarded)
    });
    if let Some(folder) = asks {
        println!("  macOS asks once whether sharelock may read ~/{folder}; until you agree nothing there is seen");
        println!("    to agree later: System Settings, Privacy & Security, Files and Folders");
    }
    if says("xattr", &["-p", "com.apple.quarantine", &start.program]).is_some() {
        println!("  the program bears the mark of a download, and macOS may refuse to start it");
        println!("    do: xattr -d com.apple.quarantine {}", for_shell(&start.program));
    }
    Ok(())
}

/// Whether this user's systemd runs without a login session; `None` where there is nobody to say.
pub fn lingers() -> Option<bool> {
    let uid = rustix::process::getuid().as_raw().to_string();
    says("loginctl", &["show-user", &uid, "--property=Linger"]).map(|o| o.trim() == "Linger=yes")
}

/// True if systemd starts a sharelock of this user.
pub fn has_unit(places: &Places) -> bool {
    let units = std::fs::read_dir(config_home(places).join("systemd/user")).into_iter().flatten().flatten();
    units.map(|e| e.file_name().to_string_lossy().into_owned()).any(|n| n.starts_with("sharelock") && n.ends_with(".service"))
}

/// What a program prints, if it is there and succeeds.
fn says(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn done(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stdin(Stdio::null()).output().map_err(|e| Error::from(e).at(format!("can't run {name}")))?;
    succeeded(&name, &out)
}

fn succeeded(what: &str, out: &Output) -> Result<()> {
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let mut e = Error::failed(format!("{what} failed: {}", said.trim().lines().last().unwrap_or("it says nothing")));
    e = e.detail("the start-up file stays where it was put; nothing else was changed");
    Err(e.remedy("another way", "sharelock service install --by login"))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let at = |e: std::io::Error| Error::from(e).at(format!("can't write {}", path.display()));
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    let temporary = path.with_extension("tmp");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(at)?;
    file.write_all(text.as_bytes()).map_err(at)?;
    // Whatever the umask is: systemd and the desktop read these as the user.
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(at)?;
    file.sync_all().map_err(at)?;
    std::fs::rename(&temporary, path).map_err(at)
}

fn config_home(places: &Places) -> PathBuf {
    std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute()).unwrap_or_else(|| places.home.join(".config"))
}

/// This program's absolute path. In a chroot without `/proc` only the name tells it by which it was called.
///
/// # Errors
/// A name that leads to no file.
pub fn program() -> Result<PathBuf> {
    if let Ok(path) = std::env::current_exe() {
        return Ok(path);
    }
    let name = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&name);
    let path = if called.components().count() > 1 { Some(std::path::absolute(called)?) } else { in_path(called) };
    path.filter(|p| p.is_file()).ok_or_else(|| {
        Error::failed(format!("can't find this program: it was called {}, and /proc is not mounted", called.display()))
            .detail("call it by its whole path")
    })
}

fn in_path(program: &Path) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join(program)).find(|p| p.is_absolute() && p.is_file())
}

/// True if a cron daemon is among the processes.
fn cron_runs() -> bool {
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|e| std::fs::read_to_string(e.path().join("comm")));
    names.flatten().any(|comm| matches!(comm.trim(), "cron" | "crond" | "cronie"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str, options: &[&str]) -> Start {
        Start { program: program.into(), options: options.iter().map(|o| (*o).to_string()).collect(), suffix: "-work".into() }
    }

    #[test]
    fn the_files_name_the_program() {
        let s = start("/opt/share lock/bin/100%", &["--vault", "work"]);
        assert!(s.unit().contains("\nExecStart=\"/opt/share lock/bin/100%%\" --vault work run\n"), "{}", s.unit());
        assert!(s.desktop().contains("\nExec=\"/opt/share lock/bin/100%%\" --vault work run --daemon\n"), "{}", s.desktop());
        assert!(s.cron().ends_with("\n*/5 * * * * '/opt/share lock/bin/100\\%' --vault work run --daemon\n"), "{}", s.cron());
        let p = s.plist();
        let program = "<string>/opt/share lock/bin/100%</string>\n        <string>--vault</string>\n        <string>work</string>\n        <string>run</string>";
        assert!(p.contains(program) && p.contains("<string>org.sharelock.agent-work</string>"), "{p}");
        for text in [s.unit(), s.desktop(), s.cron(), p] {
            assert!(!text.contains("local/bin/sharelock"), "an example is left: {text}");
        }
    }
}
