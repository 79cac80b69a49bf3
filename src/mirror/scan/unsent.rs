//! What differs between share and ancestor as far as the disk alone tells: for `status`, which has no key.

use super::super::ignore::{Rules, read_rules};
use crate::error::Result;
use crate::files::{Files, Kind};
use crate::id::Id;
use crate::path::{Name, RelPath};
use crate::state::{State, Table};
use crate::tree::{Node, Place};
use std::collections::BTreeMap;

/// Paths that are new, changed or gone since the last round, with their sizes (0: gone).
pub fn unsent<F: Files, S: State>(share: &F, state: &S, config: &[String]) -> Result<Vec<(RelPath, u64)>> {
    let mut out = Vec::new();
    let mut todo = vec![(RelPath::root(), Some(Id::ROOT))];
    while let Some((path, id)) = todo.pop() {
        let mut rules = Rules::new(config, &share.traits());
        let mut dir = share.root();
        let mut at = RelPath::root();
        let mut open = true;
        for name in path.names() {
            rules.enter(&at, read_rules(share, &dir)?.as_deref());
            match share.open_dir(&dir, name.as_bytes()) {
                Ok(d) => dir = d,
                Err(_) => {
                    open = false;
                    break;
                }
            }
            at = at.join(&name);
        }
        if !open {
            continue;
        }
        rules.enter(&at, read_rules(share, &dir)?.as_deref());
        let mut rows = BTreeMap::new();
        if let Some(id) = id {
            for row in super::super::overlay::Overlay::ANC.list(state, id)? {
                rows.insert(super::shown_name(&row).clone(), row);
            }
        }
        // What cannot be read counts as unchanged, as in the scan.
        let Ok(names) = share.list(&dir) else { continue };
        for (bytes, _) in names {
            let Some(name) = Name::new(bytes) else { continue };
            let Ok(stat) = share.stat(&dir, name.as_bytes()) else {
                rows.remove(&name);
                continue;
            };
            let Some(stat) = stat else { continue };
            let row = rows.remove(&name);
            let path = path.join(&name);
            if rules.matches(&path, stat.kind == Kind::Dir).is_some() {
                continue;
            }
            match stat.kind {
                Kind::Dir => {
                    let id = match row.as_ref().and_then(|r| r.here()) {
                        Some(Node::Dir { id, .. }) => Some(*id),
                        _ => None,
                    };
                    todo.push((path, id));
                }
                Kind::File | Kind::Link => {
                    let same = row.as_ref().and_then(|r| r.seen.as_ref()).is_some_and(|s| {
                        s.size == stat.size && s.mtime == stat.mtime && s.exec == stat.exec() && s.private == stat.private()
                    });
                    if !same {
                        out.push((path, stat.size));
                    }
                }
                Kind::Other => {}
            }
        }
        // What is gone, and with a folder all that was in it.
        let mut gone: Vec<_> = rows.into_iter().map(|(name, row)| (path.join(&name), row)).collect();
        while let Some((path, row)) = gone.pop() {
            let Some(node) = row.here() else { continue };
            if rules.matches(&path, node.is_dir()).is_some() {
                continue;
            }
            match node {
                Node::File(_) => out.push((path, 0)),
                Node::Dir { id, .. } => {
                    for row in super::super::overlay::Overlay::ANC.list(state, *id)? {
                        gone.push((path.join(&row.place.name), row));
                    }
                }
            }
        }
    }
    out.sort();
    Ok(out)
}

/// The ancestor's row at a path.
pub fn row_at<S: State>(state: &S, table: Table, path: &RelPath) -> Result<Option<crate::state::Row>> {
    let mut dir = Id::ROOT;
    let mut row = None;
    for name in path.names() {
        row = state.get(table, &Place { dir, name })?;
        match row.as_ref().and_then(|r| r.here()) {
            Some(Node::Dir { id, .. }) => dir = *id,
            Some(Node::File(_)) => dir = Id([0xff; 16]), // Nothing lies below a file.
            None => return Ok(None),
        }
    }
    Ok(row)
}
