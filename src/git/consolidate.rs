//! Fewer packs out of many, so that thousands of syncs do not leave thousands of packs.
//!
//! Entries are copied as they stand, deltas included, checked by the CRC-32 that the index keeps for just this
//! (gitformat-pack(5)). Memory: about 100 bytes an object of the packs that are put together.

use super::idx::Entry;
use super::pack_write::{REF_DELTA, head_of};
use super::store::{Head, Pack, Store, damaged, entry_head};
use crate::error::Result;
use crate::files::Files;

/// From this many packs on, small ones are put together.
const MANY: usize = 24;
/// Packs above this size or count are left as they are.
const LARGE: u64 = 256 << 20;
const MOST: u64 = 100_000;

impl<F: Files> Store<F> {
    /// Puts small packs together when there are many. The new pack is durable before an old one is removed.
    ///
    /// Geometric: from the smallest up, as long as the next is less than twice what has been gathered; so an object is
    /// copied a logarithmic number of times. Packs that git is told to leave alone (`.keep`, `.promisor`, `.mtimes`)
    /// are left alone.
    pub fn consolidate(&self) -> Result<()> {
        let mut packs = self.pack_list();
        if packs.len() < MANY {
            return Ok(());
        }
        packs.retain(|p| p.size < LARGE && u64::from(p.idx.len()) < MOST);
        packs.sort_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)));
        let mut chosen = Vec::new();
        let (mut bytes, mut objects) = (0u64, 0u64);
        for p in packs {
            objects += u64::from(p.idx.len());
            if chosen.len() >= MANY / 2 && p.size > 2 * bytes || objects > MOST {
                break;
            }
            if !self.set_aside(&p.name)? {
                bytes += p.size;
                chosen.push(p);
            }
        }
        if chosen.len() < 2 {
            return Ok(());
        }
        let mut writer = self.pack_writer()?;
        for p in &chosen {
            // A base stands in its delta's own pack. If the writer has it already, it has it from an earlier pack with
            // all that it builds on: so no chain can close to a ring.
            let mut entries = p.idx.entries()?;
            entries.sort_unstable_by_key(|e| e.offset);
            for (i, e) in entries.iter().enumerate() {
                if !writer.has(&e.oid) {
                    let end = entries.get(i + 1).map_or(p.size.saturating_sub(20), |next| next.offset);
                    let (head, body) = start(p, e, &entries)?;
                    writer.copy(e, &head, &p.file, body, end).map_err(|err| err.at(format!("{}.pack", p.name)))?;
                }
            }
        }
        // What comes out may be, to the byte, one of the packs that went in: that one stays.
        let made = writer.finish()?;
        for p in chosen.iter().filter(|p| Some(&p.name) != made.as_ref()) {
            self.remove_pack(&p.name)?;
        }
        self.refresh()
    }
}

/// How an entry begins in the new pack: with the base of a delta named by id, for offsets change.
fn start<F: Files>(pack: &Pack<F>, e: &Entry, by_offset: &[Entry]) -> Result<(Vec<u8>, u64)> {
    let (head, len, body) = entry_head(pack, e.offset)?;
    let (kind, base) = match head {
        Head::Whole(kind) => (kind.to_pack(), None),
        Head::Ref(oid) => (REF_DELTA, Some(oid)),
        Head::Ofs(offset) => match by_offset.binary_search_by_key(&offset, |e| e.offset) {
            Ok(i) => (REF_DELTA, Some(by_offset[i].oid)),
            Err(_) => return Err(damaged(&pack.name, e.offset)),
        },
    };
    let mut out = Vec::new();
    head_of(kind, len, &mut out);
    out.extend(base.iter().flat_map(|oid| oid.0));
    Ok((out, body))
}
