//! What encryption costs on one core: the primitives alone, the vault's chunks and files, and what a user could choose
//! instead, all in one run, so that their ratios mean something.
//!
//! `cargo bench --bench cipher`; the budget is: sealing chunks at 60 % or more of HMAC-SHA-256 and AES-256-CTR alone.
#![allow(missing_docs)]

use aes_gcm::aead::{AeadInOut, KeyInit};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use openssl::symm;
use sharelock::clock::Time;
use sharelock::crypt::backend::{Cipher, Mac};
use sharelock::crypt::head::{FileHead, HeadKind};
use sharelock::crypt::siv::Siv;
use sharelock::crypt::{Master, VaultKeys, large, small};
use sharelock::id::Id;
use sharelock::tree::Writer;
use std::hint::black_box;

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
    FileHead {
        id: Id([7; 16]),
        kind: HeadKind::File,
        exec: false,
        private: false,
        mtime: Time::default(),
        offset: 0,
        size: size as u64,
        generation: 1,
        mac: [0; 32],
        writer: Writer::new("bench"),
        segment: if small::is_small(size as u64) { 0 } else { 20 },
        epoch: 0,
    }
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

criterion_group!(benches, chunk, files);
criterion_main!(benches);
