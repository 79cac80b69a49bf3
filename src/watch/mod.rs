//! Which places of a folder are to be looked at again.
//!
//! One [`Watcher`] a root, one kind of event for all back ends: inotify on Linux, FSEvents on macOS, and polling where
//! neither sees everything (network disks, kernels and chroots without them). A watcher never says what happened, only
//! where: looking is the scan's business, so an event too many costs a look and nothing else.
//!
//! What is promised: whatever changes after [`Watcher::new`] has returned is covered by a [`Change`] that comes after it
//! (where there is polling: within its interval), and the first change is always [`Change::All`].
//!
//! Implementation: no thread on Linux; one for the run loop of FSEvents. All system calls are made by [`Watcher::new`],
//! [`Watcher::next`] and [`Watcher::drain`] themselves, in pieces of a few milliseconds. An idle watcher waits for its
//! descriptor, and for a timer only if something must be polled.

mod disk;
#[cfg(any(target_os = "macos", test))]
mod fsevents;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod inotify;
mod pending;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod table;
#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod walk;

use crate::error::{Error, Result};
use crate::path::RelPath;
use pending::Pending;
use smol::future::{self, FutureExt};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often what cannot be watched is looked at. A look costs an `lstat` for each file (about 0.3 s for 100 000 on a
/// local disk, far more by network), and what polls is a device whose owner can wait.
pub const POLL: Duration = Duration::from_secs(60);

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The root was deleted, moved away or unmounted. Nothing comes after it: a new watcher is needed when the root is
    /// back. Nothing may be deduced from what is missing.
    Gone,
    /// At everything: something was lost, too much happened to name it, or it is time to poll.
    All,
    /// At this directory and everything beneath.
    Tree(RelPath),
    /// At the entries of this directory.
    Dir(RelPath),
}

/// Which back end is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What this system has and this disk allows.
    #[default]
    Auto,
    /// inotify, on any disk; an error where there is none.
    Inotify,
    /// FSEvents, on any disk; an error where there is none.
    Fsevents,
    /// Polling.
    Poll,
}

/// Names that are no concern: called with the directory's path and the name of an entry. Nothing is told of such an
/// entry, and if it is a directory nothing beneath is watched. If the answer for a directory changes from yes to no,
/// a new watcher is needed.
pub type Skip = Box<dyn Fn(&RelPath, &[u8]) -> bool + Send + Sync>;

/// Which back end is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// inotify.
    Inotify,
    /// FSEvents.
    Fsevents,
    /// Polling, and why (`asked for`, `the folder is on NFS`, ...).
    Poll(String),
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Inotify => f.write_str("inotify"),
            Backend::Fsevents => f.write_str("fsevents"),
            Backend::Poll(why) => write!(f, "poll ({why})"),
        }
    }
}

/// How a watcher does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The back end at work.
    pub backend: Backend,
    /// Directories that are watched (0 where the back end does not count them).
    pub watched: u64,
    /// Directories that are polled because the kernel grants no more watches, as many as there were when the limit was
    /// met.
    pub unwatched: u64,
    /// How often what cannot be watched is looked at.
    pub poll: Duration,
}

impl State {
    /// The command that raises the limit that `unwatched` directories met; `None` if there are none.
    pub fn remedy(&self) -> Option<String> {
        let all = self.watched.saturating_add(self.unwatched);
        // Twice what this vault needs, since other programs watch, too.
        let limit = all.saturating_mul(2).checked_next_power_of_two().unwrap_or(all).clamp(65_536, i32::MAX as u64);
        (self.unwatched > 0)
            .then(|| format!("echo fs.inotify.max_user_watches={limit} | sudo tee /etc/sysctl.d/60-sharelock.conf && sudo sysctl --system"))
    }
}

/// The name of the file system that a folder lies on, as people know it (`ext4`); `None` where it has none.
pub fn file_system(folder: &Path) -> Option<String> {
    disk::kind(disk::open_root(folder).ok()?.as_fd())
}

/// What a back end did in one step.
enum Step {
    /// Something; there may be more.
    Busy,
    /// Nothing: wait for it.
    Idle,
    /// It saw the root go.
    Gone,
}

enum Engine {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Inotify(Box<inotify::Watches>),
    #[cfg(any(target_os = "macos", test))]
    Fsevents(fsevents::Events),
    Poll(String),
    /// The root is gone.
    Ended,
}

/// Watches one root.
pub struct Watcher {
    engine: Engine,
    pending: Pending,
    interval: Duration,
    /// When the timer of what is polled goes off next; `None` if nothing is polled.
    due: Option<Instant>,
}

impl Watcher {
    /// Watches everything below `root`, but for what `skip` names. Blocks for as long as it takes to walk the
    /// directories. `poll` is the interval for what cannot be watched ([`POLL`]).
    ///
    /// # Errors
    /// A root that is not there or cannot be opened; a back end that was asked for by name and does not work here.
    pub fn new(root: &Path, choice: Choice, poll: Duration, skip: Skip) -> Result<Watcher> {
        let failed = |e: io::Error| Error::from(e).at(format!("can't watch {}", root.display()));
        let dir = disk::open_root(root).map_err(|e| failed(e.into()))?;
        let polling = match (choice, disk::network(dir.as_fd())) {
            (Choice::Poll, _) => Some("asked for".to_string()),
            (Choice::Auto, Some(kind)) => Some(format!("the folder is on {kind}, where others' changes are not seen")),
            _ => None,
        };
        let engine = match polling {
            Some(why) => Engine::Poll(why),
            None => match native(root, choice, skip) {
                Ok(engine) => engine,
                Err(e) if choice == Choice::Auto => Engine::Poll(format!("watching does not work here: {e}")),
                Err(e) => return Err(failed(e)),
            },
        };
        let mut pending = Pending::default();
        pending.all();
        Ok(Watcher { engine, pending, interval: poll, due: None })
    }

    /// The next change, when there is one. May be dropped and called again at any time; nothing is lost by that.
    pub async fn next(&mut self) -> Change {
        loop {
            let mut busy = true;
            // A burst is taken in whole, as far as it goes quickly, so that each of its places is named once.
            for _ in 0..64 {
                busy = self.step();
                if !busy {
                    break;
                }
                future::yield_now().await;
            }
            if let Some(change) = self.pending.pop() {
                return change;
            }
            if !busy {
                self.wait().await;
            }
        }
    }

    /// All changes that are known by now, without waiting.
    pub fn drain(&mut self) -> Vec<Change> {
        // Bounded: somebody may write faster than this reads.
        for _ in 0..4096 {
            if !self.step() {
                break;
            }
        }
        std::iter::from_fn(|| self.pending.pop()).collect()
    }

    /// The back end and its numbers.
    pub fn state(&self) -> State {
        let (backend, (watched, unwatched)) = match &self.engine {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Engine::Inotify(w) => (Backend::Inotify, w.numbers()),
            #[cfg(any(target_os = "macos", test))]
            Engine::Fsevents(_) => (Backend::Fsevents, (0, 0)),
            Engine::Poll(why) => (Backend::Poll(why.clone()), (0, 0)),
            Engine::Ended => (Backend::Poll("the folder is gone".into()), (0, 0)),
        };
        State { backend, watched, unwatched, poll: self.interval }
    }

    /// Does a bounded piece of work; false if there is none.
    fn step(&mut self) -> bool {
        let step = match &mut self.engine {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Engine::Inotify(w) => w.step(&mut self.pending).unwrap_or_else(|e| {
                self.engine = Engine::Poll(format!("watching failed: {e}"));
                self.pending.all();
                Step::Busy
            }),
            #[cfg(any(target_os = "macos", test))]
            Engine::Fsevents(s) => s.step(&mut self.pending),
            Engine::Poll(_) | Engine::Ended => Step::Idle,
        };
        match step {
            Step::Busy => true,
            Step::Idle => self.poll(),
            Step::Gone => {
                self.gone();
                true
            }
        }
    }

    fn gone(&mut self) {
        self.engine = Engine::Ended;
        self.pending.gone();
    }

    /// Looks after what has no watch when its time has come; true if it had.
    fn poll(&mut self) -> bool {
        let needed = match &self.engine {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Engine::Inotify(w) => w.needs_tick(),
            #[cfg(any(target_os = "macos", test))]
            Engine::Fsevents(_) => false,
            Engine::Poll(_) => true,
            Engine::Ended => false,
        };
        if !needed {
            self.due = None;
            return false;
        }
        let now = Instant::now();
        if *self.due.get_or_insert(now + self.interval) > now {
            return false;
        }
        self.due = Some(now + self.interval);
        match &mut self.engine {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Engine::Inotify(w) => {
                if matches!(w.tick(&mut self.pending), Step::Gone) {
                    self.gone();
                }
            }
            _ => self.pending.all(),
        }
        true
    }

    async fn wait(&self) {
        let timer = async {
            match self.due {
                Some(at) => drop(smol::Timer::at(at).await),
                None => future::pending().await,
            }
        };
        let ready = async {
            match &self.engine {
                // An error shows again, and is dealt with, when the queue is read.
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Engine::Inotify(w) => drop(w.readable().await),
                #[cfg(any(target_os = "macos", test))]
                Engine::Fsevents(s) => s.readable().await,
                Engine::Poll(_) | Engine::Ended => future::pending().await,
            }
        };
        ready.or(timer).await;
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn native(root: &Path, choice: Choice, skip: Skip) -> io::Result<Engine> {
    if choice == Choice::Fsevents {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "FSEvents is there on macOS only"));
    }
    Ok(Engine::Inotify(Box::new(inotify::Watches::new(root, skip)?)))
}

#[cfg(target_os = "macos")]
fn native(root: &Path, choice: Choice, skip: Skip) -> io::Result<Engine> {
    if choice == Choice::Inotify {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "inotify is there on Linux only"));
    }
    Ok(Engine::Fsevents(fsevents::Events::watch(root, skip)?))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn native(_: &Path, _: Choice, _: Skip) -> io::Result<Engine> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no way to watch folders that is known here"))
}
