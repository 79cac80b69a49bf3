//! Names of entries, and the vault file.

use super::*;
use crate::crypt::name::{self, EntryKind};
use crate::path::Name;

#[test]
fn names_of_every_length() {
    let keys = keys();
    let (dir, id) = (Id([1; 16]), Id([2; 16]));
    for n in 1..=255usize {
        let text = vec![b'x'; n];
        let s = name::seal(&keys, &dir, EntryKind::Small, &id, &text);
        assert_eq!(s.long.is_some(), n > 143, "{n}");
        assert!(s.entry.len() <= 255 && s.entry.starts_with("AQAA"));
        let long = s.long.as_ref().map(|l| &l.1[..]);
        let e = name::open(&keys, &dir, s.entry.as_bytes(), long).unwrap();
        assert_eq!((e.kind, e.id, e.name), (EntryKind::Small, id, Name::new(text)));
        assert_eq!(class(name::open(&keys, &Id([3; 16]), s.entry.as_bytes(), long)), Class::Auth);
        let kind = name::classify(s.entry.as_bytes());
        assert_eq!(kind, if n > 143 { name::Listed::LongEntry } else { name::Listed::Entry });
        if n > 143 {
            assert_eq!(class(name::open(&keys, &dir, s.entry.as_bytes(), None)), Class::Absent);
        }
    }
    let keeper = name::seal(&keys, &dir, EntryKind::Keeper, &dir, b"");
    assert_eq!(name::open(&keys, &dir, keeper.entry.as_bytes(), None).unwrap().name, None);
}

#[test]
fn entry_names_that_no_writer_makes() {
    let keys = keys();
    let (dir, id) = (Id([1; 16]), Id([2; 16]));
    let open = |kind, id: &Id, text: &[u8]| name::open(&keys, &dir, name::seal(&keys, &dir, kind, id, text).entry.as_bytes(), None);
    for bad in [&b"."[..], b"..", b"a/b", b"a\0b", b""] {
        assert_eq!(class(open(EntryKind::Small, &id, bad)), Class::Form, "{bad:?}");
    }
    assert_eq!(class(open(EntryKind::Dir, &Id::ROOT, b"a")), Class::Form);
    assert_eq!(class(open(EntryKind::Keeper, &id, b"")), Class::Form);
    assert_eq!(class(open(EntryKind::Keeper, &dir, b"a")), Class::Form);
    let good = name::seal(&keys, &dir, EntryKind::Small, &id, b"a").entry.to_string();
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'B' { b'C' } else { b'B' };
        assert!(name::open(&keys, &dir, &bad, None).is_err(), "byte {at}");
    }
    for bad in ["", "A", "AQAA", &format!("{good}="), &good[1..], &format!("{good}AAAA"), ".l", "=.l"] {
        assert!(name::open(&keys, &dir, bad.as_bytes(), Some(b"")).is_err(), "{bad}");
    }
    // A long name that was not put beside its `s.l`.
    let long = name::seal(&keys, &dir, EntryKind::Small, &id, &[b'y'; 200]);
    let (_, content) = long.long.unwrap();
    let whole = data_encoding::BASE64URL_NOPAD.encode(&content[8..]);
    assert_eq!(class(name::open(&keys, &dir, whole.as_bytes(), None)), Class::Form);
    for cut in 0..content.len() {
        assert!(name::open(&keys, &dir, long.entry.as_bytes(), Some(&content[..cut])).is_err());
    }
}

#[test]
fn the_vault_file() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let file = keys.vault_file(&vault);
    assert_eq!(keys.open_vault_file(&file).unwrap(), vault);
    for at in 0..64 {
        let mut bad = file;
        bad[at] ^= 1;
        let want = match at {
            0..=4 | 28..=31 => Class::Form,
            5..=7 | 24..=27 => Class::Version,
            _ => Class::Auth,
        };
        assert_eq!(class(keys.open_vault_file(&bad)), want, "byte {at}");
    }
    assert_eq!(class(keys.open_vault_file(&file[..63])), Class::Form);
}
