//! The brake: a round that would delete or overwrite a large part of the vault stops, before sending and before
//! applying, and asks (DESIGN 5, MERGE 2).
//!
//! Each set is looked at twice: once to count it, and again only if it is too much. So a round that merely adds keeps
//! nothing in memory, and one that is stopped eight bytes for each path that it holds.

use super::overlay::{Overlay, each_row};
use super::scan::hold;
use super::{Brake, Device, Made, Settings};
use crate::clock::{Clock, Random, Time};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::path::{Name, RelPath};
use crate::state::{Row, State, Table, key};
use crate::tree::{Node, Place, Version};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// From this many files on, more than half of the vault always stops.
const FEW: u64 = 20;
/// Digits of the code that a person types.
const DIGITS: usize = 4;

/// True if so many of so many files are too many.
fn too_many(s: &Settings, files: u64, of: u64) -> bool {
    (files >= FEW && files > of / 2) || (files >= s.brake_files && files as f64 > of as f64 * s.brake_fraction)
}

/// True if the user has allowed this very set: by its first digits, or more of them.
fn allowed(s: &Settings, code: &str) -> bool {
    s.allowed.iter().any(|a| a.len() >= DIGITS && code.starts_with(&a.to_ascii_lowercase()))
}

/// A file that would be deleted or overwritten.
struct Loss<'r> {
    place: &'r Place,
    old: &'r Version,
    new: Option<&'r Version>,
}

/// All losses of a change, counted in order of places.
#[derive(Default)]
struct Set {
    files: u64,
    gone: u64,
    bytes: u64,
    hash: Sha256,
    /// Top-level folders; `None`: files at the top.
    folders: BTreeMap<Option<Name>, u64>,
    /// The directory last asked, with its top-level folder.
    last: Option<(Id, Option<Name>)>,
}

impl Set {
    /// Counts a loss. `tree`: what tells the path of its directory.
    fn add<S: State>(&mut self, state: &S, tree: Overlay, loss: &Loss<'_>) -> Result<()> {
        self.files += 1;
        self.gone += u64::from(loss.new.is_none());
        self.bytes = self.bytes.saturating_add(loss.old.size);
        let name = loss.place.name.as_bytes();
        self.hash.update(loss.place.dir.0);
        self.hash.update([name.len() as u8]); // At most 255.
        self.hash.update(name);
        self.hash.update([u8::from(loss.new.is_some())]);
        for v in [Some(loss.old), loss.new].into_iter().flatten() {
            self.hash.update(v.id.0);
            self.hash.update(v.size.to_be_bytes());
            self.hash.update(v.mac);
        }
        if self.last.as_ref().is_none_or(|(id, _)| *id != loss.place.dir) {
            let top = tree.climb(state, loss.place.dir)?.and_then(|way| way.into_iter().next().map(|r| r.place.name));
            self.last = Some((loss.place.dir, top));
        }
        let top = self.last.as_ref().and_then(|(_, top)| top.clone());
        *self.folders.entry(top).or_default() += 1;
        Ok(())
    }

    /// The stop, unless the set is small or allowed.
    fn judge(self, s: &Settings, of: u64, made: Made) -> Option<Brake> {
        let code = data_encoding::HEXLOWER.encode(&self.hash.finalize());
        if !too_many(s, self.files, of) || allowed(s, &code) {
            return None;
        }
        let mut folders: Vec<_> = self.folders.into_iter().map(|(name, n)| (name.map(|n| RelPath::root().join(&n)), n)).collect();
        folders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let code = code[..DIGITS].to_string();
        Some(Brake { made, since: None, files: self.files, gone: self.gone, bytes: self.bytes, of, folders, code })
    }
}

/// What the share's changes would destroy in the vault. If it is too much and not allowed, it is taken out of `Scan`:
/// it counts as equal to the ancestor, and everything else goes on. To be asked once `Scan` is sealed: only then is it
/// known which files have another content.
pub fn outgoing<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Option<Brake>> {
    let of = d.state.count(Table::Anc)?.0;
    if of == 0 {
        return Ok(None);
    }
    let mut set = Set::default();
    each_row(&mut d.state, Table::Scan, |state, row| match lost_by(state, Table::Anc, Table::Scan, &row)? {
        Some((old, new)) => set.add(state, Overlay::ANC, &Loss { place: &row.place, old: &old, new: new.as_ref() }),
        None => Ok(()),
    })?;
    let Some(mut stop) = set.judge(&d.settings, of, Made::InShare) else {
        if d.state.value(key::BRAKE)?.is_some() {
            d.state.set_value(key::BRAKE, None)?;
        }
        return Ok(None);
    };
    stop.since = Some(since(&mut d.state, d.clock.now())?);
    // Which places is found out first: to hold one changes what is asked for the next.
    let mut held = Held::default();
    each_row(&mut d.state, Table::Scan, |state, row| {
        if lost_by(state, Table::Anc, Table::Scan, &row)?.is_some() {
            held.add(&row.place);
        }
        Ok(())
    })?;
    held.sort();
    each_row(&mut d.state, Table::Scan, |state, row| if held.contains(&row.place) { hold(state, &row.place) } else { Ok(()) })?;
    Ok(Some(stop))
}

/// Since when the brake stands, noted at the first round that it stops.
fn since<S: State>(state: &mut S, now: Time) -> Result<Time> {
    if let Some(s) = state.value(key::BRAKE)?.and_then(|b| b.try_into().ok()).map(i64::from_be_bytes) {
        return Ok(Time { s, ns: 0 });
    }
    state.set_value(key::BRAKE, Some(&now.s.to_be_bytes()))?;
    Ok(Time { s: now.s, ns: 0 })
}

/// The file of `base` that a row of `scratch` destroys, and what is to stand there. A file that is only renamed is not
/// destroyed, nor one whose time, mode or id changes over the same content.
fn lost_by<S: State>(state: &S, base: Table, scratch: Table, row: &Row) -> Result<Option<(Version, Option<Version>)>> {
    let Some(Node::File(old)) = state.get(base, &row.place)?.and_then(|r| r.here().cloned()) else { return Ok(None) };
    let new = row.here().and_then(Node::file);
    if new.is_some_and(|new| new.same_plaintext(&old) == Some(true)) {
        return Ok(None);
    }
    if new.is_none() {
        // Elsewhere now: at a place that had not this id before.
        for other in state.by_id(scratch, old.id)? {
            let before = state.get(base, &other.place)?;
            if other.here().is_some() && before.is_none_or(|r| r.here().is_none_or(|n| n.id() != old.id)) {
                return Ok(None);
            }
        }
    }
    let new = new.cloned();
    Ok(Some((old, new)))
}

/// Places that must not be applied, as 64-bit hashes (eight bytes each). Two places with one hash would be held
/// together, which does no harm.
#[derive(Default)]
pub struct Held(Vec<u64>);

impl Held {
    fn add(&mut self, place: &Place) {
        self.0.push(Self::hash(place));
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
    }

    fn hash(place: &Place) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut h = DefaultHasher::new();
        place.hash(&mut h);
        h.finish()
    }

    /// True if what head has at this place must not be applied.
    pub fn contains(&self, place: &Place) -> bool {
        self.0.binary_search(&Self::hash(place)).is_ok()
    }
}

/// What the vault's changes would destroy in the share. If it is too much and not allowed: the stop, and the places that
/// must not be applied.
pub fn incoming<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Option<(Brake, Held)>> {
    let of = d.state.count(Table::Anc)?.0;
    if of == 0 {
        return Ok(None);
    }
    let mut set = Set::default();
    each_incoming(&d.state, |loss| set.add(&d.state, Overlay::ANC, &loss))?;
    let Some(stop) = set.judge(&d.settings, of, Made::Elsewhere) else { return Ok(None) };
    let mut held = Held::default();
    each_incoming(&d.state, |loss| {
        held.add(loss.place);
        Ok(())
    })?;
    held.sort();
    Ok(Some((stop, held)))
}

/// Calls `each` for every file of the share that head would delete or overwrite.
fn each_incoming<S: State>(state: &S, mut each: impl FnMut(Loss<'_>) -> Result<()>) -> Result<()> {
    let mut after: Option<Place> = None;
    loop {
        let page = state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.0.clone());
        for (place, old, new) in &page {
            let file = |r: &'_ Option<Row>| r.as_ref().and_then(|r| r.here()?.file().cloned());
            let (Some(old), new) = (file(old), file(new)) else { continue };
            let lost = match &new {
                Some(new) => new.same_plaintext(&old) != Some(true),
                None => true,
            };
            if lost && !is_elsewhere(state, &old.id, place)? {
                each(Loss { place, old: &old, new: new.as_ref() })?;
            }
        }
    }
}

/// True if head has a file's id at a place that had it not before: renamed.
fn is_elsewhere<S: State>(state: &S, id: &Id, place: &Place) -> Result<bool> {
    for other in state.by_id(Table::Head, *id)? {
        if other.place != *place && state.get(Table::Anc, &other.place)?.is_none_or(|r| r.here().is_none_or(|n| n.id() != *id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The user's answer to a stop before applying, if it is no: without its row in the ancestor, what stands in the share is
/// new to the next scan, and goes to the vault again. Gives the number of files.
pub fn keep<S: State>(state: &mut S, held: &Held) -> Result<u64> {
    let (mut kept, mut after) = (0, None);
    loop {
        let page = state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { return Ok(kept) };
        after = Some(last.0.clone());
        for (place, _, _) in page.into_iter().filter(|(place, _, _)| held.contains(place)) {
            state.remove(Table::Anc, &place)?;
            kept += 1;
        }
    }
}

/// What others' changes of secure (in `Next`, over `Head`) would destroy in the vault. If it is too much and not
/// allowed, none of them is taken over.
pub fn foreign<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<Option<Brake>> {
    let of = d.state.count(Table::Head)?.0;
    let mut set = Set::default();
    each_row(&mut d.state, Table::Next, |state, row| match lost_by(state, Table::Head, Table::Next, &row)? {
        Some((old, new)) => set.add(state, Overlay::HEAD, &Loss { place: &row.place, old: &old, new: new.as_ref() }),
        None => Ok(()),
    })?;
    Ok(set.judge(&d.settings, of, Made::InSecure))
}

#[cfg(test)]
mod tests;
