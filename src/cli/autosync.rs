//! `init --import-autosync`: what a device that ran dvcs-autosync takes along.

use super::args;
use super::places::{self, Places};
use crate::config::{self, Wishes, autosync};
use crate::error::{Error, Kind, Result};

/// No such file is longer.
const LIMIT: u64 = 1 << 18;

/// What is taken along.
#[derive(Default)]
pub struct Import {
    /// The plain folder, unless the command line names one.
    pub share: Option<String>,
    /// What goes into the configuration.
    pub wishes: Wishes,
    /// Lines for the user: what became of each key.
    pub told: Vec<String>,
}

/// Reads the file. `share`: what the command line says.
///
/// Errors ([`Kind::Usage`]): what is wrong in it, by line.
pub fn read(places: &Places, file: &str, share: Option<&str>) -> Result<Import> {
    let path = args::path(file);
    let name = places.short(&path);
    let bytes = zeroize::Zeroizing::new(places::read(&path, LIMIT)?);
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let line = 1 + bytes.get(..e.valid_up_to()).unwrap_or_default().iter().filter(|c| **c == b'\n').count();
        Error::new(Kind::Usage, format!("{name}:{line}: this is no UTF-8 text")).detail("nothing was changed")
    })?;
    let mut a = autosync::read(text, &name)?;
    let mut more = Vec::new();
    let mut instead = None;
    if let Some(dir) = a.path.as_deref().map(|p| config::expand(p, &places.home)) {
        if let Some(share) = share {
            instead = Some(format!("not taken over: --share names {share}"));
        } else if dir.join(".encfs6.xml").exists() {
            instead = Some("not taken over: EncFS's encrypted files lie there; copy what it shows into ~/share".into());
        } else if dir.join(".git").exists() && !a.wishes.ignore.iter().any(|i| i == "/.git") {
            a.wishes.ignore.push("/.git".into());
            more.push(format!("{} has a .git: added to ignore, so that the old history stays here", places.short(&dir)));
        }
    }
    let width = a.told.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut told = vec![format!("from {name}:")];
    for (key, what) in &a.told {
        let what = instead.as_ref().filter(|_| key == "autosync.path").unwrap_or(what);
        told.push(format!("  {key:<width$}  {what}"));
    }
    told.extend(more.into_iter().map(|m| format!("  {m}")));
    Ok(Import { share: a.path.filter(|_| instead.is_none()), wishes: a.wishes, told })
}
