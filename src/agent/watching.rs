//! The watchers of the two folders, and what becomes of them.

use super::told::{Problem, Watched};
use super::{Event, Folder};
use crate::config::Config;
use crate::git::Remote;
use crate::mirror::ignore::is_ours;
use crate::path::RelPath;
use crate::watch::{self, Change, Choice, Watcher};
use smol::Task;
use smol::channel::Sender;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a folder that is gone is looked for.
const BACK: Duration = Duration::from_secs(5);

/// A watched folder.
struct Side {
    path: PathBuf,
    choice: Choice,
    /// It was said whether it can be watched.
    begun: bool,
    /// Dropping it ends the watch.
    _task: Task<()>,
    state: Arc<Mutex<Option<watch::State>>>,
}

/// See the module.
pub struct Watching<Rm: Remote> {
    executor: Arc<smol::Executor<'static>>,
    events: Sender<Event<Rm>>,
    sides: [Option<Side>; 2],
}

impl<Rm: Remote + Send + 'static> Watching<Rm> {
    /// Watches nothing yet.
    pub fn new(executor: Arc<smol::Executor<'static>>, events: Sender<Event<Rm>>) -> Self {
        Watching { executor, events, sides: [None, None] }
    }

    /// Watches what the configuration names; what is watched already, as it was asked for, stays. True if all is: else
    /// [`Event::Watched`] tells.
    pub fn watch(&mut self, c: &Config) -> bool {
        for (folder, path) in [(Folder::Share, &c.share), (Folder::Secure, &c.secure)] {
            let same = self.sides[folder as usize].as_ref().is_some_and(|s| s.path == *path && s.choice == c.watch);
            if !same {
                self.begin(folder, path, c.watch, Duration::ZERO);
            }
        }
        self.sides.iter().flatten().all(|s| s.begun)
    }

    /// A folder is watched, or cannot be. True if nothing is left that would still have to be waited for.
    pub fn begun(&mut self, folder: Folder) -> bool {
        if let Some(side) = &mut self.sides[folder as usize] {
            side.begun = true;
        }
        self.sides.iter().flatten().all(|s| s.begun)
    }

    /// A folder is gone: it is watched again once it is back.
    pub fn watch_when_back(&mut self, folder: Folder, c: &Config) {
        let path = if folder == Folder::Share { &c.share } else { &c.secure };
        self.begin(folder, path, c.watch, BACK);
    }

    fn begin(&mut self, folder: Folder, path: &Path, choice: Choice, wait: Duration) {
        let state = Arc::new(Mutex::new(None));
        let task = self.executor.spawn(follow(folder, path.to_path_buf(), choice, wait, self.events.clone(), state.clone()));
        self.sides[folder as usize] = Some(Side { path: path.to_path_buf(), choice, begun: false, _task: task, state });
    }

    fn states(&self) -> impl Iterator<Item = (&Path, watch::State)> {
        self.sides.iter().flatten().filter_map(|s| {
            let state = s.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Some((s.path.as_path(), state?))
        })
    }

    /// How the folders are watched, for `status`.
    pub fn state(&self) -> Vec<Watched> {
        self.states().map(|(path, s)| told(path, &s)).collect()
    }

    /// What a person should know.
    pub fn problems(&self) -> Vec<Problem> {
        let of = |(path, s): (&Path, watch::State)| {
            let remedy = s.remedy()?;
            let all = s.watched + s.unwatched;
            let what = format!(
                "{} of {all} folders in {} can't be watched, they are looked at every {} s",
                s.unwatched,
                path.display(),
                s.poll.as_secs()
            );
            Some(Problem { note: true, ..Problem::of(what, Some(&remedy)) })
        };
        self.states().filter_map(of).collect()
    }
}

/// How a folder is watched, as `status` and `doctor` read it.
pub fn told(path: &Path, s: &watch::State) -> Watched {
    Watched { folder: path.display().to_string(), by: s.backend.to_string(), watched: s.watched, polled: s.unwatched }
}

/// What of a folder is no concern of the mirror.
pub fn skip(folder: Folder) -> watch::Skip {
    Box::new(move |dir: &RelPath, name: &[u8]| match folder {
        Folder::Share => is_ours(name),
        Folder::Secure => is_ours(name) || (dir.is_root() && name == b".git"),
    })
}

async fn follow<Rm: Remote + Send + 'static>(
    folder: Folder,
    path: PathBuf,
    choice: Choice,
    wait: Duration,
    events: Sender<Event<Rm>>,
    state: Arc<Mutex<Option<watch::State>>>,
) {
    if !wait.is_zero() {
        smol::Timer::after(wait).await;
    }
    let mut tries = 0;
    let mut watcher = loop {
        // The walk of a large tree takes a while: not on the loop's thread.
        let (tx, rx) = smol::channel::bounded(1);
        let root = path.clone();
        let walk = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let _ = tx.send_blocking(Watcher::new(&root, choice, watch::POLL, skip(folder)));
        });
        match (walk.is_ok(), rx.recv().await) {
            (true, Ok(Ok(w))) => break w,
            (_, other) => {
                tries += 1;
                if tries == 1 {
                    if let Ok(Err(e)) = other {
                        log::warn!("{e}");
                    }
                    // The rounds go on, and say what is the matter.
                    let _ = events.send(Event::Watched(folder)).await;
                }
                smol::Timer::after(BACK).await;
            }
        }
    };
    // Its first word is that everything is to be looked at, which this says, too.
    let mut told = Some(Event::Watched(folder));
    loop {
        let change = watcher.next().await;
        *state.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher.state());
        let gone = change == Change::Gone;
        let event = match (folder, change) {
            (_, Change::Gone) => Event::Gone(folder),
            (_, Change::All) => told.take().unwrap_or(Event::Everything),
            (Folder::Share, _) => Event::Share,
            (Folder::Secure, _) => Event::Secure,
        };
        if events.send(event).await.is_err() || gone {
            return;
        }
    }
}
