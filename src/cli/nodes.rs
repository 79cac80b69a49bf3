//! Storage nodes as the configuration names them: local paths, and servers by ssh.

use super::places::Places;
use super::voice;
use crate::agent::round::StorageNode;
use crate::config::{self, Remote as Configured};
use crate::error::{Error, Kind, Remedy, Result};
use crate::files::real::Disk;
use crate::git::local::LocalRemote;
use crate::git::{Choose, PackSource, Pulse, RefStatus, RefUpdate, Refs, Remote};
use crate::id::Oid;
use crate::mirror::progress::{Progress, Step};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A storage node of any kind, which tells how far a pack is.
pub struct Node {
    kind: Which,
    progress: Progress,
    /// What makes its repository if there is none.
    make: Option<Remedy>,
}

enum Which {
    /// A directory or disk.
    Local(LocalRemote<Disk>, PathBuf),
    /// A server.
    #[cfg(feature = "ssh")]
    Ssh(Box<crate::ssh::remote::SshRemote>),
}

/// How a person answers for a server's host key.
#[derive(Clone, Debug)]
pub struct Vouch {
    /// `--host-key`: the fingerprint that was read off the server; it decides instead of a question.
    pub host_key: Option<String>,
    /// The command that a fingerprint completes.
    #[cfg_attr(not(feature = "ssh"), allow(dead_code))]
    pub command: String,
    /// What makes the repository there if there is none.
    pub make: Option<Remedy>,
}

impl Vouch {
    /// For a node that the configuration names.
    fn configured(name: &str) -> Vouch {
        let make = Remedy { purpose: "if it was lost, to make it again".into(), command: format!("sharelock remote heal {name}") };
        Vouch { host_key: None, command: format!("sharelock remote trust {name}"), make: Some(make) }
    }

    /// For a node that the present command is about to take up: it is repeated with the fingerprint.
    pub fn first(host_key: Option<String>) -> Vouch {
        let words = std::env::args_os().skip(1).map(|a| crate::path::shell_word(&a.to_string_lossy()));
        let words: Vec<String> = ["sharelock".to_string()].into_iter().chain(words).collect();
        let (command, joins) = (words.join(" "), words.iter().any(|w| w == "join"));
        // Who joins looks for what is there already.
        let make = (!joins).then(|| Remedy { purpose: "to make it there".into(), command: format!("{command} --create") });
        Vouch { host_key, command: format!("{command} --host-key"), make }
    }
}

/// True if a repository at a path is gone, and not just its disk: the folder that held it is there.
fn is_lost(path: &Path) -> bool {
    let holds = path.parent().is_some_and(Path::is_dir);
    holds && (!path.exists() || std::fs::read_dir(path).is_ok_and(|mut all| all.next().is_none()))
}

/// Opens a node of the configuration. Nothing is asked of it yet.
pub fn open(r: &Configured, places: &Places, progress: &Progress) -> Result<StorageNode<Node>> {
    open_new(r, places, &Vouch::configured(&r.name), progress)
}

/// Opens a node that the configuration does not name yet.
pub fn open_new(r: &Configured, places: &Places, vouch: &Vouch, progress: &Progress) -> Result<StorageNode<Node>> {
    let (kind, place) = at(r, places, vouch, progress)?;
    let node = Node { kind, progress: progress.clone(), make: vouch.make.clone() };
    let mut node = StorageNode::new(r.name.clone(), place, node);
    node.show_time = Box::new(voice::time);
    Ok(node)
}

/// The server of a node of the configuration.
#[cfg(feature = "ssh")]
pub fn server(r: &Configured, places: &Places) -> Result<crate::ssh::remote::SshRemote> {
    match at(r, places, &Vouch::configured(&r.name), &Progress::default())?.0 {
        Which::Ssh(remote) => Ok(*remote),
        Which::Local(..) => Err(only_servers(&r.name)),
    }
}

/// The node, and how it is called in messages.
fn at(r: &Configured, places: &Places, vouch: &Vouch, progress: &Progress) -> Result<(Which, String)> {
    if let Some(path) = local_path(&r.url, places) {
        if vouch.host_key.is_some() {
            return Err(only_servers(&r.url).detail("leave --host-key out"));
        }
        let short = places.short(&path);
        let root = path.clone();
        let open: Box<dyn Fn() -> Result<Disk> + Send> = // Nothing is asked of it that a probe would tell, and a probe writes.
            Box::new(move || Disk::open_unprobed(&root).map_err(Error::from));
        let remote = LocalRemote::new(short.clone(), open);
        return Ok((Which::Local(remote, path), short));
    }
    #[cfg(feature = "ssh")]
    {
        let (remote, host) = super::server::open(r, places, vouch, progress)?;
        Ok((Which::Ssh(Box::new(remote)), host))
    }
    #[cfg(not(feature = "ssh"))]
    let _ = progress;
    #[cfg(not(feature = "ssh"))]
    Err(Error::new(
        Kind::Usage,
        format!("{}: this sharelock was built without SSH (feature ssh): its storage nodes are local paths", r.url),
    )
    .remedy("to reach a server", "cargo build --release    # all features, or --features ssh"))
}

/// The path of a URL that means one: no host before a colon, no scheme but file.
pub fn local_path(url: &str, places: &Places) -> Option<PathBuf> {
    let plain = match url.strip_prefix("file://") {
        Some(path) => path,
        None if url.contains("://") => return None,
        None => url,
    };
    let before_slash = plain.split('/').next().unwrap_or_default();
    if !url.starts_with("file://") && before_slash.contains(':') {
        return None;
    }
    let path = config::expand(plain, &places.home);
    Some(std::path::absolute(&path).unwrap_or(path))
}

/// How a node is called in texts: a path, or a server's host.
pub fn place(url: &str, places: &Places) -> String {
    if let Some(path) = local_path(url, places) {
        return places.short(&path);
    }
    #[cfg(feature = "ssh")]
    if let Ok(parsed) = crate::ssh::url::Url::parse(url) {
        return parsed.host;
    }
    url.to_string()
}

/// A URL as it stands in the configuration: a local path is absolute there.
pub fn absolute(url: &str, places: &Places) -> String {
    match local_path(url, places) {
        Some(path) if !url.starts_with("file://") => path.display().to_string(),
        _ => url.to_string(),
    }
}

macro_rules! each {
    ($self:ident, $r:ident => $e:expr) => {
        match &mut $self.kind {
            Which::Local($r, _) => $e,
            #[cfg(feature = "ssh")]
            Which::Ssh($r) => $e,
        }
    };
}

impl Remote for Node {
    fn fetch(&mut self, choose: Choose<'_>, have: &[Oid], sink: &mut dyn Write) -> Result<()> {
        let progress = self.progress.clone();
        let mut sink = Counted { inner: sink, progress: &progress, step: Step::Fetching };
        let done = each!(self, r => r.fetch(choose, have, &mut sink));
        progress.end();
        done.map_err(|e| self.lost(e))
    }

    fn push(&mut self, updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Result<Vec<RefStatus>> {
        let mut pack = CountedPack { inner: pack, progress: self.progress.clone() };
        each!(self, r => r.push(updates, atomic, &mut pack)).map_err(|e| self.lost(e))
    }

    fn create(&mut self) -> Result<()> {
        // Without `ssh`, local is all there is.
        #[cfg_attr(not(feature = "ssh"), allow(irrefutable_let_patterns))]
        if let Which::Local(_, path) = &self.kind {
            std::fs::create_dir_all(path).map_err(|e| Error::from(e).at(format!("can't make {}", path.display())))?;
        }
        each!(self, r => r.create())
    }

    fn set_head(&mut self) -> Result<bool> {
        each!(self, r => r.set_head())
    }

    fn pulse(&self) -> Option<Pulse> {
        match &self.kind {
            Which::Local(r, _) => r.pulse(),
            #[cfg(feature = "ssh")]
            Which::Ssh(r) => r.pulse(),
        }
    }
}

/// What passes through it is told.
struct Counted<'a> {
    inner: &'a mut dyn Write,
    progress: &'a Progress,
    step: Step,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.progress.did(self.step, 0, n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// The same for a pack.
struct CountedPack<'a> {
    inner: &'a mut dyn PackSource,
    progress: Progress,
}

impl PackSource for CountedPack<'_> {
    fn objects(&self) -> u32 {
        self.inner.objects()
    }

    fn write_to(&mut self, out: &mut dyn Write) -> Result<()> {
        self.inner.write_to(&mut Counted { inner: out, progress: &self.progress, step: Step::Sending })
    }
}

impl Node {
    /// An error of a folder, with what answers it if the repository is gone. A server's has it already.
    fn lost(&self, e: Error) -> Error {
        match (self.local(), &self.make) {
            (Some(path), Some(make)) if e.kind() == Kind::Unreachable && is_lost(path) => e.remedy(&make.purpose, &make.command),
            _ => e,
        }
    }

    /// True if an error says that the repository is gone: a new one is its answer.
    pub fn is_lost(&self, e: &Error) -> bool {
        self.make.as_ref().is_some_and(|make| e.remedies().contains(make))
    }

    /// One that is a server.
    #[cfg(feature = "ssh")]
    pub fn server(&mut self) -> Option<&mut crate::ssh::remote::SshRemote> {
        match &mut self.kind {
            Which::Local(..) => None,
            Which::Ssh(remote) => Some(remote),
        }
    }

    /// The path of one that is a directory.
    pub fn local(&self) -> Option<&Path> {
        match &self.kind {
            Which::Local(_, path) => Some(path),
            #[cfg(feature = "ssh")]
            Which::Ssh(_) => None,
        }
    }
}

/// The error of a verb that only servers have.
pub fn only_servers(name: &str) -> Error {
    Error::new(Kind::Usage, format!("{name} is a local path: it has no host key and no SSH keys"))
}

/// The refs of a node for a device that joins. A server that accepts no key yet is waited for: this device makes a key
/// of its own and says how to let it in.
pub fn let_in(node: &mut StorageNode<Node>, places: &Places, device: &str) -> Result<Refs> {
    #[cfg(feature = "ssh")]
    if let Which::Ssh(remote) = &mut node.remote.kind {
        return super::server::let_in(remote, &node.name, places, device);
    }
    let _ = (places, device);
    node.remote.refs()
}
