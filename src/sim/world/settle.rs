//! The end of a seed: whatever went wrong is mended, as a person would, and the devices sync until nothing changes.

use super::{Mode, NAMES, World};
use crate::agent::round;
use crate::mirror::{Made, ignore, undo};
use crate::sim::check;
use crate::sim::user::What;

impl World {
    /// Everything heals; the devices sync until nothing changes.
    pub(super) fn settle(&self) {
        self.machines.iter().for_each(|m| m.down.iter().for_each(|d| d.set(false)));
        self.due.borrow_mut().clear();
        self.all_is_permitted();
        let n = self.machines.len();
        let mut last = String::new();
        for _ in 0..3 * n + if self.mode == Mode::Serial { 6 } else { 12 } {
            let mut mended = false;
            for i in 0..n {
                self.round(i);
                mended |= self.mend(i);
                if self.failure.borrow().is_some() {
                    return;
                }
            }
            let now = self.signature();
            if now == last && !mended {
                return;
            }
            last = now;
        }
        self.fail("no rest: commits or changes keep coming".into());
    }

    /// What a device has said that its user has to do; `true` if there was something.
    fn mend(&self, i: usize) -> bool {
        let refused = self.machines[i].refused.take();
        refused.iter().for_each(|n| self.heals(i, *n));
        let stopped = self.machines[i].stopped.get();
        if stopped {
            self.answers(i, true);
        }
        let rules = self.no_rules(i);
        let strange = self.repairs(i);
        !refused.is_empty() || stopped || rules || strange
    }

    /// A user takes the rules of what is ignored away.
    fn no_rules(&self, i: usize) -> bool {
        let u = &self.machines[i].user;
        let is_rules = |p: &String| p.rsplit('/').next().is_some_and(|name| name.as_bytes() == ignore::FILE);
        let files: Vec<(String, What)> = u.tree().into_iter().filter(|(p, _)| is_rules(p)).collect();
        for (path, what) in &files {
            self.ledger.borrow_mut().replaced(Some(what));
            u.rm(path);
        }
        !files.is_empty()
    }

    pub(super) fn mode_has_brake(&self) -> bool {
        self.settings().brake_files < 1000
    }

    /// The user of a device whose brake has stopped something allows it or undoes it, or (unless he `must`) does nothing yet.
    pub(super) fn answers(&self, i: usize, must: bool) {
        let m = &self.machines[i];
        let Some(mut d) = m.device.borrow_mut().take() else { return };
        let Some(stop) = d.report.brake.clone() else {
            *m.device.borrow_mut() = Some(d);
            return;
        };
        let answer = self.next(if must { 2 } else { 4 });
        if self.trace {
            eprintln!("  user {}: {} {stop:?}", NAMES[i], ["allows", "undoes", "leaves", "leaves"][answer as usize]);
        }
        self.happens(match (answer, stop.made) {
            (0, Made::InShare) => "brake: a change of the share is allowed",
            (0, Made::InSecure) => "brake: a change of secure is allowed",
            (0, Made::Elsewhere) => "brake: a change of another device is allowed",
            (1, Made::InShare) => "brake: a change of the share is undone",
            (1, Made::InSecure) => "brake: a change of secure is undone",
            (1, Made::Elsewhere) => "brake: a change of another device is undone",
            _ => "brake: no answer yet",
        });
        if answer == 0 {
            m.allowed.borrow_mut().push(stop.code);
            d.settings.allowed = m.allowed.borrow().clone();
        }
        if answer == 1 {
            // All that it knows may come back, by this user's will.
            for table in [crate::mirror::overlay::Overlay::ANC, crate::mirror::overlay::Overlay::HEAD] {
                for (what, _) in check::opened(&d, &table).unwrap_or_default().into_values() {
                    if let What::File(c, _) | What::Link(c) = what {
                        self.ledger.borrow_mut().exempt(&c);
                    }
                }
            }
            self.depth.set(self.depth.get() + 1);
            let result = undo::undo(&mut d, stop.made).map(|_| ());
            self.depth.set(self.depth.get() - 1);
            self.ended(i, d, result);
            return;
        }
        *m.device.borrow_mut() = Some(d);
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
