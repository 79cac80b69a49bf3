//! Resolving the deltas of a pack that was taken in: each gets its id from its content.
//!
//! From the bases outwards: a base is built once for all its children, and the child built last is the next base. So a
//! chain costs one application a link however it is ordered in the pack, and memory is one base, one delta and one
//! result. Bases that the pack lacks (a thin pack) are taken from the store, and appended at the end.

use super::{Ingest, bad};
use crate::error::{Class, Error, Result};
use crate::files::{Files, Open};
use crate::git::entry::Base;
use crate::git::idx::Entry;
use crate::git::pack_write::encode;
use crate::git::store::CHAIN;
use crate::git::{Type, delta, limit, object};
use crate::id::Oid;
use std::collections::BTreeMap;

/// Bytes of resolved bases that are kept for their other children.
const CACHE: usize = 4 << 20;

/// A base: an entry of the pack, or an object of the store.
#[derive(Clone, Copy)]
enum From {
    Pack(usize),
    Store(Oid),
}

/// Which deltas wait for which base, sorted by base.
struct Waiting {
    by_offset: Vec<(u64, u32)>,
    by_oid: Vec<(Oid, u32)>,
}

impl Waiting {
    fn new(deltas: &[(u32, Base)]) -> Waiting {
        let mut w = Waiting { by_offset: Vec::new(), by_oid: Vec::new() };
        for (n, base) in deltas {
            match base {
                Base::None => {}
                Base::Ofs(offset) => w.by_offset.push((*offset, *n)),
                Base::Ref(oid) => w.by_oid.push((*oid, *n)),
            }
        }
        w.by_offset.sort_unstable();
        w.by_oid.sort_unstable();
        w
    }

    /// The deltas that build on an object, at this offset if it is in the pack, and have no id yet. Those of one base get
    /// theirs together, so the first of them tells: a server may send any number of copies of a base.
    fn children(&self, offset: Option<u64>, oid: &Oid, known: impl Fn(usize) -> bool) -> Vec<usize> {
        fn span<K: Ord + Copy>(list: &[(K, u32)], key: K) -> impl Iterator<Item = usize> + '_ {
            let begin = list.partition_point(|e| e.0 < key);
            list[begin..].iter().take_while(move |e| e.0 == key).map(|e| e.1 as usize)
        }
        let mut out = Vec::new();
        if let Some(offset) = offset {
            out.extend(span(&self.by_offset, offset).take_while(|n| !known(*n)));
        }
        out.extend(span(&self.by_oid, *oid).take_while(|n| !known(*n)));
        out
    }
}

impl<F: Files> Ingest<F> {
    /// Gives every delta its id.
    pub(super) fn resolve(&mut self) -> Result<()> {
        if self.deltas.is_empty() {
            return Ok(());
        }
        let waiting = Waiting::new(&self.deltas);
        for offset in waiting.by_offset.iter().map(|w| w.0) {
            self.at_offset(offset)?;
        }
        let mut cache = Cache::default();
        for n in 0..self.items.len() {
            if matches!(self.base(n), Base::None) {
                self.expand(From::Pack(n), &waiting, &mut cache)?;
            }
        }
        let mut outside = Vec::new();
        for (i, (oid, n)) in waiting.by_oid.iter().enumerate() {
            let again = i > 0 && waiting.by_oid[i - 1].0 == *oid;
            if !again && self.items[*n as usize].oid == Oid::ZERO && self.store.contains(oid)? {
                self.expand(From::Store(*oid), &waiting, &mut cache)?;
                outside.push(*oid);
            }
        }
        if let Some(n) = self.items.iter().position(|i| i.oid == Oid::ZERO) {
            return Err(match self.base(n) {
                Base::Ref(oid) => Error::integrity(Class::Absent, format!("the pack that was sent builds on {oid}, which is not here")),
                _ => Error::integrity(Class::Absent, "the pack that was sent builds on objects that are not here"),
            });
        }
        self.append(&outside)
    }

    /// Builds all that builds on a base, directly or not.
    fn expand(&mut self, root: From, waiting: &Waiting, cache: &mut Cache) -> Result<()> {
        let mut todo = vec![root];
        while let Some(from) = todo.pop() {
            let (offset, oid) = match from {
                From::Pack(n) => (Some(self.items[n].offset), self.items[n].oid),
                From::Store(oid) => (None, oid),
            };
            // Children that have their id already were reached by another copy of their base.
            let children = waiting.children(offset, &oid, |n| self.items[n].oid != Oid::ZERO);
            if children.is_empty() {
                continue;
            }
            let (kind, base) = self.build(from, cache)?;
            let mut last = None;
            for n in children {
                let (_, d) = self.read_entry(self.items[n].offset)?;
                let content = delta::apply(&base, &d, kind.limit())?;
                self.items[n].oid = object::id(kind, &content);
                if let Some(offset) = offset
                    && let Ok(i) = self.delta(n)
                {
                    self.deltas[i].1 = Base::Ofs(offset);
                }
                todo.push(From::Pack(n));
                if let Some((offset, content)) = last.replace((self.items[n].offset, content)) {
                    cache.put(offset, kind, content);
                }
            }
            cache.put(offset.unwrap_or(0), kind, base);
            cache.hot = last.map(|(offset, content)| (offset, kind, content));
        }
        Ok(())
    }

    /// The content of an entry that has its id, or of an object of the store.
    fn build(&self, from: From, cache: &mut Cache) -> Result<(Type, Vec<u8>)> {
        let mut deltas = Vec::new();
        let mut at = from;
        let (kind, mut content) = loop {
            let n = match at {
                From::Store(oid) => break self.store.read_any(&oid, limit::TREE)?,
                From::Pack(n) => n,
            };
            let item = &self.items[n];
            if let Some(known) = cache.take(item.offset) {
                break known;
            }
            at = match self.base(n) {
                Base::None => match self.read_entry(item.offset)? {
                    (Some(kind), content) => break (kind, content),
                    (None, _) => return Err(bad("a delta without a base")),
                },
                Base::Ofs(offset) => From::Pack(self.at_offset(offset)?),
                Base::Ref(oid) => From::Store(oid),
            };
            deltas.push(item.offset);
            if deltas.len() > CHAIN {
                return Err(bad("a chain of deltas without an end"));
            }
        };
        while let Some(offset) = deltas.pop() {
            let (_, d) = self.read_entry(offset)?;
            content = delta::apply(&content, &d, kind.limit())?;
        }
        Ok((kind, content))
    }

    fn at_offset(&self, offset: u64) -> Result<usize> {
        self.items.binary_search_by_key(&offset, |i| i.offset).map_err(|_| bad("a delta whose base is no object"))
    }

    /// What the object of this number builds on.
    fn base(&self, n: usize) -> Base {
        self.delta(n).map_or(Base::None, |i| self.deltas[i].1)
    }

    /// Its place among the deltas, if it is one.
    fn delta(&self, n: usize) -> std::result::Result<usize, usize> {
        self.deltas.binary_search_by_key(&(n as u32), |d| d.0)
    }

    /// Completes a thin pack with the bases that it lacks.
    fn append(&mut self, outside: &[Oid]) -> Result<()> {
        if outside.is_empty() {
            return Ok(());
        }
        let mut by_oid: Vec<(Oid, usize)> = self.items.iter().enumerate().map(|(n, i)| (i.oid, n)).collect();
        by_oid.sort_unstable();
        let find = |oid: &Oid| by_oid.binary_search_by_key(oid, |e| e.0).ok().map(|i| by_oid[i].1);
        for oid in outside {
            let Some(first) = find(oid) else {
                let (kind, content) = self.store.read_any(oid, limit::TREE)?;
                let mut entry = Vec::new();
                encode(kind, &content, &mut |piece| {
                    entry.extend_from_slice(piece);
                    Ok(())
                })?;
                self.pack.file.write_at(self.len, &entry)?;
                self.items.push(Entry { oid: *oid, crc: crc32fast::hash(&entry), offset: self.len });
                self.len += entry.len() as u64;
                continue;
            };
            // The pack has it after all, as a delta on something. On disk the two would find each other for ever, if
            // that something builds on this one.
            let mut at = first;
            for step in 0.. {
                let next = match self.base(at) {
                    Base::None => break,
                    Base::Ofs(offset) => Some(self.at_offset(offset)?),
                    Base::Ref(oid) => find(&oid),
                };
                let Some(next) = next else { break };
                if next == first || step > CHAIN {
                    return Err(bad("deltas that build on each other"));
                }
                at = next;
            }
        }
        Ok(())
    }
}

/// A few resolved objects, by offset, and the one that is wanted next, however large.
#[derive(Default)]
struct Cache {
    hot: Option<(u64, Type, Vec<u8>)>,
    by_offset: BTreeMap<u64, (Type, Vec<u8>)>,
    bytes: usize,
}

impl Cache {
    fn take(&mut self, offset: u64) -> Option<(Type, Vec<u8>)> {
        if let Some((at, kind, content)) = self.hot.take() {
            if at == offset {
                return Some((kind, content));
            }
            self.put(at, kind, content);
        }
        self.by_offset.get(&offset).cloned()
    }

    fn put(&mut self, offset: u64, kind: Type, content: Vec<u8>) {
        // Offset 0 is the pack's header: a base from the store is not kept.
        if offset == 0 || content.len() > CACHE / 4 || self.by_offset.contains_key(&offset) {
            return;
        }
        if self.bytes + content.len() > CACHE {
            self.by_offset.clear();
            self.bytes = 0;
        }
        self.bytes += content.len();
        self.by_offset.insert(offset, (kind, content));
    }
}
