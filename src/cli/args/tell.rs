//! What the program tells of itself: `completions`, `man`.

use argh::{ArgsInfo, FromArgs};

/// print the file by which a shell completes sharelock's command lines
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "completions", example = "sharelock completions bash")]
pub struct Completions {
    /// the shell
    #[argh(positional, arg_name = "bash|zsh|fish")]
    pub shell: String,
}

/// print the manual page, for man -l
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "man", example = "sharelock man")]
pub struct Man {}
