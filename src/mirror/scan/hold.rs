//! Taking a change back out of the scan: its place counts as equal to the ancestor.

use crate::error::Result;
use crate::id::Id;
use crate::state::{State, Table};
use crate::tree::{Node, Place};

/// Takes the change at a place out of `Scan`, with all that it carries: what came here from another place counts as
/// being there still, what lies in a directory that is taken back is taken back, a directory that has left this place
/// is back, and the directories that the ancestor's entry needs stand. So what is left is a tree again.
pub fn hold<S: State>(state: &mut S, place: &Place) -> Result<()> {
    let mut todo = vec![place.clone()];
    // Each turn takes a row away, so this ends.
    while let Some(place) = todo.pop() {
        let Some(row) = state.get(Table::Scan, &place)? else { continue };
        state.remove(Table::Scan, &place)?;
        if let Some(node) = row.here() {
            let mut known = false;
            for old in state.by_id(Table::Anc, node.id())? {
                known = true;
                // A file's id may stand at several places; only one that has lost it gets it back.
                let now = state.get(Table::Scan, &old.place)?;
                if now.is_some_and(|r| r.here().is_none_or(|n| n.id() != node.id())) {
                    todo.push(old.place);
                }
            }
            if let (Node::Dir { id, .. }, false) = (node, known) {
                todo.extend(inside(state, *id)?);
            }
        }
        if let Some(old) = state.get(Table::Anc, &place)? {
            if let Some(Node::Dir { id, .. }) = old.here() {
                // The one that has moved away stands at one place.
                let now = state.by_id(Table::Scan, *id)?;
                todo.extend(now.into_iter().filter(|r| r.here().is_some_and(Node::is_dir)).map(|r| r.place));
            }
            todo.extend(missing_above(state, place.dir)?);
        }
    }
    Ok(())
}

/// The places of `Scan` in a directory.
fn inside<S: State>(state: &S, dir: Id) -> Result<Vec<Place>> {
    let mut out: Vec<Place> = Vec::new();
    loop {
        let page = state.children(Table::Scan, dir, out.last().map(|p| &p.name), 256)?;
        if page.is_empty() {
            return Ok(out);
        }
        out.extend(page.into_iter().map(|r| r.place));
    }
}

/// The place of a directory of the ancestor, if it does not stand anywhere in the scan.
fn missing_above<S: State>(state: &S, dir: Id) -> Result<Option<Place>> {
    if dir == Id::ROOT || state.by_id(Table::Scan, dir)?.iter().any(|r| r.here().is_some_and(Node::is_dir)) {
        return Ok(None);
    }
    Ok(state.by_id(Table::Anc, dir)?.into_iter().find(|r| r.here().is_some_and(Node::is_dir)).map(|r| r.place))
}
