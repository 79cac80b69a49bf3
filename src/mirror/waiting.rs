//! What head has and the share does not have yet, as far as the state tells: for `status`, which has no key.

use super::ignore::{Rules, read_rules};
use super::overlay::Overlay;
use crate::error::Result;
use crate::files::Files;
use crate::path::RelPath;
use crate::state::{State, Table, key};
use crate::tree::{Node, Place, Version};

/// A change of head that waits to be brought to the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where.
    pub path: RelPath,
    /// The version that comes; `None`: the file goes.
    pub version: Option<Version>,
}

/// All files that wait, in the order of their places; what this device does not follow waits for nothing.
pub fn waiting<F: Files, S: State>(share: &F, state: &S, config: &[String]) -> Result<Vec<Waiting>> {
    let mut out = Vec::new();
    if state.value(key::EVEN)?.is_some() {
        return Ok(out);
    }
    let mut after: Option<Place> = None;
    loop {
        let page = state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { return Ok(out) };
        after = Some(last.0.clone());
        for (place, old, new) in page {
            let version = match (old.as_ref().and_then(|r| r.here()), new.as_ref().and_then(|r| r.here())) {
                (_, Some(Node::File(version))) => Some(version.clone()),
                (Some(Node::File(_)), _) => None,
                _ => continue,
            };
            if let Some(path) = followed(share, state, config, &place)? {
                out.push(Waiting { path, version });
            }
        }
    }
}

/// The path of a file's place, unless it is ignored here, itself or by a directory above.
fn followed<F: Files, S: State>(share: &F, state: &S, config: &[String], place: &Place) -> Result<Option<RelPath>> {
    let way = match Overlay::HEAD.climb(state, place.dir)? {
        Some(way) => way,
        None => Overlay::ANC.climb(state, place.dir)?.unwrap_or_default(),
    };
    let mut rules = Rules::new(config, &share.traits());
    let (mut path, mut at) = (RelPath::root(), Some(share.root()));
    let names = way.iter().map(|row| (&row.place.name, true)).chain([(&place.name, false)]);
    for (name, is_dir) in names {
        let file = match &at {
            Some(at) => read_rules(share, at)?,
            None => None,
        };
        rules.enter(&path, file.as_deref());
        path = path.join(name);
        if rules.matches(&path, is_dir).is_some() {
            return Ok(None);
        }
        at = at.and_then(|at| share.open_dir(&at, name.as_bytes()).ok());
    }
    Ok(Some(path))
}
