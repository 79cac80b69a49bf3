//! The thread that holds the vault and does what blocks: rounds, sealing and opening notices.
//!
//! It is one thread, because a vault is worked on by one at a time. What it is asked to do arrives as [`Job`]s, in
//! order; what came of it goes back as an [`Event`].

use super::Event;
use super::notices::{self, Known};
use super::round::{self, NodeOutcome, StorageNode, What};
use super::schedule::Work;
use super::{heap, memo};
use crate::clock::system::{OsRandom, System};
use crate::clock::{Clock, Time};
use crate::config::Config;
use crate::crypt::notice::Notice;
use crate::error::{Error, Result};
use crate::files::real::Disk;
use crate::git::{Pulse, Remote};
use crate::id::{Id, Oid};
use crate::mirror::{Device, Report};
use crate::path::RelPath;
use crate::state::db::Db;
use crate::state::{State, Table};
use serde_json::Value;
use smol::channel::{Receiver, Sender};
use std::any::Any;
use std::collections::BTreeMap;

/// The device on this machine's disks.
pub type RealDevice = Device<Disk, Db, System, OsRandom>;

/// How the vault is opened on this machine, and how a person is told of it: what the command line knows.
pub trait Site<Rm: Remote>: Send {
    /// Reads the configuration, takes the vault's lock and opens everything.
    fn open(&mut self) -> Result<Opened<Rm>>;
    /// A report as `status` keeps it: `problems`, `brake`, `again`.
    fn report(&self, device: &str, report: &Report) -> Value;
    /// Paths of head's files that have a conflict copy, each once.
    fn conflicts(&self, state: &Db) -> Result<Vec<RelPath>>;
}

/// An open vault.
pub struct Opened<Rm: Remote> {
    /// The device.
    pub device: RealDevice,
    /// Its storage nodes.
    pub nodes: Vec<StorageNode<Rm>>,
    /// The configuration as it was read.
    pub config: Config,
    /// The XMPP account, if there is one and it can be used.
    #[cfg(feature = "xmpp")]
    pub account: Option<Result<crate::xmpp::Config>>,
    /// What is held as long as the vault is open.
    pub guard: Box<dyn Any>,
}

/// What the worker is to do.
pub enum Job<Rm: Remote> {
    /// Open the vault (again).
    Open,
    /// Close it, so that another process can work on it.
    Close,
    /// One round with the nodes that are there.
    Round(Work),
    /// A node that was away has answered.
    Back(Box<StorageNode<Rm>>),
    /// A notice has come.
    Heard(Vec<u8>),
    /// Note what is only in memory, close, end.
    Stop,
}

/// What the loop must know of an opened vault.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration.
    pub config: Config,
    /// The XMPP account.
    #[cfg(feature = "xmpp")]
    pub account: Option<Result<crate::xmpp::Config>>,
    /// This device's id.
    pub id: Id,
    /// The devices that the history names.
    pub devices: BTreeMap<Id, Known>,
    /// Signs of life of the nodes that have any, by name.
    pub pulses: BTreeMap<String, Pulse>,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Finished {
    /// What it had to do.
    pub work: Work,
    /// Each node that took part.
    pub nodes: Vec<NodeOutcome>,
    /// Our head.
    pub head: Option<Oid>,
    /// Commits that were made.
    pub commits: u32,
    /// Paths of share that were written.
    pub applied: u64,
    /// Files that this device has changed.
    pub taken: u64,
    /// Something was left for another round.
    pub again: bool,
    /// The report as `status` keeps it.
    pub report: Value,
    /// Files and bytes in the vault.
    pub vault: (u64, u64),
    /// The sealed notice to be published, if a node has taken something new of ours.
    pub notice: Option<String>,
    /// Devices that new commits name.
    pub devices: BTreeMap<Id, Known>,
    /// Heads that were announced and that no node shows: by whom, and their height.
    pub withheld: Vec<(Id, u64)>,
    /// Why the round stopped as a whole.
    pub error: Option<Error>,
}

/// How long the nodes may be without a head that a device has announced before a person hears of it (FORMAT 9).
const WITHHELD: i64 = 600;
/// Commits that are looked at for the names of devices: when the vault is opened, and when head has changed.
const NAMES: (usize, usize) = (300, 20);

/// A head that was announced and that no node shows yet.
struct Announced {
    notice: Notice,
    since: Time,
}

/// Runs until [`Job::Stop`] or until nobody can ask any more.
pub fn run<Rm: Remote + Send + 'static>(site: Box<dyn Site<Rm>>, jobs: &Receiver<Job<Rm>>, events: &Sender<Event<Rm>>) {
    let mut w = Worker { site, open: None, latest: Vec::new(), announced: Vec::new(), read: None };
    while let Ok(job) = jobs.recv_blocking() {
        let (last, round) = (matches!(job, Job::Stop), matches!(job, Job::Round(_)));
        for event in w.work(job) {
            if events.send_blocking(event).is_err() {
                return;
            }
        }
        // A walk through all names: after what others wait for.
        if let Some(event) = w.conflicts()
            && events.send_blocking(event).is_err()
        {
            return;
        }
        if round {
            heap::give_back();
        }
        if last {
            return;
        }
    }
}

struct Worker<Rm: Remote> {
    site: Box<dyn Site<Rm>>,
    open: Option<Opened<Rm>>,
    /// What was last heard of each node, and when: the time is written at the end only.
    latest: Vec<(NodeOutcome, Time)>,
    announced: Vec<Announced>,
    /// The head whose conflict copies and devices are known.
    read: Option<Oid>,
}

impl<Rm: Remote + Send + 'static> Worker<Rm> {
    fn work(&mut self, job: Job<Rm>) -> Vec<Event<Rm>> {
        match job {
            Job::Open => vec![Event::Opened(Box::new(self.open()))],
            Job::Close => {
                self.close();
                vec![Event::Closed]
            }
            Job::Stop => {
                self.close();
                vec![Event::Stopped]
            }
            Job::Round(work) => self.round(work),
            Job::Back(node) => {
                if let Some(o) = &mut self.open {
                    // The configuration may have changed while it was away.
                    if o.config.remotes.iter().any(|r| r.name == node.name) && !o.nodes.iter().any(|n| n.name == node.name) {
                        o.nodes.push(*node);
                    }
                }
                Vec::new()
            }
            Job::Heard(sealed) => self.heard(&sealed).into_iter().collect(),
        }
    }

    fn open(&mut self) -> Result<Facts> {
        let o = self.site.open()?;
        // A borrower may have made a few commits; at the start all is new.
        let head = round::head(&o.device)?.filter(|head| self.read != Some(*head));
        let depth = if self.read.is_none() { NAMES.0 } else { NAMES.1 };
        let facts = Facts {
            config: o.config.clone(),
            #[cfg(feature = "xmpp")]
            account: o.account.clone(),
            id: o.device.id,
            pulses: o.nodes.iter().filter_map(|n| Some((n.name.clone(), n.remote.pulse()?))).collect(),
            devices: head.map_or(Ok(BTreeMap::new()), |h| notices::devices(&o.device, h, depth))?,
        };
        self.open = Some(o);
        Ok(facts)
    }

    /// The files with a conflict copy, if head is another one than when they were last looked for.
    fn conflicts(&mut self) -> Option<Event<Rm>> {
        let o = self.open.as_ref()?;
        let head = round::head(&o.device).ok()??;
        if self.read == Some(head) {
            return None;
        }
        let paths = self.site.conflicts(&o.device.state).ok()?;
        self.read = Some(head);
        Some(Event::Conflicts(paths))
    }

    fn close(&mut self) {
        let Some(mut o) = self.open.take() else { return };
        let state = &mut o.device.state;
        if let Err(e) = self.latest.iter().try_for_each(|(n, at)| memo::met(state, n, *at)).and_then(|()| state.commit()) {
            log::warn!("the times of last success are not kept: {e}");
        }
    }

    fn heard(&mut self, sealed: &[u8]) -> Option<Event<Rm>> {
        let o = self.open.as_mut()?;
        match notices::open(&mut o.device, sealed) {
            Ok(Some(notice)) => {
                let settled = notices::is_here(&o.device, &notice.head).unwrap_or(false);
                if !settled {
                    // One for each device: a later head contains the earlier ones.
                    self.announced.retain(|a| a.notice.device != notice.device);
                    self.announced.push(Announced { notice: notice.clone(), since: System.now() });
                }
                Some(Event::Heard(notice.device, settled))
            }
            Ok(None) => None,
            Err(e) => {
                log::info!("a notice was dropped: {e}");
                None
            }
        }
    }

    fn round(&mut self, work: Work) -> Vec<Event<Rm>> {
        let Some(o) = &mut self.open else { return Vec::new() };
        // A notice costs a write: none is made where nobody would send it.
        #[cfg(feature = "xmpp")]
        let tells = matches!(o.account, Some(Ok(_)));
        #[cfg(not(feature = "xmpp"))]
        let tells = false;
        let d = &mut o.device;
        let started = System.now();
        d.settings.settled_before = work.only_settled.then(|| earlier(started, o.config.quiet));
        let before = round::head(d).unwrap_or(None);
        let result = round::run_part(d, &mut o.nodes, What { share: work.share, secure: work.secure, nodes: work.nodes });
        let mut f =
            Finished { work, report: self.site.report(o.config.device.as_str(), &d.report), again: d.report.again, ..Finished::default() };
        f.vault = d.state.count(Table::Head).map_or((0, 0), |(files, _, bytes)| (files, bytes));
        match result {
            Ok(out) => {
                (f.head, f.commits, f.applied, f.taken) = (out.head, out.commits, out.applied, out.taken);
                if tells && out.nodes.iter().any(|n| n.sent) {
                    f.notice = notices::seal(d, out.head).unwrap_or_else(|e| {
                        log::warn!("the other devices are not told: {e}");
                        None
                    });
                }
                f.nodes = out.nodes;
            }
            // What was begun is either done at the next round, or never was.
            Err(e) => (f.again, f.error) = (true, Some(e)),
        }
        if let Some(head) = f.head.filter(|_| f.head != before) {
            f.devices = notices::devices(d, head, NAMES.1).unwrap_or_default();
        }
        let now = System.now();
        self.announced.retain(|a| !notices::is_here(d, &a.notice.head).unwrap_or(false));
        if f.nodes.iter().any(|n| n.met && n.error.is_none()) {
            let late = self.announced.iter().filter(|a| now.s - a.since.s >= WITHHELD);
            f.withheld = late.map(|a| (a.notice.device, a.notice.height)).collect();
        }
        if let Err(e) = memo::note(&mut d.state, &f.nodes, &f.report, now) {
            log::warn!("what this round found is not kept for `status`: {e}");
        }
        self.latest.retain(|(l, _)| !f.nodes.iter().any(|n| n.met && n.name == l.name));
        self.latest.extend(f.nodes.iter().filter(|n| n.met).map(|n| (n.clone(), now)));
        let mut events = Vec::new();
        for n in &f.nodes {
            let Some(error) = &n.error else { continue };
            if let Some(i) = o.nodes.iter().position(|node| node.name == n.name) {
                events.push(Event::Away(Box::new(o.nodes.remove(i)), error.clone()));
            }
        }
        events.push(Event::Finished(Box::new(f)));
        events
    }
}

fn earlier(t: Time, millis: u64) -> Time {
    let ns = t.nanos() - i128::from(millis) * 1_000_000;
    Time { s: ns.div_euclid(1_000_000_000) as i64, ns: ns.rem_euclid(1_000_000_000) as u32 }
}
