//! The command line (argh). Paths that are not UTF-8 come through unharmed: their odd bytes travel as private code
//! points and are turned back by [`bytes`].

mod agent;

pub use agent::{Pause, Resume, Run, Stop, Wait};
use argh::FromArgs;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// First code point for bytes that are not UTF-8.
const ODD: u32 = 0xf700;

/// The code point that a byte from 0x80 on travels as.
fn odd(byte: u8) -> Option<char> {
    char::from_u32(ODD + u32::from(byte))
}

/// An argument as text.
pub fn text(arg: &OsStr) -> String {
    let mut out = String::new();
    for chunk in arg.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // A name may hold these code points itself: its bytes travel one by one, so that they come back as they were.
            match (c as u32).checked_sub(ODD) {
                Some(0x80..0x100) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().filter_map(odd)),
                _ => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().copied().filter_map(odd));
    }
    out
}

/// The bytes of an argument.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for c in text.chars() {
        match (c as u32).checked_sub(ODD) {
            Some(b) if (0x80..0x100).contains(&b) => out.push(b as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// An argument that names a file of this device.
pub fn path(text: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes(text)))
}

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
}

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
    /// this device's name
    #[argh(option)]
    pub device: Option<String>,
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
    /// exit 0 in sync, 3 a decision waits, 5 no storage node answers, 1 otherwise
    #[argh(switch)]
    pub check: bool,
}

/// storage nodes. example: sharelock remote add --create usb /media/usb/vault.git
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "remote")]
pub struct RemoteVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: RemoteVerb,
}

/// What to do with storage nodes.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum RemoteVerb {
    Add(RemoteAdd),
    Remove(RemoteRemove),
    List(RemoteList),
    Heal(RemoteHeal),
    Trust(RemoteTrust),
    Authorize(RemoteAuthorize),
}

/// add a storage node. example: sharelock remote add backup me@host:vault.git
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "add")]
pub struct RemoteAdd {
    /// make the repository there
    #[argh(switch)]
    pub create: bool,
    /// its name here
    #[argh(positional)]
    pub name: String,
    /// where it is
    #[argh(positional)]
    pub url: String,
}

/// forget a storage node; what is stored there stays there. example: sharelock remote remove backup
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "remove")]
pub struct RemoteRemove {
    /// its name
    #[argh(positional)]
    pub name: String,
}

/// the storage nodes. example: sharelock remote list
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "list")]
pub struct RemoteList {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// store the present state on a node that went back. example: sharelock remote heal origin
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "heal")]
pub struct RemoteHeal {
    /// its name
    #[argh(positional)]
    pub name: String,
}

/// trust a new host key. example: sharelock remote trust origin SHA256:...
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "trust")]
pub struct RemoteTrust {
    /// the storage node
    #[argh(positional)]
    pub name: String,
    /// what the server's own ssh-keygen -lf says
    #[argh(positional)]
    pub fingerprint: String,
}

/// let another device's SSH key in. example: sharelock remote authorize origin 'ssh-ed25519 AAAA... pi'
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "authorize")]
pub struct RemoteAuthorize {
    /// the storage node
    #[argh(positional)]
    pub name: String,
    /// the line for authorized_keys
    #[argh(positional)]
    pub keyline: String,
}

/// what is wrong, and the command that mends it. example: sharelock doctor
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "doctor")]
pub struct Doctor {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// the versions of a file, or what changed lately. example: sharelock log notes/todo.txt
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "log")]
pub struct Log {
    /// a file or folder of the share
    #[argh(positional)]
    pub path: Option<String>,
    /// what was deleted, and can come back
    #[argh(switch)]
    pub deleted: bool,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// bring a version back. example: sharelock restore notes/todo.txt --at 3
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "restore")]
pub struct Restore {
    /// a file or folder of the share
    #[argh(positional)]
    pub path: String,
    /// a number from `log`, a time (2026-03-01 14:05), or a commit
    #[argh(option)]
    pub at: Option<String>,
    /// write it to this file instead
    #[argh(option)]
    pub to: Option<String>,
    /// only say what would be done
    #[argh(switch)]
    pub dry_run: bool,
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

/// what two devices changed. example: sharelock conflicts --diff notes/todo.txt
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "conflicts")]
pub struct Conflicts {
    /// compare the versions of a file
    #[argh(option)]
    pub diff: Option<String>,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// answer a conflict. example: sharelock resolve notes/todo.txt --keep current
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "resolve")]
pub struct Resolve {
    /// the file
    #[argh(positional)]
    pub path: String,
    /// current, copy or both
    #[argh(option)]
    pub keep: String,
}

/// allow the change that the brake stopped, and no other. example: sharelock allow 9f3c
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "allow")]
pub struct Allow {
    /// the code that was shown
    #[argh(positional)]
    pub code: String,
}

/// bring back what the brake stopped from being deleted. example: sharelock undo
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "undo")]
pub struct Undo {}

/// from one name space to the other. example: sharelock name encrypt notes/todo.txt
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "name")]
pub struct NameVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: NameVerb,
}

/// Which way.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum NameVerb {
    Encrypt(NameEncrypt),
    Decrypt(NameDecrypt),
}

/// where a file of the share is in secure. example: sharelock name encrypt notes/todo.txt
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "encrypt")]
pub struct NameEncrypt {
    /// a path in the share
    #[argh(positional)]
    pub path: String,
}

/// which file of the share a file of secure is. example: sharelock name decrypt AQAA...
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "decrypt")]
pub struct NameDecrypt {
    /// a path in secure
    #[argh(positional)]
    pub path: String,
}

/// decrypt one file to standard output. example: sharelock cat notes/todo.txt
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "cat")]
pub struct Cat {
    /// a path in the share
    #[argh(positional)]
    pub path: String,
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
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_comes_back_as_it_was() {
        let private = "a\u{f77f}\u{f780}\u{f7ff}\u{f800}b";
        for arg in [&b""[..], b"notes/todo.txt", "ü/€".as_bytes(), b"\x80\xff", b"a\xc3", b"\xef\x9e", private.as_bytes()] {
            assert_eq!(bytes(&text(OsStr::from_bytes(arg))), arg);
        }
    }
}
