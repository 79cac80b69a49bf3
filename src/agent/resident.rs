//! The loop of the resident agent: takes events, one at a time, and decides what follows.

mod nodes;
mod people;
mod requests;

use super::control::{self, Ask, Request};
#[cfg(feature = "xmpp")]
use super::messages::{self, Asked, Messages};
use super::notify::{self, Notifier};
use super::round::StorageNode;
use super::schedule::{Backoff, Due, Schedule, Timing};
use super::worker::{self, Facts, Finished, Job, Site};
use super::{Event, Folder, Signal, network, notices, watching};
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
/// A node that says nothing for so long is waited for no more while there is other work; twice as long each time until a
/// round with it goes well, for it may be slow and not gone. Stock git gives a sign every 5 s, however long it works.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a node that is waited for is looked at, while there is other work.
const LOOK: Duration = Duration::from_secs(1);
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
    /// How often it was given up since a round with it went well.
    given_up: u32,
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
    /// The configuration is to be read again, once the worker is free.
    reload: bool,
    facts: Option<Facts>,
    borrowers: VecDeque<Request>,
    waiting: Vec<Waiting>,
    nodes: BTreeMap<String, NodeState>,
    latest: Finished,
    devices: BTreeMap<Id, notices::Known>,
    conflicts: Vec<crate::path::RelPath>,
    notifier: Notifier,
    watching: watching::Watching<Rm>,
    stopping: Option<Instant>,
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
            reload: false,
            facts: None,
            borrowers: VecDeque::new(),
            waiting: Vec::new(),
            nodes: BTreeMap::new(),
            latest: Finished::default(),
            devices: BTreeMap::new(),
            conflicts: Vec::new(),
            notifier: Notifier::default(),
            stopping: None,
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
        // Whoever sees the socket may end the agent: by then it hears signals.
        let posix = Signals::new([Posix::Term, Posix::Int, Posix::Hup]);
        let listener = control::listen(&self.state_dir)?;
        let executor = self.executor.clone();
        self.spawn(control::serve(listener, self.events.clone(), move |f| executor.spawn(f).detach()));
        self.spawn(network::watch(self.events.clone()));
        self.spawn(signals(posix, self.events.clone()));
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
        Ok(())
    }

    /// Does what is due; gives the time until something is, `None` if only an event can change that.
    fn advance(&mut self) -> Option<Duration> {
        if let Some(since) = self.stopping {
            return Some(GRACE.saturating_sub(since.elapsed()));
        }
        if self.schedule.is_busy() {
            return self.hurry();
        }
        if self.vault == Vault::Open && (self.reload || !self.borrowers.is_empty()) {
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
                self.schedule.begin(now, work);
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
            Event::Share => self.schedule.share_changed(now),
            Event::Everything => self.schedule.everything(),
            Event::Secure => self.schedule.secure_changed(now),
            Event::Watched(folder) => {
                if self.watching.begun(folder) {
                    self.schedule.everything();
                }
            }
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
                // Else it was opened anew meanwhile, and this one is not wanted any more.
                if self.nodes.get(&node.name).is_some_and(|n| n.away.is_some()) {
                    self.away(node, error);
                }
            }
            Event::Conflicts(paths) => {
                self.conflicts = paths;
                self.tell();
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
                // What waited for a node that was away waits for the round that comes now.
                self.waiting.iter_mut().for_each(|w| w.awaiting.clear());
                self.reload = false;
                // A look before the folders are watched would have to be repeated after it.
                if self.watching.watch(c) {
                    self.schedule.everything();
                }
                self.devices.extend(facts.devices.clone());
                #[cfg(feature = "xmpp")]
                self.log_in(&facts);
                self.facts = Some(facts);
                self.vault = Vault::Open;
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
            Vault::Open => self.reload = true,
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
}

/// Signals become events.
async fn signals<Rm: Remote>(posix: std::io::Result<Signals>, events: Sender<Event<Rm>>) {
    let Ok(mut signals) = posix else {
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
