//! `init`, `join`, `leave`, `sync`, `status`, `doctor`, `du`, `report`, `verify`: a vault on this device, and how it stands.

use argh::{ArgsInfo, FromArgs};

/// make a vault: folders, key, repository, configuration
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "init", example = "sharelock init --remote me@host:vault.git --create")]
pub struct Init {
    /// the plain folder (~/share)
    #[argh(option, arg_name = "folder")]
    pub share: Option<String>,
    /// the encrypted folder (~/secure)
    #[argh(option, arg_name = "folder")]
    pub secure: Option<String>,
    /// a storage node: ssh://, user@host:path or a local path
    #[argh(option, arg_name = "url")]
    pub remote: Option<String>,
    /// make the repository on the storage node
    #[argh(switch)]
    pub create: bool,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option, arg_name = "fingerprint")]
    pub host_key: Option<String>,
    /// this device's name
    #[argh(option, arg_name = "device")]
    pub device: Option<String>,
    /// take over what fits from the configuration of dvcs-autosync, and say what became of each key
    #[argh(option, arg_name = "file")]
    pub import_autosync: Option<String>,
    /// write the recovery key into a file instead of showing it
    #[argh(option, arg_name = "file")]
    pub recovery_key_out: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// set up another device
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "join", example = "sharelock join me@host:vault.git")]
pub struct Join {
    /// the storage node
    #[argh(positional, arg_name = "url")]
    pub url: String,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option, arg_name = "fingerprint")]
    pub host_key: Option<String>,
    /// the plain folder (~/share)
    #[argh(option, arg_name = "folder")]
    pub share: Option<String>,
    /// the encrypted folder (~/secure)
    #[argh(option, arg_name = "folder")]
    pub secure: Option<String>,
    /// this device's name
    #[argh(option, arg_name = "device")]
    pub device: Option<String>,
    /// a key file from another device (sharelock key export)
    #[argh(option, arg_name = "file")]
    pub key_file: Option<String>,
    /// the password of that key file, from a file
    #[argh(option, arg_name = "file")]
    pub key_password_file: Option<String>,
    /// the recovery key, from a file
    #[argh(option, arg_name = "file")]
    pub recovery_key_file: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// go away: service, state, key and secure are removed, share stays
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "leave", example = "sharelock leave")]
pub struct Leave {
    /// do not ask
    #[argh(switch)]
    pub yes: bool,
}

/// one full round, both ways
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "sync", example = "sharelock sync")]
pub struct Sync {}

/// in sync or not, storage nodes, conflicts, problems
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "status", example = "sharelock status --json")]
pub struct Status {
    /// for programs
    #[argh(switch)]
    pub json: bool,
    /// every file that is not in sync, with its reason and what to do
    #[argh(switch)]
    pub files: bool,
    /// stay, and show what changes; Ctrl-C ends it
    #[argh(switch)]
    pub watch: bool,
    /// exit 0 in sync, 3 a decision waits, 5 no storage node answers, 1 otherwise
    #[argh(switch)]
    pub check: bool,
    /// every vault of yours on this device, one after the other
    #[argh(switch)]
    pub all: bool,
}

/// what is wrong, and the command that mends it
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "doctor", example = "sharelock doctor")]
pub struct Doctor {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// what takes the space
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "du", example = "sharelock du photos")]
pub struct Du {
    /// a file or folder of the share
    #[argh(positional, arg_name = "path")]
    pub path: Option<String>,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// what is not followed, and which rule says so
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "ignored", example = "sharelock ignored notes/build")]
pub struct Ignored {
    /// a file or folder of the share
    #[argh(positional, arg_name = "path")]
    pub path: Option<String>,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// write a page to look at: a year of days, devices, storage nodes, space, problems
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "report", example = "sharelock report --out vault.html")]
pub struct Report {
    /// the HTML file (a file of this device's state)
    #[argh(option, arg_name = "file")]
    pub out: Option<String>,
}

/// every file decrypts and matches, every seal holds
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "verify", example = "sharelock verify --repair")]
pub struct Verify {
    /// the storage nodes, too
    #[argh(switch)]
    pub remote: bool,
    /// make damaged files of ~/secure anew
    #[argh(switch)]
    pub repair: bool,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}
