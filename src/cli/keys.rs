//! `passwd` and `key check|show-recovery|export`.

use super::args::{KeyVerb, Passwd, Secrets};
use super::places::{self, Places};
use super::{open, secret};
use crate::clock::system::OsRandom;
use crate::crypt::{Master, keyfile};
use crate::error::{Error, Kind, Result};
use crate::id::Id;
use crate::state::State;
use crate::state::db::Db;

/// Checks a recovery key against the vault of this device.
fn by_recovery(places: &Places, file: Option<&str>) -> Result<(Master, Id)> {
    let config = open::config(places)?;
    let master = secret::read_recovery(file)?;
    let vault = secret::vault_file(places, &config)?;
    let (_, id) = secret::keys_for(&master, &vault)?;
    Ok((master, id))
}

/// Another password for this device: the key file is wrapped anew, nothing else changes.
pub fn passwd(places: Places, secrets: &Secrets, a: &Passwd) -> Result<u8> {
    let config = open::config(&places)?;
    let (master, vault) = match a.recovery_key || a.recovery_key_file.is_some() {
        true => by_recovery(&places, a.recovery_key_file.as_deref())?,
        false => secret::unlock_proved(&places, secrets, &config)?,
    };
    let password = secret::new_password(&Secrets { password_file: a.new_password_file.clone() }, "new password for this device")?;
    let file = keyfile::seal(&master, &vault, &password, keyfile::Cost::default(), &mut OsRandom)?;
    places::write_private(&places.key, &file)?;
    // Only now: until the key file stands, the unlocked key may be the only one of this device.
    if a.start_without_password {
        secret::write_unlocked(&places, &master, &vault)?;
    } else if places.unlocked.exists() {
        std::fs::remove_file(&places.unlocked)?;
    }
    println!("this device has a new password. the other devices keep theirs");
    Ok(0)
}

/// Runs a verb of `key`.
pub fn run(places: Places, secrets: &Secrets, verb: KeyVerb) -> Result<u8> {
    match verb {
        KeyVerb::Check(a) => {
            by_recovery(&places, a.recovery_key_file.as_deref())?;
            let _lock = places.lock()?;
            let mut state = Db::open(&places.state_dir.join("state.db"))?;
            state.set_value(open::key::CHECKED, Some(b"1"))?;
            state.commit()?;
            println!("right: that is the recovery key of this vault");
        }
        KeyVerb::ShowRecovery(_) => {
            let config = open::config(&places)?;
            let (master, _) = secret::unlock_proved(&places, secrets, &config)?;
            secret::show_recovery(&master, &mut std::io::stdout())?;
        }
        KeyVerb::Export(a) => {
            if !places.key.exists() {
                return Err(Error::new(Kind::Failed, "this device has no key file, only the unlocked key")
                    .remedy("to make one", "sharelock passwd"));
            }
            let bytes = places::read(&places.key, 4096)?;
            keyfile::peek(&bytes)?;
            let to = std::path::absolute(&a.file)?;
            places::write_new(&to, &bytes)?;
            println!("the key file is in {}; it opens with this device's password", to.display());
        }
    }
    Ok(0)
}
