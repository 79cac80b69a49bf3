//! `init` and `join`.

use super::args::{self, Init, Join, Secrets};
use super::autosync::{self, Import};
use super::nodes::{Node, Vouch};
use super::open::{self, Vault};
use super::places::{self, Places};
use super::{nodes, progress, secret, sync, voice};
use crate::agent::exchange;
use crate::agent::round::{self, StorageNode};
use crate::clock::Random;
use crate::clock::system::OsRandom;
use crate::config::{self, Config, First, Remote as Configured, Wishes};
use crate::crypt::{Master, keyfile};
use crate::error::{Error, Kind, Result};
use crate::git::{Remote, Type, limit, object};
use crate::id::Id;
use crate::mirror::secure::MAIN;
use crate::mirror::{scan, sealed};
use crate::state::{State, Table};
use crate::tree::Writer;
use std::path::{Path, PathBuf};

/// The folders and the name of a new device, checked.
struct Plan {
    share: PathBuf,
    secure: PathBuf,
    device: String,
}

fn plan(places: &Places, share: &Option<String>, secure: &Option<String>, device: &Option<String>) -> Result<Plan> {
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
    for line in &import.told {
        eprintln!("{line}");
    }
    let (files, bytes) = measure(&p.share);
    eprintln!(
        "share   {}    {}, {}, none of them will be moved or changed",
        places.short(&p.share),
        voice::files(files),
        voice::size(bytes)
    );
    eprintln!("secure  {}   new, needs about {}", places.short(&p.secure), voice::size(bytes + bytes / 16 + files * 1200));
    eprintln!("device  {}", p.device);
    let master = Master::random(&mut OsRandom)?;
    let mut vault = Id::ROOT;
    OsRandom.fill(&mut vault.0)?;
    keep_key(&places, secrets, &master, &vault, a.start_without_password)?;
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

fn keep_key(places: &Places, secrets: &Secrets, master: &Master, vault: &Id, without_password: bool) -> Result<()> {
    // A machine without a keyboard: no password at all.
    let none = without_password && secrets.password_file.is_none() && !secret::can_ask();
    if !none {
        let password = secret::new_password(secrets)?;
        let file = keyfile::seal(master, vault, &password, keyfile::Cost::default(), &mut OsRandom)?;
        places::write_private(&places.key, &file)?;
    }
    match without_password {
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
    let mut failed = None;
    for n in out.nodes {
        failed = n.error.or(failed);
    }
    if let Some(e) = failed {
        return Err(e
            .detail("the vault is set up on this device; what could not be sent waits")
            .remedy("when that is mended", "sharelock sync"));
    }
    let files = v.device.state.count(Table::Head)?.0;
    done(&v, files);
    Ok(0)
}

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
    let got = fetch_and_unlock(&places, &p, &a, &mut node, &head).and_then(|(master, vault)| {
        keep_key(&places, secrets, &master, &vault, a.start_without_password)?;
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
    let (had, _) = measure(&config.share);
    if had > 0 {
        eprintln!(
            "{} has {} already: what is the same as in the vault is not fetched, what is only here is added,",
            places.short(&config.share),
            voice::files(had)
        );
        eprintln!("  and of what differs both versions are kept");
    }
    let mut v = open::assemble(places, config, lock, &master, vault, progress)?;
    scan::mark_root(&v.device.share, &vault)?;
    if a.key_file.is_none() {
        v.device.state.set_value(open::key::CHECKED, Some(b"1"))?;
    }
    let c = crate::mirror::commit::open(&v.device.git, &v.device.keys, &vault, &head)?;
    let by = c.details.device_name.as_ref().map_or("several devices", |n| n.as_str()).to_string();
    eprintln!("the vault is at change {}, made by {by} {}", voice::count(c.details.height), voice::time(c.details.time));
    first_sync(v, std::slice::from_mut(&mut node), |_, n| {
        println!("done: this device has everything: {}. start at login: sharelock service install", voice::files(n));
    })
}

/// Fetches the history, so that the key can be checked against the vault it is for.
fn fetch_and_unlock(places: &Places, p: &Plan, a: &Join, node: &mut StorageNode<Node>, head: &crate::id::Oid) -> Result<(Master, Id)> {
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
                None if secret::can_ask() => secret::ask_hidden("password of that key file:\n")?,
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
    crate::mirror::commit::open(&git, &keys, &vault, head)?;
    Ok((master, vault))
}
