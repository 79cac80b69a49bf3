//! Stanzas that we write, and the namespaces.
//!
//! `minidom` panics when it writes a control character, so every text goes through [`clean`].

use minidom::Element;
use rxml::{Namespace, NcName};

/// RFC 6120: stanzas.
pub const CLIENT: &str = "jabber:client";
/// RFC 6120 4: the stream itself.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120 5.
pub const STARTTLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120 6.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// RFC 6120 7.
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// RFC 6120 4.9: conditions of stream errors.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120 8.3: conditions of stanza errors.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// XEP-0440: which channel bindings a server has.
pub const CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// XEP-0198.
pub const ACKS: &str = "urn:xmpp:sm:3";
/// XEP-0199.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0030.
pub const DISCO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0115.
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// XEP-0060.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0060: what is pushed to us.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// XEP-0060: a node's owner.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0060 7.1.5.
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// XEP-0060 8.2.
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// XEP-0004.
pub const DATA: &str = "jabber:x:data";
/// XEP-0203: what was stored, and comes late.
pub const DELAY: &str = "urn:xmpp:delay";
/// Ours: a sealed notice; also the mark of what a machine has written, so that no machine answers it.
pub const NOTICE: &str = "urn:sharelock:notice:1";

/// `text` without what XML 1.0 cannot hold (2.2 Char); each such character becomes U+FFFD.
pub fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}

/// The first line of `text`, at most `most` characters of it, without control characters: for messages and logs.
pub fn line(text: &str, most: usize) -> String {
    let first = text.trim().lines().next().unwrap_or_default();
    first.chars().take(most).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// An element with attributes.
pub fn el(name: &'static str, ns: &str, attributes: &[(&'static str, &str)]) -> Element {
    let mut e = Element::bare(name, ns);
    for (key, value) in attributes {
        e.set_attr(Namespace::NONE, NcName::try_from(*key).expect("a name of this source"), clean(value));
    }
    e
}

/// Building in one expression.
pub trait With: Sized {
    /// With a child.
    #[must_use]
    fn with(self, child: Element) -> Self;
    /// With text, cleaned.
    #[must_use]
    fn text_of(self, text: &str) -> Self;
}

impl With for Element {
    fn with(mut self, child: Element) -> Self {
        self.append_child(child);
        self
    }

    fn text_of(mut self, text: &str) -> Self {
        self.append_text_node(clean(text));
        self
    }
}

/// An `<iq/>`. Without `to` it is for our own account's server.
pub fn iq(kind: &str, id: &str, to: Option<&str>, child: Option<Element>) -> Element {
    let e = match to {
        Some(to) => el("iq", CLIENT, &[("type", kind), ("id", id), ("to", to)]),
        None => el("iq", CLIENT, &[("type", kind), ("id", id)]),
    };
    match child {
        Some(child) => e.with(child),
        None => e,
    }
}

/// A chat message that says that a machine wrote it.
pub fn chat(to: &str, text: &str) -> Element {
    let body = el("body", CLIENT, &[]).text_of(text);
    el("message", CLIENT, &[("type", "chat"), ("to", to)]).with(body).with(el("machine", NOTICE, &[]))
}

/// The refusal of a request (RFC 6120 8.3).
pub fn refuse(request: &Element, kind: &str, condition: &'static str) -> Element {
    let error = el("error", CLIENT, &[("type", kind)]).with(el(condition, STANZA_ERRORS, &[]));
    iq("error", request.attr("id").unwrap_or_default(), request.attr("from"), Some(error))
}

/// The condition of an error stanza or stream error: the name of the defined condition, or `undefined-condition`.
pub fn condition(e: &Element) -> String {
    let holder = e.get_child("error", CLIENT).unwrap_or(e);
    let found = holder.children().find(|c| c.has_ns(STANZA_ERRORS) || c.has_ns(STREAM_ERRORS) || c.has_ns(SASL));
    found.map_or("undefined-condition".to_string(), |c| line(c.name(), 60))
}

/// The bytes for the wire.
pub fn bytes(e: &Element) -> Vec<u8> {
    let mut out = Vec::new();
    e.write_to(&mut out).expect("cleaned text goes into memory");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_minidom() {
        let text: String = (0u32..0x2000).chain(0xfff0..0x10010).filter_map(char::from_u32).collect();
        let e = chat(&text[..600], &text);
        let back: Element = String::from_utf8(bytes(&e)).unwrap().parse().unwrap();
        assert_eq!(back.get_child("body", CLIENT).unwrap().text(), clean(&text));
        assert_eq!(clean("a\u{0}b\u{1b}[0m\u{ffff}\u{85}"), "a\u{fffd}b\u{fffd}[0m\u{fffd}\u{fffd}");
    }
}
