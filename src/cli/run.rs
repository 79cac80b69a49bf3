//! `run`, and the verbs that talk to the running agent.

use super::args::{Pause, Run, Secrets, Wait};
use super::nodes::Node;
use super::open;
use super::places::{self, Places};
use super::{secret, sync, voice};
use crate::agent::control::{Ask, Client, error_from};
use crate::agent::journal::Journal;
#[cfg(feature = "xmpp")]
use crate::agent::notices;
use crate::agent::resident::{self, Start};
use crate::agent::told::Told;
use crate::agent::worker::{Facts, Opened, Site};
use crate::clock::Time;
use crate::config;
use crate::crypt::Master;
use crate::crypt::unlocked::{self, Unlocked};
use crate::error::{Error, Kind, Result};
use crate::id::Id;
use crate::mirror::Report;
use crate::mirror::progress::Progress;
use crate::path::RelPath;
use crate::state::db::Db;
use crate::tree::conflict;
use log::LevelFilter;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The vault on this machine, for the agent.
struct Here {
    places: Places,
    master: Master,
    vault: Id,
}

impl Site<Node> for Here {
    fn open(&mut self) -> Result<Opened<Node>> {
        let config = open::config(&self.places)?;
        // Whoever has it gives it back by ending.
        let lock = self.places.wait_for_lock()?;
        let v = open::assemble(self.places.clone(), config, lock, &self.master, self.vault, Progress::default())?;
        let nodes = v.nodes()?;
        Ok(Opened {
            #[cfg(feature = "xmpp")]
            account: account(&v),
            device: v.device,
            nodes,
            config: v.config,
            guard: Box::new(v.lock),
        })
    }

    fn report(&self, device: &str, report: &Report) -> Value {
        sync::report_json(report, device, &self.places)
    }

    fn conflicts(&self, state: &Db) -> Result<Vec<RelPath>> {
        let copies = sync::conflict_paths(state)?;
        let of = |copy: &RelPath| {
            let (dir, name) = copy.split()?;
            Some(dir.join(&conflict::parse(&name)?.original))
        };
        let files: BTreeSet<RelPath> = copies.iter().filter_map(of).collect();
        Ok(files.into_iter().collect())
    }
}

/// The XMPP account of a device.
#[cfg(feature = "xmpp")]
fn account(v: &open::Vault) -> Option<Result<crate::xmpp::Config>> {
    let x = v.config.xmpp.as_ref()?;
    let password = match (&x.password, &x.password_command) {
        (Some(p), _) => Ok(p.clone()),
        (None, Some(command)) => secret::from_command(command, "xmpp.password_command").and_then(|p| {
            let text = String::from_utf8(p.to_vec());
            text.map(Zeroizing::new).map_err(|_| Error::new(Kind::Usage, "xmpp.password_command printed something that is no text"))
        }),
        (None, None) => return None,
    };
    let (node, resource) = (v.device.keys.pep_node(), notices::resource(&v.device.keys, &v.device.id));
    Some(password.and_then(|p| x.account(p, node, resource)))
}

/// Runs the agent.
///
/// `same`: the options that name this vault, for the process in the background.
pub fn run(places: Places, secrets: &Secrets, a: &Run, same: &[OsString]) -> Result<u8> {
    if a.detached {
        return detached(places, a.verbose);
    }
    let config = open::config(&places)?;
    let Some(alone) = alone(&places)? else {
        println!("sharelock is running already");
        return Ok(0);
    };
    let (master, vault) = secret::unlock(&places, secrets, Some(&config))?;
    if a.daemon {
        drop(alone);
        return daemon(&places, &master, &vault, a.verbose, same);
    }
    Journal::stderr().install(level(a.verbose));
    resident(places, master, vault, |_| log::info!("sharelock is running"))?;
    drop(alone);
    Ok(0)
}

fn level(verbose: bool) -> LevelFilter {
    if verbose { LevelFilter::Debug } else { LevelFilter::Info }
}

fn resident(places: Places, master: Master, vault: Id, ready: impl FnOnce(&Facts) + 'static) -> Result<()> {
    let state_dir = places.state_dir.clone();
    open::config(&places)?.unheeded.iter().for_each(|what| log::warn!("{what}"));
    resident::run(Start { site: Box::new(Here { places, master, vault }), state_dir, ready: Box::new(ready) })
}

/// The lock of the only agent of a vault; `None`: there is one. The system releases it when the process ends, however
/// it ends, so neither a crash nor a reused process number is in the way of the next start.
pub fn alone(places: &Places) -> Result<Option<File>> {
    places::private_dir(&places.state_dir)?;
    let path = places.state_dir.join("agent.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::from(e).at(path.display())),
    }
}

// -- in the background ---------------------------------------------------------

/// What the background process says on its standard output once it runs.
const READY: &str = "ready";

/// Starts the agent anew, apart from this terminal. The key goes through a pipe: never an argument, never the
/// environment.
fn daemon(places: &Places, master: &Master, vault: &Id, verbose: bool, same: &[OsString]) -> Result<u8> {
    let mut command = Command::new(super::service::program()?);
    command.args(same).args(["run", "--detached"]);
    if verbose {
        command.arg("--verbose");
    }
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| Error::from(e).at("can't start the agent"))?;
    if let Some(mut pipe) = child.stdin.take() {
        let _ = pipe.write_all(&unlocked::bytes(master, vault));
    }
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        // It says one line, and goes on alone.
        BufReader::new(out.take(1 << 16)).read_line(&mut line)?;
    }
    if line.trim_end() == READY {
        let memory = memory(child.id()).map_or(String::new(), |bytes| format!(" ({} of memory)", voice::size(bytes)));
        println!("sharelock is running{memory}. its log: {}", places.short(&places.state_dir.join("agent.log")));
        return Ok(0);
    }
    let told = serde_json::from_str::<Value>(&line).ok().and_then(|v| error_from(&v));
    Err(told.unwrap_or_else(|| {
        Error::failed("the agent ended before it was ready").detail(format!("see {}", places.short(&places.state_dir.join("agent.log"))))
    }))
}

/// The resident memory of a process, in bytes, where the system tells.
fn memory(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn detached(places: Places, verbose: bool) -> Result<u8> {
    // No terminal of whoever started it reaches it any more.
    let _ = rustix::process::setsid();
    // It does not move while it is read.
    let mut key = Zeroizing::new(Vec::with_capacity(8192));
    std::io::stdin().lock().take(4096).read_to_end(&mut key)?;
    let begun = (|| {
        let Ok(Some(Unlocked { master, vault, .. })) = unlocked::read(&key) else {
            return Err(Error::new(Kind::Usage, "`run --detached` is what `run --daemon` starts").remedy("do", "sharelock run --daemon"));
        };
        let Some(alone) = alone(&places)? else {
            println!("{READY}");
            return Ok(None);
        };
        let log = places.state_dir.join("agent.log");
        Journal::file(&log).map_err(|e| Error::from(e).at(log.display()))?.install(level(verbose));
        Ok(Some((master, vault, alone)))
    })();
    let ended = begun.and_then(|b| match b {
        Some((master, vault, alone)) => {
            log::info!("sharelock {} begins", env!("CARGO_PKG_VERSION"));
            resident(places, master, vault, |_| {
                println!("{READY}");
                let _ = std::io::stdout().flush();
                let _ = quiet();
            })?;
            log::info!("sharelock ends");
            drop(alone);
            Ok(0)
        }
        None => Ok(0),
    });
    if let Err(e) = &ended {
        log::error!("{e}");
        println!("{}", crate::agent::control::error_json(e));
    }
    ended
}

/// Standard output goes nowhere from now on: whoever started this reads no more.
fn quiet() -> std::io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

// -- talking to it ---------------------------------------------------------------

/// The agent, or what to do without one.
fn agent(places: &Places) -> Result<Client> {
    Client::connect(&places.state_dir)
        .ok_or_else(|| Error::new(Kind::Failed, "sharelock is not running on this device").remedy("to start it", "sharelock run --daemon"))
}

fn simple(places: &Places, ask: Ask) -> Result<Value> {
    let mut client = agent(places)?;
    client.ask(ask)?;
    let answer = client.answer(None)?.unwrap_or(Value::Null);
    match answer["done"] == true {
        true => Ok(answer),
        false => Err(Error::failed(answer["why"].as_str().unwrap_or("it was not done").to_string())),
    }
}

/// `stop`.
pub fn stop(places: &Places) -> Result<u8> {
    end(places, &mut agent(places)?)?;
    println!("sharelock has stopped on this device; what changes here is sent when it runs again");
    Ok(0)
}

/// Ends the agent, if there is one, also while it lends the vault.
pub fn end_agent(places: &Places) -> Result<()> {
    Client::connect(&places.state_dir).map_or(Ok(()), |mut client| end(places, &mut client))
}

fn end(places: &Places, client: &mut Client) -> Result<()> {
    client.ask(Ask::Stop)?;
    // It is gone when its lock is free: then the next one can start.
    let began = Instant::now();
    while alone(places)?.is_none() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(Error::failed("sharelock has not stopped yet on this device").remedy("what it does", "sharelock status"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// `pause`.
pub fn pause(places: &Places, a: &Pause) -> Result<u8> {
    let millis = match &a.period {
        None => None,
        Some(t) => Some(config::duration(t).ok_or_else(|| {
            Error::new(Kind::Usage, format!("--for takes a time like 30s, 20m or 2h, not {t:?}")).remedy("do", "sharelock pause --for 2h")
        })?),
    };
    let answer = simple(places, Ask::Pause(millis))?;
    match answer["until"].as_i64() {
        Some(s) => println!("paused until {}. changes are noted and sent then. resume: sharelock resume", clock(s)),
        None => println!("paused. changes are noted and sent after: sharelock resume"),
    }
    Ok(0)
}

/// `16:30`, or with its day.
fn clock(s: i64) -> String {
    let text = voice::time(Time { s, ns: 0 });
    text.strip_prefix("today ").map_or(text.clone(), str::to_string)
}

/// `resume`.
pub fn resume(places: &Places) -> Result<u8> {
    simple(places, Ask::Resume)?;
    println!("goes on");
    Ok(0)
}

/// `wait` says what it waits for once it has waited for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// `wait`.
pub fn wait(places: &Places, a: &Wait) -> Result<u8> {
    let began = Instant::now();
    let mut client = agent(places)?;
    // Before it is asked: soon after there is less to be sent.
    let waits = super::status::to_send(places).unwrap_or(0);
    client.ask(Ask::Wait)?;
    let mut line: Option<Announced> = None;
    let deadline = a.timeout.map(|s| began + Duration::from_secs(s));
    let mut away = String::new();
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if left.is_some_and(|l| l.is_zero()) {
            let e = Error::new(Kind::Unreachable, format!("not stored yet after {} s", a.timeout.unwrap_or(0)));
            let e = if away.is_empty() { e } else { e.detail(format!("no answer from {away}")) };
            return Err(e.detail("nothing is lost: everything waits on this device").remedy("what waits", "sharelock status"));
        }
        // What is over within a second is not announced.
        let patience = PATIENCE.saturating_sub(began.elapsed());
        let announce = line.is_none() && patience < left.unwrap_or(Duration::MAX);
        let Some(v) = client.answer(if announce { Some(patience.max(Duration::from_millis(1))) } else { left })? else {
            line = line.or_else(|| announce.then(|| Announced::begin(waits)));
            continue;
        };
        let names =
            |key: &str| -> String { v[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ") };
        if v["done"] == true {
            let secs = began.elapsed().as_secs_f64();
            let away = names("away");
            let but = if away.is_empty() { String::new() } else { format!(" ({away} is away)") };
            line.iter_mut().for_each(|l| l.open = false);
            println!("stored on {}{but}. you can close the lid ({secs:.1} s)", names("stored"));
            return Ok(0);
        }
        if v["done"] == false {
            let e = Error::failed(v["why"].as_str().unwrap_or("it was not done").to_string()).detail("nothing is lost: changes are noted");
            return Err(v["remedy"].as_str().into_iter().fold(e, |e, r| e.remedy("do", r)));
        }
        if away.is_empty() {
            away = names("away");
            if !away.is_empty() {
                line.get_or_insert_with(|| Announced::begin(waits)).open = false;
                eprintln!("{away} does not answer, waiting ...");
            }
        }
    }
}

/// `3 files to send ... `, which the result follows on the same line of a terminal.
struct Announced {
    open: bool,
}

impl Announced {
    fn begin(files: u64) -> Announced {
        let open = files > 0 && std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        match (files, open) {
            (0, _) => {}
            (_, true) => eprint!("{} to send ... ", voice::files(files)),
            (_, false) => eprintln!("{} to send ...", voice::files(files)),
        }
        Announced { open }
    }
}

impl Drop for Announced {
    /// Whatever comes instead of a result begins a line of its own.
    fn drop(&mut self) {
        if self.open {
            eprint!("\n");
        }
    }
}

/// One round of the running agent; `None` if there is no agent.
pub fn sync_by_agent(places: &Places) -> Result<Option<Value>> {
    let Some(mut client) = Client::connect(&places.state_dir) else { return Ok(None) };
    client.ask(Ask::Sync)?;
    client.answer(None)
}

/// How the running agent does; `None` if there is none, or if it does not answer.
pub fn status_of_agent(places: &Places) -> Option<Told> {
    let mut client = Client::connect(&places.state_dir)?;
    client.ask(Ask::Status).ok()?;
    Told::read(&client.answer(Some(Duration::from_secs(5))).ok()??)
}
