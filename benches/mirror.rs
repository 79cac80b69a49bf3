//! What a look at the share costs, and taking it in: a scan of an unchanged tree, and sealing a tree into a pack.
//!
//!     cargo bench --bench mirror               everything; beside sealing stand HMAC-SHA-256 and AES-256-CTR alone
//!     cargo bench --bench mirror -- path       the whole path of a large file per byte, beside the limit that its parts give
//!                                              in the same run (read, HMAC and AES, SHA-1, CRC-32 and Adler-32, write);
//!                                              fails below 60 %
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group};
use sha1::{Digest, Sha1};
use sharelock::clock::system::{OsRandom, System};
use sharelock::crypt::backend::{Cipher, Mac};
use sharelock::crypt::{Master, VaultKeys};
use sharelock::files::Files;
use sharelock::files::real::Disk;
use sharelock::git::store::Store;
use sharelock::id::Id;
use sharelock::mirror::packs::Packs;
use sharelock::mirror::{Device, Report, Settings, scan, stage};
use sharelock::state::db::Db;
use sharelock::state::{State, Table};
use sharelock::tree::Writer;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use tempfile::TempDir;

type Real = Device<Disk, Db, System, OsRandom>;

/// A device with a share of `count` files of `size` bytes, 50 in a directory.
fn device(count: usize, size: usize) -> (TempDir, Real) {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let at = |name: &str| dir.path().join(name);
    for n in 0..count {
        let folder = at("share").join((n / 50).to_string());
        std::fs::create_dir_all(&folder).expect("a new folder");
        std::fs::write(folder.join(n.to_string()), vec![n as u8; size]).expect("a new file");
    }
    std::fs::create_dir(at("secure")).expect("a new folder");
    let open = |path: &Path| Disk::open(path).expect("just made");
    let (share, secure) = (open(&at("share")), open(&at("secure")));
    secure.mkdir(&secure.root(), b".git", 0o777).expect("a new folder");
    let git = secure.open_dir(&secure.root(), b".git").expect("just made");
    let device = Device {
        git: Store::init(&secure, &git, false).expect("an empty folder"),
        share,
        secure,
        state: Db::open(&at("state.db")).expect("a new file"),
        clock: System,
        random: OsRandom,
        keys: VaultKeys::new(&Master::from_bytes(&[1; 32])),
        vault: Id([2; 16]),
        name: Writer::new("bench").expect("a good name"),
        id: Id([3; 16]),
        settings: Settings::default(),
        report: Report::default(),
    };
    scan::mark_root(&device.share, &device.vault).expect("written");
    (dir, device)
}

/// Seals what the scan has found; the pack is thrown away at its end, so no fsync is in it.
fn seal(d: &mut Real) {
    scan::scan(d).expect("readable");
    let mut packs = Packs::new(&d.git);
    stage::seal_changes(d, &mut packs).expect("sealed");
    black_box(packs.written());
}

fn scans(c: &mut Criterion) {
    const FILES: usize = 10_000;
    let (_dir, mut d) = device(FILES, 16);
    seal(&mut d);
    d.state.absorb(Table::Scan, Table::Anc).expect("known");
    d.state.commit().expect("written");
    let mut g = c.benchmark_group("scan");
    g.sample_size(10).throughput(Throughput::Elements(FILES as u64));
    g.bench_function("10 000 unchanged files", |b| b.iter(|| black_box(scan::scan(&mut d).expect("readable"))));
    g.finish();
}

fn seals(c: &mut Criterion) {
    for (name, count, size) in [("4096 files of 1 KiB", 4096, 1 << 10), ("1024 of 16 KiB", 1024, 16 << 10), ("1 of 60 MiB", 1, 60 << 20)] {
        let (_dir, mut d) = device(count, size);
        let mut g = c.benchmark_group(format!("seal, {name}"));
        g.sample_size(10).throughput(Throughput::Bytes((count * size) as u64));
        g.bench_function("scan and seal into a pack", |b| b.iter(|| seal(&mut d)));
        let (mac, cipher) = (Mac::new(&[1; 32]), Cipher::new(&[2; 32]));
        let mut plain = vec![0x5a; size];
        g.bench_function("hmac + ctr alone", |b| {
            b.iter(|| {
                for _ in 0..count {
                    black_box(mac.of(&[black_box(&plain)]));
                    cipher.apply(&[7; 16], black_box(&mut plain));
                }
            })
        });
        g.finish();
    }
}

criterion_group!(benches, scans, seals);

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "path") {
        return path();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    ExitCode::SUCCESS
}

/// The shortest of some turns, in seconds.
fn shortest(mut turn: impl FnMut()) -> f64 {
    let one = |_| {
        let start = Instant::now();
        turn();
        start.elapsed().as_secs_f64()
    };
    (0..7).map(one).fold(f64::MAX, f64::min)
}

/// From a file in the share to its objects in a pack, per byte, beside the sum of what must be done with each byte.
fn path() -> ExitCode {
    const SIZE: usize = 60 << 20;
    const SEGMENT: usize = 1 << 20;
    let (dir, mut d) = device(1, SIZE);
    let file = dir.path().join("share/0/0");
    let mut buffer = vec![0x5a; SEGMENT];
    let (mac, cipher) = (Mac::new(&[1; 32]), Cipher::new(&[2; 32]));
    let parts = [
        (
            "read",
            shortest(|| {
                let mut f = std::fs::File::open(&file).expect("just made");
                (0..SIZE / SEGMENT).for_each(|_| f.read_exact(&mut buffer).expect("readable"));
            }),
        ),
        (
            "HMAC-SHA-256 and AES-256-CTR",
            shortest(|| {
                for _ in 0..SIZE / SEGMENT {
                    for chunk in buffer.chunks_mut(4096) {
                        black_box(mac.of(&[chunk]));
                        cipher.apply(&[7; 16], black_box(chunk));
                    }
                }
            }),
        ),
        ("SHA-1", shortest(|| (0..SIZE / SEGMENT).for_each(|_| _ = black_box(Sha1::digest(black_box(&buffer)))))),
        (
            "CRC-32 and Adler-32",
            shortest(|| {
                for _ in 0..SIZE / SEGMENT {
                    black_box(crc32fast::hash(black_box(&buffer)));
                    black_box(simd_adler32::adler32(&black_box(&buffer[..])));
                }
            }),
        ),
        (
            "write",
            shortest(|| {
                let mut f = std::fs::File::create(dir.path().join("written")).expect("a new file");
                (0..SIZE / SEGMENT).for_each(|_| f.write_all(&buffer).expect("written"));
            }),
        ),
    ];
    let limit: f64 = parts.iter().map(|p| p.1).sum();
    for (what, took) in parts {
        println!("{:>8.0} MB/s  {what}", SIZE as f64 / took / 1e6);
    }
    println!("{:>8.0} MB/s  all of them, one after the other", SIZE as f64 / limit / 1e6);
    let mut low = false;
    for threads in [1, 2] {
        d.settings.threads = threads;
        let took = shortest(|| seal(&mut d));
        let ratio = limit / took;
        low |= ratio < 0.6;
        println!("{:>8.0} MB/s  the whole path on {threads}: {:.0} % of that", SIZE as f64 / took / 1e6, ratio * 100.0);
    }
    if low { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
