//! `remote add|remove|list|heal|trust|authorize`.

use super::args::{RemoteAdd, RemoteVerb, Secrets};
use super::nodes::Vouch;
use super::open::{self, Vault};
use super::places::{self, Places};
use super::{nodes, sync, voice};
use crate::agent::{exchange, round};
use crate::config::{self, Config, Remote as Configured};
use crate::error::{Error, Kind, Result};
use crate::git::Remote;
use crate::git::store::Expect;
use crate::mirror::history;
use crate::mirror::secure::MAIN;
use crate::state::{State, Table};
use serde_json::json;

/// Runs a verb.
pub fn run(places: Places, secrets: &Secrets, verb: RemoteVerb) -> Result<u8> {
    match verb {
        RemoteVerb::List(a) => list(&places, a.json),
        RemoteVerb::Remove(a) => remove(open::vault(places, secrets)?, &a.name),
        RemoteVerb::Add(a) => add(open::vault(places, secrets)?, a),
        RemoteVerb::Heal(a) => heal(open::vault(places, secrets)?, &a.name),
        RemoteVerb::Trust(a) => server(&places, &a.name, |r, url| trust(r, url, &a.fingerprint)),
        RemoteVerb::Authorize(a) => server(&places, &a.name, |r, _| authorize(r, &a.name, &a.keyline)),
    }
}

fn list(places: &Places, as_json: bool) -> Result<u8> {
    let config = open::config(places)?;
    if as_json {
        let all: Vec<_> = config.remotes.iter().map(|r| json!({"name": r.name, "url": r.url})).collect();
        println!("{:#}", json!(all));
    } else if config.remotes.is_empty() {
        println!("no storage node yet\n  do: sharelock remote add --create NAME URL");
    } else {
        for r in &config.remotes {
            println!("{}  {}", r.name, r.url);
        }
    }
    Ok(0)
}

fn add(mut v: Vault, a: RemoteAdd) -> Result<u8> {
    let RemoteAdd { name, url, create, host_key } = a;
    if !config::valid_remote(&name) {
        return Err(Error::new(Kind::Usage, format!("{name:?} cannot be a storage node's name: letters, digits, - and _")));
    }
    if v.config.remotes.iter().any(|r| r.name == name) {
        return Err(Error::new(Kind::Usage, format!("there is a storage node called {name} already"))
            .remedy("to forget it", format!("sharelock remote remove {name}")));
    }
    let r = Configured { name: name.clone(), url: nodes::absolute(&url, &v.places) };
    let mut node = nodes::open_new(&r, &v.places, &Vouch::first(host_key), &v.device.settings.progress)?;
    if create {
        node.remote.create()?;
    }
    if let Some(theirs) = node.remote.refs()?.get(MAIN) {
        // It must be this vault's: a fetch looks at every seal.
        let ours = round::head(&v.device)?;
        exchange::fetch(&mut v.device, &mut node, ours)
            .map_err(|e| if e.exit_code() == 6 { e.detail(format!("{name} was not added")) } else { e })?;
        exchange::remember(&v.device, &name, theirs)?;
    }
    let text = String::from_utf8_lossy(&places::read(&v.places.config, 1 << 20)?).into_owned();
    places::write_private(&v.places.config, config::with_remote(&text, &r).as_bytes())?;
    v.config.remotes.push(r);
    let mut nodes = v.nodes()?;
    if let Some(last) = nodes.last_mut() {
        *last = node; // It is connected.
    }
    let out = sync::round(&mut v, &mut nodes)?;
    match out.nodes.into_iter().find(|n| n.name == name).and_then(|n| n.error) {
        Some(e) => Err(e),
        None => {
            let (files, _, bytes) = v.device.state.count(Table::Head)?;
            println!("{name} is a storage node now: {}, {} are stored on it", voice::files(files), voice::size(bytes));
            Ok(0)
        }
    }
}

fn remove(mut v: Vault, name: &str) -> Result<u8> {
    v.node(name)?;
    let text = String::from_utf8_lossy(&places::read(&v.places.config, 1 << 20)?).into_owned();
    let rest = config::without_remote(&text, name);
    let short = v.places.short(&v.places.config);
    if Config::parse(&rest, &short, &v.places.home)?.remotes.iter().any(|r| r.name == name) {
        return Err(Error::failed(format!("{name} could not be taken out of {short}: remove its lines there by hand"))
            .detail("nothing was changed"));
    }
    places::write_private(&v.places.config, rest.as_bytes())?;
    v.device.git.set_ref(&history::seen_ref(name), Expect::Any, None)?;
    v.device.state.set_value(&format!("{}{name}", crate::agent::memo::NODE), None)?;
    v.device.state.set_value(&exchange::staging::space_key(name), None)?;
    v.device.state.set_value(&exchange::rate::key(name), None)?;
    v.device.state.commit()?;
    println!("{name} is no storage node any more; what is stored there stays there, encrypted");
    Ok(0)
}

/// A node that went back, lost its repository, or shows something foreign gets the present state again.
fn heal(mut v: Vault, name: &str) -> Result<u8> {
    let mut node = v.node(name)?;
    let mut made = false;
    let healed = match round::heal(&mut v.device, &mut node) {
        Err(e) if node.remote.is_lost(&e) => {
            node.remote.create()?;
            made = true;
            round::heal(&mut v.device, &mut node)
        }
        other => other,
    };
    v.device.settings.progress.end();
    let healed = healed?;
    let files = v.device.state.count(Table::Head)?.0;
    let again =
        if made { format!("{name} has a new repository, and the present state") } else { format!("{name} has the present state again") };
    println!("{again}: {}", voice::files(files));
    for line in found(&healed) {
        println!("  {line}");
    }
    // What came from there goes to the share, and to the other nodes.
    let mut nodes = v.nodes()?;
    if let Some(same) = nodes.iter_mut().find(|n| n.name == name) {
        *same = node; // It is connected.
    }
    let out = sync::round(&mut v, &mut nodes)?;
    for p in &v.device.report.problems {
        eprint!("{}", voice::problem(p));
    }
    let (own, others): (Vec<_>, Vec<_>) = out.nodes.into_iter().filter_map(|n| Some((n.name, n.error?))).partition(|(n, _)| n == name);
    others.iter().for_each(|(_, e)| voice::error(e));
    match (own.into_iter().next(), &v.device.report.brake) {
        (Some((_, e)), _) => Err(e),
        (None, Some(b)) => Err(voice::brake(b, v.config.device.as_str())),
        (None, None) => Ok(0),
    }
}

/// What a person is told of a node that was healed, beside that it was.
fn found(healed: &round::Healed) -> Vec<String> {
    let mut out = Vec::new();
    if healed.taken > 0 {
        let by: Vec<&str> = healed.devices.iter().map(String::as_str).collect();
        out.push(format!("{} that only it had ({}) came into the vault", voice::plural(healed.taken, "change"), by.join(", ")));
    }
    if healed.foreign {
        out.push("what it showed was made by no device of this vault, and is gone there".into());
    }
    if healed.superseded {
        out.push("what it had before is not on this device any more: all devices take the present state instead".into());
    }
    out
}

#[cfg(feature = "ssh")]
type Server = crate::ssh::remote::SshRemote;

#[cfg(feature = "ssh")]
fn server(places: &Places, name: &str, f: impl FnOnce(&mut Server, &str) -> Result<()>) -> Result<u8> {
    let config = open::config(places)?;
    let r = open::configured(&config, name)?;
    f(&mut nodes::server(r, places)?, &r.url).map(|()| 0)
}

#[cfg(feature = "ssh")]
fn trust(r: &mut Server, url: &str, fingerprint: &str) -> Result<()> {
    r.trust(fingerprint)?;
    println!("the host key of {url} is on file now");
    Ok(())
}

#[cfg(feature = "ssh")]
fn authorize(r: &mut Server, name: &str, keyline: &str) -> Result<()> {
    r.authorize(keyline)?;
    println!("{name} lets that key in now");
    Ok(())
}

#[cfg(not(feature = "ssh"))]
fn server(_: &Places, name: &str, _: impl FnOnce(&mut (), &str) -> Result<()>) -> Result<u8> {
    Err(nodes::only_servers(name))
}

#[cfg(not(feature = "ssh"))]
fn trust(_: &mut (), _: &str, _: &str) -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "ssh"))]
fn authorize(_: &mut (), _: &str, _: &str) -> Result<()> {
    Ok(())
}
