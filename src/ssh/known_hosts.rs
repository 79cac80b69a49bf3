//! known_hosts, read by ourselves (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): libssh2 ignores `@revoked` and wildcards and
//! stops at the first bad line.

use data_encoding::{BASE64, BASE64_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// One usable line.
#[derive(Clone, Debug)]
struct Line {
    file: PathBuf,
    number: usize,
    revoked: bool,
    hosts: String,
    kind: String,
    key: Vec<u8>,
}

/// All files that count, in order.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    lines: Vec<Line>,
}

/// What the files say of a key that a server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the one on file.
    Known,
    /// Nothing is on file for the host.
    Unknown,
    /// Another key of this host is on file.
    Changed {
        /// Its fingerprint.
        fingerprint: String,
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The key itself was revoked.
    Revoked {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// `SHA256:..` as ssh-keygen(1) prints it.
pub fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(key)))
}

/// A fingerprint as a person gives it; `None` if it is none that [`fingerprint`] could make.
pub fn parse_fingerprint(text: &str) -> Option<&str> {
    let text = text.trim();
    let digits = text.strip_prefix("SHA256:")?;
    BASE64_NOPAD.decode(digits.as_bytes()).is_ok_and(|hash| hash.len() == 32).then_some(text)
}

/// How a host is called in the files: with its port unless that is 22.
pub fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl KnownHosts {
    /// Reads the files that are there; at most 1 MiB of each.
    pub fn read(files: &[PathBuf]) -> KnownHosts {
        let mut out = KnownHosts::default();
        for file in files {
            use std::io::Read;
            let mut text = Vec::new();
            if std::fs::File::open(file).and_then(|f| f.take(1 << 20).read_to_end(&mut text)).is_ok() {
                out.parse(file, &text);
            }
        }
        out
    }

    fn parse(&mut self, file: &Path, text: &[u8]) {
        for (i, raw) in text.split(|c| *c == b'\n').enumerate() {
            // What cannot be read is passed over, as ssh does it: a bad line neither helps nor harms.
            let Ok(line) = std::str::from_utf8(raw) else { continue };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = words.next_if(|w| w.starts_with('@'));
            if marker == Some("@cert-authority") {
                continue; // Certificates are not used: such a line neither helps nor harms.
            }
            let (hosts, kind, key) = (words.next(), words.next(), words.next());
            let key = key.and_then(|k| BASE64.decode(k.as_bytes()).ok());
            if let (Some(hosts), Some(kind), Some(key)) = (hosts, kind, key)
                && (marker.is_none() || marker == Some("@revoked"))
            {
                self.lines.push(Line {
                    file: file.to_path_buf(),
                    number: i + 1,
                    revoked: marker.is_some(),
                    hosts: hosts.to_string(),
                    kind: kind.to_string(),
                    key,
                });
            }
        }
    }

    /// What the files say of this key of this host (a name by [`name_of`]).
    pub fn ask(&self, host: &str, key: &[u8]) -> Answer {
        let here: Vec<&Line> = self.lines.iter().filter(|l| matches(&l.hosts, host)).collect();
        if let Some(l) = here.iter().find(|l| l.revoked && l.key == key) {
            return Answer::Revoked { file: l.file.clone(), line: l.number };
        }
        let mut other = None;
        for l in here.iter().filter(|l| !l.revoked) {
            if l.key == key {
                return Answer::Known;
            }
            other.get_or_insert(*l);
        }
        match other {
            Some(l) => Answer::Changed { fingerprint: fingerprint(&l.key), file: l.file.clone(), line: l.number },
            None => Answer::Unknown,
        }
    }

    /// The key types on file for a host, in order: the handshake must prefer them, or a server that has more keys looks
    /// changed.
    pub fn kinds(&self, host: &str) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for l in self.lines.iter().filter(|l| !l.revoked && matches(&l.hosts, host)) {
            if !out.contains(&l.kind) {
                out.push(l.kind.clone());
            }
        }
        out
    }

    /// The text of a file without this host. A line of several names keeps the others; patterns stay, for they speak of
    /// other hosts too.
    pub fn without(host: &str, text: &str) -> String {
        let mut out = String::new();
        for line in text.split_inclusive('\n') {
            let field = line.split_ascii_whitespace().next().unwrap_or_default();
            if field.is_empty() || field.starts_with(['#', '@']) {
                out.push_str(line);
            } else if field.starts_with("|1|") {
                if !matches(field, host) {
                    out.push_str(line);
                }
            } else {
                let rest: Vec<&str> = field.split(',').filter(|n| !n.eq_ignore_ascii_case(host)).collect();
                if !rest.is_empty() {
                    out.push_str(&line.replacen(field, &rest.join(","), 1));
                }
            }
        }
        out
    }
}

/// The line for a key.
pub fn line(host: &str, kind: &str, key: &[u8]) -> String {
    format!("{host} {kind} {}\n", BASE64.encode(key))
}

/// The type that a key's own bytes say.
pub fn kind_of(key: &[u8]) -> Option<String> {
    let len = u32::from_be_bytes(key.get(..4)?.try_into().ok()?) as usize;
    let name = key.get(4..4usize.checked_add(len)?)?;
    (len < 64).then(|| String::from_utf8_lossy(name).into_owned())
}

/// True if a host stands in the first field of a line: a hash, or patterns of which none denies it.
fn matches(field: &str, host: &str) -> bool {
    if let Some(rest) = field.strip_prefix("|1|") {
        let Some((salt, hash)) = rest.split_once('|') else { return false };
        let (Ok(salt), Ok(hash)) = (BASE64.decode(salt.as_bytes()), BASE64.decode(hash.as_bytes())) else { return false };
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
        mac.update(host.as_bytes());
        return bool::from(mac.finalize().into_bytes()[..].ct_eq(&hash));
    }
    let mut found = false;
    for pattern in field.split(',') {
        match pattern.strip_prefix('!') {
            Some(p) if glob(&p.to_ascii_lowercase(), host) => return false,
            None if glob(&pattern.to_ascii_lowercase(), host) => found = true,
            _ => {}
        }
    }
    found
}

/// `*` and `?`, as ssh_config(5) matches.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < t.len() {
        match p.get(i) {
            Some(b'*') => {
                star = Some((i, j));
                i += 1;
            }
            Some(c) if *c == b'?' || *c == t[j] => {
                i += 1;
                j += 1;
            }
            _ => match star {
                Some((si, sj)) => {
                    i = si + 1;
                    j = sj + 1;
                    star = Some((si, sj + 1));
                }
                None => return false,
            },
        }
    }
    p[i..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KnownHosts {
        let mut k = KnownHosts::default();
        k.parse(Path::new("kh"), text.as_bytes());
        k
    }

    #[test]
    fn names_patterns_marks_and_bad_lines() {
        let (a, b) = (BASE64.encode(b"key a"), BASE64.encode(b"key b"));
        let k = read(&format!(
            "# x\n\nbad line\nh.example,10.0.0.1 ssh-ed25519 {a}\n*.lan,!bad.lan ssh-rsa {b}\n[p]:2222 ssh-rsa {b} note\n@revoked * ssh-rsa {b}\n@cert-authority * ssh-rsa {a}\n"
        ));
        assert_eq!(k.lines.len(), 4);
        assert_eq!(k.ask("h.example", b"key a"), Answer::Known);
        assert_eq!(k.ask("other", b"key a"), Answer::Unknown);
        assert!(matches!(k.ask("h.example", b"key c"), Answer::Changed { line: 4, .. }));
        assert!(matches!(k.ask("x.lan", b"key b"), Answer::Revoked { line: 7, .. }));
        assert!(matches!(k.ask("x.lan", b"key c"), Answer::Changed { line: 5, .. }));
        assert_eq!(k.ask("bad.lan", b"key c"), Answer::Unknown);
        assert_eq!(k.kinds("[p]:2222"), ["ssh-rsa"]);
        assert_eq!(name_of("P", 2222), "[p]:2222");
    }

    #[test]
    fn taking_a_host_out() {
        let text = "# h k x\nh,10.0.0.1 t k\nh t k c\n*.x,h t k\n@revoked h t k\nother t k\n";
        assert_eq!(KnownHosts::without("h", text), "# h k x\n10.0.0.1 t k\n*.x t k\n@revoked h t k\nother t k\n");
        assert_eq!(KnownHosts::without("none", text), text);
    }

    #[test]
    fn globs() {
        for (p, t, yes) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.x", "a.x.y", false),
            ("a**", "a", true),
        ] {
            assert_eq!(glob(p, t), yes, "{p} {t}");
        }
    }
}
