//! The compatible mode: what a fleet that still runs dvcs-autosync says and hears.
//!
//! Its bot sends chats to the own account: `login RESOURCE` at the start and `pushed URL` after a push; it answers `ping`
//! with `pong`, and to text that it does not know with a line that begins with `Unknown`, which must never be answered.

/// The resource of a bot on this host.
pub fn resource(host: &str) -> String {
    format!("{BOT} on {host}")
}

/// What the resources of bots begin with.
pub const BOT: &str = "AutosyncJabberBot";

/// What a bot said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has pushed to this URL.
    Pushed(String),
    /// It asks whether anybody is there.
    Ping,
    /// It is there, or does not understand; nothing is to be answered.
    Nothing,
}

/// Reads a chat's text; `None` if it is not in a bot's language.
pub fn parse(body: &str) -> Option<Said> {
    let body = body.trim();
    let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    match word.to_ascii_lowercase().as_str() {
        "pushed" if !rest.trim().is_empty() && rest.len() <= 2000 => Some(Said::Pushed(super::stanza::line(rest, 2000))),
        "ping" if rest.is_empty() => Some(Said::Ping),
        "pushed" | "login" | "unknown" | "pong" => Some(Said::Nothing),
        _ => None,
    }
}

/// The chat that announces a push.
pub fn pushed(url: &str) -> String {
    format!("pushed {}", super::stanza::line(url, 2000))
}

/// The chat of a start.
pub fn login(resource: &str) -> String {
    format!("login {resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_is_understood() {
        for (text, want) in [
            ("pushed ssh://h/r.git\n", Some(Said::Pushed("ssh://h/r.git".into()))),
            ("pushed", Some(Said::Nothing)),
            ("login AutosyncJabberBot on box", Some(Said::Nothing)),
            ("Unknown command: \"foo\". Type \"help\" for available commands.", Some(Said::Nothing)),
            ("ping", Some(Said::Ping)),
            ("pong", Some(Said::Nothing)),
            ("status", None),
        ] {
            assert_eq!(parse(text), want, "{text:?}");
        }
        assert_eq!(parse(&pushed("a\u{1b}b\nping")), Some(Said::Pushed("a\u{fffd}b".into())));
    }
}
