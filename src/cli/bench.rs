//! `bench`: what encryption costs on this machine, whose code does it, and what that means for this vault.

use super::args::Bench;
use super::places::Places;
use super::{open, progress, voice};
use crate::crypt::backend::{self, Backend, Choice, Cipher, Cpu, Mac};
use crate::crypt::head::FileHead;
use crate::crypt::large::Writer;
use crate::crypt::{Master, VaultKeys};
use crate::error::Result;
use crate::id::Id;
use crate::state::db::Db;
use crate::state::{State, Table};
use crate::tree;
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What one measurement takes; the fastest of three parts of it counts, for other programs run, too.
const LONG: Duration = Duration::from_millis(90);
/// As files are sealed: by chunks, in segments.
const CHUNK: usize = 4096;
const SEGMENT: usize = 1 << 20;

/// Bytes a second, of one backend.
struct Speed {
    backend: Backend,
    cipher: f64,
    mac: f64,
}

struct Found {
    cpu: Cpu,
    cores: usize,
    choice: Choice,
    speeds: Vec<Speed>,
    /// Sealing whole segments, on one thread and on as many as a large file is sealed on.
    one: f64,
    all: f64,
    /// Files and bytes of this device's vault, if it has one.
    vault: Option<(u64, u64)>,
}

/// Runs it.
pub fn run(places: &Places, args: &Bench) -> Result<u8> {
    let found = Found::measure(vault(places)?);
    match args.json {
        true => println!("{:#}", found.json()),
        false => print!("{}", found.text()),
    }
    Ok(0)
}

/// Files and bytes in this device's vault, as its database has them.
fn vault(places: &Places) -> Result<Option<(u64, u64)>> {
    let state = places.state_dir.join("state.db");
    if !places.config.exists() || !state.exists() {
        return Ok(None);
    }
    open::config(places)?;
    let (files, _, bytes) = Db::open(&state)?.count(Table::Head)?;
    Ok(Some((files, bytes)))
}

/// Bytes a second of something that is done again and again.
fn rate(bytes: usize, mut once: impl FnMut()) -> f64 {
    once();
    let mut best = 0f64;
    for _ in 0..3 {
        let (start, mut times) = (Instant::now(), 0u32);
        while start.elapsed() < LONG / 3 {
            once();
            times += 1;
        }
        best = best.max(bytes as f64 * f64::from(times) / start.elapsed().as_secs_f64());
    }
    best
}

fn speed(backend: Backend, data: &mut [u8]) -> Speed {
    let (cipher, mac) = (Cipher::by(backend, &[1; 32]), Mac::by(backend, &[2; 32]));
    let bytes = data.len();
    Speed {
        backend,
        cipher: rate(bytes, || data.chunks_mut(CHUNK).for_each(|c| cipher.apply(&[7; 16], black_box(c)))),
        mac: rate(bytes, || data.chunks(CHUNK).for_each(|c| _ = black_box(mac.of(&[black_box(c)])))),
    }
}

/// Sealing segments of a large file, on so many threads at once.
fn sealing(threads: usize) -> f64 {
    let keys = VaultKeys::new(&Master::from_bytes(&[3; 32]));
    let head = FileHead::file(Id([4; 16]), tree::Writer::new("bench"), 4 * SEGMENT as u64, 20);
    let one = || {
        let writer = Writer::new(&keys, head.clone()).expect("4 MiB are a large file");
        let (sealer, mut object) = (writer.sealer(), Vec::new());
        rate(SEGMENT, || {
            writer.begin(0, &mut object);
            black_box(sealer.seal(0, &mut object));
        })
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(one)).collect();
        one() + others.into_iter().filter_map(|t| t.join().ok()).sum::<f64>()
    })
}

impl Found {
    fn measure(vault: Option<(u64, u64)>) -> Found {
        let mut data = vec![0x5a; 16 * CHUNK];
        let (cores, threads) = (open::cores(), open::sealing_threads());
        let one = sealing(1);
        Found {
            cpu: backend::cpu(),
            cores,
            choice: backend::choice(),
            speeds: Backend::ALL.iter().map(|b| speed(*b, &mut data)).collect(),
            one,
            all: if threads > 1 { sealing(threads) } else { one },
            vault,
        }
    }

    /// Seconds that all of the vault takes to encrypt.
    fn seconds(&self, bytes: u64) -> f64 {
        bytes as f64 / self.all
    }

    fn text(&self) -> String {
        let per_second = |rate: f64| format!("{}/s", voice::size(rate as u64));
        let mut out = format!("encrypting: {} on one core", per_second(self.one));
        if self.cores > 1 {
            out += &format!(", {} on two (large files)", per_second(self.all));
        }
        out += &format!("\n  cpu           {}, {}\n", described(&self.cpu), voice::plural(self.cores as u64, "core"));
        let mut line = |what: &str, used: Backend, of: fn(&Speed) -> f64| {
            out += &format!("  {what:<12}  ");
            for s in &self.speeds {
                let mark = if s.backend == used { "used" } else { "not used" };
                out += &format!("{:<34}", format!("{} {} ({mark})", s.backend.name(), per_second(of(s))));
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        };
        line("AES-256-CTR", self.choice.cipher, |s| s.cipher);
        line("HMAC-SHA-256", self.choice.mac, |s| s.mac);
        out += &match self.vault {
            Some((files, bytes)) => format!(
                "  this vault    {}, {}: a first import takes about {} of cipher\n",
                voice::files(files),
                voice::size(bytes),
                progress::lasts(self.seconds(bytes).ceil() as u64)
            ),
            None => {
                format!("  a first import of 10 GB takes about {} of cipher\n", progress::lasts(self.seconds(10_000_000_000).ceil() as u64))
            }
        };
        out
    }

    fn json(&self) -> serde_json::Value {
        let backends = self.speeds.iter().map(|s| {
            json!({
                "name": s.backend.name(),
                "aes_256_ctr": {"bytes_per_second": s.cipher as u64, "used": s.backend == self.choice.cipher},
                "hmac_sha_256": {"bytes_per_second": s.mac as u64, "used": s.backend == self.choice.mac},
            })
        });
        json!({
            "cpu": {"arch": self.cpu.arch, "neon": self.cpu.neon, "aes": self.cpu.aes, "sha2": self.cpu.sha2, "cores": self.cores},
            "backends": backends.collect::<Vec<_>>(),
            "seal": {"one_core": self.one as u64, "large_files": self.all as u64},
            "vault": self.vault.map(|(files, bytes)| json!({"files": files, "bytes": bytes, "seconds": self.seconds(bytes)})),
        })
    }
}

/// `x86_64 with instructions for AES and SHA-256`.
fn described(cpu: &Cpu) -> String {
    let has: Vec<&str> = [(cpu.aes, "AES"), (cpu.sha2, "SHA-256")].into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
    let neon = if cpu.neon && cpu.arch == "arm" { " with NEON" } else { "" };
    match has.is_empty() {
        true => format!("{}{neon}, no instructions for AES or SHA-256", cpu.arch),
        false => format!("{}{neon}{} instructions for {}", cpu.arch, if neon.is_empty() { " with" } else { " and" }, has.join(" and ")),
    }
}
