//! Devices, nodes and users of one seed, and what happens to them.

mod actions;
mod nodes;
mod rounds;
mod schedule;
mod script;
mod serial;
mod settle;
mod strangers;
mod trouble;

use super::check;
use super::clock::{SimClock, SimRandom};
use super::coverage::Coverage;
use super::disk::{ABLE, SimDisk};
use super::hook::{Act, Life, Seam};
use super::ledger::Ledger;
use super::remote::SimRemote;
use super::state::SimState;
use super::user::User;
use crate::agent::round::{self, StorageNode};
use crate::crypt::{Master, VaultKeys};
use crate::error::{Kind, Result};
use crate::files::Traits;
use crate::git::store::Store;
use crate::id::Id;
use crate::mirror::overlay::Overlay;
use crate::mirror::{Batch, Device, Report, Settings, scan};
use crate::state::{Intent, State, key};
use crate::tree::Writer;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A simulated device.
pub type SimDevice = Device<SimDisk, SimState, SimClock, SimRandom>;

const VAULT: Id = Id([7; 16]);
const NAMES: [&str; 4] = ["A", "B", "C", "D"];
/// Paths that users use: few, so that they meet.
const PATHS: [&str; 14] = ["a", "b", "d/a", "d/b", "d/s/a", "d/s/b", "e/a", "e/b", "b/a", "f.txt", "e/s/a", "d/f.txt", "e", "d/s"];
/// The same with names that differ by case only, for worlds in which a disk may fold it.
const ALIKE: [&str; 14] = ["a", "b", "d/a", "d/A", "d/s/a", "d/S/b", "e/a", "E/b", "b/a", "f.txt", "e/s/a", "d/F.txt", "e", "A"];
const DIRS: [&str; 6] = ["d", "e", "d/s", "e/s", "b", "g"];

/// What kind of life a seed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Anything but the special ones.
    Any,
    /// Storage nodes that are apart and meet.
    Cross,
    /// Users busy while rounds run, kills.
    Busy,
    /// Power cuts.
    Power,
    /// A database is lost now and then.
    Lose,
    /// One disk has a weakness (folds case, no executable bit, coarse times, no exchange).
    Weak,
    /// Files and directories that may not be read or written for a while.
    Denied,
    /// Disks of shares, of secure and of nodes are full for a while.
    Full,
    /// Rules of what is ignored come, change and go.
    Ignore,
    /// Large changes are stopped, and users answer.
    Brake,
    /// Strangers change files in secure.
    Strange,
    /// Nodes go back to backups, lose everything or show what no device has made, and are healed.
    Nodes,
    /// One after the other, with rest in between: no conflict may come.
    Serial,
    /// What happens is written down (`script`).
    Script,
}

impl Mode {
    /// Its name in tables; that of a weak disk says in what it is weak.
    fn name(self, weak: &Traits) -> &'static str {
        match self {
            Mode::Any => "anything",
            Mode::Cross => "nodes apart",
            Mode::Busy => "busy users, kills",
            Mode::Power => "power cuts",
            Mode::Lose => "lost databases",
            Mode::Weak if weak.folds_case => "weak disk: folds case",
            Mode::Weak if weak.exec_bit && weak.exchange => "weak disk: coarse times",
            Mode::Weak if weak.exec_bit => "weak disk: no exchange",
            Mode::Weak if weak.exchange => "weak disk: no executable bit",
            Mode::Weak => "weak disk: all of it",
            Mode::Denied => "unreadable files",
            Mode::Full => "full disks",
            Mode::Ignore => "ignore rules",
            Mode::Brake => "the brake",
            Mode::Strange => "strangers in secure",
            Mode::Nodes => "nodes go back, forge",
            Mode::Serial => "one after the other",
            Mode::Script => "script",
        }
    }
}

const MODES: [Mode; 15] = [
    Mode::Any,
    Mode::Any,
    Mode::Cross,
    Mode::Cross,
    Mode::Busy,
    Mode::Power,
    Mode::Lose,
    Mode::Weak,
    Mode::Denied,
    Mode::Full,
    Mode::Ignore,
    Mode::Brake,
    Mode::Strange,
    Mode::Nodes,
    Mode::Serial,
];

/// One device with all that is around it.
pub struct Machine {
    pub(super) user: User,
    pub(super) share: SimDisk,
    pub(super) secure: SimDisk,
    life: Life,
    down: Vec<Rc<Cell<bool>>>,
    /// Taken out while its round runs.
    pub(super) device: RefCell<Option<Box<SimDevice>>>,
    started: Cell<bool>,
    power: Cell<bool>,
    /// Codes that its user has allowed.
    allowed: RefCell<Vec<String>>,
    /// In its last round: the brake stopped something, and these nodes were refused.
    stopped: Cell<bool>,
    refused: RefCell<Vec<usize>>,
}

/// All of a seed.
pub struct World {
    pub(super) machines: Vec<Machine>,
    pub(super) nodes: Vec<SimDisk>,
    pub(super) clock: SimClock,
    random: RefCell<SimRandom>,
    pub(super) ledger: RefCell<Ledger>,
    pub(super) mode: Mode,
    /// Events that are due.
    due: RefCell<Vec<schedule::Due>>,
    /// A device was killed or a line cut: it may not know what it has stored.
    pub(super) unsure: Cell<bool>,
    verbs: Cell<u32>,
    pub(super) covered: RefCell<Coverage>,
    average: Cell<u32>,
    depth: Cell<u32>,
    /// How much devices send in one go.
    batch: Batch,
    trace: bool,
    /// What strangers have, and what they did.
    strangers: RefCell<strangers::Strangers>,
    /// Backups of nodes, and which nodes have gone back to one or worse.
    backups: RefCell<nodes::Backups>,
    pub(super) failure: RefCell<Option<String>>,
}

impl World {
    /// The world of a seed.
    fn new(seed: u64, trace: bool) -> Result<Rc<World>> {
        let mut random = SimRandom::new(seed);
        let mode = *random.pick(&MODES);
        let devices = *random.pick(&[2usize, 2, 3, 3, 4]);
        let nodes = if mode == Mode::Cross { 2 } else { *random.pick(&[1usize, 1, 2]) };
        let weak = random.below(devices as u64) as usize;
        let mut traits = vec![ABLE; devices];
        if mode == Mode::Weak {
            traits[weak] = match random.below(5) {
                4 => Traits { folds_case: true, ..ABLE },
                0 => Traits { exec_bit: false, ..ABLE },
                1 => Traits { time_step: 2_000_000_000, ..ABLE },
                2 => Traits { exchange: false, noreplace: weak.is_multiple_of(2), ..ABLE },
                _ => Traits { exec_bit: false, time_step: 2_000_000_000, exchange: false, noreplace: false, ..ABLE },
            };
        }
        let started = (0..devices).map(|i| i == 0 || mode == Mode::Serial || !random.chance(20)).collect::<Vec<bool>>();
        let world = World::with(mode, &traits, nodes, random.draw(), trace)?;
        world.covered.borrow_mut().life(mode.name(&traits[weak]));
        world.machines.iter().zip(started).for_each(|(m, started)| m.started.set(started));
        Ok(world)
    }

    /// Devices with these disks, and empty nodes.
    fn with(mode: Mode, disks: &[Traits], nodes: usize, seed: u64, trace: bool) -> Result<Rc<World>> {
        let clock = SimClock::new();
        let mut world = World {
            machines: Vec::new(),
            nodes: Vec::new(),
            clock: clock.clone(),
            random: RefCell::new(SimRandom::new(seed)),
            ledger: RefCell::default(),
            mode,
            due: RefCell::default(),
            unsure: Cell::new(false),
            verbs: Cell::new(0),
            covered: RefCell::default(),
            average: Cell::new(200),
            depth: Cell::new(0),
            batch: match seed % 3 {
                _ if mode == Mode::Script => Settings::default().batch,
                0 => Settings::default().batch,
                objects => Batch { bytes: 1, objects: objects as usize },
            },
            trace,
            strangers: RefCell::default(),
            backups: RefCell::default(),
            failure: RefCell::default(),
        };
        for _ in 0..nodes {
            let disk = SimDisk::new(ABLE, &clock);
            Store::init(&disk, &1, true)?;
            world.nodes.push(disk);
        }
        for (i, traits) in disks.iter().enumerate() {
            let share = SimDisk::new(*traits, &clock);
            world.machines.push(Machine {
                user: User::new(&share),
                share,
                secure: SimDisk::new(ABLE, &clock),
                life: Life::new(i),
                down: (0..nodes).map(|_| Rc::new(Cell::new(false))).collect(),
                device: RefCell::new(None),
                started: Cell::new(true),
                power: Cell::new(false),
                allowed: RefCell::default(),
                stopped: Cell::new(false),
                refused: RefCell::default(),
            });
        }
        let world = Rc::new(world);
        for (i, m) in world.machines.iter().enumerate() {
            scan::mark_root(&m.share, &VAULT)?;
            let state = SimState::new(m.life.clone());
            world.boot(i, state)?;
            let weak = Rc::downgrade(&world);
            m.life.schedule(Some(Rc::new(move |device, seam, verb| match weak.upgrade() {
                Some(w) => w.at(device, seam, verb),
                None => Act::Go,
            })));
        }
        Ok(world)
    }

    /// (Re)builds a device over what its disks and database hold.
    fn boot(&self, i: usize, state: SimState) -> Result<()> {
        let m = &self.machines[i];
        // Nothing happens while a device starts.
        self.due.borrow_mut().clear();
        let secure = m.secure.for_engine(&m.life, Seam::Secure);
        let begun = m.secure.for_user(); // There was room for this once.
        Store::init(&begun, &crate::git::store::ensure_dir(&begun, &1, b".git")?, false)?.tidy()?;
        let git = Store::open(&secure, &crate::git::store::dir_at(&secure, ".git")?)?;
        let device = Device {
            share: m.share.for_engine(&m.life, Seam::Share),
            secure,
            git,
            state,
            // (In a script all live in UTC.)
            clock: self.clock.with_offset(if self.mode == Mode::Script { 0 } else { 60 * i as i16 }),
            random: SimRandom::new(self.random.borrow_mut().draw()),
            keys: VaultKeys::new(&Master::from_bytes(&[9; 32])),
            vault: VAULT,
            name: Writer::new(NAMES[i]).expect("a valid name"),
            id: Id([i as u8 + 1; 16]),
            settings: Settings { allowed: m.allowed.borrow().clone(), ..self.settings() },
            report: Report::default(),
        };
        *m.device.borrow_mut() = Some(Box::new(device));
        Ok(())
    }

    fn settings(&self) -> Settings {
        let settings = Settings { min_free: 0, split_from: 4, batch: self.batch, ..Settings::default() };
        match self.mode {
            Mode::Brake | Mode::Strange => Settings { brake_files: 1, brake_fraction: 0.2, ..settings },
            _ => settings,
        }
    }

    fn happens(&self, what: &'static str) {
        self.covered.borrow_mut().happens(what);
        if self.trace {
            eprintln!("  {what}");
        }
    }

    fn fail(&self, what: String) {
        self.failure.borrow_mut().get_or_insert(what);
    }

    fn next(&self, below: u64) -> u64 {
        self.random.borrow_mut().below(below)
    }

    fn chance(&self, percent: u64) -> bool {
        self.random.borrow_mut().chance(percent)
    }
}

/// What a seed did, for statistics.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Verbs of simulated seams, and what struck there.
    pub covered: Coverage,
}

/// Plays a seed. `Err`: what went wrong.
pub fn play(seed: u64, trace: bool) -> std::result::Result<Played, String> {
    let world = World::new(seed, trace).map_err(|e| format!("set-up: {e}"))?;
    if trace {
        eprintln!("seed {seed}: {:?}, {} devices, {} nodes", world.mode, world.machines.len(), world.nodes.len());
    }
    for _ in 0..world.next(5) {
        world.user_acts(0);
    }
    world.round(0);
    for i in 1..world.machines.len() {
        if world.machines[i].started.get() {
            world.round(i);
        }
    }
    let steps = *world.random.borrow_mut().pick(&[4u32, 8, 12, 20]);
    for _ in 0..steps {
        if world.failure.borrow().is_some() {
            break;
        }
        world.step();
    }
    if world.failure.borrow().is_none() {
        world.settle();
    }
    if world.failure.borrow().is_none()
        && let Err(e) = check::all(&world)
    {
        world.fail(e);
    }
    world.machines.iter().for_each(|m| m.life.schedule(None));

    match world.failure.borrow().clone() {
        Some(e) => Err(format!("{:?}: {e}", world.mode)),
        None => Ok(Played { covered: world.covered.take() }),
    }
}
