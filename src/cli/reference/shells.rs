//! Completion in bash, zsh and fish: a small file for each shell asks `sharelock --complete SHELL ..`, which answers with a
//! line that says what it offers (`words`, `paths`, `files`, `folders`), and an offer in each line after it, its meaning
//! behind a tab. What is offered is thereby as new as the program, and as the vault.

use super::line::{self, Wanted};
use super::values::{self, Offer};
use crate::cli::args;
use crate::cli::places::Places;
use crate::config::expand;
use crate::error::Result;
use std::io::Write;

/// The option that the completion files use. It stands in no help.
pub const ASK: &str = "--complete";

/// The completion file of a shell; `None` for one that has none.
pub fn file(shell: &str) -> Option<&'static str> {
    match shell {
        "bash" => Some(include_str!("../../../scripts/completions/sharelock.bash")),
        "zsh" => Some(include_str!("../../../scripts/completions/_sharelock")),
        "fish" => Some(include_str!("../../../scripts/completions/sharelock.fish")),
        _ => None,
    }
}

/// Answers `--complete`: `bash LINE BREAKS`, or `zsh|fish WORD..` with the last word being typed.
pub fn answer(asked: &[&str]) -> u8 {
    let (words, before) = match asked {
        ["bash", line, breaks] => line::split(line, breaks),
        ["zsh" | "fish", words @ ..] => (words.iter().map(ToString::to_string).collect(), 0),
        _ => return 2,
    };
    let Some((typed, words)) = words.split_last() else { return 2 };
    // The program's own name stands first.
    let words = words.get(1..).unwrap_or_default();
    let offer = offer(words, typed).unwrap_or(Offer::Words(vec![]));
    let (kind, all) = match offer {
        Offer::Words(w) => ("words", w),
        Offer::Paths(p) => ("paths", p.into_iter().map(|p| (p, String::new())).collect()),
        Offer::Files => ("files", vec![]),
        Offer::Folders => ("folders", vec![]),
    };
    let mut out = format!("{kind}\n").into_bytes();
    for (word, means) in all.iter().filter(|(w, _)| w.starts_with(typed.as_str())) {
        out.extend(args::bytes(&word[before..]));
        if !means.is_empty() {
            out.push(b'\t');
            out.extend(args::bytes(&means.replace(char::is_control, " ")));
        }
        out.push(b'\n');
    }
    // That nobody reads is no error.
    let _ = std::io::stdout().write_all(&out);
    0
}

fn offer(words: &[String], typed: &str) -> Result<Offer> {
    let Some(line) = line::read(words, typed) else { return Ok(Offer::Words(vec![])) };
    let takes = match line.wanted {
        Wanted::Words(w) => return Ok(Offer::Words(w)),
        Wanted::Value(takes) => takes,
    };
    // The shell has not looked at this one yet.
    let home = std::env::home_dir().unwrap_or_default();
    let config = line.config.map(|c| expand(&c, &home).into_os_string());
    let places = Places::new(config.as_deref(), line.vault.as_deref())?;
    values::of(takes, &places, typed)
}
