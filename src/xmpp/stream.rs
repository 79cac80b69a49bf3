//! A stream from its first byte to the bound resource, and its framing from there on (RFC 6120 4 to 7), as a state machine over
//! bytes: no I/O, so that a scripted hostile server is a unit test.
//!
//! MUST reject: anything but features before they are due; a server without STARTTLS (stripped by somebody in between, or
//! a server that should not have the password); bytes behind `<proceed/>` (said in the clear, to be taken for said in
//! private); a success without the server's proof ([`super::sasl`]).

use super::sasl::{Exchange, Offer};
use super::stanza::{self, ACKS, BIND, CHANNEL_BINDING, CLIENT, SASL, STARTTLS, STREAM, STREAM_ERRORS, With, el};
use super::xml::{Item, Parser};
use super::{Result, Tls, Trouble};
use data_encoding::BASE64;
use jid::{BareJid, FullJid};
use minidom::Element;
use zeroize::Zeroizing;

/// Who logs in.
pub struct Login {
    /// The account.
    pub jid: BareJid,
    /// Its password.
    pub password: Zeroizing<String>,
    /// The resource that is asked for.
    pub resource: String,
    /// PLAIN is allowed.
    pub plain: bool,
    /// For SCRAM: random, printable, without a comma.
    pub nonce: String,
}

/// What has happened.
#[derive(Debug)]
pub enum Happening {
    /// The server waits for our TLS handshake. [`Stream::secured`] goes on.
    StartTls,
    /// Logged in and bound.
    Bound(FullJid),
    /// A stanza, after that.
    Stanza(Element),
    /// The server ends the stream in peace.
    Closed,
}

enum State {
    /// The TLS handshake is the caller's.
    Handshake,
    Header,
    Features,
    Proceed,
    Auth(Exchange),
    Bind,
    Open,
    Ended,
}

/// One connection's stream.
pub struct Stream {
    login: Login,
    state: State,
    parser: Parser,
    out: Zeroizing<Vec<u8>>,
    secure: bool,
    authenticated: bool,
    exporter: Option<[u8; 32]>,
    /// XEP-0198: the server has it; it is on; stanzas taken since then.
    can_ack: bool,
    acks: bool,
    handled: u32,
}

impl Stream {
    /// A stream that begins with its header, or with a TLS handshake.
    pub fn new(login: Login, tls: Tls) -> Stream {
        let mut s = Stream {
            login,
            state: State::Handshake,
            parser: Parser::new(),
            out: Zeroizing::new(Vec::new()),
            secure: false,
            authenticated: false,
            exporter: None,
            can_ack: false,
            acks: false,
            handled: 0,
        };
        if tls == Tls::Start {
            s.open();
        }
        s
    }

    /// The handshake has succeeded. `exporter`: what RFC 9266 exports, from TLS 1.3 only.
    pub fn secured(&mut self, exporter: Option<[u8; 32]>) {
        self.secure = true;
        self.exporter = exporter;
        self.open();
    }

    /// What is to be written; it is taken out.
    pub fn output(&mut self) -> Zeroizing<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    /// Puts a stanza into the output.
    pub fn send(&mut self, e: &Element) {
        self.out.extend_from_slice(&stanza::bytes(e));
    }

    /// Asks for a sign of life by XEP-0198, if it is on.
    pub fn request_ack(&mut self) -> bool {
        if self.acks {
            self.send(&el("r", ACKS, &[]));
        }
        self.acks
    }

    /// Ends the stream.
    pub fn close(&mut self) {
        self.out.extend_from_slice(b"</stream:stream>");
        self.state = State::Ended;
    }

    /// Takes what was read.
    ///
    /// Errors: why this connection ends. The stream is of no use then.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Happening>> {
        let mut out = Vec::new();
        while let Some(item) = self.parser.next(&mut bytes).map_err(|e| Trouble::broken(format!("the XMPP server sent {e}")))? {
            match item {
                Item::Open(head) => self.header(&head)?,
                Item::Stanza(e) => self.stanza(e, &mut out)?,
                Item::Close => {
                    self.state = State::Ended;
                    out.push(Happening::Closed);
                    return Ok(out);
                }
            }
            if matches!(self.state, State::Handshake) && !bytes.is_empty() {
                let why = "not connected: somebody put bytes behind the XMPP server's <proceed/>, as an attacker would; nothing was sent";
                return Err(Trouble::refused(why, "set tls = \"direct\" in [xmpp], or use another network"));
            }
        }
        Ok(out)
    }

    fn open(&mut self) {
        let domain = stanza::clean(self.login.jid.domain().as_str());
        // From a JID nothing arrives here that would need more than this.
        let to: String = domain.chars().filter(|c| !matches!(c, '<' | '>' | '&' | '\'' | '"')).collect();
        let head = format!("<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}' version='1.0' to='{to}'>");
        self.out.extend_from_slice(head.as_bytes());
        self.parser = Parser::new();
        self.state = State::Header;
    }

    fn header(&mut self, head: &Element) -> Result<()> {
        if !matches!(self.state, State::Header) || !head.is("stream", STREAM) {
            return Err(unexpected(head));
        }
        if head.attr("version").is_none_or(|v| v.starts_with("0.")) {
            return Err(Trouble::refused("the server speaks XMPP from before 2004", "use an account on another server"));
        }
        self.state = State::Features;
        Ok(())
    }

    fn stanza(&mut self, e: Element, out: &mut Vec<Happening>) -> Result<()> {
        if e.is("error", STREAM) {
            return Err(stream_error(&e));
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Features if e.is("features", STREAM) => self.features(&e),
            State::Proceed if e.is("proceed", STARTTLS) => {
                self.state = State::Handshake;
                out.push(Happening::StartTls);
                Ok(())
            }
            State::Proceed if e.is("failure", STARTTLS) => Err(Trouble::broken("the XMPP server cannot do TLS at present")),
            State::Auth(exchange) => self.auth(exchange, &e),
            State::Bind if e.is("iq", CLIENT) => self.bound(&e, out),
            State::Open => {
                self.state = State::Open;
                self.open_stanza(e, out);
                Ok(())
            }
            _ => Err(unexpected(&e)),
        }
    }

    fn features(&mut self, e: &Element) -> Result<()> {
        if !self.secure {
            if !e.has_child("starttls", STARTTLS) {
                let why = "not connected: the XMPP server offers no TLS here, and without it nobody logs in; nothing was sent";
                return Err(Trouble::refused(why, "set tls = \"direct\" in [xmpp], or use an account on another server"));
            }
            self.send(&el("starttls", STARTTLS, &[]));
            self.state = State::Proceed;
            return Ok(());
        }
        if self.authenticated {
            if !e.has_child("bind", BIND) {
                return Err(unexpected(e));
            }
            self.can_ack = e.has_child("sm", ACKS);
            let resource = el("resource", BIND, &[]).text_of(&self.login.resource);
            self.send(&stanza::iq("set", "bind", None, Some(el("bind", BIND, &[]).with(resource))));
            self.state = State::Bind;
            return Ok(());
        }
        let mut offer = Offer::default();
        if let Some(m) = e.get_child("mechanisms", SASL) {
            offer.mechanisms = m.children().filter(|c| c.is("mechanism", SASL)).map(|c| c.text()).collect();
        }
        if let Some(b) = e.get_child("sasl-channel-binding", CHANNEL_BINDING) {
            offer.bindings = b.children().filter_map(|c| c.attr("type").map(str::to_string)).collect();
        }
        let user = self.login.jid.node().map(|n| n.as_str()).unwrap_or_default();
        let nonce = self.login.nonce.clone();
        let (exchange, first) = Exchange::begin(&offer, user, &self.login.password, self.exporter.as_ref(), self.login.plain, nonce)?;
        self.say("auth", &format!(" mechanism='{}'", exchange.mechanism), &first);
        self.state = State::Auth(exchange);
        Ok(())
    }

    /// A SASL element with its data. It may hold the password, so it is not built as a tree, whose texts nobody wipes; base64 needs no
    /// escaping.
    fn say(&mut self, name: &str, mechanism: &str, data: &[u8]) {
        let text = Zeroizing::new(BASE64.encode(data));
        for part in ["<", name, " xmlns='", SASL, "'", mechanism, ">", &text, "</", name, ">"] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn auth(&mut self, mut exchange: Exchange, e: &Element) -> Result<()> {
        let text = e.text();
        let data = || match text.as_str() {
            "" | "=" => Ok(Vec::new()),
            t => BASE64.decode(t.as_bytes()).map_err(|_| Trouble::broken("the XMPP server sent a challenge that is not base64")),
        };
        if e.is("challenge", SASL) {
            let answer = exchange.challenge(&data()?)?;
            self.say("response", "", &answer);
            self.state = State::Auth(exchange);
            return Ok(());
        }
        if e.is("success", SASL) {
            exchange.success(&data()?)?;
            self.authenticated = true;
            self.open();
            return Ok(());
        }
        if !e.is("failure", SASL) {
            return Err(unexpected(e));
        }
        let jid = &self.login.jid;
        Err(match stanza::condition(e).as_str() {
            "not-authorized" => Trouble::refused(
                format!("the XMPP server does not take the password of {jid}"),
                "set password or password_command in the config's [xmpp]",
            ),
            "account-disabled" => Trouble::refused(format!("the XMPP account {jid} is disabled"), "ask the server's operator"),
            "credentials-expired" => Trouble::refused(format!("the password of {jid} has expired"), "set a new one at the server"),
            "temporary-auth-failure" => Trouble::broken("the XMPP server cannot check passwords at present"),
            other => Trouble::refused(format!("the XMPP server does not log {jid} in ({other})"), "ask the server's operator"),
        })
    }

    fn bound(&mut self, e: &Element, out: &mut Vec<Happening>) -> Result<()> {
        if e.attr("id") != Some("bind") {
            return Err(unexpected(e));
        }
        if e.attr("type") != Some("result") {
            return Err(match stanza::condition(e).as_str() {
                "conflict" => Trouble::Conflict,
                other => Trouble::broken(format!("the XMPP server gives no resource ({other})")),
            });
        }
        let me = e.get_child("bind", BIND).and_then(|b| b.get_child("jid", BIND)).map(|j| j.text());
        let me = me.and_then(|j| FullJid::new(&j).ok()).ok_or_else(|| unexpected(e))?;
        self.state = State::Open;
        if self.can_ack {
            self.send(&el("enable", ACKS, &[]));
        }
        // Nothing secret is needed any more.
        self.login.password = Zeroizing::new(String::new());
        out.push(Happening::Bound(me));
        Ok(())
    }

    fn open_stanza(&mut self, e: Element, out: &mut Vec<Happening>) {
        if e.has_ns(ACKS) {
            match e.name() {
                "enabled" => {
                    self.acks = true;
                    self.handled = 0;
                }
                "r" if self.acks => self.send(&el("a", ACKS, &[("h", &self.handled.to_string())])),
                _ => {}
            }
        } else if e.has_ns(CLIENT) {
            self.handled = self.handled.wrapping_add(1);
            out.push(Happening::Stanza(e));
        }
    }
}

fn unexpected(e: &Element) -> Trouble {
    Trouble::broken(format!("the XMPP server sent <{}/> where it does not belong", stanza::line(e.name(), 60)))
}

fn stream_error(e: &Element) -> Trouble {
    let text = e.get_child("text", STREAM_ERRORS).map(|t| format!(": {}", stanza::line(&t.text(), 200))).unwrap_or_default();
    match stanza::condition(e).as_str() {
        "conflict" => Trouble::Conflict,
        "host-unknown" => {
            Trouble::refused("the XMPP server does not know the domain of xmpp.jid", "set jid, or host, in the config's [xmpp]")
        }
        other => Trouble::broken(format!("the XMPP server ended the connection ({other}{text})")),
    }
}

#[cfg(test)]
mod tests;
