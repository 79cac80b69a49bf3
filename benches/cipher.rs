//! What encryption costs on one core: the primitives alone by each backend, the vault's chunks and files, and what a user
//! could choose instead, all in one run, so that their ratios mean something.
//!
//!     cargo bench --bench cipher                   everything
//!     cargo bench --bench cipher -- table          a short table: each backend, by size, with cycles and instructions
//!     cargo bench --bench cipher -- ratio          sealing beside its primitives; fails below 95 %
//!
//! `count` does one thing so many times and nothing else, for whoever counts from outside (scripts/instructions-per-byte).
#![allow(missing_docs)]

#[path = "support/counters.rs"]
mod counters;
#[path = "support/table.rs"]
mod table;

use aes_gcm::aead::{AeadInOut, KeyInit};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use openssl::symm;
use sharelock::crypt::backend::{self, Backend, Cipher, Mac};
use sharelock::crypt::head::FileHead;
use sharelock::crypt::siv::Siv;
use sharelock::crypt::{Master, VaultKeys, large, small};
use sharelock::id::Id;
use sharelock::tree::Writer;
use std::hint::black_box;
use std::process::ExitCode;

const CHUNK: usize = 4096;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One chunk of 4 KiB.
fn chunk(c: &mut Criterion) {
    let mut g = c.benchmark_group("chunk");
    g.throughput(Throughput::Bytes(CHUNK as u64));
    let mut data = vec![0x5a; CHUNK];
    let (mac, cipher) = (Mac::new(&[1; 32]), Cipher::new(&[2; 32]));
    let siv = Siv::new(&[3; 64]);
    let ctx = [0u8; 16];
    g.bench_function("hmac-sha-256", |b| b.iter(|| black_box(mac.of(&[black_box(&data)]))));
    g.bench_function("aes-256-ctr", |b| b.iter(|| cipher.apply(&[7; 16], black_box(&mut data))));
    g.bench_function("hmac + ctr alone", |b| {
        b.iter(|| {
            black_box(mac.of(&[black_box(&data)]));
            cipher.apply(&[7; 16], black_box(&mut data));
        })
    });
    g.bench_function("seal", |b| b.iter(|| black_box(siv.seal(&[&ctx], black_box(&mut data)))));
    let mut sealed = data.clone();
    let tag = siv.seal(&[&ctx], &mut sealed);
    g.bench_function("open", |b| {
        b.iter(|| {
            data.copy_from_slice(&sealed);
            assert!(siv.open(&[&ctx], &tag[..16], black_box(&mut data)));
        })
    });
    let gcm = aes_gcm::Aes256Gcm::new(&[1; 32].into());
    g.bench_function("RustCrypto aes-256-gcm", |b| {
        b.iter(|| black_box(gcm.encrypt_inout_detached(&[0; 12].into(), &ctx, black_box(&mut data[..]).into()).expect("short")))
    });
    let chacha = chacha20poly1305::ChaCha20Poly1305::new(&[1; 32].into());
    g.bench_function("RustCrypto chacha20-poly1305", |b| {
        b.iter(|| black_box(chacha.encrypt_inout_detached(&[0; 12].into(), &ctx, black_box(&mut data[..]).into()).expect("short")))
    });
    for (name, suite) in
        [("OpenSSL aes-256-gcm", symm::Cipher::aes_256_gcm()), ("OpenSSL chacha20-poly1305", symm::Cipher::chacha20_poly1305())]
    {
        let mut tag = [0; 16];
        g.bench_function(name, |b| {
            b.iter(|| black_box(symm::encrypt_aead(suite, &[1; 32], Some(&[0; 12]), &ctx, black_box(&data), &mut tag).expect("encrypts")))
        });
    }
    g.finish();
}

fn head(size: usize) -> FileHead {
    FileHead::file(Id([7; 16]), Writer::new("bench"), size as u64, if small::is_small(size as u64) { 0 } else { 20 })
}

/// A whole file, key derivation, padding, lists and head included.
fn seal_file(keys: &VaultKeys, plain: &[u8], out: &mut Vec<u8>) {
    let mut h = head(plain.len());
    if small::is_small(h.size) {
        small::seal(keys, &mut h, plain, out).expect("sizes fit");
        return;
    }
    let mut w = large::Writer::new(keys, h).expect("a large file");
    for s in 0..w.segments() as usize {
        let at = (s * MIB).min(plain.len());
        w.segment(&plain[at..(at + MIB).min(plain.len())], out).expect("sizes fit");
        black_box(w.take_index());
    }
    w.finish(out).expect("complete");
}

fn files(c: &mut Criterion) {
    let keys = VaultKeys::new(&Master::from_bytes(&[1; 32]));
    let (mac, cipher) = (Mac::new(&[1; 32]), Cipher::new(&[2; 32]));
    let gcm = aes_gcm::Aes256Gcm::new(&[1; 32].into());
    let chacha = chacha20poly1305::ChaCha20Poly1305::new(&[1; 32].into());
    let mut g = c.benchmark_group("file");
    g.sample_size(10);
    for size in [KIB, 4 * KIB, MIB, 64 * MIB] {
        g.throughput(Throughput::Bytes(size as u64));
        let name = if size < MIB { format!("{} KiB", size / KIB) } else { format!("{} MiB", size / MIB) };
        let mut plain = vec![0x5a; size];
        let mut out = Vec::new();
        g.bench_function(BenchmarkId::new("sharelock", &name), |b| b.iter(|| seal_file(&keys, black_box(&plain), &mut out)));
        g.bench_function(BenchmarkId::new("hmac + ctr alone", &name), |b| {
            b.iter(|| {
                black_box(mac.of(&[black_box(&plain)]));
                cipher.apply(&[7; 16], black_box(&mut plain));
            })
        });
        g.bench_function(BenchmarkId::new("RustCrypto aes-256-gcm", &name), |b| {
            b.iter(|| black_box(gcm.encrypt_inout_detached(&[0; 12].into(), b"", black_box(&mut plain[..]).into()).expect("short")))
        });
        g.bench_function(BenchmarkId::new("RustCrypto chacha20-poly1305", &name), |b| {
            b.iter(|| black_box(chacha.encrypt_inout_detached(&[0; 12].into(), b"", black_box(&mut plain[..]).into()).expect("short")))
        });
        for (suite_name, suite) in
            [("OpenSSL aes-256-gcm", symm::Cipher::aes_256_gcm()), ("OpenSSL chacha20-poly1305", symm::Cipher::chacha20_poly1305())]
        {
            let mut tag = [0; 16];
            g.bench_function(BenchmarkId::new(suite_name, &name), |b| {
                b.iter(|| {
                    black_box(symm::encrypt_aead(suite, &[1; 32], Some(&[0; 12]), b"", black_box(&plain), &mut tag).expect("encrypts"))
                })
            });
        }
    }
    g.finish();
}

/// The primitives, by backend and size.
fn backends(c: &mut Criterion) {
    let mut data = vec![0x5a; MIB];
    for size in table::SIZES {
        let mut g = c.benchmark_group(format!("{size} bytes"));
        g.throughput(Throughput::Bytes(size as u64));
        for by in Backend::ALL {
            let (mac, cipher) = (Mac::by(*by, &[1; 32]), Cipher::by(*by, &[2; 32]));
            let data = &mut data[..size];
            g.bench_function(BenchmarkId::new("aes-256-ctr", by.name()), |b| b.iter(|| cipher.apply(&[7; 16], black_box(&mut *data))));
            g.bench_function(BenchmarkId::new("hmac-sha-256", by.name()), |b| b.iter(|| black_box(mac.of(&[black_box(&*data)]))));
        }
        g.finish();
    }
}

criterion_group!(benches, chunk, backends, files);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["table"] => table::print(),
        ["ratio"] => return ratio(),
        ["count", what, by, size, times] => table::count(what, by, size, times),
        _ => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
    ExitCode::SUCCESS
}

/// Sealing as files are sealed, beside nothing but the primitives over the same bytes, in turns: the machine may be busy, but
/// then it is for both.
fn ratio() -> ExitCode {
    let keys = VaultKeys::new(&Master::from_bytes(&[1; 32]));
    let (mac, cipher) = (Mac::new(&[1; 32]), Cipher::new(&[2; 32]));
    let writer = large::Writer::new(&keys, head(4 * MIB)).expect("a large file");
    let (sealer, mut object, mut plain) = (writer.sealer(), Vec::new(), vec![0x5a; MIB]);
    let time = |f: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        f();
        start.elapsed()
    };
    let (mut seal, mut alone) = (std::time::Duration::MAX, std::time::Duration::MAX);
    for _ in 0..400 {
        seal = seal.min(time(&mut || {
            writer.begin(0, &mut object);
            black_box(sealer.seal(0, &mut object));
        }));
        alone = alone.min(time(&mut || {
            for chunk in plain.chunks_mut(CHUNK) {
                black_box(mac.of(&[chunk]));
                cipher.apply(&[7; 16], black_box(chunk));
            }
        }));
    }
    let ratio = alone.as_secs_f64() / seal.as_secs_f64();
    println!("a segment of 1 MiB is sealed at {:.1} % of what its primitives alone allow, by {:?}", ratio * 100.0, backend::choice());
    if ratio < 0.95 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
