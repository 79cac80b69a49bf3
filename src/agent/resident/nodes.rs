//! Rounds that are over, and storage nodes that come and go.

use super::*;

impl<Rm: Remote + Send + 'static> Agent<Rm> {
    pub(super) fn finished(&mut self, mut f: Finished) {
        let now = self.now();
        let at = System.now();
        for n in &f.nodes {
            let node = self.nodes.entry(n.name.clone()).or_default();
            node.head = n.head.or(node.head);
            if !n.met {
                continue;
            }
            node.error.clone_from(&n.error);
            if n.error.is_none() {
                node.success = Some(at);
                node.backoff.succeeded();
                node.given_up = 0;
            }
        }
        if let Some(e) = &f.error {
            log::error!("{e}");
        }
        if f.commits > 0 || f.applied > 0 {
            log::info!("{} taken in, {} written", if f.commits > 0 { "changes" } else { "nothing" }, f.applied);
        }
        self.devices.extend(std::mem::take(&mut f.devices));
        #[cfg(feature = "xmpp")]
        self.announce(&mut f);
        let polls = self.nodes.values().any(|n| n.away.is_none());
        self.schedule.end(now, f.again, polls, jitter());
        self.latest = f;
        self.answer_waiting();
        self.tell();
    }

    /// A node is left alone for a while, then asked by a thread of its own, so that it holds nobody up.
    pub(super) fn away(&mut self, mut node: Box<StorageNode<Rm>>, error: Error) {
        let Some(known) = self.nodes.get_mut(&node.name) else { return };
        let mut wait = known.backoff.failed(jitter());
        if error.kind() != Kind::Unreachable {
            wait = wait.max(REFUSED);
        }
        log::info!("{} is left alone for {} s: {error}", node.name, wait.div_ceil(1000));
        known.error = Some(error);
        let (nudge, nudged) = smol::channel::bounded(1);
        known.away = Some(nudge);
        let events = self.events.clone();
        self.spawn(async move {
            let timer = async {
                smol::Timer::after(Duration::from_millis(wait)).await;
                true
            };
            // An error: the configuration was read again, and has the node opened anew.
            if !smol::future::or(timer, async { nudged.recv().await.is_ok() }).await {
                return;
            }
            let back = events.clone();
            let asking = std::thread::Builder::new().name("probe".into()).stack_size(STACK).spawn(move || {
                if let Some(pulse) = node.remote.pulse() {
                    pulse.take_up();
                }
                let answer = node.remote.refs();
                let _ = back.send_blocking(Event::Tried(node, answer.err()));
            });
            if let Err(e) = asking {
                // The node went with the thread that was not: all are opened anew.
                log::error!("can't start a thread: {e}");
                let _ = events.send(Event::Signal(Signal::Reload)).await;
            }
        });
    }

    pub(super) fn back(&mut self, node: Box<StorageNode<Rm>>) {
        let name = node.name.clone();
        let Some(known) = self.nodes.get_mut(&name) else { return };
        if known.away.take().is_none() {
            return; // It was opened anew meanwhile.
        }
        log::info!("{name} answers again");
        self.job(Job::Back(node));
        self.heard_of(&name);
        self.schedule.ask_nodes();
    }

    /// While a round runs: if it waits for a node that has fallen silent, and other work waits for the round, the node is
    /// given up. Else a line that has died without a word would keep what is written meanwhile out of the vault for
    /// minutes, and every other node from hearing of it. Gives the time until it is to be looked at again.
    pub(super) fn hurry(&mut self) -> Option<Duration> {
        let now = self.now();
        let other = self.reload || !self.borrowers.is_empty();
        match self.schedule.due(now) {
            Due::Never if !other => return None,
            Due::At(t) if !other => return Some(Duration::from_millis(t.saturating_sub(now).max(1))),
            _ => {}
        }
        let pulses = self.facts.as_ref().map(|f| &f.pulses);
        for (name, pulse) in pulses.into_iter().flatten() {
            let Some(node) = self.nodes.get_mut(name).filter(|n| n.away.is_none()) else { continue };
            let patience = PATIENCE.saturating_mul(1 << node.given_up.min(8));
            if pulse.silence().is_some_and(|s| s >= patience) && !pulse.is_given_up() {
                log::info!("{name} has said nothing for {} s, and other work waits", patience.as_secs());
                node.given_up += 1;
                pulse.give_up();
            }
        }
        Some(LOOK)
    }

    /// All nodes that are away are asked now.
    pub(super) fn nudge(&self) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        for (name, n) in &self.nodes {
            if let Some(away) = &n.away {
                // Full: it has been asked already.
                let _ = away.try_send(());
                asked.insert(name.clone());
            }
        }
        asked
    }

    /// A node that somebody waits for has answered, or not.
    pub(super) fn heard_of(&mut self, name: &str) {
        let mut go = false;
        for w in self.waiting.iter_mut().filter(|w| !w.began) {
            go |= w.awaiting.remove(name) && w.awaiting.is_empty();
        }
        if go {
            self.schedule.force();
        }
    }
}
