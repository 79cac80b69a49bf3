//! What `doctor` says of what runs, or would: the agent, the watching of folders, XMPP, lingering, and the clock.

use super::{Findings, Grade};
#[cfg(feature = "xmpp")]
use crate::agent::told::Account;
use crate::agent::told::{Doing, Told, Watched};
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
use std::path::Path;

const START: &str = "sharelock run --daemon";
const RESTART: &str = "sharelock stop && sharelock run --daemon";

/// The agent of a vault.
pub enum Agent {
    /// What it says.
    Says(Box<Told>),
    /// It holds its lock, and does not answer: stopped, or stuck.
    Silent,
    /// There is none.
    None,
}

impl Agent {
    /// Asks it.
    pub fn ask(places: &Places) -> Agent {
        match run::status_of_agent(places) {
            Some(told) => Agent::Says(Box::new(told)),
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
        Agent::Says(a) => watched(&a.watch.iter().map(|w| Side::read(w, places)).collect::<Vec<_>>(), f),
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
    match a.doing {
        Doing::Stopped => {
            let why = a.problems.first().map_or("see its log", |p| &p.what);
            f.bad(Grade::Fail, format!("sharelock runs, but does nothing: {why}"), RESTART);
        }
        Doing::Paused => f.bad(Grade::Warn, "sharelock is paused: changes are noted, and sent later", "sharelock resume"),
        _ if a.version != own => {
            f.bad(Grade::Warn, format!("the running sharelock is version {}, this one is {own}", a.version), RESTART);
        }
        _ => f.ok(format!("sharelock is running (process {})", a.pid)),
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
    fn read(w: &Watched, places: &Places) -> Side {
        Side { folder: places.short(Path::new(&w.folder)), by: w.by.clone(), watched: w.watched, polled: w.polled }
    }
}

/// Without an agent the folders are watched for a moment, both at once: only that tells what the kernel grants.
fn tried(places: &Places, config: &Config, f: &mut Findings) -> Vec<Side> {
    let (mut sides, mut held) = (Vec::new(), Vec::new());
    for (path, folder) in [(&config.share, Folder::Share), (&config.secure, Folder::Secure)] {
        match Watcher::new(path, config.watch, watch::POLL, watching::skip(folder)) {
            Ok(w) => {
                sides.push(Side::read(&watching::told(path, &w.state()), places));
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
    let problem = a.problems.iter().find(|p| p.what.starts_with("xmpp: "));
    let none = Account::default();
    let line = a.xmpp.as_ref().unwrap_or(&none);
    let why = line.why.as_deref().unwrap_or("it does not say why");
    match (line.jid == jid, line.state.as_str(), problem) {
        (true, "online", _) => f.ok(format!("xmpp: {jid} by {}{}", line.tls.as_deref().unwrap_or("TLS"), notices(line.notice_ms))),
        (true, "offline", _) => f.bad(Grade::Warn, format!("xmpp: {jid} is offline and tries again by itself: {why}"), ""),
        (true, "connecting", _) => f.bad(Grade::Warn, format!("xmpp: {jid} is not online yet"), "sharelock doctor"),
        (_, _, Some(p)) => f.bad(Grade::Fail, &p.what, p.remedy.as_deref().unwrap_or_default()),
        _ => f.bad(Grade::Warn, format!("xmpp: the running sharelock does not know {jid}, it began before"), RESTART),
    }
}

/// How long notices take, as the last one of this device's own came back from the server.
#[cfg(feature = "xmpp")]
fn notices(ms: Option<u64>) -> String {
    match ms {
        None => ", no notice was sent yet".into(),
        Some(ms) => format!(", notices arrive in {:.1} s", (ms.max(50) as f64) / 1000.0),
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
    use crate::agent::told::Problem;

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

    fn agent(doing: Doing, version: &str, problems: &[(&str, Option<&str>)], xmpp: Option<Account>) -> Agent {
        Agent::Says(Box::new(Told {
            pid: 7,
            version: version.into(),
            doing,
            paused_until: None,
            nodes: Default::default(),
            devices: Vec::new(),
            problems: problems.iter().map(|(what, remedy)| Problem::of(*what, *remedy)).collect(),
            watch: Vec::new(),
            xmpp,
        }))
    }

    #[test]
    fn an_agent_that_does_not_do_its_work() {
        let now = env!("CARGO_PKG_VERSION");
        let say = |doing, version, problems: &[_]| said(|f| about_agent(&agent(doing, version, problems, None), f)).remove(0);
        assert_eq!(say(Doing::Idle, now, &[]), ('o', "sharelock is running (process 7)".into(), "".into()));
        let (grade, what, remedy) = say(Doing::Idle, "0.0.1", &[]);
        assert!(grade == 'w' && what.contains("version 0.0.1") && remedy == RESTART, "{what}");
        assert_eq!(say(Doing::Paused, now, &[]).2, "sharelock resume");
        let broken = say(Doing::Stopped, now, &[("the disk is gone", None)]);
        assert_eq!((broken.0, broken.1.as_str()), ('f', "sharelock runs, but does nothing: the disk is gone"));
        assert_eq!(said(|f| about_agent(&Agent::None, f))[0].2, START);
        assert_eq!(said(|f| about_agent(&Agent::Silent, f))[0].0, 'f');
    }

    #[test]
    #[cfg(feature = "xmpp")]
    fn how_the_account_does() {
        let say = |xmpp, problems: &[_]| said(|f| connection("me@d", &agent(Doing::Idle, "1", problems, xmpp), f)).remove(0);
        let line = |jid: &str, state: &str, why: Option<&str>| {
            Some(Account { jid: jid.into(), state: state.into(), why: why.map(str::to_string), ..Account::default() })
        };
        let online = |tls: &str, notice_ms| Some(Account { tls: Some(tls.into()), notice_ms, ..line("me@d", "online", None).unwrap() });
        for (tls, ms, want) in [
            ("STARTTLS", Some(204), "xmpp: me@d by STARTTLS, notices arrive in 0.2 s"),
            ("direct TLS", Some(1), "xmpp: me@d by direct TLS, notices arrive in 0.1 s"),
            ("STARTTLS", None, "xmpp: me@d by STARTTLS, no notice was sent yet"),
        ] {
            assert_eq!(say(online(tls, ms), &[]), ('o', want.into(), "".into()));
        }
        let offline = say(line("me@d", "offline", Some("no route")), &[]);
        assert_eq!(offline, ('w', "xmpp: me@d is offline and tries again by itself: no route".into(), "".into()));
        assert_eq!(say(line("me@d", "connecting", None), &[]).0, 'w');
        let problems = [("3 folders", None), ("xmpp: wrong password. later", Some("mend it"))];
        let refused = say(line("me@d", "refused", Some("wrong password")), &problems);
        assert_eq!(refused, ('f', "xmpp: wrong password. later".into(), "mend it".into()));
        let none = say(None, &[("xmpp: xmpp.password_command failed", None)]);
        assert_eq!((none.0, none.1.as_str()), ('f', "xmpp: xmpp.password_command failed"));
        assert_eq!(say(None, &[]).2, RESTART);
        assert_eq!(say(line("old@d", "online", None), &[]).2, RESTART);
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
