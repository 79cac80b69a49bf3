//! What `service install` has put in place goes: what starts this vault's agent, and nothing else.

use super::super::args::Secrets;
use super::super::places::Places;
use super::{CRON, LOGIN, Start, config_home, done, for_cron, for_desktop, for_systemd, for_xml, says, succeeded};
use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Removes the start-up files and the crontab's line of one vault. What stands under such a name and starts something else
/// stays. Gives what a person has to know of: one line each.
///
/// # Errors
/// A file that cannot be removed; a crontab that cannot be written.
pub fn remove(places: &Places, config: Option<&str>, vault: Option<&str>) -> Result<Vec<String>> {
    let start = Start::new(places, &Secrets::default(), config, vault)?;
    let mut told = Vec::new();
    systemd(places, &start, &mut told)?;
    let desktop = config_home(places).join(format!("autostart/sharelock{}.desktop", start.suffix));
    if ours(&desktop, places, &mut told, |text| start.is_in(text, "Exec=", for_desktop, "run --daemon")) {
        unlink(&desktop)?;
    }
    cron(&start)?;
    launchd(places, &start, &mut told)?;
    login(places, &mut told)?;
    Ok(told)
}

impl Start {
    /// True if a line that begins so starts this vault's agent, with whatever program.
    fn is_in(&self, text: &str, begins: &str, quote: impl Fn(&str) -> String, rest: &str) -> bool {
        text.lines().filter_map(|l| l.strip_prefix(begins)).any(|l| self.is_line(l, &quote, rest))
    }

    fn is_line(&self, line: &str, quote: impl Fn(&str) -> String, rest: &str) -> bool {
        let Some(body) = line.strip_suffix(rest).and_then(|b| b.strip_suffix(' ')) else { return false };
        let options = self.options.iter().map(|o| quote(o)).collect::<Vec<_>>().join(" ");
        let body = format!("{body} ");
        match options.is_empty() {
            true => body.contains("sharelock") && !body.contains(" --vault ") && !body.contains(" --config "),
            false => body.contains(&format!(" {options} ")),
        }
    }
}

/// True for a file that is there and that `is` takes for this vault's; another one is told of.
fn ours(path: &Path, places: &Places, told: &mut Vec<String>, is: impl FnOnce(&str) -> bool) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let ours = is(&text);
    if !ours {
        told.push(format!("{} does not start this vault's agent, and stays", places.short(path)));
    }
    ours
}

fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::from(e).at(format!("can't remove {}", path.display()))),
        _ => Ok(()),
    }
}

fn systemd(places: &Places, start: &Start, told: &mut Vec<String>) -> Result<()> {
    let unit = format!("sharelock{}.service", start.suffix);
    let dir = config_home(places).join("systemd/user");
    let path = dir.join(&unit);
    if !ours(&path, places, told, |text| start.is_in(text, "ExecStart=", for_systemd, "run")) {
        return Ok(());
    }
    // Where the user's systemd does not answer (no session), its link is all that there is to be undone.
    let _ = done(Command::new("systemctl").args(["--user", "disable", "--now", &unit]));
    let link = dir.join("default.target.wants").join(&unit);
    if link.is_symlink() {
        unlink(&link)?;
    }
    unlink(&path)?;
    let _ = done(Command::new("systemctl").args(["--user", "daemon-reload"]));
    Ok(())
}

fn cron(start: &Start) -> Result<()> {
    let Some(before) = says("crontab", &["-l"]) else { return Ok(()) };
    let remark = CRON.lines().next().unwrap_or_default();
    let mut after: Vec<&str> = Vec::new();
    for line in before.lines() {
        let is_ours =
            line.strip_prefix("*/5 * * * * ").is_some_and(|l| l.contains("sharelock") && start.is_line(l, for_cron, "run --daemon"));
        if !is_ours {
            after.push(line);
        } else if after.last() == Some(&remark) {
            after.pop();
        }
    }
    if after.len() == before.lines().count() {
        return Ok(());
    }
    let text: String = after.iter().map(|l| format!("{l}\n")).collect();
    let mut child = Command::new("crontab").arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    succeeded("crontab -", &child.wait_with_output()?)
}

fn launchd(places: &Places, start: &Start, told: &mut Vec<String>) -> Result<()> {
    let path = places.home.join(format!("Library/LaunchAgents/{}.plist", start.label()));
    let label = format!("<string>{}</string>", start.label());
    let options = |text: &str| start.options.iter().all(|o| text.contains(&format!("<string>{}</string>", for_xml(o))));
    if ours(&path, places, told, |text| text.contains(&label) && options(text)) {
        let domain = format!("gui/{}", rustix::process::getuid().as_raw());
        let _ = says("launchctl", &["bootout", &format!("{domain}/{}", start.label())]);
        unlink(&path)?;
    }
    Ok(())
}

/// The script serves all vaults of this user: it goes with the last one.
fn login(places: &Places, told: &mut Vec<String>) -> Result<()> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let path = data.unwrap_or_else(|| places.home.join(".local/share")).join("sharelock/login.sh");
    if std::fs::read(&path).is_ok_and(|text| text == LOGIN.as_bytes()) && Places::of_all()?.iter().all(|p| !p.config.exists()) {
        unlink(&path)?;
        let named = |file: &&str| std::fs::read_to_string(places.home.join(file)).is_ok_and(|t| t.contains("sharelock/login.sh"));
        told.extend(
            [".profile", ".bash_profile", ".zprofile"]
                .into_iter()
                .filter(named)
                .map(|f| format!("~/{f} still has a line that calls {}: remove it", places.short(&path))),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_this_vault_and_of_no_other() {
        let start = |options: &[&str]| Start {
            program: "/bin/sharelock".into(),
            options: options.iter().map(|o| (*o).to_string()).collect(),
            suffix: String::new(),
        };
        let (all, work) = (start(&[]), start(&["--vault", "work"]));
        for (line, of_all, of_work) in [
            ("sharelock run --daemon", true, false),
            ("/opt/sharelock --password-file /x run --daemon", true, false),
            ("sharelock --vault work run --daemon", false, true),
            ("sharelock --vault work --password-file /x run --daemon", false, true),
            ("sharelock --vault workshop run --daemon", false, false),
            ("sharelock --config /x/config.toml run --daemon", false, false),
            ("backup run --daemon", false, false),
            ("sharelock run", false, false),
        ] {
            let is = |s: &Start| s.is_line(line, for_cron, "run --daemon");
            assert_eq!((is(&all), is(&work)), (of_all, of_work), "{line}");
        }
    }
}
