//! `du`: what takes the space, from the disk alone: without a password, and while another sharelock is at work.

use super::args::Du;
use super::places::Places;
use super::{names, nodes, open, voice};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::mirror::scan::ROOT_FILE;
use crate::mirror::usage::{self, Amount, Entry};
use crate::path::RelPath;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Names that are shown; the rest is a sum.
const SHOWN: usize = 10;

/// A folder of ours, and what it takes.
pub struct Part {
    /// Where it lies.
    pub folder: PathBuf,
    /// What it takes.
    pub amount: Amount,
}

/// A storage node on a disk of this machine.
pub struct NodePart {
    /// Its name.
    pub name: String,
    /// Its repository.
    pub part: Part,
}

/// A disk that something of ours lies on.
pub struct Free {
    /// The topmost folder of it.
    pub disk: PathBuf,
    /// Bytes that are free.
    pub bytes: u64,
}

/// What the vault takes on this device.
pub struct Space {
    /// The share.
    pub share: Part,
    /// What stands at the top of the share, largest first, without our own mark.
    pub entries: Vec<Entry>,
    /// Secure, without its repository.
    pub secure: Part,
    /// Secure's repository: all versions.
    pub history: Part,
    /// The state directory.
    pub state: Part,
    /// Storage nodes that are folders.
    pub nodes: Vec<NodePart>,
    /// The disks of all these but the nodes.
    pub free: Vec<Free>,
}

impl Space {
    /// Looks.
    ///
    /// # Errors
    /// Share or secure cannot be opened.
    pub fn read(config: &Config, places: &Places) -> Result<Space> {
        let share = opened(&config.share, places)?;
        let mut entries = usage::entries(&share, &share.root())?;
        let all = sum(&entries);
        // It is no file of the user's, and always there.
        entries.retain(|e| e.name.as_bytes() != ROOT_FILE);
        let (mut secure, mut history) = (Amount::default(), Amount::default());
        let disk = opened(&config.secure, places)?;
        for e in usage::entries(&disk, &disk.root())? {
            let part = if e.name.as_bytes() == b".git" { &mut history } else { &mut secure };
            part.add(&e.amount);
        }
        let all_of = |folder: &Path| Disk::open_unprobed(folder).ok().map(|d| usage::within(&d, d.root())).transpose();
        let mut nodes = Vec::new();
        for r in &config.remotes {
            let Some(folder) = nodes::local_path(&r.url, places) else { continue };
            // A disk that is not there takes nothing here.
            if let Some(amount) = all_of(&folder)? {
                nodes.push(NodePart { name: r.name.clone(), part: Part { folder, amount } });
            }
        }
        let mut free: Vec<Free> = Vec::new();
        for folder in [&config.share, &config.secure, &places.state_dir] {
            let Some(disk) = voice::mount_point(folder) else { continue };
            if let (false, Ok(d)) = (free.iter().any(|f| f.disk == disk), Disk::open_unprobed(folder)) {
                free.push(Free { bytes: d.free()?, disk });
            }
        }
        Ok(Space {
            share: Part { folder: config.share.clone(), amount: all },
            entries,
            secure: Part { folder: config.secure.clone(), amount: secure },
            history: Part { folder: config.secure.join(".git"), amount: history },
            state: Part { folder: places.state_dir.clone(), amount: all_of(&places.state_dir)?.unwrap_or_default() },
            nodes,
            free,
        })
    }

    /// The parts that lie in folders of ours, with what they are.
    pub fn parts(&self) -> [(&'static str, &Part, String); 4] {
        let files = voice::files(sum(&self.entries).files);
        [
            ("share", &self.share, files),
            ("secure", &self.secure, "the same files, encrypted".into()),
            ("history", &self.history, "all versions, these and older".into()),
            ("state", &self.state, "what this device remembers".into()),
        ]
    }

    /// What all of ours take.
    pub fn bytes(&self) -> u64 {
        self.parts().iter().map(|(_, p, _)| p.amount.bytes).sum()
    }

    fn text(&self, places: &Places, kept: u64) -> String {
        let free = self.free.iter().map(|f| format!("{} are free on {}", voice::size(f.bytes), f.disk.display()));
        let mut out = format!("the vault takes {} here, {}", voice::size(self.bytes()), free.collect::<Vec<_>>().join(", "));
        out.push_str(&format!(" ({} are kept)\n", voice::size(kept)));
        let parts = self.parts();
        let nodes = self.nodes.iter().map(|n| (n.name.as_str(), &n.part, "a storage node".to_string()));
        let rows: Vec<_> = parts.into_iter().chain(nodes).collect();
        let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, part, what) in rows {
            let at = places.short(&part.folder);
            out.push_str(&format!("  {name:<width$}   {:>6}   {at}, {what}\n", voice::size(part.amount.bytes)));
            if name == "share" {
                out.push_str(&list(&self.entries, "    "));
            }
            out.push_str(&unread(&part.amount));
        }
        if let Some(folder) = self.entries.iter().find(|e| e.is_dir) {
            out.push_str(&format!("  to look into a folder: sharelock du {}\n", voice::shell(&RelPath::root().join(&folder.name))));
        }
        out
    }

    fn json(&self) -> Value {
        let part = |p: &Part| json!({"folder": p.folder.display().to_string(), "files": p.amount.files, "bytes": p.amount.bytes});
        let node = |n: &NodePart| json!({"name": n.name, "folder": n.part.folder.display().to_string(), "bytes": n.part.amount.bytes});
        json!({
            "bytes": self.bytes(), "share": part(&self.share), "secure": part(&self.secure), "history": part(&self.history),
            "state": part(&self.state), "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "free": self.free.iter().map(|f| json!({"disk": f.disk.display().to_string(), "bytes": f.bytes})).collect::<Vec<_>>(),
            "entries": entries_json(&RelPath::root(), &self.entries),
            "unread": self.parts().iter().map(|(_, p, _)| p.amount.unread).sum::<u64>(),
        })
    }
}

/// Runs it.
pub fn run(places: &Places, a: &Du) -> Result<u8> {
    let config = open::config(places)?;
    let path = a.path.as_ref().map(|p| names::in_share(&config, p)).transpose()?.unwrap_or_default();
    if !path.is_root() {
        return below(places, &config, &path, a.json);
    }
    let space = Space::read(&config, places)?;
    match a.json {
        true => println!("{:#}", space.json()),
        false => print!("{}", space.text(places, config.min_free)),
    }
    Ok(0)
}

/// What one file or folder of the share takes.
fn below(places: &Places, config: &Config, path: &RelPath, as_json: bool) -> Result<u8> {
    let share = opened(&config.share, places)?;
    let missing = || Error::new(Kind::Failed, format!("{path} is not in {}", places.short(&config.share)));
    let (dir, name) = path.split().ok_or_else(missing)?;
    let at = dir.names().try_fold(share.root(), |at, part| share.open_dir(&at, part.as_bytes())).map_err(|_| missing())?;
    let stat = share.stat(&at, name.as_bytes())?.ok_or_else(missing)?;
    let mut amount = Amount::of(&stat);
    let entries = match stat.kind {
        crate::files::Kind::Dir => {
            let inside = share.open_dir(&at, name.as_bytes()).map_err(|e| Error::from(e).at(path))?;
            usage::entries(&share, &inside).map_err(|e| e.at(path))?
        }
        _ => Vec::new(),
    };
    amount.add(&sum(&entries));
    if as_json {
        let all = entries_json(path, &entries);
        let (files, bytes, unread) = (amount.files, amount.bytes, amount.unread);
        println!("{:#}", json!({"path": path.to_string(), "files": files, "bytes": bytes, "unread": unread, "entries": all}));
        return Ok(0);
    }
    match stat.kind {
        crate::files::Kind::Dir => println!("{path} takes {}, {}", voice::size(amount.bytes), voice::files(amount.files)),
        _ => println!("{path} takes {}", voice::size(amount.bytes)),
    }
    print!("{}{}", list(&entries, "  "), unread(&amount));
    Ok(0)
}

fn sum(entries: &[Entry]) -> Amount {
    let mut out = Amount::default();
    entries.iter().for_each(|e| out.add(&e.amount));
    out
}

fn opened(folder: &Path, places: &Places) -> Result<Disk> {
    Disk::open_unprobed(folder).map_err(|e| Error::from(e).at(format!("can't open {}", places.short(folder))))
}

/// The largest, and the sum of the others.
fn list(entries: &[Entry], indent: &str) -> String {
    let shown = &entries[..entries.len().min(SHOWN)];
    let name = |e: &Entry| format!("{}{}", e.name, if e.is_dir { "/" } else { "" });
    let width = shown.iter().map(|e| name(e).chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for e in shown {
        let files = if e.is_dir { voice::files(e.amount.files) } else { String::new() };
        let line = format!("{indent}{:>6}   {:<width$}   {files}", voice::size(e.amount.bytes), name(e));
        out.push_str(&format!("{}\n", line.trim_end()));
    }
    let rest = sum(&entries[shown.len()..]);
    if entries.len() > shown.len() {
        let more = voice::count((entries.len() - shown.len()) as u64);
        out.push_str(&format!("{indent}{:>6}   {more} more\n", voice::size(rest.bytes)));
    }
    out
}

fn unread(amount: &Amount) -> String {
    match amount.unread {
        0 => String::new(),
        n => format!("    {} of it can't be read, what is in there is not counted\n", voice::plural(n, "folder")),
    }
}

fn entries_json(dir: &RelPath, entries: &[Entry]) -> Vec<Value> {
    let row = |e: &Entry| {
        let path = dir.join(&e.name).to_string();
        json!({"path": path, "folder": e.is_dir, "files": e.amount.files, "bytes": e.amount.bytes})
    };
    entries.iter().map(row).collect()
}
