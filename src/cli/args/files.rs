//! What concerns single files: `log`, `restore`, `conflicts`, `resolve`, `allow`, `undo`, `name`, `cat`.

use argh::{ArgsInfo, FromArgs};

/// the versions of a file, or what changed lately
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "log", example = "sharelock log notes/todo.txt")]
pub struct Log {
    /// a file or folder of the share
    #[argh(positional, arg_name = "path")]
    pub path: Option<String>,
    /// what was deleted, and can come back
    #[argh(switch)]
    pub deleted: bool,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// bring a version back
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "restore", example = "sharelock restore notes/todo.txt --at 3")]
pub struct Restore {
    /// a file or folder of the share
    #[argh(positional, arg_name = "path")]
    pub path: String,
    /// a number from `log`, a time (yesterday, 2 hours ago, 2026-03-01 14:05), or a commit
    #[argh(option, arg_name = "version")]
    pub at: Option<String>,
    /// write it to this file instead
    #[argh(option, arg_name = "file")]
    pub to: Option<String>,
    /// only say what would be done
    #[argh(switch)]
    pub dry_run: bool,
}

/// what two devices changed
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "conflicts", example = "sharelock conflicts --diff notes/todo.txt")]
pub struct Conflicts {
    /// compare the versions of a file
    #[argh(option, arg_name = "conflict")]
    pub diff: Option<String>,
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// answer a conflict
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "resolve", example = "sharelock resolve notes/todo.txt --keep current")]
pub struct Resolve {
    /// the file
    #[argh(positional, arg_name = "conflict")]
    pub path: String,
    /// current, copy or both
    #[argh(option, arg_name = "current|copy|both")]
    pub keep: String,
}

/// allow the change that the brake stopped, and no other
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "allow", example = "sharelock allow 9f3c")]
pub struct Allow {
    /// the code that was shown
    #[argh(positional, arg_name = "code")]
    pub code: String,
}

/// bring back what the brake stopped from being deleted
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "undo", example = "sharelock undo")]
pub struct Undo {}

/// from one name space to the other
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "name", example = "sharelock name encrypt notes/todo.txt")]
pub struct NameVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: NameVerb,
}

/// Which way.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum NameVerb {
    Encrypt(NameEncrypt),
    Decrypt(NameDecrypt),
}

/// where a file of the share is in secure
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "encrypt", example = "sharelock name encrypt notes/todo.txt")]
pub struct NameEncrypt {
    /// a path in the share
    #[argh(positional, arg_name = "path")]
    pub path: String,
}

/// which file of the share a file of secure is
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "decrypt", example = "sharelock name decrypt AQAA...")]
pub struct NameDecrypt {
    /// a path in secure
    #[argh(positional, arg_name = "secure-path")]
    pub path: String,
}

/// decrypt one file to standard output
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "cat", example = "sharelock cat notes/todo.txt")]
pub struct Cat {
    /// a path in the share
    #[argh(positional, arg_name = "path")]
    pub path: String,
}
