//! The command line (argh), by subject. Paths that are not UTF-8 come through unharmed ([`raw`]).

mod files;
mod keys;
pub mod raw;
mod remote;
mod setup;

mod agent;

pub use agent::{Pause, Resume, Run, Stop, Wait};
use argh::FromArgs;
pub use files::*;
pub use keys::*;
pub use raw::{bytes, path, text};
pub use remote::*;
pub use setup::*;

/// keeps a plain folder and an encrypted one equal, on all of your devices.
///
/// exit codes: 0 done, 1 failed, 2 usage, 3 a conflict or the brake needs a decision, 4 wrong password or key,
/// 5 not reachable, 6 integrity (tampering, rollback, damage)
#[derive(FromArgs, Debug)]
pub struct Args {
    /// another configuration file than ~/.config/sharelock/config.toml
    #[argh(option)]
    pub config: Option<String>,
    /// another vault than `default`
    #[argh(option)]
    pub vault: Option<String>,
    /// read this device's password from a file (- for standard input)
    #[argh(option)]
    pub password_file: Option<String>,
    /// print the version
    #[argh(switch)]
    pub version: bool,
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: Option<Verb>,
}

/// Where secrets come from.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// `--password-file`.
    pub password_file: Option<String>,
}

/// A verb.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum Verb {
    Init(Init),
    Join(Join),
    Sync(Sync),
    Run(Run),
    Stop(Stop),
    Pause(Pause),
    Resume(Resume),
    Wait(Wait),
    Status(Status),
    Remote(RemoteVerbs),
    Doctor(Doctor),
    Log(Log),
    Restore(Restore),
    Verify(Verify),
    Passwd(Passwd),
    Key(KeyVerbs),
    Conflicts(Conflicts),
    Resolve(Resolve),
    Allow(Allow),
    Undo(Undo),
    Name(NameVerbs),
    Cat(Cat),
    Service(super::service::ServiceVerbs),
}

/// All verbs, for 'did you mean'.
pub const VERBS: &[&str] = &[
    "init",
    "join",
    "sync",
    "run",
    "stop",
    "pause",
    "resume",
    "wait",
    "status",
    "remote",
    "doctor",
    "log",
    "restore",
    "verify",
    "passwd",
    "key",
    "conflicts",
    "resolve",
    "allow",
    "undo",
    "name",
    "cat",
    "service",
];
