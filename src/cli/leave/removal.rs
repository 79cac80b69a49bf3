//! What `leave` removes, in an order that can be gone through again from its beginning.

use super::Notes;
use crate::cli::open;
use crate::cli::places::{self, Places};
use crate::cli::{service, voice};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::store::{Store, dir_at, read_small};
use crate::mirror::scan::ROOT_FILE;
use crate::mirror::worktree;
use std::path::Path;

/// The repository of a secure that is given up, while it is being removed.
const OLD: &str = ".git.sharelock-leaving";

/// Removes everything of this device, and says so. The renamed configuration goes last.
///
/// # Errors
/// What cannot be removed; said again, it goes on.
pub fn remove(places: &Places, notes: &Notes, config: Option<&str>, vault: Option<&str>) -> Result<u8> {
    let again =
        |e: Error| e.detail("a part is removed; the plain files stay as they are").remedy("when that is mended", "sharelock leave --yes");
    let told = all(places, notes, config, vault).map_err(again)?;
    println!("sharelock has left this machine: service, state, key and ~/secure are removed");
    println!("~/share stays as it is, {}. {}", voice::files(notes.files), notes.goes_on);
    told.iter().for_each(|line| println!("  {line}"));
    Ok(0)
}

fn all(places: &Places, notes: &Notes, config: Option<&str>, vault: Option<&str>) -> Result<Vec<String>> {
    let folders = open::config_at(places, &places.leaving)?;
    // First whatever could start an agent.
    let mut told = service::remove(places, config, vault)?;
    secure(places, notes, &folders.secure, &mut told)?;
    mark(notes, &folders.share)?;
    let named = |name: &str| {
        ["device-id", "lock", "agent.lock", "agent.sock", "agent.log", "agent.log.1"].contains(&name)
            || name == "device-id.tmp"
            || name.strip_prefix("state.db").is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    clear(&places.state_dir, named)?;
    let mut keys =
        vec![places.key.clone(), places.unlocked.clone(), places.config_dir.join("id_ed25519"), places.config_dir.join("id_ed25519.pub")];
    keys.extend(keys.clone().into_iter().map(|mut k| {
        k.as_mut_os_string().push(".tmp");
        k
    }));
    keys.iter().try_for_each(|k| places::remove_durably(k))?;
    places::remove_durably(&places.leaving)?;
    for dir in [&places.state_dir, &places.config_dir] {
        stays(places, dir, &mut told);
    }
    Ok(told)
}

/// The work tree, then the repository. What is no part of either stays.
fn secure(places: &Places, notes: &Notes, path: &Path, told: &mut Vec<String>) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let files = Disk::open_unprobed(path).map_err(|e| Error::from(e).at(format!("can't open {}", places.short(path))))?;
    if let Ok(dir) = dir_at(&files, ".git") {
        let git = match Store::open(&files, &dir) {
            // Somebody has put something else there: it stays.
            Err(e) if matches!(e.kind(), Kind::Integrity(_)) => None,
            git => Some(git?),
        };
        if let Some(git) = git
            && worktree::is_at(&git, &notes.head)?
        {
            worktree::clear(&files, &git, &notes.head)?;
            files.sync_all()?;
            if worktree::is_only_ours(&git)? {
                files.rename(&files.root(), b".git", &files.root(), OLD.as_bytes())?;
                files.sync_dir(&files.root())?;
            }
        }
    }
    let old = path.join(OLD);
    match std::fs::remove_dir_all(&old) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::from(e).at(format!("can't remove {}", places.short(&old)))),
        _ => {}
    }
    stays(places, path, told);
    Ok(())
}

/// The mark in the share, if it is this vault's.
fn mark(notes: &Notes, share: &Path) -> Result<()> {
    let Ok(share) = Disk::open_unprobed(share) else { return Ok(()) };
    let mark = read_small(&share, &share.root(), ROOT_FILE, 256)?;
    if mark.is_some_and(|m| m.trim_ascii() == notes.vault.to_string().as_bytes()) {
        share.unlink(&share.root(), ROOT_FILE)?;
    }
    Ok(())
}

/// Removes files of a directory by their names.
fn clear(dir: &Path, named: impl Fn(&str) -> bool) -> Result<()> {
    for e in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if e.file_name().to_str().is_some_and(&named) {
            places::remove_durably(&e.path())?;
        }
    }
    Ok(())
}

/// Removes a directory that is empty; else says what is still in it. Other vaults of this user are nobody's matter, and a
/// mount point or a link stays.
fn stays(places: &Places, dir: &Path, told: &mut Vec<String>) {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|n| n != "vaults").map(|n| crate::path::printable(n.as_bytes())).collect();
    names.sort();
    match names.is_empty() {
        true => _ = std::fs::remove_dir(dir),
        false => {
            told.push(format!("{} stays, with what is not sharelock's: {}", places.short(dir), names[..names.len().min(5)].join(", ")))
        }
    }
}
