//! Where the scheduler acts: in every verb of a simulated seam.

use crate::error::Killed;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

/// Which seam a verb belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seam {
    /// The share's disk.
    Share,
    /// Secure's disk.
    Secure,
    /// The database.
    State,
    /// A storage node.
    Remote,
}

impl Seam {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Seam::Share => "share:",
            Seam::Secure => "secure:",
            Seam::State => "state:",
            Seam::Remote => "node:",
        }
    }
}

/// What the scheduler decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Go,
    /// The device is dead from here on: every seam refuses, so that no `Drop` tidies up.
    Kill,
    /// (Remote) the line is cut: the caller does not learn what happened.
    Cut,
}

type Scheduler = dyn Fn(usize, Seam, &'static str) -> Act;

/// One device's life, shared by its seams.
#[derive(Clone)]
pub struct Life {
    inner: Rc<Inner>,
}

struct Inner {
    device: usize,
    dead: Cell<bool>,
    scheduler: RefCell<Option<Rc<Scheduler>>>,
}

impl Life {
    /// Of device number `device`, without a scheduler yet.
    pub fn new(device: usize) -> Life {
        Life { inner: Rc::new(Inner { device, dead: Cell::new(false), scheduler: RefCell::new(None) }) }
    }

    /// Sets or takes away the scheduler.
    pub fn schedule(&self, s: Option<Rc<Scheduler>>) {
        *self.inner.scheduler.borrow_mut() = s;
    }

    /// A verb has taken effect and is about to return.
    pub fn at(&self, seam: Seam, verb: &'static str) -> io::Result<Act> {
        self.alive()?;
        let scheduler = self.inner.scheduler.borrow().clone();
        let act = scheduler.map_or(Act::Go, |s| s(self.inner.device, seam, verb));
        if act == Act::Kill {
            self.inner.dead.set(true);
            return Err(io::Error::other(Killed));
        }
        Ok(act)
    }

    /// An error if the device is dead.
    pub fn alive(&self) -> io::Result<()> {
        match self.inner.dead.get() {
            true => Err(io::Error::other(Killed)),
            false => Ok(()),
        }
    }

    /// The device starts again.
    pub fn revive(&self) {
        self.inner.dead.set(false);
    }
}
