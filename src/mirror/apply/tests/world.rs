//! A device on a real disk and a real database, in which a test may kill it, or let the user act, before any step.

use super::super::*;
use crate::clock::Time;
use crate::crypt::head::FileHead;
use crate::crypt::{Master, VaultKeys, small};
use crate::files::real::Disk;
use crate::files::{Files, Kind as Entry, Stat, Traits};
use crate::git::Type;
use crate::git::store::Store;
use crate::mirror::Settings;
use crate::path::Name;
use crate::state::db::Db;
use crate::state::{Intent, RowNode};
use crate::tree::{FileKind, Version, Writer};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The user's turn; it is told which verb is about to be carried out.
type Act = Box<dyn FnMut(&str)>;

/// What happens before a step.
#[derive(Default)]
pub struct Hook {
    /// Steps so far: changes of the disk, and commits.
    pub steps: u64,
    /// The device dies before this step.
    pub kill_at: Option<u64>,
    pub dead: bool,
    /// Called before every step with its verb.
    pub act: Option<Act>,
    pub traits: Option<Traits>,
    pub free: Option<u64>,
}

type Shared = Rc<RefCell<Hook>>;

fn step(hook: &Shared, verb: &str) -> io::Result<()> {
    let act = {
        let mut h = hook.borrow_mut();
        h.steps += 1;
        h.dead |= h.kill_at.is_some_and(|n| h.steps >= n);
        if h.dead {
            return Err(io::Error::other(crate::error::Killed));
        }
        h.act.take()
    };
    if let Some(mut act) = act {
        act(verb);
        hook.borrow_mut().act = Some(act);
    }
    Ok(())
}

#[derive(Clone)]
pub struct Hooked {
    disk: Disk,
    hook: Shared,
}

type Dir = <Disk as Files>::Dir;

impl Hooked {
    fn alive(&self) -> io::Result<()> {
        if self.hook.borrow().dead { Err(io::Error::other(crate::error::Killed)) } else { Ok(()) }
    }
}

impl Files for Hooked {
    type Dir = Dir;
    type File = <Disk as Files>::File;

    fn root(&self) -> Dir {
        self.disk.root()
    }
    fn traits(&self) -> Traits {
        self.hook.borrow().traits.unwrap_or(self.disk.traits())
    }
    fn open_dir(&self, at: &Dir, name: &[u8]) -> io::Result<Dir> {
        self.disk.open_dir(at, name)
    }
    fn list(&self, at: &Dir) -> io::Result<Vec<(Box<[u8]>, Option<Entry>)>> {
        self.disk.list(at)
    }
    fn stat(&self, at: &Dir, name: &[u8]) -> io::Result<Option<Stat>> {
        self.alive()?;
        self.disk.stat(at, name)
    }
    fn stat_dir(&self, at: &Dir) -> io::Result<Stat> {
        self.disk.stat_dir(at)
    }
    fn open(&self, at: &Dir, name: &[u8]) -> io::Result<Self::File> {
        self.disk.open(at, name)
    }
    fn open_rw(&self, at: &Dir, name: &[u8]) -> io::Result<Self::File> {
        self.disk.open_rw(at, name)
    }
    fn create(&self, at: &Dir, name: &[u8], mode: u32) -> io::Result<Self::File> {
        step(&self.hook, "create")?;
        self.disk.create(at, name, mode)
    }
    fn mkdir(&self, at: &Dir, name: &[u8], mode: u32) -> io::Result<()> {
        step(&self.hook, "mkdir")?;
        self.disk.mkdir(at, name, mode)
    }
    fn symlink(&self, target: &[u8], at: &Dir, name: &[u8]) -> io::Result<()> {
        step(&self.hook, "symlink")?;
        self.disk.symlink(target, at, name)
    }
    fn set_link_mtime(&self, at: &Dir, name: &[u8], t: Time) -> io::Result<()> {
        step(&self.hook, "set_link_mtime")?;
        self.disk.set_link_mtime(at, name, t)
    }
    fn readlink(&self, at: &Dir, name: &[u8]) -> io::Result<Vec<u8>> {
        self.disk.readlink(at, name)
    }
    fn rename(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        step(&self.hook, "rename")?;
        self.disk.rename(at, name, to, new)
    }
    fn rename_noreplace(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        step(&self.hook, "rename_noreplace")?;
        self.disk.rename_noreplace(at, name, to, new)?;
        // Not a step of its own: nothing can die here that does not die before the next one.
        let act = self.hook.borrow_mut().act.take();
        if let Some(mut act) = act {
            act("stat after rename");
            self.hook.borrow_mut().act = Some(act);
        }
        Ok(())
    }
    fn exchange(&self, at: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
        step(&self.hook, "exchange")?;
        self.disk.exchange(at, name, to, new)
    }
    fn unlink(&self, at: &Dir, name: &[u8]) -> io::Result<()> {
        step(&self.hook, "unlink")?;
        self.disk.unlink(at, name)
    }
    fn rmdir(&self, at: &Dir, name: &[u8]) -> io::Result<()> {
        step(&self.hook, "rmdir")?;
        self.disk.rmdir(at, name)
    }
    fn sync_dir(&self, _: &Dir) -> io::Result<()> {
        self.alive()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.alive()
    }
    fn free(&self) -> io::Result<u64> {
        self.hook.borrow().free.map_or_else(|| self.disk.free(), Ok)
    }
}

/// A database whose commits are steps.
pub struct HookedDb {
    pub db: Db,
    hook: Shared,
}

macro_rules! pass {
    ($($name:ident($($arg:ident: $t:ty),*) -> $r:ty;)*) => { $(fn $name(&self, $($arg: $t),*) -> Result<$r> { self.db.$name($($arg),*) })* };
    (mut $($name:ident($($arg:ident: $t:ty),*) -> $r:ty;)*) => { $(fn $name(&mut self, $($arg: $t),*) -> Result<$r> { self.db.$name($($arg),*) })* };
}

impl State for HookedDb {
    pass! {
        get(table: Table, place: &Place) -> Option<Row>;
        children(table: Table, dir: Id, after: Option<&Name>, limit: usize) -> Vec<Row>;
        by_id(table: Table, id: Id) -> Vec<Row>;
        by_ino(table: Table, ino: u64) -> Vec<Row>;
        by_size(table: Table, size: u64) -> Vec<Row>;
        rows(table: Table, after: Option<&Place>, limit: usize) -> Vec<Row>;
        differences(a: Table, b: Table, after: Option<&Place>, limit: usize) -> Vec<(Place, Option<Row>, Option<Row>)>;
        count(table: Table) -> (u64, u64, u64);
        value(key: &str) -> Option<Vec<u8>>;
        values(prefix: &str) -> Vec<(String, Vec<u8>)>;
        intents() -> Vec<(u64, Intent)>;
    }
    pass! { mut
        put(table: Table, row: &Row) -> ();
        remove(table: Table, place: &Place) -> ();
        clear(table: Table) -> ();
        absorb(scratch: Table, into: Table) -> ();
        set_value(key: &str, value: Option<&[u8]>) -> ();
        add_intent(intent: &Intent) -> u64;
        remove_intent(number: u64) -> ();
        rollback() -> ();
    }
    fn commit(&mut self) -> Result<()> {
        step(&self.hook, "commit")?;
        self.db.commit()
    }
}

pub struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Time {
        Time { s: 1_700_000_000, ns: 0 }
    }
    fn offset_minutes(&self, _: Time) -> i16 {
        0
    }
    fn wait(&self, _: u64) {}
}

pub struct Counting(u64);
impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        for chunk in out.chunks_mut(8) {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            chunk.copy_from_slice(&(self.0 ^ self.0 >> 29).to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// What head has at a path.
#[derive(Clone, Debug)]
pub enum Want {
    /// A directory with this id.
    D(u8),
    /// A file: id, content.
    F(u8, &'static str),
    /// The same, executable and private.
    P(u8, &'static str),
    /// A link.
    L(u8, &'static str),
}
pub use Want::{D, F, L, P};

pub struct World {
    pub tmp: tempfile::TempDir,
    pub hook: Shared,
    pub d: Option<Device<Hooked, HookedDb, Fixed, Counting>>,
}

impl World {
    pub fn new() -> World {
        let tmp = tempfile::tempdir().unwrap();
        for dir in ["share", "git"] {
            std::fs::create_dir(tmp.path().join(dir)).unwrap();
        }
        let mut w = World { tmp, hook: Shared::default(), d: None };
        w.start();
        w
    }

    pub fn share(&self) -> PathBuf {
        self.tmp.path().join("share")
    }

    /// Ends the process that was (uncommitted rows are lost) and begins another.
    pub fn start(&mut self) {
        self.d = None;
        let (traits, free) = (self.hook.borrow().traits, self.hook.borrow().free);
        self.hook = Rc::new(RefCell::new(Hook { traits, free, ..Hook::default() }));
        let open = |dir| Hooked { disk: Disk::open(&self.tmp.path().join(dir)).unwrap(), hook: self.hook.clone() };
        let (share, secure) = (open("share"), open("git"));
        let git = Store::init(&secure, &secure.root(), true).unwrap();
        let db = Db::open(&self.tmp.path().join("state.db")).unwrap();
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        self.d = Some(Device {
            share,
            secure,
            git,
            state: HookedDb { db, hook: self.hook.clone() },
            clock: Fixed,
            random: Counting(seed.into()),
            keys: VaultKeys::new(&Master::from_bytes(&[7; 32])),
            vault: Id([9; 16]),
            name: Writer::new("laptop").unwrap(),
            id: Id([8; 16]),
            settings: Settings { min_free: 0, ..Settings::default() },
            report: Default::default(),
        });
        self.hook.borrow_mut().steps = 0;
    }

    pub fn d(&mut self) -> &mut Device<Hooked, HookedDb, Fixed, Counting> {
        self.d.as_mut().unwrap()
    }

    /// Makes this head's tree. Paths in any order, directories before what is in them.
    pub fn head(&mut self, tree: &[(&str, Want)]) {
        let d = self.d();
        d.state.clear(Table::Head).unwrap();
        d.state.set_value(key::EVEN, None).unwrap();
        let mut dirs: BTreeMap<&str, Id> = BTreeMap::from([("", Id::ROOT)]);
        let mut pack = d.git.pack_writer().unwrap();
        for (path, want) in tree {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            let place = Place { dir: dirs[dir], name: Name::new(name.as_bytes()).unwrap() };
            let (id, content, kind, special) = match want {
                D(id) => (*id, None, FileKind::File, false),
                F(id, c) => (*id, Some(*c), FileKind::File, false),
                P(id, c) => (*id, Some(*c), FileKind::File, true),
                L(id, c) => (*id, Some(*c), FileKind::Link, false),
            };
            let id = Id([id; 16]);
            let node = match content {
                None => {
                    dirs.insert(path, id);
                    Node::Dir { id, tree: Default::default() }
                }
                Some(c) => {
                    let mut v = Version {
                        id,
                        kind,
                        size: c.len() as u64,
                        mac: [0; 32],
                        epoch: d.keys.epoch(),
                        segment: 0,
                        exec: special,
                        private: special,
                        mtime: Time { s: 1_600_000_000 + c.len() as i64, ns: 123_000_000 },
                        offset: 0,
                        generation: 1,
                        writer: Writer::new("desktop").unwrap(),
                        oid: Default::default(),
                    };
                    let mut head = FileHead::from_version(&v);
                    let mut object = Vec::new();
                    small::seal(&d.keys, &mut head, c.as_bytes(), &mut object).unwrap();
                    v.mac = head.mac;
                    v.oid = pack.add(Type::Blob, &object).unwrap();
                    Node::File(v)
                }
            };
            d.state.put(Table::Head, &Row { place, node: RowNode::Here(node), seen: None }).unwrap();
        }
        pack.finish().unwrap();
        d.git.refresh().unwrap();
        d.state.commit().unwrap();
        self.hook.borrow_mut().steps = 0;
    }

    pub fn apply(&mut self) -> Result<Applied> {
        apply(self.d(), &|_| false)
    }

    /// The share as it is on disk: directories end in `/`, links in `@`.
    pub fn tree(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        walk(&self.share(), "", &mut out);
        out
    }

    /// What the scan of the next round would make of a crash: rows follow their inodes, and what is new takes the id
    /// that head has there.
    pub fn scan(&mut self) {
        let share = self.share();
        let d = self.d();
        let old = d.state.rows(Table::Anc, None, 10_000).unwrap();
        let mut rows = Vec::new();
        let mut todo = vec![(share, Id::ROOT)];
        while let Some((path, dir)) = todo.pop() {
            for entry in std::fs::read_dir(&path).unwrap() {
                let entry = entry.unwrap();
                let name = Name::new(std::os::unix::ffi::OsStrExt::as_bytes(entry.file_name().as_os_str())).unwrap();
                let place = Place { dir, name };
                let meta = entry.path().symlink_metadata().unwrap();
                let is_dir = meta.is_dir();
                let like = |r: &&Row| r.here().unwrap().is_dir() == is_dir;
                let same = old.iter().filter(like).find(|r| r.place == place);
                let moved = || old.iter().filter(like).find(|r| r.seen.as_ref().unwrap().ino == meta.ino());
                let head = || d.state.get(Table::Head, &place).unwrap();
                let mut row = same.or_else(moved).cloned().or_else(head).expect("nobody else has made anything");
                row.place = place;
                let mut seen = row.seen.take().unwrap_or(crate::state::Seen {
                    size: 0,
                    mtime: Time::default(),
                    exec: false,
                    private: false,
                    ino: meta.ino(),
                    birth: None,
                    ctime: Time::default(),
                    name: None,
                });
                seen.ctime = Time { s: meta.ctime(), ns: meta.ctime_nsec() as u32 };
                row.seen = Some(seen);
                if is_dir {
                    todo.push((entry.path(), row.here().unwrap().id()));
                }
                rows.push(row);
            }
        }
        d.state.clear(Table::Anc).unwrap();
        for row in &rows {
            d.state.put(Table::Anc, row).unwrap();
        }
        d.state.commit().unwrap();
    }

    /// Ancestor and head are the same tree, no intent is left, and the value says so.
    pub fn even(&mut self) -> bool {
        let s = &self.d().state;
        let same = s.differences(Table::Anc, Table::Head, None, 10).unwrap().is_empty();
        same && s.intents().unwrap().is_empty() && s.value(key::EVEN).unwrap().is_some()
    }
}

fn walk(dir: &Path, at: &str, out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{at}{}", entry.file_name().to_string_lossy());
        let meta = entry.path().symlink_metadata().unwrap();
        if meta.is_dir() {
            out.insert(format!("{path}/"), String::new());
            walk(&entry.path(), &format!("{path}/"), out);
        } else if meta.is_symlink() {
            out.insert(format!("{path}@"), std::fs::read_link(entry.path()).unwrap().to_string_lossy().into());
        } else {
            let mark = if meta.permissions().mode() & 0o777 == 0o700 { "*" } else { "" };
            out.insert(format!("{path}{mark}"), std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// What [`World::tree`] gives if the share is this tree.
pub fn shown(tree: &[(&str, Want)]) -> BTreeMap<String, String> {
    tree.iter()
        .map(|(path, want)| match want {
            D(_) => (format!("{path}/"), String::new()),
            F(_, c) => (path.to_string(), c.to_string()),
            P(_, c) => (format!("{path}*"), c.to_string()),
            L(_, c) => (format!("{path}@"), c.to_string()),
        })
        .collect()
}
