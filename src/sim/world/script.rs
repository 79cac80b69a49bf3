//! A world in which nothing happens by chance: a script says what users do, and when which device syncs.

use super::{Mode, World};
use crate::error::Result;
use crate::files::Traits;
use crate::sim::check;
use crate::sim::user::User;
use std::rc::Rc;

impl World {
    /// Devices A, B, .. with these disks, and storage nodes that have nothing yet. The first device to sync must be A.
    pub fn scripted(disks: &[Traits], nodes: usize) -> Result<Rc<World>> {
        World::with(Mode::Script, disks, nodes, 1, false)
    }

    /// The user at a device.
    pub fn user(&self, device: usize) -> &User {
        &self.machines[device].user
    }

    /// The user at a device removes a file that he has seen: it must not come back.
    pub fn removes(&self, device: usize, path: &str) {
        let user = self.user(device);
        let mut ledger = self.ledger.borrow_mut();
        ledger.meets(device, user, path);
        let old = user.read(path);
        if user.rm(path).is_some() {
            ledger.replaced(old.as_ref());
        }
    }

    /// A device syncs. `Err`: what went wrong, here or before.
    pub fn sync(&self, device: usize) -> std::result::Result<(), String> {
        self.clock.pass(1_000_000_000);
        self.round(device);
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// A device syncs and is killed at a verb, counted from the start; false if its round had ended before.
    pub fn killed_sync(&self, device: usize, verb: u64) -> std::result::Result<bool, String> {
        self.killed(device, verb, false)
    }

    /// The same, at the `nth` verb that changes a name in the share.
    pub fn killed_in_share(&self, device: usize, nth: u64) -> std::result::Result<bool, String> {
        self.killed(device, nth, true)
    }

    fn killed(&self, device: usize, nth: u64, in_share: bool) -> std::result::Result<bool, String> {
        self.unsure.set(false);
        self.plan_kill(nth, in_share);
        let out = self.sync(device);
        self.due.borrow_mut().clear();
        out.map(|()| self.unsure.get())
    }

    /// What must hold at rest.
    pub fn check(&self) -> std::result::Result<(), String> {
        check::all(self)
    }

    /// A device does not reach a node any more, or does again.
    pub fn line(&self, device: usize, node: usize, down: bool) {
        self.machines[device].down[node].set(down);
    }

    /// A device loses its database.
    pub fn lose_database(&self, device: usize) {
        if let Some(d) = self.machines[device].device.borrow_mut().as_mut() {
            d.state.lose();
        }
        self.ledger.borrow_mut().lost = true;
    }
}
