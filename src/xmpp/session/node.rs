//! The node of the notices: published on, let others read, and what the server and other accounts answer.

use super::{Asked, Out, Session};
use crate::xmpp::{notice, stanza};
use jid::{BareJid, Jid};
use minidom::Element;

impl Session {
    /// Asks those who do not tell us yet. Without a wake-up of its own: to be said when something else is.
    pub fn subscribe(&mut self) -> Vec<Element> {
        self.unheard.clone().into_iter().map(|person| self.subscribe_to(person)).collect()
    }

    pub(super) fn subscribe_to(&mut self, person: BareJid) -> Element {
        let id = self.ask_of(Asked::Subscribe, Some(person.clone()));
        notice::subscribe(&id, person.as_str(), &self.config.node, &self.subscriber())
    }

    /// Whom others tell: the account, so that no resource has to tidy up after itself. What goes to the account does not reach resources
    /// of negative priority (RFC 6121 8.5.2.1), so such a one is told by its full address, which a device keeps.
    fn subscriber(&self) -> String {
        match &self.me {
            Some(me) if self.config.priority < 0 => me.to_string(),
            _ => self.own.to_string(),
        }
    }

    pub(super) fn publish(&mut self, out: &mut Out) {
        let Some(bytes) = self.unconfirmed.clone() else { return };
        if self.without_pep {
            return self.tell_devices(&bytes, out);
        }
        self.carried_by = self.ask(Asked::Publish);
        out.stanzas.push(notice::publish(&self.carried_by, &self.config.node, &bytes));
    }

    /// Lets other people in, once the node is there.
    fn grant(&mut self, out: &mut Out) {
        if !self.granted && !self.config.people.is_empty() {
            self.granted = true;
            let id = self.ask(Asked::Grant);
            out.stanzas.push(notice::grant(&id, &self.config.node, &self.config.people));
        }
    }

    /// Without PEP. A device that is offline fetches when it comes.
    fn tell_devices(&mut self, bytes: &[u8], out: &mut Out) {
        let ours: Vec<String> = self.peers.iter().filter(|(_, ours)| **ours).map(|(r, _)| format!("{}/{r}", self.own)).collect();
        for to in ours {
            let id = self.ask(Asked::Direct);
            out.stanzas.push(notice::direct(&id, &to, &self.config.node, bytes));
        }
        self.unconfirmed = None;
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, e: &Element, from: Option<&Jid>, out: &mut Out) {
        let id = e.attr("id").unwrap_or_default();
        // Only whoever was asked can answer.
        let right = self.asked.get(id).is_some_and(|(_, whom)| match whom {
            Some(person) => from.is_some_and(|f| f == person),
            None => self.trusted(from),
        });
        let Some((asked, whom)) = right.then(|| self.asked.remove(id)).flatten() else { return };
        let error = (e.attr("type") == Some("error")).then(|| stanza::condition(e));
        let missing = matches!(error.as_deref(), Some("feature-not-implemented" | "service-unavailable"));
        match (asked, error) {
            (Asked::Fetch, None) => {
                if whom.is_none() {
                    self.grant(out);
                }
                if let Some(bytes) = notice::fetched(e, &self.config.node) {
                    self.heard(bytes, out);
                }
            }
            (Asked::Fetch, Some(_)) if whom.is_none() => self.without_pep |= missing,
            (Asked::Subscribe, None) => {
                self.unheard.retain(|p| Some(p) != whom.as_ref());
                let of = whom.as_ref().map(|p| p.to_string());
                let id = self.ask_of(Asked::Fetch, whom);
                out.stanzas.push(notice::fetch(&id, of.as_deref(), &self.config.node));
            }
            (Asked::Grant, None) => {
                out.stanzas.extend(self.config.people.iter().map(|p| notice::granted(p.as_str(), &self.config.node)));
            }
            (Asked::Publish, None) => {
                if id == self.carried_by {
                    self.unconfirmed = None;
                }
                self.grant(out);
            }
            (Asked::Publish, Some(why)) if id == self.carried_by => {
                self.without_pep |= missing;
                // The node stands there with other options (XEP-0060 7.1.5).
                if matches!(why.as_str(), "conflict" | "precondition-not-met") && !self.configured {
                    self.configured = true;
                    let id = self.ask(Asked::Configure);
                    out.stanzas.push(notice::configure(&id, &self.config.node));
                } else if let Some(bytes) = self.unconfirmed.clone() {
                    log::info!("xmpp: the server does not take a notice ({why}), it goes to the devices one by one");
                    self.tell_devices(&bytes, out);
                }
            }
            (Asked::Configure, None) => self.publish(out),
            (Asked::Configure, Some(_)) => {
                if let Some(bytes) = self.unconfirmed.clone() {
                    self.tell_devices(&bytes, out);
                }
            }
            _ => {}
        }
    }
}
