//! Commits and notices.

use super::*;
use crate::crypt::notice;
use crate::crypt::seal::{self, Commit, Details, Label};
use crate::id::Oid;

fn device(seq: u64, height: u64, s: i64) -> Details {
    Details {
        device: Some(Id([4; 16])),
        device_name: Writer::new("laptop"),
        time: Time { s, ns: 5 },
        seq: Some(seq),
        height,
        ..Details::default()
    }
}

#[test]
fn commits_there_and_back() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let (a, b) = (Oid([1; 20]), Oid([2; 20]));
    let merge = Details { time: Time { s: 7200, ns: 0 }, height: 9, ..Details::default() };
    let full = Details {
        summary: Some("two files\n".into()),
        vector: vec![(Id([1; 16]), 3), (Id([2; 16]), 1)],
        supersedes: Some(b),
        adopts: vec![a, b],
        forgets: vec![Id([1; 16]), Id([2; 16])],
        ..device(4, 8, 1_700_003_601)
    };
    let cases: [(&[Oid], &Details); 4] = [(&[], &device(1, 1, 3599)), (&[a], &device(2, 2, 3600)), (&[a, b], &merge), (&[], &full)];
    for (parents, details) in cases {
        for label in [Label::Main, Label::Staging] {
            let bytes = seal::write_commit(&keys, &vault, label, &a, parents, details).unwrap();
            let c = seal::open_commit(&keys, &vault, &bytes).unwrap();
            assert_eq!((&c.tree, &c.parents[..], &c.details, c.label), (&a, parents, details, label));
            assert_eq!(class(seal::open_commit(&keys, &Id([6; 16]), &bytes)), Class::Auth);
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert!(seal::open_commit(&keys, &vault, &bad).is_err(), "byte {at}");
                assert!(seal::open_commit(&keys, &vault, &bytes[..at]).is_err(), "cut to {at}");
            }
            assert_eq!(class(seal::open_commit(&keys, &vault, &[&bytes[..], b"x"].concat())), Class::Form);
        }
    }
}

#[test]
fn commits_that_are_of_no_row() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let (a, b) = (Oid([1; 20]), Oid([2; 20]));
    let write = |parents: &[Oid], d: Details| seal::write_commit(&keys, &vault, Label::Main, &a, parents, &d);
    assert_eq!(class(write(&[a, b], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a, b, a], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a], Details { height: 2, ..Details::default() })), Class::Form);
    assert_eq!(class(write(&[a], device(0, 2, 0))), Class::Form);
    assert_eq!(class(write(&[], device(1, 2, 0))), Class::Form);
    assert_eq!(class(write(&[a], device(1, 2, -1))), Class::Limit);
    assert_eq!(class(write(&[a], device(1, 2, 1 << 33))), Class::Limit);
    assert_eq!(class(write(&[a], Details { vector: vec![(Id([1; 16]), 1)], ..device(1, 2, 0) })), Class::Form);
    assert_eq!(class(write(&[a], Details { forgets: vec![Id([2; 16]), Id([1; 16])], ..device(1, 2, 0) })), Class::Form);
    assert_eq!(class(write(&[a, b], Details { height: 2, forgets: vec![Id([1; 16])], ..Details::default() })), Class::Form);
    assert_eq!(class(write(&[a], Details { adopts: vec![b, a], ..device(1, 2, 0) })), Class::Form);
    assert_eq!(class(write(&[a], Details { summary: Some("x".repeat(4097)), ..device(1, 2, 0) })), Class::Form);
}

#[test]
fn a_child_is_not_before_its_parent() {
    let (keys, vault) = (keys(), Id([5; 16]));
    let commit = |seq, height, s| {
        let parents: &[Oid] = if height == 1 { &[] } else { &[Oid([1; 20])] };
        let bytes = seal::write_commit(&keys, &vault, Label::Main, &Oid([1; 20]), parents, &device(seq, height, s)).unwrap();
        seal::open_commit(&keys, &vault, &bytes).unwrap()
    };
    let parent = commit(1, 1, 100);
    assert!(seal::check_child(&parent, &commit(2, 2, 100)).is_ok());
    assert_eq!(class(seal::check_child(&parent, &commit(2, 2, 99))), Class::Form);
    assert_eq!(class(seal::check_child(&commit(1, 5, 0), &commit(2, 5, 0))), Class::Form);
    // Sealed with a key of before a re-key: made up, for this version knows one epoch.
    let newer = Commit { epoch: 1, ..parent.clone() };
    assert_eq!(class(seal::check_child(&newer, &commit(2, 2, 100))), Class::Stale);
    assert!(seal::check_height(1, &commit(2, 2, 100)).is_ok());
    assert_eq!(class(seal::check_height(1, &commit(2, 3, 100))), Class::Form);
    assert_eq!(class(seal::check_height(u64::MAX, &commit(2, 3, 100))), Class::Form);
}

#[test]
fn notices() {
    let keys = keys();
    let n = notice::Notice { device: Id([1; 16]), counter: 10, seq: 2, height: 3, head: Oid([4; 20]) };
    let text = notice::seal(&keys, &n);
    assert_eq!(text.len(), 171);
    assert_eq!(notice::open(&keys, text.as_bytes(), |_| Some(9)).unwrap(), n);
    assert_eq!(class(notice::open(&keys, text.as_bytes(), |_| Some(10))), Class::Stale);
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] = if bad[at] == b'x' { b'y' } else { b'x' };
        assert!(notice::open(&keys, &bad, |_| None).is_err(), "byte {at}");
    }
}
