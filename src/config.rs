//! The configuration file: TOML, read raw, then checked, with file:line in every complaint, all at once.

#[cfg(feature = "xmpp")]
mod xmpp;

use crate::error::{Error, Kind, Result};
use crate::tree::Writer;
use crate::watch::Choice;
use std::path::{Path, PathBuf};
use toml_span::value::{Key, ValueInner};
use toml_span::{Span, Value};

#[cfg(feature = "xmpp")]
pub use xmpp::Xmpp;

/// A storage node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// `ssh://`, `user@host:path`, or a local path.
    pub url: String,
}

/// A way to tell a person something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// A notification on the desktop.
    Desktop,
    /// By chat, to those of `xmpp.alsonotify`.
    Xmpp,
    /// The log only.
    Log,
    /// Not at all.
    None,
}

/// The checked configuration of one vault on one device.
#[derive(Clone, Debug)]
pub struct Config {
    /// The plain folder.
    pub share: PathBuf,
    /// The encrypted folder.
    pub secure: PathBuf,
    /// This device's name.
    pub device: Writer,
    /// A command that prints the password.
    pub password_command: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Further ignore patterns.
    pub ignore: Vec<String>,
    /// Bytes that stay free.
    pub min_free: u64,
    /// The brake's number of files.
    pub brake_files: u64,
    /// The brake's fraction.
    pub brake_fraction: f64,
    /// A burst of changes is over after so many milliseconds without one.
    pub quiet: u64,
    /// A file that is still written to waits so many milliseconds at most.
    pub max_delay: u64,
    /// Storage nodes are asked every so many milliseconds.
    pub poll: u64,
    /// How the folders are watched.
    pub watch: Choice,
    /// How a person is told.
    pub notify: Vec<Notify>,
    /// Storage nodes, in order.
    pub remotes: Vec<Remote>,
    /// The account for notices.
    #[cfg(feature = "xmpp")]
    pub xmpp: Option<Xmpp>,
}

const TOP: &[&str] = &[
    "share",
    "secure",
    "device",
    "mode",
    "password_command",
    "password_file",
    "ignore",
    "quiet",
    "max_delay",
    "poll",
    "watch",
    "history",
    "notify",
    "limit_up",
    "limit_down",
    "min_free",
    "brake",
    "remote",
    "xmpp",
];
/// The longest time that a configuration may ask for: a week.
const MOST: u64 = 7 * 86_400_000;
const BRAKE: &[&str] = &["files", "fraction"];
const REMOTE: &[&str] = &["name", "url"];

/// Complaints, each with its line.
struct Complaints<'t> {
    file: &'t str,
    text: &'t str,
    all: Vec<String>,
}

impl Complaints<'_> {
    fn line(&self, span: Span) -> usize {
        1 + self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|c| **c == b'\n').count()
    }

    fn add(&mut self, span: Span, what: impl std::fmt::Display) {
        let line = self.line(span);
        self.all.push(format!("{}:{line}: {what}", self.file));
    }

    fn unknown(&mut self, key: &Key<'_>, known: &[&str], table: &str) {
        let near = known.iter().map(|k| (strsim::damerau_levenshtein(k, &key.name), k)).min().filter(|(d, _)| *d <= 3);
        let hint = near.map_or(String::new(), |(_, k)| format!(" (did you mean {table}{k}?)"));
        self.add(key.span, format!("no such key: {table}{}{hint}", key.name));
    }

    fn text(&mut self, v: &mut Value<'_>, key: &str) -> Option<String> {
        let span = v.span;
        match v.take() {
            ValueInner::String(s) => Some(s.into_owned()),
            other => {
                self.add(span, format!("{key} is text in quotes, not {}", other.type_str()));
                None
            }
        }
    }

    fn list(&mut self, v: &mut Value<'_>, key: &str) -> Option<Vec<String>> {
        let span = v.span;
        match v.take() {
            ValueInner::Array(items) => items.into_iter().map(|mut i| self.text(&mut i, key)).collect(),
            other => {
                self.add(span, format!("{key} is a list like [\"*.tmp\"], not {}", other.type_str()));
                None
            }
        }
    }
}

/// Reads `64MB`, `500 kB`, `1GB`, `0`: powers of 1000.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = match text.trim()[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads `200ms`, `10s`, `2h`: milliseconds.
pub fn duration(text: &str) -> Option<u64> {
    let t = text.trim();
    let digits = t.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &t[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

impl Config {
    /// Reads a file's text. `file` is how it is called in messages, `home` what `~` stands for.
    ///
    /// Errors ([`Kind::Usage`]): every complaint as a line `file:line: what`.
    pub fn parse(text: &str, file: &str, home: &Path) -> Result<Config> {
        let mut c = Complaints { file, text, all: Vec::new() };
        let mut root = toml_span::parse(text).map_err(|e| {
            let line = c.line(e.span);
            Error::new(Kind::Usage, format!("{file}:{line}: {}", e.kind))
        })?;
        let mut config = Config {
            share: home.join("share"),
            secure: home.join("secure"),
            device: Writer::new("device").expect("a valid name"),
            password_command: None,
            password_file: None,
            ignore: Vec::new(),
            min_free: 64_000_000,
            brake_files: 1000,
            brake_fraction: 0.1,
            quiet: 200,
            max_delay: 10_000,
            poll: 60_000,
            watch: Choice::Auto,
            notify: vec![Notify::Desktop],
            remotes: Vec::new(),
            #[cfg(feature = "xmpp")]
            xmpp: None,
        };
        let mut named = false;
        let ValueInner::Table(table) = root.take() else {
            return Err(Error::new(Kind::Usage, format!("{file}: not a table")));
        };
        for (key, mut v) in table {
            let span = v.span;
            match &*key.name {
                "share" => config.share = c.text(&mut v, "share").map_or(config.share, |t| expand(&t, home)),
                "secure" => config.secure = c.text(&mut v, "secure").map_or(config.secure, |t| expand(&t, home)),
                "device" => match c.text(&mut v, "device").map(|t| (Writer::new(&t), t)) {
                    Some((Some(w), _)) => {
                        config.device = w;
                        named = true;
                    }
                    Some((None, _)) => {
                        c.add(span, "device is a name of 1 to 32 bytes without spaces, /, ( and )");
                        named = true;
                    }
                    None => {}
                },
                "mode" => match c.text(&mut v, "mode").as_deref() {
                    Some("mirror") | None => {}
                    Some("mount") => c.add(span, "mode \"mount\" needs the fuse feature, which comes in a later version"),
                    Some(other) => c.add(span, format!("mode is \"mirror\", not \"{other}\"")),
                },
                "password_command" => config.password_command = c.text(&mut v, "password_command"),
                "password_file" => config.password_file = c.text(&mut v, "password_file").map(|t| expand(&t, home)),
                "ignore" => config.ignore = c.list(&mut v, "ignore").unwrap_or_default(),
                "history" => match c.text(&mut v, "history").as_deref() {
                    Some("full") | None => {}
                    Some("lean") => c.add(span, "history = \"lean\" comes in a later version; until then it is \"full\""),
                    Some(other) => c.add(span, format!("history is \"full\", not \"{other}\"")),
                },
                "quiet" | "max_delay" | "poll" => {
                    let Some(t) = c.text(&mut v, &key.name) else { continue };
                    // A poll without a pause would be a loop.
                    let least = if key.name == "poll" { 1000 } else { 0 };
                    match duration(&t).filter(|ms| (least..=MOST).contains(ms)) {
                        Some(ms) if key.name == "quiet" => config.quiet = ms,
                        Some(ms) if key.name == "max_delay" => config.max_delay = ms,
                        Some(ms) => config.poll = ms,
                        None => c.add(span, format!("{} is a duration like \"200ms\", \"10s\" or \"2h\", not \"{t}\"", key.name)),
                    }
                }
                "watch" => match c.text(&mut v, "watch").as_deref() {
                    Some("auto") | None => {}
                    Some("inotify") => config.watch = Choice::Inotify,
                    Some("fsevents") => config.watch = Choice::Fsevents,
                    Some("poll") => config.watch = Choice::Poll,
                    Some(other) => c.add(span, format!("watch is \"auto\", \"inotify\", \"fsevents\" or \"poll\", not \"{other}\"")),
                },
                "limit_up" | "limit_down" => {
                    if let Some(t) = c.text(&mut v, &key.name).filter(|t| size(t).is_none()) {
                        c.add(span, format!("{} is a size like \"500kB\", not \"{t}\"", key.name));
                    }
                }
                "min_free" => {
                    if let Some(t) = c.text(&mut v, "min_free") {
                        match size(&t) {
                            Some(n) => config.min_free = n,
                            None => c.add(span, format!("min_free is a size like \"64MB\", not \"{t}\"")),
                        }
                    }
                }
                "notify" => {
                    let mut ways = Vec::new();
                    for way in c.list(&mut v, "notify").unwrap_or_default() {
                        match way.as_str() {
                            "desktop" => ways.push(Notify::Desktop),
                            "xmpp" => ways.push(Notify::Xmpp),
                            "log" => ways.push(Notify::Log),
                            "none" => ways.push(Notify::None),
                            _ => c.add(span, format!("notify is a list of \"desktop\", \"xmpp\", \"log\", \"none\", not \"{way}\"")),
                        }
                    }
                    config.notify = ways;
                }
                "brake" => brake(&mut c, &mut v, &mut config),
                "remote" => remotes(&mut c, &mut v, &mut config),
                "xmpp" => match v.take() {
                    #[cfg(feature = "xmpp")]
                    ValueInner::Table(t) => config.xmpp = Xmpp::read(&mut c, t, key.span, home),
                    #[cfg(not(feature = "xmpp"))]
                    ValueInner::Table(_) => c.add(span, "this sharelock was built without xmpp"),
                    _ => c.add(span, "xmpp is a table: [xmpp]"),
                },
                _ => c.unknown(&key, TOP, ""),
            }
        }
        if !named && c.all.is_empty() {
            c.all.push(format!("{file}: device = \"NAME\" is missing"));
        }
        let mut all = c.all.into_iter();
        match all.next() {
            None => Ok(config),
            Some(first) => Err(all.fold(Error::new(Kind::Usage, first), Error::detail)),
        }
    }
}

fn brake(c: &mut Complaints<'_>, v: &mut Value<'_>, config: &mut Config) {
    let span = v.span;
    let ValueInner::Table(t) = v.take() else {
        return c.add(span, "brake is a table: brake = { files = 1000, fraction = 0.1 }");
    };
    for (key, v) in t {
        match &*key.name {
            "files" => match v.as_integer().and_then(|n| u64::try_from(n).ok()) {
                Some(n) => config.brake_files = n,
                None => c.add(v.span, "brake.files is a number"),
            },
            "fraction" => match v.as_float().or(v.as_integer().map(|i| i as f64)).filter(|f| (0.0..=1.0).contains(f)) {
                Some(f) => config.brake_fraction = f,
                None => c.add(v.span, "brake.fraction is between 0 and 1"),
            },
            _ => c.unknown(&key, BRAKE, "brake."),
        }
    }
}

fn remotes(c: &mut Complaints<'_>, v: &mut Value<'_>, config: &mut Config) {
    let span = v.span;
    let ValueInner::Array(items) = v.take() else {
        return c.add(span, "a storage node is written as [[remote]]");
    };
    for mut item in items {
        let span = item.span;
        let ValueInner::Table(t) = item.take() else {
            c.add(span, "a storage node is written as [[remote]]");
            continue;
        };
        let (mut name, mut url) = (None, None);
        for (key, mut v) in t {
            match &*key.name {
                "name" => name = c.text(&mut v, "remote.name"),
                "url" => url = c.text(&mut v, "remote.url"),
                _ => c.unknown(&key, REMOTE, "remote."),
            }
        }
        match (name, url) {
            (Some(name), Some(_)) if !valid_remote(&name) => {
                c.add(span, format!("{name:?} cannot be a storage node's name: letters, digits, - and _"));
            }
            (Some(name), Some(_)) if config.remotes.iter().any(|r| r.name == name) => {
                c.add(span, format!("two storage nodes are called {name}"));
            }
            (Some(name), Some(url)) => config.remotes.push(Remote { name, url }),
            _ => c.add(span, "a storage node needs name and url"),
        }
    }
}

/// Names of storage nodes become parts of ref names.
pub fn valid_remote(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

/// `~` and `~/..`.
pub fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(path),
    }
}

/// A TOML string.
fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The file that `init` and `join` write.
pub fn write(share: &str, secure: &str, device: &str, password_file: Option<&str>, remotes: &[Remote]) -> String {
    let password = match password_file {
        Some(f) => format!("password_file = {}\n", quoted(f)),
        None => "# where the password comes from when nobody types it:\n# password_command = \"secret-tool lookup sharelock vault\"\n# password_file = \"~/.config/sharelock/password\"\n".into(),
    };
    let mut out = format!(
        "# sharelock: one vault on this device. `sharelock doctor` looks whether all of it makes sense\n\n\
         share = {}      # the plain folder\n\
         secure = {}     # the encrypted one, a git work tree\n\
         device = {}     # this device's name, told to nobody outside the vault\n\n\
         {password}\n\
         # what this device does not follow, beside .sharelockignore (gitignore syntax)\n\
         # ignore = [\"*.tmp\"]\n\n\
         # this much stays free on the disks\n\
         # min_free = \"64MB\"\n\n\
         # stop and ask before so many files, and more than this part of the vault, are deleted or overwritten\n\
         # brake = {{ files = 1000, fraction = 0.1 }}\n\n\
         # the agent: a burst of changes is over after so long without one; a file that is still written to waits so\n\
         # long at most; the storage nodes are asked so often even if nobody says that there is something new\n\
         # quiet = \"200ms\"\n\
         # max_delay = \"10s\"\n\
         # poll = \"60s\"\n\
         # how it sees changes (auto, inotify, fsevents, poll), and how it tells a person (desktop, xmpp, log, none)\n\
         # watch = \"auto\"\n\
         # notify = [\"desktop\"]\n",
        quoted(share),
        quoted(secure),
        quoted(device)
    );
    #[cfg(feature = "xmpp")]
    out.push_str(xmpp::COMMENT);
    for r in remotes {
        out.push_str(&block(r));
    }
    out
}

fn block(r: &Remote) -> String {
    format!("\n[[remote]]\nname = {}\nurl = {}\n", quoted(&r.name), quoted(&r.url))
}

/// The text with one more storage node at its end.
pub fn with_remote(text: &str, r: &Remote) -> String {
    let mut out = text.trim_end().to_string();
    out.push('\n');
    out.push_str(&block(r));
    out
}

/// The text without the block of a storage node; everything else, comments too, stays.
pub fn without_remote(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut held = String::new();
    let (mut inside, mut found) = (false, false);
    for line in text.split_inclusive('\n') {
        let t = line.trim();
        if t.starts_with('[') {
            if !(inside && found) {
                out.push_str(&held);
            }
            held.clear();
            inside = t == "[[remote]]";
            found = false;
        }
        if inside {
            held.push_str(line);
            let value = t.strip_prefix("name").map(str::trim_start).and_then(|r| r.strip_prefix('=')).map(str::trim);
            found |= value.is_some_and(|v| v.trim_matches(['"', '\'']) == name);
        } else {
            out.push_str(line);
        }
    }
    if !(inside && found) {
        out.push_str(&held);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, "config.toml", Path::new("/home/me"))
    }

    #[test]
    fn what_init_writes_is_read_back() {
        let r = Remote { name: "origin".into(), url: "me@host:a \"b\"".into() };
        let text = write("~/share", "/s", "laptop", Some("/p"), std::slice::from_ref(&r));
        let c = parse(&text).unwrap();
        assert_eq!((c.share, c.secure, c.device.as_str()), ("/home/me/share".into(), "/s".into(), "laptop"));
        assert_eq!((c.remotes, c.password_file), (vec![r.clone()], Some("/p".into())));
        let two = with_remote(&text, &Remote { name: "usb".into(), url: "/media/x".into() });
        assert_eq!(parse(&two).unwrap().remotes.len(), 2);
        assert_eq!(parse(&without_remote(&two, "origin")).unwrap().remotes[0].name, "usb");
        assert_eq!(without_remote(&two, "usb").trim_end(), text.trim_end());
    }

    #[test]
    fn every_complaint_at_once_with_its_line() {
        let e =
            parse("device = \"a b\"\nshar = \"x\"\nbrake = { fils = 3 }\nhistory = \"lean\"\n[[remote]]\nname = \"a/b\"\nurl = \"x\"\n")
                .unwrap_err();
        assert_eq!(e.exit_code(), 2);
        let all: Vec<String> = std::iter::once(e.what().to_string()).chain(e.details().iter().cloned()).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        for want in [
            "config.toml:1: device",
            "config.toml:2: no such key: shar (did you mean share?)",
            "config.toml:3: no such key: brake.fils (did you mean brake.files?)",
            "config.toml:4: history = \"lean\"",
            "config.toml:5: \"a/b\"",
        ] {
            assert!(all.iter().any(|l| l.starts_with(want)), "{want}: {all:?}");
        }
    }

    #[test]
    fn sizes_and_durations() {
        for (t, n) in
            [("64MB", Some(64_000_000)), ("0", Some(0)), ("5 kB", Some(5000)), ("99999999999GB", None), ("x", None), ("5 parsec", None)]
        {
            assert_eq!(size(t), n, "{t}");
        }
        for (t, n) in [("200ms", Some(200)), ("2h", Some(7_200_000)), ("10", None), ("", None)] {
            assert_eq!(duration(t), n, "{t}");
        }
    }
}
