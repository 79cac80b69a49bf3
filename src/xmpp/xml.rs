//! XML as RFC 6120 11 restricts it, with limits: neither `rxml` nor `minidom` has any.
//!
//! MUST reject: a stanza of more than [`STANZA`] bytes, [`DEPTH`] levels or [`EVENTS`] events (memory); comments, processing
//! instructions, DTDs and entities beyond the five (rxml does); text between stanzas other than white space.

use minidom::Element;
use minidom::tree_builder::TreeBuilder;
use rxml::error::EndOrError;
use rxml::{Options, Parse, RawEvent, RawParser, WithOptions};

/// Bytes of one stanza, and of the stream's header.
pub const STANZA: usize = 64 * 1024;
/// Levels of one stanza, the stream's own among them.
pub const DEPTH: usize = 16;
/// Tags, attributes and texts of one stanza.
pub const EVENTS: usize = 4096;

/// What comes out.
#[derive(Debug)]
pub enum Item {
    /// The stream's header, without children.
    Open(Element),
    /// A whole child of the stream.
    Stanza(Element),
    /// The stream's end.
    Close,
}

/// The parser of one stream. After STARTTLS and after SASL a new one begins.
pub struct Parser {
    raw: RawParser,
    tree: TreeBuilder,
    /// Bytes and events since the last whole item.
    bytes: usize,
    events: usize,
    /// Elements that are open, those whose head is not complete among them.
    depth: usize,
    ended: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser that waits for a header.
    pub fn new() -> Parser {
        let options = Options { max_token_length: 8192, ..Options::default() };
        Parser { raw: RawParser::with_options(options), tree: TreeBuilder::new(), bytes: 0, events: 0, depth: 0, ended: false }
    }

    /// The next item of `input`, which is shortened by what was read; `None` when all of it was read.
    ///
    /// Errors: what a peer may not send. The parser is of no use then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, String> {
        loop {
            if self.ended {
                return if input.is_empty() { Ok(None) } else { Err("bytes after the stream's end".into()) };
            }
            // Never more than the limit at once, so that a giant is refused before it is read whole.
            let room = (STANZA + 1).saturating_sub(self.bytes).min(input.len());
            let mut piece = &input[..room];
            let step = self.raw.parse(&mut piece, false);
            let used = room - piece.len();
            *input = &input[used..];
            self.bytes += used;
            if self.bytes > STANZA {
                return Err(format!("a stanza of more than {STANZA} bytes"));
            }
            match step {
                Ok(Some(event)) => {
                    if let Some(item) = self.event(event)? {
                        return Ok(Some(item));
                    }
                }
                Ok(None) => return Ok(None),
                Err(EndOrError::NeedMoreData) if input.is_empty() => return Ok(None),
                Err(EndOrError::NeedMoreData) if used > 0 => {}
                Err(EndOrError::NeedMoreData) => return Err(format!("a stanza of more than {STANZA} bytes")),
                Err(EndOrError::Error(e)) => return Err(format!("not XML: {e}")),
            }
        }
    }

    fn event(&mut self, event: RawEvent) -> Result<Option<Item>, String> {
        self.events += 1;
        if self.events > EVENTS {
            return Err(format!("a stanza of more than {EVENTS} parts"));
        }
        let (head, foot) = (matches!(event, RawEvent::ElementHeadClose(_)), matches!(event, RawEvent::ElementFoot(_)));
        match &event {
            RawEvent::ElementHeadOpen(..) => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(format!("a stanza of more than {DEPTH} levels"));
                }
            }
            RawEvent::ElementFoot(_) => self.depth = self.depth.saturating_sub(1),
            RawEvent::Text(_, text) if self.depth <= 1 => {
                // The builder would pile it up in the header for as long as the stream lives.
                if text.bytes().all(|c| c.is_ascii_whitespace()) {
                    (self.bytes, self.events) = (0, 0);
                    return Ok(None);
                }
                return Err("text between stanzas".into());
            }
            _ => {}
        }
        self.tree.process_event(event).map_err(|e| format!("not XML with namespaces: {e}"))?;
        let item = match self.depth {
            1 if head => self.tree.top().cloned().map(Item::Open),
            1 if foot => self.tree.unshift_child().map(Item::Stanza),
            0 if foot => {
                self.ended = true;
                Some(Item::Close)
            }
            _ => None,
        };
        if item.is_some() {
            (self.bytes, self.events) = (0, 0);
            self.raw.release_temporaries();
        }
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='d'>";

    fn all(text: &str) -> Result<Vec<Item>, String> {
        let (mut p, mut input, mut out) = (Parser::new(), text.as_bytes(), Vec::new());
        while let Some(item) = p.next(&mut input)? {
            out.push(item);
        }
        Ok(out)
    }

    #[test]
    fn stanzas_come_out_whole_however_they_are_cut() {
        let text = format!("{HEAD} <message from='a@d'><body>x &lt; y &#x26;</body></message>\n<iq id='1'/></stream:stream>");
        for step in 1..text.len() {
            let (mut p, mut got) = (Parser::new(), Vec::new());
            for mut piece in text.as_bytes().chunks(step) {
                while let Some(item) = p.next(&mut piece).unwrap() {
                    got.push(item);
                }
                assert!(piece.is_empty());
            }
            let [Item::Open(head), Item::Stanza(m), Item::Stanza(iq), Item::Close] = &got[..] else { panic!("{step}: {got:?}") };
            assert_eq!((head.name(), head.attr("from")), ("stream", Some("d")));
            assert_eq!(m.get_child("body", "jabber:client").unwrap().text(), "x < y &");
            assert!(iq.is("iq", "jabber:client"));
        }
    }

    #[test]
    fn giants_are_refused() {
        for (what, text) in [
            ("a long text", format!("{HEAD}<message><body>{}</body></message>", "x".repeat(STANZA))),
            ("an endless header", format!("<stream:stream {}", "a='b' ".repeat(STANZA))),
            ("an endless declaration", format!("<?xml version='1.0' {}", " ".repeat(2 * STANZA))),
            ("an endless attribute", format!("{HEAD}<message from='{}", "x".repeat(2 * STANZA))),
            ("an endless name", format!("{HEAD}<{}", "x".repeat(2 * STANZA))),
            ("an endless gap in a tag", format!("{HEAD}<message {}", " ".repeat(2 * STANZA))),
            ("deep nesting", format!("{HEAD}{}", "<a>".repeat(DEPTH))),
            ("many children", format!("{HEAD}<a>{}", "<b/>".repeat(EVENTS))),
            ("many attributes", format!("{HEAD}<a {}", (0..EVENTS).map(|n| format!("a{n}='' ")).collect::<String>())),
        ] {
            assert!(all(&text).is_err(), "{what}");
        }
        let deep = format!("{HEAD}{}{}", "<a>".repeat(DEPTH - 1), "</a>".repeat(DEPTH - 1));
        assert_eq!(all(&deep).unwrap().len(), 2);
    }

    #[test]
    fn entities_and_declarations_are_refused() {
        for text in [
            "<!DOCTYPE stream [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>".to_string() + HEAD,
            format!("{HEAD}<!DOCTYPE x>"),
            format!("{HEAD}<message><body>&lol;</body></message>"),
            format!("{HEAD}<message><body>&#0;</body></message>"),
            format!("{HEAD}<message><!-- hidden --></message>"),
            format!("{HEAD}<?php evil ?>"),
            format!("{HEAD}<message><body></message>"),
            format!("{HEAD}<unknown:message/>"),
            format!("{HEAD}text<iq/>"),
            format!("{HEAD}</stream:stream>more"),
            "<message/>".to_string(),
        ] {
            assert!(all(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn white_space_between_stanzas_costs_nothing() {
        let (mut p, mut input) = (Parser::new(), HEAD.as_bytes());
        assert!(matches!(p.next(&mut input), Ok(Some(Item::Open(_)))));
        for _ in 0..2000 {
            assert!(p.next(&mut &[b' '; 1000][..]).unwrap().is_none());
        }
        assert!(matches!(p.next(&mut &b"<presence/>"[..]), Ok(Some(Item::Stanza(_)))));
    }
}
