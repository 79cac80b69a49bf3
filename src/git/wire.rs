//! git's protocol, versions 0 and 1, as seen by a client (gitprotocol-pack(5), gitprotocol-capabilities(5)).
//!
//! Everything here speaks over a blocking two-way stream to `git-upload-pack` or `git-receive-pack`; who opened it (ssh,
//! a pipe, a test) is not known here, and how long it may wait is up to the stream. A conversation begins with
//! [`advertisement`], goes on with [`fetch_over`] or [`push_over`], or ends with [`hang_up`].
//!
//! All that is read is bounded, and what a server says in words is escaped before anybody sees it.

mod fetch;
pub mod pktline;
mod push;

pub use fetch::fetch_over;
pub use push::push_over;

use self::pktline::{Packet, Reader, broken};
use crate::error::{Class, Error, Kind, Result};
use crate::id::Oid;
use crate::path::printable;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// Most bytes of refs that a server may advertise; 10 000 refs are one megabyte.
pub const ADVERTISED: u64 = 16 << 20;
/// Most bytes of a server's words that are kept for a message.
const WORDS: usize = 2048;

/// What the server said first: its refs and what it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Refs by full name; without `HEAD`, peeled tags and `.have` lines.
    pub refs: BTreeMap<String, Oid>,
    /// HEAD is shown: it names something that is there.
    head: bool,
    capabilities: Vec<String>,
}

/// What HEAD of a repository names, as far as its advertisement tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// This ref.
    Names(&'a str),
    /// Something that is there; an old git does not say what.
    There,
    /// A branch that is not there: a plain clone comes out empty.
    Missing,
}

impl Advertisement {
    /// True if the server has this capability (`atomic`, or the name of one with a value).
    pub fn offers(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a capability `name=value`; empty for one without.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|c| {
            let rest = c.strip_prefix(name)?;
            if rest.is_empty() { Some("") } else { rest.strip_prefix('=') }
        })
    }

    /// What HEAD names (gitprotocol-capabilities(5), `symref`).
    pub fn head(&self) -> Head<'_> {
        let names = self.capabilities.iter().find_map(|c| c.strip_prefix("symref=HEAD:"));
        match (names, self.head) {
            (Some(name), _) => Head::Names(name),
            (None, true) => Head::There,
            (None, false) => Head::Missing,
        }
    }

    /// The capabilities that we ask for, of those in `wanted` that the server has, with our name.
    fn ask(&self, wanted: &[&str]) -> String {
        let mut out: Vec<String> = wanted.iter().filter(|c| self.offers(c)).map(|c| c.to_string()).collect();
        if self.offers("object-format") {
            out.push("object-format=sha1".into());
        }
        if self.offers("agent") {
            out.push(format!("agent=sharelock/{}", env!("CARGO_PKG_VERSION")));
        }
        out.join(" ")
    }
}

/// Reads the advertisement, which opens every conversation.
///
/// Errors: [`Kind::Unreachable`] if there is no repository, no git, or no permission (what the far side then writes to
/// its standard error is the caller's to read); Integrity (version) for a repository that is not SHA-1, by name;
/// Integrity (limit, form).
pub fn advertisement(channel: &mut (impl Read + ?Sized)) -> Result<Advertisement> {
    let mut reader = Reader::default();
    let mut out = Advertisement::default();
    let mut bytes = 0u64;
    let mut first = true;
    loop {
        let packet = match reader.read(channel) {
            Ok(p) => p,
            // A login shell that prints, or no git at all: what it says is all that there is to go by.
            Err(e) if bytes == 0 && matches!(e.kind(), Kind::Integrity(_)) => {
                return Err(Error::new(Kind::Unreachable, "the server answers, but not with git's protocol").because(e));
            }
            Err(e) => return Err(e),
        };
        let payload = match packet {
            Packet::Flush => return Ok(out),
            Packet::Data(d) => d,
            _ => return Err(form("a packet of protocol version 2")),
        };
        bytes += payload.len() as u64 + 4;
        if bytes > ADVERTISED {
            return Err(Error::integrity(Class::Limit, "the server has too many refs, more than 16 MB of them"));
        }
        let text = pktline::text(payload);
        if let Some(words) = text.strip_prefix(b"ERR ") {
            return Err(Error::new(Kind::Unreachable, format!("the server refuses: {}", words_of(words))));
        }
        if first && text == b"version 1" {
            continue;
        }
        if first && text.starts_with(b"version ") {
            return Err(Error::integrity(Class::Version, format!("the server speaks git's protocol {}", printable(text))));
        }
        out.line(text, first)?;
        first = false;
    }
}

impl Advertisement {
    fn line(&mut self, text: &[u8], first: bool) -> Result<()> {
        let mut text = text;
        if first {
            if let Some(nul) = text.iter().position(|b| *b == 0) {
                let caps = String::from_utf8_lossy(&text[nul + 1..]);
                self.capabilities = caps.split_ascii_whitespace().map(str::to_string).collect();
                text = &text[..nul];
            }
            if let Some(format) = self.value("object-format").filter(|f| *f != "sha1") {
                return Err(other_format(format));
            }
        }
        if let Some(oid) = text.strip_prefix(b"shallow ") {
            return Oid::from_hex(oid).map(|_| ()).ok_or_else(|| form("a shallow line without an id"));
        }
        if text.split(|c| *c == b' ').next().is_some_and(|h| h.len() == 64 && h.iter().all(u8::is_ascii_hexdigit)) {
            return Err(other_format("sha256"));
        }
        let (oid, name) = match text.split_at_checked(40) {
            Some((oid, [b' ', name @ ..])) => (Oid::from_hex(oid).ok_or_else(|| form("a ref without an id"))?, name),
            _ => return Err(form("a line that is no ref")),
        };
        match name {
            b"capabilities^{}" if first && oid == Oid::ZERO => {}
            b"HEAD" => self.head = true,
            b".have" => {}
            _ if name.ends_with(b"^{}") => {}
            _ => {
                // A name that is not UTF-8 is none of ours; refs are only looked up by name.
                if let Ok(name) = std::str::from_utf8(name)
                    && self.refs.insert(name.to_string(), oid).is_some()
                {
                    return Err(form("a ref twice"));
                }
            }
        }
        Ok(())
    }
}

fn other_format(name: &str) -> Error {
    Error::integrity(Class::Version, format!("the repository on the server has the object format {}", printable(name.as_bytes())))
        .remedy("make one there with", "git init --bare -b main --object-format=sha1 PATH")
}

/// Ends a conversation politely after the advertisement: nothing is wanted, nothing is sent.
pub fn hang_up(channel: &mut (impl Write + ?Sized)) -> Result<()> {
    send(channel, b"0000")
}

/// Writes all of `bytes` and flushes.
fn send(channel: &mut (impl Write + ?Sized), bytes: &[u8]) -> Result<()> {
    channel.write_all(bytes).and_then(|()| channel.flush()).map_err(broken)
}

/// Adds what a server said last to an error that says that the line broke.
fn with_words(words: &Words, e: Error) -> Error {
    match e.kind() {
        Kind::Unreachable => words.lines().into_iter().fold(e, |e, line| e.detail(format!("the server says: {line}"))),
        _ => e,
    }
}

/// The last words of a server: side-band 2, bounded.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    /// More of them; the oldest are forgotten.
    fn hear(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(WORDS)..]);
        let surplus = self.0.len().saturating_sub(WORDS);
        self.0.drain(..surplus);
    }

    /// The last few lines, escaped.
    fn lines(&self) -> Vec<String> {
        lines_of(&self.0)
    }
}

fn lines_of(bytes: &[u8]) -> Vec<String> {
    let bytes = &bytes[bytes.len().saturating_sub(WORDS)..];
    let lines: Vec<String> =
        bytes.split(|b| matches!(b, b'\n' | b'\r')).map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()).map(printable).collect();
    lines[lines.len().saturating_sub(8)..].to_vec()
}

/// Words of a server, cut and escaped.
fn words_of(bytes: &[u8]) -> String {
    printable(bytes[..bytes.len().min(WORDS)].trim_ascii())
}

fn form(what: &str) -> Error {
    Error::integrity(Class::Form, format!("the server does not keep to git's protocol: {what}"))
}

/// Payload of side-band 1 (`side-band-64k`), one packet at a time.
enum Band<'a> {
    /// Bytes of the pack, or of the report.
    Data(&'a [u8]),
    /// The end.
    Flush,
}

/// Reads packets until one has payload; progress goes to `words`. A server's last error (band 3) is an error.
fn band<'r>(reader: &'r mut Reader, channel: &mut (impl Read + ?Sized), words: &mut Words) -> Result<Band<'r>> {
    loop {
        // A packet that is passed on borrows its reader, so it is taken behind the loop.
        match reader.read(channel)? {
            Packet::Flush => return Ok(Band::Flush),
            Packet::Data([1, ..]) => break,
            Packet::Data([2, progress @ ..]) => words.hear(progress),
            Packet::Data([3, last @ ..]) => {
                let text = words_of(last);
                // Only for the name of the problem: nothing is decided by it.
                let full = ["No space left", "quota"].iter().any(|t| text.contains(t));
                return Err(Error::new(if full { Kind::Full } else { Kind::Failed }, format!("the server gave up: {text}")));
            }
            Packet::Data(d) if d.starts_with(b"ERR ") => {
                return Err(Error::failed(format!("the server refuses: {}", words_of(&d[4..]))));
            }
            _ => return Err(form("a packet outside of the side-bands")),
        }
    }
    Ok(Band::Data(&reader.last()[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pkts(lines: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        lines.iter().for_each(|l| pktline::line(l, &mut out));
        out.extend_from_slice(b"0000");
        out
    }

    #[test]
    fn advertisements() {
        let oid = "a".repeat(40);
        let empty = pkts(&[format!("{} capabilities^{{}}\0report-status atomic", "0".repeat(40)).as_bytes()]);
        let a = advertisement(&mut &empty[..]).unwrap();
        assert!(a.refs.is_empty() && a.offers("atomic"));
        let two = pkts(&[b"version 1", format!("{oid} HEAD\0side-band-64k").as_bytes(), format!("{oid} refs/heads/main\n").as_bytes()]);
        assert_eq!(advertisement(&mut &two[..]).unwrap().refs.len(), 1);
        for (bytes, class) in [
            (pkts(&[b"nonsense"]), Class::Form),
            (b"0001".to_vec(), Class::Form),
            (pkts(&[format!("{oid} refs/heads/main\0object-format=sha256").as_bytes()]), Class::Version),
            (pkts(&[format!("{} refs/heads/main\0", "b".repeat(64)).as_bytes()]), Class::Version),
            (pkts(&[b"version 2"]), Class::Version),
            (pkts(&[format!("{oid} refs/heads/a").as_bytes(), format!("{oid} refs/heads/a").as_bytes()]), Class::Form),
        ] {
            assert_eq!(advertisement(&mut &bytes[..]).unwrap_err().kind(), Kind::Integrity(class));
        }
        for greeting in [&b"zzzz"[..], b"ffff", b"Last login: today\n", b""] {
            assert_eq!(advertisement(&mut &greeting[..]).unwrap_err().kind(), Kind::Unreachable);
        }
        let e = advertisement(&mut &pkts(&[b"ERR no \x1b[31m such thing"])[..]).unwrap_err();
        assert!(e.kind() == Kind::Unreachable && e.to_string().contains("\\u{1b}"));
        assert_eq!(advertisement(&mut &b"0010abc"[..]).unwrap_err().kind(), Kind::Unreachable);
    }

    #[test]
    fn an_advertisement_without_an_end() {
        let line = pkts(&[format!("{} refs/heads/{}", "a".repeat(40), "b".repeat(60_000)).as_bytes()]);
        let mut n = 0;
        let many: Vec<u8> = std::iter::repeat_with(|| {
            n += 1;
            let mut line = line[..line.len() - 4].to_vec();
            line[60..70].copy_from_slice(format!("{n:010}").as_bytes());
            line
        })
        .take(300)
        .flatten()
        .collect();
        assert_eq!(advertisement(&mut &many[..]).unwrap_err().kind(), Kind::Integrity(Class::Limit));
    }

    #[test]
    fn the_last_words_are_bounded_and_escaped() {
        let mut words = Words::default();
        for i in 0..1000 {
            words.hear(format!("line \x1b {i}\r").as_bytes());
        }
        words.hear(&[b'x'; 100_000]);
        words.hear(b"\nlast\n");
        let lines = words.lines();
        assert!(lines.len() <= 8 && lines.last().is_some_and(|l| l == "last"), "{lines:?}");
        assert!(lines.iter().all(|l| l.len() <= WORDS && !l.contains('\x1b')));
    }
}
