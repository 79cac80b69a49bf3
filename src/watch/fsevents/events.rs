//! Events on their way from the thread of the framework's run loop to the watcher.

use super::super::pending::Pending;
use super::super::{Change, Skip, Step};
use super::decode::Decoder;
#[cfg(target_os = "macos")]
use super::stream::Stream;
use smol::channel::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// The watcher's end.
pub(in super::super) struct Events {
    inbox: Arc<Inbox>,
    woken: Receiver<()>,
    /// What fills it until it is dropped; nothing where a test does.
    #[cfg(target_os = "macos")]
    _stream: Option<Stream>,
}

/// The run loop's end.
pub(super) struct Inbox {
    decoder: Decoder,
    pending: Mutex<Pending>,
    /// Holds one message at most: look.
    wake: Sender<()>,
}

impl Inbox {
    /// Takes events as the framework calls with them: never waits for the watcher.
    pub(super) fn take<'a>(&self, events: impl Iterator<Item = (&'a [u8], u32)>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        events.for_each(|(path, flags)| self.decoder.take(path, flags, &mut pending));
        // A full channel holds the same message already.
        let _ = self.wake.try_send(());
    }
}

impl Events {
    /// Below `root`: absolute, with all links resolved.
    pub(super) fn new(root: &[u8], skip: Skip) -> (Events, Arc<Inbox>) {
        let (wake, woken) = smol::channel::bounded(1);
        let inbox = Arc::new(Inbox { decoder: Decoder::new(root, skip), pending: Mutex::new(Pending::default()), wake });
        let events = Events {
            inbox: inbox.clone(),
            woken,
            #[cfg(target_os = "macos")]
            _stream: None,
        };
        (events, inbox)
    }

    /// Watches from now on.
    ///
    /// # Errors
    /// A path that is not there or not UTF-8; what the framework refuses.
    #[cfg(target_os = "macos")]
    pub(in super::super) fn watch(root: &std::path::Path, skip: Skip) -> std::io::Result<Events> {
        let root = super::stream::real(root)?;
        let (mut events, inbox) = Events::new(root.as_bytes(), skip);
        events._stream = Some(Stream::new(root, inbox)?);
        Ok(events)
    }

    /// Waits until there is something.
    pub(in super::super) async fn readable(&self) {
        // An error would say that nobody sends any more; the sender lives in `self`.
        let _ = self.woken.recv().await;
    }

    /// Takes what there is.
    pub(in super::super) fn step(&mut self, out: &mut Pending) -> Step {
        let mut got = std::mem::take(&mut *self.inbox.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut step = Step::Idle;
        while let Some(change) = got.pop() {
            step = Step::Busy;
            match change {
                Change::Gone => return Step::Gone,
                Change::All => out.all(),
                Change::Tree(path) => out.tree(path),
                Change::Dir(path) => out.dir(path),
            }
        }
        step
    }
}
