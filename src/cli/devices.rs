//! `device list|rename|forget`: who has the vault.

use super::args::{DeviceForget, DeviceVerb, Secrets};
use super::nodes::Node;
use super::open::{self, Vault};
use super::places::{self, Places};
use super::{run as agent, sync, voice};
use crate::agent::round::{self, StorageNode};
use crate::agent::told::Told;
use crate::clock::{Clock, system::System};
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::id::{Id, Oid};
use crate::mirror::behind::files_behind;
use crate::mirror::commit::{self, Says};
use crate::mirror::devices::{Seen, devices};
use crate::tree::Writer;
use serde_json::json;
use std::collections::BTreeMap;

/// Runs a verb.
pub fn run(places: Places, secrets: &Secrets, verb: DeviceVerb) -> Result<u8> {
    match verb {
        DeviceVerb::List(a) => {
            // Once it lends the vault it is asked no more.
            let told = agent::status_of_agent(&places);
            list(&open::vault(places, secrets)?, told.as_ref(), a.json)
        }
        DeviceVerb::Rename(a) => rename(open::vault(places, secrets)?, &a.name),
        DeviceVerb::Forget(a) => forget(open::vault(places, secrets)?, &a),
    }
}

/// The vault's devices that are on the list, and head.
fn all(v: &Vault) -> Result<(BTreeMap<Id, Seen>, Oid)> {
    let head = round::present(&v.device)?;
    let mut all = devices(&v.device.git, &v.device.keys, &v.device.vault, head, usize::MAX)?;
    all.retain(|id, d| !d.forgotten && *id != v.device.id);
    Ok((all, head))
}

fn list(v: &Vault, told: Option<&Told>, as_json: bool) -> Result<u8> {
    let (others, head) = all(v)?;
    let own = v.config.device.as_str();
    let mut rows = Vec::new();
    for (id, d) in &others {
        let peer = told.and_then(|t| t.devices.iter().find(|p| p.name == d.name));
        let online = peer.is_some_and(|p| p.online);
        let seen = peer.map_or(d.changed, |p| p.seen.max(d.changed));
        rows.push((d.name.clone(), *id, online, seen, files_behind(&v.device.git, &v.device.state, &head, &d.last)?));
    }
    rows.sort();
    if as_json {
        let this = json!({"name": own, "id": v.device.id.to_string(), "this": true, "online": true,
            "last_seen": voice::iso(System.now()), "may_lack_files": 0});
        let others = rows.iter().map(|(name, id, online, seen, lacks)| {
            json!({"name": name, "id": id.to_string(), "this": false, "online": online, "last_seen": voice::iso(*seen), "may_lack_files": lacks})
        });
        println!("{:#}", json!(std::iter::once(this).chain(others).collect::<Vec<_>>()));
        return Ok(0);
    }
    let width = rows.iter().map(|r| r.0.chars().count()).max().unwrap_or(0).max(own.chars().count());
    println!("{own:<width$}   this device");
    for (i, (name, id, online, seen, lacks)) in rows.iter().enumerate() {
        // What it has fetched since its own last change nobody here knows.
        let lacks = match lacks {
            0 => "has everything".into(),
            n => format!("may lack {} of the last changes", voice::files(*n)),
        };
        let when = if *online { "online".into() } else { format!("last seen {}", voice::ago(*seen)) };
        let twin = name == own || rows.iter().enumerate().any(|(j, r)| j != i && r.0 == *name);
        let id = if twin { format!("   id {id}") } else { String::new() };
        println!("{name:<width$}   {when}, {lacks}{id}");
    }
    Ok(0)
}

fn say(v: &mut Vault, says: Says) -> Result<()> {
    round::recover(&mut v.device)?;
    let head = round::present(&v.device)?;
    round::say(&mut v.device, head, says)
}

fn rename(mut v: Vault, new: &str) -> Result<u8> {
    let Some(writer) = Writer::new(new) else {
        return Err(Error::new(Kind::Usage, format!("{new:?} cannot be a device's name: 1 to 32 bytes without spaces, /, ( and )")));
    };
    let old = v.config.device.as_str().to_string();
    if old == new {
        println!("this device is called {new} already");
        return Ok(0);
    }
    if all(&v)?.0.values().any(|d| d.name == new) {
        return Err(Error::new(Kind::Usage, format!("another device is called {new}"))
            .detail("nothing was changed")
            .remedy("all of them", "sharelock device list"));
    }
    let short = v.places.short(&v.places.config);
    let text = String::from_utf8_lossy(&places::read(&v.places.config, 1 << 20)?).into_owned();
    let text = config::with_device(&text, new);
    if !Config::parse(&text, &short, &v.places.home).is_ok_and(|c| c.device.as_str() == new) {
        return Err(Error::failed(format!("the name could not be put into {short}: change its line `device = ..` there by hand"))
            .detail("nothing was changed"));
    }
    places::write_private(&v.places.config, text.as_bytes())?;
    (v.config.device, v.device.name) = (writer.clone(), writer);
    say(&mut v, Says { summary: Some(format!("{old} is called {new} now")), ..Says::default() })?;
    println!("this device is called {new} now; what it wrote as {old} stays {old}'s");
    Ok(send(&mut v))
}

/// A device that has made no commit yet makes one, so that the others know of it. That it does not get through now is no
/// error: it goes with the next round.
pub fn introduce(v: &mut Vault, nodes: &mut [StorageNode<Node>]) -> Result<()> {
    if commit::seq(&v.device.state)? > 0 {
        return Ok(());
    }
    say(v, Says { summary: Some(format!("{} joined", v.config.device.as_str())), ..Says::default() })?;
    sync::round(v, nodes).map(drop)
}

/// Tells the nodes; what does not get through now goes with the next round. The exit code.
fn send(v: &mut Vault) -> u8 {
    let errors: Vec<Error> = match v.nodes() {
        Err(e) => vec![e],
        Ok(mut nodes) => match sync::round(v, &mut nodes) {
            Err(e) => vec![e],
            Ok(out) => out.nodes.into_iter().filter_map(|n| n.error).collect(),
        },
    };
    for e in &errors {
        voice::error(e);
    }
    if !errors.is_empty() {
        eprintln!("  the other devices hear of it with the next sync");
    }
    errors.first().map_or(0, Error::exit_code)
}

fn forget(mut v: Vault, a: &DeviceForget) -> Result<u8> {
    let (others, _) = all(&v)?;
    let own = v.config.device.as_str().to_string();
    let found: Vec<(&Id, &Seen)> = others.iter().filter(|(id, d)| d.name == a.name || id.to_string() == a.name).collect();
    let (id, names, name) = match found[..] {
        [(id, d)] => (*id, d.names.clone(), d.name.clone()),
        [] if a.name == own || a.name == v.device.id.to_string() => {
            return Err(Error::new(Kind::Usage, format!("{own} is this device"))
                .detail("nothing was changed")
                .remedy("to go away with it", "sharelock leave"));
        }
        [] => {
            let all: Vec<&str> = others.values().map(|d| d.name.as_str()).collect();
            let known =
                if all.is_empty() { "this is the only device of the vault".into() } else { format!("there are: {}", all.join(", ")) };
            return Err(Error::new(Kind::Usage, format!("no other device is called {}", a.name)).detail(known));
        }
        _ => {
            return Err(Error::new(Kind::Usage, format!("{} devices are called {}", found.len(), a.name))
                .detail("nothing was changed; an id will do instead of the name")
                .remedy("their ids", "sharelock device list"));
        }
    };
    say(&mut v, Says { summary: Some(format!("{name} was taken off the list")), forgets: vec![id], ..Says::default() })?;
    let code = send(&mut v);
    // A name that another device bears, too, names no key.
    let names: Vec<String> =
        names.into_iter().filter(|n| *n != own && !others.iter().any(|(i, d)| *i != id && d.names.contains(n))).collect();
    let (mut shut, mut open) = (Vec::new(), Vec::new());
    for node in servers(&v) {
        match lock_out(&v, node, &names) {
            Ok(true) => shut.push(node.name.as_str()),
            Ok(false) => open.push(format!("no SSH key called {} was found on {}", names.join(" or "), node.name)),
            Err(e) => open.push(format!("its SSH key on {} could not be taken out: {e}", node.name)),
        }
    }
    let no_longer = match shut[..] {
        [] => String::new(),
        [one] => format!(", and {one} no longer lets its SSH key in"),
        _ => format!(", and {} no longer let its SSH key in", shut.join(", ")),
    };
    println!("{name} is off the list{no_longer}. what was on its");
    println!("  disk it may still have: the files, and the key. if it was stolen, change the");
    println!("  XMPP password, and take the files into a vault with a new key:");
    println!("    sharelock --vault NEW init");
    for line in open {
        println!("  {line}");
        println!("    look into ~/.ssh/authorized_keys there");
    }
    Ok(code)
}

#[cfg(feature = "ssh")]
fn servers(v: &Vault) -> impl Iterator<Item = &config::Remote> {
    v.config.remotes.iter().filter(|r| super::nodes::local_path(&r.url, &v.places).is_none())
}

#[cfg(feature = "ssh")]
fn lock_out(v: &Vault, node: &config::Remote, names: &[String]) -> Result<bool> {
    Ok(!super::nodes::server(node, &v.places)?.lock_out(names)?.is_empty())
}

#[cfg(not(feature = "ssh"))]
fn servers(_: &Vault) -> impl Iterator<Item = &config::Remote> {
    std::iter::empty()
}

#[cfg(not(feature = "ssh"))]
fn lock_out(_: &Vault, _: &config::Remote, _: &[String]) -> Result<bool> {
    Ok(false)
}
