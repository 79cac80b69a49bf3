//! Between the loop and the task that speaks XMPP ([`crate::xmpp::client`]): what is said, and what is made of what is
//! heard.

use super::Event;
use super::told::{Account, Problem};
use crate::config;
use crate::git::Remote;
use crate::xmpp::{self, Command, Tls, Verb, chat};
use smol::Task;
use smol::channel::Sender;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The connection as it was last heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Being made.
    Unknown,
    Online(Tls),
    Offline(String),
    /// A person is needed: why, and what to do.
    Refused(String, String),
}

/// See the module. Dropping it ends the connection.
pub struct Messages {
    to: Sender<Command>,
    _tasks: [Task<()>; 2],
    jid: String,
    line: Line,
    /// Resources of the account's other devices that are online.
    online: Vec<String>,
    /// When this device's newest notice was sent, if over a line that stood, and if it has not come back yet.
    under_way: Option<Instant>,
    /// How long the last one took to the server and back: other devices hear it as fast, and no two clocks are compared.
    took: Option<Duration>,
}

impl Messages {
    /// Logs in, and stays so.
    pub fn new<Rm: Remote + Send + 'static>(
        account: xmpp::Config,
        executor: &Arc<smol::Executor<'static>>,
        events: Sender<Event<Rm>>,
    ) -> Messages {
        let (to, commands) = smol::channel::unbounded();
        let (heard, said) = smol::channel::unbounded();
        let jid = account.jid.to_string();
        let client = executor.spawn(xmpp::client::run(account, commands, heard));
        let relay = executor.spawn(async move {
            while let Ok(event) = said.recv().await {
                if events.send(Event::Message(event)).await.is_err() {
                    return;
                }
            }
        });
        Messages { to, _tasks: [client, relay], jid, line: Line::Unknown, online: Vec::new(), under_way: None, took: None }
    }

    /// Notes how the connection is and who is there.
    pub fn note(&mut self, event: &xmpp::Event) {
        match event {
            xmpp::Event::Online { tls, .. } => self.line = Line::Online(*tls),
            xmpp::Event::Offline { why } => self.lost(Line::Offline(why.clone())),
            xmpp::Event::Refused { why, remedy } => self.lost(Line::Refused(why.clone(), remedy.clone())),
            xmpp::Event::Devices(resources) => self.online.clone_from(resources),
            xmpp::Event::Echo => self.took = self.under_way.take().map(|sent| sent.elapsed()).or(self.took),
            _ => {}
        }
    }

    fn lost(&mut self, line: Line) {
        self.line = line;
        self.online.clear();
        self.under_way = None;
    }

    fn send(&self, command: Command) {
        // The task ends only with this.
        let _ = self.to.try_send(command);
    }

    /// The other devices hear that there is something new; old clients too, by the nodes' URLs.
    pub fn publish(&mut self, notice: String, urls: Vec<String>) {
        self.under_way = matches!(self.line, Line::Online(_)).then(Instant::now);
        self.send(Command::Publish(notice.into_bytes()));
        self.send(Command::Pushed { urls });
    }

    /// People are told.
    pub fn tell(&self, text: String) {
        self.send(Command::Tell(text));
    }

    /// Answers a command.
    pub fn reply(&self, to: String, text: String) {
        self.send(Command::Reply { to, text });
    }

    /// The network or the clock has changed.
    pub fn retry(&self) {
        self.send(Command::Retry);
    }

    /// Logs out.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// True if the device that logs in under `resource` is online. One that was put out by another client of its name has
    /// come back with something behind it.
    pub fn is_online(&self, resource: &str) -> bool {
        self.online.iter().any(|r| r.starts_with(resource))
    }

    /// For `status` and `doctor`.
    pub fn account(&self) -> Account {
        let (state, why, tls) = match &self.line {
            Line::Unknown => ("connecting", None, None),
            Line::Online(tls) => ("online", None, Some(tls)),
            Line::Offline(why) => ("offline", Some(why), None),
            Line::Refused(why, _) => ("refused", Some(why), None),
        };
        let word = |tls: &Tls| match tls {
            Tls::Start => "STARTTLS".to_string(),
            Tls::Direct => "direct TLS".to_string(),
        };
        Account {
            jid: self.jid.clone(),
            state: state.into(),
            why: why.cloned(),
            tls: tls.map(word),
            notice_ms: self.took.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// What a person has to do something about.
    pub fn problem(&self) -> Option<Problem> {
        match &self.line {
            Line::Refused(why, remedy) => {
                let what = format!("xmpp: {why}. the other devices are told of changes later (by polling)");
                Some(Problem::of(what, Some(remedy)))
            }
            _ => None,
        }
    }
}

/// What a command by chat leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// An answer, and nothing else.
    Answer(String),
    /// A round.
    Sync,
    /// A pause of so many milliseconds, or until `resume`.
    Pause(Option<u64>),
    /// The end of a pause.
    Resume,
}

/// What the agent tells of itself by chat: no name of a file, but of those in conflict, which the owner asks for.
pub struct About<'a> {
    /// This device's name.
    pub device: &'a str,
    /// One line: how things stand.
    pub standing: String,
    /// Files with a conflict copy.
    pub conflicts: Vec<String>,
    /// A line for each other device.
    pub others: Vec<String>,
}

/// Makes something of a command.
pub fn asked(verb: Verb, argument: &str, about: &About<'_>) -> Asked {
    let device = about.device;
    match verb {
        Verb::Help => Asked::Answer(chat::HELP.into()),
        Verb::Ping => Asked::Answer("pong".into()),
        Verb::Whoami => Asked::Answer(format!("this is {device}, with sharelock {}", env!("CARGO_PKG_VERSION"))),
        Verb::Status => Asked::Answer(format!("{device}: {}", about.standing)),
        Verb::Conflicts if about.conflicts.is_empty() => Asked::Answer(format!("{device}: no conflict waits")),
        Verb::Conflicts => {
            let mut text = format!("{device}: both versions are kept of");
            for path in about.conflicts.iter().take(5) {
                text.push_str("\n  ");
                text.push_str(path);
            }
            if about.conflicts.len() > 5 {
                text.push_str(&format!("\n  and {} more", about.conflicts.len() - 5));
            }
            Asked::Answer(text)
        }
        Verb::Devices => {
            let mut text = format!("{device} (this one)");
            for line in &about.others {
                text.push('\n');
                text.push_str(line);
            }
            Asked::Answer(text)
        }
        Verb::Sync => Asked::Sync,
        Verb::Pause if argument.is_empty() => Asked::Pause(None),
        Verb::Pause => match config::duration(argument) {
            Some(millis) => Asked::Pause(Some(millis)),
            None => Asked::Answer("a pause takes a time like 30s, 20m or 2h, or none".into()),
        },
        Verb::Resume => Asked::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_by_chat() {
        let about = About {
            device: "laptop",
            standing: "in sync: 3 files".into(),
            conflicts: (0..7).map(|n| format!("f{n}")).collect(),
            others: vec!["pi online".into()],
        };
        let say = |verb, argument| asked(verb, argument, &about);
        assert_eq!(say(Verb::Status, ""), Asked::Answer("laptop: in sync: 3 files".into()));
        assert_eq!(say(Verb::Devices, ""), Asked::Answer("laptop (this one)\npi online".into()));
        assert_eq!(say(Verb::Pause, "2h"), Asked::Pause(Some(7_200_000)));
        assert_eq!(say(Verb::Pause, ""), Asked::Pause(None));
        assert!(matches!(say(Verb::Pause, "long"), Asked::Answer(_)));
        let Asked::Answer(text) = say(Verb::Conflicts, "") else { panic!("an answer") };
        assert!(text.ends_with("f4\n  and 2 more"), "{text}");
        // No answer is a command: two devices must not talk with each other for ever.
        for verb in [Verb::Help, Verb::Ping, Verb::Whoami, Verb::Status, Verb::Conflicts, Verb::Devices] {
            if let Asked::Answer(text) = say(verb, "") {
                assert_eq!(chat::parse(&text), None, "{text}");
            }
        }
    }
}
