//! What a look at the share costs, and taking it in: a scan of an unchanged tree, and sealing a tree into a pack.
//!
//! `cargo bench --bench mirror`. Beside sealing stand HMAC-SHA-256 and AES-256-CTR alone over the same bytes.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
use std::path::Path;
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
criterion_main!(benches);
