//! What people see and hear: status, chat, notifications.

use super::*;
use crate::agent::notices::Known;
use crate::agent::told::{Doing, Heard, Peer, Problem, Report, Told};

impl<Rm: Remote + Send + 'static> Agent<Rm> {
    // -- messages ----------------------------------------------------------------

    /// Logs in to the account of the configuration, if it is another one than before.
    #[cfg(feature = "xmpp")]
    pub(super) fn log_in(&mut self, facts: &Facts) {
        let before = self.facts.as_ref().and_then(|f| f.account.as_ref()).and_then(|a| a.as_ref().ok());
        self.no_account = None;
        match &facts.account {
            Some(Ok(account)) if self.messages.is_some() && before == Some(account) => {}
            Some(Ok(account)) => self.messages = Some(Messages::new(account.clone(), &self.executor, self.events.clone())),
            Some(Err(e)) => {
                log::error!("xmpp: {e}");
                (self.messages, self.no_account) = (None, Some(e.clone()));
            }
            None => self.messages = None,
        }
    }

    #[cfg(feature = "xmpp")]
    pub(super) fn message(&mut self, event: xmpp::Event) {
        if let Some(m) = &mut self.messages {
            m.note(&event);
        }
        match event {
            xmpp::Event::Online { me, .. } => {
                log::info!("xmpp: online as {me}");
                // What was said meanwhile was not heard.
                self.schedule.ask_nodes();
            }
            xmpp::Event::Offline { why } => log::info!("xmpp: offline: {why}"),
            xmpp::Event::Refused { why, .. } => {
                log::error!("xmpp: {why}");
                self.tell();
            }
            xmpp::Event::Notice(sealed) => self.job(Job::Heard(sealed)),
            xmpp::Event::Pushed { .. } => self.schedule.ask_nodes(),
            xmpp::Event::Devices(_) | xmpp::Event::Echo => {}
            xmpp::Event::Command { from, verb, argument } => self.commanded(from, verb, &argument),
        }
    }

    #[cfg(feature = "xmpp")]
    pub(super) fn commanded(&mut self, from: String, verb: xmpp::Verb, argument: &str) {
        let Some(facts) = &self.facts else { return };
        let about = messages::About {
            device: facts.config.device.as_str(),
            standing: self.standing(),
            conflicts: self.conflicts.iter().map(ToString::to_string).collect(),
            others: self.others().map(|(d, online)| format!("{}{}", d.name, if online { " online" } else { "" })).collect(),
        };
        let device = about.device.to_string();
        let text = match messages::asked(verb, argument, &about) {
            Asked::Answer(text) => text,
            Asked::Sync => {
                self.nudge();
                self.schedule.everything();
                format!("{device}: looking for changes")
            }
            Asked::Pause(millis) => {
                self.schedule.pause(millis.map(|m| self.now().saturating_add(m)));
                format!("{device}: paused, changes are noted and sent then")
            }
            Asked::Resume => {
                self.schedule.resume();
                format!("{device}: goes on")
            }
        };
        if let Some(m) = &self.messages {
            m.reply(from, text);
        }
    }

    /// After a round: the other devices and people hear of it.
    #[cfg(feature = "xmpp")]
    pub(super) fn announce(&mut self, f: &mut Finished) {
        let (Some(m), Some(facts)) = (&mut self.messages, &self.facts) else { return };
        if let Some(notice) = f.notice.take() {
            m.publish(notice, facts.config.remotes.iter().map(|r| r.url.clone()).collect());
        }
        if f.taken > 0 {
            let files = if f.taken == 1 { "1 file".into() } else { format!("{} files", f.taken) };
            m.tell(format!("{}: {files} changed", facts.config.device.as_str()));
        }
    }

    // -- what people see ---------------------------------------------------------

    /// One line: how things stand, without the name of any file.
    #[cfg(feature = "xmpp")]
    pub(super) fn standing(&self) -> String {
        let (files, problems) = (self.latest.vault.0, Report::read(&self.latest.report).problems.len());
        let away: Vec<&str> = self.nodes.iter().filter(|(_, n)| n.error.is_some()).map(|(name, _)| name.as_str()).collect();
        let mut text = match (self.schedule.is_busy(), self.schedule.paused(), self.schedule.has_changes()) {
            (true, _, _) => "syncing".to_string(),
            (_, Some(_), _) => "paused".to_string(),
            (_, _, true) => "changes wait".to_string(),
            _ if away.is_empty() => format!("in sync: {files} files"),
            _ => format!("{files} files"),
        };
        if !away.is_empty() {
            text.push_str(&format!(", {} does not answer", away.join(", ")));
        }
        if !self.conflicts.is_empty() {
            text.push_str(&format!(", {} in conflict", self.conflicts.len()));
        }
        if problems > 0 {
            text.push_str(&format!(", {problems} not in sync (`sharelock status` there names them)"));
        }
        text
    }

    /// The other devices, and whether each is online.
    pub(super) fn others(&self) -> impl Iterator<Item = (&Known, bool)> {
        let own = self.facts.as_ref().map(|f| f.id);
        self.devices.iter().filter(move |(id, d)| Some(**id) != own && !d.forgotten).map(|(_, d)| (d, self.is_online(d)))
    }

    #[cfg(feature = "xmpp")]
    pub(super) fn is_online(&self, d: &Known) -> bool {
        self.messages.as_ref().is_some_and(|m| m.is_online(&d.resource))
    }

    #[cfg(not(feature = "xmpp"))]
    pub(super) fn is_online(&self, _: &Known) -> bool {
        false
    }

    /// How the agent does, for `status` and `doctor`.
    pub(super) fn told(&self) -> Told {
        let doing = match (&self.vault, self.schedule.is_busy(), self.schedule.paused()) {
            (Vault::Broken(_), _, _) => Doing::Stopped,
            (Vault::Lent(_) | Vault::Closing | Vault::Opening, _, _) => Doing::Lent,
            (_, true, _) => Doing::Syncing,
            (_, _, Some(_)) => Doing::Paused,
            _ if self.schedule.has_changes() => Doing::Waiting,
            _ => Doing::Idle,
        };
        let until = |t: u64| Time { s: System.now().s + (t.saturating_sub(self.now()) / 1000) as i64, ns: 0 };
        let mut problems: Vec<Problem> = self.watching.problems();
        if let Vault::Broken(why) = &self.vault {
            problems.push(Problem::of(why, None));
        }
        if let Some(e) = &self.latest.error {
            problems.push(Problem::of(e.to_string(), e.remedies().first().map(|r| r.command.as_str())));
        }
        #[cfg(feature = "xmpp")]
        {
            problems.extend(self.messages.as_ref().and_then(Messages::problem));
            problems.extend(self.no_account.as_ref().map(|e| Problem::of(format!("xmpp: {e}"), None)));
        }
        for (device, height) in &self.latest.withheld {
            let name = self.devices.get(device).map_or("a device", |d| d.name.as_str());
            let what = format!("{name} has stored change {height}, and no storage node shows it since: a node holds it back, or went back");
            problems.push(Problem::of(what, Some("sharelock doctor")));
        }
        #[cfg(feature = "xmpp")]
        let xmpp = self.messages.as_ref().map(Messages::account);
        #[cfg(not(feature = "xmpp"))]
        let xmpp = None;
        let peer = |(d, online): (&Known, bool)| Peer { name: d.name.clone(), online, seen: Time { s: d.changed, ns: 0 } };
        Told {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            doing,
            paused_until: self.schedule.paused().flatten().map(until),
            nodes: self.nodes.iter().map(|(name, n)| (name.clone(), Heard::now(n.success, n.error.as_ref()))).collect(),
            devices: self.others().map(peer).collect(),
            problems,
            watch: self.watching.state(),
            xmpp,
        }
    }

    /// Tells a person what is new and needs one.
    pub(super) fn tell(&mut self) {
        let Some(facts) = &self.facts else { return };
        let mut now = BTreeSet::new();
        for path in &self.conflicts {
            now.insert(format!("{path} was changed on two devices at once; both versions are kept"));
        }
        let report = Report::read(&self.latest.report);
        now.extend(report.full.as_ref().and_then(control::error_from).map(|e| e.what().to_string()));
        if let Some(brake) = report.brake {
            now.extend(brake.lines().next().map(str::to_string));
        }
        for (name, n) in &self.nodes {
            if let Some(e) = n.error.as_ref().filter(|e| matches!(e.kind(), Kind::Integrity(_))) {
                now.insert(format!("nothing was taken from {name}: {e}"));
            }
        }
        if let Some(e) = &self.latest.error {
            now.insert(e.to_string());
        }
        if let Vault::Broken(why) = &self.vault {
            now.insert(why.clone());
        }
        #[cfg(feature = "xmpp")]
        now.extend(self.messages.as_ref().and_then(Messages::problem).map(|p| p.what));
        let news = self.notifier.news(now);
        #[cfg(feature = "xmpp")]
        if let Some(m) = self.messages.as_ref().filter(|_| !news.is_empty() && facts.config.notify.contains(&Notify::Xmpp)) {
            m.tell(format!("{}: {} waits for an answer: sharelock status", facts.config.device.as_str(), news.len()));
        }
        let executor = self.executor.clone();
        notify::tell(&news, &facts.config.notify, move |f| executor.spawn(f).detach());
    }
}
