//! What must hold when all is quiet (MERGE 11).

use super::user::What;
use super::world::{Mode, SimDevice, World};
use crate::agent::round;
use crate::id::{Id, Oid};
use crate::mirror::overlay::Overlay;
use crate::mirror::{commit, content, sealed, secure, worktree};
use crate::state::State;
use crate::tree::{FileKind, Node, Version, conflict};
use std::collections::{BTreeMap, BTreeSet};

/// What users did to contents: each content is written once (but for `same`), so it stands for a version.
#[derive(Debug, Default)]
pub struct Ledger {
    next: u64,
    /// Written, and not replaced or deleted by a user who saw it.
    live: BTreeSet<String>,
    /// Replaced or deleted by a user who saw it.
    dead: BTreeSet<String>,
    /// Not asked for resurrection: renamed, chmodded or touched files (rename and chmod against delete: it stays), and
    /// contents that were written more than once.
    exempt: BTreeSet<String>,
    crossed: BTreeSet<String>,
    /// A database was lost: deletions that were not committed come undone.
    pub lost: bool,
}

impl Ledger {
    /// A content that nobody has written yet.
    pub fn fresh(&mut self, device: usize) -> String {
        self.next += 1;
        format!("c{}.{device}", self.next)
    }

    /// A user wrote a content.
    pub fn wrote(&mut self, c: &str) {
        self.live.insert(c.into());
    }

    /// A user replaced or deleted this.
    pub fn replaced(&mut self, old: Option<&What>) {
        if let Some(What::File(c, _) | What::Link(c)) = old {
            self.dead.insert(c.clone());
        }
    }

    /// See the field.
    pub fn exempt(&mut self, c: &str) {
        self.exempt.insert(c.into());
    }

    /// A file was moved over another: the name keeps its id, so the content crosses over.
    pub fn crossed(&mut self, c: &str) {
        self.crossed.insert(c.into());
    }

    /// A directory was removed: what another device moved out of it, or into it, stays (R-rename-delete).
    pub fn directory_gone(&mut self, below: &[(String, What)]) {
        for (_, w) in below {
            if let What::File(c, _) | What::Link(c) = w {
                self.exempt.insert(c.clone());
            }
        }
    }
}

type Outcome = Result<(), String>;

/// All checks.
pub fn all(w: &World) -> Outcome {
    let mut heads = BTreeSet::new();
    for m in &w.machines {
        let device = m.device.borrow();
        let d = device.as_ref().ok_or("a device is gone")?;
        let head = round::head(d).map_err(text)?.ok_or("a device without a head")?;
        heads.insert(head);
        one_device(d, w.ledger.borrow().lost)?;
    }
    for node in &w.nodes {
        let store = crate::git::store::Store::open(node, &1).map_err(text)?;
        let head = store.get_ref(secure::MAIN).map_err(text)?.ok_or("a node without a head")?;
        heads.insert(head);
        store.complete(&head, &[]).map_err(|e| format!("node: {e}"))?;
    }
    if heads.len() != 1 {
        return Err(format!("heads differ: {heads:?}"));
    }
    let device = w.machines[0].device.borrow();
    let d = device.as_ref().ok_or("a device is gone")?;
    let tree = head_tree(d)?;
    for (i, m) in w.machines.iter().enumerate() {
        let traits = crate::files::Files::traits(&m.share);
        let mut want: BTreeMap<String, What> = tree.iter().map(|(p, (w, _))| (p.clone(), w.clone())).collect();
        if !traits.exec_bit {
            for v in want.values_mut() {
                if let What::File(_, exec) = v {
                    *exec = false;
                }
            }
        }
        let have = m.user.tree();
        if traits.folds_case {
            hold_back(&mut want, &have);
        }
        if have != want {
            return Err(format!("share {i} is not head: has {have:?}, should {want:?}"));
        }
    }
    let head = round::head(d).map_err(text)?.ok_or("no head")?;
    let history = history(d, &head)?;
    generations(&history, w.ledger.borrow().lost)?;
    users(w, &tree, &history)
}

/// What a disk that folds case shows of head (MERGE 10): of names that fold alike one, and the others, with all below
/// them, are held back. What head has moved to such a place stays where it was.
fn hold_back(want: &mut BTreeMap<String, What>, have: &BTreeMap<String, What>) {
    let held = |path: &str| {
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        ends.map(|i| &path[..i]).any(|p| !have.contains_key(p) && have.keys().any(|q| q.eq_ignore_ascii_case(p)))
    };
    let away: Vec<(String, What)> = want.extract_if(.., |path, _| !have.contains_key(path) && held(path)).collect();
    for (path, what) in have {
        if !want.contains_key(path) && away.iter().any(|(_, w)| w == what) {
            want.insert(path.clone(), what.clone());
        }
    }
}

fn text(e: crate::error::Error) -> String {
    format!("{e} {:?}", e.details())
}

fn one_device(d: &SimDevice, lost: bool) -> Outcome {
    let differs = worktree::compare(d).map_err(text)?.differs;
    if !differs.is_empty() {
        let shown: Vec<String> = differs.iter().map(|(p, x)| format!("{} {x:?}", String::from_utf8_lossy(p))).collect();
        return Err(format!("secure is not head: {shown:?}"));
    }
    if !d.state.intents().map_err(text)?.is_empty() || secure::pending(&d.state).map_err(text)?.is_some() {
        return Err("something is still under way".into());
    }
    // With the database goes the knowledge of what was under way: a temporary may hold what a user wrote, and stays.
    let litter: Vec<String> = litter(d)?;
    if !litter.is_empty() && !lost {
        return Err(format!("litter: {litter:?}"));
    }
    // The table is the tree.
    let head = round::head(d).map_err(text)?.ok_or("no head")?;
    d.git.complete(&head, &[]).map_err(text)?;
    Ok(())
}

fn litter(d: &SimDevice) -> Result<Vec<String>, String> {
    use crate::files::Files;
    let mut out = Vec::new();
    for (files, name) in [(&d.share, "share"), (&d.secure, "secure")] {
        let mut todo = vec![files.root()];
        while let Some(dir) = todo.pop() {
            for (n, _) in files.list(&dir).map_err(|e| e.to_string())? {
                if &*n == b".git" {
                    continue;
                }
                if n.starts_with(b".sharelock-tmp-") || n.ends_with(b".new") {
                    out.push(format!("{name}: {}", String::from_utf8_lossy(&n)));
                }
                if let Ok(inner) = files.open_dir(&dir, &n) {
                    todo.push(inner);
                }
            }
        }
    }
    Ok(out)
}

type Tree = BTreeMap<String, (What, Option<Version>)>;

/// Head's tree, opened: path to content, through the table `Head` and the git objects.
fn head_tree(d: &SimDevice) -> Result<Tree, String> {
    let mut out = Tree::new();
    let mut todo = vec![(String::new(), Id::ROOT)];
    while let Some((path, dir)) = todo.pop() {
        for row in Overlay::HEAD.list(&d.state, dir).map_err(text)? {
            let p = format!("{path}{}", row.place.name);
            match row.here() {
                Some(Node::Dir { id, .. }) => {
                    todo.push((format!("{p}/"), *id));
                    out.insert(p, (What::Dir, None));
                }
                Some(Node::File(v)) => {
                    let mut bytes = Vec::new();
                    content::plaintext(&d.git, &d.keys, v, &mut |b| {
                        bytes.extend_from_slice(b);
                        Ok(())
                    })
                    .map_err(|e| format!("{p}: {e}"))?;
                    let c = String::from_utf8_lossy(&bytes).into_owned();
                    let what = if v.kind == FileKind::Link { What::Link(c) } else { What::File(c, v.exec) };
                    out.insert(p, (what, Some(v.clone())));
                }
                None => {}
            }
        }
    }
    Ok(out)
}

type Versions = BTreeMap<String, Version>;

/// Every commit's files by path, and its parents.
type History = BTreeMap<Oid, (Versions, Vec<Oid>)>;

fn history(d: &SimDevice, head: &Oid) -> Result<History, String> {
    let mut out = History::new();
    let mut todo = vec![*head];
    let mut versions = sealed::Versions::default();
    while let Some(oid) = todo.pop() {
        if out.contains_key(&oid) {
            continue;
        }
        let c = commit::open(&d.git, &d.keys, &d.vault, &oid).map_err(text)?;
        let mut files = Versions::new();
        let mut dirs = vec![(String::new(), Id::ROOT, c.tree)];
        while let Some((path, dir, tree)) = dirs.pop() {
            for item in sealed::list(&d.git, &d.keys, &dir, &tree).map_err(text)? {
                let Some(name) = &item.name else { continue };
                match sealed::node(&d.git, &d.keys, &mut versions, &item).map_err(text)? {
                    Some(Node::Dir { id, tree }) => dirs.push((format!("{path}{name}/"), id, tree)),
                    Some(Node::File(v)) => {
                        files.insert(format!("{path}{name}"), v);
                    }
                    None => {}
                }
            }
        }
        todo.extend(c.parents.clone());
        out.insert(oid, (files, c.parents));
    }
    Ok(out)
}

fn is_copy(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    crate::path::Name::new(name.as_bytes()).is_some_and(|n| conflict::parse(&n).is_some())
}

/// From parent to child no name's generation for one id goes down, and no two versions at one name share both.
fn generations(history: &History, lost: bool) -> Outcome {
    if lost {
        return Ok(());
    }
    for (oid, (files, parents)) in history {
        for parent in parents {
            let Some((before, _)) = history.get(parent) else { continue };
            for (path, old) in before {
                let Some(new) = files.get(path).filter(|n| n.id == old.id) else { continue };
                let fine = new == old || new.generation > old.generation || (new.mac == old.mac && is_copy(path));
                if !fine {
                    return Err(format!("generation of {path} went from {} to {} in {oid}", old.generation, new.generation));
                }
            }
        }
    }
    Ok(())
}

/// Nothing that a user wrote is lost, nothing that a user deleted is back, no needless copy.
fn users(w: &World, tree: &Tree, history: &History) -> Outcome {
    let ledger = w.ledger.borrow();
    let have: BTreeSet<&String> = tree
        .values()
        .filter_map(|(w, _)| match w {
            What::File(c, _) | What::Link(c) => Some(c),
            What::Dir => None,
        })
        .collect();
    let lost: Vec<&String> = ledger.live.iter().filter(|c| !ledger.dead.contains(*c) && !have.contains(c)).collect();
    if !lost.is_empty() {
        return Err(format!("lost: {lost:?} of {:?}", tree.keys()));
    }
    let copies: Vec<&String> = tree.keys().filter(|p| is_copy(p)).collect();
    if w.mode == Mode::Serial && !copies.is_empty() {
        return Err(format!("needless copies: {copies:?}"));
    }
    if ledger.lost {
        return Ok(());
    }
    let back: Vec<&String> =
        ledger.dead.iter().filter(|c| have.contains(c) && !ledger.exempt.contains(*c) && !ledger.crossed.contains(*c)).collect();
    if back.is_empty() {
        return Ok(());
    }
    // Exempt, too: what became a conflict copy, and every version of a file that was ever renamed.
    let mut by_id: BTreeMap<Id, (BTreeSet<[u8; 32]>, BTreeSet<&str>)> = BTreeMap::new();
    let mut copied: BTreeSet<[u8; 32]> = BTreeSet::new();
    for (files, _) in history.values() {
        for (path, v) in files {
            let e = by_id.entry(v.id).or_default();
            e.0.insert(v.mac);
            e.1.insert(path);
            if is_copy(path) {
                copied.insert(v.mac);
            }
        }
    }
    for c in back {
        let v = tree.values().find_map(|(w, v)| match w {
            What::File(x, _) | What::Link(x) if x == c => v.as_ref(),
            _ => None,
        });
        let Some(v) = v else { continue };
        let places = by_id.get(&v.id).map_or(0, |e| e.1.len());
        if !copied.contains(&v.mac) && places <= 1 {
            return Err(format!("back from the dead: {c}"));
        }
    }
    Ok(())
}
