//! What is there to be typed: storage nodes, files, conflicts. It needs no password, changes nothing, and where something
//! cannot be read there is nothing to offer.

use super::Takes;
use crate::cli::args;
use crate::cli::places::Places;
use crate::cli::{conflicts, open};
use crate::config::Config;
use crate::error::Result;
use crate::path::RelPath;
use crate::state::State;
use crate::state::db::Db;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What to offer.
pub enum Offer {
    /// Words, each with what it means.
    Words(Vec<(String, String)>),
    /// Paths; a folder ends in `/`.
    Paths(Vec<String>),
    /// The shell's own: files.
    Files,
    /// The shell's own: folders.
    Folders,
}

/// What fits, of the vault at these places.
pub fn of(takes: Takes, places: &Places, typed: &str) -> Result<Offer> {
    Ok(match takes {
        Takes::File => Offer::Files,
        Takes::Folder => Offer::Folders,
        Takes::Anything => Offer::Words(vec![]),
        Takes::Word(all) => Offer::Words(all.split('|').map(|w| (w.to_string(), String::new())).collect()),
        Takes::Device => Offer::Words(vec![(rustix::system::uname().nodename().to_string_lossy().into_owned(), "this machine".into())]),
        Takes::Vault => Offer::Words(vaults(places)),
        Takes::Node => Offer::Words(open::config(places)?.remotes.into_iter().map(|r| (r.name, r.url)).collect()),
        Takes::Path => below(&open::config(places)?.share, typed),
        Takes::SecurePath => below(&open::config(places)?.secure, typed),
        Takes::Conflict => {
            let config = open::config(places)?;
            let state = Db::open(&places.state_dir.join("state.db"))?;
            Offer::Paths(conflicts::in_words(&state)?.iter().filter_map(|(path, _)| from_here(&config, path)).collect())
        }
        Takes::Code => {
            let state = Db::open(&places.state_dir.join("state.db"))?;
            Offer::Words(codes(&state)?.into_iter().map(|c| (c, "what the brake stopped".into())).collect())
        }
    })
}

/// Vaults of this user: `default`, and those that have a directory.
fn vaults(places: &Places) -> Vec<(String, String)> {
    // `--vault`, which is being typed, has not moved the places yet.
    let named = std::fs::read_dir(places.config_dir.join("vaults")).into_iter().flatten().flatten();
    let mut all: Vec<String> = named.filter_map(|e| e.file_name().into_string().ok()).collect();
    all.push("default".into());
    all.sort();
    all.into_iter().map(|v| (v, String::new())).collect()
}

/// Codes in what the last round said of the brake.
fn codes(state: &impl State) -> Result<Vec<String>> {
    let told = crate::agent::memo::report(state)?.brake.unwrap_or_default();
    let code = |rest: &str| rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    Ok(told.split("sharelock allow ").skip(1).map(code).filter(|c| !c.is_empty()).collect())
}

/// A path of the share as the verbs take it in this working directory ([`crate::cli::names::share_path`]).
fn from_here(config: &Config, path: &RelPath) -> Option<String> {
    let here = std::env::current_dir().unwrap_or_default();
    let bytes = match here.strip_prefix(&config.share) {
        Ok(inside) => match Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())).strip_prefix(inside) {
            Ok(rest) => rest.as_os_str().as_bytes().to_vec(),
            Err(_) => config.share.join(std::ffi::OsStr::from_bytes(path.as_bytes())).as_os_str().as_bytes().to_vec(),
        },
        Err(_) => path.as_bytes().to_vec(),
    };
    line(&bytes)
}

/// What begins so below a root. In it, and behind `/`, files are what the shell takes them for.
fn below(root: &Path, typed: &str) -> Offer {
    let here = std::env::current_dir().unwrap_or_default();
    if typed.starts_with(['/', '~']) || here.starts_with(root) {
        return Offer::Files;
    }
    let (dir, begun) = typed.rsplit_once('/').map_or(("", typed), |(d, b)| (d, b));
    let at: PathBuf = root.join(args::path(dir));
    let mut out = Vec::new();
    for e in std::fs::read_dir(at).into_iter().flatten().flatten() {
        let Some(name) = line(e.file_name().as_bytes()) else { continue };
        // As shells do: what is hidden only if asked for. Ours are no entries.
        let hidden = name.starts_with('.') && !begun.starts_with('.');
        if hidden || dir.is_empty() && [".git", ".sharelock-root"].contains(&name.as_str()) {
            continue;
        }
        let slash = if e.file_type().is_ok_and(|t| t.is_dir()) { "/" } else { "" };
        out.push(if dir.is_empty() { format!("{name}{slash}") } else { format!("{dir}/{name}{slash}") });
    }
    out.sort();
    Offer::Paths(out)
}

/// A name as an argument; `None` if it would break the line that it is told in.
fn line(name: &[u8]) -> Option<String> {
    let text = args::text(std::ffi::OsStr::from_bytes(name));
    (!text.contains(char::is_control)).then_some(text)
}
