//! `passwd` and `key`.

use argh::FromArgs;

/// another password for this device. example: sharelock passwd --recovery-key
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "passwd")]
pub struct Passwd {
    /// with the key on paper instead of the old password
    #[argh(switch)]
    pub recovery_key: bool,
    /// the recovery key, from a file
    #[argh(option)]
    pub recovery_key_file: Option<String>,
    /// the new password, from a file
    #[argh(option)]
    pub new_password_file: Option<String>,
    /// keep the unlocked key on this device
    #[argh(switch)]
    pub start_without_password: bool,
}

/// the key on paper and the key file. example: sharelock key check
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "key")]
pub struct KeyVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: KeyVerb,
}

/// What to do with keys.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum KeyVerb {
    Check(KeyCheck),
    ShowRecovery(KeyShow),
    Export(KeyExport),
}

/// is what is on paper the right key? example: sharelock key check
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "check")]
pub struct KeyCheck {
    /// the recovery key, from a file
    #[argh(option)]
    pub recovery_key_file: Option<String>,
}

/// show the recovery key. example: sharelock key show-recovery
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "show-recovery")]
pub struct KeyShow {}

/// copy the key file, for another device. example: sharelock key export /media/usb/vault.key
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "export")]
pub struct KeyExport {
    /// where to
    #[argh(positional)]
    pub file: String,
}
