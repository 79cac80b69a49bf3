//! What the git engine costs by itself: writing a pack, sending it, taking one in, and finding objects.
//!
//! `cargo bench --bench pack`. Writing and taking in end with an fsync, so the disk counts.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sharelock::files::Files;
use sharelock::files::real::Disk;
use sharelock::git::store::Store;
use sharelock::git::{PackSource, Type};
use sharelock::id::Oid;
use std::hint::black_box;
use std::io::Write;
use tempfile::TempDir;

/// Sizes as those of small files in secure, and as full segments.
const SIZES: [(&str, usize, usize); 2] = [("8192 of 4 KiB", 8192, 4 << 10), ("32 of 1 MiB", 32, 1 << 20)];

fn repository() -> (TempDir, Store<Disk>) {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let files = Disk::open(dir.path()).expect("just made");
    let store = Store::init(&files, &files.root(), true).expect("an empty folder");
    (dir, store)
}

/// Objects that do not compress and differ from each other.
fn write(store: &Store<Disk>, count: usize, size: usize) -> Vec<Oid> {
    let mut content = vec![0x5a; size];
    let mut pack = store.pack_writer().expect("a new pack");
    let mut oids = Vec::with_capacity(count);
    for n in 0..count {
        content[..8].copy_from_slice(&n.to_le_bytes());
        oids.push(pack.add(Type::Blob, &content).expect("written"));
    }
    pack.finish().expect("complete");
    oids
}

fn packs(c: &mut Criterion) {
    for (name, count, size) in SIZES {
        let mut g = c.benchmark_group(format!("pack, {name}"));
        g.sample_size(10).throughput(Throughput::Bytes((count * size) as u64));
        let (_dir, store) = repository();
        // The same pack each time: one stays.
        g.bench_function("write", |b| b.iter(|| black_box(write(&store, count, size))));
        let oids = write(&store, count, size);
        let mut sent = Vec::new();
        g.bench_function("send", |b| {
            b.iter(|| {
                sent.clear();
                store.pack_source(oids.clone()).expect("known").write_to(&mut sent).expect("to memory");
            })
        });
        let (_other_dir, other) = repository();
        g.bench_function("take in", |b| {
            b.iter(|| {
                let mut ingest = other.ingest().expect("a new pack");
                ingest.write_all(&sent).expect("a good pack");
                black_box(ingest.finish().expect("a good pack"))
            })
        });
        g.finish();
    }
}

fn lookups(c: &mut Criterion) {
    let (_dir, store) = repository();
    let mut oids = write(&store, 20_000, 64);
    let mut g = c.benchmark_group("index");
    g.throughput(Throughput::Elements(oids.len() as u64));
    let all = |oids: &[Oid]| assert!(oids.iter().all(|oid| store.is_packed(oid).expect("readable")));
    g.bench_function("20 000 lookups as written", |b| b.iter(|| all(&oids)));
    g.bench_function("20 000 headers as written", |b| b.iter(|| oids.iter().for_each(|oid| drop(black_box(store.header(oid))))));
    oids.sort_unstable();
    g.bench_function("20 000 lookups in order", |b| b.iter(|| all(&oids)));
    g.finish();
}

criterion_group!(benches, packs, lookups);
criterion_main!(benches);
