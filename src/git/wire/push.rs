//! Pushing over a channel: commands and a pack up, a report down (gitprotocol-pack(5), "Pushing Data To a Server").

use super::pktline::{self, Packet, Reader, broken};
use super::{Advertisement, Band, Words, band, form, hang_up, send, with_words, words_of};
use crate::error::{Class, Error, Kind, Result};
use crate::git::pack_write::pack_header;
use crate::git::{PackSource, RefStatus, RefUpdate};
use crate::id::Oid;
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::io::{self, Read, Write};

/// Most bytes of a report: a line for each update.
const REPORT: usize = 1 << 20;

/// Sends `pack` and asks for `updates`, all or none if `atomic`. One status for each update, in order.
///
/// `server` is what [`advertisement`](super::advertisement) gave on this channel; afterwards the conversation
/// is over. An update whose `old` is not what the server has just advertised is refused here, before anything is sent:
/// a lost race would leave its objects on the server for two weeks.
///
/// Errors: [`Kind::Unreachable`] if the line breaks; what the server took is then not known. Errors of `pack` as they
/// are, with nothing changed there. [`Kind::Failed`] if the server cannot do what is asked.
pub fn push_over(
    channel: &mut (impl Read + Write + ?Sized),
    server: &Advertisement,
    updates: &[RefUpdate],
    atomic: bool,
    pack: &mut dyn PackSource,
) -> Result<Vec<RefStatus>> {
    if updates.is_empty() {
        hang_up(channel)?;
        return Ok(Vec::new());
    }
    if !server.offers("report-status") || (atomic && !server.offers("atomic")) {
        hang_up(channel)?;
        let lacks = if atomic { "atomic pushes" } else { "reports" };
        return Err(Error::failed(format!("the server's git is too old: it knows no {lacks}")));
    }
    let mut out: Vec<RefStatus> = updates.iter().map(|u| precheck(server, u)).collect();
    let refused = out.iter().any(|s| *s != RefStatus::Ok);
    if refused && atomic {
        for status in out.iter_mut().filter(|s| **s == RefStatus::Ok) {
            *status = RefStatus::Refused("another ref of the same push was refused".into());
        }
    }
    let sent: Vec<usize> = (0..updates.len()).filter(|i| out[*i] == RefStatus::Ok).collect();
    if sent.is_empty() {
        hang_up(channel)?;
        return Ok(out);
    }
    let mut words = Words::default();
    let report =
        exchange(channel, server, sent.iter().map(|i| &updates[*i]), atomic, pack, &mut words).map_err(|e| with_words(&words, e))?;
    for i in sent {
        out[i] = report.status(&updates[i].name, &words);
    }
    Ok(out)
}

/// What can be known before anything is sent.
fn precheck(server: &Advertisement, update: &RefUpdate) -> RefStatus {
    let now = server.refs.get(&update.name).copied();
    if now != update.old {
        return RefStatus::Refused(match now {
            Some(oid) => format!("it is at {oid} there"),
            None => "it is not there".into(),
        });
    }
    if update.new.is_none() && !server.offers("delete-refs") {
        return RefStatus::Refused("the server lets nobody delete refs".into());
    }
    RefStatus::Ok
}

fn exchange<'u>(
    channel: &mut (impl Read + Write + ?Sized),
    server: &Advertisement,
    updates: impl Iterator<Item = &'u RefUpdate>,
    atomic: bool,
    pack: &mut dyn PackSource,
    words: &mut Words,
) -> Result<Report> {
    let mut wanted = vec!["report-status", "side-band-64k", "quiet"];
    if atomic {
        wanted.push("atomic");
    }
    let capabilities = server.ask(&wanted);
    let (mut commands, mut first, mut only_deletes) = (Vec::new(), true, true);
    for u in updates {
        let (old, new) = (u.old.unwrap_or(Oid::ZERO), u.new.unwrap_or(Oid::ZERO));
        let mut line = format!("{old} {new} {}", u.name);
        if first {
            line.push('\0');
            line.push_str(&capabilities);
        }
        pktline::line(line.as_bytes(), &mut commands);
        first = false;
        only_deletes &= u.new.is_none();
    }
    pktline::flush(&mut commands);
    send(channel, &commands)?;
    // A server that is only asked to delete waits for no pack.
    let broke = if only_deletes { None } else { send_pack(channel, pack)? };
    // A server that refuses early hangs up on the pack, but has said why.
    receive(channel, server.offers("side-band-64k"), words).map_err(|e| match (e.kind(), broke) {
        (Kind::Unreachable, Some(cause)) => cause,
        _ => e,
    })
}

/// Sends the pack. `Some` if the line broke on the way; an error if the pack itself could not be read.
fn send_pack(channel: &mut (impl Write + ?Sized), pack: &mut dyn PackSource) -> Result<Option<Error>> {
    let mut out = Sending { channel, broke: None };
    let done = if pack.objects() == 0 { out.write_all(&empty_pack()).map_err(Error::from) } else { pack.write_to(&mut out) };
    let done = done.and_then(|()| Ok(out.flush()?));
    match (done, out.broke) {
        (Err(e), _) if e.is_stopped() => Err(e),
        (_, Some(broke)) => Ok(Some(broke)),
        (Err(e), None) => Err(e),
        (Ok(()), None) => Ok(None),
    }
}

/// A pack without objects: for refs that are set to what the server has already.
fn empty_pack() -> Vec<u8> {
    let mut out = pack_header(0).to_vec();
    let sum: [u8; 20] = Sha1::digest(&out).into();
    out.extend_from_slice(&sum);
    out
}

/// Tells the line's errors from the pack's.
struct Sending<'c, C: Write + ?Sized> {
    channel: &'c mut C,
    broke: Option<Error>,
}

impl<C: Write + ?Sized> Sending<'_, C> {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|e| {
            if e.kind() == io::ErrorKind::Interrupted {
                return e;
            }
            let e = broken(e);
            if e.is_stopped() {
                return e.into();
            }
            self.broke = Some(e);
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl<C: Write + ?Sized> Write for Sending<'_, C> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let result = self.channel.write(data);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.channel.flush();
        self.note(result)
    }
}

/// The server's report.
struct Report {
    /// `unpack`: `None` if it went well.
    unpack: Option<String>,
    /// By name: `None` for `ok`, else the words behind `ng`.
    refs: HashMap<String, Option<String>>,
}

impl Report {
    fn status(&self, name: &str, words: &Words) -> RefStatus {
        let why = match (self.refs.get(name), &self.unpack) {
            // `ok` counts only if the pack was taken.
            (Some(None), None) => return RefStatus::Ok,
            (Some(Some(why)), None) => why.clone(),
            (Some(Some(why)), Some(unpack)) => format!("{why} ({unpack})"),
            (_, Some(unpack)) => unpack.clone(),
            (None, None) => "the server says nothing about it".into(),
        };
        // A hook's reason comes as progress.
        let lines = words.lines();
        RefStatus::Refused(if lines.is_empty() { why } else { format!("{why}: {}", lines.join("; ")) })
    }
}

fn receive(channel: &mut (impl Read + ?Sized), banded: bool, words: &mut Words) -> Result<Report> {
    if !banded {
        return parse(channel);
    }
    let mut reader = Reader::default();
    let mut report = Vec::new();
    while let Band::Data(d) = band(&mut reader, channel, words)? {
        if report.len() + d.len() > REPORT {
            return Err(Error::integrity(Class::Limit, "the server's report is longer than 1 MB"));
        }
        report.extend_from_slice(d);
    }
    // Cut short, it ends as a line that broke: nothing is then known.
    parse(&mut &report[..])
}

/// Reads a report up to its flush.
fn parse(from: &mut (impl Read + ?Sized)) -> Result<Report> {
    let mut reader = Reader::default();
    let mut report = Report { unpack: None, refs: HashMap::new() };
    let (mut first, mut bytes) = (true, 0);
    loop {
        let text = match reader.read(from)? {
            Packet::Flush if first => return Err(form("an empty report")),
            Packet::Flush => return Ok(report),
            Packet::Data(d) => pktline::text(d),
            _ => return Err(form("a packet of protocol version 2")),
        };
        bytes += text.len();
        if bytes > REPORT {
            return Err(Error::integrity(Class::Limit, "the server's report is longer than 1 MB"));
        }
        if let Some(e) = text.strip_prefix(b"ERR ") {
            return Err(Error::failed(format!("the server refuses: {}", words_of(e))));
        }
        if first {
            let how = text.strip_prefix(b"unpack ").ok_or_else(|| form("a report that does not begin with unpack"))?;
            report.unpack = (how != b"ok").then(|| words_of(how));
            first = false;
        } else if let Some(name) = text.strip_prefix(b"ok ") {
            report.refs.insert(String::from_utf8_lossy(name).into_owned(), None);
        } else if let Some(rest) = text.strip_prefix(b"ng ") {
            let (name, why) = rest.split_at(rest.iter().position(|c| *c == b' ').unwrap_or(rest.len()));
            report.refs.insert(String::from_utf8_lossy(name).into_owned(), Some(words_of(why)));
        } else if !text.starts_with(b"option ") {
            return Err(form("a line in the report that is neither ok nor ng"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&[u8]], cut: bool) -> Result<Report> {
        let mut out = Vec::new();
        lines.iter().for_each(|l| pktline::line(l, &mut out));
        if !cut {
            pktline::flush(&mut out);
        }
        parse(&mut &out[..])
    }

    fn statuses(lines: &[&[u8]]) -> Vec<RefStatus> {
        let r = report(lines, false).unwrap();
        ["refs/heads/main", "refs/x/y"].iter().map(|n| r.status(n, &Words::default())).collect()
    }

    #[test]
    fn reports() {
        let no = |why: &str| RefStatus::Refused(why.into());
        let s = statuses(&[b"unpack ok\n", b"ok refs/heads/main\n", b"ng refs/x/y hook declined\n"]);
        assert_eq!(s, [RefStatus::Ok, no("hook declined")]);
        assert_eq!(statuses(&[b"unpack disk full\n"]), [no("disk full"), no("disk full")]);
        let s = statuses(&[b"unpack disk full\n", b"ok refs/heads/main\n", b"ng refs/x/y unpacker error\n"]);
        assert_eq!(s, [no("disk full"), no("unpacker error (disk full)")]);
        assert!(matches!(statuses(&[b"unpack ok\n", b"ng refs/x/y\n"])[..], [RefStatus::Refused(_), RefStatus::Refused(_)]));
    }

    #[test]
    fn reports_that_are_none() {
        let rows: [(&[&[u8]], bool, Kind); 5] = [
            (&[b"what\n"], false, Kind::Integrity(Class::Form)),
            (&[], false, Kind::Integrity(Class::Form)),
            (&[b"unpack ok\n", b"perhaps refs/heads/main\n"], false, Kind::Integrity(Class::Form)),
            (&[b"unpack ok\n", b"ok refs/heads/main\n"], true, Kind::Unreachable),
            (&[], true, Kind::Unreachable),
        ];
        for (lines, cut, kind) in rows {
            assert_eq!(report(lines, cut).err().map(|e| e.kind()), Some(kind), "{lines:?}");
        }
    }
}
