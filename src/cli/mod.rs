//! The command line: verbs, what they print, and their exit codes. It speaks as its users do ([`voice`]).

/// Prints, as std's macro of that name, but without a panic when the reader has gone (`sharelock log | head`): what a verb
/// does matters more than that somebody hears of it.
macro_rules! print {
    ($($words:tt)*) => { $crate::cli::voice::say(&mut std::io::stdout(), format_args!($($words)*)) };
}
macro_rules! println {
    ($($words:tt)*) => { $crate::cli::voice::say(&mut std::io::stdout(), format_args!("{}\n", format_args!($($words)*))) };
}
macro_rules! eprint {
    ($($words:tt)*) => { $crate::cli::voice::say(&mut std::io::stderr(), format_args!($($words)*)) };
}
macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::voice::say(&mut std::io::stderr(), format_args!("{}\n", format_args!($($words)*))) };
}

pub mod args;
mod autosync;
mod bench;
mod conflicts;
mod devices;
mod doctor;
mod du;
mod history;
mod ignored;
mod keys;
mod leave;
mod names;
mod nodes;
mod open;
mod places;
mod progress;
pub mod reference;
mod remotes;
mod report;
mod restore;
mod run;
mod secret;
#[cfg(feature = "ssh")]
mod server;
pub mod service;
mod setup;
mod status;
mod sync;
mod verify;
pub mod voice;
mod when;

use crate::agent::round;
use crate::error::{Error, Kind, Result};
use argh::FromArgs;
use args::{Args, Secrets, Verb};
use places::Places;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program: arguments without the program's name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let texts: Vec<String> = arguments.iter().map(|a| args::text(a)).collect();
    let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
    if let [reference::shells::ASK, asked @ ..] = &refs[..] {
        return ExitCode::from(reference::shells::answer(asked));
    }
    let parsed = match Args::from_args(&["sharelock"], &refs) {
        Ok(a) => a,
        Err(early) if early.status.is_ok() => {
            println!("{}", early.output.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(early) => {
            let mut e = Error::new(Kind::Usage, early.output.trim().lines().next().unwrap_or("a wrong command line").to_lowercase());
            if let Some(near) = verb(&refs).and_then(nearest) {
                e = e.remedy("did you mean", format!("sharelock {near}"));
            }
            voice::error(&e.remedy("all verbs", "sharelock --help"));
            return ExitCode::from(2);
        }
    };
    match run(parsed) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            voice::error(&e);
            ExitCode::from(e.exit_code())
        }
    }
}

/// The word in the verb's place: the first one that is neither an option nor its value.
fn verb<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(a) = rest.next() {
        match *a {
            "--config" | "--vault" | "--password-file" => _ = rest.next(),
            option if option.starts_with('-') => {}
            word => return Some(word),
        }
    }
    None
}

/// The verb that a mistyped one may mean; `None` if it is one.
fn nearest(verb: &str) -> Option<&'static str> {
    let (d, near) = reference::names().into_iter().map(|v| (strsim::damerau_levenshtein(v, verb), v)).min()?;
    (1..=2).contains(&d).then_some(near)
}

fn run(a: Args) -> Result<u8> {
    if a.version {
        println!("sharelock {}", env!("CARGO_PKG_VERSION"));
        return Ok(0);
    }
    let Some(verb) = a.verb else {
        return Err(Error::new(Kind::Usage, "what to do? a verb is missing").remedy("all verbs", "sharelock --help"));
    };
    let places = Places::new(a.config.as_deref().map(|c| args::path(c).into_os_string()).as_deref(), a.vault.as_deref())?;
    let secrets = Secrets { password_file: a.password_file };
    let open = |places| open::vault(places, &secrets);
    match verb {
        Verb::Init(v) => setup::init(places, &secrets, v),
        Verb::Join(v) => setup::join(places, &secrets, v),
        Verb::Leave(v) => leave::run(places, &secrets, a.config.as_deref(), a.vault.as_deref(), &v),
        Verb::Sync(_) => {
            let started = std::time::Instant::now();
            match run::sync_by_agent(&places)? {
                Some(answer) => sync::told(&answer, started),
                None => sync::sync(open(places)?),
            }
        }
        Verb::Run(v) => {
            // The process in the background starts elsewhere: its paths are absolute.
            let config = a.config.is_some().then(|| ["--config".into(), places.config.clone().into_os_string()]);
            let vault = a.vault.as_ref().map(|name| ["--vault".into(), name.into()]);
            let same: Vec<OsString> = config.into_iter().chain(vault).flatten().collect();
            run::run(places, &secrets, &v, &same)
        }
        Verb::Stop(_) => run::stop(&places),
        Verb::Pause(v) => run::pause(&places, &v),
        Verb::Resume(_) => run::resume(&places),
        Verb::Wait(v) => run::wait(&places, &v),
        Verb::Status(v) if v.all => {
            if a.config.is_some() || a.vault.is_some() {
                return Err(Error::new(Kind::Usage, "--all shows every vault: leave --vault and --config out")
                    .remedy("do", "sharelock status --all"));
            }
            status::all::run(&v)
        }
        Verb::Status(v) => status::run(&places, &v),
        Verb::Remote(v) => remotes::run(places, &secrets, v.verb),
        Verb::Ignored(v) => ignored::run(&places, &v),
        Verb::Du(v) => du::run(&places, &v),
        Verb::Device(v) => devices::run(places, &secrets, v.verb),
        Verb::Doctor(v) => doctor::run(places, &v),
        Verb::Report(v) => report::run(places, &secrets, &v),
        Verb::Log(v) => history::log(open(places)?, &v).map_err(round::mendable),
        Verb::Restore(v) => restore::run(open(places)?, &v).map_err(round::mendable),
        Verb::Undo(_) => history::undo(open(places)?).map_err(round::mendable),
        Verb::Verify(v) => verify::run(open(places)?, &v),
        Verb::Passwd(v) => keys::passwd(places, &secrets, &v),
        Verb::Key(v) => keys::run(places, &secrets, v.verb),
        Verb::Conflicts(v) => conflicts::list(open(places)?, &v).map_err(round::mendable),
        Verb::Resolve(v) => conflicts::resolve(open(places)?, &v).map_err(round::mendable),
        Verb::Allow(v) => conflicts::allow(open(places)?, &v),
        Verb::Name(v) => names::run(open(places)?, v.verb),
        Verb::Cat(v) => names::cat(open(places)?, &v).map_err(round::mendable),
        Verb::Bench(v) => bench::run(&places, &v),
        Verb::Service(v) => service::run(&places, &secrets, a.config.as_deref(), a.vault.as_deref(), v.verb),
        Verb::Completions(v) => completions(&v.shell),
        Verb::Man(_) => {
            print!("{}", reference::man::page());
            Ok(0)
        }
    }
}

fn completions(shell: &str) -> Result<u8> {
    let file = reference::shells::file(shell)
        .ok_or_else(|| Error::new(Kind::Usage, format!("there is no completion for {shell:?}: bash, zsh or fish")))?;
    print!("{file}");
    Ok(0)
}
