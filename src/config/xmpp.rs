//! `[xmpp]`: the account by which devices tell each other that there is something new.

use super::expand;
use super::parse::Complaints;
use crate::error::{Error, Kind, Result};
use crate::xmpp::{self, Tls, Trust};
use jid::{BareJid, Jid};
use std::fmt;
use std::path::{Path, PathBuf};
use toml_span::Span;
use toml_span::value::{Table, Value};
use zeroize::Zeroizing;

const KEYS: &[&str] = &[
    "jid",
    "password",
    "password_command",
    "host",
    "port",
    "tls",
    "ca_file",
    "pin",
    "people",
    "alsonotify",
    "commands_from",
    "priority",
    "compat",
    "plain",
];

/// The checked table.
#[derive(Clone)]
pub struct Xmpp {
    /// The account as it stands here: without the password, the authority's certificates, and what only the vault knows.
    said: xmpp::Config,
    /// Its password, if it stands here.
    pub password: Option<Zeroizing<String>>,
    /// A command that prints it.
    pub password_command: Option<String>,
    /// The authority, in PEM.
    ca_file: Option<PathBuf>,
}

impl fmt::Debug for Xmpp {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.fmt(f)
    }
}

/// What `init` writes of it.
pub(super) const COMMENT: &str = "\n\
# an XMPP account: devices that share it hear of changes at once instead of at the next poll\n\
# [xmpp]\n\
# jid = \"me@example.org\"\n\
# password_command = \"secret-tool lookup sharelock xmpp\"    # or password = \"...\"\n\
# host = \"127.0.0.1\"            # only where DNS (SRV) does not say it; also port = 5222\n\
# tls = \"starttls\"              # or \"direct\"; without it, what DNS says\n\
# ca_file = \"~/ca.pem\"          # for a server of your own; or pin = \"sha256/...\"\n\
# people = [\"friend@example.net\"]       # accounts of others who have this vault; they name yours\n\
# alsonotify = [\"friend@example.net\"]   # people who are told by chat\n\
# commands_from = []            # who may command this device by chat, beside the account itself\n\
# priority = 0                  # -1 on a personal account, so that chats reach the phone\n\
# compat = false                # understand devices that still run dvcs-autosync\n\
# plain = false                 # log in where the server has no SCRAM; it then learns the password\n";

impl Xmpp {
    /// The table at `span`; what is wrong goes to `c`.
    pub(super) fn read(c: &mut Complaints<'_>, table: Table<'_>, span: Span, home: &Path) -> Option<Xmpp> {
        let before = c.all.len();
        let mut jid = None;
        let mut said = xmpp::Config::new(BareJid::new("nobody").expect("a domain"));
        let (mut password, mut password_command, mut ca_file, mut pinned) = (None, None, None, None);
        for (key, mut v) in table {
            let span = v.span;
            match &*key.name {
                "jid" => jid = c.text(&mut v, "xmpp.jid").and_then(|t| address(c, span, "xmpp.jid", &t)),
                "password" => password = c.text(&mut v, "xmpp.password").map(Zeroizing::new),
                "password_command" => password_command = c.text(&mut v, "xmpp.password_command"),
                "host" => said.host = c.text(&mut v, "xmpp.host"),
                "port" => match v.as_integer().and_then(|n| u16::try_from(n).ok()).filter(|p| *p > 0) {
                    Some(p) => said.port = Some(p),
                    None => c.add(span, "xmpp.port is a number from 1 to 65535"),
                },
                "tls" => match c.text(&mut v, "xmpp.tls").as_deref() {
                    Some("starttls") => said.tls = Some(Tls::Start),
                    Some("direct") => said.tls = Some(Tls::Direct),
                    Some(other) => c.add(span, format!("xmpp.tls is \"starttls\" or \"direct\", not \"{other}\"")),
                    None => {}
                },
                "ca_file" => ca_file = c.text(&mut v, "xmpp.ca_file").map(|t| expand(&t, home)),
                "pin" => match c.text(&mut v, "xmpp.pin").map(|t| xmpp::tls::pin(&t)) {
                    Some(None) => c.add(span, "xmpp.pin is \"sha256/\" and 44 characters of base64"),
                    pin => pinned = pin.flatten(),
                },
                "people" => said.people = addresses(c, &mut v, "xmpp.people"),
                "alsonotify" => said.alsonotify = addresses(c, &mut v, "xmpp.alsonotify"),
                "commands_from" => said.commands_from = addresses(c, &mut v, "xmpp.commands_from"),
                "priority" => match v.as_integer().and_then(|n| i8::try_from(n).ok()) {
                    Some(n) => said.priority = n,
                    None => c.add(span, "xmpp.priority is a number from -128 to 127"),
                },
                "compat" | "plain" => match (v.as_bool(), &*key.name) {
                    (Some(b), "compat") => said.compat = b,
                    (Some(b), _) => said.plain = b,
                    (None, name) => c.add(span, format!("xmpp.{name} is true or false")),
                },
                _ => c.unknown(&key, KEYS, "xmpp."),
            }
        }
        if jid.is_none() && c.all.len() == before {
            c.add(span, "xmpp.jid = \"me@example.org\" is missing");
        }
        if password.is_some() == password_command.is_some() {
            c.add(span, "xmpp needs password or password_command, one of them");
        }
        if ca_file.is_some() && pinned.is_some() {
            c.add(span, "xmpp.pin says all that xmpp.ca_file would: keep one of them");
        }
        said.jid = jid?;
        said.trust = pinned.map_or(Trust::System, Trust::Pin);
        Some(Xmpp { said, password, password_command, ca_file })
    }

    /// The account's address.
    pub fn jid(&self) -> &BareJid {
        &self.said.jid
    }

    /// The account as the client takes it. `node` names the notices' PEP node, `resource` this device.
    ///
    /// Errors: `ca_file` cannot be read.
    pub fn account(&self, password: Zeroizing<String>, node: String, resource: String) -> Result<xmpp::Config> {
        let mut account = xmpp::Config { password, node, resource: Some(resource), ..self.said.clone() };
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).map_err(|e| Error::new(Kind::Usage, format!("xmpp.ca_file {}", file.display())).because(e))?;
            account.trust = Trust::Roots(pem);
        }
        Ok(account)
    }
}

/// `me@example.org`, without a resource.
fn address(c: &mut Complaints<'_>, span: Span, key: &str, text: &str) -> Option<BareJid> {
    match Jid::new(text) {
        Ok(j) if j.is_bare() && j.node().is_some() => Some(j.into_bare()),
        _ => {
            c.add(span, format!("{key} is an address like \"me@example.org\", not \"{text}\""));
            None
        }
    }
}

fn addresses(c: &mut Complaints<'_>, v: &mut Value<'_>, key: &str) -> Vec<BareJid> {
    let span = v.span;
    let all = c.list(v, key).unwrap_or_default();
    all.iter().filter_map(|t| address(c, span, key, t)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(&format!("device = \"d\"\n[xmpp]\n{text}"), "config.toml", Path::new("/home/me"))
    }

    #[test]
    fn a_whole_table_is_read() {
        let pin = format!("sha256/{}", data_encoding::BASE64.encode(&[1; 32]));
        let text = format!(
            "jid = \"Me@example.org\"\npassword = \"geheim\"\nhost = \"h\"\nport = 5223\ntls = \"direct\"\npin = \"{pin}\"\n\
             alsonotify = [\"friend@example.net\"]\ncommands_from = [\"boss@example.net\"]\npriority = -1\ncompat = true\nplain = true\n"
        );
        let x = parse(&text).unwrap().xmpp.unwrap();
        let a = x.account("geheim".to_string().into(), "n".into(), "r".into()).unwrap();
        assert_eq!((a.jid.as_str(), a.host.as_deref(), a.port, a.tls), ("me@example.org", Some("h"), Some(5223), Some(Tls::Direct)));
        assert_eq!((a.trust, a.priority, a.compat, a.plain), (Trust::Pin([1; 32]), -1, true, true));
        assert_eq!((a.alsonotify[0].as_str(), a.commands_from[0].as_str()), ("friend@example.net", "boss@example.net"));
        assert!(!format!("{x:?}").contains("geheim"));
        let short = parse("jid = \"me@d.org\"\npassword_command = \"pass xmpp\"\nca_file = \"~/ca.pem\"").unwrap().xmpp.unwrap();
        assert_eq!((short.said.tls, short.said.priority, short.ca_file.as_deref()), (None, 0, Some(Path::new("/home/me/ca.pem"))));
        assert!(short.account(String::new().into(), "n".into(), "r".into()).is_err(), "there is no such file");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, want) in [
            ("password = \"x\"", "config.toml:2: xmpp.jid = "),
            ("jid = \"me@d\"", "config.toml:2: xmpp needs password"),
            ("jid = \"me@d\"\npassword = \"x\"\npassword_command = \"y\"", "config.toml:2: xmpp needs password"),
            ("jid = \"me@d/phone\"\npassword = \"x\"", "config.toml:3: xmpp.jid is an address"),
            ("jid = \"example.org\"\npassword = \"x\"", "config.toml:3: xmpp.jid is an address"),
            ("jid = \"me@d\"\npassword = \"x\"\nport = 0", "config.toml:5: xmpp.port"),
            ("jid = \"me@d\"\npassword = \"x\"\ntls = \"none\"", "config.toml:5: xmpp.tls"),
            ("jid = \"me@d\"\npassword = \"x\"\npin = \"sha1/x\"", "config.toml:5: xmpp.pin"),
            ("jid = \"me@d\"\npassword = \"x\"\npriority = 200", "config.toml:5: xmpp.priority"),
            ("jid = \"me@d\"\npassword = \"x\"\ncompat = 1", "config.toml:5: xmpp.compat"),
            ("jid = \"me@d\"\npassword = \"x\"\nalsonotify = [\"@\"]", "config.toml:5: xmpp.alsonotify"),
            ("jid = \"me@d\"\npasword = \"x\"", "config.toml:4: no such key: xmpp.pasword (did you mean xmpp.password?)"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.what().starts_with(want), "{text}: {}", e.what());
        }
    }

    #[test]
    fn the_comment_is_right_when_it_is_made_live() {
        let live: String =
            COMMENT.lines().filter(|l| !l.contains("an XMPP account")).map(|l| l.trim_start_matches("# ").to_string() + "\n").collect();
        let c = Config::parse(&format!("device = \"d\"\n{live}"), "config.toml", Path::new("/home/me")).unwrap();
        assert_eq!(c.xmpp.unwrap().said.alsonotify.len(), 1);
        assert!(KEYS.iter().all(|k| COMMENT.contains(k)), "each key is explained");
    }
}
