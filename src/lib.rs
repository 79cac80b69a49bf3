//! sharelock keeps a plain folder and an encrypted one equal, and the encrypted one equal on all of a person's
//! devices, through any machine with SSH and git.
//!
//! ```text
//! share  --> scan --> merge(ancestor, head, scan) --> commit point --> secure --> pack --> push --> remote
//! share  <-- apply -- merge(base, theirs, ours)            <-- unpack <-- fetch  <---------------- remote
//!
//! watch --> agent: when is a round due? <-- poll, or a notice by XMPP
//! ```
//!
//! Deciding is pure ([`tree`]), acting is separate ([`mirror`]), and everything that acts goes through five seams
//! ([`files`], [`state`], [`git::Remote`], [`clock::Clock`], [`clock::Random`]) that have simulated twins (`sim`).
//!
//! One round of that is plain, blocking code ([`agent::round`]): `sharelock sync` runs it once, the resident agent
//! ([`agent::resident`]) whenever [`watch`], a notice by XMPP, a timer or somebody at the control socket gives a reason.
//!
//! Invariants:
//! - Plaintext is somebody's only copy: nothing is replaced or deleted that is not what we last read or wrote there.
//! - There is one commit point a round (a database transaction); everything after it can be redone.
//! - Nothing from a remote is applied before its seals and MACs have been verified.
//!
//! Start reading at [`agent::round`]; for the agent, at [`agent`].

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypt;
pub mod error;
pub mod files;
pub mod git;
pub mod id;
pub mod mirror;
pub mod path;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod state;
pub mod tree;
pub mod watch;
#[cfg(feature = "xmpp")]
pub mod xmpp;
