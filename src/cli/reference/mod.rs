//! What there is to type, for everything that tells of it. The one source are the argument structs of [`super::args`]: argh
//! makes `--help` and its parser of them, and this room the manual page ([`man`]), README's table ([`table`]) and what a shell
//! offers behind a half-typed line ([`line`], [`values`]). A verb that is added is in all of them at once.
//!
//! An argument's name says what stands there ([`Takes`]): a test refuses one that says nothing.

pub mod line;
pub mod man;
pub mod shells;
pub mod table;
mod takes;
mod values;

use super::args::Args;
use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
pub use takes::Takes;

/// A verb that does something (`remote` alone does nothing, `remote add` does).
pub struct Verb {
    /// Its words: `remote add`.
    pub words: String,
    /// What argh knows of it.
    pub info: CommandInfoWithArgs,
}

/// The program with its options and verbs.
pub fn program() -> CommandInfoWithArgs {
    Args::get_args_info()
}

/// The first words of all verbs.
pub fn names() -> Vec<&'static str> {
    program().commands.iter().map(|c| c.name).collect()
}

/// All verbs, in the order of `--help`.
pub fn verbs() -> Vec<Verb> {
    let mut out = Vec::new();
    below("", program(), &mut out);
    out
}

fn below(words: &str, info: CommandInfoWithArgs, out: &mut Vec<Verb>) {
    for c in info.commands {
        let words = format!("{words} {}", c.name).trim_start().to_string();
        if c.command.commands.is_empty() {
            out.push(Verb { words, info: c.command });
        } else {
            below(&words, c.command, out);
        }
    }
}

/// The options that people are told of, without `--help`, which each verb has.
pub fn options(info: &CommandInfoWithArgs) -> impl Iterator<Item = &'static FlagInfo<'static>> {
    info.flags.iter().filter(|f| !f.hidden && f.long != "--help")
}

/// The name of an option's value; `None` of a switch.
pub fn value(flag: &FlagInfo<'static>) -> Option<&'static str> {
    match flag.kind {
        FlagInfoKind::Option { arg_name } => Some(arg_name),
        FlagInfoKind::Switch => None,
    }
}

/// An argument's place as people read it: `FILE`, or the words to choose from.
pub fn place(arg_name: &str) -> String {
    if arg_name.contains('|') { arg_name.to_string() } else { arg_name.to_uppercase() }
}

/// Options and arguments of a verb in one line: `[--create] NAME URL`.
pub fn usage(info: &CommandInfoWithArgs) -> String {
    let mut out = Vec::new();
    let optional = |o: &Optionality, text: String| if *o == Optionality::Required { text } else { format!("[{text}]") };
    for f in options(info) {
        let text = value(f).map_or(f.long.to_string(), |v| format!("{} {}", f.long, place(v)));
        out.push(optional(&f.optionality, text));
    }
    out.extend(info.positionals.iter().filter(|p| !p.hidden).map(|p| optional(&p.optionality, place(p.name))));
    out.join(" ")
}
