//! Disks that see names differently (MERGE 10): of names that fold alike such a disk shows one, and the others, with
//! all below them, are held back: reported, neither written nor counted as deleted. Merging itself never folds.

use crate::error::Result;
use crate::files::Traits;
use crate::id::Id;
use crate::path::Name;
use crate::state::{State, Table};
use crate::tree::Place;
use std::collections::{HashMap, HashSet};
use unicode_normalization::UnicodeNormalization;

/// Rows that are fetched at a time.
const PAGE: usize = 256;

/// True if different names may be one on this disk.
pub fn folds(traits: &Traits) -> bool {
    traits.folds_case || traits.folds_form
}

/// A name as a disk compares it: two names are one there if this is equal. What is not UTF-8 is compared as bytes.
pub fn fold(name: &Name, traits: &Traits) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(name.as_bytes()) else { return name.as_bytes().to_vec() };
    match (traits.folds_case, traits.folds_form) {
        (false, false) => name.as_bytes().to_vec(),
        (true, false) => text.to_lowercase().into_bytes(),
        (false, true) => text.nfc().collect::<String>().into_bytes(),
        (true, true) => text.nfc().collect::<String>().to_lowercase().nfc().collect::<String>().into_bytes(),
    }
}

/// Of the names in one directory those that are held back. Names come in byte order, each with whether the ancestor has
/// it: of names that fold alike the first that the ancestor has is shown, else the first.
pub fn held_back(traits: &Traits, names: impl IntoIterator<Item = (Name, bool)>) -> HashSet<Name> {
    let (mut shown, mut held) = (HashMap::<Vec<u8>, (Name, bool)>::new(), HashSet::new());
    for (name, ours) in names {
        match shown.get_mut(&fold(&name, traits)) {
            Some(first) if ours && !first.1 => {
                held.insert(std::mem::replace(first, (name, ours)).0);
            }
            Some(_) => {
                held.insert(name);
            }
            None => {
                shown.insert(fold(&name, traits), (name, ours));
            }
        }
    }
    held
}

/// Which names of head this disk holds back. One directory's answer is kept at a time.
#[derive(Default)]
pub struct HeldBack {
    dir: Option<Id>,
    names: HashSet<Name>,
}

impl HeldBack {
    /// True if this place of head is held back, for its own name (those above are asked by their own places).
    pub fn is<S: State>(&mut self, state: &S, traits: &Traits, place: &Place) -> Result<bool> {
        if !folds(traits) {
            return Ok(false);
        }
        if self.dir != Some(place.dir) {
            self.names = held_back(traits, head_names(state, place.dir)?);
            self.dir = Some(place.dir);
        }
        Ok(self.names.contains(&place.name))
    }
}

fn head_names<S: State>(state: &S, dir: Id) -> Result<Vec<(Name, bool)>> {
    let mut out: Vec<(Name, bool)> = Vec::new();
    loop {
        let page = state.children(Table::Head, dir, out.last().map(|(name, _)| name), PAGE)?;
        if page.is_empty() {
            return Ok(out);
        }
        for row in page {
            let ours = state.get(Table::Anc, &row.place)?.is_some();
            out.push((row.place.name, ours));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A disk that can do everything, and folds names or not.
    pub(crate) fn traits(case: bool, form: bool) -> Traits {
        Traits {
            folds_case: case,
            folds_form: form,
            exec_bit: true,
            modes: true,
            time_step: 1,
            noreplace: true,
            exchange: true,
            links: true,
        }
    }

    fn name(n: &str) -> Name {
        Name::new(n.as_bytes()).unwrap()
    }

    fn held(t: &Traits, names: &[(&str, bool)]) -> Vec<String> {
        let mut v: Vec<String> = held_back(t, names.iter().map(|(n, a)| (name(n), *a))).iter().map(Name::to_string).collect();
        v.sort();
        v
    }

    #[test]
    fn which_names_are_one() {
        let composed = name("caf\u{e9}");
        let decomposed = name("cafe\u{301}");
        let upper = name("CAF\u{c9}");
        for (case, form, one, two) in
            [(false, false, false, false), (true, false, false, true), (false, true, true, false), (true, true, true, true)]
        {
            let t = traits(case, form);
            assert_eq!(fold(&composed, &t) == fold(&decomposed, &t), one, "{case} {form}");
            assert_eq!(fold(&composed, &t) == fold(&upper, &t), two, "{case} {form}");
        }
        let t = traits(true, true);
        let bytes = Name::new(&b"A\xff"[..]).unwrap();
        assert_eq!(fold(&bytes, &t), b"A\xff", "not UTF-8: compared as it stands");
    }

    #[test]
    fn the_ancestors_name_is_shown_else_the_first_in_byte_order() {
        let t = traits(true, false);
        assert_eq!(held(&t, &[("A", false), ("a", false), ("b", false)]), ["a"]);
        assert_eq!(held(&t, &[("A", false), ("a", true), ("b", false)]), ["A"]);
        assert_eq!(held(&t, &[("AB", false), ("Ab", true), ("aB", false), ("ab", true)]), ["AB", "aB", "ab"]);
        assert!(held(&traits(false, false), &[("A", false), ("a", false)]).is_empty());
    }
}
