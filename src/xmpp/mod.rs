//! Notices by XMPP (RFC 6120, 6121, 7590): a device hears within moments that there is something new.
//!
//! The room knows nothing of vaults. It carries opaque notices over a private PEP node of the account (XEP-0163), takes
//! commands by chat from those who may give them, and tells people what the agent wants told.
//!
//! - [`xml`]: a pull parser with limits; stanzas come out of it whole or not at all.
//! - [`stanza`]: what is written, and the names of the field.
//! - [`sasl`]: SCRAM (RFC 5802, 7677), with what the crates leave out.
//! - [`stream`]: framing and negotiation as a state machine over bytes; hostile servers are its unit tests.
//! - [`tls`], [`srv`]: who the server must be, and where it is.
//! - [`session`]: what is said once the stream is up, over stanzas, without I/O: [`notice`], [`chat`], [`compat`].
//! - [`client`]: the only part that waits: sockets, timers, reconnecting.
//!
//! # Implementation
//!
//! One task, no thread of its own but the executor's pool for `getaddrinfo`. It wakes for bytes, for commands, and about four
//! minutes after the last byte to ask whether the link is alive.

pub mod chat;
pub mod client;
pub mod compat;
pub mod notice;
pub mod sasl;
pub mod session;
pub mod srv;
pub mod stanza;
pub mod stream;
pub mod tls;
pub mod xml;

use jid::BareJid;
use std::fmt;
use std::net::SocketAddr;
use zeroize::Zeroizing;

pub use chat::Verb;

/// How a connection becomes private. There is no third way: without TLS nobody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// RFC 6120 5: in the clear up to `<starttls/>`.
    Start,
    /// XEP-0368: from the first byte.
    Direct,
}

/// Whom to trust as the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The system's certificate authorities; where it has none, Mozilla's.
    #[default]
    System,
    /// The certificates of this PEM text only.
    Roots(Vec<u8>),
    /// The server whose public key (SubjectPublicKeyInfo, DER) has this SHA-256, whatever its certificate says.
    Pin([u8; 32]),
}

/// One account on one device. Two that are equal lead to the same connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The account.
    pub jid: BareJid,
    /// Its password.
    pub password: Zeroizing<String>,
    /// The server, where SRV does not serve. The certificate must name the account's domain all the same.
    pub host: Option<String>,
    /// The port; without one 5222 (STARTTLS) or 5223 (direct).
    pub port: Option<u16>,
    /// STARTTLS or direct TLS only; `None`: what SRV offers, STARTTLS without SRV.
    pub tls: Option<Tls>,
    /// Whom to trust.
    pub trust: Trust,
    /// DNS servers that are asked for SRV; empty: those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
    /// Accounts of other people whose devices have the vault: their notices are heard, and they hear ours.
    pub people: Vec<BareJid>,
    /// People who are told by chat.
    pub alsonotify: Vec<BareJid>,
    /// Who, beside the account itself, may give commands.
    pub commands_from: Vec<BareJid>,
    /// Presence priority (RFC 6121 4.7.2.3): 0 on an account of its own, -1 on a personal one, so that chats reach the phone.
    pub priority: i8,
    /// Speak with dvcs-autosync, too.
    pub compat: bool,
    /// PLAIN is allowed when the server has no SCRAM: it then learns the password.
    pub plain: bool,
    /// Name of the PEP node of the notices; says nothing about the vault.
    pub node: String,
    /// The resource to log in with; `None`: a random one. In compatible mode it is the old client's.
    pub resource: Option<String>,
}

impl Config {
    /// An account of which nothing else is said: it cannot log in yet.
    pub fn new(jid: BareJid) -> Config {
        Config {
            jid,
            password: Zeroizing::default(),
            host: None,
            port: None,
            tls: None,
            trust: Trust::default(),
            nameservers: Vec::new(),
            people: Vec::new(),
            alsonotify: Vec::new(),
            commands_from: Vec::new(),
            priority: 0,
            compat: false,
            plain: false,
            node: String::new(),
            resource: None,
        }
    }
}

impl fmt::Debug for Config {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("jid", &self.jid).field("host", &self.host).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// What the agent wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Publishes a notice. Offline only the newest is kept, and published after the next login.
    Publish(Vec<u8>),
    /// Tells everybody of `alsonotify`. Coalescing is the agent's.
    Tell(String),
    /// Answers a command.
    Reply {
        /// [`Event::Command`]'s `from`.
        to: String,
        /// One or more lines.
        text: String,
    },
    /// Compatible mode: announces a push of these URLs as dvcs-autosync would.
    Pushed {
        /// As `git config remote.origin.url` has them.
        urls: Vec<String>,
    },
    /// The network or the clock has changed: connect at once, or ask at once whether the link is alive.
    Retry,
    /// Logs out and ends the task.
    Stop,
}

/// What the agent hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Logged in. What happened before is not known: fetch. The node's last notice follows, if there is one.
    Online {
        /// This device's full address.
        me: String,
        /// How the line came to be encrypted.
        tls: Tls,
    },
    /// The connection is gone, or cannot be had; the task tries again by itself. Said once until the next [`Event::Online`].
    Offline {
        /// One line.
        why: String,
    },
    /// Somebody published this on the node; each once. It may be old, forged or our own: the seal tells.
    Notice(Vec<u8>),
    /// The newest notice of this device has come back from the server, as the other devices hear it; once.
    Echo,
    /// A command by chat, from somebody who may give it.
    Command {
        /// Full address, for [`Command::Reply`].
        from: String,
        /// What.
        verb: Verb,
        /// The rest of the line.
        argument: String,
    },
    /// Compatible mode: an old client has pushed.
    Pushed {
        /// What it calls the repository.
        url: String,
    },
    /// The other devices of the account that are online at present (their resources, which say nothing of their names). After
    /// [`Event::Offline`] nothing is known of them.
    Devices(Vec<String>),
    /// A person is needed: tried again, but rarely. Said once until it changes.
    Refused {
        /// What is wrong, in one line.
        why: String,
        /// What to do about it.
        remedy: String,
    },
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The line, or the server, for now.
    Broken(String),
    /// Nothing that waiting would mend.
    Refused {
        /// What is wrong.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// Another client has taken our resource (RFC 6120 4.9.3.3): never come back under the same.
    Conflict,
}

impl Trouble {
    /// [`Trouble::Broken`].
    pub fn broken(why: impl Into<String>) -> Trouble {
        Trouble::Broken(why.into())
    }

    /// [`Trouble::Refused`].
    pub fn refused(why: impl Into<String>, remedy: impl Into<String>) -> Trouble {
        Trouble::Refused { why: why.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Broken(why) | Trouble::Refused { why, .. } => f.write_str(why),
            Trouble::Conflict => f.write_str("another client has taken this device's place"),
        }
    }
}

/// What a function of this room gives, or why the connection ends.
pub type Result<T> = std::result::Result<T, Trouble>;
