//! A half-typed command line: what may stand at its end. Pure; [`super::values`] looks for what is there.

use super::{Takes, program, value};
use argh::{CommandInfoWithArgs, FlagInfo};

/// What may stand at the end.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of these words, each with what it means.
    Words(Vec<(String, String)>),
    /// A value.
    Value(Takes),
}

/// A line that was understood as far as it goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// `--config`.
    pub config: Option<String>,
    /// `--vault`.
    pub vault: Option<String>,
    /// What may stand at the end.
    pub wanted: Wanted,
}

/// Reads the words behind the program's name, and the beginning of the one that is being typed. `None`: nothing may follow.
pub fn read(words: &[String], typed: &str) -> Option<Line> {
    let mut command = program();
    let (mut config, mut vault) = (None, None);
    let mut given: Vec<&str> = Vec::new();
    let (mut positionals, mut only_positionals) = (0, false);
    let mut rest = words.iter();
    let mut wanted = None;
    while let Some(word) = rest.next() {
        if word.starts_with('-') && word != "-" && !only_positionals {
            only_positionals = word == "--";
            let Some(flag) = command.flags.iter().find(|f| f.long == *word) else { continue };
            given.push(flag.long);
            let Some(arg_name) = value(flag) else { continue };
            match (rest.next(), flag.long) {
                (None, _) => wanted = Some(Wanted::Value(takes(arg_name))),
                (Some(v), "--config") => config = Some(v.clone()),
                (Some(v), "--vault") => vault = Some(v.clone()),
                _ => {}
            }
        } else if command.commands.is_empty() {
            positionals += 1;
        } else {
            // Nothing is known behind a verb that is none.
            let at = command.commands.iter().position(|c| c.name == *word)?;
            command = command.commands.swap_remove(at).command;
            given.clear();
        }
    }
    let wanted = match wanted {
        Some(w) => w,
        None if typed.starts_with('-') && !only_positionals => flags(&command, &given),
        None if !command.commands.is_empty() => {
            let words = command.commands.iter().map(|c| (c.name.to_string(), c.command.description.to_string()));
            Wanted::Words(words.collect())
        }
        None => match command.positionals.get(positionals) {
            Some(p) => Wanted::Value(takes(p.name)),
            None if only_positionals => return None,
            None => flags(&command, &given),
        },
    };
    Some(Line { config, vault, wanted })
}

fn takes(arg_name: &'static str) -> Takes {
    Takes::named(arg_name).unwrap_or(Takes::Anything)
}

/// The options of a command that are not given yet.
fn flags(command: &CommandInfoWithArgs, given: &[&str]) -> Wanted {
    let left = |f: &&FlagInfo<'static>| !f.hidden && !given.contains(&f.long);
    Wanted::Words(command.flags.iter().filter(left).map(|f| (f.long.to_string(), f.description.to_string())).collect())
}

/// The words of a POSIX shell's command line up to the cursor, without their quotes; and of the last one, which is being
/// typed, so many bytes that the shell's editor counts as words before it, because it breaks words at `breaks`, too.
pub fn split(line: &str, breaks: &str) -> (Vec<String>, usize) {
    let mut out = vec![String::new()];
    let mut before = 0;
    let mut in_word = false;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let word = out.last_mut().expect("there is always a word that is being typed");
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                Some(e) => {
                    // Within double quotes a backslash quotes these alone.
                    if quote.is_some() && !"$`\"\\".contains(e) {
                        word.push('\\');
                    }
                    word.push(e);
                    in_word = true;
                }
                None => break,
            },
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                in_word = true;
            }
            (' ' | '\t' | '\n', None) => {
                if in_word {
                    out.push(String::new());
                    (in_word, before) = (false, 0);
                }
            }
            (c, None) => {
                word.push(c);
                in_word = true;
                if breaks.contains(c) {
                    before = word.len();
                }
            }
        }
    }
    (out, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(line: &str) -> Vec<String> {
        let (words, _) = split(line, "");
        let (typed, words) = words.split_last().unwrap();
        match read(words, typed).map(|l| l.wanted) {
            Some(Wanted::Words(w)) => w.into_iter().map(|w| w.0).filter(|w| w.starts_with(typed.as_str())).collect(),
            Some(Wanted::Value(t)) => vec![format!("{t:?}")],
            None => vec![],
        }
    }

    #[test]
    fn what_follows() {
        for (line, want) in [
            ("re", "resume remote report restore resolve"),
            ("--vault work sta", "status"),
            ("--vault sta", "Vault"),
            ("--", "--help --config --vault --password-file --version"),
            ("--version --v", "--vault"),
            ("--config x --c", ""),
            ("remote ", "add remove list heal trust authorize"),
            ("remote he", "heal"),
            ("remote heal ", "Node"),
            ("remote heal origin ", "--help"),
            ("remote trust origin ", "Anything"),
            ("remote add --create usb ", "Folder"),
            ("status --json --", "--help --files --watch --check --all"),
            ("resolve --keep ", "Word(\"current|copy|both\")"),
            ("resolve --keep both ", "Conflict"),
            ("restore x --at 3 --dry", "--dry-run"),
            ("restore -- -", "Path"),
            ("restore -- -x ", ""),
            ("log ", "Path"),
            ("name decrypt ", "SecurePath"),
            ("run --d", "--daemon"),
            ("nonsense ", ""),
            ("remote nonsense ", ""),
        ] {
            assert_eq!(offers(line).join(" "), want, "{line:?}");
        }
    }

    #[test]
    fn the_vault_is_the_lines() {
        let words = ["--config", "a b", "--vault", "work", "remote", "heal"].map(str::to_string);
        let line = read(&words, "").unwrap();
        assert_eq!((line.config.as_deref(), line.vault.as_deref()), (Some("a b"), Some("work")));
    }

    #[test]
    fn words_of_a_line() {
        for (line, want, before) in [
            ("", vec![""], 0),
            ("  a  b", vec!["a", "b"], 0),
            ("a ", vec!["a", ""], 0),
            (r"a\ b 'c d' ", vec!["a b", "c d", ""], 0),
            (r#""a \" \x'"'y"#, vec![r#"a " \x'y"#], 0),
            (r#"a "b c"#, vec!["a", "b c"], 0),
            (r"'' x\", vec!["", "x"], 0),
            ("me@host:va", vec!["me@host:va"], 8),
            (r"a\@b:c d", vec!["a@b:c", "d"], 0),
            (r"x a\@b", vec!["x", "a@b"], 0),
        ] {
            assert_eq!(split(line, "@:="), (want.iter().map(ToString::to_string).collect(), before), "{line:?}");
        }
    }
}
