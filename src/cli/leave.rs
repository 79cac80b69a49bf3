//! `leave`: this device goes away, and the plain files stay.
//!
//! Everything is looked at before anything is removed. Then the configuration gets another name, with what has to be known
//! of the vault: from there on no verb finds a vault, so nothing that is missing counts as deleted, and `leave` goes on from
//! wherever a crash has stopped it.

mod removal;

use super::args::{Leave, Secrets};
use super::nodes::Node;
use super::open::{self, Vault};
use super::places::{self, Places};
use super::{run as agent, secret, voice};
use crate::agent::round::{self, StorageNode};
use crate::agent::{exchange, notices};
use crate::error::{Error, Kind, Result};
use crate::id::{Id, Oid};
use crate::mirror::{scan, worktree};
use crate::path::printable;
use crate::state::{State, Table};
use serde_json::{Value, json};

/// Commits that are looked at for the names of the vault's devices.
const HEARD: usize = 10_000;
/// What stands before the notes in the renamed configuration.
const NOTES: &str = "# leave: ";

/// What has to be known once the key is gone.
struct Notes {
    vault: Id,
    head: Oid,
    files: u64,
    /// Who has the vault now: the end of a sentence.
    goes_on: String,
}

/// Runs it. `config` and `vault` are the options that name this vault.
pub fn run(places: Places, secrets: &Secrets, config: Option<&str>, vault: Option<&str>, a: &Leave) -> Result<u8> {
    if !places.config.exists() && places.leaving.exists() {
        let text = String::from_utf8_lossy(&places::read(&places.leaving, 1 << 21)?).into_owned();
        let notes = Notes::read(&text).ok_or_else(|| {
            Error::failed(format!("{} does not say what was to be removed", places.short(&places.leaving)))
                .detail("nothing was removed; what is left of this vault is for you to remove")
        })?;
        if !a.yes {
            ask(&places, &notes, "this device was leaving its vault when something stopped it. what is left of service, state, key")?;
        }
        let _lock = places.wait_for_lock()?;
        return removal::remove(&places, &notes, config, vault);
    }
    let mut v = open::vault(places, secrets)?;
    let mut notes = look(&mut v)?;
    if !a.yes {
        ask(&v.places, &notes, &format!("this device, {}, leaves the vault: its service, state, key", v.config.device.as_str()))?;
        // Somebody may have thought for a while.
        notes = look(&mut v)?;
    }
    agent::end_agent(&v.places)?;
    let Some(alone) = agent::alone(&v.places)? else {
        return Err(Error::failed("another sharelock has started on this vault meanwhile").detail(SAFE));
    };
    let text = String::from_utf8_lossy(&places::read(&v.places.config, 1 << 20)?).into_owned();
    places::write_private(&v.places.leaving, format!("{}\n{NOTES}{}\n", text.trim_end(), notes.json()).as_bytes())?;
    // From here on it is done, however often it takes.
    places::remove_durably(&v.places.config)?;
    let Vault { places, device, lock, .. } = v;
    drop(device);
    let done = removal::remove(&places, &notes, config, vault);
    drop((lock, alone));
    done
}

const SAFE: &str = "nothing was removed";

/// Looks whether this device may go: all that it has is on a storage node, and secure holds nothing but that.
fn look(v: &mut Vault) -> Result<Notes> {
    scan::check_root(&v.device).map_err(|e| e.detail(SAFE))?;
    round::recover(&mut v.device)?;
    let head = round::present(&v.device)?;
    let waits = scan::unsent(&v.device.share, &v.device.state, &v.config.ignore)?;
    if !waits.is_empty() {
        let names = waits.iter().map(|(path, _)| path.to_string());
        let wait = if waits.len() == 1 { "waits" } else { "wait" };
        return Err(not_left(format!("{} {wait} to be sent", voice::files(waits.len() as u64)), waits.len(), names));
    }
    let others = worktree::compare(&v.device)?.differs;
    if !others.is_empty() {
        let names = others.iter().map(|(path, _)| printable(path));
        let what = format!("{} holds changes by others that no sync has looked at", v.places.short(&v.config.secure));
        return Err(not_left(what, others.len(), names));
    }
    let mut nodes = v.nodes()?;
    let stored = stored(v, &mut nodes, head)?;
    let others: Vec<String> = {
        let devices = notices::devices(&v.device, head, HEARD)?;
        let mut names: Vec<String> =
            devices.into_iter().filter(|(id, d)| *id != v.device.id && !d.forgotten).map(|(_, d)| d.name).collect();
        names.sort();
        names
    };
    let goes_on = match others.split_last() {
        Some((last, [])) => format!("the vault goes on on {last}"),
        Some((last, first)) => format!("the vault goes on on {} and {last}", first.join(", ")),
        None => format!("the vault stays on {stored}; with the recovery key: sharelock join {}", url(v, &stored)),
    };
    Ok(Notes { vault: v.device.vault, head, files: v.device.state.count(Table::Head)?.0, goes_on })
}

fn url<'v>(v: &'v Vault, node: &str) -> &'v str {
    v.config.remotes.iter().find(|r| r.name == node).map_or("URL", |r| &r.url)
}

/// The error for files that are nowhere else yet.
fn not_left(what: String, n: usize, names: impl Iterator<Item = String>) -> Error {
    let e = Error::failed(format!("not left: {what}"));
    let mut shown: Vec<String> = names.take(5).collect();
    if n > shown.len() {
        shown.push(format!("{} more", voice::count((n - shown.len()) as u64)));
    }
    e.detail(shown.join(", ")).detail(SAFE).remedy("do", "sharelock sync")
}

/// The first storage node that has all of this device's head.
fn stored(v: &mut Vault, nodes: &mut [StorageNode<Node>], head: Oid) -> Result<String> {
    if nodes.is_empty() {
        return Err(Error::failed("not left: this vault is on this device only, no storage node has it")
            .detail(SAFE)
            .remedy("do", "sharelock remote add --create NAME URL"));
    }
    let (mut kind, mut why) = (None, Vec::new());
    for node in nodes {
        match exchange::fetch(&mut v.device, node, Some(head)) {
            Ok(shown) if shown.head.is_some() && shown.walk.only_ours.is_empty() => return Ok(node.name.clone()),
            Ok(shown) => {
                let lacks = voice::plural(shown.walk.only_ours.len().max(1) as u64, "change");
                why.push(format!("{} ({}) lacks {lacks}", node.name, node.place));
                kind = Some(Kind::Failed);
            }
            Err(e) => {
                why.push(format!("{}: {e}", node.name));
                kind = kind.or(Some(e.kind()));
            }
        }
    }
    v.device.settings.progress.end();
    let e = Error::new(kind.unwrap_or(Kind::Failed), "not left: no storage node is known to have everything of this device");
    Err(why.into_iter().fold(e, Error::detail).detail(SAFE).remedy("do", "sharelock sync"))
}

/// Asks; without a terminal it says which option answers.
fn ask(places: &Places, notes: &Notes, what: &str) -> Result<()> {
    if !secret::can_ask() {
        return Err(Error::new(
            Kind::Usage,
            "leave removes service, state, key and ~/secure, and there is no terminal to ask whether it shall",
        )
        .detail(SAFE)
        .remedy("do", "sharelock leave --yes"));
    }
    let secure = open_secure(places);
    eprintln!("{what}\n  and {secure} will be removed\n  ~/share stays as it is, {}. {}", voice::files(notes.files), notes.goes_on);
    match secret::ask("leave? [yes/No] ")?.eq_ignore_ascii_case("yes") {
        true => Ok(()),
        false => Err(Error::failed("not left").detail(SAFE)),
    }
}

fn open_secure(places: &Places) -> String {
    open::config(places).map_or("~/secure".into(), |c| places.short(&c.secure))
}

impl Notes {
    fn json(&self) -> Value {
        json!({"vault": self.vault.to_string(), "head": self.head.to_string(), "files": self.files, "goes_on": self.goes_on})
    }

    fn read(text: &str) -> Option<Notes> {
        let v: Value = serde_json::from_str(text.lines().rev().find_map(|l| l.strip_prefix(NOTES))?).ok()?;
        let mut vault = [0; 16];
        let hex = v["vault"].as_str()?.as_bytes();
        (hex.len() == 32).then(|| data_encoding::HEXLOWER.decode_mut(hex, &mut vault).ok()).flatten()?;
        Some(Notes {
            vault: Id(vault),
            head: Oid::from_hex(v["head"].as_str()?.as_bytes())?,
            files: v["files"].as_u64()?,
            goes_on: v["goes_on"].as_str()?.to_string(),
        })
    }
}
