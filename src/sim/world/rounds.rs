//! Rounds of devices, and what becomes of a device when one ends.

use super::*;

impl World {
    /// One full sync round of a device, and its restart if it dies.
    pub(super) fn round(&self, i: usize) {
        self.round_of(i, round::What::ALL);
    }

    /// The same, as an agent does it that has noticed a part of what has happened, or all.
    pub(super) fn any_round(&self, i: usize) {
        let (all, part) = (self.chance(50), self.next(8));
        let what = round::What { share: all || part & 1 != 0, secure: all || part & 2 != 0, nodes: all || part & 4 != 0 };
        self.round_of(i, what);
    }

    pub(super) fn round_of(&self, i: usize, what: round::What) {
        let m = &self.machines[i];
        if !m.started.get() && i != 0 {
            m.started.set(true);
        }
        let Some(mut d) = m.device.borrow_mut().take() else { return };
        self.killed_before_a_note(i, &d);
        self.depth.set(self.depth.get() + 1);
        let before = self.verbs.get();
        let mut nodes: Vec<StorageNode<SimRemote>> = (0..self.nodes.len()).map(|n| self.node_of(i, n)).collect();
        let result = match i == 0 && d.git.get_ref(crate::mirror::secure::MAIN).ok().flatten().is_none() && self.nothing_pending(&d) {
            true => round::found(&mut d).and_then(|_| round::run(&mut d, &mut nodes)),
            false => round::run_part(&mut d, &mut nodes, what),
        };
        self.depth.set(self.depth.get() - 1);
        if self.trace {
            eprintln!("  {} shows {:?}", NAMES[i], m.user.tree());
        }
        if self.depth.get() == 0 {
            self.average.set((self.average.get() * 3 + self.verbs.get() - before) / 4);
        }
        let done = self.ended(
            i,
            d,
            result.map(|out| {
                if self.trace {
                    let heads: Vec<String> = out.nodes.iter().map(|n| format!("{}: {:?}", n.name, n.error)).collect();
                    eprintln!("  {} round: head {:?} commits {} applied {} {heads:?}", NAMES[i], out.head, out.commits, out.applied);
                }
                self.judge_nodes(i, &out.nodes);
            }),
        );
        if done && self.mode_has_brake() {
            self.answers(i, false);
        }
    }

    /// What became of something that a device did; gives true if it was done. One that has died starts again.
    pub(super) fn ended(&self, i: usize, d: Box<SimDevice>, result: Result<()>) -> bool {
        let m = &self.machines[i];
        let e = match result {
            Ok(()) => {
                m.stopped.set(d.report.brake.is_some());
                if d.report.full.is_some() {
                    self.happens("no room in share: files wait");
                }
                if d.report.full_secure.is_some() {
                    self.happens("no room in secure: files wait");
                }
                if self.mode == Mode::Denied && d.report.problems.iter().any(|p| p.path.is_some()) {
                    self.happens("a round reports what it may not read or write");
                }
                *m.device.borrow_mut() = Some(d);
                return true;
            }
            Err(e) => e,
        };
        let mut state = d.state;
        drop(d.git);
        if !e.is_stopped() {
            match e.kind() {
                Kind::Unreachable | Kind::Raced => {}
                Kind::Full if self.mode == Mode::Full => self.happens("a round ends for want of room"),
                // To join by a node that shows what no device has made is refused.
                Kind::Integrity(_) if self.mode == Mode::Nodes && state.value(key::HEAD).is_ok_and(|head| head.is_none()) => {}
                // What was interrupted in a folder is settled once its user gives the right back, as the text says.
                Kind::Failed if self.mode == Mode::Denied && e.remedies().iter().any(|r| r.command.starts_with("chmod ")) => {
                    self.happens("a round waits for a folder that it may not open");
                }
                _ => self.fail(format!("{}: round: {e} {:?}", NAMES[i], e.details())),
            }
            if self.trace {
                eprintln!("  {} round: {e}", NAMES[i]);
            }
        }
        m.life.revive();
        state.restart();
        if m.power.replace(false) {
            let mut random = self.random.borrow_mut();
            m.share.power_cut(&mut random);
            m.secure.power_cut(&mut random);
        }
        match self.boot(i, state) {
            Err(e) => self.fail(format!("{}: restart: {e}", NAMES[i])),
            // What is on the disk now is what the user sees, whatever the engine has noted.
            Ok(()) if e.is_stopped() && self.mode != Mode::Script && self.chance(40) => self.newest(i),
            Ok(()) => {}
        }
        false
    }

    /// What a round says of its nodes. Errors of one that has gone back are no failure.
    pub(super) fn judge_nodes(&self, i: usize, nodes: &[round::NodeOutcome]) {
        let mut refused = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let Some(e) = node.error.as_ref().filter(|e| e.kind() != Kind::Unreachable) else { continue };
            refused.push(n);
            let expected = match e.kind() {
                Kind::Full => self.mode == Mode::Full,
                Kind::Integrity(_) => self.backups.borrow().went_back(n),
                _ => false,
            };
            if !expected {
                self.fail(format!("{}: node {}: {e} {:?}", NAMES[i], node.name, e.details()));
            }
        }
        *self.machines[i].refused.borrow_mut() = refused;
    }

    /// A node as a device sees it.
    pub(super) fn node_of(&self, i: usize, n: usize) -> StorageNode<SimRemote> {
        let m = &self.machines[i];
        StorageNode::new(format!("r{n}"), "sim", SimRemote::new(m.life.clone(), &self.nodes[n], m.down[n].clone()))
    }

    /// Before a device recovers: of what it may have put in its place just before it was killed, the ledger is told what has
    /// gone with its whole directory since.
    pub(super) fn killed_before_a_note(&self, i: usize, d: &SimDevice) {
        for (_, intent) in d.state.intents().unwrap_or_default() {
            let Intent::Put { row, .. } = intent else { continue };
            let dir = Overlay::ANC.dir(&d.state, row.place.dir).ok().flatten().and_then(|dir| dir.seen);
            if let (Some(dir), Some(file)) = (dir, row.seen)
                && !self.machines[i].user.has_directory(dir.ino, dir.birth)
            {
                self.ledger.borrow_mut().unknowable(i, file.ino, file.birth);
            }
        }
    }

    pub(super) fn nothing_pending(&self, d: &SimDevice) -> bool {
        crate::mirror::secure::pending(&d.state).ok().flatten().is_none()
    }
}
