//! What is said once the stream is up: stanzas in, stanzas and events out, no I/O.
//!
//! MUST reject: answers and events that do not come from the own account or its server (anybody can send a message that looks
//! like one); commands by strangers ([`super::chat`]).

mod node;

use super::stanza::{self, CAPS, CLIENT, DISCO, PING, With, el};
use super::{Command, Config, Event, Tls, Verb, chat, compat, notice};
use data_encoding::BASE64;
use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Names our kind of client (XEP-0115).
pub const CLIENT_NODE: &str = "urn:sharelock:client";
/// Other devices of the account that are kept in mind.
const PEERS: usize = 64;
/// Notices that are kept in mind, so that each is told once (ejabberd sends some twice).
const SEEN: usize = 16;
/// Requests without an answer. Each has one sooner or later; a server that gives none is let go long before.
const ASKED: usize = 256;

/// What comes of a step.
#[derive(Debug, Default)]
pub struct Out {
    /// To be written.
    pub stanzas: Vec<Element>,
    /// To be told to the agent.
    pub events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Ping,
    Fetch,
    Publish,
    Configure,
    Direct,
    Grant,
    Subscribe,
}

/// One account on one device, over all its connections.
pub struct Session {
    config: Config,
    own: BareJid,
    me: Option<FullJid>,
    ids: u64,
    /// By id: what, and of whom if not of our own account.
    asked: HashMap<String, (Asked, Option<BareJid>)>,
    /// The server has no PEP: notices go from device to device.
    without_pep: bool,
    /// The newest notice, until the server has it.
    unconfirmed: Option<Vec<u8>>,
    /// The id of the request that carries it.
    carried_by: String,
    seen: VecDeque<Vec<u8>>,
    /// This device's newest notice, until it has come back as the others hear it.
    out: Option<Vec<u8>>,
    /// Resources of the account that are online, and whether they are ours (true) or a bot's of the compatible mode.
    peers: BTreeMap<String, bool>,
    greeted: bool,
    /// The node's options were put right, on this connection: once must do.
    configured: bool,
    /// Other people have been let in, on this connection.
    granted: bool,
    /// Other people who do not tell us yet: they may not have let us in.
    unheard: Vec<BareJid>,
}

impl Session {
    /// Nobody is logged in yet.
    pub fn new(config: Config) -> Session {
        let own = config.jid.clone();
        Session {
            config,
            own,
            me: None,
            ids: 0,
            asked: HashMap::new(),
            without_pep: false,
            unconfirmed: None,
            carried_by: String::new(),
            seen: VecDeque::new(),
            out: None,
            peers: BTreeMap::new(),
            greeted: false,
            configured: false,
            granted: false,
            unheard: Vec::new(),
        }
    }

    /// A connection is bound: presence, then the node's item, then what the server does not have yet.
    pub fn begin(&mut self, me: FullJid, tls: Tls) -> Out {
        self.own = me.to_bare();
        self.me = Some(me.clone());
        self.asked.clear();
        self.peers.clear();
        self.without_pep = false;
        self.configured = false;
        self.granted = false;
        self.unheard = self.config.people.clone();
        let mut out = Out::default();
        out.events.push(Event::Online { me: me.to_string(), tls });
        let caps = el("c", CAPS, &[("hash", "sha-1"), ("node", CLIENT_NODE), ("ver", &self.version())]);
        let priority = el("priority", CLIENT, &[]).text_of(&self.config.priority.to_string());
        out.stanzas.push(el("presence", CLIENT, &[]).with(priority).with(caps));
        let id = self.ask(Asked::Fetch);
        out.stanzas.push(notice::fetch(&id, None, &self.config.node));
        out.stanzas.extend(self.subscribe());
        if self.config.compat && !self.greeted {
            self.greeted = true;
            out.stanzas.push(stanza::chat(self.own.as_str(), &compat::login(me.resource().as_str())));
        }
        self.publish(&mut out);
        out
    }

    /// The connection is gone.
    pub fn end(&mut self) {
        self.me = None;
        self.asked.clear();
        self.peers.clear();
    }

    /// True while our own server owes an answer. Other people's servers, and devices that sleep, may take as long as they like: their
    /// silence says nothing about this link.
    pub fn waits(&self) -> bool {
        self.asked.values().any(|(asked, whom)| whom.is_none() && *asked != Asked::Direct)
    }

    /// XEP-0199, to our server.
    pub fn ping(&mut self) -> Element {
        let id = self.ask(Asked::Ping);
        stanza::iq("get", &id, None, Some(el("ping", PING, &[])))
    }

    /// The agent wants something said. [`Command::Retry`] and [`Command::Stop`] are the connection's and nothing here. Offline
    /// only a notice is kept.
    pub fn command(&mut self, command: Command) -> Out {
        let mut out = Out::default();
        if let Command::Publish(bytes) = command {
            self.remember(&bytes);
            self.out = Some(bytes.clone());
            self.unconfirmed = Some(bytes);
            if self.me.is_some() {
                self.publish(&mut out);
            }
            return out;
        }
        if self.me.is_none() {
            return out;
        }
        match command {
            Command::Tell(text) => out.stanzas.extend(self.config.alsonotify.iter().map(|to| stanza::chat(to.as_str(), &text))),
            Command::Reply { to, text } => out.stanzas.push(stanza::chat(&to, &text)),
            Command::Pushed { urls } if self.config.compat => {
                let bots = self.peers.iter().filter(|(_, ours)| !**ours).map(|(r, _)| format!("{}/{r}", self.own));
                let to: Vec<String> = bots.chain(self.config.alsonotify.iter().map(|j| j.to_string())).collect();
                for url in urls {
                    out.stanzas.extend(to.iter().map(|to| stanza::chat(to, &compat::pushed(&url))));
                }
            }
            _ => {}
        }
        out
    }

    /// Takes a stanza.
    pub fn stanza(&mut self, e: &Element) -> Out {
        let mut out = Out::default();
        // An address that is none is nobody's.
        let from = match e.attr("from").map(Jid::new) {
            Some(Err(_)) => return out,
            Some(Ok(from)) => Some(from),
            None => None,
        };
        match (e.name(), e.attr("type")) {
            ("iq", Some("get" | "set")) => self.request(e, from.as_ref(), &mut out),
            ("iq", Some("result" | "error")) => self.answer(e, from.as_ref(), &mut out),
            ("message", kind) if kind != Some("error") => self.message(e, from.as_ref(), &mut out),
            ("presence", kind) => self.presence(e, kind, from.as_ref(), &mut out),
            _ => {}
        }
        out
    }

    fn ask(&mut self, what: Asked) -> String {
        self.ask_of(what, None)
    }

    fn ask_of(&mut self, what: Asked, whom: Option<BareJid>) -> String {
        if self.asked.len() >= ASKED {
            self.asked.clear();
        }
        self.ids = self.ids.wrapping_add(1);
        let id = format!("s{}", self.ids);
        self.asked.insert(id.clone(), (what, whom));
        id
    }

    /// True for our own account and its server.
    fn trusted(&self, from: Option<&Jid>) -> bool {
        from.is_none_or(|f| f.to_bare() == self.own || f.is_bare() && f.node().is_none() && f.domain() == self.own.domain())
    }

    fn is_own(&self, from: Option<&Jid>) -> bool {
        from.is_none_or(|f| f.to_bare() == self.own)
    }

    fn is_me(&self, from: Option<&Jid>) -> bool {
        self.me.as_ref().is_some_and(|me| from.is_some_and(|f| f == me))
    }

    /// True the first time.
    fn remember(&mut self, bytes: &[u8]) -> bool {
        let new = !self.seen.iter().any(|s| s == bytes);
        if new {
            self.seen.truncate(SEEN - 1);
            self.seen.push_front(bytes.to_vec());
        }
        new
    }

    fn heard(&mut self, bytes: Vec<u8>, out: &mut Out) {
        if self.out.take_if(|own| *own == bytes).is_some() {
            out.events.push(Event::Echo);
        }
        if self.remember(&bytes) {
            out.events.push(Event::Notice(bytes));
        }
    }

    fn request(&mut self, e: &Element, from: Option<&Jid>, out: &mut Out) {
        let id = e.attr("id").unwrap_or_default();
        let to = e.attr("from");
        let get = e.attr("type") == Some("get");
        if self.is_own(from)
            && !get
            && !self.is_me(from)
            && let Some(bytes) = notice::directed(e, &self.config.node)
        {
            out.stanzas.push(stanza::iq("result", id, to, None));
            return self.heard(bytes, out);
        }
        let query = e.get_child("query", DISCO);
        out.stanzas.push(match (get && self.trusted(from), query) {
            (true, None) if e.has_child("ping", PING) => stanza::iq("result", id, to, None),
            (true, Some(query)) => match self.disco(query.attr("node")) {
                Some(info) => stanza::iq("result", id, to, Some(info)),
                None => stanza::refuse(e, "cancel", "item-not-found"),
            },
            // Strangers learn as much as they would of an account that is offline.
            _ => stanza::refuse(e, "cancel", "service-unavailable"),
        });
    }

    /// XEP-0030: what this client can do, also by the name of its version.
    fn disco(&self, node: Option<&str>) -> Option<Element> {
        let versioned = format!("{CLIENT_NODE}#{}", self.version());
        let mut query = match node {
            None => el("query", DISCO, &[]),
            Some(n) if n == versioned => el("query", DISCO, &[("node", n)]),
            Some(_) => return None,
        };
        query.append_child(el("identity", DISCO, &[("category", "client"), ("type", "bot"), ("name", "sharelock")]));
        for feature in self.features() {
            query.append_child(el("feature", DISCO, &[("var", &feature)]));
        }
        Some(query)
    }

    /// Sorted, as XEP-0115 5.1 wants them. `+notify` asks the server for the node's notices.
    fn features(&self) -> Vec<String> {
        let mut all = vec![CAPS.to_string(), DISCO.to_string(), PING.to_string(), format!("{}+notify", self.config.node)];
        all.sort();
        all
    }

    /// XEP-0115 5.1.
    fn version(&self) -> String {
        let mut text = "client/bot//sharelock<".to_string();
        for feature in self.features() {
            text.push_str(&feature);
            text.push('<');
        }
        BASE64.encode(&Sha1::digest(text.as_bytes()))
    }

    fn presence(&mut self, e: &Element, kind: Option<&str>, from: Option<&Jid>, out: &mut Out) {
        // Subscriptions are not ours to answer; a person's client does.
        let Some(resource) = from.filter(|f| f.to_bare() == self.own && !self.is_me(Some(f))).and_then(|f| f.resource()) else { return };
        let resource = resource.as_str().to_string();
        let ours = |of: &BTreeMap<String, bool>| of.values().filter(|ours| **ours).count();
        let before = ours(&self.peers);
        let is_ours = e.get_child("c", CAPS).is_some_and(|c| c.attr("node") == Some(CLIENT_NODE));
        match kind {
            None if (is_ours || self.config.compat && resource.starts_with(compat::BOT)) && self.peers.len() < PEERS => {
                self.peers.insert(resource, is_ours);
            }
            Some("unavailable" | "error") => {
                self.peers.remove(&resource);
            }
            _ => {}
        }
        if ours(&self.peers) != before {
            out.events.push(Event::Devices(self.peers.iter().filter(|(_, ours)| **ours).map(|(r, _)| r.clone()).collect()));
        }
    }

    fn message(&mut self, e: &Element, from: Option<&Jid>, out: &mut Out) {
        // Events of PEP come from the bare account (XEP-0163 4.3.1), so no other resource can make them up.
        if from.is_none_or(|f| *f == self.own || self.config.people.iter().any(|p| f == p))
            && let Some(bytes) = notice::pushed(e, &self.config.node)
        {
            return self.heard(bytes, out);
        }
        let person = from.map(|f| f.to_bare()).filter(|p| self.unheard.contains(p));
        if let Some(person) = person.filter(|_| notice::is_granted(e, &self.config.node)) {
            return out.stanzas.push(self.subscribe_to(person));
        }
        let Some(from) = from.filter(|f| !self.is_me(Some(f)) && chat::may_command(f, &self.own, &self.config.commands_from)) else {
            return;
        };
        let Some(body) = chat::body(e) else { return };
        if self.config.compat {
            match compat::parse(&body) {
                Some(compat::Said::Pushed(url)) => return out.events.push(Event::Pushed { url }),
                Some(compat::Said::Nothing) => return,
                Some(compat::Said::Ping) | None => {}
            }
        }
        match chat::parse(&body) {
            Some((Verb::Ping, _)) => out.stanzas.push(stanza::chat(from.as_str(), "pong")),
            Some((Verb::Help, _)) => out.stanzas.push(stanza::chat(from.as_str(), chat::HELP)),
            Some((verb, argument)) => out.events.push(Event::Command { from: from.to_string(), verb, argument }),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
