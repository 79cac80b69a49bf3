//! The history as a graph: which commits are new, what contains what, where two heads last agreed, and whether what a
//! remote shows may be accepted (FORMAT 9).
//!
//! Heights are sealed and grow from parent to child, so a walk in order of falling height meets every child before its
//! parents: one pass paints what each side has, and its cost is the divergence, not the history. A commit that
//! 'supersedes' another counts as its child everywhere here.

use super::Device;
use super::commit::{self, Commit};
use crate::clock::{Clock, Random, Time};
use crate::crypt::seal::{self, Label};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::id::Oid;
use crate::state::State;
use std::collections::{BTreeMap, BinaryHeap};

const OURS: u8 = 1;
const THEIRS: u8 = 2;
const STALE: u8 = 4;

/// What one walk from two sides found.
#[derive(Debug, Default)]
pub struct Walk {
    /// Commits that only their side has, children before parents.
    pub only_theirs: Vec<Oid>,
    /// Commits that only our side has.
    pub only_ours: Vec<Oid>,
    /// Merge bases: the newest commits that both have, oldest first by (sealed time, id).
    pub bases: Vec<Oid>,
}

/// The commits that count as parents: git's, and the one that this commit supersedes.
pub fn parents(c: &Commit) -> Vec<Oid> {
    let mut out = c.parents.clone();
    out.extend(c.details.supersedes);
    out
}

/// Walks from `ours` and `theirs` until only common history is left. Every commit on the way is opened (so its seal
/// holds) and checked against its parents.
pub fn walk<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, ours: &[Oid], theirs: &[Oid]) -> Result<Walk> {
    let mut paint: BTreeMap<Oid, u8> = BTreeMap::new();
    let mut open: BTreeMap<Oid, Commit> = BTreeMap::new();
    let mut queue: BinaryHeap<(u64, Oid)> = BinaryHeap::new();
    let mut out = Walk::default();
    let mut bases: Vec<(Time, Oid)> = Vec::new();
    let mut active = 0usize; // Queued commits that are not known to be common and stale.
    let push = |oid: Oid,
                flags: u8,
                paint: &mut BTreeMap<Oid, u8>,
                open: &mut BTreeMap<Oid, Commit>,
                queue: &mut BinaryHeap<(u64, Oid)>,
                active: &mut usize|
     -> Result<()> {
        let old = paint.get(&oid).copied();
        let new = old.unwrap_or(0) | flags;
        if old == Some(new) {
            return Ok(());
        }
        paint.insert(oid, new);
        if old.is_none() {
            let c = commit::open(&d.git, &d.keys, &d.vault, &oid)?;
            queue.push((c.details.height, oid));
            if new & STALE == 0 {
                *active += 1;
            }
            open.insert(oid, c);
        } else if old.unwrap_or(0) & STALE == 0 && new & STALE != 0 && open.contains_key(&oid) {
            *active -= 1;
        }
        Ok(())
    };
    for o in ours {
        push(*o, OURS, &mut paint, &mut open, &mut queue, &mut active)?;
    }
    for t in theirs {
        push(*t, THEIRS, &mut paint, &mut open, &mut queue, &mut active)?;
    }
    while active > 0 {
        let Some((_, oid)) = queue.pop() else { break };
        let Some(c) = open.remove(&oid) else { continue };
        let mut flags = paint.get(&oid).copied().unwrap_or(0);
        if flags & STALE == 0 {
            active -= 1;
            match flags {
                OURS => out.only_ours.push(oid),
                THEIRS => out.only_theirs.push(oid),
                _ => {
                    bases.push((c.details.time, oid));
                    flags |= STALE;
                }
            }
        }
        let mut greatest = 0;
        for p in parents(&c) {
            let superseded = c.details.supersedes == Some(p);
            // A parent that was dropped with shallow or superseded history may be missing; ours never are.
            if superseded && !d.git.contains(&p)? {
                continue;
            }
            push(p, flags, &mut paint, &mut open, &mut queue, &mut active)?;
            greatest = greatest.max(match open.get(&p) {
                Some(parent) => checked(parent, &c)?,
                None if superseded => 0,
                // It was met before its child: only a false height brings that about.
                None => checked(&commit::open(&d.git, &d.keys, &d.vault, &p)?, &c)?,
            });
        }
        // What is ours was accepted; what supersedes may stand on a commit that is gone; what adopts, on unsealed ones.
        if flags == THEIRS && c.details.supersedes.is_none() && c.details.adopts.is_empty() {
            seal::check_height(greatest, &c)?;
        }
    }
    bases.sort();
    out.bases = bases.into_iter().map(|(_, o)| o).collect();
    Ok(out)
}

/// The height of a parent that a child may have.
fn checked(parent: &Commit, child: &Commit) -> Result<u64> {
    seal::check_child(parent, child)?;
    Ok(parent.details.height)
}

/// True if `head` is `x` or has it among its ancestors (or supersedes it).
pub fn contains<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, head: &Oid, x: &Oid) -> Result<bool> {
    if head == x {
        return Ok(true);
    }
    if !d.git.contains(x)? {
        return Ok(false);
    }
    Ok(walk(d, &[*head], &[*x])?.only_theirs.is_empty())
}

/// The remembered head of a remote.
pub fn seen_ref(remote: &str) -> String {
    format!("refs/sharelock/seen/{remote}")
}

/// All remembered heads, by remote.
pub fn seen<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<Vec<(String, Oid)>> {
    const PREFIX: &str = "refs/sharelock/seen/";
    Ok(d.git.refs(PREFIX)?.into_iter().map(|(name, oid)| (name[PREFIX.len()..].to_string(), oid)).collect())
}

/// Checks what a remote shows as its head, after its objects have been fetched. `ours`: our head, if there is one;
/// `remembered`: what this remote showed last.
///
/// Refuses (Integrity): a commit without a valid seal, a staging commit, another root, a head that does not contain the
/// remembered one (`stale`), an epoch older than the newest seen.
pub fn accept<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    head: &Oid,
    ours: Option<&Oid>,
    remembered: Option<&Oid>,
) -> Result<Walk> {
    let mut known: Vec<Oid> = ours.into_iter().copied().collect();
    for (_, oid) in seen(d)? {
        if d.git.contains(&oid)? && !known.contains(&oid) {
            known.push(oid);
        }
    }
    // What is accepted is judged against everything accepted before; what is merged, against our head alone.
    let fresh = walk(d, &known, &[*head])?;
    for oid in &fresh.only_theirs {
        let c = commit::open(&d.git, &d.keys, &d.vault, oid)?;
        if c.label != Label::Main {
            return Err(Error::integrity(Class::Auth, format!("commit {oid} is half of an unfinished transfer, not a state of the vault")));
        }
        if parents(&c).is_empty() && !known.is_empty() {
            return Err(Error::integrity(Class::Auth, format!("commit {oid} begins another history; this vault has its own")));
        }
        let root = super::sealed::vault_entry(&d.git, &c.tree)?;
        if root != crate::git::object::id(crate::git::Type::Blob, &d.keys.vault_file(&d.vault)) {
            return Err(Error::integrity(Class::Auth, format!("commit {oid} is of another vault")));
        }
    }
    if let Some(old) = remembered
        && !contains(d, head, old)?
    {
        return Err(Error::integrity(Class::Stale, "the storage node shows an older state than it had before"));
    }
    match ours {
        Some(ours) => walk(d, &[*ours], &[*head]),
        None => Ok(fresh),
    }
}

/// The newest seq of this device in a history (for a device that lost its state).
pub fn newest_seq<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, head: &Oid) -> Result<u64> {
    let mut todo = vec![*head];
    let mut met = std::collections::BTreeSet::new();
    let mut best = 0;
    while let Some(oid) = todo.pop() {
        if !met.insert(oid) {
            continue;
        }
        let c = commit::open(&d.git, &d.keys, &d.vault, &oid)?;
        if c.details.device == Some(d.id) {
            best = best.max(c.details.seq.unwrap_or(0));
        }
        todo.extend(parents(&c).into_iter().filter(|p| d.git.contains(p).unwrap_or(false)));
    }
    Ok(best)
}

/// The error of a remote that went back, as a person reads it.
pub fn went_back<F: Files, S: State, C: Clock, R: Random>(
    d: &Device<F, S, C, R>,
    remote: &str,
    place: &str,
    was: &Oid,
    now: Option<&Oid>,
    show: &dyn Fn(Time) -> String,
) -> Error {
    let describe = |oid: &Oid| commit::open(&d.git, &d.keys, &d.vault, oid).ok();
    let mut line = String::from("it was ");
    match describe(was) {
        Some(c) => {
            line.push_str(&format!("at {}", show(c.details.time)));
            if let Some(name) = &c.details.device_name {
                line.push_str(&format!(" with {}'s change", name.as_str()));
            }
        }
        None => line.push_str("further"),
    }
    match now.map(|o| (o, describe(o))) {
        Some((_, Some(c))) => line.push_str(&format!(", now it shows {}", show(c.details.time))),
        Some((oid, None)) => line.push_str(&format!(", now it shows {oid}, which is not known here")),
        None => line.push_str(", now it shows nothing"),
    }
    let missing = match now {
        Some(now) => walk(d, &[*was], &[*now]).map(|w| w.only_ours.len()).ok(),
        None => None,
    };
    let mut e =
        Error::new(Kind::Integrity(Class::Stale), format!("{remote} ({place}) shows an older state than it had before")).detail(line);
    e = match missing {
        Some(1) => e.detail("1 change is missing there. a restored backup looks like this, an attack too"),
        Some(n) => e.detail(format!("{n} changes are missing there. a restored backup looks like this, an attack too")),
        None => e.detail("a restored backup looks like this, an attack too"),
    };
    let files = d.state.count(crate::state::Table::Head).map(|c| c.0).unwrap_or(0);
    e.detail(format!("nothing was taken from it; this device has all {files} files"))
        .remedy("to store the present state there again", format!("sharelock remote heal {remote}"))
        .remedy("if you don't trust that server", format!("sharelock remote remove {remote}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypt::seal::Details;
    use crate::files::real::Disk;
    use crate::git::Type;
    use crate::id::Id;
    use crate::mirror::commit::{Says, write_own};
    use crate::mirror::packs::Packs;
    use crate::mirror::scan::tests::world::{World, real};
    use crate::state::db::Db;
    use crate::tree::Writer;

    type W = World<Disk, Db>;

    fn put(w: &W, bytes: &[u8]) -> Oid {
        let mut packs = Packs::new(&w.d.git);
        let oid = packs.add(Type::Commit, bytes).unwrap();
        packs.finish().unwrap();
        oid
    }

    /// A commit that another device has sealed.
    fn sealed(w: &W, parents: &[Oid], says: Details) -> Oid {
        put(w, &seal::write_commit(&w.d.keys, &w.d.vault, Label::Main, &Oid([1; 20]), parents, &says).unwrap())
    }

    fn own(w: &W, parents: &[Oid], height: u64, s: i64) -> Oid {
        let details = Details {
            device: Some(Id([3; 16])),
            device_name: Writer::new("pi"),
            time: Time { s, ns: 0 },
            seq: Some(1),
            height,
            ..Details::empty()
        };
        sealed(w, parents, details)
    }

    fn merge(w: &W, parents: &[Oid; 2], height: u64, s: i64) -> Oid {
        sealed(w, parents, Details { time: Time { s, ns: 0 }, height, ..Details::empty() })
    }

    fn walked(w: &W, ours: Oid, theirs: Oid) -> std::result::Result<usize, Class> {
        match walk(&w.d, &[ours], &[theirs]) {
            Ok(found) => Ok(found.only_theirs.len()),
            Err(e) => match e.kind() {
                Kind::Integrity(class) => Err(class),
                k => panic!("{k:?}: {e}"),
            },
        }
    }

    #[test]
    fn a_height_is_one_above_the_greatest_of_the_parents() {
        let w = real();
        let root = own(&w, &[], 1, 10);
        let a = own(&w, &[root], 2, 20);
        let b = own(&w, &[root], 2, 30);
        let c = own(&w, &[b], 3, 40);
        assert_eq!(walked(&w, root, c), Ok(2));
        assert_eq!(walked(&w, root, own(&w, &[root], 3, 20)), Err(Class::Form), "too high");
        assert_eq!(walked(&w, c, own(&w, &[c], 3, 50)), Err(Class::Form), "as high as its parent");
        assert_eq!(walked(&w, c, own(&w, &[c], 2, 50)), Err(Class::Form), "below its parent, which the walk meets first");
        assert_eq!(walked(&w, root, merge(&w, &[a, c], 4, 40)), Ok(4));
        assert_eq!(walked(&w, root, merge(&w, &[a, c], 3, 40)), Err(Class::Form), "above the lower parent only");
        assert_eq!(walked(&w, root, merge(&w, &[a, c], 5, 40)), Err(Class::Form));
        assert_eq!(walked(&w, c, merge(&w, &[a, c], 5, 40)), Err(Class::Form), "with a parent that we have");
    }

    #[test]
    fn each_child_of_a_parent_is_checked_against_it() {
        let w = real();
        let root = own(&w, &[], 1, 10);
        let (good, early) = (own(&w, &[root], 2, 20), own(&w, &[root], 2, 9));
        assert_eq!(walked(&w, root, merge(&w, &[good, early], 3, 20)), Err(Class::Form));
        assert_eq!(walked(&w, root, merge(&w, &[early, good], 3, 20)), Err(Class::Form));
    }

    #[test]
    fn what_supersedes_is_a_child_of_both() {
        let mut w = real();
        let head = own(&w, &[], 1, 10);
        // What a node was last known to have, and this device no longer has in its history.
        let lost = (2..6).fold(head, |at, height| own(&w, &[at], height, 9_999_999_999_i64.min(10 * height as i64)));
        let says = Says { supersedes: Some(lost), ..Says::default() };
        let mut packs = Packs::new(&w.d.git);
        let healed = write_own(&mut w.d, &mut packs, Oid([1; 20]), Some(head), says).unwrap();
        packs.finish().unwrap();
        let details = commit::open(&w.d.git, &w.d.keys, &w.d.vault, &healed).unwrap().details;
        assert_eq!(details.height, 6);
        assert!(contains(&w.d, &healed, &lost).unwrap() && contains(&w.d, &healed, &head).unwrap());
        assert!(!contains(&w.d, &lost, &healed).unwrap());
    }
}
