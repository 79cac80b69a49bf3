//! `init`, and what it has in common with `join`.

mod join;

use super::args::{Init, Secrets};
use super::autosync::{self, Import};
use super::nodes::{Node, Vouch};
use super::open::{self, Vault};
use super::places::{self, Places};
use super::{devices, nodes, progress, secret, sync, voice};
use crate::agent::round::{self, StorageNode};
use crate::clock::Random;
use crate::clock::system::OsRandom;
use crate::config::{self, Config, First, Remote as Configured, Wishes};
use crate::crypt::{Master, keyfile};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::Remote;
use crate::id::Id;
use crate::mirror::scan;
use crate::mirror::secure::MAIN;
use crate::state::{State, Table};
use crate::tree::Writer;
pub use join::join;
use std::path::{Path, PathBuf};

/// The folders and the name of a new device, checked.
struct Plan {
    share: PathBuf,
    secure: PathBuf,
    device: String,
}

fn plan(places: &Places, share: &Option<String>, secure: &Option<String>, device: &Option<String>) -> Result<Plan> {
    if places.leaving.exists() && !places.config.exists() {
        return Err(open::leaving(places));
    }
    if places.config.exists() || places.key.exists() {
        return Err(Error::new(Kind::Usage, format!("this device has a vault already ({})", places.short(&places.config)))
            .detail("nothing was changed")
            .remedy("another one beside it", "sharelock --vault NAME init"));
    }
    let path = |given: &Option<String>, default: &str| -> Result<PathBuf> {
        let p = config::expand(given.as_deref().unwrap_or(default), &places.home);
        Ok(std::path::absolute(p)?)
    };
    let (share, secure) = (path(share, "~/share")?, path(secure, "~/secure")?);
    let real = |p: &Path| -> PathBuf {
        // As far as it is there: what is not there yet cannot be a link.
        let mut there = p.to_path_buf();
        let mut rest = Vec::new();
        while !there.exists() {
            match (there.file_name().map(|n| n.to_os_string()), there.parent().map(Path::to_path_buf)) {
                (Some(n), Some(up)) => {
                    rest.push(n);
                    there = up;
                }
                _ => break,
            }
        }
        let mut out = there.canonicalize().unwrap_or(there);
        rest.into_iter().rev().for_each(|n| out.push(n));
        out
    };
    let all = [
        ("share", real(&share)),
        ("secure", real(&secure)),
        ("the configuration", real(&places.config_dir)),
        ("the state", real(&places.state_dir)),
    ];
    for (i, (a, pa)) in all.iter().enumerate() {
        for (b, pb) in all.iter().skip(i + 1) {
            if i < 2 && (pa.starts_with(pb) || pb.starts_with(pa)) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{a} and {b} may not lie in each other: {} and {}", pa.display(), pb.display()),
                )
                .detail("one would be synced into the other, again and again. nothing was changed"));
            }
        }
    }
    let device = match device {
        Some(d) => d.clone(),
        None => hostname(),
    };
    if Writer::new(&device).is_none() {
        return Err(Error::new(Kind::Usage, format!("{device:?} cannot be a device's name: 1 to 32 bytes without spaces, /, ( and )"))
            .remedy("do", "sharelock init --device NAME"));
    }
    Ok(Plan { share, secure, device })
}

fn hostname() -> String {
    let node = rustix::system::uname();
    let name: String = node
        .nodename()
        .to_string_lossy()
        .chars()
        .take_while(|c| *c != '.')
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(32)
        .collect();
    if name.is_empty() { "device".into() } else { name }
}

fn make_folders(p: &Plan) -> Result<()> {
    for dir in [&p.share, &p.secure] {
        std::fs::create_dir_all(dir).map_err(|e| Error::from(e).at(format!("can't make {}", dir.display())))?;
    }
    Ok(())
}

fn write_config(places: &Places, p: &Plan, wishes: &Wishes, remotes: &[Configured]) -> Result<Config> {
    let (share, secure) = (places.short(&p.share), places.short(&p.secure));
    let text = config::write(&First { share: &share, secure: &secure, device: &p.device, wishes, remotes });
    places::write_private(&places.config, text.as_bytes())?;
    open::config(places)
}

/// Makes a vault.
pub fn init(places: Places, secrets: &Secrets, a: Init) -> Result<u8> {
    let import = match &a.import_autosync {
        Some(file) => autosync::read(&places, file, a.share.as_deref())?,
        None => Import::default(),
    };
    let p = plan(&places, &a.share.clone().or(import.share), &a.secure, &a.device)?;
    let remotes: Vec<Configured> =
        a.remote.iter().map(|url| Configured { name: "origin".into(), url: nodes::absolute(url, &places) }).collect();
    places.make()?;
    let lock = places.lock()?;
    // The node first: it is what fails most often, and nothing has been made yet.
    if a.host_key.is_some() && remotes.is_empty() {
        return Err(Error::new(Kind::Usage, "--host-key is the key of a server, and there is none: --remote is missing"));
    }
    for line in &import.told {
        eprintln!("{line}");
    }
    show_plan(&places, &p);
    let (vouch, progress) = (Vouch::first(a.host_key), progress::on_standard_error());
    let mut nodes = remotes.iter().map(|r| nodes::open_new(r, &places, &vouch, &progress)).collect::<Result<Vec<_>>>()?;
    for (node, r) in nodes.iter_mut().zip(&remotes) {
        if a.create {
            node.remote.create()?;
        }
        if node.remote.refs()?.contains_key(MAIN) {
            return Err(Error::new(Kind::Usage, format!("{} has a vault already", node.place))
                .detail("nothing was changed")
                .remedy("to use it on this device", format!("sharelock join {}", r.url)));
        }
    }
    if std::fs::read_dir(p.secure.join(".git")).is_ok() {
        return Err(Error::new(Kind::Usage, format!("{} is a git repository already", places.short(&p.secure)))
            .detail("nothing was changed")
            .remedy("another folder", "sharelock init --secure DIR"));
    }
    if !secret::can_ask() && a.recovery_key_out.is_none() {
        return Err(Error::new(Kind::Usage, "without a terminal the recovery key has to go into a file")
            .remedy("do", "sharelock init --recovery-key-out FILE --password-file FILE"));
    }
    if let Some(path) = a.recovery_key_out.as_deref().map(Path::new).filter(|p| p.exists()) {
        return Err(places::taken(path));
    }
    let master = Master::random(&mut OsRandom)?;
    let mut vault = Id::ROOT;
    OsRandom.fill(&mut vault.0)?;
    keep_key(&places, secrets, (&master, &vault), a.start_without_password, "password for this device")?;
    let checked = give_recovery(&master, a.recovery_key_out.as_deref())?;
    make_folders(&p)?;
    let config = write_config(&places, &p, &import.wishes, &remotes)?;
    let mut v = open::assemble(places, config, lock, &master, vault, progress)?;
    scan::mark_root(&v.device.share, &vault)?;
    if checked {
        v.device.state.set_value(open::key::CHECKED, Some(b"1"))?;
    }
    round::found(&mut v.device)?;
    first_sync(v, &mut nodes, |v, n| {
        println!(
            "done: {} {} encrypted{}",
            voice::files(n),
            if n == 1 { "is" } else { "are" },
            if v.config.remotes.is_empty() { "" } else { " and stored on origin" }
        );
        println!("  start at login      sharelock service install");
        match v.config.remotes.first() {
            Some(r) => println!("  another device      sharelock join {}", r.url),
            None => println!("  a storage node      sharelock remote add --create NAME URL"),
        }
    })
}

/// What `init` is about to work on.
fn show_plan(places: &Places, p: &Plan) {
    let (files, bytes) = measure(&p.share);
    let (share, secure) = (places.short(&p.share), places.short(&p.secure));
    let width = share.len().max(secure.len());
    let moved = if files == 1 { "it will not be moved or changed" } else { "none of them will be moved or changed" };
    eprintln!("share   {share:<width$}   {}, {}, {moved}", voice::files(files), voice::size(bytes));
    // Names, heads and tags, git's copy of the same, and padding.
    let needs = voice::size(bytes + bytes / 16 + files * 1200);
    let free = free(&p.secure).map_or(String::new(), |free| format!(" ({} are free)", voice::size(free)));
    eprintln!("secure  {secure:<width$}   new, needs about {needs}{free}");
    eprintln!("device  {}\n", p.device);
}

/// Free bytes where a folder is, or will be.
fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|p| p.exists())?;
    Disk::open_unprobed(there).ok()?.free().ok()
}

fn measure(dir: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut todo = vec![dir.to_path_buf()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(d).into_iter().flatten().flatten() {
            match e.file_type() {
                Ok(t) if t.is_dir() => todo.push(e.path()),
                Ok(_) => {
                    files += 1;
                    bytes += e.metadata().map_or(0, |m| m.len());
                }
                Err(_) => {}
            }
        }
    }
    (files, bytes)
}

fn keep_key(places: &Places, secrets: &Secrets, (master, vault): (&Master, &Id), without: bool, which: &str) -> Result<()> {
    // A machine without a keyboard: no password at all.
    let none = without && secrets.password_file.is_none() && !secret::can_ask();
    if !none {
        let password = secret::new_password(secrets, which)?;
        let file = keyfile::seal(master, vault, &password, keyfile::Cost::default(), &mut OsRandom)?;
        places::write_private(&places.key, &file)?;
    }
    match without {
        true => secret::write_unlocked(places, master, vault),
        false => Ok(()),
    }
}

/// Shows or writes the recovery key; true if the user has shown to have it.
fn give_recovery(master: &Master, out: Option<&str>) -> Result<bool> {
    if let Some(path) = out {
        let path = std::path::absolute(path)?;
        places::write_new(&path, secret::recovery_text(master).as_bytes())?;
        eprintln!("the recovery key is in {}: keep it away from this machine", path.display());
        return Ok(false);
    }
    eprintln!("\nthis is the recovery key. it opens the vault without a password, for ever:\n");
    secret::show_recovery(master, &mut std::io::stderr())?;
    eprintln!("\nwrite it on paper and keep it away from this machine. whoever has it can read");
    eprintln!("everything; without it and without the password nobody can, we neither.");
    let mut pick = [0u8; 2];
    OsRandom.fill(&mut pick)?;
    let (a, b) = (usize::from(pick[0] % 8), usize::from(pick[1] % 7));
    let b = if b >= a { b + 1 } else { b };
    let (a, b) = (a.min(b), a.max(b));
    let groups = crate::crypt::recovery::print(master);
    for _ in 0..3 {
        let typed =
            secret::ask(&format!("to show that you have it, type groups {} and {} (Enter: later, `key check`):\n> ", a + 1, b + 1))?;
        if typed.is_empty() {
            return Ok(false);
        }
        let right = typed.split_whitespace().eq([groups[a].as_str(), groups[b].as_str()]);
        if right {
            eprintln!("right");
            return Ok(true);
        }
        eprintln!("that is not what stands there");
    }
    Ok(false)
}

fn first_sync(mut v: Vault, nodes: &mut [StorageNode<Node>], done: impl FnOnce(&Vault, u64)) -> Result<u8> {
    let out = sync::round(&mut v, nodes)?;
    for p in &v.device.report.problems {
        eprint!("{}", voice::problem(p));
    }
    let mut failed = sync::full(&v.device.report, &v.places, &v.config);
    for n in out.nodes {
        failed = n.error.or(failed);
    }
    if let Some(e) = failed {
        return Err(e
            .detail("the vault is set up on this device; what could not be done waits")
            .remedy("when that is mended", "sharelock sync"));
    }
    // One that only joined, and changed nothing, is on everybody's list of devices, too.
    devices::introduce(&mut v, nodes)?;
    let files = v.device.state.count(Table::Head)?.0;
    done(&v, files);
    Ok(0)
}
