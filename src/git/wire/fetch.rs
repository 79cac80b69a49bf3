//! Fetching over a channel: wants and haves up, one pack down (gitprotocol-pack(5), "Packfile Negotiation").
//!
//! There is no negotiation: both sides have few heads and know them, so everything is said in one go, up to `done`.
//! `multi_ack` is asked for because its last answer shows itself: `ACK oid continue` for each commit that is common, then
//! one bare `ACK oid` or `NAK`, then the pack. Without it stock git may send a bare `ACK` more than once (for a commit,
//! and for its parent), so there only one commit is named.

use super::pktline::{self, Packet, Reader, broken};
use super::{Advertisement, Band, Words, band, form, hang_up, send, with_words, words_of};
use crate::error::{Error, Kind, Result};
use crate::id::Oid;
use std::io::{Read, Write};

/// Fetches as one pack, written to `sink` as it arrives; `sink` checks it.
///
/// All of `want` and not what `have` reaches; the server need not know `have`. The pack is complete in itself: thin ones
/// come with the deltas. `server` is what [`advertisement`](super::advertisement) gave on this channel; afterwards the
/// conversation is over.
///
/// Errors: of `sink` as they are; [`Kind::Unreachable`](crate::error::Kind::Unreachable) if the line breaks;
/// [`Kind::Raced`] if another device has pushed since the refs were asked for: the server gives only what it advertises
/// (`upload-pack: not our ref`); [`Kind::Failed`] with the server's words if it refuses.
pub fn fetch_over(
    channel: &mut (impl Read + Write + ?Sized),
    server: &Advertisement,
    want: &[Oid],
    have: &[Oid],
    sink: &mut dyn Write,
) -> Result<()> {
    if want.is_empty() {
        return hang_up(channel);
    }
    let any = server.offers("allow-reachable-sha1-in-want");
    if let Some(moved) = want.iter().find(|w| !any && !server.refs.values().any(|o| o == *w)) {
        hang_up(channel)?;
        return Err(Error::new(Kind::Raced, format!("the server has moved on from {moved}")));
    }
    send(channel, &encode(server, want, have))?;
    let mut words = Words::default();
    let done = receive(channel, server.offers("side-band-64k"), &mut words, sink);
    done.map_err(|e| with_words(&words, e))
}

/// The whole of what a client says.
fn encode(server: &Advertisement, want: &[Oid], have: &[Oid]) -> Vec<u8> {
    let mut out = Vec::new();
    let capabilities = server.ask(&["multi_ack", "side-band-64k", "no-progress"]);
    for (i, oid) in want.iter().enumerate() {
        match i {
            0 => pktline::line(format!("want {oid} {capabilities}\n").as_bytes(), &mut out),
            _ => pktline::line(format!("want {oid}\n").as_bytes(), &mut out),
        }
    }
    pktline::flush(&mut out);
    let named = if server.offers("multi_ack") { have.len() } else { 1 };
    for oid in have.iter().take(named) {
        pktline::line(format!("have {oid}\n").as_bytes(), &mut out);
    }
    pktline::line(b"done\n", &mut out);
    out
}

fn receive(channel: &mut (impl Read + ?Sized), banded: bool, words: &mut Words, sink: &mut dyn Write) -> Result<()> {
    let mut reader = Reader::default();
    loop {
        let Packet::Data(d) = reader.read(channel)? else { return Err(form("neither ACK nor NAK")) };
        let text = pktline::text(d);
        if let Some(e) = text.strip_prefix(b"ERR ") {
            return Err(Error::failed(format!("the server refuses: {}", words_of(e))));
        }
        let ack = text.strip_prefix(b"ACK ");
        if text == b"NAK" || ack.and_then(Oid::from_hex).is_some() {
            break;
        }
        if ack.and_then(|a| a.strip_suffix(b" continue")).and_then(Oid::from_hex).is_none() {
            return Err(form("neither ACK nor NAK"));
        }
    }
    if !banded {
        return raw(channel, sink);
    }
    loop {
        match band(&mut reader, channel, words)? {
            Band::Data(d) => sink.write_all(d)?,
            Band::Flush => return Ok(()),
        }
    }
}

/// Without side-bands the pack lasts until the stream ends.
fn raw(channel: &mut (impl Read + ?Sized), sink: &mut dyn Write) -> Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match channel.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => sink.write_all(&buffer[..n])?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broken(e)),
        }
    }
}
