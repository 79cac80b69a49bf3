//! A share, a database and a user, on the simulated disk and on the real one.

use super::super::*;
use crate::clock::{Clock, Random, Time};
use crate::crypt::{Master, VaultKeys};
use crate::error::Result;
use crate::files::{Files, Open};
use crate::git::store::Store;
use crate::mirror::packs::Packs;
use crate::mirror::{Settings, stage};
use crate::path::Name;
use crate::state::{Row, RowNode, State, Table};
use crate::tree::{Node, Place, Writer};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

pub struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Time {
        Time { s: 1_700_000_000, ns: 0 }
    }
    fn offset_minutes(&self, _: Time) -> i16 {
        60
    }
    fn wait(&self, _: u64) {}
}

/// Numbers that are all different.
pub struct Counting(u64);
impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.0 += 1;
        out.fill(0xaa);
        out[..8].copy_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}

/// What a test does to a disk: called before a listing with the number of listings so far.
type Act = Rc<RefCell<Option<Box<dyn FnMut(u64)>>>>;

/// A disk with weaknesses.
#[derive(Clone)]
pub struct Weak<F: Files> {
    pub disk: F,
    /// Names that cannot be looked at, opened or listed.
    pub denied: Rc<RefCell<Vec<&'static str>>>,
    /// Names whose `stat` says that they are a socket.
    pub sockets: Rc<RefCell<Vec<&'static str>>>,
    /// No birth times.
    pub no_birth: Rc<Cell<bool>>,
    /// It folds case (it says so; the test makes no two names that differ by case only).
    pub folds: Rc<Cell<bool>>,
    pub no_exec: Rc<Cell<bool>>,
    pub lists: Rc<Cell<u64>>,
    pub stats: Rc<Cell<u64>>,
    pub act: Act,
}

impl<F: Files> Weak<F> {
    fn allowed(&self, name: &[u8]) -> io::Result<()> {
        match self.denied.borrow().iter().any(|d| d.as_bytes() == name) {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }

    fn seen(&self, mut s: Stat) -> Stat {
        if self.no_birth.get() {
            s.birth = None;
        }
        if self.no_exec.get() {
            s.mode &= !0o111;
        }
        s
    }
}

pub struct WeakFile<F: Files>(F::File, Weak<F>);
impl<F: Files> io::Read for WeakFile<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}
impl<F: Files> Write for WeakFile<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
impl<F: Files> Open for WeakFile<F> {
    fn stat(&self) -> io::Result<Stat> {
        self.0.stat().map(|s| self.1.seen(s))
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, buf)
    }
    fn set_mtime(&self, t: Time) -> io::Result<()> {
        self.0.set_mtime(t)
    }
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.0.set_mode(mode)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Files> Files for Weak<F> {
    type Dir = F::Dir;
    type File = WeakFile<F>;

    fn root(&self) -> F::Dir {
        self.disk.root()
    }
    fn traits(&self) -> crate::files::Traits {
        let t = self.disk.traits();
        crate::files::Traits { folds_case: self.folds.get(), exec_bit: !self.no_exec.get(), ..t }
    }
    fn open_dir(&self, at: &F::Dir, name: &[u8]) -> io::Result<F::Dir> {
        self.allowed(name)?;
        self.disk.open_dir(at, name)
    }
    fn list(&self, at: &F::Dir) -> io::Result<Vec<(Box<[u8]>, Option<Kind>)>> {
        self.lists.set(self.lists.get() + 1);
        let act = self.act.borrow_mut().take();
        if let Some(mut act) = act {
            act(self.lists.get());
            *self.act.borrow_mut() = Some(act);
        }
        self.disk.list(at)
    }
    fn stat(&self, at: &F::Dir, name: &[u8]) -> io::Result<Option<Stat>> {
        self.stats.set(self.stats.get() + 1);
        let socket = self.sockets.borrow().iter().any(|s| s.as_bytes() == name);
        let stat = self.disk.stat(at, name)?.map(|s| self.seen(s));
        Ok(stat.map(|s| if socket { Stat { kind: Kind::Other, ..s } } else { s }))
    }
    fn stat_dir(&self, at: &F::Dir) -> io::Result<Stat> {
        self.disk.stat_dir(at)
    }
    fn open(&self, at: &F::Dir, name: &[u8]) -> io::Result<WeakFile<F>> {
        self.allowed(name)?;
        Ok(WeakFile(self.disk.open(at, name)?, self.clone()))
    }
    fn open_rw(&self, at: &F::Dir, name: &[u8]) -> io::Result<WeakFile<F>> {
        Ok(WeakFile(self.disk.open_rw(at, name)?, self.clone()))
    }
    fn create(&self, at: &F::Dir, name: &[u8], mode: u32) -> io::Result<WeakFile<F>> {
        Ok(WeakFile(self.disk.create(at, name, mode)?, self.clone()))
    }
    fn mkdir(&self, at: &F::Dir, name: &[u8], mode: u32) -> io::Result<()> {
        self.disk.mkdir(at, name, mode)
    }
    fn symlink(&self, target: &[u8], at: &F::Dir, name: &[u8]) -> io::Result<()> {
        self.disk.symlink(target, at, name)
    }
    fn set_link_mtime(&self, at: &F::Dir, name: &[u8], t: Time) -> io::Result<()> {
        self.disk.set_link_mtime(at, name, t)
    }
    fn readlink(&self, at: &F::Dir, name: &[u8]) -> io::Result<Vec<u8>> {
        self.disk.readlink(at, name)
    }
    fn rename(&self, at: &F::Dir, name: &[u8], to: &F::Dir, new: &[u8]) -> io::Result<()> {
        self.disk.rename(at, name, to, new)
    }
    fn rename_noreplace(&self, at: &F::Dir, name: &[u8], to: &F::Dir, new: &[u8]) -> io::Result<()> {
        self.disk.rename_noreplace(at, name, to, new)
    }
    fn exchange(&self, at: &F::Dir, name: &[u8], to: &F::Dir, new: &[u8]) -> io::Result<()> {
        self.disk.exchange(at, name, to, new)
    }
    fn unlink(&self, at: &F::Dir, name: &[u8]) -> io::Result<()> {
        self.disk.unlink(at, name)
    }
    fn rmdir(&self, at: &F::Dir, name: &[u8]) -> io::Result<()> {
        self.disk.rmdir(at, name)
    }
    fn sync_dir(&self, _: &F::Dir) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
    fn free(&self) -> io::Result<u64> {
        self.disk.free()
    }
}

/// A device whose user acts through the same seam.
pub struct World<F: Files, S: State> {
    pub d: Device<Weak<F>, S, Fixed, Counting>,
    pub disk: F,
    /// Keeps a real disk.
    pub _tmp: Option<tempfile::TempDir>,
}

pub const VAULT: Id = Id([9; 16]);

impl<F: Files, S: State> World<F, S> {
    pub fn new(share: F, secure: F, state: S, tmp: Option<tempfile::TempDir>) -> Self {
        mark_root(&share, &VAULT).unwrap();
        let weak = |disk: F| Weak {
            disk,
            denied: Rc::default(),
            sockets: Rc::default(),
            no_birth: Rc::default(),
            folds: Rc::default(),
            no_exec: Rc::default(),
            lists: Rc::default(),
            stats: Rc::default(),
            act: Rc::default(),
        };
        let secure = weak(secure);
        let d = Device {
            share: weak(share.clone()),
            git: Store::init(&secure, &secure.root(), true).unwrap(),
            secure,
            state,
            clock: Fixed,
            random: Counting(0),
            keys: VaultKeys::new(&Master::from_bytes(&[7; 32])),
            vault: VAULT,
            name: Writer::new("laptop").unwrap(),
            id: Id([8; 16]),
            settings: Settings { min_free: 0, ..Settings::default() },
            report: Default::default(),
        };
        World { d, disk: share, _tmp: tmp }
    }

    // -- the user -----------------------------------------------------------

    fn at<'p>(&self, path: &'p str) -> (F::Dir, &'p [u8]) {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = self.disk.root();
        for name in dirs.split('/').filter(|n| !n.is_empty()) {
            dir = self.disk.open_dir(&dir, name.as_bytes()).unwrap();
        }
        (dir, name.as_bytes())
    }

    /// Makes a file anew, or writes over one in place.
    pub fn write(&self, path: &str, content: &str) {
        let (dir, name) = self.at(path);
        let file = match self.disk.stat(&dir, name).unwrap() {
            Some(_) => self.disk.open_rw(&dir, name).unwrap(),
            None => self.disk.create(&dir, name, 0o644).unwrap(),
        };
        file.set_len(0).unwrap();
        file.write_at(0, content.as_bytes()).unwrap();
    }

    /// As editors do: a new file, renamed over the old one.
    pub fn save(&self, path: &str, content: &str) {
        let new = format!("{path}.new");
        self.write(&new, content);
        self.mv(&new, path);
    }

    pub fn mkdir(&self, path: &str) {
        let (dir, name) = self.at(path);
        self.disk.mkdir(&dir, name, 0o755).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let (dir, name) = self.at(path);
        self.disk.symlink(target.as_bytes(), &dir, name).unwrap();
    }

    pub fn mv(&self, from: &str, to: &str) {
        let ((a, n), (b, m)) = (self.at(from), self.at(to));
        self.disk.rename(&a, n, &b, m).unwrap();
    }

    pub fn rm(&self, path: &str) {
        let (dir, name) = self.at(path);
        self.disk.unlink(&dir, name).unwrap();
    }

    pub fn rmtree(&self, path: &str) {
        let (dir, name) = self.at(path);
        let inside = self.disk.open_dir(&dir, name).unwrap();
        for (n, _) in self.disk.list(&inside).unwrap() {
            let path = format!("{path}/{}", String::from_utf8_lossy(&n));
            match self.disk.stat(&inside, &n).unwrap().unwrap().kind {
                Kind::Dir => self.rmtree(&path),
                _ => self.rm(&path),
            }
        }
        drop(inside);
        self.disk.rmdir(&dir, name).unwrap();
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        let (dir, name) = self.at(path);
        self.disk.open_rw(&dir, name).unwrap().set_mode(mode).unwrap();
    }

    pub fn touch(&self, path: &str, s: i64) {
        let (dir, name) = self.at(path);
        self.disk.open_rw(&dir, name).unwrap().set_mtime(Time { s, ns: 0 }).unwrap();
    }

    pub fn stat(&self, path: &str) -> Stat {
        let (dir, name) = self.at(path);
        self.disk.stat(&dir, name).unwrap().unwrap()
    }

    // -- the device ---------------------------------------------------------

    pub fn scan(&mut self) -> Scanned {
        self.d.report = Default::default();
        scan(&mut self.d).unwrap()
    }

    /// Scans and seals.
    pub fn seal(&mut self) -> Scanned {
        let scanned = self.scan();
        let mut packs = Packs::new(&self.d.git);
        stage::seal_changes(&mut self.d, &mut packs).unwrap();
        packs.finish().unwrap();
        scanned
    }

    /// The scan becomes the ancestor and, as if it had been merged without others' changes, head.
    pub fn take(&mut self) {
        self.d.state.absorb(Table::Scan, Table::Anc).unwrap();
        self.d.state.clear(Table::Head).unwrap();
        let rows = self.d.state.rows(Table::Anc, None, 1_000_000).unwrap();
        for mut row in rows {
            row.seen = None;
            if let RowNode::Here(Node::File(v)) = &mut row.node {
                v.generation = v.generation.max(1);
            }
            self.d.state.put(Table::Head, &row).unwrap();
        }
        self.d.state.commit().unwrap();
    }

    pub fn round(&mut self) {
        self.seal();
        self.take();
    }

    fn walk(&self, table: Table, view: crate::mirror::overlay::Overlay) -> BTreeMap<String, Node> {
        let mut out = BTreeMap::new();
        let mut todo = vec![(String::new(), Id::ROOT)];
        let mut seen = std::collections::BTreeSet::new();
        while let Some((path, id)) = todo.pop() {
            assert!(seen.insert(id), "directory {id} stands twice in {table:?}");
            for row in view.list(&self.d.state, id).unwrap() {
                let path = format!("{path}{}", row.place.name);
                let node = row.here().unwrap().clone();
                if node.is_dir() {
                    todo.push((format!("{path}/"), node.id()));
                }
                out.insert(path, node);
            }
        }
        out
    }

    /// The ancestor's tree by paths.
    pub fn anc(&self) -> BTreeMap<String, Node> {
        self.walk(Table::Anc, crate::mirror::overlay::Overlay::ANC)
    }

    /// The scanned tree by paths. No row of it may hang in the air, and a directory stands at one place.
    pub fn scanned(&self) -> BTreeMap<String, Node> {
        let tree = self.walk(Table::Scan, crate::mirror::overlay::Overlay::SCANNED);
        let rows = |t| self.d.state.rows(t, None, 1_000_000).unwrap();
        let scan = rows(Table::Scan);
        let gone = scan.iter().filter(|r| r.node == RowNode::Gone).count();
        let same = scan.iter().filter(|r| r.here().is_some() && self.d.state.get(Table::Anc, &r.place).unwrap().is_some()).count();
        assert_eq!(tree.len(), rows(Table::Anc).len() + scan.len() - 2 * gone - same, "rows without a directory");
        let mut dirs = std::collections::BTreeSet::new();
        for (path, node) in tree.iter().filter(|(_, n)| n.is_dir()) {
            assert!(dirs.insert(node.id()), "the directory at {path} stands elsewhere, too");
        }
        tree
    }

    pub fn id(&self, path: &str) -> Id {
        self.scanned().get(path).unwrap_or_else(|| panic!("{path} is not there: {:?}", self.scanned().keys())).id()
    }

    pub fn file(&self, path: &str) -> Version {
        self.scanned()[path].file().unwrap().clone()
    }

    /// Rows of the scan.
    pub fn rows(&self) -> Vec<Row> {
        self.d.state.rows(Table::Scan, None, 1_000_000).unwrap()
    }

    pub fn problems(&self) -> Vec<String> {
        let text = |p: &Problem| format!("{}: {} [{}]", p.path.clone().unwrap_or_default(), p.what, p.remedy.clone().unwrap_or_default());
        self.d.report.problems.iter().map(text).collect()
    }

    /// Makes head have something at a path whose directories it has.
    pub fn head(&mut self, path: &str, node: Node) {
        let names: Vec<&str> = path.split('/').collect();
        let mut dir = Id::ROOT;
        for name in &names[..names.len() - 1] {
            let place = Place { dir, name: Name::new(name.as_bytes()).unwrap() };
            dir = self.d.state.get(Table::Head, &place).unwrap().unwrap().here().unwrap().id();
        }
        let place = Place { dir, name: Name::new(names[names.len() - 1].as_bytes()).unwrap() };
        self.d.state.put(Table::Head, &Row { place, node: RowNode::Here(node), seen: None }).unwrap();
    }
}

/// On the real disk, with SQLite.
pub fn real() -> World<crate::files::real::Disk, crate::state::db::Db> {
    let tmp = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        std::fs::create_dir(tmp.path().join(name)).unwrap();
        crate::files::real::Disk::open(&tmp.path().join(name)).unwrap()
    };
    let (share, secure) = (open("share"), open("secure"));
    let db = crate::state::db::Db::open(&tmp.path().join("state.db")).unwrap();
    World::new(share, secure, db, Some(tmp))
}

/// On the simulated disk.
#[cfg(feature = "sim")]
pub fn sim() -> World<crate::sim::disk::SimDisk, crate::sim::state::SimState> {
    use crate::sim::{clock::SimClock, disk, hook::Life, state::SimState};
    let clock = SimClock::new();
    let new = || disk::SimDisk::new(disk::ABLE, &clock);
    World::new(new(), new(), SimState::new(Life::new(0)), None)
}
