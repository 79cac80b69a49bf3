//! Packs whose objects lie beyond 2 and 4 GiB, with holes between them; git reads the same out of them.

use super::*;
use crate::files::real::Disk;
use crate::git::{Type, object, zlib};
use std::process::Command;

/// The head of an entry (gitformat-pack(5)): kind and size, and how far back the base of a delta lies.
fn entry(kind: u8, content: &[u8], back: Option<u64>) -> Vec<u8> {
    let mut size = content.len();
    let mut out = vec![kind << 4 | (size & 15) as u8];
    size >>= 4;
    while size > 0 {
        *out.last_mut().unwrap() |= 0x80;
        out.push((size & 0x7f) as u8);
        size >>= 7;
    }
    if let Some(mut back) = back {
        let mut digits = vec![(back & 0x7f) as u8];
        back >>= 7;
        while back > 0 {
            back -= 1;
            digits.push(0x80 | (back & 0x7f) as u8);
            back >>= 7;
        }
        out.extend(digits.iter().rev());
    }
    let mut put = |b: &[u8]| -> Result<()> {
        out.extend_from_slice(b);
        Ok(())
    };
    zlib::store(content, &mut put).unwrap();
    out
}

/// A delta that copies all of a base, shorter than 128 bytes, and adds to it.
fn delta(base: &[u8], more: &[u8]) -> Vec<u8> {
    let (n, m) = (base.len() as u8, more.len() as u8);
    assert!(n + m < 128);
    [&[n, n + m, 0x90, n, m], more].concat()
}

fn git(dir: &std::path::Path, args: &[&str], input: std::process::Stdio) -> Vec<u8> {
    let mut c = Command::new("git");
    c.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", dir);
    let out = c.current_dir(dir).args(args).stdin(input).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn objects_beyond_four_gigabytes() {
    const G2: u64 = 1 << 31;
    const G4: u64 = 1 << 32;
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::open(temp.path()).unwrap();
    let store = Store::init(&disk, &disk.root(), true).unwrap();

    let first = b"the first".to_vec();
    // On either side of what 31 and 32 bits say, and the last that 32 would take for the first.
    let mut wanted = vec![(12, first.clone())];
    let mut bytes = vec![(12, entry(3, &first, None))];
    for (i, at) in [G2 - 1000, G2 - 1, G2 + 200, G4 - 1000, G4 - 100, G4 + 12, G4 + 200].into_iter().enumerate() {
        let content = format!("a blob at {at}").into_bytes();
        let (content, entry) = match i % 3 {
            // Deltas whose base lies up to 4 GiB before them.
            2 => ([&first[..], &content].concat(), entry(6, &delta(&first, &content), Some(at - 12))),
            _ => (content.clone(), entry(3, &content, None)),
        };
        wanted.push((at, content));
        bytes.push((at, entry));
    }
    let far = [&first[..], b" and more"].concat();
    let (last, far_entry) = (G4 + 400, entry(6, &delta(&first, b" and more"), Some(G4 + 400 - 12)));
    wanted.push((last, far.clone()));
    let trailer = [0x17; 20];
    let end = last + far_entry.len() as u64;
    bytes.push((last, far_entry));
    bytes.push((end, trailer.to_vec()));
    bytes.push((0, [&b"PACK\0\0\0\x02"[..], &(wanted.len() as u32).to_be_bytes()].concat()));
    let pack = store.temporary().unwrap();
    bytes.iter().for_each(|(at, b)| pack.file.write_at(*at, b).unwrap());
    let mut entries: Vec<Entry> =
        wanted.iter().map(|(offset, content)| Entry { oid: object::id(Type::Blob, content), crc: 7, offset: *offset }).collect();
    entries.sort_by_key(|e| e.oid);
    let name = pack.install(&trailer, &entries).unwrap();

    let store = Store::open(&disk, &disk.root()).unwrap();
    let pack = store.open_pack(&name).unwrap().unwrap();
    assert_eq!((pack.size, pack.idx.entries().unwrap()), (end + 20, entries.clone()));
    for (offset, content) in &wanted {
        let oid = object::id(Type::Blob, content);
        assert_eq!(pack.idx.find(&oid).unwrap(), Some(*offset));
        assert_eq!(store.read(&oid, Type::Blob, 1000).unwrap(), *content, "at {offset}");
        assert_eq!(store.header(&oid).unwrap(), Some((Type::Blob, content.len() as u64)), "at {offset}");
        assert_eq!(store.read_start(&oid, 4).unwrap(), (content[..4].to_vec(), content.len() as u64), "at {offset}");
        assert_eq!(git(temp.path(), &["cat-file", "blob", &oid.to_string()], std::process::Stdio::null()), *content);
    }
    // Its index is the one that git makes of these places.
    let idx = std::fs::File::open(temp.path().join(format!("objects/pack/{name}.idx"))).unwrap();
    let shown = String::from_utf8(git(temp.path(), &["show-index"], idx.into())).unwrap();
    let want: String = entries.iter().map(|e| format!("{} {} (00000007)\n", e.offset, e.oid)).collect();
    assert_eq!(shown, want);
}

#[test]
fn an_index_that_leads_nowhere_is_damage() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::open(temp.path()).unwrap();
    let store = Store::init(&disk, &disk.root(), true).unwrap();
    let pack = store.temporary().unwrap();
    pack.file.write_at(0, &[0; 64]).unwrap();
    // What 32 bits would make of some of these is inside.
    let offsets = [(1 << 32) + 12, (1 << 63) + 12, u64::MAX, u64::MAX - 20];
    let mut entries: Vec<Entry> = (0u8..).zip(offsets).map(|(n, offset)| Entry { oid: Oid([n; 20]), crc: 0, offset }).collect();
    entries.sort_by_key(|e| e.oid);
    pack.install(&[1; 20], &entries).unwrap();
    for e in entries {
        assert!(store.read_any(&e.oid, 1000).is_err(), "{}", e.offset);
        assert!(store.header(&e.oid).is_err() && store.read_start(&e.oid, 1).is_err(), "{}", e.offset);
    }
}

#[test]
fn an_index_of_too_many_is_refused_before_memory_is_taken() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::open(temp.path()).unwrap();
    let file = disk.create(&disk.root(), b"x.idx", 0o600).unwrap();
    file.write_at(0, &[0xff, b't', b'O', b'c', 0, 0, 0, 2]).unwrap();
    file.write_at(8 + 255 * 4, &(idx::MOST + 1).to_be_bytes()).unwrap();
    // Long enough for all of them, as a hole is.
    file.set_len(u64::from(idx::MOST + 1) * 28 + 2000).unwrap();
    let e = Idx::open(file).err().unwrap();
    assert!(e.to_string().contains("50 million"), "{e}");
}
