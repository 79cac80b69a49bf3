//! Between the folders and the vault: what changed in share, what must change there, and secure's work tree.
//!
//! Every verb here works on a [`Device`]: the seams and the keys of one device, with nothing global beside it, so that
//! the simulation can hold many of them in one thread.

pub mod apply;
pub mod behind;
pub mod brake;
pub mod commit;
pub mod content;
pub mod devices;
pub mod foreign;
pub mod growth;
pub mod history;
pub mod ignore;
pub mod incoming;
pub mod join;
pub mod left_out;
pub mod names;
pub mod overlay;
pub mod packs;
pub mod partial;
pub mod paths;
pub mod progress;
pub mod restore;
pub mod scan;
pub mod sealed;
pub mod secure;
pub mod stage;
pub mod survey;
pub mod undo;
pub mod usage;
pub mod versions;
pub mod waiting;
pub mod worktree;

use crate::clock::{Clock, Random, Time};
use crate::crypt::VaultKeys;
use crate::files::Files;
use crate::git::store::Store;
use crate::id::Id;
use crate::path::RelPath;
use crate::state::State;
use crate::tree::Writer;
use progress::Progress;

/// One device: its seams, its keys, its settings.
pub struct Device<F: Files, S: State, C: Clock, R: Random> {
    /// The plain folder.
    pub share: F,
    /// The encrypted folder (a git work tree).
    pub secure: F,
    /// Secure's repository.
    pub git: Store<F>,
    /// The state database.
    pub state: S,
    /// The clock.
    pub clock: C,
    /// Randomness.
    pub random: R,
    /// The vault's keys.
    pub keys: VaultKeys,
    /// The vault's id.
    pub vault: Id,
    /// This device's name.
    pub name: Writer,
    /// This device's id.
    pub id: Id,
    /// What the configuration says.
    pub settings: Settings,
    /// What this round found out and a person should know.
    pub report: Report,
}

/// The part of the configuration that the mirror needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Further ignore patterns of this device, in gitignore syntax.
    pub ignore: Vec<String>,
    /// Bytes that stay free on the disks of share and secure.
    pub min_free: u64,
    /// The brake: from this many files on, with more than `brake_fraction` of the vault. (20 files and more than half
    /// always stop.)
    pub brake_files: u64,
    /// The brake: the fraction.
    pub brake_fraction: f64,
    /// Change sets that the user has allowed (`sharelock allow CODE`).
    pub allowed: Vec<String>,
    /// log2 of the segment size for new large files (16..=20).
    pub segment: u8,
    /// Entries from which on the index of secure is split. The simulation's vaults are small, and come by everything that
    /// large ones do.
    pub split_from: u32,
    /// What is sent to a node in one go.
    pub batch: Batch,
    /// Files written at or after this time are left for the next round, as if they had not changed: somebody may still
    /// be writing them. `None`: none are.
    pub settled_before: Option<Time>,
    /// Threads that a large file is sealed on: one or two. The bytes are the same.
    pub threads: usize,
    /// Who is told how far long work is.
    pub progress: Progress,
}

/// A batch: what a broken line loses of a push that has more than one.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Its bytes, while nothing is known of the line.
    pub bytes: u64,
    /// Objects that it has at least: fewer are unpacked into loose files by stock git (`receive.unpackLimit`).
    pub objects: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ignore: Vec::new(),
            min_free: 64_000_000,
            brake_files: 1000,
            brake_fraction: 0.1,
            allowed: Vec::new(),
            segment: 20,
            split_from: crate::git::index::SPLIT_FROM,
            batch: Batch { bytes: 64 << 20, objects: 100 },
            settled_before: None,
            threads: 1,
            progress: Progress::default(),
        }
    }
}

/// Something that a person should know; collected during a round, shown by `status` and after `sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path it is about (in share unless `what` says else); `None`: the whole vault or a node.
    pub path: Option<RelPath>,
    /// What failed and why, in a person's words.
    pub what: String,
    /// The command that mends it, if there is one.
    pub remedy: Option<String>,
    /// True if nothing has to be done (a skipped socket, say): told once.
    pub note: bool,
}

/// What a round found out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Problems and notes, in the order in which they were found.
    pub problems: Vec<Problem>,
    /// The brake's stop, if it holds something back.
    pub brake: Option<Brake>,
    /// What of the vault has no room here.
    pub full: Option<Full>,
    /// What of the share has no room in secure.
    pub full_secure: Option<Full>,
    /// True if something had to be left for another round (a file that keeps changing, a recheck that failed).
    pub again: bool,
}

/// Files that are not brought to the share, or not to secure, because its disk would be too full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Full {
    /// How many.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
    /// What is free.
    pub free: u64,
    /// What has to stay free.
    pub kept: u64,
    /// The first of them, with their sizes.
    pub named: Vec<(RelPath, u64)>,
}

/// Where a change that the brake holds back was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// In this device's share: it would reach the vault, and so all devices.
    InShare,
    /// In this device's secure, by something else than sharelock: the same.
    InSecure,
    /// On another device: it would reach this device's share.
    Elsewhere,
}

/// A change set that the brake holds back (DESIGN: it stops before sending and before applying).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// Where the change was made.
    pub made: Made,
    /// Since when the brake has stood for changes of the share, this or others; `None` for other changes.
    pub since: Option<Time>,
    /// Files that would be deleted or overwritten.
    pub files: u64,
    /// How many of them would be deleted.
    pub gone: u64,
    /// Bytes of plaintext in them.
    pub bytes: u64,
    /// Files in the vault.
    pub of: u64,
    /// The largest folders (top level; `None` for files at the top) with their number of files, largest first.
    pub folders: Vec<(Option<RelPath>, u64)>,
    /// The answer that allows exactly this set: 4 or more hex digits.
    pub code: String,
}
