//! `doctor`: what is wrong, and the command that mends it.

mod running;
mod stored;

use super::args::Doctor;
use super::open::{self, key};
use super::places::{self, Places};
use super::voice;
use crate::crypt::keyfile;
use crate::error::Result;
use crate::files::real::Disk;
use crate::files::{Files, Kind};
use crate::mirror::scan;
use crate::state::State;
use crate::state::db::Db;
use crate::watch;
use serde_json::json;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Ok,
    Warn,
    Fail,
}

struct Finding {
    grade: Grade,
    what: String,
    remedy: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: impl Into<String>) {
        self.0.push(Finding { grade: Grade::Ok, what: what.into(), remedy: None });
    }

    fn bad(&mut self, grade: Grade, what: impl Into<String>, remedy: impl Into<String>) {
        let remedy = remedy.into();
        self.0.push(Finding { grade, what: what.into(), remedy: (!remedy.is_empty()).then_some(remedy) });
    }
}

/// Looks at everything that can be looked at without the password.
pub fn run(places: Places, a: &Doctor) -> Result<u8> {
    let mut f = Findings::default();
    match open::config(&places) {
        Ok(config) => {
            f.ok(format!("configuration {}", places.short(&places.config)));
            config.unheeded.iter().for_each(|what| f.bad(Grade::Warn, what.clone(), ""));
            look(&places, &config, &mut f);
        }
        Err(e) => f.bad(Grade::Fail, e.to_string(), e.remedies().first().map_or(String::new(), |r| r.command.clone())),
    }
    let fails = f.0.iter().filter(|x| x.grade == Grade::Fail).count() as u64;
    let warns = f.0.iter().filter(|x| x.grade == Grade::Warn).count() as u64;
    let word = |g: Grade| match g {
        Grade::Ok => "ok",
        Grade::Warn => "warn",
        Grade::Fail => "fail",
    };
    if a.json {
        let rows: Vec<_> = f.0.iter().map(|x| json!({"grade": word(x.grade), "what": x.what, "remedy": x.remedy})).collect();
        println!("{:#}", json!(rows));
    } else {
        for x in &f.0 {
            println!("{:<5} {}", word(x.grade), x.what);
            if let Some(r) = &x.remedy {
                println!("        do: {}", folded(r));
            }
        }
        match (fails, warns) {
            (0, 0) => println!("all is well"),
            _ => println!("{} to mend, {warns} to look at", voice::plural(fails, "thing")),
        }
    }
    Ok(if fails > 0 { 1 } else { 0 })
}

fn look(places: &Places, config: &crate::config::Config, f: &mut Findings) {
    for (what, path) in [("key file", &places.key), ("unlocked key", &places.unlocked)] {
        let short = places.short(path);
        if !path.exists() {
            continue;
        }
        if places::is_open_to_others(path) {
            f.bad(Grade::Fail, format!("{what} {short} can be read by others"), format!("chmod 600 {short}"));
        } else {
            f.ok(format!("{what} {short}, only you can read it"));
        }
    }
    match places::read(&places.key, 4096).and_then(|b| keyfile::peek(&b).map(|_| ())) {
        Ok(()) => {}
        Err(_) if places.unlocked.exists() => {}
        Err(e) => f.bad(Grade::Fail, format!("key file: {e}"), "sharelock passwd --recovery-key"),
    }
    let (share, secure) = (Disk::open_unprobed(&config.share), Disk::open_unprobed(&config.secure));
    match (&share, &secure) {
        (Ok(share), Ok(secure)) => {
            let free = secure.free().unwrap_or(0);
            if config.share.starts_with(&config.secure) || config.secure.starts_with(&config.share) {
                f.bad(Grade::Fail, "share and secure lie in each other", "");
            } else if free < config.min_free {
                f.bad(
                    Grade::Fail,
                    format!("{} are free, {} are kept: nothing is written", voice::size(free), voice::size(config.min_free)),
                    "",
                );
            } else {
                let (mut on, other) = (watch::file_system(&config.share), watch::file_system(&config.secure));
                if let Some(other) = other.filter(|o| on.as_ref() != Some(o)) {
                    on = Some(on.map_or(other.clone(), |on| format!("{on} and {other}")));
                }
                let on = on.map_or(String::new(), |on| format!(" on {on},"));
                f.ok(format!("share and secure are apart,{on} {} free", voice::size(free)));
            }
            match crate::git::store::read_small(share, &share.root(), scan::ROOT_FILE, 256) {
                Ok(Some(_)) => {}
                _ => f.bad(
                    Grade::Fail,
                    format!("{} is not a share of this vault (.sharelock-root is missing)", places.short(&config.share)),
                    "",
                ),
            }
            let (depth, widest) = shape(secure);
            if depth > 55 {
                f.bad(Grade::Warn, format!("folders lie {depth} deep: stock git cannot clone ~/secure beyond about 55 levels"), "");
            }
            if widest > 10_000 {
                f.bad(
                    Grade::Warn,
                    format!("one folder has {} files: above 10,000 each change there costs a server much room", voice::count(widest)),
                    "",
                );
            }
        }
        (Err(e), _) => f.bad(Grade::Fail, format!("{}: {e}", places.short(&config.share)), ""),
        (_, Err(e)) => f.bad(Grade::Fail, format!("{}: {e}", places.short(&config.secure)), ""),
    }
    let agent = running::Agent::ask(places);
    // One that is stuck lends nothing, for ever.
    let state = (!agent.is_silent()).then(|| places.lock().and_then(|lock| Ok((lock, Db::open(&places.state_dir.join("state.db"))?))));
    match state {
        Some(Ok((_lock, state))) => match state.value(key::CHECKED) {
            Ok(Some(_)) => f.ok("recovery key was checked on this device"),
            _ => f.bad(Grade::Warn, "recovery key was never checked on this device", "sharelock key check"),
        },
        Some(Err(e)) => f.bad(Grade::Warn, format!("state: {e}"), ""),
        None => {}
    }
    if config.remotes.is_empty() {
        f.bad(Grade::Warn, "no storage node yet: everything is on this device only", "sharelock remote add --create NAME URL");
    }
    for r in &config.remotes {
        stored::look(r, places, f);
    }
    running::look(places, config, &agent, secure.as_ref().ok(), f);
}

/// A command that is too long for a line goes on behind its pipe, and can still be copied as it stands.
fn folded(command: &str) -> String {
    match command.split_once(" | ") {
        Some((first, rest)) if command.len() > 64 => format!("{first} | \\\n            {rest}"),
        _ => command.to_string(),
    }
}

/// How deep secure is, and how many entries its widest directory has.
fn shape(secure: &Disk) -> (usize, u64) {
    let (mut deepest, mut widest) = (0, 0);
    let mut todo = vec![(secure.root(), 0usize)];
    while let Some((dir, depth)) = todo.pop() {
        deepest = deepest.max(depth);
        let names = secure.list(&dir).unwrap_or_default();
        widest = widest.max(names.len() as u64);
        for (name, kind) in names {
            if kind == Some(Kind::Dir)
                && &*name != b".git"
                && depth < 1000
                && let Ok(inner) = secure.open_dir(&dir, &name)
            {
                todo.push((inner, depth + 1));
            }
        }
    }
    (deepest, widest)
}
