//! The loop of the resident agent: takes events, one at a time, and decides what follows.

use super::control::{self, Ask, Request};
#[cfg(feature = "xmpp")]
use super::messages::{self, Asked, Messages};
use super::notify::{self, Notifier};
use super::round::StorageNode;
use super::schedule::{Backoff, Due, Schedule, Timing};
use super::worker::{self, Facts, Finished, Job, Site};
use super::{Event, Folder, Signal, network, watching};
use crate::clock::system::{OsRandom, System};
use crate::clock::{Clock, Random, Time};
#[cfg(feature = "xmpp")]
use crate::config::Notify;
use crate::error::{Error, Kind, Result};
use crate::git::Remote;
use crate::id::Id;
#[cfg(feature = "xmpp")]
use crate::xmpp;
use async_signal::{Signal as Posix, Signals};
use serde_json::{Value, json};
use smol::channel::{Receiver, Sender};
use smol::stream::StreamExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After SIGTERM or `stop` a round may go on for so long; then it is abandoned, which loses nothing.
const GRACE: Duration = Duration::from_millis(1500);
/// The worker's stack: it holds no large buffers, and nothing in it recurses over data.
const STACK: usize = 1 << 20;
/// How long a node that was refused is left alone: waiting alone mends nothing there.
const REFUSED: u64 = 300_000;

/// What the agent is started with.
pub struct Start<Rm: Remote> {
    /// Opens the vault.
    pub site: Box<dyn Site<Rm>>,
    /// The directory of the control socket.
    pub state_dir: PathBuf,
    /// Called once the vault is open and the socket is there.
    pub ready: Box<dyn FnOnce(&Facts)>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// The vault cannot be opened at the start, or the control socket not be made.
pub fn run<Rm: Remote + Send + 'static>(start: Start<Rm>) -> Result<()> {
    let (events, heard) = smol::channel::bounded::<Event<Rm>>(256);
    let (jobs, todo) = smol::channel::unbounded::<Job<Rm>>();
    let back = events.clone();
    let site = start.site;
    std::thread::Builder::new()
        .name("worker".into())
        .stack_size(STACK)
        .spawn(move || worker::run(site, &todo, &back))
        .map_err(|e| Error::from(e).at("can't start a thread"))?;
    let executor = Arc::new(smol::Executor::new());
    let agent = Agent::new(executor.clone(), events, jobs, start.state_dir);
    smol::block_on(executor.run(agent.run(heard, start.ready)))
}

/// Who has the vault.
#[derive(Debug, PartialEq, Eq)]
enum Vault {
    /// The worker is opening it.
    Opening,
    /// The worker.
    Open,
    /// The worker is closing it, for the first of the borrowers.
    Closing,
    /// A borrower: this connection.
    Lent(u64),
    /// Nobody: it could not be opened.
    Broken(String),
}

/// What is known of a node.
#[derive(Debug, Default)]
struct NodeState {
    success: Option<Time>,
    error: Option<Error>,
    /// It is not asked in rounds; this asks it at once.
    away: Option<Sender<()>>,
    backoff: Backoff,
    head: Option<crate::id::Oid>,
}

/// Somebody waits for a round.
#[derive(Debug)]
struct Waiting {
    request: Request,
    /// Nodes that were away and are being asked.
    awaiting: BTreeSet<String>,
    /// The round that counts has begun.
    began: bool,
}

struct Agent<Rm: Remote> {
    executor: Arc<smol::Executor<'static>>,
    events: Sender<Event<Rm>>,
    jobs: Sender<Job<Rm>>,
    state_dir: PathBuf,
    epoch: Instant,
    schedule: Schedule,
    vault: Vault,
    busy: bool,
    waited: u64,
    facts: Option<Facts>,
    borrowers: VecDeque<Request>,
    waiting: Vec<Waiting>,
    nodes: BTreeMap<String, NodeState>,
    latest: Finished,
    devices: BTreeMap<Id, super::notices::Known>,
    conflicts: Vec<crate::path::RelPath>,
    notifier: Notifier,
    watching: watching::Watching<Rm>,
    stopping: Option<Instant>,
    stoppers: Vec<Request>,
    #[cfg(feature = "xmpp")]
    messages: Option<Messages>,
    /// Why the configured account cannot be used.
    #[cfg(feature = "xmpp")]
    no_account: Option<Error>,
}

impl<Rm: Remote + Send + 'static> Agent<Rm> {
    fn new(executor: Arc<smol::Executor<'static>>, events: Sender<Event<Rm>>, jobs: Sender<Job<Rm>>, state_dir: PathBuf) -> Self {
        Agent {
            watching: watching::Watching::new(executor.clone(), events.clone()),
            executor,
            events,
            jobs,
            state_dir,
            epoch: Instant::now(),
            schedule: Schedule::new(Timing::default()),
            vault: Vault::Opening,
            busy: false,
            waited: 0,
            facts: None,
            borrowers: VecDeque::new(),
            waiting: Vec::new(),
            nodes: BTreeMap::new(),
            latest: Finished::default(),
            devices: BTreeMap::new(),
            conflicts: Vec::new(),
            notifier: Notifier::default(),
            stopping: None,
            stoppers: Vec::new(),
            #[cfg(feature = "xmpp")]
            messages: None,
            #[cfg(feature = "xmpp")]
            no_account: None,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn job(&self, job: Job<Rm>) {
        // The worker ends only when it is told to.
        let _ = self.jobs.try_send(job);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(task).detach();
    }

    async fn run(mut self, heard: Receiver<Event<Rm>>, ready: Box<dyn FnOnce(&Facts)>) -> Result<()> {
        self.job(Job::Open);
        let facts = loop {
            match heard.recv().await {
                Ok(Event::Opened(facts)) => break (*facts)?,
                Ok(_) => {}
                Err(_) => return Err(Error::failed("the worker ended")),
            }
        };
        let listener = control::listen(&self.state_dir)?;
        let executor = self.executor.clone();
        self.spawn(control::serve(listener, self.events.clone(), move |f| executor.spawn(f).detach()));
        self.spawn(network::watch(self.events.clone()));
        self.spawn(signals(self.events.clone()));
        ready(&facts);
        self.opened(Ok(facts));
        loop {
            let due = self.advance();
            let event = match due {
                Some(after) => smol::future::or(async { heard.recv().await.ok().map(Some) }, async {
                    smol::Timer::after(after).await;
                    Some(None)
                })
                .await
                .flatten(),
                None => heard.recv().await.ok(),
            };
            if self.stopping.is_some_and(|at| at.elapsed() >= GRACE) {
                log::info!("stopped in the middle of a round: the next one does the rest");
                break;
            }
            match event {
                Some(Event::Stopped) => break,
                Some(event) => self.on(event),
                None => {}
            }
        }
        let _ = std::fs::remove_file(self.state_dir.join(control::NAME));
        for r in self.stoppers.drain(..) {
            let _ = r.answer.send(json!({"done": true})).await;
            r.answer.close();
        }
        // The answers are on their way; the connections are done when they are.
        smol::Timer::after(Duration::from_millis(20)).await;
        Ok(())
    }

    /// Does what is due; gives the time until something is, `None` if only an event can change that.
    fn advance(&mut self) -> Option<Duration> {
        if let Some(since) = self.stopping {
            return Some(GRACE.saturating_sub(since.elapsed()));
        }
        if self.vault == Vault::Open && !self.busy && !self.borrowers.is_empty() {
            self.vault = Vault::Closing;
            self.job(Job::Close);
        }
        if self.vault != Vault::Open {
            return None;
        }
        let now = self.now();
        match self.schedule.next(now) {
            Due::Never => None,
            Due::At(t) => Some(Duration::from_millis(t.saturating_sub(now).max(1))),
            Due::Now(work) => {
                self.waited = self.schedule.waited();
                self.schedule.begin(now, work);
                self.busy = true;
                for w in &mut self.waiting {
                    w.began |= w.awaiting.is_empty() && work.share && work.secure;
                }
                self.job(Job::Round(work));
                None
            }
        }
    }

    fn on(&mut self, event: Event<Rm>) {
        let now = self.now();
        match event {
            Event::Share(false) => self.schedule.share_changed(now),
            Event::Share(true) => self.schedule.everything(),
            Event::Secure => self.schedule.secure_changed(now),
            Event::Gone(folder) => self.gone(folder),
            Event::Asked(request) => self.asked(request),
            Event::Returned(id) => self.returned(id),
            Event::Opened(facts) => self.opened(*facts),
            Event::Closed => self.closed(),
            Event::Finished(f) => self.finished(*f),
            Event::Away(node, error) => self.away(node, error),
            Event::Tried(node, None) => self.back(node),
            Event::Tried(node, Some(error)) => {
                self.heard_of(&node.name.clone());
                self.away(node, error);
            }
            Event::Heard(device, here) => {
                if let Some(d) = self.devices.get_mut(&device) {
                    d.changed = d.changed.max(System.now().s);
                }
                if !here {
                    self.schedule.ask_nodes();
                }
            }
            Event::Changed(what) => {
                log::debug!("{what:?} changed");
                self.nudge();
                #[cfg(feature = "xmpp")]
                if let Some(m) = &self.messages {
                    m.retry();
                }
                if what == network::What::Clock {
                    self.schedule.ask_nodes();
                }
            }
            #[cfg(feature = "xmpp")]
            Event::Message(event) => self.message(event),
            Event::Signal(Signal::Stop) => self.stop(),
            Event::Signal(Signal::Reload) => self.reload(),
            Event::Stopped => {}
        }
    }

    // -- the vault ----------------------------------------------------------

    fn opened(&mut self, facts: Result<Facts>) {
        match facts {
            Ok(facts) => {
                let c = &facts.config;
                self.schedule.set_timing(Timing { quiet: c.quiet, max_delay: c.max_delay, poll: c.poll });
                self.nodes.retain(|name, _| c.remotes.iter().any(|r| r.name == *name));
                for r in &c.remotes {
                    // Whatever was the matter with it: it was opened anew.
                    let node = self.nodes.entry(r.name.clone()).or_default();
                    node.away = None;
                }
                self.watching.watch(c);
                self.devices.extend(facts.devices.clone());
                self.conflicts.clone_from(&facts.conflicts);
                #[cfg(feature = "xmpp")]
                self.log_in(&facts);
                self.facts = Some(facts);
                self.vault = Vault::Open;
                self.schedule.everything();
            }
            Err(e) => {
                log::error!("{e}");
                self.vault = Vault::Broken(e.to_string());
                self.tell();
                let events = self.events.clone();
                self.spawn(async move {
                    smol::Timer::after(Duration::from_secs(30)).await;
                    let _ = events.send(Event::Signal(Signal::Reload)).await;
                });
            }
        }
    }

    fn closed(&mut self) {
        let Some(first) = self.borrowers.pop_front() else {
            // A reload.
            self.vault = Vault::Opening;
            return self.job(Job::Open);
        };
        self.vault = Vault::Lent(first.id);
        let _ = first.answer.try_send(json!({"lent": true}));
        first.answer.close();
    }

    fn returned(&mut self, id: u64) {
        if self.vault == Vault::Lent(id) {
            self.vault = Vault::Closing;
            self.closed();
        } else {
            self.borrowers.retain(|r| r.id != id);
        }
    }

    fn reload(&mut self) {
        match self.vault {
            Vault::Open if !self.busy => {
                self.vault = Vault::Closing;
                self.job(Job::Close);
            }
            Vault::Open => {
                // After the round. Borrowers lead to the same.
                let events = self.events.clone();
                self.spawn(async move {
                    smol::Timer::after(Duration::from_millis(200)).await;
                    let _ = events.send(Event::Signal(Signal::Reload)).await;
                });
            }
            Vault::Broken(_) => {
                self.vault = Vault::Opening;
                self.job(Job::Open);
            }
            // It is read again anyway.
            Vault::Opening | Vault::Closing | Vault::Lent(_) => {}
        }
    }

    fn stop(&mut self) {
        #[cfg(feature = "xmpp")]
        if let Some(m) = &self.messages {
            m.stop();
        }
        if self.stopping.is_none() {
            self.stopping = Some(Instant::now());
            self.job(Job::Stop);
        }
    }

    fn gone(&mut self, folder: Folder) {
        log::warn!("{} is gone", if folder == Folder::Share { "the share" } else { "secure" });
        if let Some(facts) = &self.facts {
            self.watching.watch_when_back(folder, &facts.config);
        }
        // The round says what is the matter, and deduces nothing from what is missing.
        self.schedule.everything();
    }

    // -- rounds and nodes -----------------------------------------------------

    fn finished(&mut self, mut f: Finished) {
        let now = self.now();
        self.busy = false;
        let at = System.now();
        for n in &f.nodes {
            let node = self.nodes.entry(n.name.clone()).or_default();
            node.head = n.head.or(node.head);
            node.error.clone_from(&n.error);
            if n.error.is_none() {
                node.success = Some(at);
                node.backoff.succeeded();
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
        if let Some(c) = f.conflicts.take() {
            self.conflicts = c;
        }
        let polls = self.nodes.values().any(|n| n.away.is_none());
        self.schedule.end(now, f.again, self.waited, polls, jitter());
        self.latest = f;
        self.answer_waiting();
        self.tell();
    }

    /// A node is left alone for a while, then asked by a thread of its own, so that it holds nobody up.
    fn away(&mut self, mut node: Box<StorageNode<Rm>>, error: Error) {
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
            let asking = std::thread::Builder::new().name("probe".into()).stack_size(STACK).spawn(move || {
                let answer = node.remote.refs();
                let _ = events.send_blocking(Event::Tried(node, answer.err()));
            });
            if let Err(e) = asking {
                log::error!("can't start a thread: {e}");
            }
        });
    }

    fn back(&mut self, node: Box<StorageNode<Rm>>) {
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

    /// All nodes that are away are asked now.
    fn nudge(&self) -> BTreeSet<String> {
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
    fn heard_of(&mut self, name: &str) {
        let mut go = false;
        for w in self.waiting.iter_mut().filter(|w| !w.began) {
            go |= w.awaiting.remove(name) && w.awaiting.is_empty();
        }
        if go {
            self.schedule.everything();
        }
    }

    // -- requests --------------------------------------------------------------

    fn asked(&mut self, r: Request) {
        let done = |r: &Request, v: Value| {
            let _ = r.answer.try_send(v);
            r.answer.close();
        };
        match r.ask {
            Ask::Status => {
                let mut status = self.status();
                status["done"] = json!(true);
                done(&r, status);
            }
            Ask::Stop => {
                self.stoppers.push(r);
                self.stop();
            }
            Ask::Pause(millis) => {
                let until = millis.map(|m| self.now().saturating_add(m));
                self.schedule.pause(until);
                done(&r, json!({"done": true, "until": millis.map(|m| System.now().s + (m / 1000) as i64)}));
            }
            Ask::Resume => {
                self.schedule.resume();
                done(&r, json!({"done": true}));
            }
            Ask::Lend => self.borrowers.push_back(r),
            Ask::Sync | Ask::Wait => {
                if let Vault::Broken(why) = &self.vault {
                    return done(&r, json!({"done": false, "why": why}));
                }
                self.schedule.resume();
                let awaiting = self.nudge();
                if awaiting.is_empty() {
                    self.schedule.everything();
                }
                self.waiting.push(Waiting { request: r, awaiting, began: false });
            }
        }
    }

    /// A round is over: who waited for it hears.
    fn answer_waiting(&mut self) {
        let f = &self.latest;
        let stored: Vec<&String> = self.nodes.iter().filter(|(_, n)| n.error.is_none() && n.head == f.head).map(|(name, _)| name).collect();
        let away: Vec<&String> = self.nodes.iter().filter(|(_, n)| n.error.is_some()).map(|(name, _)| name).collect();
        let complete = f.error.is_none() && !f.again && !stored.is_empty() && stored.len() + away.len() == self.nodes.len();
        let errors: Vec<Value> = self
            .nodes
            .iter()
            .filter_map(|(name, n)| n.error.as_ref().map(|e| json!({"name": name, "error": control::error_json(e)})))
            .collect();
        let mut again = false;
        self.waiting.retain_mut(|w| {
            if !w.began {
                return true;
            }
            let answer = match w.request.ask {
                Ask::Sync => Some(json!({
                    "done": true, "files": f.vault.0, "bytes": f.vault.1, "nodes": self.nodes.len(), "errors": errors,
                    "report": f.report, "error": f.error.as_ref().map(control::error_json),
                })),
                _ if complete => Some(json!({"done": true, "stored": stored, "away": away})),
                _ => None,
            };
            match answer {
                Some(v) => {
                    let _ = w.request.answer.try_send(v);
                    w.request.answer.close();
                    false
                }
                None if w.request.answer.is_closed() => false,
                None => {
                    let _ = w.request.answer.try_send(json!({"waiting": true, "stored": stored, "away": away}));
                    // A node that answers again, or a change, leads to another round by itself.
                    again |= f.again;
                    true
                }
            }
        });
        if again {
            log::debug!("somebody waits for what this round left");
        }
    }

    // -- messages ----------------------------------------------------------------

    /// Logs in to the account of the configuration, if it is another one than before.
    #[cfg(feature = "xmpp")]
    fn log_in(&mut self, facts: &Facts) {
        let before = self.facts.as_ref().and_then(|f| f.account.as_ref()).and_then(|a| a.as_ref().ok());
        self.no_account = None;
        match &facts.account {
            Some(Ok(account)) if self.messages.is_some() && before.is_some_and(|b| b.same_as(account)) => {}
            Some(Ok(account)) => self.messages = Some(Messages::new(account.clone(), &self.executor, self.events.clone())),
            Some(Err(e)) => {
                log::error!("xmpp: {e}");
                (self.messages, self.no_account) = (None, Some(e.clone()));
            }
            None => self.messages = None,
        }
    }

    #[cfg(feature = "xmpp")]
    fn message(&mut self, event: xmpp::Event) {
        if let Some(m) = &mut self.messages {
            m.note(&event);
        }
        match event {
            xmpp::Event::Online { me } => {
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
            xmpp::Event::Devices(_) => {}
            xmpp::Event::Command { from, verb, argument } => self.commanded(from, verb, &argument),
        }
    }

    #[cfg(feature = "xmpp")]
    fn commanded(&mut self, from: String, verb: xmpp::Verb, argument: &str) {
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
    fn announce(&mut self, f: &mut Finished) {
        let (Some(m), Some(facts)) = (&self.messages, &self.facts) else { return };
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
    fn standing(&self) -> String {
        let (files, problems) = (self.latest.vault.0, self.latest.report["problems"].as_array().map_or(0, Vec::len));
        let away: Vec<&str> = self.nodes.iter().filter(|(_, n)| n.error.is_some()).map(|(name, _)| name.as_str()).collect();
        let mut text = match (self.busy, self.schedule.paused(), self.schedule.has_changes()) {
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
    fn others(&self) -> impl Iterator<Item = (&super::notices::Known, bool)> {
        let own = self.facts.as_ref().map(|f| f.id);
        self.devices.iter().filter(move |(id, _)| Some(**id) != own).map(|(_, d)| (d, self.is_online(d)))
    }

    #[cfg(feature = "xmpp")]
    fn is_online(&self, d: &super::notices::Known) -> bool {
        self.messages.as_ref().is_some_and(|m| m.is_online(&d.resource))
    }

    #[cfg(not(feature = "xmpp"))]
    fn is_online(&self, _: &super::notices::Known) -> bool {
        false
    }

    fn status(&self) -> Value {
        let state = match (&self.vault, self.busy, self.schedule.paused()) {
            (Vault::Broken(_), _, _) => "stopped",
            (Vault::Lent(_) | Vault::Closing | Vault::Opening, _, _) => "lent",
            (_, true, _) => "syncing",
            (_, _, Some(_)) => "paused",
            _ if self.schedule.has_changes() => "waiting",
            _ => "idle",
        };
        let paused_until = self.schedule.paused().flatten().map(|t| System.now().s + (t.saturating_sub(self.now()) / 1000) as i64);
        let devices: Vec<Value> =
            self.others().map(|(d, online)| json!({"name": d.name, "online": online, "last_seen": d.changed})).collect();
        let nodes: BTreeMap<&String, Value> = self
            .nodes
            .iter()
            .map(|(name, n)| {
                let error = n.error.as_ref().map(|e| (e.to_string(), e.exit_code()));
                (name, json!({"success": n.success.map(|t| t.s), "error": error, "away": n.away.is_some()}))
            })
            .collect();
        let mut problems: Vec<Value> = self.watching.problems();
        if let Vault::Broken(why) = &self.vault {
            problems.push(json!({"path": null, "what": why, "remedy": null}));
        }
        if let Some(e) = &self.latest.error {
            problems.push(json!({"path": null, "what": e.to_string(), "remedy": e.remedies().first().map(|r| &r.command)}));
        }
        #[cfg(feature = "xmpp")]
        {
            problems.extend(self.messages.as_ref().and_then(Messages::problem));
            problems.extend(self.no_account.as_ref().map(|e| json!({"path": null, "what": format!("xmpp: {e}"), "remedy": null})));
        }
        for (device, height) in &self.latest.withheld {
            let name = self.devices.get(device).map_or("a device", |d| d.name.as_str());
            let what = format!("{name} has stored change {height}, and no storage node shows it since: a node holds it back, or went back");
            problems.push(json!({"path": null, "what": what, "remedy": "sharelock doctor"}));
        }
        #[cfg(feature = "xmpp")]
        let xmpp = self.messages.as_ref().map(Messages::state);
        #[cfg(not(feature = "xmpp"))]
        let xmpp = Value::Null;
        json!({
            "xmpp": xmpp,
            "running": true, "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"),
            "state": state, "paused_until": paused_until, "nodes": nodes, "devices": devices, "problems": problems,
            "watch": self.watching.state(),
        })
    }

    /// Tells a person what is new and needs one.
    fn tell(&mut self) {
        let Some(facts) = &self.facts else { return };
        let mut now = BTreeSet::new();
        for path in &self.conflicts {
            now.insert(format!("{path} was changed on two devices at once; both versions are kept"));
        }
        if let Some(brake) = self.latest.report["brake"].as_str() {
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
        now.extend(self.messages.as_ref().and_then(Messages::problem).and_then(|p| p["what"].as_str().map(str::to_string)));
        let news = self.notifier.news(now);
        #[cfg(feature = "xmpp")]
        if let Some(m) = self.messages.as_ref().filter(|_| !news.is_empty() && facts.config.notify.contains(&Notify::Xmpp)) {
            m.tell(format!("{}: {} waits for an answer: sharelock status", facts.config.device.as_str(), news.len()));
        }
        let executor = self.executor.clone();
        notify::tell(&news, &facts.config.notify, move |f| executor.spawn(f).detach());
    }
}

/// Signals become events.
async fn signals<Rm: Remote>(events: Sender<Event<Rm>>) {
    let Ok(mut signals) = Signals::new([Posix::Term, Posix::Int, Posix::Hup]) else {
        return log::error!("signals are not heard");
    };
    while let Some(Ok(signal)) = signals.next().await {
        let signal = if signal == Posix::Hup { Signal::Reload } else { Signal::Stop };
        if events.send(Event::Signal(signal)).await.is_err() {
            return;
        }
    }
}

fn jitter() -> u8 {
    let mut byte = [128u8];
    // Without randomness devices come back at once: no harm but load.
    let _ = OsRandom.fill(&mut byte);
    byte[0]
}
