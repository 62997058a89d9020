//! The node's metadata cache: what a GET pays to know its object, and what a commit pays to be known next time.
//! Limits: memcpy of the entry, a plain map, bare RocksDB.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use futures_util::FutureExt as _;
use holdfast_benches::table;
use holdfast_common::wire::{Blob, Coding, Manifest, ObjectMeta, ObjectRecord, Part};
use holdfast_dataplane::cache::{self, CacheReader, CacheWriter, Cached, HotRecords, Known};
use holdfast_dataplane::limits::CACHE_HOT_RECORDS_PER_CORE;
use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const BUCKET: u64 = 7;
/// Above the hot map's bound, so that RocksDB has something to do on a node.
const RECORDS: u64 = 20_000;
/// Half of the writer's queue: no fill is dropped.
const FILLS: u64 = 4_096;

/// An object of 4 KiB as a PUT leaves it.
fn record(number: u64) -> ObjectRecord {
    let op_id = Bytes::copy_from_slice(&[number.to_be_bytes(), number.to_be_bytes()].concat());
    let coding = Coding { scheme: 1, data: 1, parity: 2, piece_bytes: 262_144 };
    let blob = Blob {
        op_id: op_id.clone(),
        size: 4096,
        coding: Some(coding),
        placement_id: 1,
        proven: 7,
        class_id: 1,
        ..Blob::default()
    };
    let part = Part { blob: Some(blob), md5: op_id.clone(), ..Part::default() };
    ObjectRecord {
        bucket_id: BUCKET,
        key: key(number),
        seq: number,
        op_id,
        size: 4096,
        modified_ms: 1_700_000_000_000,
        etag: "0123456789abcdef0123456789abcdef".into(),
        meta: Some(ObjectMeta { content_type: "application/octet-stream".into(), ..ObjectMeta::default() }),
        manifest: Some(Manifest { parts: vec![part], ..Manifest::default() }),
        tenant_id: 1,
        ..ObjectRecord::default()
    }
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("some/prefix/object-{number:08}"))
}

fn cached(number: u64, as_of: u64) -> Cached {
    Cached { as_of, known: Known::Object(Arc::new(record(number))) }
}

/// Numbers in an order that no cache line prefetcher guesses.
fn scattered(below: u64) -> impl FnMut() -> u64 {
    let mut at = 0;
    move || {
        at = (at + 7_919) % below;
        at
    }
}

fn entries(c: &mut Criterion) {
    let one = cached(1, 9);
    let bytes = one.encode();
    let mut out = vec![0; bytes.len()];
    let mut group = c.benchmark_group("cache entry");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("limit: memcpy", |b| b.iter(|| out.copy_from_slice(black_box(&bytes))));
    group.bench_function("encode", |b| b.iter(|| black_box(&one).encode()));
    group.bench_function("decode", |b| b.iter(|| Cached::decode(black_box(&bytes))));
    group.finish();
}

fn hot(c: &mut Criterion) {
    let many = CACHE_HOT_RECORDS_PER_CORE as u64;
    let keys: Vec<Bytes> = (0..many * 2).map(key).collect();
    let mut map: HashMap<Bytes, u64> = keys[..many as usize].iter().cloned().zip(0..).collect();
    let mut records = HotRecords::default();
    (0..many).for_each(|number| records.keep(BUCKET, key(number), cached(number, 1)));
    let mut group = c.benchmark_group("hot records of a core");
    let mut next = scattered(many);
    group.bench_function("limit: find in a HashMap", |b| {
        b.iter(|| map.get_mut(black_box(&keys[next() as usize])).copied());
    });
    group.bench_function("find", |b| {
        b.iter(|| records.find(BUCKET, black_box(&keys[next() as usize])).is_some());
    });
    let fresh = cached(1, 2);
    group.bench_function("keep what is there already", |b| {
        b.iter(|| records.keep(BUCKET, keys[next() as usize].clone(), fresh.clone()));
    });
    // Twice as many keys as there is room for, one after the other: each evicts.
    let mut next = 0;
    group.bench_function("keep a new one, evicting", |b| {
        b.iter(|| {
            next = (next + 1) % keys.len();
            records.keep(BUCKET, keys[next].clone(), fresh.clone());
        });
    });
    group.finish();
}

/// The threads of an earlier opening let go a moment after they have stopped.
fn open(dir: &Path) -> (CacheReader, CacheWriter) {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match cache::open(dir) {
            Ok(opened) => return opened,
            Err(error) if Instant::now() > until => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Fills and waits until the last one can be read.
fn fill(reader: &CacheReader, writer: &CacheWriter, entries: Vec<(Bytes, Cached)>) {
    let (last, as_of) = entries.last().map(|(key, cached)| (key.clone(), cached.as_of)).expect("some");
    for (key, cached) in entries {
        writer.fill(BUCKET, key, cached);
    }
    while find(reader, &last).is_none_or(|found| found.as_of < as_of) {
        std::thread::yield_now();
    }
}

fn find(reader: &CacheReader, key: &[u8]) -> Option<Cached> {
    block_on(reader.find(BUCKET, key)).map(|stored| stored.cached)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn stored(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let (reader, writer) = open(dir.path());
    for first in (0..RECORDS).step_by(FILLS as usize) {
        let some = first..RECORDS.min(first + FILLS);
        fill(&reader, &writer, some.map(|number| (key(number), cached(number, 1))).collect());
    }
    let keys: Vec<Bytes> = (0..RECORDS).map(key).collect();
    let mut next = scattered(RECORDS);
    let mut group = c.benchmark_group("RocksDB cache of 20,000 records");
    bare_gets(&mut group, &keys);
    // A core takes this path: it never waits, so one poll says it all.
    let mut near = |reader: &CacheReader| {
        let found = reader.find(BUCKET, black_box(&keys[next() as usize])).now_or_never();
        assert!(matches!(found, Some(Some(_))), "in memory");
    };
    group.bench_function("find, in the memtable", |b| b.iter(|| near(&reader)));
    writer.stop();
    drop((reader, writer));
    let (reader, writer) = open(dir.path());
    keys.iter().for_each(|key| assert!(find(&reader, key).is_some(), "it survived"));
    group.bench_function("find, in the block cache", |b| b.iter(|| near(&reader)));
    group.throughput(Throughput::Elements(FILLS));
    let mut as_of = 1;
    group.bench_function("fill, through the writer thread", |b| {
        let entries = |as_of| (0..FILLS).map(|number| (key(number), cached(number, as_of))).collect();
        b.iter_batched(
            || {
                as_of += 1;
                entries(as_of)
            },
            |entries| fill(&reader, &writer, entries),
            BatchSize::PerIteration,
        );
    });
    assert_eq!(writer.fills_dropped(), 0, "what was measured was written");
    group.finish();
    writer.stop();
}

/// RocksDB itself with the same keys and bytes: what the cache adds to it is ours.
fn bare_gets(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, keys: &[Bytes]) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    let db = rocksdb::DB::open(&options, dir.path()).expect("it opens");
    let mut unlogged = rocksdb::WriteOptions::default();
    unlogged.disable_wal(true);
    for (number, key) in (0..).zip(keys) {
        db.put_opt(key, cached(number, 1).encode(), &unlogged).expect("written");
    }
    let mut next = scattered(keys.len() as u64);
    group.bench_function("limit: bare get_pinned", |b| {
        b.iter(|| db.get_pinned(black_box(&keys[next() as usize])).is_ok_and(|found| found.is_some()));
    });
}

criterion_group!(benches, entries, hot, stored);

fn main() {
    let began = SystemTime::now();
    benches();
    table::print(began);
}
