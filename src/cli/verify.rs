//! `verify`: every file decrypts and matches, every seal holds.

use super::args::Verify;
use super::open::Vault;
use super::{names, voice};
use crate::agent::{exchange, round};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::id::Oid;
use crate::mirror::overlay::{Overlay, Rows};
use crate::mirror::progress::Step;
use crate::mirror::worktree::{self, Difference};
use crate::mirror::{content, history, secure, versions};
use crate::path::printable;
use crate::state::{State, Table};
use serde_json::json;

/// Runs it. Exit code 6 if something is wrong.
pub fn run(mut v: Vault, a: &Verify) -> Result<u8> {
    let done = check(&mut v, a);
    v.device.settings.progress.end();
    done
}

fn check(v: &mut Vault, a: &Verify) -> Result<u8> {
    let head = round::present(&v.device)?;
    let fetched = if a.repair { history_again(v, &head)? } else { None };
    round::recover(&mut v.device)?;
    let mut bad: Vec<(String, String)> = Vec::new();
    let mut files = 0u64;
    let mut rows = Rows::of(Table::Head);
    v.device.settings.progress.expect(Step::Verifying, || v.device.state.count(Table::Head).map(|(files, _, bytes)| (files, bytes)))?;
    while let Some(row) = rows.next(&v.device.state)? {
        let Some(version) = row.here().and_then(|n| n.file()) else { continue };
        files += 1;
        v.device.settings.progress.did(Step::Verifying, 1, version.size);
        if let Err(e) = content::plaintext(&v.device.git, &v.device.keys, version, &mut |_| Ok(())) {
            let path = Overlay::HEAD.path(&v.device.state, &row.place)?.map_or("?".into(), |p| p.to_string());
            bad.push((path, e.to_string()));
        }
    }
    // Every seal, and every object that the history names.
    let commits = versions::commits(&v.device, &head).map(|c| c.len()).unwrap_or_else(|e| {
        bad.push(("history".into(), e.to_string()));
        0
    });
    if let Err(e) = v.device.git.complete(&head, &[]) {
        bad.push(("history".into(), e.to_string()));
    }
    if let Err(e) = history::walk(&v.device, &[head], &[]) {
        bad.push(("history".into(), e.to_string()));
    }
    let mut repaired = 0;
    for (path, difference) in compare_all(v)? {
        if a.repair && difference != Difference::Extra && worktree::make_anew(&v.device, &path)? {
            repaired += 1;
            continue;
        }
        let at = format!("~/secure/{}", printable(&path));
        // A person knows the file by its name in the share.
        bad.push(match (difference, names::belongs_to(&v.device, &path)) {
            (Difference::Extra, _) => (at, "is nothing of this vault; it stays, and is not synced".into()),
            (Difference::Changed, Some(name)) => (name.to_string(), format!("its encrypted file is damaged ({at})")),
            (Difference::Missing, Some(name)) => (name.to_string(), format!("its encrypted file is missing ({at})")),
            (Difference::Changed, None) => (at, "is damaged".into()),
            (Difference::Missing, None) => (at, "is missing".into()),
        });
    }
    if a.remote {
        for mut node in v.nodes()? {
            let ours = Some(head);
            let checked = exchange::fetch(&mut v.device, &mut node, ours).and_then(|shown| match shown.head {
                Some(theirs) => v.device.git.complete(&theirs, &[]),
                None => Ok(()),
            });
            if let Err(e) = checked {
                bad.push((node.name.clone(), e.to_string()));
            }
        }
    }
    v.device.settings.progress.end();
    if let Some(node) = fetched.filter(|_| !a.json) {
        println!("the history was damaged on this device, and is whole again, from {node}");
    }
    if a.json {
        let rows: Vec<_> = bad.iter().map(|(p, w)| json!({"path": p, "what": w})).collect();
        println!("{:#}", json!({"files": files, "changes": commits, "repaired": repaired, "bad": rows}));
    } else if repaired > 0 {
        println!("{} made anew in ~/secure", voice::files(repaired));
    }
    if bad.is_empty() {
        if !a.json {
            let (files, changes) = (voice::files(files), voice::plural(commits as u64, "change"));
            let files = if files == "1 file" { "1 file decrypts and matches".into() } else { format!("{files} decrypt and match") };
            println!("{files}, {changes} {} sealed", if commits == 1 { "is" } else { "are" });
        }
        return Ok(0);
    }
    if a.json {
        return Ok(6);
    }
    let mut e = Error::new(
        Kind::Integrity(Class::Auth),
        format!("{} not as they should be", if bad.len() == 1 { "1 thing is".into() } else { format!("{} things are", bad.len()) }),
    );
    for (path, what) in bad.iter().take(20) {
        e = e.detail(format!("{path}: {what}"));
    }
    if bad.len() > 20 {
        e = e.detail(format!("and {} more", bad.len() - 20));
    }
    Err(match a.repair {
        true => e,
        false => e.remedy("to make damaged files of ~/secure anew", "sharelock verify --repair"),
    })
}

/// Fetches the history anew where packs are damaged or objects are missing; gives the node that had all of it. Damaged
/// packs go aside only once a node has given what they held.
fn history_again(v: &Vault, head: &Oid) -> Result<Option<String>> {
    let git = &v.device.git;
    let whole = || git.complete(head, &[]);
    let mut sound = whole().is_ok();
    if !sound {
        // A repair that was killed may have left some aside.
        git.put_all_back()?;
        sound = whole().is_ok();
    }
    let damaged = git.damaged_packs()?;
    if damaged.is_empty() && sound {
        return Ok(None);
    }
    let nodes = v.nodes()?;
    damaged.iter().try_for_each(|pack| git.put_aside(pack))?;
    for mut node in nodes {
        match exchange::bring_head(git, &mut node, &[]) {
            Ok(_) if whole().is_ok() => {
                git.give_up_aside()?;
                return Ok(Some(node.name));
            }
            Ok(_) => {}
            Err(e) => voice::error(&e),
        }
    }
    git.put_all_back()?;
    Ok(None)
}

/// Secure against head's tree, every content read.
fn compare_all(v: &Vault) -> Result<Vec<(Vec<u8>, Difference)>> {
    let mut out = worktree::compare(&v.device)?.differs;
    let Some(mut index) = v.device.git.index()? else { return Ok(out) };
    let mut entry = crate::git::index::Entry::default();
    while index.next(&mut entry)? {
        if out.iter().any(|(p, _)| *p == entry.path) {
            continue;
        }
        let (dir, name) = match entry.path.iter().rposition(|c| *c == b'/') {
            Some(i) => (&entry.path[..i], &entry.path[i + 1..]),
            None => (&b""[..], &entry.path[..]),
        };
        let mut at = v.device.secure.root();
        for part in dir.split(|c| *c == b'/').filter(|p| !p.is_empty()) {
            at = v.device.secure.open_dir(&at, part)?;
        }
        if secure::blob_at(&v.device.secure, &at, name)? != Some(entry.oid) {
            out.push((entry.path.clone(), Difference::Changed));
        }
    }
    Ok(out)
}
