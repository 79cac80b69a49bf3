//! git's protocol, versions 0 and 1, over any channel (gitprotocol-common(5), gitprotocol-pack(5)).
//!
//! The channel is a pair of byte streams; who makes it (ssh, a child process, a test) is not known here. Everything that
//! comes from the other side is bounded before it is kept.

use super::{PackSource, RefStatus, RefUpdate};
use crate::error::{Class, Error, Kind, Result};
use crate::id::Oid;
use crate::path::printable;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// Longest pkt-line, with its four digits.
const PKT: usize = 65_520;
/// Most refs that are read of a server.
const REFS: usize = 200_000;

/// One pkt-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkt {
    /// `0000`.
    Flush,
    /// Data; it stands in the buffer.
    Data,
}

fn bad(what: &str) -> Error {
    Error::integrity(Class::Form, format!("the server's answer: {what}"))
}

/// An end where an answer was due: the line broke, or the other side died.
fn ended(e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => Error::new(Kind::Unreachable, "the server ended the connection in the middle of its answer"),
        _ => e.into(),
    }
}

/// Reads a pkt-line into `buffer` (cleared first).
pub fn read_pkt(r: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Pkt> {
    buffer.clear();
    let mut head = [0u8; 4];
    r.read_exact(&mut head).map_err(ended)?;
    let text = std::str::from_utf8(&head).ok().filter(|t| t.bytes().all(|c| c.is_ascii_hexdigit()));
    let len = text.and_then(|t| usize::from_str_radix(t, 16).ok()).ok_or_else(|| bad("not git's protocol"))?;
    match len {
        0 => return Ok(Pkt::Flush),
        1..=3 => return Err(bad("a special packet that was not asked for")),
        _ if len > PKT => return Err(bad("a packet that is too long")),
        _ => {}
    }
    buffer.resize(len - 4, 0);
    r.read_exact(buffer).map_err(ended)?;
    Ok(Pkt::Data)
}

/// Appends a pkt-line.
pub fn write_pkt(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// What a server says first.
#[derive(Clone, Debug, Default)]
pub struct Advertisement {
    /// Its refs; without peeled tags and `HEAD`.
    pub refs: BTreeMap<String, Oid>,
    /// Its capabilities.
    pub capabilities: Vec<String>,
}

impl Advertisement {
    /// True if it offers this.
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c == capability)
    }
}

/// Reads the advertisement of `git-upload-pack` or `git-receive-pack`.
pub fn advertisement(r: &mut impl Read) -> Result<Advertisement> {
    let mut out = Advertisement::default();
    let mut line = Vec::new();
    let mut first = true;
    while read_pkt(r, &mut line)? == Pkt::Data {
        let text = line.trim_ascii_end();
        if let Some(e) = text.strip_prefix(b"ERR ") {
            return Err(Error::new(Kind::Unreachable, format!("the server says: {}", printable(e))));
        }
        if text == b"version 1" || text.starts_with(b"shallow ") {
            continue;
        }
        let text = match text.iter().position(|c| *c == 0) {
            Some(at) if first => {
                let caps = String::from_utf8_lossy(&text[at + 1..]).into_owned();
                out.capabilities = caps.split(' ').filter(|c| !c.is_empty()).take(200).map(str::to_string).collect();
                &text[..at]
            }
            _ => text,
        };
        first = false;
        let oid = text.get(..40).and_then(Oid::from_hex);
        let name = text.get(41..).and_then(|n| std::str::from_utf8(n).ok());
        match (oid, name) {
            (Some(_), Some("capabilities^{}" | "HEAD")) => {}
            (Some(_), Some(n)) if n.ends_with("^{}") => {}
            (Some(oid), Some(n)) if out.refs.len() < REFS => {
                out.refs.insert(n.to_string(), oid);
            }
            (Some(_), Some(_)) => return Err(Error::integrity(Class::Limit, "the server has more refs than can be used")),
            _ if text.get(..64).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)) => return Err(other_format("sha256")),
            _ => return Err(bad("a ref that is none")),
        }
    }
    for c in &out.capabilities {
        if let Some(f) = c.strip_prefix("object-format=").filter(|f| *f != "sha1") {
            return Err(other_format(f));
        }
    }
    Ok(out)
}

fn other_format(name: &str) -> Error {
    Error::integrity(Class::Version, format!("the repository on the server has the object format {}", printable(name.as_bytes())))
        .remedy("make one there with", "git init --bare -b main --object-format=sha1 PATH")
}

fn agent() -> String {
    format!("agent=sharelock/{}", env!("CARGO_PKG_VERSION"))
}

/// Fetches what is reachable from `want` and not from `have`, as one pack into `sink`; the advertisement was read.
pub fn fetch_over(c: &mut (impl Read + Write), adv: &Advertisement, want: &[Oid], have: &[Oid], sink: &mut dyn Write) -> Result<()> {
    let band = adv.offers("side-band-64k");
    let mut caps = vec![agent()];
    for cap in ["side-band-64k", "no-progress"] {
        if adv.offers(cap) {
            caps.push(cap.into());
        }
    }
    let mut out = Vec::new();
    for (i, oid) in want.iter().enumerate() {
        let line = if i == 0 { format!("want {oid} {}\n", caps.join(" ")) } else { format!("want {oid}\n") };
        write_pkt(&mut out, line.as_bytes());
    }
    out.extend_from_slice(b"0000");
    for oid in have {
        write_pkt(&mut out, format!("have {oid}\n").as_bytes());
    }
    write_pkt(&mut out, b"done\n");
    c.write_all(&out).map_err(ended)?;
    c.flush().map_err(ended)?;
    let mut line = Vec::new();
    loop {
        if read_pkt(c, &mut line)? == Pkt::Flush {
            continue;
        }
        match line.first() {
            Some(b'N' | b'A') if line.starts_with(b"NAK") || line.starts_with(b"ACK ") => {
                if !band {
                    break;
                }
            }
            Some(b'E') if line.starts_with(b"ERR ") => {
                return Err(Error::new(Kind::Unreachable, format!("the server says: {}", printable(line[4..].trim_ascii_end()))));
            }
            Some(1) if band => {
                sink.write_all(&line[1..])?;
                break;
            }
            Some(2) if band => {}
            Some(3) if band => return Err(server_says(&line[1..])),
            _ => return Err(bad("neither an acknowledgement nor a pack")),
        }
    }
    if band {
        return demux(c, sink);
    }
    let mut buffer = vec![0u8; 32 * 1024];
    loop {
        match c.read(&mut buffer).map_err(ended)? {
            0 => return Ok(()),
            n => sink.write_all(&buffer[..n])?,
        }
    }
}

fn server_says(text: &[u8]) -> Error {
    let text = printable(text.trim_ascii_end());
    let full = ["No space left", "quota exceeded", "Disk quota"].iter().any(|t| text.contains(t));
    Error::new(if full { Kind::Full } else { Kind::Unreachable }, format!("the server says: {text}"))
}

/// Copies band 1 to `sink` until the flush; band 2 is progress, band 3 an error.
fn demux(r: &mut impl Read, sink: &mut dyn Write) -> Result<()> {
    let mut line = Vec::new();
    while read_pkt(r, &mut line)? == Pkt::Data {
        match line.split_first() {
            Some((1, data)) => sink.write_all(data)?,
            Some((2, _)) => {}
            Some((3, text)) => return Err(server_says(text)),
            _ => return Err(bad("a packet without a band")),
        }
    }
    Ok(())
}

/// Sends updates and a pack; the advertisement was read. One status for each update.
pub fn push_over(
    c: &mut (impl Read + Write),
    adv: &Advertisement,
    updates: &[RefUpdate],
    atomic: bool,
    pack: &mut dyn PackSource,
) -> Result<Vec<RefStatus>> {
    if updates.is_empty() {
        c.write_all(b"0000").map_err(ended)?;
        return Ok(Vec::new());
    }
    let band = adv.offers("side-band-64k");
    let mut caps = vec![agent()];
    for (cap, use_it) in [("report-status", true), ("side-band-64k", true), ("quiet", true), ("atomic", atomic)] {
        if use_it && adv.offers(cap) {
            caps.push(cap.into());
        }
    }
    let mut out = Vec::new();
    for (i, u) in updates.iter().enumerate() {
        let zero = Oid::ZERO;
        let mut line = format!("{} {} {}", u.old.unwrap_or(zero), u.new.unwrap_or(zero), u.name).into_bytes();
        if i == 0 {
            line.push(0);
            line.extend_from_slice(caps.join(" ").as_bytes());
        }
        write_pkt(&mut out, &line);
    }
    out.extend_from_slice(b"0000");
    c.write_all(&out).map_err(ended)?;
    if updates.iter().any(|u| u.new.is_some()) {
        let mut w = io::BufWriter::with_capacity(32 * 1024, &mut *c);
        pack.write_to(&mut w)?;
        w.flush().map_err(ended)?;
    }
    c.flush().map_err(ended)?;
    if !adv.offers("report-status") {
        return Err(Error::new(Kind::Unreachable, "the server does not tell what became of a push"));
    }
    let mut report = Vec::new();
    if band {
        let mut capped = Capped { out: &mut report, left: 4 << 20 };
        demux(c, &mut capped)?;
        return read_report(&mut &report[..], updates);
    }
    read_report(c, updates)
}

/// A buffer that does not grow beyond a limit.
struct Capped<'b> {
    out: &'b mut Vec<u8>,
    left: usize,
}

impl Write for Capped<'_> {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(b.len()).ok_or_else(|| io::Error::from(bad("a report that is too long")))?;
        self.out.extend_from_slice(b);
        Ok(b.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `unpack ok`, then `ok REF` or `ng REF TEXT`. Texts differ from version to version and are only shown.
fn read_report(r: &mut impl Read, updates: &[RefUpdate]) -> Result<Vec<RefStatus>> {
    let mut line = Vec::new();
    if read_pkt(r, &mut line)? != Pkt::Data {
        return Err(bad("a report without a word on the pack"));
    }
    let unpack = line.trim_ascii_end().strip_prefix(b"unpack ").ok_or_else(|| bad("a report without a word on the pack"))?.to_vec();
    let mut said: BTreeMap<String, RefStatus> = BTreeMap::new();
    while read_pkt(r, &mut line)? == Pkt::Data {
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        if let Some(name) = text.strip_prefix("ok ") {
            said.insert(name.to_string(), RefStatus::Ok);
        } else if let Some((name, why)) = text.strip_prefix("ng ").and_then(|t| t.split_once(' ')) {
            said.insert(name.to_string(), RefStatus::Refused(why.to_string()));
        }
    }
    let refused = |why: &str| RefStatus::Refused(why.to_string());
    Ok(updates
        .iter()
        .map(|u| match said.remove(&u.name) {
            Some(RefStatus::Ok) if unpack != b"ok" => refused(&String::from_utf8_lossy(&unpack)),
            Some(s) => s,
            None if unpack != b"ok" => refused(&String::from_utf8_lossy(&unpack)),
            None => refused("the server says nothing of it"),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pkts(lines: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        lines.iter().for_each(|l| write_pkt(&mut out, l));
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
            (b"zzzz".to_vec(), Class::Form),
            (b"0001".to_vec(), Class::Form),
            (b"ffff".to_vec(), Class::Form),
            (pkts(&[format!("{oid} refs/heads/main\0object-format=sha256").as_bytes()]), Class::Version),
            (pkts(&[format!("{} refs/heads/main\0", "b".repeat(64)).as_bytes()]), Class::Version),
        ] {
            assert_eq!(advertisement(&mut &bytes[..]).unwrap_err().kind(), Kind::Integrity(class));
        }
        let e = advertisement(&mut &pkts(&[b"ERR no \x1b[31m such thing"])[..]).unwrap_err();
        assert!(e.kind() == Kind::Unreachable && e.to_string().contains("\\u{1b}"));
        assert_eq!(advertisement(&mut &b"0010abc"[..]).unwrap_err().kind(), Kind::Unreachable);
    }

    #[test]
    fn reports() {
        let u = |n: &str| RefUpdate { name: n.into(), old: None, new: Some(Oid([1; 20])) };
        let updates = [u("refs/heads/main"), u("refs/x/y")];
        let r = |lines: &[&[u8]]| read_report(&mut &pkts(lines)[..], &updates);
        assert_eq!(r(&[b"unpack ok\n", b"ok refs/heads/main\n", b"ng refs/x/y hook declined\n"]).unwrap(), [RefStatus::Ok, RefStatus::Refused("hook declined".into())]);
        assert!(matches!(&r(&[b"unpack disk full\n"]).unwrap()[0], RefStatus::Refused(t) if t == "disk full"));
        assert!(matches!(r(&[b"unpack ok\n"]).unwrap()[1], RefStatus::Refused(_)));
        assert!(r(&[b"what\n"]).is_err());
    }
}
