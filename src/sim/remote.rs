//! A storage node whose line may break: a bare repository on a simulated disk, behind the scheduler.

use super::disk::SimDisk;
use super::hook::{Act, Life, Seam};
use crate::error::{Error, Kind, Result};
use crate::git::local::LocalRemote;
use crate::git::{Choose, PackSource, RefStatus, RefUpdate, Refs, Remote};
use crate::id::Oid;
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

/// One device's view of a node.
pub struct SimRemote {
    life: Life,
    inner: LocalRemote<SimDisk, Box<dyn Fn() -> Result<SimDisk>>>,
    /// True while this device cannot reach it.
    pub down: Rc<Cell<bool>>,
}

fn cut() -> Error {
    Error::new(Kind::Unreachable, "the line broke")
}

impl SimRemote {
    /// A view of the repository on `disk`.
    pub fn new(life: Life, disk: &SimDisk, down: Rc<Cell<bool>>) -> SimRemote {
        let disk = disk.clone();
        SimRemote { life, inner: LocalRemote::new("node", Box::new(move || Ok(disk.clone()))), down }
    }

    fn reachable(&self) -> Result<()> {
        self.life.alive()?;
        if self.down.get() { Err(Error::new(Kind::Unreachable, "away")) } else { Ok(()) }
    }

    fn after(&self, verb: &'static str) -> Result<()> {
        match self.life.at(Seam::Remote, verb)? {
            Act::Cut => Err(cut()),
            _ => Ok(()),
        }
    }
}

impl Remote for SimRemote {
    fn fetch(&mut self, choose: Choose<'_>, have: &[Oid], sink: &mut dyn Write) -> Result<()> {
        self.reachable()?;
        let mut wants = false;
        let life = self.life.clone();
        let shown = &mut |refs: &Refs| {
            if life.at(Seam::Remote, "refs")? == Act::Cut {
                return Err(cut());
            }
            let want = choose(refs)?;
            wants = !want.is_empty();
            Ok(want)
        };
        self.inner.fetch(shown, have, sink)?;
        if wants { self.after("fetch") } else { Ok(()) }
    }

    fn push(&mut self, updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Result<Vec<RefStatus>> {
        self.reachable()?;
        self.after("push begins")?;
        let out = self.inner.push(updates, atomic, pack)?;
        self.after("push")?;
        Ok(out)
    }

    fn create(&mut self) -> Result<()> {
        self.inner.create()
    }

    fn set_head(&mut self) -> Result<bool> {
        self.inner.set_head()
    }
}
