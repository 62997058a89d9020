//! From a row of bytes to records on drives, without the drives: Reed-Solomon, placement, record encode. Limits: memcpy,
//! and ISA-L for the code (`apt-get install libisal2`).

mod isal;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group};
use holdfast_benches::table;
use holdfast_common::id::{BackendId, DriveId, FragmentId, OpId};
use holdfast_protocol::erasure::{Coder, CoderKind, Coders, CpuFeatures, choose};
use holdfast_protocol::limits::ENCODE_SLICE_BYTES;
use holdfast_protocol::placement::{Backend, BackendState, Class, Level, Rule, Spread, place};
use holdfast_protocol::record::{self, Kind, PieceCoding, PieceScheme, Place, Record};
use std::hint::black_box;
use std::time::SystemTime;

/// The shape of `holdfast dev`: four drives, any two may be lost.
const DATA: usize = 2;
const PARITY: usize = 2;
const PIECE_BYTES: usize = 256 * 1024;

fn pieces() -> Vec<Vec<u8>> {
    let piece = |seed: usize| (0..PIECE_BYTES).map(|at| (at * 31 + seed * 7 + (at >> 8)) as u8).collect();
    (0..DATA).map(piece).collect()
}

/// Every coder that this CPU can run, the chosen one first.
fn coders() -> Vec<CoderKind> {
    let mut kinds = vec![choose(cpu()), CoderKind::Dispatched, CoderKind::Scalar];
    kinds.dedup();
    kinds
}

#[cfg(target_arch = "x86_64")]
fn cpu() -> CpuFeatures {
    let has = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("lzcnt")
        && std::arch::is_x86_feature_detected!("movbe");
    CpuFeatures { haswell: has, vector: std::arch::is_x86_feature_detected!("ssse3") }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu() -> CpuFeatures {
    CpuFeatures { haswell: cfg!(target_arch = "aarch64"), vector: cfg!(target_arch = "aarch64") }
}

fn encode(coder: &dyn Coder, data: &[&[u8]], parity: &mut [Vec<u8>]) {
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    coder.encode(data, &mut parity);
}

fn reed_solomon(c: &mut Criterion) {
    let data = pieces();
    let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity = vec![vec![0; PIECE_BYTES]; PARITY];
    let mut group = c.benchmark_group("Reed-Solomon 2+2, rows of 512 KiB");
    group.throughput(Throughput::Bytes((DATA * PIECE_BYTES) as u64));
    group.bench_function("limit: memcpy", |b| {
        b.iter(|| parity.iter_mut().zip(&data).for_each(|(to, from)| to.copy_from_slice(black_box(from))));
    });
    for kind in coders() {
        let coder = Coders::new(kind).coder(DATA, PARITY);
        group.bench_function(BenchmarkId::new("encode", kind.name()), |b| {
            b.iter(|| encode(&*coder, black_box(&slices), &mut parity));
        });
        encode(&*coder, &slices, &mut parity);
        let present = [None, None, Some(&parity[0][..]), Some(&parity[1][..])];
        let mut out = vec![vec![0; PIECE_BYTES]; DATA];
        group.bench_function(BenchmarkId::new("reconstruct both data", kind.name()), |b| {
            b.iter(|| {
                let mut out: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
                coder.reconstruct(black_box(&present), &[0, 1], &mut out)
            });
        });
        assert_eq!(out, data, "{} gives back what it was fed", kind.name());
    }
    intel(&mut group, &slices);
    group.finish();
}

/// ISA-L on the same pieces. Its bytes are not ours (another matrix), its work is.
fn intel(group: &mut BenchmarkGroup<'_, WallTime>, data: &[&[u8]]) {
    let Some(isal) = isal::Isal::load() else {
        eprintln!("ISA-L is not there (apt-get install libisal2): left out");
        return;
    };
    let (encode, decode) = isal.code(DATA, PARITY);
    let mut parity = vec![vec![0; PIECE_BYTES]; PARITY];
    let mut back = vec![vec![0; PIECE_BYTES]; DATA];
    group.bench_function(BenchmarkId::new("encode", "ISA-L"), |b| {
        b.iter(|| encode.run(ENCODE_SLICE_BYTES, black_box(data), &mut parity));
    });
    encode.run(ENCODE_SLICE_BYTES, data, &mut parity);
    let left: Vec<&[u8]> = parity.iter().map(Vec::as_slice).collect();
    group.bench_function(BenchmarkId::new("reconstruct both data", "ISA-L"), |b| {
        b.iter(|| decode.run(ENCODE_SLICE_BYTES, black_box(&left), &mut back));
    });
    decode.run(ENCODE_SLICE_BYTES, &left, &mut back);
    assert_eq!(back, data, "ISA-L gives back what it was fed");
}

fn backend(number: u32) -> Backend {
    Backend {
        id: BackendId(number),
        state: BackendState::Active,
        drive: DriveId([number as u8; 16]),
        node: "n1".into(),
        provider: "".into(),
        country: "".into(),
        region: "".into(),
    }
}

fn placement(c: &mut Criterion) {
    let class = Class {
        id: 1,
        rule: Rule::Local { parity: 2 },
        spread: Spread { distinct: Level::Drive, at_least: 4 },
    };
    let mut group = c.benchmark_group("placement of a blob");
    for drives in [4, 12] {
        let backends: Vec<Backend> = (0..drives).map(backend).collect();
        let op = OpId::new(1_700_000_000_000, [7; 10]);
        place(&class, "n1", &backends, op, Some(1 << 20)).expect("enough drives");
        // No placement can do without a look at every backend.
        group.bench_function(BenchmarkId::new("limit: look at each", drives), |b| {
            let active = |one: &&Backend| one.state == BackendState::Active;
            b.iter(|| black_box(&backends).iter().filter(active).map(|one| one.id.0).max());
        });
        group.bench_function(BenchmarkId::new("drives", drives), |b| {
            b.iter(|| place(&class, "n1", black_box(&backends), op, Some(1 << 20)));
        });
    }
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    for payload_bytes in [4096, PIECE_BYTES] {
        let payload = vec![0x5a; payload_bytes];
        let mut out = vec![0; record::record_bytes(payload.len(), 0).expect("no fields")];
        let place = Place { drive: DriveId([1; 16]), segment: 3, generation: 1, offset: 4096 };
        let written = Record {
            kind: Kind::Piece,
            flags: 0,
            fragment: FragmentId { blob: OpId::new(1_700_000_000_000, [7; 10]), index: 1, attempt: 0 },
            row: 0,
            coding: Some(PieceCoding {
                scheme: PieceScheme::ReedSolomon,
                data: 2,
                parity: 2,
                piece_bytes: PIECE_BYTES as u32,
            }),
            class_id: 1,
            blob_size: 1 << 20,
        };
        group.throughput(Throughput::Bytes(payload_bytes as u64));
        group.bench_function(BenchmarkId::new("limit: memcpy", payload_bytes), |b| {
            b.iter(|| out[..payload_bytes].copy_from_slice(black_box(&payload)));
        });
        group.bench_function(BenchmarkId::new("encode", payload_bytes), |b| {
            b.iter(|| record::encode(&mut out, place, black_box(&written), &[], black_box(&payload)));
        });
        record::encode(&mut out, place, &written, &[], &payload);
        group.bench_function(BenchmarkId::new("parse and check", payload_bytes), |b| {
            b.iter(|| record::parse(black_box(&out), place).is_ok_and(|parsed| parsed.whole(&out)));
        });
    }
    group.finish();
}

criterion_group!(benches, reed_solomon, placement, records);

fn main() {
    let began = SystemTime::now();
    benches();
    table::print(began);
}
