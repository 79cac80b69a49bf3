//! The vectors of `tests/vectors`, which `scripts/vectors.py` makes: a second implementation of FORMAT.md. What it
//! sealed is opened here and sealed again to the same bytes; what it damaged is refused with the class that it names.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sharelock::clock::Time;
use sharelock::crypt::head::{FileHead, HeadKind};
use sharelock::crypt::large::{self, Part, Parts, Reader};
use sharelock::crypt::name::{self, EntryKind};
use sharelock::crypt::seal::{self, Details, Label};
use sharelock::crypt::{Master, VaultKeys, backend, keyfile, notice, pad, recovery, siv, small};
use sharelock::error::{Kind, Result};
use sharelock::id::{Id, Oid};
use sharelock::path::Name;
use sharelock::tree::Writer;
use std::collections::BTreeMap;
use std::path::Path;
use support::Fixed;

fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn rows(name: &str) -> Vec<Value> {
    let rows = load(name).as_array().unwrap().clone();
    assert!(rows.len() > 5);
    rows
}

fn hex(v: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(v.as_str().unwrap().as_bytes()).unwrap()
}

fn array<const N: usize>(v: &Value) -> [u8; N] {
    hex(v).try_into().unwrap()
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap()
}

fn keys() -> VaultKeys {
    VaultKeys::new(&Master::from_bytes(&array(&load("keys")["master"])))
}

fn vault() -> Id {
    Id(array(&load("keys")["vault"]))
}

/// Fails unless `got` is refused with the class of the row, or accepted where the row names none.
fn judge<T: std::fmt::Debug>(what: &Value, reject: &Value, got: Result<T>) -> Option<T> {
    let class = |k: Kind| match k {
        Kind::Integrity(c) => c.to_string(),
        Kind::Secret => "secret".into(),
        other => format!("{other:?}"),
    };
    match (reject.as_str(), got) {
        (None, Ok(t)) => Some(t),
        (None, Err(e)) => panic!("{what}: refused: {e}"),
        (Some(want), Ok(t)) => panic!("{what}: accepted where {want} is due: {t:?}"),
        (Some(want), Err(e)) => {
            assert_eq!(class(e.kind()), want, "{what}: {e}");
            None
        }
    }
}

#[test]
fn keys_and_numbers() {
    let (v, keys) = (load("keys"), keys());
    assert_eq!(keys.pep_node(), text(&v["pep"]));
    assert_eq!(keys.vault_file(&vault()).to_vec(), hex(&v["vault_file"]));
    assert_eq!(keys.open_vault_file(&hex(&v["vault_file"])).unwrap(), vault());
    for d in v["dir"].as_array().unwrap() {
        assert_eq!(keys.dir_id(&Id(array(&d[0])), &Name::new(hex(&d[1])).unwrap()), Id(array(&d[2])));
    }
    for p in v["padded"].as_array().unwrap() {
        assert_eq!(pad::padded(p[0].as_u64().unwrap()), p[1].as_u64().unwrap());
    }
    let mask = &v["mask"];
    let iv = siv::iv(&hex(&mask["tag"]));
    assert_eq!(iv.to_vec(), hex(&mask["iv"]));
    let mut stream = [0u8; 64];
    backend::Cipher::new(&array(&mask["key"])).apply(&iv, &mut stream);
    assert_eq!(stream.to_vec(), hex(&mask["stream"]));
}

#[test]
fn vault_files() {
    for r in rows("vault") {
        judge(&r[0], &r[2], keys().open_vault_file(&hex(&r[1])));
    }
}

#[test]
fn names() {
    let keys = keys();
    for r in rows("names") {
        let long = r["long"].as_str().map(|_| hex(&r["long"]));
        let parent = Id(array(&r["parent"]));
        let opened = name::open(&keys, &parent, text(&r["entry"]).as_bytes(), long.as_deref());
        let Some(e) = judge(&r["what"], &r["reject"], opened) else { continue };
        let plain = hex(&r["name"]);
        assert_eq!(e.kind as u64, r["kind"].as_u64().unwrap());
        assert_eq!(e.id, Id(array(&r["id"])));
        assert_eq!(e.name.as_ref().map_or(&[][..], |n| n.as_bytes()), plain);
        assert_eq!(e.kind == EntryKind::Keeper, e.name.is_none());
        let s = name::seal(&keys, &parent, e.kind, &e.id, &plain);
        assert_eq!(&*s.entry, text(&r["entry"]));
        assert_eq!(s.long.as_ref().map(|l| &*l.0), r["long_name"].as_str());
        assert_eq!(s.long.map(|l| l.1), long);
    }
}

fn head(v: &Value) -> FileHead {
    let n = |k: &str| v[k].as_i64().unwrap();
    FileHead {
        id: Id(array(&v["id"])),
        kind: [HeadKind::File, HeadKind::Link, HeadKind::Keeper][n("kind") as usize],
        exec: n("flags") & 1 != 0,
        private: n("flags") & 2 != 0,
        mtime: Time { s: n("s"), ns: n("ns") as u32 },
        offset: n("offset") as i16,
        size: v["size"].as_u64().unwrap(),
        generation: v["generation"].as_u64().unwrap(),
        mac: array(&v["mac"]),
        writer: Writer::new(text(&v["writer"])),
        segment: n("segment") as u8,
        epoch: 0,
    }
}

#[test]
fn small_files() {
    let keys = keys();
    for r in rows("small") {
        let id = Id(array(r.get("id").unwrap_or(&r["head"]["id"])));
        let object = hex(&r["object"]);
        let mut plain = Vec::new();
        let Some(h) = judge(&r["what"], &r["reject"], small::open(&keys, &id, &object, &mut plain)) else {
            assert!(plain.is_empty());
            continue;
        };
        assert_eq!((&h, &plain), (&head(&r["head"]), &hex(&r["plain"])));
        let (mut again, mut out) = (FileHead { mac: [0; 32], ..h.clone() }, Vec::new());
        small::seal(&keys, &mut again, &plain, &mut out).unwrap();
        assert!(again == h && out == object, "{}", r["what"]);
    }
}

/// SHA-256 over a counter: the content of the large vectors.
fn pattern(n: usize) -> Vec<u8> {
    let mut out: Vec<u8> = (0..n.div_ceil(32) as u64).flat_map(|i| <[u8; 32]>::from(Sha256::digest(i.to_be_bytes()))).collect();
    out.truncate(n);
    out
}

#[derive(Clone, Default)]
struct Memory(BTreeMap<Part, Vec<u8>>);

impl Parts for Memory {
    fn part(&self, part: Part, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b[..b.len().min(limit as usize)].to_vec()))
    }
    fn range(&self, part: Part, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&part).map(|b| b.iter().skip(offset as usize).take(len).copied().collect()))
    }
    fn len(&self, part: Part) -> Result<Option<u64>> {
        Ok(self.0.get(&part).map(|b| b.len() as u64))
    }
}

fn part(path: &str) -> Part {
    match path.split_once('/') {
        Some((group, name)) => Part::parse(Some(group.as_bytes()), name.as_bytes()).unwrap(),
        None => Part::parse(None, path.as_bytes()).unwrap(),
    }
}

/// Only the edges: the damage is there, and most segments are like each other.
fn read_edges(keys: &VaultKeys, id: &Id, parts: Memory) -> Result<()> {
    let r = Reader::open(keys, id, parts)?;
    let mut out = Vec::new();
    for s in [0, 1, 255, 256] {
        r.read_segment(s, &mut out)?;
    }
    Ok(())
}

#[test]
fn large_files() {
    let keys = keys();
    let mut last = Memory::default();
    let id = Id([7; 16]);
    for r in rows("large") {
        if let Some(want) = r["parts"].as_object() {
            let h = head(&r["head"]);
            let plain = pattern(h.size as usize);
            let mut w = large::Writer::new(&keys, FileHead { mac: [0; 32], ..h.clone() }).unwrap();
            let (step, mut out) = (1 << h.segment, Vec::new());
            last = Memory::default();
            for s in 0..w.segments() as usize {
                let at = (s * step).min(plain.len());
                let p = w.segment(&plain[at..(at + step).min(plain.len())], &mut out).unwrap();
                last.0.insert(p, out.clone());
                last.0.extend(w.take_index());
            }
            assert_eq!(w.finish(&mut out).unwrap(), h, "{}", r["what"]);
            assert_eq!(out, hex(&r["head_object"]));
            last.0.insert(Part::Head, out);
            let got: BTreeMap<String, String> = last
                .0
                .iter()
                .map(|(p, o)| {
                    let (dir, name) = p.path();
                    (dir.map_or(name.clone(), |d| format!("{d}/{name}")), data_encoding::HEXLOWER.encode(&Sha256::digest(o)))
                })
                .collect();
            let want: BTreeMap<String, String> = want.iter().map(|(k, v)| (k.clone(), text(v).into())).collect();
            assert!(got == want, "{}", r["what"]);
            read_edges(&keys, &id, last.clone()).unwrap();
            continue;
        }
        let mut bad = last.clone();
        if r.get("object").is_some() {
            bad.0.insert(Part::Head, hex(&r["object"]));
        } else {
            let p = part(text(&r["part"]));
            let at = r["at"].as_u64().unwrap_or_default() as usize;
            let object = bad.0.get_mut(&p).unwrap();
            match text(&r["op"]) {
                "flip" => object[at] ^= 1,
                "cut" => object.truncate(at),
                "remove" => drop(bad.0.remove(&p)),
                "swap" => {
                    let other = part(text(&r["at"]));
                    let (a, b) = (bad.0[&p].clone(), bad.0[&other].clone());
                    bad.0.insert(p, b);
                    bad.0.insert(other, a);
                }
                op => panic!("{op}"),
            }
        }
        judge(&r["what"], &r["reject"], read_edges(&keys, &id, bad));
    }
}

#[test]
fn key_files() {
    for r in rows("keyfile") {
        let (file, password) = (hex(&r["file"]), hex(&r["password"]));
        let Some((master, id)) = judge(&r["what"], &r["reject"], keyfile::open(&file, &password)) else { continue };
        assert_eq!((master.as_bytes().to_vec(), id), (hex(&r["master"]), Id(array(&r["vault"]))));
        let cost = keyfile::Cost { memory: r["memory"].as_u64().unwrap() as u32, passes: r["passes"].as_u64().unwrap() as u32 };
        assert_eq!(keyfile::seal(&master, &id, &password, cost, &mut Fixed).unwrap().to_vec(), file);
    }
}

#[test]
fn recovery_keys() {
    for r in rows("recovery") {
        let got = recovery::parse(text(&r["text"]));
        if let (Some(g), Err(e)) = (r["group"].as_u64(), &got) {
            assert!(e.to_string().contains(&format!("group {g}")), "{e}");
        }
        if let Some(master) = judge(&r["what"], &r["reject"], got) {
            assert_eq!(master.as_bytes().to_vec(), hex(&r["master"]));
        }
    }
    let v = load("keys");
    let printed = recovery::print(&Master::from_bytes(&array(&v["master"])));
    for (g, want) in printed.iter().zip(v["recovery"].as_array().unwrap()) {
        assert_eq!(g.as_str(), text(want));
    }
}

fn details(v: &Value) -> Details {
    let list = |k: &str| v[k].as_array().cloned().unwrap_or_default();
    Details {
        device: v.get("1").map(|x| Id(array(x))),
        device_name: v.get("2").and_then(|x| Writer::new(text(x))),
        time: Time { s: v["3"][0].as_i64().unwrap(), ns: v["3"][1].as_u64().unwrap() as u32 },
        seq: v.get("4").and_then(Value::as_u64),
        height: v["5"].as_u64().unwrap(),
        summary: v.get("6").map(|x| text(x).to_string()),
        vector: list("7").iter().map(|p| (Id(array(&p[0])), p[1].as_u64().unwrap())).collect(),
        supersedes: v.get("8").map(|x| Oid(array(x))),
        adopts: list("9").iter().map(|x| Oid(array(x))).collect(),
        forgets: list("10").iter().map(|x| Id(array(x))).collect(),
    }
}

#[test]
fn commits() {
    let (keys, vault) = (keys(), vault());
    for r in rows("commits") {
        let object = hex(&r["object"]);
        let Some(c) = judge(&r["what"], &r["reject"], seal::open_commit(&keys, &vault, &object)) else { continue };
        if r.get("skipped").is_some() {
            continue;
        }
        let label = if text(&r["label"]) == "main" { Label::Main } else { Label::Staging };
        let parents: Vec<Oid> = r["parents"].as_array().unwrap().iter().map(|p| Oid(array(p))).collect();
        assert_eq!((c.label, c.tree, &c.parents, &c.details), (label, Oid(array(&r["tree"])), &parents, &details(&r["details"])));
        let again = seal::write_commit(&keys, &vault, label, &c.tree, &parents, &c.details).unwrap();
        assert!(again == object, "{}", r["what"]);
    }
}

#[test]
fn notices() {
    let keys = keys();
    for r in rows("notices") {
        let got = notice::open(&keys, text(&r["text"]).as_bytes(), |_| r["last"].as_u64());
        let Some(n) = judge(&r["what"], &r["reject"], got) else { continue };
        let number = |k: &str| r[k].as_u64().unwrap();
        assert_eq!((n.device, n.head), (Id(array(&r["device"])), Oid(array(&r["head"]))));
        assert_eq!((n.counter, n.seq, n.height), (number("counter"), number("seq"), number("height")));
        assert_eq!(notice::seal(&keys, &n), text(&r["text"]));
    }
}
