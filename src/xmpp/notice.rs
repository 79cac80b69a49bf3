//! The notice's PEP node (XEP-0163, XEP-0060): private, persistent, one item.
//!
//! Its name is derived from a key and says nothing of the vault. Access is by whitelist: the account's own resources, nobody
//! else, but for the accounts of those who share the vault, which are made members. The payload is opaque here; whether it is genuine and new is for its reader to say.

use super::stanza::{self, CLIENT, DATA, NODE_CONFIG, NOTICE, PUBLISH_OPTIONS, PUBSUB, PUBSUB_EVENT, PUBSUB_OWNER, With, el};
use data_encoding::BASE64;
use jid::BareJid;
use minidom::Element;

/// The item: each notice takes the place of the one before.
pub const ITEM: &str = "current";
/// Bytes of the longest payload that is taken. A sealed notice has 128.
pub const LONGEST: usize = 1024;

fn read_payload(e: &Element) -> Option<Vec<u8>> {
    let text = e.text();
    if text.len() > LONGEST.div_ceil(3) * 4 {
        return None;
    }
    BASE64.decode(text.trim().as_bytes()).ok().filter(|b| !b.is_empty())
}

fn field(var: &str, value: &str) -> Element {
    el("field", DATA, &[("var", var)]).with(el("value", DATA, &[]).text_of(value))
}

/// What the node must be. ejabberd 23.01 rejects `max_items`, which for an item id of its own is not needed.
fn form(kind: &str) -> Element {
    let form_type = el("field", DATA, &[("var", "FORM_TYPE"), ("type", "hidden")]).with(el("value", DATA, &[]).text_of(kind));
    el("x", DATA, &[("type", "submit")])
        .with(form_type)
        .with(field("pubsub#access_model", "whitelist"))
        .with(field("pubsub#persist_items", "true"))
}

/// Publishes; makes the node if there is none.
pub fn publish(id: &str, node: &str, bytes: &[u8]) -> Element {
    let item = el("item", PUBSUB, &[("id", ITEM)]).with(el("notice", NOTICE, &[]).text_of(&BASE64.encode(bytes)));
    let options = el("publish-options", PUBSUB, &[]).with(form(PUBLISH_OPTIONS));
    let pubsub = el("pubsub", PUBSUB, &[]).with(el("publish", PUBSUB, &[("node", node)]).with(item)).with(options);
    stanza::iq("set", id, None, Some(pubsub))
}

/// Puts a node right that somebody made with other options.
pub fn configure(id: &str, node: &str) -> Element {
    let pubsub = el("pubsub", PUBSUB_OWNER, &[]).with(el("configure", PUBSUB_OWNER, &[("node", node)]).with(form(NODE_CONFIG)));
    stanza::iq("set", id, None, Some(pubsub))
}

/// Asks for the item, on our own account or another's.
pub fn fetch(id: &str, of: Option<&str>, node: &str) -> Element {
    let items = el("items", PUBSUB, &[("node", node)]).with(el("item", PUBSUB, &[("id", ITEM)]));
    stanza::iq("get", id, of, Some(el("pubsub", PUBSUB, &[]).with(items)))
}

/// Lets other accounts read the node (XEP-0060 8.9).
pub fn grant(id: &str, node: &str, people: &[BareJid]) -> Element {
    let mut all = el("affiliations", PUBSUB_OWNER, &[("node", node)]);
    for person in people {
        all.append_child(el("affiliation", PUBSUB_OWNER, &[("jid", person.as_str()), ("affiliation", "member")]));
    }
    stanza::iq("set", id, None, Some(el("pubsub", PUBSUB_OWNER, &[]).with(all)))
}

/// Says to another account that it may read the node now. A headline: who is offline asks when it comes, and needs no stored message.
pub fn granted(to: &str, node: &str) -> Element {
    el("message", CLIENT, &[("type", "headline"), ("to", to)]).with(el("granted", NOTICE, &[("node", node)]))
}

/// True if a message is [`granted`] of this node.
pub fn is_granted(message: &Element, node: &str) -> bool {
    message.get_child("granted", NOTICE).is_some_and(|g| g.attr("node") == Some(node))
}

/// Asks another account to tell `who` (XEP-0060 6.1).
pub fn subscribe(id: &str, of: &str, node: &str, who: &str) -> Element {
    let subscribe = el("subscribe", PUBSUB, &[("node", node), ("jid", who)]);
    stanza::iq("set", id, Some(of), Some(el("pubsub", PUBSUB, &[]).with(subscribe)))
}

/// The payload of a fetched item.
pub fn fetched(result: &Element, node: &str) -> Option<Vec<u8>> {
    let items = result.get_child("pubsub", PUBSUB)?.get_child("items", PUBSUB)?;
    of_items(items, PUBSUB, node)
}

/// The payload of an event message.
pub fn pushed(message: &Element, node: &str) -> Option<Vec<u8>> {
    let items = message.get_child("event", PUBSUB_EVENT)?.get_child("items", PUBSUB_EVENT)?;
    of_items(items, PUBSUB_EVENT, node)
}

fn of_items(items: &Element, ns: &str, node: &str) -> Option<Vec<u8>> {
    let right = items.attr("node") == Some(node);
    let item = items.children().filter(|i| right && i.is("item", ns) && i.attr("id") == Some(ITEM)).last()?;
    read_payload(item.get_child("notice", NOTICE)?)
}

/// Without PEP: the notice as a request to one resource. To one that is gone it comes back, where a message would be stored.
pub fn direct(id: &str, to: &str, node: &str, bytes: &[u8]) -> Element {
    let notice = el("notice", NOTICE, &[("node", node)]).text_of(&BASE64.encode(bytes));
    stanza::iq("set", id, Some(to), Some(notice))
}

/// The payload of [`direct`].
pub fn directed(iq: &Element, node: &str) -> Option<Vec<u8>> {
    let notice = iq.get_child("notice", NOTICE).filter(|n| n.attr("node") == Some(node) && iq.is("iq", CLIENT))?;
    read_payload(notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_node_and_item_and_sane_payloads_are_read() {
        let message = |node: &str, id: &str, text: &str| -> Element {
            format!("<message xmlns='jabber:client'><event xmlns='{PUBSUB_EVENT}'><items node='{node}'><item id='{id}'><notice xmlns='{NOTICE}'>{text}</notice></item></items></event></message>")
                .parse()
                .unwrap()
        };
        assert_eq!(pushed(&message("n", "current", "AQI="), "n"), Some(vec![1, 2]));
        assert_eq!(pushed(&message("n", "current", "AQI"), "n"), None);
        assert_eq!(pushed(&message("n", "current", ""), "n"), None);
        assert_eq!(pushed(&message("m", "current", "AQI="), "n"), None);
        assert_eq!(pushed(&message("n", "x", "AQI="), "n"), None);
        assert_eq!(pushed(&message("n", "current", &BASE64.encode(&[0; LONGEST])), "n").map(|b| b.len()), Some(LONGEST));
        assert_eq!(pushed(&message("n", "current", &BASE64.encode(&[0; LONGEST + 3])), "n"), None);
        let retract = format!(
            "<message xmlns='jabber:client'><event xmlns='{PUBSUB_EVENT}'><items node='n'><retract id='current'/></items></event></message>"
        );
        assert_eq!(pushed(&retract.parse().unwrap(), "n"), None);
    }

    #[test]
    fn what_is_sent_to_one_is_read_by_one() {
        let iq = direct("1", "me@d/x", "n", &[9; 128]);
        assert_eq!(directed(&iq, "n"), Some(vec![9; 128]));
        assert_eq!(directed(&iq, "m"), None);
    }
}
