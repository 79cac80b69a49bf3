//! The brake: a round that would delete or overwrite a large part of the vault stops, before sending and before
//! applying, and asks (DESIGN 5, MERGE 2).
//!
//! Each set is looked at twice: once to count it, and again only if it is too much. So a round that merely adds keeps
//! nothing in memory, and one that is stopped eight bytes for each path that it holds.

use super::overlay::{Overlay, each_row};
use super::scan::hold;
use super::{Brake, Device, Settings};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::path::{Name, RelPath};
use crate::state::{Row, State, Table};
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
    fn judge(self, s: &Settings, of: u64, sending: bool) -> Option<Brake> {
        let code = data_encoding::HEXLOWER.encode(&self.hash.finalize());
        if !too_many(s, self.files, of) || allowed(s, &code) {
            return None;
        }
        let mut folders: Vec<_> = self.folders.into_iter().map(|(name, n)| (name.map(|n| RelPath::root().join(&n)), n)).collect();
        folders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Some(Brake { sending, files: self.files, bytes: self.bytes, of, folders, code: code[..DIGITS].to_string() })
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
    let Some(stop) = set.judge(&d.settings, of, true) else { return Ok(None) };
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
    let Some(stop) = set.judge(&d.settings, of, false) else { return Ok(None) };
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
    Ok(set.judge(&d.settings, of, true))
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::world::{World, real};
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
        let s = Settings { allowed: vec!["9F3C".into(), "ab".into(), "1234567".into()], ..Settings::default() };
        assert!(allowed(&s, "9f3c0011"));
        assert!(!allowed(&s, "9f3d0011"));
        assert!(!allowed(&s, "ab000011"), "two digits are too few");
        assert!(allowed(&s, "12345678"));
        assert!(!allowed(&s, "12345688"), "all digits that were given count");
    }

    type Real = World<crate::files::real::Disk, crate::state::db::Db>;

    /// 40 files: 30 in `d`, 5 of them in `d/s`, and 10 at the top.
    fn forty() -> Real {
        let mut w = real();
        w.mkdir("d");
        w.mkdir("d/s");
        for n in 0..25 {
            w.write(&format!("d/{n}"), &format!("file {n}"));
        }
        for n in 0..5 {
            w.write(&format!("d/s/{n}"), &format!("file {n} of s"));
        }
        for n in 0..10 {
            w.write(&format!("{n}"), &format!("file {n} at the top"));
        }
        w.round();
        w
    }

    fn paths(w: &Real) -> Vec<String> {
        w.scanned().into_keys().collect()
    }

    #[test]
    fn a_deletion_of_more_than_half_is_held_and_the_rest_goes_on() {
        let mut w = forty();
        let before = paths(&w);
        w.rmtree("d");
        w.write("new", "new");
        w.chmod("1", 0o700);
        w.seal();
        let stop = outgoing(&mut w.d).unwrap().expect("30 of 40");
        assert_eq!((stop.sending, stop.files, stop.of, stop.bytes), (true, 30, 40, 10 * 6 + 15 * 7 + 5 * 11));
        assert_eq!(stop.folders, [(RelPath::new(b"d"), 30)]);
        let mut expected = before;
        expected.push("new".into());
        expected.sort();
        assert_eq!(paths(&w), expected);
        assert_eq!(w.rows().len(), 2, "the new file and the mode");
        // The next round says the same, with the same code.
        w.take();
        w.seal();
        let again = outgoing(&mut w.d).unwrap().expect("still");
        assert_eq!(again.code, stop.code);
        // One more is another set.
        w.rm("2");
        w.seal();
        let more = outgoing(&mut w.d).unwrap().expect("one more");
        assert_ne!(more.code, stop.code);
        assert_eq!(more.folders, [(RelPath::new(b"d"), 30), (None, 1)]);
        w.d.settings.allowed = vec![stop.code];
        w.seal();
        assert!(outgoing(&mut w.d).unwrap().is_some(), "the other set is not allowed");
        w.d.settings.allowed = vec![more.code];
        w.seal();
        assert_eq!(outgoing(&mut w.d).unwrap(), None);
        assert_eq!(paths(&w).len(), 10);
    }

    #[test]
    fn half_or_fewer_than_twenty_are_let_through() {
        let mut w = forty();
        for n in 0..20 {
            w.rm(&format!("d/{n}"));
        }
        w.seal();
        assert_eq!(outgoing(&mut w.d).unwrap(), None, "20 of 40 is half");
        w.take();
        w.rmtree("d");
        w.seal();
        assert_eq!(outgoing(&mut w.d).unwrap(), None, "10 of 20");
        w.d.settings.brake_files = 5;
        assert_eq!(outgoing(&mut w.d).unwrap().map(|b| b.files), Some(10), "the user's own limit");
    }

    #[test]
    fn renames_and_moves_do_not_count_nor_do_times_and_modes() {
        let mut w = forty();
        w.mv("d", "e");
        w.mkdir("f");
        for n in 0..25 {
            w.mv(&format!("e/{n}"), &format!("f/{n}"));
        }
        for n in 0..10 {
            w.touch(&format!("{n}"), 1_000_000);
        }
        for n in 0..5 {
            w.chmod(&format!("e/s/{n}"), 0o700);
        }
        w.seal();
        assert_eq!(outgoing(&mut w.d).unwrap(), None);
    }

    #[test]
    fn what_is_overwritten_counts_too() {
        let mut w = forty();
        let before = w.scanned();
        for n in 0..25 {
            w.write(&format!("d/{n}"), "encrypted by malware");
        }
        w.seal();
        let stop = outgoing(&mut w.d).unwrap().expect("25 of 40");
        assert_eq!(stop.files, 25);
        assert_eq!(w.scanned(), before);
    }

    #[test]
    fn a_directory_whose_name_was_taken_stays_with_what_is_held_in_it() {
        let mut w = forty();
        let before = w.scanned();
        w.mv("d/s", "s");
        w.rmtree("d");
        w.mv("1", "d"); // A known file now has the directory's name.
        w.rm("2");
        w.mkdir("2"); // And a directory a known file's.
        w.mv("3", "2/3");
        w.seal();
        let stop = outgoing(&mut w.d).unwrap().expect("26 of 40");
        assert_eq!(stop.files, 26);
        let after = w.scanned();
        for path in ["d", "d/0", "d/24", "1", "2", "3"] {
            assert_eq!(after.get(path), before.get(path), "{path}");
        }
        assert_eq!(after["s"], before["d/s"], "a move of its own goes on");
        assert_eq!(after["s/0"], before["d/s/0"]);
    }

    #[test]
    fn what_would_be_deleted_here_is_not_applied() {
        let mut w = forty();
        let rows = w.d.state.rows(Table::Head, None, 1000).unwrap();
        let d = w.id("d");
        let (inside, other): (Vec<_>, Vec<_>) = rows.into_iter().filter(|r| !r.here().unwrap().is_dir()).partition(|r| r.place.dir == d);
        for row in &inside {
            w.d.state.remove(Table::Head, &row.place).unwrap();
        }
        // A rename at the same time.
        let moved = &other[0];
        let to = Place { dir: d, name: Name::new(*b"moved").unwrap() };
        w.d.state.remove(Table::Head, &moved.place).unwrap();
        w.d.state.put(Table::Head, &Row { place: to.clone(), ..moved.clone() }).unwrap();
        let (stop, held) = incoming(&w.d).unwrap().expect("25 of 40");
        assert_eq!((stop.sending, stop.files, stop.of), (false, 25, 40));
        assert!(inside.iter().all(|r| held.contains(&r.place)));
        assert!(!held.contains(&moved.place) && !held.contains(&to));
        w.d.settings.allowed = vec![stop.code];
        assert!(incoming(&w.d).unwrap().is_none());
        assert_eq!(keep(&mut w.d.state, &held).unwrap(), 25);
        assert_eq!(w.d.state.count(Table::Anc).unwrap().0, 15);
    }
}
