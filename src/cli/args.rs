//! The command line (argh), by subject. Paths that are not UTF-8 come through unharmed ([`raw`]).

mod device;
mod files;
mod keys;
pub mod raw;
mod remote;
mod setup;
mod tell;

mod agent;

pub use agent::{Bench, Pause, Resume, Run, Stop, Wait};
use argh::{ArgsInfo, FromArgs};
pub use device::*;
pub use files::*;
pub use keys::*;
pub use raw::{bytes, path, text};
pub use remote::*;
pub use setup::*;
pub use tell::*;

/// keeps a plain folder and an encrypted one equal, on all of your devices.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(error_code(0, "done"))]
#[argh(error_code(1, "failed"))]
#[argh(error_code(2, "usage"))]
#[argh(error_code(3, "a conflict or the brake needs a decision"))]
#[argh(error_code(4, "wrong password or key"))]
#[argh(error_code(5, "a storage node is not reachable"))]
#[argh(error_code(6, "integrity (tampering, rollback, damage)"))]
#[argh(error_code(7, "this build is for a newer processor (it names the right one)"))]
pub struct Args {
    /// another configuration file than ~/.config/sharelock/config.toml
    #[argh(option, arg_name = "file")]
    pub config: Option<String>,
    /// another vault than `default`
    #[argh(option, arg_name = "vault")]
    pub vault: Option<String>,
    /// read this device's password from a file (- for standard input)
    #[argh(option, arg_name = "file")]
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
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum Verb {
    Init(Init),
    Join(Join),
    Leave(Leave),
    Sync(Sync),
    Run(Run),
    Stop(Stop),
    Pause(Pause),
    Resume(Resume),
    Wait(Wait),
    Status(Status),
    Remote(RemoteVerbs),
    Device(DeviceVerbs),
    Doctor(Doctor),
    Du(Du),
    Ignored(Ignored),
    Report(Report),
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
    Bench(Bench),
    Completions(Completions),
    Man(Man),
}
