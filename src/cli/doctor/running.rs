//! What `doctor` says of what runs, or would: the agent, the watching of folders, XMPP, lingering, and the clock.

use super::{Findings, Grade};
use crate::agent::{Folder, watching};
use crate::cli::places::Places;
use crate::cli::{run, service, voice};
use crate::clock::{Clock, Time, system::System};
use crate::config::Config;
use crate::files::real::Disk;
use crate::git::store::{Store, dir_at};
use crate::git::{Type, limit, object};
use crate::mirror::secure::MAIN;
use crate::watch::{self, Watcher};
use serde_json::Value;
use std::path::Path;

const START: &str = "sharelock run --daemon";
const RESTART: &str = "sharelock stop && sharelock run --daemon";

/// The agent of a vault.
pub enum Agent {
    /// What it says.
    Says(Value),
    /// It holds its lock, and does not answer: stopped, or stuck.
    Silent,
    /// There is none.
    None,
}

impl Agent {
    /// Asks it.
    pub fn ask(places: &Places) -> Agent {
        match run::status_of_agent(places) {
            Some(v) => Agent::Says(v),
            None if run::alone(places).is_ok_and(|lock| lock.is_none()) => Agent::Silent,
            None => Agent::None,
        }
    }

    /// True if nothing else that is asked of it will be answered.
    pub fn is_silent(&self) -> bool {
        matches!(self, Agent::Silent)
    }
}

pub fn look(places: &Places, config: &Config, agent: &Agent, secure: Option<&Disk>, f: &mut Findings) {
    about_agent(agent, f);
    match agent {
        Agent::Says(a) => watched(&of_agent(a, places), f),
        Agent::None => watched(&tried(places, config, f), f),
        Agent::Silent => {}
    }
    #[cfg(feature = "xmpp")]
    about_xmpp(places, config, agent, f);
    if service::has_unit(places) && service::lingers() == Some(false) {
        f.bad(Grade::Warn, "without a login session nothing starts: lingering is off", "sudo loginctl enable-linger $USER");
    }
    if let Some(newest) = secure.and_then(newest_change) {
        about_clock(System.now(), newest, f);
    }
}

fn about_agent(agent: &Agent, f: &mut Findings) {
    let own = env!("CARGO_PKG_VERSION");
    let a = match agent {
        Agent::Says(a) => a,
        Agent::Silent => return f.bad(Grade::Fail, "sharelock runs here, but does not answer: end its process, and start it again", START),
        Agent::None => return f.bad(Grade::Warn, "sharelock is not running: files are in sync after `sharelock sync` only", START),
    };
    let version = a["version"].as_str().unwrap_or_default();
    match a["state"].as_str() {
        Some("stopped") => {
            let why = a["problems"].as_array().into_iter().flatten().find_map(|p| p["what"].as_str()).unwrap_or("see its log");
            f.bad(Grade::Fail, format!("sharelock runs, but does nothing: {why}"), RESTART);
        }
        Some("paused") => f.bad(Grade::Warn, "sharelock is paused: changes are noted, and sent later", "sharelock resume"),
        _ if version != own => {
            f.bad(Grade::Warn, format!("the running sharelock is version {version}, this one is {own}"), RESTART);
        }
        _ => f.ok(format!("sharelock is running (process {})", a["pid"])),
    }
}

// -- watching -----------------------------------------------------------------

/// How a folder is watched.
struct Side {
    folder: String,
    /// The back end, as [`watch::Backend`] shows itself.
    by: String,
    watched: u64,
    polled: u64,
}

impl Side {
    /// From what [`watching::told`] says.
    fn read(v: &Value, places: &Places) -> Option<Side> {
        Some(Side {
            folder: places.short(Path::new(v["folder"].as_str()?)),
            by: v["by"].as_str()?.to_string(),
            watched: v["watched"].as_u64()?,
            polled: v["polled"].as_u64()?,
        })
    }
}

fn of_agent(agent: &Value, places: &Places) -> Vec<Side> {
    agent["watch"].as_array().into_iter().flatten().filter_map(|v| Side::read(v, places)).collect()
}

/// Without an agent the folders are watched for a moment, both at once: only that tells what the kernel grants.
fn tried(places: &Places, config: &Config, f: &mut Findings) -> Vec<Side> {
    let (mut sides, mut held) = (Vec::new(), Vec::new());
    for (path, folder) in [(&config.share, Folder::Share), (&config.secure, Folder::Secure)] {
        match Watcher::new(path, config.watch, watch::POLL, watching::skip(folder)) {
            Ok(w) => {
                sides.extend(Side::read(&watching::told(path, &w.state()), places));
                held.push(w);
            }
            // That it is not there was said above.
            Err(_) if !path.is_dir() => {}
            Err(e) => f.bad(Grade::Fail, e.to_string(), ""),
        }
    }
    sides
}

fn watched(sides: &[Side], f: &mut Findings) {
    let every = watch::POLL.as_secs();
    for s in sides.iter().filter(|s| s.polled == 0) {
        match s.by.strip_prefix("poll (").and_then(|why| why.strip_suffix(')')) {
            Some("asked for") => f.ok(format!("{} is looked at every {every} s, as `watch` in the configuration asks", s.folder)),
            Some(why) => f.bad(Grade::Warn, format!("{} is only looked at every {every} s: {why}", s.folder), ""),
            None if s.watched > 0 => f.ok(format!("{} is watched by {}, {}", s.folder, s.by, voice::plural(s.watched, "folder"))),
            None => f.ok(format!("{} is watched by {}", s.folder, s.by)),
        }
    }
    // The kernel's limit is one for all that a user watches.
    let sum = |of: fn(&Side) -> u64| sides.iter().map(of).fold(0, u64::saturating_add);
    let (watched, unwatched) = (sum(|s| s.watched), sum(|s| s.polled));
    let state = watch::State { backend: watch::Backend::Inotify, watched, unwatched, poll: watch::POLL };
    if let Some(remedy) = state.remedy() {
        let (some, all) = (voice::count(unwatched), voice::count(watched.saturating_add(unwatched)));
        f.bad(Grade::Fail, format!("{some} of {all} folders can't be watched, they are looked at every {every} s"), remedy);
    }
}

// -- xmpp -----------------------------------------------------------------------

#[cfg(feature = "xmpp")]
fn about_xmpp(places: &Places, config: &Config, agent: &Agent, f: &mut Findings) {
    let Some(x) = &config.xmpp else {
        return f.ok(format!("no XMPP account: other devices' changes are asked for every {} s", config.poll / 1000));
    };
    if x.password.is_some() && crate::cli::places::is_open_to_others(&places.config) {
        let short = places.short(&places.config);
        f.bad(Grade::Fail, format!("configuration {short} holds a password, and can be read by others"), format!("chmod 600 {short}"));
    }
    connection(x.jid().as_str(), agent, f);
}

#[cfg(feature = "xmpp")]
fn connection(jid: &str, agent: &Agent, f: &mut Findings) {
    let a = match agent {
        Agent::Says(a) => a,
        Agent::Silent => return,
        Agent::None => return f.bad(Grade::Warn, format!("xmpp: {jid} was not tried, sharelock is not running"), START),
    };
    let problem = a["problems"].as_array().into_iter().flatten().find(|p| p["what"].as_str().is_some_and(|w| w.starts_with("xmpp: ")));
    let line = &a["xmpp"];
    let why = line["why"].as_str().unwrap_or("it does not say why");
    match (line["jid"].as_str() == Some(jid), line["state"].as_str(), problem) {
        (true, Some("online"), _) => f.ok(format!("xmpp: {jid} is online")),
        (true, Some("offline"), _) => f.bad(Grade::Warn, format!("xmpp: {jid} is offline and tries again by itself: {why}"), ""),
        (true, Some("connecting"), _) => f.bad(Grade::Warn, format!("xmpp: {jid} is not online yet"), "sharelock doctor"),
        (_, _, Some(p)) => {
            f.bad(Grade::Fail, p["what"].as_str().unwrap_or_default(), p["remedy"].as_str().unwrap_or_default());
        }
        _ => f.bad(Grade::Warn, format!("xmpp: the running sharelock does not know {jid}, it began before"), RESTART),
    }
}

// -- the clock --------------------------------------------------------------------

/// When the newest change that this device knows was made, cut to the hour.
fn newest_change(secure: &Disk) -> Option<Time> {
    let git = Store::open(secure, &dir_at(secure, ".git").ok()?).ok()?;
    let head = git.get_ref(MAIN).ok()??;
    let commit = git.read(&head, Type::Commit, limit::COMMIT).ok()?;
    Some(Time { s: object::commit_time(&commit), ns: 0 })
}

/// A clock that is behind makes this device's changes look old, and certificates not yet valid.
fn about_clock(now: Time, newest: Time, f: &mut Findings) {
    if now.s < newest.s {
        let (now, newest) = (voice::iso(now), voice::iso(newest));
        f.bad(
            Grade::Fail,
            format!("the clock is behind: it shows {now}, and the newest change is of {newest}"),
            "sudo timedatectl set-ntp true",
        );
    } else {
        f.ok("the clock is not behind the newest change");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One line a finding: grade, text, remedy.
    fn said(look: impl FnOnce(&mut Findings)) -> Vec<(char, String, String)> {
        let mut f = Findings::default();
        look(&mut f);
        let grade = |g| match g {
            Grade::Ok => 'o',
            Grade::Warn => 'w',
            Grade::Fail => 'f',
        };
        f.0.into_iter().map(|x| (grade(x.grade), x.what, x.remedy.unwrap_or_default())).collect()
    }

    fn side(by: &str, watched: u64, polled: u64) -> Side {
        Side { folder: "~/share".into(), by: by.into(), watched, polled }
    }

    #[test]
    fn folders_beyond_the_limit_are_a_fault_with_the_sysctl() {
        let all = said(|f| watched(&[side("inotify", 8000, 3000), side("inotify", 192, 412)], f));
        assert_eq!(
            all,
            [(
                'f',
                "3,412 of 11,604 folders can't be watched, they are looked at every 60 s".into(),
                "echo fs.inotify.max_user_watches=65536 | sudo tee /etc/sysctl.d/60-sharelock.conf && sudo sysctl --system".into()
            )]
        );
        assert_eq!(
            super::super::folded(&all[0].2),
            "echo fs.inotify.max_user_watches=65536 | \\\n            sudo tee /etc/sysctl.d/60-sharelock.conf && sudo sysctl --system"
        );
    }

    #[test]
    fn the_back_end_is_named() {
        for (by, n, grade, want) in [
            ("inotify", 1, 'o', "~/share is watched by inotify, 1 folder"),
            ("fsevents", 0, 'o', "~/share is watched by fsevents"),
            ("poll (asked for)", 0, 'o', "~/share is looked at every 60 s, as `watch` in the configuration asks"),
            ("poll (the folder is on NFS)", 0, 'w', "~/share is only looked at every 60 s: the folder is on NFS"),
        ] {
            let all = said(|f| watched(&[side(by, n, 0)], f));
            assert_eq!((all.len(), all[0].0, all[0].1.as_str()), (1, grade, want));
        }
    }

    #[test]
    fn an_agent_that_does_not_do_its_work() {
        let say = |v: Value| said(|f| about_agent(&Agent::Says(v), f)).remove(0);
        let now = env!("CARGO_PKG_VERSION");
        assert_eq!(say(json!({"pid": 7, "version": now, "state": "idle"})), ('o', "sharelock is running (process 7)".into(), "".into()));
        let (grade, what, remedy) = say(json!({"pid": 7, "version": "0.0.1", "state": "idle"}));
        assert!(grade == 'w' && what.contains("version 0.0.1") && remedy == RESTART, "{what}");
        assert_eq!(say(json!({"version": now, "state": "paused"})).2, "sharelock resume");
        let broken = say(json!({"version": now, "state": "stopped", "problems": [{"what": "the disk is gone"}]}));
        assert_eq!((broken.0, broken.1.as_str()), ('f', "sharelock runs, but does nothing: the disk is gone"));
        assert_eq!(said(|f| about_agent(&Agent::None, f))[0].2, START);
        assert_eq!(said(|f| about_agent(&Agent::Silent, f))[0].0, 'f');
    }

    #[test]
    #[cfg(feature = "xmpp")]
    fn how_the_account_does() {
        let say = |v: Value| said(|f| connection("me@d", &Agent::Says(v), f)).remove(0);
        let line = |state: &str, why: Option<&str>| json!({"jid": "me@d", "state": state, "why": why});
        assert_eq!(say(json!({"xmpp": line("online", None)})), ('o', "xmpp: me@d is online".into(), "".into()));
        let offline = say(json!({"xmpp": line("offline", Some("no route"))}));
        assert_eq!(offline, ('w', "xmpp: me@d is offline and tries again by itself: no route".into(), "".into()));
        assert_eq!(say(json!({"xmpp": line("connecting", None)})).0, 'w');
        let problems = json!([{"what": "3 folders"}, {"what": "xmpp: wrong password. later", "remedy": "mend it"}]);
        let refused = say(json!({"xmpp": line("refused", Some("wrong password")), "problems": problems}));
        assert_eq!(refused, ('f', "xmpp: wrong password. later".into(), "mend it".into()));
        let none = say(json!({"xmpp": null, "problems": [{"what": "xmpp: xmpp.password_command failed", "remedy": null}]}));
        assert_eq!((none.0, none.1.as_str()), ('f', "xmpp: xmpp.password_command failed"));
        assert_eq!(say(json!({"xmpp": null, "problems": []})).2, RESTART);
        assert_eq!(say(json!({"xmpp": {"jid": "old@d", "state": "online"}, "problems": []})).2, RESTART);
        assert_eq!(said(|f| connection("me@d", &Agent::None, f))[0].1, "xmpp: me@d was not tried, sharelock is not running");
    }

    #[test]
    fn a_clock_that_is_behind() {
        let at = |s| Time { s, ns: 0 };
        assert_eq!(said(|f| about_clock(at(3600), at(3600), f))[0].0, 'o');
        let behind = said(|f| about_clock(at(0), at(3600), f)).remove(0);
        assert_eq!(behind.1, "the clock is behind: it shows 1970-01-01T00:00:00Z, and the newest change is of 1970-01-01T01:00:00Z");
    }
}
