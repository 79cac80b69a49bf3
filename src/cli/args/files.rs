//! What concerns single files: `log`, `restore`, `conflicts`, `resolve`, `allow`, `undo`, `name`, `cat`.

use argh::FromArgs;

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
