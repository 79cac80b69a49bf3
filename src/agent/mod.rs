//! What runs the mirror: one sync round ([`round`]), the talk with storage nodes ([`exchange`]), and the resident agent.
//!
//! A round is plain, blocking code over the seams: it names no executor, and the simulation runs it as it is.
//!
//! The agent ([`resident`]) is one loop over one [`Event`]. Whatever happens becomes an event: a watcher names a
//! directory, a notice arrives, somebody asks over the control socket ([`control`]), the worker ([`worker`]) has finished
//! a round. When something is to be done is decided by [`schedule`], which is pure; the worker does it.
//!
//! # Implementation
//!
//! Two threads: the loop with all that waits (smol; watchers, sockets, timers), and the worker with all that blocks
//! (disks, database, SSH). While a node is away, a thread of its own asks now and then whether it answers again. An
//! idle agent is woken by nothing but the timer of the next poll and the keepalive of XMPP.

pub mod control;
pub mod exchange;
mod heap;
pub mod journal;
pub mod memo;
#[cfg(feature = "xmpp")]
mod messages;
mod network;
pub mod notices;
mod notify;
pub mod resident;
pub mod round;
pub mod schedule;
pub mod told;
pub mod watching;
pub mod worker;

use crate::error::{Error, Result};
use crate::git::Remote;
use crate::id::Id;
use round::StorageNode;

/// Everything that can happen to the agent.
pub enum Event<Rm: Remote> {
    /// Something changed in share.
    Share,
    /// Anything may have changed, in both folders.
    Everything,
    /// Something changed in secure.
    Secure,
    /// A folder is watched from now on, or cannot be for the time being.
    Watched(Folder),
    /// A watched folder is gone (unmounted, deleted, moved away).
    Gone(Folder),
    /// Somebody asks over the control socket.
    Asked(control::Request),
    /// A borrower has given the vault back.
    Returned(u64),
    /// The worker has opened the vault, or could not.
    Opened(Box<Result<worker::Facts>>),
    /// The worker has closed it.
    Closed,
    /// Files that have a conflict copy now.
    Conflicts(Vec<crate::path::RelPath>),
    /// A round is over.
    Finished(Box<worker::Finished>),
    /// A node did not answer, or was refused, and is not asked in rounds for a while.
    Away(Box<StorageNode<Rm>>, Error),
    /// A node that was away was asked again.
    Tried(Box<StorageNode<Rm>>, Option<Error>),
    /// A device has announced a head; `true`: this one has it already.
    Heard(Id, bool),
    /// The machine woke up, its clock was set, or its network changed.
    Changed(network::What),
    /// Something came by XMPP.
    #[cfg(feature = "xmpp")]
    Message(crate::xmpp::Event),
    /// A signal.
    Signal(Signal),
    /// The worker has ended.
    Stopped,
}

/// A watched folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// The plain one.
    Share,
    /// The encrypted one.
    Secure,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}
