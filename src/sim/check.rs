//! What must hold when all is quiet (src/tree/MERGE.md, 11).

mod history;

use super::user::What;
use super::world::{Mode, SimDevice, World};
use crate::agent::round;
use crate::id::{Id, Oid};
use crate::mirror::overlay::Overlay;
use crate::mirror::{content, sealed, secure, worktree};
use crate::state::{State, Table, key};
use crate::tree::{FileKind, Node, Place};
use history::History;
use std::collections::{BTreeMap, BTreeSet};

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
    let tree = opened(d, &Overlay::HEAD)?;
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
            let device = m.device.borrow();
            let stands = opened(device.as_ref().ok_or("a device is gone")?, &Overlay::ANC)?;
            hold_back(&mut want, &have, &tree, &stands);
        }
        if have != want {
            return Err(format!("share {i} is not head: has {have:?}, should {want:?}"));
        }
    }
    let head = round::head(d).map_err(text)?.ok_or("no head")?;
    let history = history::read(d, &head)?;
    history::all(w, &history)?;
    users(w, &tree, &history)
}

/// What a disk that folds case shows of head (MERGE 10): of names that fold alike one, and the others, with all below
/// them, are held back. What head has moved to such a place stays where it was, as it was (`stands`: the ancestor).
fn hold_back(want: &mut BTreeMap<String, What>, have: &BTreeMap<String, What>, head: &Tree, stands: &Tree) {
    let held = |path: &str| {
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        ends.map(|i| &path[..i]).any(|p| !have.contains_key(p) && have.keys().any(|q| q.eq_ignore_ascii_case(p)))
    };
    let away: BTreeSet<Id> =
        want.extract_if(.., |path, _| !have.contains_key(path) && held(path)).map(|(path, _)| head[&path].1.id()).collect();
    for (path, (what, node)) in stands {
        // (Even if head has something new of that very name: that is held back, then.)
        if away.contains(&node.id()) && (have.get(path) == Some(what) || !want.contains_key(path)) {
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
    let head = round::head(d).map_err(text)?.ok_or("no head")?;
    d.git.complete(&head, &[]).map_err(text)?;
    tables(d, &secure::tree_of(d, &head).map_err(text)?)
}

/// The table `Head` is the sealed tree at head; the ancestor is a tree, and head's where it is said to be.
fn tables(d: &SimDevice, root: &Oid) -> Outcome {
    let mut sealed_tree: BTreeMap<Place, Node> = BTreeMap::new();
    let mut versions = sealed::Versions::default();
    let mut todo = vec![(Id::ROOT, *root)];
    while let Some((dir, tree)) = todo.pop() {
        for item in sealed::list(&d.git, &d.keys, &dir, &tree).map_err(text)? {
            let Some(node) = sealed::node(&d.git, &d.keys, &mut versions, &item).map_err(text)? else { continue };
            let name = item.name.clone().ok_or("an entry without a name")?;
            if let Node::Dir { id, tree } = &node {
                todo.push((*id, *tree));
            }
            sealed_tree.insert(Place { dir, name }, node);
        }
    }
    let rows = d.state.rows(Table::Head, None, usize::MAX).map_err(text)?;
    for row in &rows {
        let is = match (row.here(), sealed_tree.get(&row.place)) {
            // A directory's tree may be unknown to the table, never wrong.
            (Some(Node::Dir { id: a, tree: x }), Some(Node::Dir { id: b, tree: y })) => a == b && (*x == Oid::ZERO || x == y),
            (a, b) => a == b,
        };
        if !is {
            return Err(format!("the table of head has {row:?}, the tree {:?}", sealed_tree.get(&row.place)));
        }
    }
    if rows.len() != sealed_tree.len() {
        return Err(format!("the table of head has {} rows, the tree {}", rows.len(), sealed_tree.len()));
    }
    let mut dirs = BTreeSet::new();
    for row in d.state.rows(Table::Anc, None, usize::MAX).map_err(text)? {
        if let Some(Node::Dir { id, .. }) = row.here()
            && !dirs.insert(*id)
        {
            return Err(format!("the ancestor has one directory twice: {row:?}"));
        }
    }
    let even = d.state.value(key::EVEN).map_err(text)?.is_some();
    let differs = d.state.differences(Table::Anc, Table::Head, None, 1).map_err(text)?;
    match even && !differs.is_empty() {
        true => Err(format!("ancestor and head are said to be even: {differs:?}")),
        false => Ok(()),
    }
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

/// A tree, opened: path to what is there.
pub(super) type Tree = BTreeMap<String, (What, Node)>;

/// A table's tree, opened: path to content, through the git objects.
pub(super) fn opened(d: &SimDevice, table: &Overlay) -> Result<Tree, String> {
    let mut out = Tree::new();
    let mut todo = vec![(String::new(), Id::ROOT)];
    while let Some((path, dir)) = todo.pop() {
        for row in table.list(&d.state, dir).map_err(text)? {
            let p = format!("{path}{}", row.place.name);
            let Some(node) = row.here().cloned() else { continue };
            let what = match &node {
                Node::Dir { id, .. } => {
                    todo.push((format!("{p}/"), *id));
                    What::Dir
                }
                Node::File(v) => {
                    let mut bytes = Vec::new();
                    content::plaintext(&d.git, &d.keys, v, &mut |b| {
                        bytes.extend_from_slice(b);
                        Ok(())
                    })
                    .map_err(|e| format!("{p}: {e}"))?;
                    let c = String::from_utf8_lossy(&bytes).into_owned();
                    if v.kind == FileKind::Link { What::Link(c) } else { What::File(c, v.exec) }
                }
            };
            out.insert(p, (what, node));
        }
    }
    Ok(out)
}

/// Nothing that a user wrote is lost, nothing that a user deleted is back.
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
    if ledger.lost {
        return Ok(());
    }
    let back: Vec<&String> = ledger.dead.iter().filter(|c| have.contains(c) && !ledger.exempt.contains(*c)).collect();
    if back.is_empty() {
        return Ok(());
    }
    // Exempt, too: what became a conflict copy, every version of a file that was ever renamed or whose directory became
    // one with another, and, where histories crossed, what stood at a name that was fought over (MERGE.md, 13).
    let mut places: BTreeMap<Id, BTreeSet<&Place>> = BTreeMap::new();
    let mut copied: BTreeSet<[u8; 32]> = BTreeSet::new();
    for c in history.values() {
        for (path, (place, v)) in &c.files {
            places.entry(v.id).or_default().insert(place);
            if history::is_copy(path) {
                copied.insert(v.mac);
            }
        }
    }
    for c in back {
        let found = tree.iter().find_map(|(p, (w, node))| match w {
            What::File(x, _) | What::Link(x) if x == c => Some((p, node.file()?)),
            _ => None,
        });
        let Some((path, v)) = found else { continue };
        let renamed = places.get(&v.id).is_some_and(|p| p.len() > 1);
        let fought = matches!(w.mode, Mode::Cross | Mode::Nodes) && history::fought_over(history, path, v);
        if !copied.contains(&v.mac) && !renamed && !fought {
            return Err(format!("back from the dead: {c}"));
        }
    }
    Ok(())
}
