//! Targets of git's formats: what a server sends, and what lies in `.git`.

use super::forge::take;
use sha1::{Digest, Sha1};
use sharelock::error::Result;
use sharelock::files::Files;
use sharelock::git::object::{self, TreeBuilder};
use sharelock::git::store::Store;
use sharelock::git::{PackSource, RefStatus, RefUpdate, Type, index as git_index, wire};
use sharelock::id::Oid;
use sharelock::sim::clock::SimClock;
use sharelock::sim::disk::{ABLE, SimDisk};
use std::io::{self, Read, Write};

/// An object that the repository of [`pack`] has: deltas of a thin pack can build on it.
const BASE: &[u8] = b"an object that is there already, for deltas to build on; 0123456789abcdefghijklmnopqrstuvwxyz";

fn repository(bare: bool) -> (SimDisk, Store<SimDisk>) {
    let disk = SimDisk::new(ABLE, &SimClock::new());
    let store = Store::init(&disk, &1, bare).expect("an empty repository");
    (disk, store)
}

fn put(disk: &SimDisk, dir: u64, name: &[u8], content: &[u8]) {
    disk.create(&dir, name, 0o644).and_then(|mut f| f.write_all(content)).expect("written");
}

/// A pack as a server sends it: as it is, and put together by the fuzzer, with right streams and checksums.
pub fn pack(mut data: &[u8]) -> bool {
    let mode = take::<1>(&mut data)[0];
    let (_, store) = repository(true);
    let mut writer = store.pack_writer().expect("a temporary file");
    let base = writer.add(Type::Blob, BASE).expect("written");
    writer.finish().expect("installed");
    let sent = match mode & 3 {
        0 => data.to_vec(),
        1 => [&data[..data.len().saturating_sub(20)], &Sha1::digest(&data[..data.len().saturating_sub(20)])].concat(),
        _ => built(&base, data),
    };
    let mut ingest = store.ingest().expect("a temporary file");
    for piece in sent.chunks(usize::from(mode >> 2) + 1) {
        if ingest.write_all(piece).is_err() {
            break;
        }
    }
    let taken = ingest.finish().is_ok();
    if taken {
        store.refresh().expect("what was installed is read");
    }
    assert_eq!(store.read_any(&base, 1 << 20).expect("what was there stays"), (Type::Blob, BASE.to_vec()));
    taken
}

/// A pack of entries that the fuzzer chooses: a byte of type, a byte of length, the content. Deltas build on an entry
/// before, on the object that is there, or on an object of the pack by its id.
fn built(base: &Oid, mut data: &[u8]) -> Vec<u8> {
    let (mut body, mut count, mut places, mut ids) = (Vec::new(), 0u32, Vec::new(), vec![*base]);
    while !data.is_empty() && count < 64 {
        let [op, len] = take::<2>(&mut data);
        let n = usize::from(len).min(data.len());
        let (content, rest) = data.split_at(n);
        data = rest;
        let at = body.len() as u64 + 12;
        let which = usize::from(op >> 3);
        let (kind, content) = match op & 7 {
            0 | 5 => (3, content.to_vec()),
            n @ 1..=4 => (n, content.to_vec()),
            // Two bytes of the fuzzer's stand for the sizes of base and result, which it could not guess.
            n => (n, [&[BASE.len() as u8][..], content].concat()),
        };
        let size = content.len();
        body.push(kind << 4 | (size & 15) as u8 | if size > 15 { 0x80 } else { 0 });
        if size > 15 {
            body.push((size >> 4) as u8);
        }
        match kind {
            6 => {
                let back = at - places.get(which % places.len().max(1)).copied().unwrap_or(at - 1);
                let mut bytes = vec![(back & 0x7f) as u8];
                let mut left = back >> 7;
                while left > 0 {
                    left -= 1;
                    bytes.push(0x80 | (left & 0x7f) as u8);
                    left >>= 7;
                }
                body.extend(bytes.iter().rev());
            }
            7 => body.extend_from_slice(&ids[which % ids.len()].0),
            n => ids.push(object::id([Type::Commit, Type::Tree, Type::Blob, Type::Tag][usize::from(n) - 1], &content)),
        }
        // One stored block.
        body.extend_from_slice(&[0x78, 0x01, 1, size as u8, (size >> 8) as u8, !(size as u8), !((size >> 8) as u8)]);
        body.extend_from_slice(&content);
        body.extend_from_slice(&adler32(&content).to_be_bytes());
        places.push(at);
        count += 1;
    }
    let pack = [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes(), &body].concat();
    [&pack[..], &Sha1::digest(&pack)].concat()
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), c| ((a + u32::from(*c)) % 65_521, (b + a + u32::from(*c)) % 65_521));
    b << 16 | a
}

/// A pack and its index as they lie in a repository, and the objects that they name.
pub fn idx(mut data: &[u8]) -> bool {
    let split = usize::from(u16::from_be_bytes(take(&mut data)));
    let (idx, pack) = data.split_at(split.min(data.len()));
    let (disk, store) = repository(true);
    drop(store);
    let dir = disk.open_dir(&disk.open_dir(&1, b"objects").expect("made"), b"pack").expect("made");
    put(&disk, dir, b"pack-0123456789012345678901234567890123456789.pack", pack);
    put(&disk, dir, b"pack-0123456789012345678901234567890123456789.idx", idx);
    let Ok(store) = Store::open(&disk, &1) else { return false };
    let mut found = false;
    // The ids that stand behind the counts.
    let ids = idx.get(8 + 1024..).unwrap_or_default().chunks_exact(20).take(6);
    for oid in ids.map(|id| Oid(id.try_into().expect("20 bytes"))).chain([Oid([7; 20])]) {
        let (header, start) = (store.header(&oid), store.read_start(&oid, 100));
        if let Ok((kind, content)) = store.read_any(&oid, 1 << 20) {
            found = true;
            assert_eq!(header.ok().flatten(), Some((kind, content.len() as u64)));
            assert!(kind != Type::Blob || start.is_ok_and(|(s, len)| content.starts_with(&s) && len == content.len() as u64));
        }
    }
    let _ = store.consolidate();
    found
}

/// The index of a work tree.
pub fn index(data: &[u8]) -> bool {
    let (disk, store) = repository(false);
    put(&disk, 1, b"index", data);
    let Ok(Some(mut index)) = store.index() else { return false };
    let mut entry = git_index::Entry::default();
    loop {
        match index.next(&mut entry) {
            Ok(true) => {}
            end => return end.is_ok(),
        }
    }
}

/// `packed-refs`, a loose ref, HEAD, and names of refs.
pub fn refs(data: &[u8]) -> bool {
    let (disk, store) = repository(true);
    let heads = disk.open_dir(&disk.open_dir(&1, b"refs").expect("made"), b"heads").expect("made");
    let _ = store.refs("refs/");
    put(&disk, heads, b"loose", data);
    let _ = store.get_ref("refs/heads/loose");
    disk.unlink(&heads, b"loose").expect("there");
    put(&disk, 1, b"packed-refs", data);
    let before = store.refs("refs/");
    disk.unlink(&1, b"HEAD").expect("there");
    put(&disk, 1, b"HEAD", data);
    let _ = store.head();
    if let Ok(name) = std::str::from_utf8(data) {
        let _ = store.get_ref(name);
    }
    if let Ok(before) = &before {
        for (name, oid) in before.iter().take(4) {
            assert_eq!(store.get_ref(name).ok().flatten(), Some(*oid), "{name}");
            let _ = store.set_ref(name, sharelock::git::store::Expect::Is(*oid), None);
            assert_eq!(store.get_ref(name).ok().flatten(), None, "{name}");
        }
    }
    before.is_ok_and(|b| !b.is_empty())
}

/// Trees, and the lines of a commit that are read unsealed.
pub fn tree(data: &[u8]) -> bool {
    let _ = object::commit_tree(data);
    let _ = object::commit_parents(data);
    let _ = object::commit_time(data);
    let Ok(entries) = object::entries(data).collect::<Result<Vec<_>>>() else { return false };
    let mut again = TreeBuilder::default();
    for e in &entries {
        let added = if e.is_tree() { again.add_tree(e.name, e.oid) } else { again.add_blob(e.name, e.oid) };
        added.expect("a name that was accepted");
    }
    assert_eq!(again.finish().expect("no name twice"), data, "two trees of one content");
    !entries.is_empty()
}

/// A server that says what the fuzzer wants, and listens to nothing.
struct Server<'d>(&'d [u8]);

impl Read for Server<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Server<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// pkt-lines of `git-upload-pack`: advertisement, answer, pack.
pub fn upload(data: &[u8]) -> bool {
    let mut channel = Server(data);
    let Ok(server) = wire::advertisement(&mut channel) else { return false };
    let hidden = server.offers("allow-reachable-sha1-in-want").then_some(Oid([7; 20]));
    let want: Vec<Oid> = server.refs.values().copied().take(3).chain(hidden).collect();
    let mut sink = Vec::new();
    let fetched = wire::fetch_over(&mut channel, &server, &want, &[Oid([8; 20]), Oid([9; 20])], &mut sink).is_ok();
    assert!(sink.len() <= data.len());
    fetched
}

struct NoObjects;

impl PackSource for NoObjects {
    fn objects(&self) -> u32 {
        0
    }
    fn write_to(&mut self, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// pkt-lines of `git-receive-pack`: advertisement, report.
pub fn push(data: &[u8]) -> bool {
    let mut channel = Server(data);
    let Ok(server) = wire::advertisement(&mut channel) else { return false };
    let update = |name: &str, new| RefUpdate { name: name.into(), old: server.refs.get(name).copied(), new };
    let updates = [update("refs/heads/main", Some(Oid([7; 20]))), update("refs/sharelock/x", None)];
    let atomic = server.offers("atomic");
    let Ok(statuses) = wire::push_over(&mut channel, &server, &updates, atomic, &mut NoObjects) else { return false };
    assert_eq!(statuses.len(), updates.len());
    statuses.contains(&RefStatus::Ok)
}
