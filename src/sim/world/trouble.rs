//! Files that nobody may read, full disks, rules of what is ignored.

use super::{DIRS, Mode, NAMES, PATHS, World};

/// What users write into files of rules.
const RULES: [&str; 7] = ["f.txt\n", "d/\n", "/e\n", "*.bak\nb\n", "s/\n!d/s/\n", "a\n!/a\n", "# nothing\n"];

impl World {
    /// Something that this kind of life is about; `false` if it is about nothing of the sort.
    pub(super) fn trouble(&self, i: usize) -> bool {
        match self.mode {
            Mode::Denied => self.denies(i),
            Mode::Full => self.fills(i),
            Mode::Ignore => self.ignores(i),
            Mode::Strange => self.strange(i),
            Mode::Nodes => self.goes_back(),
            _ => return false,
        }
        true
    }

    /// A user takes the right to read or to change something, or gives it back.
    fn denies(&self, i: usize) {
        let path = match self.chance(60) {
            true => *self.random.borrow_mut().pick(&PATHS),
            false => *self.random.borrow_mut().pick(&DIRS),
        };
        let rights = *self.random.borrow_mut().pick(&[0o600, 0o400, 0o200]);
        if self.trace {
            eprintln!("  user {}: turns {rights:o} of {path}", NAMES[i]);
        }
        if self.machines[i].user.turn_rights(path, rights).is_some() {
            self.happens("rights are taken or given");
        }
    }

    /// A disk is nearly full, or has room again.
    fn fills(&self, i: usize) {
        let m = &self.machines[i];
        let n = self.next(self.nodes.len() as u64) as usize;
        let (disk, name) = [(&m.share, "share"), (&m.secure, "secure"), (&self.nodes[n], "node")][self.next(3) as usize];
        let below = *self.random.borrow_mut().pick(&[1, 300, 3000, 30_000]);
        let free = if self.chance(40) { u64::MAX } else { self.next(below) };
        if self.trace {
            eprintln!("  {}: {free} bytes are free in {name}", NAMES[i]);
        }
        self.happens(match (free == u64::MAX, name) {
            (true, _) => "a disk has room again",
            (_, "share") => "a share is nearly full",
            (_, "secure") => "a secure is nearly full",
            _ => "a node is nearly full",
        });
        disk.set_free(free);
    }

    /// A user writes or removes rules.
    fn ignores(&self, i: usize) {
        let u = &self.machines[i].user;
        let path = *self.random.borrow_mut().pick(&[".sharelockignore", ".sharelockignore", "d/.sharelockignore"]);
        let rules = *self.random.borrow_mut().pick(&RULES);
        let gone = self.chance(25);
        if self.trace {
            eprintln!("  user {}: {path} {}", NAMES[i], if gone { "goes" } else { rules.trim_end() });
        }
        // (Somebody may have written something else there.)
        self.happens("ignore rules change");
        self.ledger.borrow_mut().replaced(u.read(path).as_ref());
        if gone {
            u.rm(path);
        } else if u.parents(path) {
            u.save(path, rules);
        }
    }

    /// Everybody may read and write everything, and there is room.
    pub(super) fn all_is_permitted(&self) {
        for m in &self.machines {
            m.user.all_rights();
            m.share.set_free(u64::MAX);
            m.secure.set_free(u64::MAX);
        }
        self.nodes.iter().for_each(|n| n.set_free(u64::MAX));
    }
}
