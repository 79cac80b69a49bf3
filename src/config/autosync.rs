//! What is taken over from the configuration of dvcs-autosync (`~/.autosync`), and what becomes of each of its keys.
//!
//! The file is what Python 2's `ConfigParser.RawConfigParser` reads, and it is read here by the same rules, so that a
//! password means what it meant there. (The crate `configparser` has rules of its own for comments and continued lines,
//! and names no lines.)

use super::write::{list, quoted};
use super::{Account, MOST, Wishes};
use crate::error::{Error, Kind, Result};
use zeroize::Zeroizing;

/// What was made of a file.
#[derive(Default)]
pub struct Autosync {
    /// The folder that was synced.
    pub path: Option<String>,
    /// What goes into the new configuration.
    pub wishes: Wishes,
    /// For each key, as `section.key`, what became of it.
    pub told: Vec<(String, String)>,
}

/// The keys that dvcs-autosync knew.
const KNOWN: &[(&str, &[&str])] = &[
    ("autosync", &["path", "pidfile", "syncmethod", "pulllock", "readfrequency", "ignorepath", "notifymethod"]),
    ("dvcs", &["statuscmd", "addcmd", "rmcmd", "modifycmd", "movecmd", "startupcmd", "commitcmd", "pushcmd", "pullcmd", "remoteurlcmd"]),
    ("xmpp", &["username", "password", "alsonotify"]),
    ("autosync-server", &["server", "username", "password"]),
];

/// Somebody's configuration has about 25.
const MOST_KEYS: usize = 1000;

/// A value and where its key stands.
struct Entry {
    section: String,
    key: String,
    value: Zeroizing<String>,
    line: usize,
}

/// Reads a file's text. `file` is how it is called in messages.
///
/// Errors ([`Kind::Usage`]): every complaint as a line `file:line: what`; no value of a password is in one.
pub fn read(text: &str, file: &str) -> Result<Autosync> {
    let mut c = Complaints { file, all: Vec::new() };
    let entries = ini(text, &mut c);
    let find = |section: &str, key: &str| entries.iter().find(|e| e.section == section && e.key == key);
    let value = |section: &str, key: &str| find(section, key).map_or("", |e| e.value.as_str());
    let mut out = Autosync::default();
    let by_xmpp = value("autosync", "syncmethod") != "none" && value("autosync", "syncmethod") != "autosync-server";
    let mut account = Account { jid: String::new(), password: Zeroizing::default(), alsonotify: Vec::new() };
    for e in &entries {
        let what = match (e.section.as_str(), e.key.as_str()) {
            ("autosync", "path") => path(e, &mut c, &mut out),
            ("autosync", "pidfile") => "not needed: a lock tells whether sharelock runs".into(),
            ("autosync", "pulllock") => "not needed: changes made during a fetch are never missed".into(),
            ("autosync", "syncmethod") => method(e, find("xmpp", "username").is_some(), &mut c),
            ("autosync", "readfrequency") => frequency(e, &mut c, &mut out.wishes),
            ("autosync", "ignorepath") => ignored(&e.value, &mut out.wishes),
            ("autosync", "notifymethod") => notified(e, &mut c, &mut out.wishes),
            ("dvcs", k) if is_known("dvcs", k) => "not needed: sharelock runs no commands and has its own git".into(),
            ("autosync-server", k) if is_known("autosync-server", k) => {
                "not supported: dvcs-autosync never had that server either; see init --remote".into()
            }
            ("xmpp", k) if is_known("xmpp", k) && !cfg!(feature = "xmpp") => "not supported: this sharelock was built without xmpp".into(),
            ("xmpp", k) if is_known("xmpp", k) && !by_xmpp => "not taken over: syncmethod does not name it".into(),
            ("xmpp", "username") => username(e, &mut c, &mut account),
            ("xmpp", "password") => {
                account.password = e.value.clone();
                "xmpp.password, in the configuration, which only you can read".into()
            }
            ("xmpp", "alsonotify") => alsonotify(e, &mut c, &mut account),
            _ => "not known here or to dvcs-autosync: nothing was made of it".into(),
        };
        out.told.push((format!("{}.{}", e.section, e.key), what));
    }
    if cfg!(feature = "xmpp") && by_xmpp {
        match (find("xmpp", "username"), find("xmpp", "password").filter(|p| !p.value.is_empty())) {
            (Some(_), Some(_)) => out.wishes.xmpp = Some(account),
            (Some(e), None) => c.add(e.line, "xmpp.username has no password beside it"),
            (None, Some(e)) => c.add(e.line, "xmpp.password has no username beside it"),
            (None, None) => {}
        }
    }
    let mut all = c.all.into_iter();
    match all.next() {
        None => Ok(out),
        Some(first) => Err(all.fold(Error::new(Kind::Usage, first), Error::detail).detail("nothing was changed")),
    }
}

fn is_known(section: &str, key: &str) -> bool {
    KNOWN.iter().any(|(s, keys)| *s == section && keys.contains(&key))
}

// -- the keys ------------------------------------------------------------------

fn path(e: &Entry, c: &mut Complaints<'_>, out: &mut Autosync) -> String {
    let other = e.value.strip_prefix('~').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if e.value.is_empty() || other || e.value.contains(['\n', '\0']) {
        c.add(e.line, "autosync.path is a folder like ~/share");
    }
    out.path = Some(e.value.to_string());
    format!("share = {}", quoted(&e.value))
}

fn method(e: &Entry, account: bool, c: &mut Complaints<'_>) -> String {
    match e.value.as_str() {
        "xmpp" if !cfg!(feature = "xmpp") => "not supported: this sharelock was built without xmpp".into(),
        "xmpp" if account => "[xmpp], with compat = true: devices that still run dvcs-autosync are understood".into(),
        "xmpp" => "there is no account in [xmpp]: storage nodes are asked for changes (poll)".into(),
        "none" => "storage nodes are asked for changes (poll)".into(),
        "autosync-server" => "not supported: storage nodes are asked for changes (poll)".into(),
        _ => {
            c.add(e.line, "autosync.syncmethod is xmpp, none or autosync-server");
            String::new()
        }
    }
}

fn frequency(e: &Entry, c: &mut Complaints<'_>, w: &mut Wishes) -> String {
    match e.value.parse::<u64>().ok().filter(|s| *s <= MOST / 1000) {
        Some(s) => {
            w.quiet = Some(s);
            format!("quiet = \"{s}s\" (without it sharelock waits for 200ms)")
        }
        None => {
            c.add(e.line, "autosync.readfrequency is a number of seconds");
            String::new()
        }
    }
}

/// Each path was one below `path`, so its pattern begins at the root. pyinotify took it for a regular expression, which
/// nobody means who writes `src/packages`.
fn ignored(value: &str, w: &mut Wishes) -> String {
    let mut left = Vec::new();
    for word in value.split_whitespace() {
        let parts: Vec<&str> = word.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        if parts.is_empty() || parts.contains(&"..") || word.contains(['*', '?', '[', ']', '(', ')', '{', '}', '|', '^', '$', '+', '\\']) {
            left.push(word.to_string());
            continue;
        }
        let pattern = format!("/{}", parts.join("/"));
        if !w.ignore.contains(&pattern) {
            w.ignore.push(pattern);
        }
    }
    let mut out = if w.ignore.is_empty() { "nothing to ignore".into() } else { format!("ignore = {}", list(&w.ignore)) };
    if !left.is_empty() {
        out.push_str(&format!("; not taken over, being no plain paths below it: {}", left.join(" ")));
    }
    out
}

fn notified(e: &Entry, c: &mut Complaints<'_>, w: &mut Wishes) -> String {
    let ways: &[&str] = match e.value.as_str() {
        "desktop" => &["desktop"],
        "xmpp" => &["xmpp"],
        "all" => &["desktop", "xmpp"],
        "none" => &["none"],
        _ => {
            c.add(e.line, "autosync.notifymethod is desktop, xmpp, all or none");
            &[]
        }
    };
    w.notify = ways.iter().map(|w| w.to_string()).collect();
    format!("notify = {}", list(&w.notify))
}

fn username(e: &Entry, c: &mut Complaints<'_>, account: &mut Account) -> String {
    let Some(jid) = address(&e.value) else {
        c.add(e.line, "xmpp.username is an address like me@example.org");
        return String::new();
    };
    let note = if e.value.contains('/') { " (each device names itself)" } else { "" };
    account.jid = jid;
    format!("xmpp.jid = {}{note}", quoted(&account.jid))
}

fn alsonotify(e: &Entry, c: &mut Complaints<'_>, account: &mut Account) -> String {
    if e.value.is_empty() {
        return "nobody".into();
    }
    match address(&e.value) {
        Some(jid) => account.alsonotify = vec![jid],
        None => c.add(e.line, "xmpp.alsonotify is an address like friend@example.net"),
    }
    format!("xmpp.alsonotify = {}", list(&account.alsonotify))
}

/// `me@example.org`, without a resource.
#[cfg(feature = "xmpp")]
fn address(text: &str) -> Option<String> {
    let jid = jid::Jid::new(text).ok()?.into_bare();
    jid.node().is_some().then(|| jid.to_string())
}

#[cfg(not(feature = "xmpp"))]
fn address(_: &str) -> Option<String> {
    None
}

// -- the file ------------------------------------------------------------------

struct Complaints<'a> {
    file: &'a str,
    all: Vec<String>,
}

impl Complaints<'_> {
    fn add(&mut self, line: usize, what: &str) {
        self.all.push(format!("{}:{line}: {what}", self.file));
    }
}

/// All values in the order of the file: of a key that stands twice in a section, the last one. What `[DEFAULT]` says is
/// said in each section that knows the key and does not have it.
fn ini(text: &str, c: &mut Complaints<'_>) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    let mut section: Option<&str> = None;
    // The last entry's value may go on.
    let mut open = false;
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (n, t) = (n + 1, line.trim());
        let rem = line.starts_with(['r', 'R']) && t.split_whitespace().next().is_some_and(|w| w.eq_ignore_ascii_case("rem"));
        if t.is_empty() || line.starts_with(['#', ';']) || rem {
            continue;
        }
        if open && line.starts_with(char::is_whitespace) {
            if let Some(last) = all.last_mut() {
                last.value.push('\n');
                last.value.push_str(t);
            }
            continue;
        }
        open = false;
        if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).filter(|(name, _)| !name.is_empty()) {
            section = Some(name);
            continue;
        }
        let Some(section) = section else {
            c.add(n, "a [section] is missing above this line");
            continue;
        };
        match line.split_once(['=', ':']).filter(|(key, _)| !key.is_empty() && !key.starts_with(char::is_whitespace)) {
            Some((key, value)) => {
                let key = key.trim_end().to_lowercase();
                if all.len() >= MOST_KEYS {
                    c.add(n, "there are too many keys for a configuration of dvcs-autosync");
                    break;
                }
                all.retain(|e| e.section != section || e.key != key);
                all.push(Entry { section: section.into(), key, value: Zeroizing::new(plain(value.trim_start()).into()), line: n });
                open = true;
            }
            None => c.add(n, "this is no `key = value`"),
        }
    }
    let (defaults, mut all): (Vec<Entry>, Vec<Entry>) = all.into_iter().partition(|e| e.section == "DEFAULT");
    for d in defaults {
        for (section, _) in KNOWN.iter().filter(|(s, _)| is_known(s, &d.key)) {
            let (there, has) = (all.iter().any(|e| e.section == *section), all.iter().any(|e| e.section == *section && e.key == d.key));
            if there && !has {
                all.push(Entry { section: section.to_string(), key: d.key.clone(), value: d.value.clone(), line: d.line });
            }
        }
    }
    all
}

/// A value without the remark behind it: a `;` begins one if it is the first and a space stands before it.
fn plain(value: &str) -> &str {
    let value = match value.find(';') {
        Some(at) if value[..at].ends_with(char::is_whitespace) => &value[..at],
        _ => value,
    };
    match value.trim() {
        "\"\"" => "",
        v => v,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
