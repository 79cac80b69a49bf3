//! The manual page, in mdoc(7), which mandoc and groff both read.

use super::{options, program, value, verbs};
use argh::{CommandInfoWithArgs, FlagInfo, Optionality};

/// When the words below last changed.
const DATE: &str = "November 29, 2026";

/// sharelock(1).
pub fn page() -> String {
    let program = program();
    let version = env!("CARGO_PKG_VERSION");
    let mut out =
        format!(".Dd {DATE}\n.Dt SHARELOCK 1\n.Os sharelock {version}\n.Sh NAME\n.Nm sharelock\n.Nd {}\n", one_line(program.description));
    out.push_str(".Sh SYNOPSIS\n.Nm\n");
    for f in options(&program) {
        out.push_str(&format!(".Op {}\n", flag(f)));
    }
    out.push_str(".Ar verb\n.Op Ar argument ...\n");
    out.push_str(DESCRIPTION);
    out.push_str("The options before the verb are:\n");
    out.push_str(&flags(&program));
    out.push_str(".Sh VERBS\nEach verb tells its options by\n.Fl -help .\n.Bl -tag -width Ds\n");
    for v in verbs() {
        out.push_str(&format!(".It Cm {}{}\n", v.words, arguments(&v.info)));
        out.push_str(&sentence(v.info.description));
        if options(&v.info).next().is_some() {
            out.push_str(&flags(&v.info));
        }
        for e in v.info.examples {
            out.push_str(&format!(".Dl {}\n", text(e)));
        }
    }
    out.push_str(".El\n");
    out.push_str(ENVIRONMENT);
    out.push_str(".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n");
    for c in program.error_codes {
        out.push_str(&format!(".It {}\n{}\n", c.code, text(c.description)));
    }
    out.push_str(".El\n");
    out.push_str(".Sh SEE ALSO\n.Xr git 1 ,\n.Xr ssh 1 ,\n.Xr gitignore 5 ,\n.Xr ssh_config 5\n");
    out
}

const DESCRIPTION: &str = "\
.Sh DESCRIPTION
.Nm
keeps a plain folder
.Pa ~/share
and an encrypted folder
.Pa ~/secure
equal, in both directions, and keeps
.Pa ~/secure
equal on all of a person's devices through storage nodes: bare git repositories on any machine with SSH and git, or on a disk.
No storage node sees a name or a byte in the clear.
.Pp
A vault begins with
.Cm init
on one device, and
.Cm join
on each other.
Then
.Cm run
keeps everything in sync by itself, or
.Cm sync
does it once.
";

const ENVIRONMENT: &str = "\
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev XDG_CONFIG_HOME , XDG_STATE_HOME
Where configuration and state lie, if not in
.Pa ~/.config
and
.Pa ~/.local/state .
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa ~/.config/sharelock/config.toml
The configuration;
.Cm init
writes it with comments.
.It Pa ~/.config/sharelock/vault.key
The key of the vault, under this device's password.
.It Pa ~/.config/sharelock/vaults/
The same of other vaults
.Pq Fl -vault .
.It Pa ~/.local/state/sharelock/
What this device remembers of its last round, the log, and the socket of the agent.
.It Pa .sharelockignore
In any folder of the share: what is not followed, in the form of
.Xr gitignore 5 .
.El
";

/// An option: `Fl -keep Cm current | copy | both`, `Fl -at Ar version`.
fn flag(f: &FlagInfo<'static>) -> String {
    let name = format!("Fl {}", &f.long[1..]);
    value(f).map_or(name.clone(), |v| format!("{name} {}", place(v)))
}

fn place(arg_name: &str) -> String {
    if arg_name.contains('|') { format!("Cm {}", arg_name.replace('|', " | ")) } else { format!("Ar {arg_name}") }
}

/// What stands behind a verb: options that must be given, and its arguments.
fn arguments(info: &CommandInfoWithArgs) -> String {
    let mut out = String::new();
    for f in options(info).filter(|f| f.optionality == Optionality::Required) {
        out.push_str(&format!(" {}", flag(f)));
    }
    if options(info).any(|f| f.optionality != Optionality::Required) {
        out.push_str(" Op Ar options");
    }
    for p in info.positionals.iter().filter(|p| !p.hidden) {
        let optional = if p.optionality == Optionality::Required { "" } else { "Op " };
        out.push_str(&format!(" {optional}{}", place(p.name)));
    }
    out
}

/// A list of options with their meaning.
fn flags(info: &CommandInfoWithArgs) -> String {
    let mut out = ".Bl -tag -width Ds\n".to_string();
    for f in options(info) {
        out.push_str(&format!(".It {}\n{}", flag(f), sentence(f.description)));
    }
    out.push_str(".El\n");
    out
}

/// A text as a sentence of its own: a capital letter, a full stop.
fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let rest = chars.as_str();
    let end = if rest.ends_with(['.', '?']) { "" } else { "." };
    format!("{}\n", text(&format!("{first}{rest}{end}")))
}

fn one_line(words: &str) -> String {
    text(words.trim_end_matches('.'))
}

/// A line of text as roff takes it: no line is a request, no backslash an escape, and `-` is the one of command lines.
fn text(words: &str) -> String {
    let escaped = words.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_a_request() {
        for (words, want) in [(".git", "\\&.git"), ("'x'", "\\&'x'"), ("a\\b", "a\\eb"), ("--x", "\\-\\-x")] {
            assert_eq!(text(words), want);
        }
        assert_eq!((sentence("end a pause").as_str(), sentence("right?").as_str()), ("End a pause.\n", "Right?\n"));
    }
}
