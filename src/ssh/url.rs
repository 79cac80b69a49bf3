//! `ssh://[user@]host[:port]/path` and `user@host:path` (git-clone(1), "Git URLs").

use crate::error::{Error, Kind, Result};

/// Where a storage node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The user, if it says one.
    pub user: Option<String>,
    /// The host as it stands there; `~/.ssh/config` may know it by another name.
    pub host: String,
    /// The port, if it says one.
    pub port: Option<u16>,
    /// The repository's path on the server.
    pub path: String,
}

impl Url {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Url> {
        let bad = |why: &str| {
            Error::new(Kind::Usage, format!("{} is no storage node: {why}", crate::path::printable(text.as_bytes())))
                .remedy("like this", "ssh://me@host/home/me/vault.git or me@host:vault.git")
        };
        if text.chars().any(char::is_control) {
            return Err(bad("it holds control characters"));
        }
        let (authority, port, path) = if let Some(rest) = text.strip_prefix("ssh://") {
            let (authority, path) = rest.split_once('/').ok_or_else(|| bad("a path on the server is missing"))?;
            let path = percent_decoded(path).ok_or_else(|| bad("a % in it stands for nothing"))?;
            let path = if path.starts_with('~') { path } else { format!("/{path}") };
            let (authority, port) = match authority.rsplit_once(':') {
                Some((a, p)) if !p.contains([']', '@']) => {
                    (a, Some(p.parse::<u16>().ok().filter(|p| *p != 0).ok_or_else(|| bad("its port is no number"))?))
                }
                _ => (authority, None),
            };
            (authority, port, path)
        } else if text.contains("://") {
            return Err(bad("only ssh:// and local paths can be used"));
        } else {
            // An address of IPv6 has colons of its own, inside its brackets.
            let from = text.find("]:").map_or(0, |at| at + 1);
            let colon = text[from..].find(':').ok_or_else(|| bad("a host is missing"))? + from;
            (&text[..colon], None, text[colon + 1..].to_string())
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((u, h)) => (Some(u.to_string()), h),
            None => (None, authority),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        if host.is_empty() || host.starts_with('-') || host.contains(['/', ' ']) {
            return Err(bad("its host cannot be one"));
        }
        if user.as_ref().is_some_and(|u| u.contains(':')) {
            return Err(Error::new(
                Kind::Usage,
                format!("a password has no place in the address of {}", crate::path::printable(host.as_bytes())),
            )
            .detail("this device gets a key of its own, and the server's password is asked for once"));
        }
        if user.as_ref().is_some_and(|u| u.is_empty() || u.starts_with('-')) {
            return Err(bad("its user cannot be one"));
        }
        if path.chars().any(char::is_control) {
            return Err(bad("it holds control characters"));
        }
        if path.is_empty() || path == "/" || path.starts_with('-') {
            return Err(bad("a path on the server is missing"));
        }
        Ok(Url { user, host, port, path })
    }
}

/// `%20` and its like in the path of an `ssh://` URL, as git reads them (RFC 3986, 2.1).
fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        if c != b'%' {
            out.push(c);
            continue;
        }
        let (hex, after) = rest.split_at_checked(2)?;
        let hex = std::str::from_utf8(hex).ok().filter(|h| h.bytes().all(|c| c.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(hex, 16).ok()?);
        rest = after;
    }
    String::from_utf8(out).ok()
}

/// A path or text as one word of a shell, as git quotes it; a leading `~/` or `~user/` stays open to the shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('!', "'\\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let u = |t: &str| Url::parse(t).map(|u| (u.user.unwrap_or_default(), u.host, u.port.unwrap_or(0), u.path));
        let is = |u: &str, h: &str, p: u16, path: &str| (u.to_string(), h.to_string(), p, path.to_string());
        assert_eq!(u("ssh://me@h.example:2222/a/b.git").unwrap(), is("me", "h.example", 2222, "/a/b.git"));
        assert_eq!(u("ssh://h/~/b.git").unwrap(), is("", "h", 0, "~/b.git"));
        assert_eq!(u("me@h:b c.git").unwrap(), is("me", "h", 0, "b c.git"));
        assert_eq!(u("h:/b").unwrap(), is("", "h", 0, "/b"));
        assert_eq!(u("ssh://[::1]:22/x").unwrap(), is("", "::1", 22, "/x"));
        assert_eq!(u("me@[::1]:a:b.git").unwrap(), is("me", "::1", 0, "a:b.git"));
        assert_eq!(u("ssh://h/a%20b%C3%A4").unwrap(), is("", "h", 0, "/a bä"));
        assert_eq!(u("h:a%20b").unwrap(), is("", "h", 0, "a%20b"));
        for bad in ["ssh://h/a%0ab", "ssh://h/a%2", "ssh://h/a%zz", "ssh://h/a%ff", "ssh://h:0/x", "ssh://me:pw@h/x", "[::1]"] {
            assert_eq!(u(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert!(!u("ssh://me:pw@h/x").unwrap_err().what().contains("pw"));
        for bad in ["ssh://-oProxyCommand=x/y", "-x:y", "ssh://h", "ssh://h:x/y", "http://h/x", "h:", "ssh:///x", "a@:x", "h\n:x"] {
            assert_eq!(u(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert_eq!(quote("it's"), "'it'\\''s'");
    }
}
