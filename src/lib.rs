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
//!
//! # Where memory goes
//!
//! An agent at rest has 12 MiB resident with 100,000 files, of which 6 are its own; nothing that is imported or fetched takes more than
//! 24 (the budgets of the design). `scripts/cage` lets the kernel hold the static binary to an address space of 64 MiB and to
//! 32 MiB of memory with the page cache (there, 100,000 files took 21 MiB of address space to import and to fetch, a file of 4 GiB 16
//! to import); `tests/memory.rs` counts bytes an object.
//!
//! | what | how much | when |
//! |---|---|---|
//! | the program | up to 6 MiB of pages that came from its file, which the kernel may take back | what has run |
//! | stacks | 1 MiB each of address space for the worker and for a node that is waited for, 2 for smol's reactor, 128 KiB for the thread that seals; some 100 KiB of them are ever touched | always; while a node is silent; large files |
//! | SQLite | 1 MiB of pages, and 32 KiB for the index of its log | always |
//! | a small file | its object, at most 1 MiB, twice | sealing, opening |
//! | a large file | a segment of 1 MiB and its tags; four of them where two cores seal | sealing |
//! | git, sending | 64 bytes an object in a pack that is written, 48 in the list of what is sent, 4 while it is sent | a round that commits or pushes |
//! | git, fetching | 48 bytes an object that comes, and 4 MiB of bases of deltas | a round that fetches |
//! | a batch of files | 256 files or 16 MiB before they are renamed into place: names and stamps, not content | applying |
//! | SSH | OpenSSL's and libssh2's state, about 1 MiB; the window of a channel is 2 MiB, which is what a server may send ahead | as long as the connection is kept |
//! | XMPP | a stanza of at most 64 KiB, TLS records of 16 KiB each way, 256 notices that wait | with an account |
//! | Argon2id | 64 MiB (FORMAT 8), given back before anything else begins | once, when the password is asked for; never with the key that `--start-without-password` keeps |

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
pub mod report;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod state;
pub mod tree;
pub mod units;
pub mod watch;
#[cfg(feature = "xmpp")]
pub mod xmpp;
