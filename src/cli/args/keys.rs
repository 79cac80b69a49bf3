//! `passwd` and `key`.

use argh::{ArgsInfo, FromArgs};

/// another password for this device
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "passwd", example = "sharelock passwd --recovery-key")]
pub struct Passwd {
    /// with the key on paper instead of the old password
    #[argh(switch)]
    pub recovery_key: bool,
    /// the recovery key, from a file
    #[argh(option, arg_name = "file")]
    pub recovery_key_file: Option<String>,
    /// the new password, from a file
    #[argh(option, arg_name = "file")]
    pub new_password_file: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// the key on paper and the key file
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "key", example = "sharelock key check")]
pub struct KeyVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: KeyVerb,
}

/// What to do with keys.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum KeyVerb {
    Check(KeyCheck),
    ShowRecovery(KeyShow),
    Export(KeyExport),
}

/// is what is on paper the right key?
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "check", example = "sharelock key check")]
pub struct KeyCheck {
    /// the recovery key, from a file
    #[argh(option, arg_name = "file")]
    pub recovery_key_file: Option<String>,
}

/// show the recovery key
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "show-recovery", example = "sharelock key show-recovery")]
pub struct KeyShow {}

/// copy the key file, for another device
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "export", example = "sharelock key export /media/usb/vault.key")]
pub struct KeyExport {
    /// where to
    #[argh(positional, arg_name = "file")]
    pub file: String,
}
