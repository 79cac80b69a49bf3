//! Commands by chat: the account's owner asks a device from any XMPP client.
//!
//! MUST reject: anybody but the own account and the configured list (the old bot obeyed every stranger); what was stored and
//! comes late (a `pause` of last week); what a machine has written; text that is no command (two bots would talk for ever).

use super::stanza::{CLIENT, DELAY, NOTICE};
use jid::{BareJid, Jid};
use minidom::Element;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// What can be asked.
    Help,
    /// In sync or not.
    Status,
    /// Is anybody there?
    Ping,
    /// Who is there?
    Whoami,
    /// A round now.
    Sync,
    /// No more rounds, for a while or until [`Verb::Resume`].
    Pause,
    /// Rounds again.
    Resume,
    /// Which conflicts wait.
    Conflicts,
    /// Which devices there are.
    Devices,
}

const VERBS: &[(&str, Verb)] = &[
    ("help", Verb::Help),
    ("status", Verb::Status),
    ("ping", Verb::Ping),
    ("whoami", Verb::Whoami),
    ("sync", Verb::Sync),
    ("pause", Verb::Pause),
    ("resume", Verb::Resume),
    ("conflicts", Verb::Conflicts),
    ("devices", Verb::Devices),
];

/// The answer to `help`. Its first word is no verb, so that no machine takes it for a command.
pub const HELP: &str = "you can ask this device:\n\
  status      in sync, or what waits\n\
  conflicts   files that were changed on two devices\n\
  devices     who has the vault, who is online\n\
  sync        look for changes now\n\
  pause 2h    stop for that time, or until resume\n\
  resume      go on\n\
  whoami      which device answers\n\
  ping        whether anybody is there";

/// A command and the rest of its line. `None`: not one, and nothing is to be answered.
pub fn parse(body: &str) -> Option<(Verb, String)> {
    let body = body.trim();
    // A command is one short line.
    if body.len() > 200 || body.contains(['\n', '\r']) {
        return None;
    }
    let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    let verb = VERBS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))?.1;
    // Only `pause` takes more: 'status of the project?' is talk among people.
    let rest = rest.trim();
    (rest.is_empty() || verb == Verb::Pause && rest.split_ascii_whitespace().count() == 1).then(|| (verb, rest.to_string()))
}

/// The text of a chat that may be a command, by whoever sent it.
pub fn body(message: &Element) -> Option<String> {
    let talk = matches!(message.attr("type"), None | Some("chat" | "normal"));
    let late = message.has_child("delay", DELAY);
    let machine = message.has_child("machine", NOTICE);
    (talk && !late && !machine).then(|| message.get_child("body", CLIENT)).flatten().map(|b| b.text())
}

/// Whether this sender may give commands.
pub fn may_command(from: &Jid, me: &BareJid, others: &[BareJid]) -> bool {
    let bare = from.to_bare();
    bare == *me || others.contains(&bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_short_line() {
        for (text, want) in [
            ("status", Some((Verb::Status, ""))),
            (" Status \n", Some((Verb::Status, ""))),
            ("pause 2h", Some((Verb::Pause, "2h"))),
            ("pause", Some((Verb::Pause, ""))),
            ("PING", Some((Verb::Ping, ""))),
            ("pause the music please", None),
            ("status of the project?", None),
            ("statusx", None),
            ("hello", None),
            ("", None),
            ("pong", None),
            ("sync\nnow", None),
        ] {
            assert_eq!(parse(text), want.map(|(v, r)| (v, r.to_string())), "{text:?}");
        }
        assert_eq!(parse(&format!("pause {}", "9".repeat(300))), None);
    }

    #[test]
    fn no_answer_is_a_command() {
        assert_eq!(parse(HELP), None);
        assert!(HELP.lines().next().is_some_and(|l| parse(l).is_none()));
        assert_eq!(HELP.lines().skip(1).count(), VERBS.len() - 1, "help names all but itself");
        for (name, _) in VERBS.iter().skip(1) {
            assert!(HELP.lines().any(|l| l.trim_start().starts_with(name)), "{name}");
        }
    }

    #[test]
    fn who_may() {
        let me = BareJid::new("me@d").unwrap();
        let others = [BareJid::new("friend@e").unwrap()];
        let may = |from: &str| may_command(&Jid::new(from).unwrap(), &me, &others);
        assert!(may("me@d/phone") && may("ME@D") && may("friend@e/x"));
        assert!(!may("me@e") && !may("d") && !may("stranger@d") && !may("friend@e.evil"));
    }

    #[test]
    fn what_is_not_a_chat_is_not_read() {
        let body_of = |attributes: &str, more: &str| {
            let text = format!("<message xmlns='jabber:client' {attributes}><body>status</body>{more}</message>");
            body(&text.parse().unwrap())
        };
        assert_eq!(body_of("type='chat'", "").as_deref(), Some("status"));
        assert_eq!(body_of("", "").as_deref(), Some("status"));
        assert_eq!(body_of("type='error'", ""), None);
        assert_eq!(body_of("type='groupchat'", ""), None);
        assert_eq!(body_of("type='headline'", ""), None);
        assert_eq!(body_of("type='chat'", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>"), None);
        assert_eq!(body_of("type='chat'", "<machine xmlns='urn:sharelock:notice:1'/>"), None);
    }
}
