//! `join`: another device.

use super::{first_sync, keep_key, make_folders, plan, write_config};
use crate::agent::round::StorageNode;
use crate::agent::{exchange, notices};
use crate::cli::args::{self, Join, Secrets};
use crate::cli::nodes::{Node, Vouch};
use crate::cli::open::{self, Vault};
use crate::cli::places::{self, Places};
use crate::cli::{nodes, progress, secret, voice};
use crate::config::{Remote as Configured, Wishes};
use crate::crypt::{Master, keyfile};
use crate::error::{Error, Kind, Result};
use crate::git::{Type, limit, object};
use crate::id::{Id, Oid};
use crate::mirror::progress::Progress;
use crate::mirror::secure::{self, MAIN};
use crate::mirror::{commit, scan, sealed, survey};
use crate::state::State;

/// Commits that are looked at for the names of the vault's devices.
const HEARD: usize = 300;

/// Sets up another device.
pub fn join(places: Places, secrets: &Secrets, a: Join) -> Result<u8> {
    let p = plan(&places, &a.share, &a.secure, &a.device)?;
    places.make()?;
    let lock = places.lock()?;
    eprintln!("device  {}   (another name: --device NAME)", p.device);
    let remote = Configured { name: "origin".into(), url: nodes::absolute(&a.url, &places) };
    let progress = progress::on_standard_error();
    let mut node = nodes::open_new(&remote, &places, &Vouch::first(a.host_key.clone()), &progress)?;
    let refs = nodes::let_in(&mut node, &places, &p.device)?;
    let Some(head) = refs.get(MAIN).copied() else {
        return Err(Error::new(Kind::Failed, format!("{} has no vault yet", node.place))
            .detail("nothing was changed")
            .remedy("to make one there", format!("sharelock init --remote {}", a.url)));
    };
    if std::fs::read_dir(&p.secure).is_ok_and(|mut d| d.next().is_some()) {
        return Err(Error::new(Kind::Usage, format!("{} is not empty", places.short(&p.secure)))
            .detail("nothing was changed")
            .remedy("another folder", "sharelock join URL --secure DIR"));
    }
    let had_secure = p.secure.exists();
    make_folders(&p)?;
    let got = fetch_and_unlock(&places, &p, &a, &mut node, &head, &progress).and_then(|(master, vault)| {
        let which = "password for this device (may differ from the others')";
        keep_key(&places, secrets, (&master, &vault), a.start_without_password, which)?;
        Ok((master, vault))
    });
    let (master, vault) = match got {
        Ok(got) => got,
        Err(e) => {
            // Only ciphertext that was just fetched lies in .git. What somebody else has put beside it meanwhile stays.
            let _ = std::fs::remove_dir_all(p.secure.join(".git"));
            if !had_secure {
                let _ = std::fs::remove_dir(&p.secure);
            }
            return Err(e);
        }
    };
    let config = write_config(&places, &p, &Wishes::default(), std::slice::from_ref(&remote))?;
    let mut v = open::assemble(places, config, lock, &master, vault, progress)?;
    scan::mark_root(&v.device.share, &vault)?;
    if a.key_file.is_none() {
        v.device.state.set_value(open::key::CHECKED, Some(b"1"))?;
    }
    show_compared(&v, &head)?;
    first_sync(v, std::slice::from_mut(&mut node), |_, n| {
        println!("done: this device has everything: {}. start at login: sharelock service install", voice::files(n));
    })
}

/// Says what of the share is in the vault already, and what becomes of the rest.
fn show_compared(v: &Vault, head: &Oid) -> Result<()> {
    let (d, progress) = (&v.device, &v.device.settings.progress);
    let compared = survey::compare(&d.share, &d.settings.ignore, &d.git, &d.keys, &secure::tree_of(d, head)?, progress);
    progress.end();
    let c = compared?;
    let all = c.same + c.only_here + c.differ;
    if all == 0 {
        return Ok(());
    }
    eprintln!("\n{} has {} already", v.places.short(&v.config.share), voice::files(all));
    let mut names = c.named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if c.differ > c.named.len() as u64 {
        names.push_str(&format!(", {} more", voice::count(c.differ - c.named.len() as u64)));
    }
    let verb = |n: u64, one: &str, more: &str| if n == 1 { one.to_string() } else { more.to_string() };
    let rows = [
        (c.same, verb(c.same, "is the same as in the vault", "are the same as in the vault"), "nothing to fetch"),
        (c.only_here, verb(c.only_here, "is only here", "are only here"), "will be added"),
        (c.differ, format!("{} ({names})", verb(c.differ, "differs", "differ")), "both versions will be kept"),
    ];
    let width = rows.iter().map(|r| voice::count(r.0).len()).max().unwrap_or(1);
    for (n, what, then) in rows.iter().filter(|r| r.0 > 0) {
        eprintln!("  {:>width$} {what:<32} {then}", voice::count(*n));
    }
    Ok(())
}

/// Fetches the history, so that the key can be checked against the vault it is for, and says what it holds.
fn fetch_and_unlock(
    places: &Places,
    p: &super::Plan,
    a: &Join,
    node: &mut StorageNode<Node>,
    head: &Oid,
    progress: &Progress,
) -> Result<(Master, Id)> {
    let secure = open::disk(&p.secure, places)?;
    let git = open::repository(&secure)?;
    exchange::bring_head(&git, node, &[])?;
    let tree = object::commit_tree(&git.read(head, Type::Commit, limit::COMMIT)?)?;
    let file = git.read(&sealed::vault_entry(&git, &tree)?, Type::Blob, 64)?;
    let master = match &a.key_file {
        Some(f) => {
            let bytes = places::read(&args::path(f), 4096)?;
            let password = match &a.key_password_file {
                Some(f) => secret::from_file(f)?,
                None if secret::can_ask() => secret::ask_hidden("password of that key file: ")?,
                None => {
                    return Err(Error::new(Kind::Usage, "the key file's password is needed, and there is no terminal to ask for it")
                        .remedy("do", "sharelock join URL --key-file F --key-password-file F"));
                }
            };
            keyfile::open(&bytes, &password)?.0
        }
        None => secret::read_recovery(a.recovery_key_file.as_deref())?,
    };
    let (keys, vault) = secret::keys_for(&master, &file)?;
    let c = commit::open(&git, &keys, &vault, head)?;
    let counted = survey::count(&git, &keys, &tree, progress);
    progress.end();
    let (files, bytes) = counted?;
    let mut names: Vec<String> =
        notices::devices_in(&git, &keys, &vault, *head, HEARD)?.into_values().filter(|d| !d.forgotten).map(|d| d.name).collect();
    names.sort();
    let devices = if names.len() == 1 { "device" } else { "devices" };
    let (files, bytes) = (voice::files(files), voice::size(bytes));
    eprintln!("right: the vault has {files}, {bytes}, and the {devices} {}", names.join(", "));
    let by = c.details.device_name.as_ref().map_or("several devices", |n| n.as_str());
    eprintln!("it is at change {}, made by {by} {}", voice::count(c.details.height), voice::time(c.details.time));
    Ok((master, vault))
}
