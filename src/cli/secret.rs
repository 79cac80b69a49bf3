//! Passwords and recovery keys: typed, from a file, from a command; never in an argument, never in the environment.

use super::args::{self, Secrets};
use super::places::{self, Places};
use crate::config::Config;
use crate::crypt::unlocked::{self, Unlocked};
use crate::crypt::{Master, VaultKeys, keyfile, recovery};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::files::real::Disk;
use crate::git::store::read_small;
use crate::id::Id;
use crate::mirror::sealed;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Secret bytes.
pub type Secret = Zeroizing<Vec<u8>>;

const LIMIT: u64 = 64 * 1024;
const TRIES: u32 = 3;

/// True if somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a line without showing it.
pub fn ask_hidden(prompt: &str) -> Result<Secret> {
    let line = rpassword::prompt_password(prompt).map_err(|e| Error::from(e).at("can't ask for a password"))?;
    Ok(Zeroizing::new(line.into_bytes()))
}

/// Asks for a line.
pub fn ask(prompt: &str) -> Result<String> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_string())
}

/// A secret from a file that an argument names (`-`: standard input), without its final newline.
pub fn from_file(arg: &str) -> Result<Secret> {
    from_path(&args::path(arg))
}

fn from_path(path: &Path) -> Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LIMIT).read_to_end(&mut bytes)?;
    } else {
        *bytes = places::read(path, LIMIT)?;
    }
    Ok(Zeroizing::new(keyfile::without_newline(&bytes).to_vec()))
}

/// A secret from a command of the configuration; `key` is its key there.
pub fn from_command(command: &str, key: &str) -> Result<Secret> {
    let out = std::process::Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(std::process::Stdio::inherit())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|e| Error::from(e).at(key))?;
    if !out.status.success() {
        return Err(Error::new(Kind::Secret, format!("{key} failed ({})", out.status)).detail("nothing was changed"));
    }
    let bytes = Zeroizing::new(out.stdout);
    Ok(Zeroizing::new(keyfile::without_newline(&bytes).to_vec()))
}

/// The password of this device where it is not typed.
fn unattended(args: &Secrets, config: Option<&Config>) -> Result<Option<Secret>> {
    if let Some(f) = &args.password_file {
        return from_file(f).map(Some);
    }
    match config {
        Some(Config { password_command: Some(c), .. }) => from_command(c, "password_command").map(Some),
        Some(Config { password_file: Some(f), .. }) => from_path(f).map(Some),
        _ => Ok(None),
    }
}

/// A new password for this device, typed twice. `which`: how it is asked for.
pub fn new_password(args: &Secrets, which: &str) -> Result<Secret> {
    if let Some(p) = unattended(args, None)? {
        return if p.is_empty() { Err(Error::new(Kind::Usage, "the password file is empty")) } else { Ok(p) };
    }
    if !can_ask() {
        return Err(Error::new(Kind::Usage, "a password is needed, and there is no terminal to ask for it")
            .remedy("do", "sharelock ... --password-file FILE"));
    }
    for _ in 0..TRIES {
        let one = ask_hidden(&format!("{which}: "))?;
        if one.is_empty() {
            eprintln!("an empty password protects nothing, once more");
            continue;
        }
        if *ask_hidden("once more: ")? == *one {
            return Ok(one);
        }
        eprintln!("they differ, both once more");
    }
    Err(Error::new(Kind::Secret, "no password was set").detail("nothing was changed"))
}

/// Unlocks the vault's key on this device.
pub fn unlock(places: &Places, args: &Secrets, config: Option<&Config>) -> Result<(Master, Id)> {
    if places.unlocked.exists() && args.password_file.is_none() {
        return read_unlocked(places).map(|u| (u.master, u.vault));
    }
    by_password(places, args, config)
}

/// The same where something is made of the key that outlives it (a key file, a paper): it is proved first. A password proves
/// it, and so does the check value of an unlocked key; one without is held against the vault itself.
pub fn unlock_proved(places: &Places, args: &Secrets, config: &Config) -> Result<(Master, Id)> {
    if !places.unlocked.exists() || args.password_file.is_some() {
        return by_password(places, args, Some(config));
    }
    let found = read_unlocked(places)?;
    if !found.checked {
        let fits = |file: &[u8]| keys_for(&found.master, file).is_ok_and(|(_, id)| id == found.vault);
        if !fits(&vault_file(places, config)?) {
            return Err(damaged_unlocked(places));
        }
    }
    Ok((found.master, found.vault))
}

/// The file `vault` of secure.
pub fn vault_file(places: &Places, config: &Config) -> Result<Vec<u8>> {
    let secure = Disk::open_unprobed(&config.secure).map_err(|e| Error::from(e).at(places.short(&config.secure)))?;
    read_small(&secure, &secure.root(), sealed::VAULT, 64)?
        .ok_or_else(|| Error::failed(format!("{}/vault is missing", places.short(&config.secure))))
}

fn by_password(places: &Places, args: &Secrets, config: Option<&Config>) -> Result<(Master, Id)> {
    if !places.key.exists() {
        return Err(Error::new(Kind::Usage, format!("there is no vault on this device yet ({} is missing)", places.short(&places.key)))
            .remedy("to make one", "sharelock init")
            .remedy("to join one", "sharelock join URL"));
    }
    let file = places::read(&places.key, 4096)?;
    if let Some(p) = unattended(args, config)? {
        return keyfile::open(&file, &p).map_err(wrong);
    }
    if !can_ask() {
        return Err(Error::new(Kind::Secret, "the vault's password is needed, and there is no terminal to ask for it")
            .remedy("do", "sharelock ... --password-file FILE"));
    }
    let (_, cost) = keyfile::peek(&file)?;
    let wait = (u64::from(cost.memory) * u64::from(cost.passes) / 100_000).max(1);
    let which = config.map_or("".into(), |c| format!(" {} on {}", places.short(&c.share), c.device.as_str()));
    let mut prompt = format!("password for vault{which} (checking takes about {wait} s): ");
    for left in (0..TRIES).rev() {
        let typed = ask_hidden(&prompt)?;
        match keyfile::open(&file, &typed) {
            Err(e) if e.kind() == Kind::Secret && left > 0 => {
                eprintln!("that is not the password. {left} {} left", if left == 1 { "try" } else { "tries" });
                prompt = "password: ".into();
            }
            other => return other.map_err(wrong),
        }
    }
    Err(wrong(Error::new(Kind::Secret, "wrong password")))
}

fn wrong(e: Error) -> Error {
    match e.kind() {
        Kind::Secret => Error::new(Kind::Secret, "wrong password, nothing was changed")
            .remedy("to set a new one with the key on paper", "sharelock passwd --recovery-key"),
        _ => e,
    }
}

/// Keeps the unlocked key, in a file that only the owner may read (`--start-without-password`).
pub fn write_unlocked(places: &Places, master: &Master, vault: &Id) -> Result<()> {
    places::write_private(&places.unlocked, &unlocked::bytes(master, vault))
}

fn read_unlocked(places: &Places) -> Result<Unlocked> {
    let path = &places.unlocked;
    if places::is_open_to_others(path) {
        return Err(Error::new(Kind::Usage, format!("{} can be read by others", places.short(path)))
            .remedy("do", format!("chmod 600 {}", places.short(path))));
    }
    let bytes = Zeroizing::new(places::read(path, 4096)?);
    match unlocked::read(&bytes) {
        Ok(Some(found)) => Ok(found),
        Err(e) if e.kind() == Kind::Integrity(Class::Version) && bytes.len() == unlocked::LEN => Err(e.at(places.short(path))),
        Ok(None) | Err(_) => Err(damaged_unlocked(places)),
    }
}

/// The error of an unlocked key that is not what was written.
fn damaged_unlocked(places: &Places) -> Error {
    let path = places.short(&places.unlocked);
    let e = Error::integrity(Class::Form, format!("{path} is damaged: it holds no key of this vault"))
        .detail("nothing was changed, the files in ~/share are not touched");
    let e = match places.key.exists() {
        true => e.remedy("to go on with this device's password", format!("rm {path}")),
        false => e,
    };
    e.remedy("to make it again with the key on paper", "sharelock passwd --recovery-key --start-without-password")
}

/// Prints the recovery key as `init` shows it.
pub fn show_recovery(master: &Master, out: &mut dyn Write) -> Result<()> {
    for row in recovery::print(master).chunks(4).enumerate() {
        let (r, groups) = row;
        let line: Vec<String> = groups.iter().enumerate().map(|(i, g)| format!("{} {}", r * 4 + i + 1, g.as_str())).collect();
        writeln!(out, "    {}", line.join("   "))?;
    }
    Ok(())
}

/// The recovery key as text, for a file.
pub fn recovery_text(master: &Master) -> Zeroizing<String> {
    let groups = recovery::print(master);
    let all: Vec<&str> = groups.iter().map(|g| g.as_str()).collect();
    Zeroizing::new(all.join(" ") + "\n")
}

/// Reads a recovery key: from a file, or typed group by group.
pub fn read_recovery(file: Option<&str>) -> Result<Master> {
    if let Some(f) = file {
        let bytes = from_file(f)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::new(Kind::Secret, "the recovery key file is not text"))?;
        return recovery::parse(text);
    }
    if !can_ask() {
        return Err(Error::new(Kind::Usage, "the recovery key is needed, and there is no terminal to ask for it")
            .remedy("do", "sharelock ... --recovery-key-file FILE"));
    }
    eprintln!("recovery key, group by group (or start again with --key-file F):");
    let mut groups = [[0u8; 7]; recovery::GROUPS];
    let mut g = 0;
    while g < recovery::GROUPS {
        let line = Zeroizing::new(ask(&format!("  {} ", g + 1))?);
        if line.is_empty() {
            return Err(Error::new(Kind::Secret, "no recovery key").detail("nothing was changed"));
        }
        // Several groups on one line, with or without their numbers.
        for word in line.split_whitespace().filter(|w| w.len() > 2) {
            if g >= recovery::GROUPS {
                break;
            }
            match recovery::parse_group(g, word) {
                Ok(d) => {
                    groups[g] = d;
                    g += 1;
                }
                Err(e) => {
                    eprintln!("{e}, once more");
                    break;
                }
            }
        }
    }
    recovery::join(&groups)
}

/// Keys of a master, checked against a `vault` file.
pub fn keys_for(master: &Master, vault_file: &[u8]) -> Result<(VaultKeys, Id)> {
    let keys = VaultKeys::new(master);
    let id = keys.open_vault_file(vault_file).map_err(|e| match e.kind() {
        Kind::Integrity(Class::Auth) => Error::new(Kind::Secret, "this key is of another vault").detail("nothing was changed"),
        _ => e,
    })?;
    Ok((keys, id))
}
