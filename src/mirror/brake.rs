//! The brake: a round that would delete or overwrite a large part of the vault stops, before sending and before
//! applying, and asks (DESIGN 5, MERGE 2).

use super::overlay::{Overlay, each_row};
use super::{Brake, Device, Settings};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::path::{Name, RelPath};
use crate::state::{Row, RowNode, State, Table};
use crate::tree::{Node, Place, Version};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// From this many files on, more than half of the vault always stops.
const FEW: u64 = 20;

/// True if so many of so many files are too many.
fn too_many(s: &Settings, files: u64, of: u64) -> bool {
    (files >= FEW && files * 2 > of) || (files >= s.brake_files && files as f64 > of as f64 * s.brake_fraction)
}

/// A set of changes that destroy something, gathered in order of places.
#[derive(Default)]
struct Set {
    places: BTreeSet<Place>,
    bytes: u64,
    hash: Sha256,
}

impl Set {
    fn add(&mut self, place: &Place, old: &Version, new: Option<&Version>) {
        self.bytes += old.size;
        let mut put = |b: &[u8]| self.hash.update(b);
        put(&place.dir.0);
        put(&(place.name.as_bytes().len() as u64).to_be_bytes());
        put(place.name.as_bytes());
        for v in [Some(old), new].into_iter().flatten() {
            put(&v.id.0);
            put(&v.size.to_be_bytes());
            put(&v.mac);
        }
        put(&[u8::from(new.is_some())]);
        self.places.insert(place.clone());
    }

    fn code(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.hash.clone().finalize())
    }
}

/// True if the user has allowed this very set.
fn allowed(s: &Settings, code: &str) -> bool {
    s.allowed.iter().any(|a| a.len() >= 4 && code.starts_with(&a.to_ascii_lowercase()))
}

/// What the share's changes would destroy in the vault. If it is too much and not allowed, it is taken out of `Scan`:
/// it counts as equal to the ancestor, and everything else goes on.
pub fn outgoing<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Option<Brake>> {
    let of = d.state.count(Table::Anc)?.0;
    let mut set = Set::default();
    each_row(&mut d.state, Table::Scan, |state, row| {
        let Some(old) = state.get(Table::Anc, &row.place)? else { return Ok(()) };
        let Some(Node::File(old)) = old.here() else { return Ok(()) };
        match row.here() {
            // Sealed by now: a time or mode that changed over the same content destroys nothing.
            Some(Node::File(new)) if new.same_plaintext(old) == Some(true) => {}
            Some(Node::File(new)) => set.add(&row.place, old, Some(new)),
            _ => {
                // A rename: what stood here stands elsewhere.
                let moved = state.by_id(Table::Scan, old.id)?.iter().any(|r| r.here().is_some());
                if !moved {
                    set.add(&row.place, old, None);
                }
            }
        }
        Ok(())
    })?;
    let files = set.places.len() as u64;
    let code = set.code();
    if !too_many(&d.settings, files, of) || allowed(&d.settings, &code) {
        return Ok(None);
    }
    let stop = describe(&d.state, Overlay::ANC, true, &set, of, code)?;
    let mut dirs: BTreeSet<Id> = BTreeSet::new();
    for place in &set.places {
        d.state.remove(Table::Scan, place)?;
        dirs.insert(place.dir);
    }
    // The directories that held files lie in stay, too.
    while let Some(dir) = dirs.pop_first() {
        let Some(row) = Overlay::ANC.dir(&d.state, dir)? else { continue };
        if d.state.get(Table::Scan, &row.place)?.is_some_and(|r| r.node == RowNode::Gone)
            && d.state.by_id(Table::Scan, dir)?.iter().all(|r| r.here().is_none())
        {
            d.state.remove(Table::Scan, &row.place)?;
        }
        dirs.insert(row.place.dir);
        dirs.remove(&Id::ROOT);
    }
    Ok(Some(stop))
}

/// What the vault's changes would destroy in the share. If it is too much and not allowed: the stop, and the places that
/// must not be applied.
pub fn incoming<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Option<(Brake, BTreeSet<Place>)>> {
    let of = d.state.count(Table::Anc)?.0;
    if of < FEW {
        return Ok(None);
    }
    let mut set = Set::default();
    let mut after: Option<Place> = None;
    loop {
        let page = d.state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { break };
        after = Some(last.0.clone());
        for (place, old, new) in page {
            let file = |r: &Option<Row>| r.as_ref().and_then(|r| r.here()?.file().cloned());
            let Some(old) = file(&old) else { continue };
            match file(&new) {
                Some(new) if new.same_plaintext(&old) == Some(true) => {}
                new => {
                    if !d.state.by_id(Table::Head, old.id)?.iter().any(|r| r.place != place) {
                        set.add(&place, &old, new.as_ref());
                    }
                }
            }
        }
    }
    let files = set.places.len() as u64;
    let code = set.code();
    if !too_many(&d.settings, files, of) || allowed(&d.settings, &code) {
        return Ok(None);
    }
    let stop = describe(&d.state, Overlay::ANC, false, &set, of, code)?;
    Ok(Some((stop, set.places)))
}

/// What others' changes of secure (in `Next`, over `Head`) would destroy in the vault. If it is too much and not
/// allowed, none of them is taken over.
pub fn foreign<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Option<Brake>> {
    let of = d.state.count(Table::Head)?.0;
    let mut set = Set::default();
    each_row(&mut d.state, Table::Next, |state, row| {
        let Some(old) = state.get(Table::Head, &row.place)? else { return Ok(()) };
        let Some(Node::File(old)) = old.here() else { return Ok(()) };
        match row.here() {
            Some(Node::File(new)) if new.same_plaintext(old) == Some(true) => {}
            Some(Node::File(new)) => set.add(&row.place, old, Some(new)),
            _ if state.by_id(Table::Next, old.id)?.iter().any(|r| r.here().is_some()) => {}
            _ => set.add(&row.place, old, None),
        }
        Ok(())
    })?;
    let code = set.code();
    if !too_many(&d.settings, set.places.len() as u64, of) || allowed(&d.settings, &code) {
        return Ok(None);
    }
    describe(&d.state, Overlay::HEAD, true, &set, of, code).map(Some)
}

fn describe<S: State>(state: &S, tree: Overlay, sending: bool, set: &Set, of: u64, code: String) -> Result<Brake> {
    let mut top: BTreeMap<Option<Name>, u64> = BTreeMap::new();
    let mut dir: Option<(Id, Option<Name>)> = None;
    for place in &set.places {
        if dir.as_ref().is_none_or(|(id, _)| *id != place.dir) {
            let first = tree.climb(state, place.dir)?.and_then(|up| up.into_iter().next().map(|r| r.place.name));
            dir = Some((place.dir, first));
        }
        let key = dir.as_ref().and_then(|(_, n)| n.clone());
        *top.entry(key).or_default() += 1;
    }
    let mut folders: Vec<(Option<RelPath>, u64)> = top.into_iter().map(|(n, c)| (n.map(|n| RelPath::root().join(&n)), c)).collect();
    folders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(Brake { sending, files: set.places.len() as u64, bytes: set.bytes, of, folders, code: code[..4].to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_are_too_many() {
        let s = Settings::default();
        for (files, of, stop) in [
            (19, 20, false),
            (20, 39, true),
            (20, 40, false),
            (21, 40, true),
            (999, 9_000, false),
            (1000, 9_000, true),
            (1000, 10_000, false),
        ] {
            assert_eq!(too_many(&s, files, of), stop, "{files} of {of}");
        }
    }

    #[test]
    fn a_code_allows_its_own_set_only() {
        let s = Settings { allowed: vec!["9F3C".into(), "ab".into()], ..Settings::default() };
        assert!(allowed(&s, "9f3c0011"));
        assert!(!allowed(&s, "9f3d0011"));
        assert!(!allowed(&s, "ab000011"));
    }
}
