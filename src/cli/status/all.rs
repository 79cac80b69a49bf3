//! `status --all`: every vault of this user, one block each. One that cannot be looked at hides no other.

use super::Standing;
use crate::cli::args::Status;
use crate::cli::open;
use crate::cli::places::Places;
use crate::cli::voice;
use crate::error::{Error, Kind, Result};
use serde_json::{Value, json};

/// Runs it. Exit code: with `--check` 3 if any vault waits for a decision, else 5 if no storage node of one answers, else 1 if
/// one is not in sync; without it that of the first vault that cannot be looked at.
///
/// # Errors
/// There is no vault.
pub fn run(args: &Status) -> Result<u8> {
    if args.watch {
        return Err(Error::new(Kind::Usage, "--all shows every vault once; --watch follows one").remedy("do", "sharelock status --watch"));
    }
    let all: Vec<Places> = Places::of_all()?.into_iter().filter(|p| p.config.exists() || p.leaving.exists()).collect();
    if all.is_empty() {
        open::config(&Places::new(None, None)?)?;
    }
    let looked: Vec<(String, Result<Standing>)> = all.iter().map(|p| (p.vault.clone(), Standing::read(p))).collect();
    match args.json {
        true => println!("{:#}", json!(looked.iter().map(|(name, s)| object(name, s, args.files)).collect::<Vec<_>>())),
        false => print!("{}", looked.iter().map(|(name, s)| block(name, s, args.files)).collect::<Vec<_>>().join("\n")),
    }
    let failed = looked.iter().find_map(|(_, s)| s.as_ref().err()).map_or(0, Error::exit_code);
    if !args.check {
        return Ok(failed);
    }
    let codes: Vec<u8> = looked.iter().map(|(_, s)| s.as_ref().map_or(1, Standing::code)).collect();
    Ok([3, 5, 1].into_iter().find(|c| codes.contains(c)).unwrap_or(0))
}

fn block(name: &str, s: &Result<Standing>, all: bool) -> String {
    match s {
        Ok(s) => format!("{name}: {}", s.text(all, voice::ago)),
        Err(e) => format!("{name}: {}", voice::error_text(e).trim_start_matches("sharelock: ")),
    }
}

fn object(name: &str, s: &Result<Standing>, all: bool) -> Value {
    let mut out = match s {
        Ok(s) => s.json(all),
        Err(e) => json!({"in_sync": false, "error": e.to_string()}),
    };
    out["vault"] = json!(name);
    out
}
