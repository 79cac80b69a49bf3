//! Targets of files that people and other programs write.

use sharelock::config::{self, Config, Remote};
use sharelock::mirror::ignore::Rules;
use sharelock::path::RelPath;
use sharelock::sim::disk::ABLE;
use sharelock::ssh::known_hosts::{self as hosts, KnownHosts};
use sharelock::ssh::{config as ssh, key, url::Url};
use std::path::{Path, PathBuf};

/// The configuration file, and what `remote add` and `remote remove` make of it.
pub fn config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let home = Path::new("/home/me");
    let _ = (config::size(text), config::duration(text), config::expand(text, home));
    let Ok(parsed) = Config::parse(text, "config.toml", home) else { return false };
    let (name, url) = ("added-by-the-fuzzer", "me@host:\"a\\b\"\u{1}");
    if parsed.remotes.iter().all(|r| r.name != name) {
        let more = config::with_remote(text, &Remote { name: name.into(), url: url.into() });
        if let Ok(with) = Config::parse(&more, "config.toml", home) {
            assert!(with.remotes.iter().any(|r| r.name == name && r.url == url), "a storage node that was added is there");
        }
        let _ = config::without_remote(&more, name);
    }
    true
}

/// Rules of what is not followed, as another device may have written them.
pub fn ignore(data: &[u8]) -> bool {
    let (rules, paths) = data.split_at(data.len() / 2);
    let mut all = Rules::new(&[], &ABLE);
    all.enter(&RelPath::root(), Some(rules));
    let mut matched = false;
    for path in paths.split(|c| *c == b'\n').take(8) {
        if let Some(path) = RelPath::new(path) {
            matched |= all.matches(&path, true).is_some() | all.matches(&path, false).is_some();
        }
    }
    all.leave();
    matched
}

/// A file of these bytes, of this process and target alone.
fn file(what: &str, data: &[u8]) -> PathBuf {
    let dir = Path::new("/dev/shm");
    let dir = if dir.is_dir() { dir.to_path_buf() } else { std::env::temp_dir() };
    let path = dir.join(format!("sharelock-fuzz-{what}-{}", std::process::id()));
    std::fs::write(&path, data).expect("written");
    path
}

/// known_hosts, keys, URLs, lines for authorized_keys.
pub fn known_hosts(data: &[u8]) -> bool {
    let path = file("hosts", data);
    let known = KnownHosts::read(std::slice::from_ref(&path));
    let mut found = false;
    for host in ["host", "[host]:2222", "192.0.2.1"] {
        let kinds = known.kinds(host);
        let answer = known.ask(host, data);
        found |= !kinds.is_empty();
        assert!(answer != hosts::Answer::Known || !kinds.is_empty());
    }
    let _ = hosts::kind_of(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let left = KnownHosts::without("host", text);
        assert!(left.len() <= text.len());
        let _ = (Url::parse(text), key::check_line(text));
        for line in text.lines().take(4) {
            let _ = (Url::parse(line), key::check_line(line));
        }
    }
    std::fs::remove_file(path).expect("there");
    found
}

/// `~/.ssh/config`.
pub fn ssh_config(data: &[u8]) -> bool {
    // An Include may name any file of this machine; that is the user's business, not the fuzzer's.
    if data.to_ascii_lowercase().windows(7).any(|w| w == b"include") {
        return false;
    }
    let path = file("config", data);
    let mut understood = false;
    for host in ["host", "example.org"] {
        understood |= ssh::read(&path, host, Path::new("/nonexistent")).is_ok_and(|c| c != ssh::HostConfig::default());
    }
    std::fs::remove_file(path).expect("there");
    understood
}
