//! Key files, and what becomes of secrets.

use super::*;
use crate::crypt::{backend, keyfile, keys, recovery, siv};
use std::fmt::Debug;
use std::marker::PhantomData;

#[test]
fn key_files() {
    let (master, vault) = (Master::from_bytes(&[3; 32]), Id([5; 16]));
    let file = keyfile::seal(&master, &vault, "e\u{301}".as_bytes(), keyfile::Cost::LEAST, &mut Fixed).unwrap();
    let (m, v) = keyfile::open(&file, "é".as_bytes()).unwrap();
    assert_eq!((m.as_bytes(), v), (master.as_bytes(), vault));
    assert_eq!(keyfile::open(&file, b"e").unwrap_err().kind(), Kind::Secret);
    let mut bad = file;
    bad[36] ^= 1;
    assert_eq!(keyfile::open(&bad, "é".as_bytes()).unwrap_err().kind(), Kind::Secret);
    let with = |at: usize, new: &[u8]| {
        let mut bad = file;
        bad[at..at + new.len()].copy_from_slice(new);
        class(keyfile::open(&bad, b""))
    };
    assert_eq!(with(24, &[2]), Class::Version);
    assert_eq!(with(25, &[4]), Class::Form);
    for (memory, passes) in
        [(19_455u32, 64u32), (1 << 20, 1), (19_456, 3), ((1 << 20) + 1, 2), (65_536, 65), (1 << 20, 5), (u32::MAX, u32::MAX)]
    {
        assert_eq!(with(28, &[memory.to_be_bytes(), passes.to_be_bytes()].concat()), Class::Limit, "{memory} {passes}");
    }
    assert_eq!(class(keyfile::open(&file[..115], b"")), Class::Form);
    assert_eq!(keyfile::without_newline(b"a\r\n"), b"a");
    assert_eq!(keyfile::without_newline(b"a\n\n"), b"a\n");
    assert_eq!(keyfile::without_newline(b"a\r"), b"a\r");
}

/// Whether a type can be printed at all: the constant of the inherent impl comes before the trait's, where its bound holds.
struct Probe<T>(PhantomData<T>);

trait Silent {
    const PRINTS: bool = false;
}

impl<T> Silent for Probe<T> {}

impl<T: Debug> Probe<T> {
    const PRINTS: bool = true;
}

#[test]
fn secrets_are_not_printed() {
    let master = Master::from_bytes(&[0xab; 32]);
    let id = recovery::print(&master);
    for text in [format!("{master:?}"), format!("{:?}", VaultKeys::new(&master))] {
        assert!(text.ends_with("(..)") && !text.contains("171") && !text.contains("ab, "), "{text}");
        assert!(id.iter().all(|group| !text.contains(group.as_str())));
    }
    // What is made of them has no way to be printed, so that no struct around it can derive one.
    let printable = [
        Probe::<keys::FileKeys>::PRINTS,
        Probe::<siv::Siv>::PRINTS,
        Probe::<backend::Mac>::PRINTS,
        Probe::<backend::MacStream>::PRINTS,
        Probe::<backend::Cipher>::PRINTS,
    ];
    assert_eq!(printable, [false; 5]);
    assert_eq!([Probe::<Master>::PRINTS, Probe::<VaultKeys>::PRINTS], [true; 2], "else the probe sees nothing");
}
