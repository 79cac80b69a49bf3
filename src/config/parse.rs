//! Reading the configuration: raw, then checked, with file:line in every complaint, all at once.

#[cfg(feature = "xmpp")]
use super::Xmpp;
use super::{Config, MOST, Notify, Remote, duration, expand, size, valid_remote};
use crate::error::{Error, Kind, Result};
use crate::tree::Writer;
use crate::watch::Choice;
use std::path::Path;
use toml_span::value::{Key, ValueInner};
use toml_span::{Span, Value};

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
const BRAKE: &[&str] = &["files", "fraction"];
const REMOTE: &[&str] = &["name", "url"];

/// Complaints, each with its line.
pub(super) struct Complaints<'t> {
    file: &'t str,
    text: &'t str,
    pub(super) all: Vec<String>,
}

impl Complaints<'_> {
    fn line(&self, span: Span) -> usize {
        1 + self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|c| **c == b'\n').count()
    }

    pub(super) fn add(&mut self, span: Span, what: impl std::fmt::Display) {
        let line = self.line(span);
        self.all.push(format!("{}:{line}: {what}", self.file));
    }

    pub(super) fn unknown(&mut self, key: &Key<'_>, known: &[&str], table: &str) {
        let near = known.iter().map(|k| (strsim::damerau_levenshtein(k, &key.name), k)).min().filter(|(d, _)| *d <= 3);
        let hint = near.map_or(String::new(), |(_, k)| format!(" (did you mean {table}{k}?)"));
        self.add(key.span, format!("no such key: {table}{}{hint}", key.name));
    }

    pub(super) fn text(&mut self, v: &mut Value<'_>, key: &str) -> Option<String> {
        let span = v.span;
        match v.take() {
            ValueInner::String(s) => Some(s.into_owned()),
            other => {
                self.add(span, format!("{key} is text in quotes, not {}", other.type_str()));
                None
            }
        }
    }

    pub(super) fn list(&mut self, v: &mut Value<'_>, key: &str) -> Option<Vec<String>> {
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
            unheeded: Vec::new(),
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
                    ValueInner::Table(_) => config.unheeded.push(format!(
                        "{file}:{}: [xmpp] is passed over: this sharelock was built without XMPP (feature xmpp), and hears of changes by asking",
                        c.line(key.span)
                    )),
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

/// The lines at which the patterns of `ignore` stand, one for each line of a pattern; empty for a text that is none.
pub fn ignore_lines(text: &str) -> Vec<usize> {
    let Ok(root) = toml_span::parse(text) else { return Vec::new() };
    let patterns = root.pointer("/ignore").and_then(Value::as_array).into_iter().flatten();
    let line = |v: &Value<'_>| 1 + text.as_bytes()[..v.span.start.min(text.len())].iter().filter(|c| **c == b'\n').count();
    patterns.flat_map(|v| std::iter::repeat_n(line(v), v.as_str().map_or(1, |s| s.split('\n').count()))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, "config.toml", Path::new("/home/me"))
    }

    #[test]
    fn where_ignore_patterns_stand() {
        let text = "device = \"x\"\nignore = [\"a\", \"b\",\n  # why\n  \"\"\"c\nd\"\"\",\n  \"e\"]\n";
        assert_eq!(ignore_lines(text), [2, 2, 4, 4, 6]);
        assert_eq!((ignore_lines("device = \"x\"\n"), ignore_lines("ignore = [")), (vec![], vec![]));
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
}
