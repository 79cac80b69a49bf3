//! Targets of the vault's own formats.

use super::forge::{ID, KEYS, VAULT, chunks, hdr, sealed_head, take};
use data_encoding::BASE64URL_NOPAD;
use sharelock::crypt::large::{self, Part, Parts, Reader};
use sharelock::crypt::name::{self, EntryKind};
use sharelock::crypt::{header, keyfile, notice as sealed_notice, pad, recovery as paper, seal, small as one_object};
use sharelock::error::Result;
use sharelock::id::{Id, Oid};
use std::collections::BTreeMap;

/// The 8 bytes of every object, and the vault file.
pub fn headers(data: &[u8]) -> bool {
    use header::Type::*;
    for kind in [Small, Head, Segment, Index, LongName, Vault, Key, Details, Notice] {
        if let Ok(epoch) = header::check(data, kind) {
            assert_eq!(header::bytes(kind, epoch), data[..8]);
        }
    }
    let _ = KEYS.vault.open_vault_file(data);
    let stated = &data[..data.len().min(32)];
    let file = [stated, &KEYS.file.of(&[stated])].concat();
    match KEYS.vault.open_vault_file(&file) {
        Ok(id) => KEYS.vault.vault_file(&id)[..] == file || panic!("two vault files of one id"),
        Err(_) => false,
    }
}

/// Entry names: as they stand in a directory, and behind a right tag.
pub fn names(mut data: &[u8]) -> bool {
    let keys = &KEYS.vault;
    let _ = name::classify(data);
    let _ = Part::parse(None, data);
    let _ = name::open(keys, &ID, data, None);
    let (entry, long) = data.split_at(data.len() / 2);
    let _ = name::open(keys, &ID, entry, Some(long));
    let _ = Part::parse(Some(entry), long);

    // A record of the fuzzer's under a right tag, in the short and in the long spelling.
    let [version, epoch, spelling, cut] = take::<4>(&mut data);
    let lead = [version ^ 1, 0, epoch];
    let mut p = data[..data.len().min(400)].to_vec();
    if cut & 1 == 0 {
        p.resize((p.len().max(17)).next_multiple_of(16), 0);
    }
    let tag = KEYS.name.seal(&[&lead, &ID.0], &mut p);
    let raw = [&lead[..], &tag[..16], &p].concat();
    let stem = BASE64URL_NOPAD.encode(&raw[..19]);
    let (entry, long) = match spelling & 1 {
        0 => (BASE64URL_NOPAD.encode(&raw), None),
        _ => (format!("{stem}.l"), Some([&hdr(b'N')[..], &raw].concat())),
    };
    let Ok(opened) = name::open(keys, &ID, entry.as_bytes(), long.as_deref()) else { return false };
    let again = name::seal(keys, &ID, opened.kind, &opened.id, opened.name.as_ref().map_or(b"", |n| n.as_bytes()));
    assert_eq!((&*again.entry, again.long.map(|l| l.1)), (entry.as_str(), long), "two spellings of one name");
    assert_eq!(opened.kind == EntryKind::Keeper, opened.name.is_none());
    true
}

/// The record of a file head, with id and MAC set right according to `mode`.
fn record(mode: u8, data: &mut &[u8]) -> [u8; 128] {
    let mut r: [u8; 128] = take(data);
    if mode & 1 == 0 {
        r[..16].copy_from_slice(&ID.0);
        r[18] = 1;
    }
    r
}

/// Small files, links and keepers.
pub fn small(mut data: &[u8]) -> bool {
    let keys = &KEYS.vault;
    let mut plain = Vec::new();
    let _ = one_object::open(keys, &ID, data, &mut plain);
    let mode = take::<1>(&mut data)[0];
    let mut r = record(mode, &mut data);
    // A size of two bytes is one that the body can have.
    if mode & 2 == 0 {
        r[32..38].fill(0);
    }
    let size = u64::from_be_bytes(r[32..40].try_into().expect("8 of 128"));
    let mut body = data.to_vec();
    if size <= 1 << 16 {
        body.resize(pad::padded(size) as usize, 0);
    }
    if mode & 4 == 0 {
        body[(size as usize).min(data.len())..].fill(0);
    }
    let (body, tags) = chunks(0, &body);
    if mode & 8 == 0 {
        r[48..80].copy_from_slice(&KEYS.list.of(&[&hdr(b'F'), &[0; 8], &tags]));
    }
    let object = [&sealed_head(b'F', r)[..], &body, &tags].concat();
    let Ok(head) = one_object::open(keys, &ID, &object, &mut plain) else {
        assert!(plain.is_empty(), "plaintext of a refused file");
        return false;
    };
    let (mut again, mut out) = (head.clone(), Vec::new());
    one_object::seal(keys, &mut again, &plain, &mut out).expect("what was opened can be sealed");
    assert!(again == head && out == object, "two objects for one file");
    true
}

/// The parts of a large file in memory; what is not there is a hole.
struct Memory(BTreeMap<Part, Vec<u8>>);

impl Parts for Memory {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b[..b.len().min(limit as usize)].to_vec()))
    }
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        let within = |b: &Vec<u8>| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(b.len());
            b[from..(from.saturating_add(len)).min(b.len())].to_vec()
        };
        Ok(self.0.get(&part).map(within))
    }
    fn len(&self, part: Part) -> Result<Option<u64>> {
        Ok(self.0.get(&part).map(|b| b.len() as u64))
    }
}

/// Large files: a head under a right tag, a list under a right MAC, one right segment at its end, and reads at places of
/// the fuzzer's.
pub fn large(mut data: &[u8]) -> bool {
    let keys = &KEYS.vault;
    let _ = large::read_head(keys, &ID, data, data.len() as u64);
    let mode = take::<1>(&mut data)[0];
    let mut r = record(mode, &mut data);
    if mode & 2 == 0 {
        // A size of at most 32 MiB, so that the lists are short; more is tried with the bit.
        r[32..36].fill(0);
        r[36] &= 1;
        r[114] = 16 + r[114] % 5;
    }
    let offset = u64::from_be_bytes(take(&mut data));
    let size = u64::from_be_bytes(r[32..40].try_into().expect("8 of 128"));
    if size > 1 << 40 || !(16..=20).contains(&r[114]) {
        let _ = large::read_head(keys, &ID, &sealed_head(b'H', r), 168);
        return false;
    }
    let (padded, segment) = (pad::padded(size), 1u64 << r[114]);
    let segments = padded.div_ceil(segment);
    let groups = segments.div_ceil(256);
    let mut list = vec![0; 32 * (segments.min(256) + groups - 1) as usize];
    let mut parts = BTreeMap::new();
    // The last segment is a right one, with its index if it lies in a group.
    let s = segments - 1;
    let len = (padded - s * segment) as usize;
    let mut plain = data[..data.len().min(len)].to_vec();
    plain.resize(len, 0);
    let real = size.saturating_sub(s * segment).min(len as u64) as usize;
    if mode & 4 == 0 {
        plain[real..].fill(0);
    }
    let (body, tags) = chunks(s * segment / 4096, &plain);
    let mac = KEYS.list.of(&[&hdr(b'S'), &s.to_be_bytes(), &tags]);
    parts.insert(Part::Segment(s), [&hdr(b'S')[..], &body, &tags].concat());
    if s < 256 {
        list[32 * s as usize..][..32].copy_from_slice(&mac);
    } else {
        let mut own = vec![0; 32 * (s % 256 + 1) as usize];
        own[32 * (s % 256) as usize..].copy_from_slice(&mac);
        let g = s / 256;
        list[32 * (255 + g) as usize..][..32].copy_from_slice(&KEYS.list.of(&[&hdr(b'X'), &g.to_be_bytes(), &own]));
        parts.insert(Part::Index(g), [&hdr(b'X')[..], &own].concat());
    }
    if mode & 8 == 0 {
        r[48..80].copy_from_slice(&KEYS.list.of(&[&hdr(b'H'), &segments.to_be_bytes(), &list]));
    }
    parts.insert(Part::Head, [&sealed_head(b'H', r)[..], &list].concat());
    let Ok(reader) = Reader::open(keys, &ID, Memory(parts)) else { return false };
    let mut out = Vec::new();
    let read = reader.read_segment(s, &mut out).is_ok();
    if read {
        assert_eq!(out.len(), real);
        assert_eq!(reader.read_at(s * segment, usize::MAX >> 1).expect("the segment is right"), out);
        let rewritten = reader.rewrite(s * segment, &out[..out.len().min(9)], reader.head().clone());
        assert_eq!(rewritten.is_ok(), !out.is_empty());
    }
    let _ = reader.read_at(offset, data.len());
    let _ = reader.rewrite(offset, data, reader.head().clone());
    let _ = reader.read_segment(offset, &mut out);
    read
}

/// The key file, up to where the password would be asked: what lies behind its tag has no structure.
pub fn keyfile(data: &[u8]) -> bool {
    let peeked = keyfile::peek(data);
    if let Ok((_, cost)) = &peeked {
        assert!(cost.memory <= 1 << 20 && u64::from(cost.memory) * u64::from(cost.passes) <= 1 << 22);
    }
    let _ = keyfile::password_bytes(keyfile::without_newline(data));
    peeked.is_ok()
}

/// Recovery keys as typed, and with right eighth digits.
pub fn recovery(data: &[u8]) -> bool {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = paper::parse(text);
        for g in 0..=8 {
            let _ = paper::parse_group(g, text);
        }
    }
    let mut rest = data;
    let mut groups: [[u8; 7]; 8] = std::array::from_fn(|_| take(&mut rest));
    groups.iter_mut().flatten().for_each(|d| *d &= 31);
    let joined = paper::join(&groups);
    if let Ok(master) = &joined {
        let text: Vec<String> = paper::print(master).iter().map(|g| g.to_string()).collect();
        assert_eq!(paper::parse(&text.join(" ")).expect("what is printed is read").as_bytes(), master.as_bytes());
    }
    joined.is_ok()
}

/// Commits: as they are, with the fuzzer's lines under a right seal, and with the fuzzer's items under both tags.
pub fn commit(mut data: &[u8]) -> bool {
    open_commit(data);
    let mode = take::<1>(&mut data)[0];
    let label: &[u8] = if mode & 1 == 0 { b"main\0" } else { b"staging\0" };
    let lines = match mode & 2 {
        0 => data.to_vec(),
        _ => {
            let parents = usize::from(mode >> 2 & 3);
            let mut items = data[..data.len().min(1 << 14)].to_vec();
            if mode & 16 == 0 {
                items.resize(items.len().next_multiple_of(64), 0);
            }
            // The date that the items ask for, if they begin as those of a device or of a merge do.
            let s = match items.get(..3) {
                Some([3, 0, 12]) => items.get(3..11),
                _ => items.windows(3).position(|w| w == [3, 0, 12]).and_then(|i| items.get(i + 3..i + 11)),
            };
            let s = s.map_or(0, |b| i64::from_be_bytes(b.try_into().expect("8 bytes")));
            let t = s.saturating_sub(s.rem_euclid(3600));
            let tag = KEYS.details.seal(&[&hdr(b'D')], &mut items);
            let details = BASE64URL_NOPAD.encode(&[&hdr(b'D')[..], &tag, &items].concat());
            let mut out = format!("tree {}\n", Oid([7; 20]));
            (0..parents).for_each(|n| out.push_str(&format!("parent {}\n", Oid([n as u8; 20]))));
            for role in ["author", "committer"] {
                out.push_str(&format!("{role} sharelock <sharelock@localhost> {t} +0000\n"));
            }
            out.push_str(&format!("\nsharelock\n\ndetails: {details}\n"));
            out.into_bytes()
        }
    };
    let mut object = lines;
    object.extend_from_slice(b"seal: ");
    let mac = KEYS.seal.of(&[label, &VAULT.0, &object]);
    object.extend_from_slice(BASE64URL_NOPAD.encode(&[&[0, 0][..], &mac].concat()).as_bytes());
    object.push(b'\n');
    open_commit(&object)
}

fn open_commit(object: &[u8]) -> bool {
    let keys = &KEYS.vault;
    let Ok(c) = seal::open_commit(keys, &VAULT, object) else { return false };
    let again = seal::write_commit(keys, &VAULT, c.label, &c.tree, &c.parents, &c.details).expect("what was opened can be written");
    let opened = seal::open_commit(keys, &VAULT, &again).expect("what was written can be opened");
    assert_eq!(opened, c);
    let _ = (seal::check_child(&c, &opened), seal::check_height(u64::MAX, &c));
    true
}

/// Notices: as they come, and with the fuzzer's body under a right tag.
pub fn notice(mut data: &[u8]) -> bool {
    let keys = &KEYS.vault;
    let _ = sealed_notice::open(keys, data, |_| None);
    let last = u64::from(take::<1>(&mut data)[0]);
    let mut body: [u8; 88] = take(&mut data);
    let tag = KEYS.notice.seal(&[&hdr(b'M')], &mut body);
    let text = BASE64URL_NOPAD.encode(&[&hdr(b'M')[..], &tag, &body].concat());
    let Ok(n) = sealed_notice::open(keys, text.as_bytes(), |_: &Id| Some(last)) else { return false };
    assert!(n.counter > last);
    assert_eq!(sealed_notice::seal(keys, &n), text, "two spellings of one notice");
    true
}
