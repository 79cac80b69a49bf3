//! Devices, nodes and users of one seed, and what happens to them.

use super::check::{self, Ledger};
use super::clock::{SimClock, SimRandom};
use super::disk::{ABLE, SimDisk};
use super::hook::{Act, Life, Seam};
use super::remote::SimRemote;
use super::state::SimState;
use super::user::{User, What};
use crate::agent::round::{self, StorageNode};
use crate::clock::{Clock, Time};
use crate::crypt::{Master, VaultKeys};
use crate::error::{Kind, Result};
use crate::files::Traits;
use crate::git::store::Store;
use crate::id::Id;
use crate::mirror::{Device, Report, Settings, scan};
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
    /// One after the other, with rest in between: no conflict may come.
    Serial,
}

const MODES: [Mode; 9] = [Mode::Any, Mode::Any, Mode::Cross, Mode::Cross, Mode::Busy, Mode::Power, Mode::Lose, Mode::Weak, Mode::Serial];

/// What the scheduler does at a verb.
#[derive(Clone, Debug)]
enum Event {
    User(usize),
    Round(usize),
    Kill,
    Power,
    Cut,
}

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
}

/// All of a seed.
pub struct World {
    pub(super) machines: Vec<Machine>,
    pub(super) nodes: Vec<SimDisk>,
    pub(super) clock: SimClock,
    random: RefCell<SimRandom>,
    pub(super) ledger: RefCell<Ledger>,
    pub(super) mode: Mode,
    /// Events that are due: (verbs from now, event).
    due: RefCell<Vec<(u32, Event)>>,
    verbs: Cell<u32>,
    average: Cell<u32>,
    depth: Cell<u32>,
    trace: bool,
    pub(super) failure: RefCell<Option<String>>,
}

impl World {
    fn new(seed: u64, trace: bool) -> Result<Rc<World>> {
        let mut random = SimRandom::new(seed);
        let clock = SimClock::new();
        let mode = *random.pick(&MODES);
        let devices = *random.pick(&[2usize, 2, 3, 3, 4]);
        let nodes = if mode == Mode::Cross { 2 } else { *random.pick(&[1usize, 1, 2]) };
        let weak = random.below(devices as u64) as usize;
        let mut world = World {
            machines: Vec::new(),
            nodes: Vec::new(),
            clock: clock.clone(),
            random: RefCell::new(SimRandom::new(0)),
            ledger: RefCell::default(),
            mode,
            due: RefCell::default(),
            verbs: Cell::new(0),
            average: Cell::new(200),
            depth: Cell::new(0),
            trace,
            failure: RefCell::default(),
        };
        for _ in 0..nodes {
            let disk = SimDisk::new(ABLE, &clock);
            Store::init(&disk, &1, true)?;
            world.nodes.push(disk);
        }
        for i in 0..devices {
            let mut traits = ABLE;
            if mode == Mode::Weak && i == weak {
                traits = match random.below(5) {
                    4 => Traits { folds_case: true, ..ABLE },
                    0 => Traits { exec_bit: false, ..ABLE },
                    1 => Traits { time_step: 2_000_000_000, ..ABLE },
                    2 => Traits { exchange: false, noreplace: i % 2 == 0, ..ABLE },
                    _ => Traits { exec_bit: false, time_step: 2_000_000_000, exchange: false, noreplace: false, ..ABLE },
                };
            }
            let life = Life::new(i);
            let share = SimDisk::new(traits, &clock);
            let secure = SimDisk::new(ABLE, &clock);
            let down = (0..nodes).map(|_| Rc::new(Cell::new(false))).collect();
            let machine = Machine {
                user: User::new(&share),
                share,
                secure,
                life,
                down,
                device: RefCell::new(None),
                started: Cell::new(i == 0 || mode == Mode::Serial || !random.chance(20)),
                power: Cell::new(false),
            };
            world.machines.push(machine);
        }
        world.random = RefCell::new(SimRandom::new(random.draw()));
        let world = Rc::new(world);
        for i in 0..devices {
            let m = &world.machines[i];
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
        let git = Store::init(&m.secure, &crate::git::store::ensure_dir(&m.secure, &1, b".git")?, false)?;
        git.tidy()?;
        let git = Store::open(&secure, &crate::git::store::dir_at(&secure, ".git")?)?;
        let device = Device {
            share: m.share.for_engine(&m.life, Seam::Share),
            secure,
            git,
            state,
            clock: self.clock.with_offset(60 * i as i16),
            random: SimRandom::new(self.random.borrow_mut().draw()),
            keys: VaultKeys::new(&Master::from_bytes(&[9; 32])),
            vault: VAULT,
            name: Writer::new(NAMES[i]).expect("a valid name"),
            id: Id([i as u8 + 1; 16]),
            settings: Settings { min_free: 0, ..Settings::default() },
            report: Report::default(),
        };
        *m.device.borrow_mut() = Some(Box::new(device));
        Ok(())
    }

    /// The scheduler: a verb of device `device` is about to return.
    fn at(&self, device: usize, seam: Seam, verb: &'static str) -> Act {
        self.verbs.set(self.verbs.get() + 1);
        let event = {
            let mut due = self.due.borrow_mut();
            if due.is_empty() || self.depth.get() > 1 {
                return Act::Go;
            }
            due.iter_mut().for_each(|d| d.0 = d.0.saturating_sub(1));
            match due.iter().position(|d| d.0 == 0) {
                Some(n) => due.remove(n).1,
                None => return Act::Go,
            }
        };
        if self.trace {
            eprintln!("    {} {seam:?} {verb}: {event:?}", NAMES[device]);
        }
        match event {
            Event::User(i) => self.user_acts(i),
            Event::Round(i) if i != device => self.round(i),
            Event::Round(_) => {}
            Event::Kill => return Act::Kill,
            Event::Power => {
                self.machines[device].power.set(true);
                return Act::Kill;
            }
            Event::Cut if seam == Seam::Remote => return Act::Cut,
            // A line can only be cut where there is one: wait for it.
            Event::Cut => self.due.borrow_mut().push((1, Event::Cut)),
        }
        Act::Go
    }

    fn fail(&self, what: String) {
        self.failure.borrow_mut().get_or_insert(what);
    }

    /// One sync round of a device, and its restart if it dies.
    fn round(&self, i: usize) {
        let m = &self.machines[i];
        if !m.started.get() && i != 0 {
            m.started.set(true);
        }
        let Some(mut d) = m.device.borrow_mut().take() else { return };
        self.depth.set(self.depth.get() + 1);
        let before = self.verbs.get();
        let mut nodes: Vec<StorageNode<SimRemote>> = self
            .nodes
            .iter()
            .zip(&m.down)
            .enumerate()
            .map(|(n, (disk, down))| StorageNode::new(format!("r{n}"), "sim", SimRemote::new(m.life.clone(), disk, down.clone())))
            .collect();
        let result = match i == 0 && d.git.get_ref(crate::mirror::secure::MAIN).ok().flatten().is_none() && self.nothing_pending(&d) {
            true => round::found(&mut d).and_then(|_| round::run(&mut d, &mut nodes)),
            false => round::run(&mut d, &mut nodes),
        };
        self.depth.set(self.depth.get() - 1);
        if self.depth.get() == 0 {
            self.average.set((self.average.get() * 3 + self.verbs.get() - before) / 4);
        }
        match result {
            Ok(out) => {
                if self.trace {
                    let heads: Vec<String> = out.nodes.iter().map(|n| format!("{}: {:?}", n.name, n.error)).collect();
                    eprintln!("  {} round: head {:?} commits {} applied {} {heads:?}", NAMES[i], out.head, out.commits, out.applied);
                }
                for n in out.nodes {
                    if let Some(e) = n.error.filter(|e| e.kind() != Kind::Unreachable) {
                        self.fail(format!("{}: node {}: {e} {:?}", NAMES[i], n.name, e.details()));
                    }
                }
                *m.device.borrow_mut() = Some(d);
            }
            Err(e) if e.is_stopped() => {
                let mut state = d.state;
                drop(d.git);
                m.life.revive();
                state.restart();
                if m.power.replace(false) {
                    let mut random = self.random.borrow_mut();
                    m.share.power_cut(&mut random);
                    m.secure.power_cut(&mut random);
                }
                if let Err(e) = self.boot(i, state) {
                    self.fail(format!("{}: restart: {e}", NAMES[i]));
                }
            }
            Err(e) => {
                if !matches!(e.kind(), Kind::Unreachable | Kind::Raced) {
                    self.fail(format!("{}: round: {e} {:?}", NAMES[i], e.details()));
                } else if self.trace {
                    eprintln!("  {} round: {e}", NAMES[i]);
                }
                let mut state = d.state;
                state.restart();
                if let Err(e) = self.boot(i, state) {
                    self.fail(format!("{}: restart: {e}", NAMES[i]));
                }
            }
        }
    }

    fn nothing_pending(&self, d: &SimDevice) -> bool {
        crate::mirror::secure::pending(&d.state).ok().flatten().is_none()
    }

    fn next(&self, below: u64) -> u64 {
        self.random.borrow_mut().below(below)
    }

    fn chance(&self, percent: u64) -> bool {
        self.random.borrow_mut().chance(percent)
    }

    /// One action of a user at a device.
    fn user_acts(&self, i: usize) {
        let m = &self.machines[i];
        let u = &m.user;
        self.clock.pass(1_000_000_000 + self.next(1_000_000));
        let pick = |of: &[&'static str]| *self.random.borrow_mut().pick(of);
        let paths = if self.mode == Mode::Weak { &ALIKE } else { &PATHS };
        let (p, q) = (pick(paths), pick(paths));
        let (d, e) = (pick(&DIRS), pick(&DIRS));
        let mut ledger = self.ledger.borrow_mut();
        let new = ledger.fresh(i);
        let what = self.next(46);
        if self.trace {
            eprintln!("  user {}: action {what} {p} {q} {d} {e} {new}", NAMES[i]);
        }
        match what {
            0..=9 if u.parents(p) => {
                let old = u.read(p);
                if u.write(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            10..=14 if u.parents(p) => {
                let old = u.read(p);
                if u.save(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            15..=19 => {
                if let Some(old) = u.read(p).filter(|w| *w != What::Dir)
                    && u.rm(p).is_some() {
                        ledger.replaced(Some(&old));
                    }
            }
            20..=23 if u.parents(q) => self.user_moves(u, p, q, &mut ledger),
            24..=28 if u.parents(e) => self.user_moves(u, d, e, &mut ledger),
            29..=31 => {
                let below = u.below(d);
                if u.read(d) == Some(What::Dir) && u.rmtree(d).is_some() {
                    below.iter().for_each(|(_, w)| ledger.replaced(Some(w)));
                    ledger.directory_gone(&below);
                }
            }
            32..=33 => {
                u.mkdir(d);
            }
            34..=35 => {
                if let Some(What::File(c, _)) = u.read(p)
                    && u.chmod(p).is_some() {
                        ledger.exempt(&c);
                    }
            }
            36 => {
                if let Some(What::File(c, _)) = u.read(p) {
                    let t = self.clock.now();
                    if u.touch(p, Time { s: t.s, ns: 0 }).is_some() {
                        ledger.exempt(&c);
                    }
                }
            }
            37..=38 if u.parents(p) => {
                let old = u.read(p).filter(|w| *w != What::Dir);
                if (old.is_some() || u.stat(p).is_none()) && u.link(p, &new).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&new);
                }
            }
            39..=41 if u.parents(p) => {
                // The same content on several devices.
                let same = format!("same{}", self.next(2));
                let old = u.read(p).filter(|w| *w != What::Dir);
                if old.as_ref().is_none_or(|o| !matches!(o, What::File(c, _) if *c == same)) && u.write(p, &same).is_some() {
                    ledger.replaced(old.as_ref());
                    ledger.wrote(&same);
                    ledger.exempt(&same);
                }
            }
            42..=43 => {
                // The editors' dance: x -> x.bak, then a new x.
                let bak = format!("{p}.bak");
                if let Some(What::File(c, _)) = u.read(p)
                    && u.read(&bak).is_none() && u.mv(p, &bak).is_some() && u.write(p, &new).is_some() {
                        ledger.exempt(&c);
                        ledger.exempt(&new);
                        ledger.wrote(&new);
                    }
            }
            44..=45
                // A swap of two names.
                if u.read(p).is_some_and(|w| w != What::Dir) && u.read(q).is_some_and(|w| w != What::Dir) && p != q => {
                    for x in [p, q] {
                        if let Some(What::File(c, _) | What::Link(c)) = u.read(x) {
                            ledger.exempt(&c);
                        }
                    }
                    u.mv(p, "swap#");
                    u.mv(q, p);
                    u.parents(q);
                    u.mv("swap#", q);
                }
            _ => {}
        }
    }

    fn user_moves(&self, u: &User, from: &str, to: &str, ledger: &mut Ledger) {
        let Some(what) = u.read(from) else { return };
        if from == to || to.starts_with(&format!("{from}/")) || from.starts_with(&format!("{to}/")) {
            return;
        }
        let old = u.read(to);
        let moved: Vec<What> = u.below(from).into_iter().map(|(_, w)| w).chain([what]).collect();
        if u.mv(from, to).is_some() {
            ledger.replaced(old.as_ref());
            for w in &moved {
                if let What::File(c, _) | What::Link(c) = w {
                    ledger.exempt(c);
                    if old.is_some() {
                        ledger.crossed(c);
                    }
                }
            }
        }
    }

    /// One step of the seed.
    fn step(&self) {
        let n = self.machines.len();
        let i = self.next(n as u64) as usize;
        if self.mode == Mode::Serial {
            for _ in 0..=self.next(3) {
                self.user_acts(i);
            }
            return self.settle();
        }
        match self.next(100) {
            0..=39 => self.user_acts(i),
            40..=79 => {
                if self.mode != Mode::Cross || self.chance(60) {
                    self.plan_events(i);
                }
                self.round(i);
                self.due.borrow_mut().clear();
            }
            80..=89 => {
                let down = &self.machines[i].down;
                let r = self.next(down.len() as u64) as usize;
                down[r].set(self.chance(60));
            }
            90..=93 if self.mode == Mode::Cross => {
                // The nodes are apart: each device reaches one.
                for (j, m) in self.machines.iter().enumerate() {
                    for (r, d) in m.down.iter().enumerate() {
                        d.set(j % 2 != r);
                    }
                }
            }
            94..=97 if self.mode == Mode::Cross => {
                self.machines.iter().for_each(|m| m.down.iter().for_each(|d| d.set(false)));
            }
            90..=92 if self.mode == Mode::Lose => {
                if let Some(d) = self.machines[i].device.borrow_mut().as_mut() {
                    d.state.lose();
                    self.ledger.borrow_mut().lost = true;
                }
            }
            _ => self.user_acts(i),
        }
    }

    /// What happens during the next round of device `i`.
    fn plan_events(&self, i: usize) {
        let busy = matches!(self.mode, Mode::Busy | Mode::Power);
        let n = self.next(if busy { 4 } else { 2 });
        let range = u64::from(self.average.get().max(20)) + 20;
        for _ in 0..n {
            let when = 1 + self.next(range) as u32;
            let event = match self.next(10) {
                0..=4 => Event::User(i),
                5 => Event::Round(self.next(self.machines.len() as u64) as usize),
                6 => Event::Cut,
                7 if self.mode == Mode::Power => Event::Power,
                _ if self.mode == Mode::Power && self.chance(40) => Event::Power,
                _ if busy || self.chance(30) => Event::Kill,
                _ => Event::User(i),
            };
            self.due.borrow_mut().push((when, event));
        }
    }

    /// Everything heals; the devices sync until nothing changes.
    fn settle(&self) {
        self.machines.iter().for_each(|m| m.down.iter().for_each(|d| d.set(false)));
        self.due.borrow_mut().clear();
        let n = self.machines.len();
        let mut last = String::new();
        for _ in 0..3 * n + 6 {
            for i in 0..n {
                self.round(i);
                if self.failure.borrow().is_some() {
                    return;
                }
            }
            let now = self.signature();
            if now == last {
                return;
            }
            last = now;
        }
        self.fail("no rest: commits or changes keep coming".into());
    }

    fn signature(&self) -> String {
        let mut out = String::new();
        for m in &self.machines {
            let head = m.device.borrow().as_ref().and_then(|d| round::head(d).ok().flatten());
            out.push_str(&format!("{head:?}{:?}", m.user.tree()));
        }
        out
    }
}

/// What a seed did, for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// Verbs of simulated seams.
    pub verbs: u64,
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
        None => Ok(Played { verbs: u64::from(world.verbs.get()) }),
    }
}
