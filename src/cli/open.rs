//! From the configuration to a device with its seams.

use super::args::Secrets;
use super::nodes::{self, Node};
use super::places::{self, Lock, Places};
use super::{progress, secret};
use crate::agent::round::StorageNode;
use crate::clock::Random;
use crate::clock::system::{OsRandom, System};
use crate::config::{self, Config};
use crate::crypt::{Master, VaultKeys};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::store::{Store, ensure_dir};
use crate::id::Id;
use crate::mirror::progress::Progress;
use crate::mirror::{Device, Report, Settings};
use crate::state::State;
use crate::state::db::Db;
use std::num::NonZero;
use std::path::Path;

/// A real device.
pub type RealDevice = Device<Disk, Db, System, OsRandom>;

/// An opened vault: while it lives, this process alone works on it.
pub struct Vault {
    /// The configuration.
    pub config: Config,
    /// Where files lie.
    pub places: Places,
    /// The device.
    pub device: RealDevice,
    /// True if the database was damaged and a new one took its place.
    pub rebuilt: bool,
    /// What keeps others away.
    pub lock: Lock,
}

/// State values of the command line.
pub mod key {
    /// Change sets that were allowed, one code a line.
    pub const ALLOWED: &str = "allowed";
    /// Present once the recovery key was checked on this device.
    pub const CHECKED: &str = "recovery-checked";
}

/// Reads the configuration.
pub fn config(places: &Places) -> Result<Config> {
    if !places.config.exists() {
        if places.leaving.exists() {
            return Err(leaving(places));
        }
        return Err(Error::new(Kind::Usage, format!("there is no vault on this device yet ({} is missing)", places.short(&places.config)))
            .remedy("to make one", "sharelock init")
            .remedy("to join one", "sharelock join URL"));
    }
    config_at(places, &places.config)
}

/// Reads a configuration that lies elsewhere.
pub fn config_at(places: &Places, path: &Path) -> Result<Config> {
    let bytes = places::read(path, 1 << 20)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::new(Kind::Usage, format!("{} is not UTF-8", places.short(path))))?;
    Config::parse(&text, &places.short(path), &places.home)
}

/// The error of every verb but `leave` once that has begun to remove things.
pub fn leaving(places: &Places) -> Error {
    Error::new(Kind::Usage, format!("this device is leaving its vault, and has not come to the end ({})", places.short(&places.leaving)))
        .detail("the plain files stay as they are")
        .remedy("to go on with it", "sharelock leave --yes")
}

/// Opens the vault of this device.
pub fn vault(places: Places, secrets: &Secrets) -> Result<Vault> {
    let config = config(&places)?;
    let lock = places.lock()?;
    let (master, vault) = secret::unlock(&places, secrets, Some(&config))?;
    assemble(places, config, lock, &master, vault, progress::on_standard_error())
}

/// Puts a device together; makes secure and its repository if they are not there.
pub fn assemble(places: Places, config: Config, lock: Lock, master: &Master, vault: Id, progress: Progress) -> Result<Vault> {
    let share = disk(&config.share, &places)?;
    let secure = disk(&config.secure, &places)?;
    let git = repository(&secure)?;
    let (state, rebuilt) = Db::open_or_rebuild(&places.state_dir.join("state.db"))?;
    let allowed = state.value(key::ALLOWED)?.unwrap_or_default();
    let settings = Settings {
        ignore: config.ignore.clone(),
        min_free: config.min_free,
        brake_files: config.brake_files,
        brake_fraction: config.brake_fraction,
        allowed: String::from_utf8_lossy(&allowed).lines().map(str::to_string).collect(),
        threads: sealing_threads(),
        progress,
        ..Settings::default()
    };
    let device = Device {
        share,
        secure,
        git,
        state,
        clock: System,
        random: OsRandom,
        keys: VaultKeys::new(master),
        vault,
        name: config.device.clone(),
        id: device_id(&places)?,
        settings,
        report: Report::default(),
    };
    Ok(Vault { config, places, device, rebuilt, lock })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads that a large file is sealed on here.
pub fn sealing_threads() -> usize {
    cores().min(2)
}

/// The disk at a configured folder.
pub fn disk(path: &Path, places: &Places) -> Result<Disk> {
    Disk::open(path).map_err(|e| {
        let e = Error::from(e).at(format!("can't open {}", places.short(path)));
        e.detail("nothing was changed, nothing counts as deleted")
    })
}

/// Secure's repository, made if it is not there.
pub fn repository(secure: &Disk) -> Result<Store<Disk>> {
    let dir = ensure_dir(secure, &secure.root(), b".git").map_err(|e| Error::from(e).at("~/secure/.git"))?;
    let git = Store::init(secure, &dir, false)?;
    git.tidy()?;
    Ok(git)
}

/// This device's id: 16 random bytes in the state directory, made once.
fn device_id(places: &Places) -> Result<Id> {
    let path = places.state_dir.join("device-id");
    if path.exists() {
        let text = places::read(&path, 256)?;
        let mut id = [0; 16];
        let hex = text.trim_ascii();
        if hex.len() == 32 && data_encoding::HEXLOWER.decode_mut(hex, &mut id).is_ok() {
            return Ok(Id(id));
        }
        return Err(Error::integrity(Class::Form, format!("{} is damaged", places.short(&path)))
            .detail("without it this device counts as a new one")
            .remedy("do", format!("rm {}", places.short(&path))));
    }
    let mut id = Id::ROOT;
    OsRandom.fill(&mut id.0)?;
    places::write_private(&path, format!("{id}\n").as_bytes())?;
    Ok(id)
}

impl Vault {
    /// The configured storage nodes.
    pub fn nodes(&self) -> Result<Vec<StorageNode<Node>>> {
        self.config.remotes.iter().map(|r| nodes::open(r, &self.places, &self.device.settings.progress)).collect()
    }

    /// One configured storage node, by name.
    pub fn node(&self, name: &str) -> Result<StorageNode<Node>> {
        nodes::open(configured(&self.config, name)?, &self.places, &self.device.settings.progress)
    }
}

/// What the configuration says of a storage node.
pub fn configured<'c>(config: &'c Config, name: &str) -> Result<&'c config::Remote> {
    config.remotes.iter().find(|r| r.name == name).ok_or_else(|| {
        let e = Error::new(Kind::Usage, format!("there is no storage node called {name}"));
        let all: Vec<&str> = config.remotes.iter().map(|r| r.name.as_str()).collect();
        match all.is_empty() {
            true => e.remedy("do", "sharelock remote add NAME URL"),
            false => e.detail(format!("there are: {}", all.join(", "))),
        }
    })
}
