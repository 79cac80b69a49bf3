//! What can this disk do? Found out by trying, never by the name of a file system: mount options, FUSE and network
//! disks make names lie.

use super::real::{Dir, Disk};
use super::{Files, Open, Traits};
use crate::clock::Time;
use std::io;

/// What is assumed where nothing can be tried (a root that is read-only or full). Calls that turn out to be missing
/// are still noticed when they are made.
pub(super) const HOPED: Traits = Traits::ALL;

/// Tries everything in a temporary directory below the root, and removes it.
///
/// # Errors
/// What the disk says, except that it is read-only, full, or not ours to write to: then [`HOPED`].
pub(super) fn traits(disk: &Disk) -> io::Result<Traits> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!(".sharelock-tmp-{:016x}", u64::from_be_bytes(random)).into_bytes();
    let root = disk.root();
    sweep(disk, &root);
    let tried = disk.mkdir(&root, &name, 0o700).and_then(|()| {
        let tried = disk.open_dir(&root, &name).and_then(|dir| try_all(disk, &dir));
        // Whatever was made is removed, also after a failure.
        if let Ok(dir) = disk.open_dir(&root, &name) {
            for (entry, _) in disk.list(&dir).unwrap_or_default() {
                let _ = disk.unlink(&dir, &entry);
            }
        }
        let removed = disk.rmdir(&root, &name);
        tried.and_then(|t| removed.map(|()| t))
    });
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match tried {
        Err(e) if matches!(e.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull) => Ok(HOPED),
        tried => tried,
    }
}

/// True if a name of the root is found in the other case, too, though nothing is listed under that. A root without letters
/// tells nothing: false.
pub(super) fn looks_folded(disk: &Disk) -> io::Result<bool> {
    let root = disk.root();
    let names = disk.list(&root)?;
    let flip = |name: &[u8]| -> Vec<u8> {
        name.iter().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
    };
    for (name, _) in &names {
        let other = flip(name);
        if other[..] != name[..] && name.is_ascii() && !names.iter().any(|(n, _)| n[..] == other[..]) {
            return Ok(disk.stat(&root, &other)?.is_some());
        }
    }
    Ok(false)
}

/// Removes the directory of an earlier trial that was killed. Only directories are of this kind (temporary files of
/// other work are files), and one with anything else in it stays.
fn sweep(disk: &Disk, root: &Dir) {
    for (name, _) in disk.list(root).unwrap_or_default() {
        let ours = name.strip_prefix(b".sharelock-tmp-").is_some_and(|hex| hex.len() == 16 && hex.iter().all(u8::is_ascii_hexdigit));
        let Some(dir) = ours.then(|| disk.open_dir(root, &name).ok()).flatten() else { continue };
        for entry in [&b"a"[..], b"b", b"c", b"l", "\u{e9}".as_bytes()] {
            let _ = disk.unlink(&dir, entry);
        }
        let _ = disk.rmdir(root, &name);
    }
}

fn try_all(disk: &Disk, dir: &Dir) -> io::Result<Traits> {
    let file = disk.create(dir, b"a", 0o600)?;
    let mode = |m: u32| -> io::Result<u32> {
        // A refusal is an answer, too: the bits then show what the disk makes of it.
        let _ = file.set_mode(m);
        Ok(file.stat()?.mode)
    };
    let (private, exec, shared) = (mode(0o600)?, mode(0o700)?, mode(0o644)?);
    // Odd seconds and nine digits: whatever is cut off shows the step.
    file.set_mtime(Time { s: 1_000_000_001, ns: 123_456_789 })?;
    drop(file);
    let mtime = disk.stat(dir, b"a")?.ok_or(io::ErrorKind::NotFound)?.mtime;

    let folds_case = disk.stat(dir, b"A")?.is_some();
    disk.create(dir, "\u{e9}".as_bytes(), 0o600)?;
    let folds_form = disk.stat(dir, "e\u{301}".as_bytes())?.is_some();

    disk.create(dir, b"b", 0o600)?;
    let ino = |name: &[u8]| disk.stat(dir, name).map(|s| s.map(|s| s.ino));
    let before = (ino(b"a")?, ino(b"b")?);
    let exchange = disk.exchange(dir, b"a", dir, b"b").is_ok() && (ino(b"b")?, ino(b"a")?) == before;
    let links = disk.symlink(b"x", dir, b"l").is_ok();
    Ok(Traits {
        folds_case,
        folds_form,
        exec_bit: private & 0o111 == 0 && exec & 0o100 != 0,
        modes: private & 0o077 == 0 && shared & 0o077 == 0o044,
        time_step: step(mtime),
        noreplace: disk.has_noreplace(dir, b"a", b"b", b"c"),
        exchange,
        links,
    })
}

/// The granularity that turned 1_000_000_001.123456789 s into `t`.
fn step(t: Time) -> u64 {
    if t.s % 2 == 0 {
        return 2_000_000_000;
    }
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]
        .into_iter()
        .rev()
        .find(|&step| t.ns.is_multiple_of(step) && t.ns != 0)
        .map_or(1_000_000_000, u64::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_times_is_what_was_cut_off() {
        for (s, ns, want) in [
            (1_000_000_001, 123_456_789, 1),
            (1_000_000_001, 123_456_700, 100),
            (1_000_000_001, 123_456_000, 1_000),
            (1_000_000_001, 120_000_000, 10_000_000),
            (1_000_000_001, 0, 1_000_000_000),
            (1_000_000_000, 0, 2_000_000_000),
            (1_000_000_002, 0, 2_000_000_000),
        ] {
            assert_eq!(step(Time { s, ns }), want, "{s}.{ns:09}");
        }
    }
}
