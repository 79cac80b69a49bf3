//! Notices between the devices of a vault (FORMAT 9): what is sent after a push, and what of others' is taken.

use super::worker::RealDevice;
use crate::clock::Clock;
use crate::crypt::VaultKeys;
use crate::crypt::notice::{self, Notice};
use crate::error::Result;
use crate::files::Files;
use crate::git::store::Store;
use crate::id::{Id, Oid};
use crate::mirror::devices::Seen;
use crate::mirror::{self, commit, history};
use crate::state::State;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// State value: the counter of this device's last notice.
const OWN: &str = "notice/own";
/// State values: the counter of the last notice that was taken from a device; followed by its id.
const FROM: &str = "notice/from/";

/// The resource with which a device logs in at an XMPP server. Who knows the vault's devices knows which one it is; to
/// all others it is a random number.
pub fn resource(keys: &VaultKeys, device: &Id) -> String {
    let hash = Sha256::new().chain_update(b"sharelock/resource\0").chain_update(keys.pep_node()).chain_update(device.0).finalize();
    format!("sharelock-{}", data_encoding::HEXLOWER.encode(&hash[..8]))
}

fn counter(d: &RealDevice, key: &str) -> Result<Option<u64>> {
    Ok(d.state.value(key)?.and_then(|b| Some(u64::from_be_bytes(b.try_into().ok()?))))
}

/// The notice that `head` is at a node now, as text.
pub fn seal(d: &mut RealDevice, head: Option<Oid>) -> Result<Option<String>> {
    let Some(head) = head else { return Ok(None) };
    let now = d.clock.now();
    let millis = u64::try_from(now.s).unwrap_or(0) * 1000 + u64::from(now.ns / 1_000_000);
    let n = Notice {
        device: d.id,
        counter: counter(d, OWN)?.map_or(0, |last| last.saturating_add(1)).max(millis),
        seq: counter(d, commit::SEQ)?.unwrap_or(0),
        height: commit::open(&d.git, &d.keys, &d.vault, &head)?.details.height,
        head,
    };
    // Before it goes out: a counter is never used twice.
    d.state.set_value(OWN, Some(&n.counter.to_be_bytes()))?;
    d.state.commit()?;
    Ok(Some(notice::seal(&d.keys, &n)))
}

/// Opens what came from the server. `None`: this device's own, or of a head that this device has already.
///
/// # Errors
/// Integrity: not of this vault, damaged, or seen before.
pub fn open(d: &mut RealDevice, sealed: &[u8]) -> Result<Option<Notice>> {
    let n = notice::open(&d.keys, sealed, |id| counter(d, &format!("{FROM}{id}")).ok().flatten())?;
    if n.device == d.id {
        return Ok(None);
    }
    d.state.set_value(&format!("{FROM}{}", n.device), Some(&n.counter.to_be_bytes()))?;
    d.state.commit()?;
    Ok(Some(n))
}

/// True if a head is settled: this device has it.
pub fn is_here(d: &RealDevice, head: &Oid) -> Result<bool> {
    match super::round::head(d)? {
        Some(ours) => history::contains(d, &ours, head),
        None => Ok(false),
    }
}

/// A device of the vault, as the history knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its resource at an XMPP server.
    pub resource: String,
    /// The time of its newest change, in seconds since 1970.
    pub changed: i64,
    /// It was taken off the list, and is not shown.
    pub forgotten: bool,
}

/// The devices that the newest `limit` commits below `head` name.
pub fn devices(d: &RealDevice, head: Oid, limit: usize) -> Result<BTreeMap<Id, Known>> {
    devices_in(&d.git, &d.keys, &d.vault, head, limit)
}

/// [`devices`], where there is a repository and no device yet.
pub fn devices_in<F: Files>(git: &Store<F>, keys: &VaultKeys, vault: &Id, head: Oid, limit: usize) -> Result<BTreeMap<Id, Known>> {
    let known = |(id, d): (Id, Seen)| {
        let known = Known { name: d.name, resource: resource(keys, &id), changed: d.changed.s, forgotten: d.forgotten };
        (id, known)
    };
    Ok(mirror::devices::devices(git, keys, vault, head, limit)?.into_iter().map(known).collect())
}
