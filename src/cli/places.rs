//! Where files lie: configuration, key, state, lock (the XDG base directory specification, as far as it is used here).

use crate::agent::control::{Ask, Client};
use crate::error::{Error, Kind, Result};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The vault's lock. First the file is let go, then the agent hears that it has the vault again.
pub struct Lock {
    _file: File,
    _loan: Option<Client>,
}

/// All places of one vault.
#[derive(Clone, Debug)]
pub struct Places {
    /// The vault's name (`--vault`).
    pub vault: String,
    /// The user's home.
    pub home: PathBuf,
    /// `config.toml`.
    pub config: PathBuf,
    /// What `config.toml` is called once `leave` has begun to remove things: no other verb finds a vault then.
    pub leaving: PathBuf,
    /// The directory of `config.toml`, `vault.key` and the device's own SSH key.
    pub config_dir: PathBuf,
    /// `vault.key`.
    pub key: PathBuf,
    /// The unlocked key, where somebody chose `--start-without-password`.
    pub unlocked: PathBuf,
    /// The directory of the state database, the device id and the lock.
    pub state_dir: PathBuf,
}

/// Within this time a lock that is only looked at is free again.
const GLANCE: Duration = Duration::from_millis(500);

fn env_dir(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute())
}

impl Places {
    /// From the environment, `--config` and `--vault`.
    pub fn new(config: Option<&OsStr>, vault: Option<&str>) -> Result<Places> {
        let home = env_dir("HOME").ok_or_else(|| Error::new(Kind::Usage, "HOME is not set"))?;
        let mut config_dir = env_dir("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("sharelock");
        let mut state_dir = env_dir("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("sharelock");
        if let Some(vault) = vault.filter(|v| *v != "default") {
            if !crate::config::valid_remote(vault) {
                return Err(Error::new(Kind::Usage, format!("{vault:?} cannot be a vault's name: letters, digits, - and _")));
            }
            config_dir = config_dir.join("vaults").join(vault);
            state_dir = state_dir.join("vaults").join(vault);
        }
        let mut places = Places {
            vault: vault.unwrap_or("default").to_string(),
            config: config_dir.join("config.toml"),
            leaving: config_dir.join("config.toml.leaving"),
            key: config_dir.join("vault.key"),
            unlocked: config_dir.join("unlocked.key"),
            home,
            config_dir,
            state_dir,
        };
        if let Some(config) = config {
            places.config = std::path::absolute(config)?;
            places.leaving = places.config.clone();
            places.leaving.as_mut_os_string().push(".leaving");
            if let Some(dir) = places.config.parent() {
                places.config_dir = dir.to_path_buf();
                places.key = dir.join("vault.key");
                places.unlocked = dir.join("unlocked.key");
                // Another configuration is another vault: its state lies beside it.
                places.state_dir = dir.join("state");
            }
        }
        Ok(places)
    }

    /// Those of all vaults that this user has or had here: the default one first, then by name.
    pub fn of_all() -> Result<Vec<Places>> {
        let first = Places::new(None, None)?;
        let mut names: Vec<String> = std::fs::read_dir(first.config_dir.join("vaults"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|name| crate::config::valid_remote(name) && name != "default")
            .collect();
        names.sort();
        let others = names.iter().map(|name| Places::new(None, Some(name))).collect::<Result<Vec<_>>>()?;
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// The path with `~` for the home.
    pub fn short(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if rest.as_os_str().is_empty() => "~".into(),
            Ok(rest) => format!("~/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }

    /// Makes the directories, open to their owner only.
    pub fn make(&self) -> Result<()> {
        for dir in [&self.config_dir, &self.state_dir] {
            private_dir(dir)?;
        }
        Ok(())
    }

    /// Takes the vault's lock, which the system releases when the process ends, however it ends. A running agent lends
    /// the vault for as long as the lock is held.
    pub fn lock(&self) -> Result<Lock> {
        let (file, path) = self.lock_file()?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file, _loan: None }),
                // A look by `status` holds it for a moment, too.
                Err(TryLockError::WouldBlock) if start.elapsed() < GLANCE => std::thread::sleep(GLANCE / 10),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(e)) => return Err(Error::from(e).at(path.display())),
            }
        }
        let Some(mut agent) = Client::connect(&self.state_dir) else {
            return Err(
                Error::failed("another sharelock is at work on this vault").detail("nothing was changed; try again when it has ended")
            );
        };
        agent.ask(Ask::Lend)?;
        let mut answer = agent.answer(Some(Duration::from_secs(1)))?;
        if answer.is_none() {
            eprintln!("the running sharelock is in the middle of a sync, waiting for it ...");
            answer = agent.answer(None)?;
        }
        if answer.is_none_or(|a| a["lent"] != true) {
            return Err(Error::failed("the running sharelock does not lend the vault").remedy("do", "sharelock stop"));
        }
        file.lock().map_err(|e| Error::from(e).at(path.display()))?;
        Ok(Lock { _file: file, _loan: Some(agent) })
    }

    /// Takes the vault's lock as soon as nobody else has it.
    pub fn wait_for_lock(&self) -> Result<Lock> {
        let (file, path) = self.lock_file()?;
        file.lock().map_err(|e| Error::from(e).at(path.display()))?;
        Ok(Lock { _file: file, _loan: None })
    }

    fn lock_file(&self) -> Result<(File, PathBuf)> {
        private_dir(&self.state_dir)?;
        let path = self.state_dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        Ok((file, path))
    }

    /// True while another process is at work on the vault.
    pub fn is_locked(&self) -> bool {
        let Ok(file) = File::open(self.state_dir.join("lock")) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Makes a directory with all above it, the last one open to its owner only.
pub fn private_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Error::from(e).at(format!("can't make {}", dir.display())))
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let at = |e: std::io::Error| unwritable(e, path);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let _ = std::fs::remove_file(&temporary);
    create(&temporary, bytes).map_err(at)?;
    std::fs::rename(&temporary, path).map_err(at)?;
    sync_above(path).map_err(at)
}

/// Removes a file, for good once this returns. One that is not there is removed.
pub fn remove_durably(path: &Path) -> Result<()> {
    let at = |e: std::io::Error| Error::from(e).at(format!("can't remove {}", path.display()));
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| sync_above(path)).map_err(at),
    }
}

/// Writes a file that only its owner may read, under a name of the user's choice: never over what is there.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    create(path, bytes).and_then(|()| sync_above(path)).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => taken(path),
        _ => unwritable(e, path),
    })
}

/// The error of a name of the user's choice that is taken.
pub fn taken(path: &Path) -> Error {
    Error::new(Kind::Usage, format!("{} is there already", path.display())).detail("nothing was changed")
}

fn unwritable(e: std::io::Error, path: &Path) -> Error {
    Error::from(e).at(format!("can't write {}", path.display()))
}

fn create(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the name of a file durable.
pub fn sync_above(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Reads a small file.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    use std::io::Read;
    let at = |e: std::io::Error| Error::from(e).at(format!("can't read {}", path.display()));
    let mut out = Vec::new();
    File::open(path).map_err(at)?.take(limit + 1).read_to_end(&mut out).map_err(at)?;
    if out.len() as u64 > limit {
        return Err(Error::failed(format!("{} is longer than {limit} bytes", path.display())));
    }
    Ok(out)
}

/// True if group or others may read a file.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
}
