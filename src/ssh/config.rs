//! `~/.ssh/config`, the part that we understand (ssh_config(5)); what could apply and is not understood is refused by
//! file and line, for a silently ignored ProxyJump would connect to the wrong machine.

use super::known_hosts::glob;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// What the files say of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// HostName.
    pub host_name: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// User.
    pub user: Option<String>,
    /// IdentityFile, in order.
    pub identity_files: Vec<PathBuf>,
    /// IdentitiesOnly.
    pub identities_only: Option<bool>,
    /// IdentityAgent.
    pub identity_agent: Option<String>,
    /// UserKnownHostsFile; `none` is an empty list.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// HostKeyAlias.
    pub host_key_alias: Option<String>,
}

struct Reader<'a> {
    host: &'a str,
    home: &'a Path,
    out: HostConfig,
    /// ProxyJump or ProxyCommand was set to `none` before.
    direct: bool,
    // Values with tokens, which are replaced when the whole file is known.
    identity_files: Vec<String>,
    agent: Option<String>,
    known_hosts: Option<Vec<String>>,
}

/// Reads the user's file for a host as it stands in a URL.
pub fn read(file: &Path, host: &str, home: &Path) -> Result<HostConfig> {
    let mut r =
        Reader { host, home, out: HostConfig::default(), direct: false, identity_files: Vec::new(), agent: None, known_hosts: None };
    if file.exists() {
        r.file(file, true, 0)?;
    }
    let paths = |list: &[String]| list.iter().filter(|p| *p != "none").map(|p| r.path(p)).collect::<Vec<_>>();
    let mut out = r.out.clone();
    out.identity_files = paths(&r.identity_files);
    out.known_hosts = r.known_hosts.as_deref().map(paths);
    out.identity_agent = r.agent.as_ref().map(|a| match a.strip_prefix('$') {
        _ if a == "none" || a == "SSH_AUTH_SOCK" => a.clone(),
        Some(name) => std::env::var(name.trim_matches(['{', '}'])).unwrap_or_else(|_| "none".into()),
        None => r.path(a).display().to_string(),
    });
    Ok(out)
}

impl Reader<'_> {
    fn file(&mut self, file: &Path, mut active: bool, depth: u32) -> Result<()> {
        if depth > 8 {
            return Err(refuse(file, 1, "Include goes too deep"));
        }
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(file)
            .and_then(|f| f.take(1 << 20).read_to_string(&mut text))
            .map_err(|e| Error::from(e).at(format!("can't read {}", file.display())))?;
        let outer = active;
        for (i, line) in text.lines().enumerate() {
            let n = i + 1;
            let Some((key, args)) = words(line).map_err(|why| refuse(file, n, why))? else { continue };
            let first = || args.first().cloned().ok_or_else(|| refuse(file, n, "a value is missing"));
            match key.as_str() {
                "host" => active = outer && self.matches(&args),
                "match" => match args.iter().map(|a| a.to_ascii_lowercase()).collect::<Vec<_>>()[..] {
                    [ref a] if a == "all" => active = outer,
                    _ if outer && !self.ruled_out(&args) => {
                        return Err(refuse(file, n, "Match could apply to this host and is not understood"));
                    }
                    _ => active = false,
                },
                _ if !active => {}
                "hostname" => {
                    let v = first()?;
                    self.out.host_name.get_or_insert(v.replace("%h", self.host).replace("%%", "%"));
                }
                "port" => {
                    let v = first()?.parse().map_err(|_| refuse(file, n, "Port is no number"))?;
                    self.out.port.get_or_insert(v);
                }
                "user" => {
                    let v = first()?;
                    self.out.user.get_or_insert(v);
                }
                "identityfile" => {
                    let v = first()?;
                    // Twice the same is one try.
                    if !self.identity_files.contains(&v) {
                        self.identity_files.push(v);
                    }
                }
                "identitiesonly" => {
                    let v = first()?.eq_ignore_ascii_case("yes");
                    self.out.identities_only.get_or_insert(v);
                }
                "identityagent" => {
                    let v = first()?;
                    self.agent.get_or_insert(v);
                }
                "userknownhostsfile" => {
                    self.known_hosts.get_or_insert(args);
                }
                "hostkeyalias" => {
                    let v = first()?;
                    self.out.host_key_alias.get_or_insert(v);
                }
                "proxyjump" | "proxycommand" if args.first().is_some_and(|a| a.eq_ignore_ascii_case("none")) => self.direct = true,
                "proxyjump" | "proxycommand" if !self.direct => {
                    return Err(refuse(file, n, "a connection through another host is not supported"));
                }
                "include" => {
                    for arg in &args {
                        for path in self.includes(arg) {
                            self.file(&path, active, depth + 1)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn matches(&self, patterns: &[String]) -> bool {
        any_of(patterns.iter().map(String::as_str), self.host)
    }

    /// True if one criterion of a Match certainly fails, so that it cannot apply whatever the others say. Only hosts are
    /// looked at; without regard to case, so that a doubt is a refusal.
    fn ruled_out(&self, args: &[String]) -> bool {
        let now = self.out.host_name.as_deref().unwrap_or(self.host).to_ascii_lowercase();
        let typed = self.host.to_ascii_lowercase();
        let mut rest = args.iter().map(|a| a.to_ascii_lowercase());
        while let Some(criterion) = rest.next() {
            let (negated, criterion) = criterion.strip_prefix('!').map_or((false, criterion.as_str()), |c| (true, c));
            if matches!(criterion, "all" | "canonical" | "final") {
                continue;
            }
            let Some(value) = rest.next() else { return false };
            let host = match criterion {
                "host" => &now,
                "originalhost" => &typed,
                _ => continue,
            };
            if any_of(value.split(','), host) == negated {
                return true;
            }
        }
        false
    }

    fn path(&self, text: &str) -> PathBuf {
        let me = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
        let user = self.out.user.clone().unwrap_or_else(|| me.clone());
        let host = self.out.host_name.clone().unwrap_or_else(|| self.host.to_string());
        let home = self.home.display().to_string();
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next() {
                    Some('h') => out.push_str(&host),
                    Some('d') => out.push_str(&home),
                    Some('u') => out.push_str(&me),
                    Some('r') => out.push_str(&user),
                    Some('n') => out.push_str(self.host),
                    Some('p') => out.push_str(&self.out.port.unwrap_or(22).to_string()),
                    Some('%') => out.push('%'),
                    Some(other) => out.extend(['%', other]),
                    None => out.push('%'),
                },
                c => out.push(c),
            }
        }
        match out.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(out),
        }
    }

    /// Files of an Include, relative to `~/.ssh`; a glob in the last part.
    fn includes(&self, arg: &str) -> Vec<PathBuf> {
        let path = self.path(arg);
        let path = if path.is_absolute() { path } else { self.home.join(".ssh").join(path) };
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().map(|n| n.to_string_lossy().into_owned())) else {
            return Vec::new();
        };
        if !name.contains(['*', '?']) {
            return if path.exists() { vec![path] } else { Vec::new() };
        }
        let mut out: Vec<PathBuf> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| glob(&name, &e.file_name().to_string_lossy()))
            .map(|e| e.path())
            .collect();
        out.sort();
        out
    }
}

/// True if a pattern matches and none with `!` does.
fn any_of<'p>(patterns: impl Iterator<Item = &'p str>, text: &str) -> bool {
    let mut found = false;
    for p in patterns {
        match p.strip_prefix('!') {
            Some(p) if glob(p, text) => return false,
            None if glob(p, text) => found = true,
            _ => {}
        }
    }
    found
}

fn refuse(file: &Path, line: usize, why: &str) -> Error {
    Error::new(Kind::Usage, format!("{}:{line}: {why}", file.display())).detail("nothing was sent")
}

/// Keyword (lower case) and arguments of a line; quotes keep spaces together.
fn words(line: &str) -> std::result::Result<Option<(String, Vec<String>)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let key = line[..end].to_ascii_lowercase();
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut args = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in rest.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            '#' if !quoted && word.is_none() => break,
            c if c.is_whitespace() && !quoted => args.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    if quoted {
        return Err("a quote without an end");
    }
    args.extend(word);
    Ok(Some((key, args)))
}
