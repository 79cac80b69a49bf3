//! `init`, `join`, `sync`, `status`, `doctor`, `verify`: a vault on this device, and how it stands.

use argh::FromArgs;

/// make a vault: folders, key, repository, configuration. example: sharelock init --remote me@host:vault.git --create
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "init")]
pub struct Init {
    /// the plain folder (~/share)
    #[argh(option)]
    pub share: Option<String>,
    /// the encrypted folder (~/secure)
    #[argh(option)]
    pub secure: Option<String>,
    /// a storage node: ssh://, user@host:path or a local path
    #[argh(option)]
    pub remote: Option<String>,
    /// make the repository on the storage node
    #[argh(switch)]
    pub create: bool,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option)]
    pub host_key: Option<String>,
    /// this device's name
    #[argh(option)]
    pub device: Option<String>,
    /// take over what fits from the configuration of dvcs-autosync, and say what became of each key
    #[argh(option)]
    pub import_autosync: Option<String>,
    /// write the recovery key into a file instead of showing it
    #[argh(option)]
    pub recovery_key_out: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// set up another device. example: sharelock join me@host:vault.git
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "join")]
pub struct Join {
    /// the storage node
    #[argh(positional)]
    pub url: String,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option)]
    pub host_key: Option<String>,
    /// the plain folder (~/share)
    #[argh(option)]
    pub share: Option<String>,
    /// the encrypted folder (~/secure)
    #[argh(option)]
    pub secure: Option<String>,
    /// this device's name
    #[argh(option)]
    pub device: Option<String>,
    /// a key file from another device (sharelock key export)
    #[argh(option)]
    pub key_file: Option<String>,
    /// the password of that key file, from a file
    #[argh(option)]
    pub key_password_file: Option<String>,
    /// the recovery key, from a file
    #[argh(option)]
    pub recovery_key_file: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// one full round, both ways. example: sharelock sync
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "sync")]
pub struct Sync {}

/// in sync or not, storage nodes, conflicts, problems. example: sharelock status --json
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "status")]
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
}

/// what is wrong, and the command that mends it. example: sharelock doctor
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "doctor")]
pub struct Doctor {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// every file decrypts and matches, every seal holds. example: sharelock verify --repair
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "verify")]
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
