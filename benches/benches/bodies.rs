//! What a body's bytes pay: aws-chunked framing, digests alone and in lanes. Limit: memcpy of the body.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use holdfast_benches::table;
use holdfast_dataplane::hash::{Kernel, Together};
use holdfast_dataplane::rt::Chunk;
use holdfast_protocol::aws_chunked::{AwsChunkedDecoder, AwsChunkedEvent, AwsChunkedMode};
use holdfast_protocol::digest::{BodyDigests, ChecksumAlgorithm, ChecksumSet, DigestPlan, md5, sha256};
use std::hint::black_box;
use std::time::SystemTime;

const BLOCK_BYTES: usize = 256 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn chunked_body(data: &[u8], signed: bool) -> Vec<u8> {
    let signature = if signed { format!(";chunk-signature={}", "0".repeat(64)) } else { String::new() };
    let mut out = Vec::new();
    for chunk in data.chunks(CHUNK_BYTES) {
        out.extend_from_slice(format!("{:x}{signature}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    let trailer = if signed { "" } else { "x-amz-checksum-crc32:AAAAAA==\r\n" };
    out.extend_from_slice(format!("0{signature}\r\n{trailer}\r\n").as_bytes());
    out
}

/// Decodes and copies the data out, as it would go to an encode buffer.
fn decode(wire: &[u8], mode: AwsChunkedMode, out: &mut [u8]) -> usize {
    let mut decoder = AwsChunkedDecoder::new(mode, Some(out.len() as u64));
    let (mut at, mut copied) = (0, 0);
    while !decoder.is_complete() {
        let (used, event) = decoder.feed(&wire[at..]).expect("well formed");
        if let AwsChunkedEvent::Data(data) = event {
            out[copied..copied + data.len()].copy_from_slice(data);
            copied += data.len();
        }
        at += used;
    }
    copied
}

fn framing(c: &mut Criterion) {
    let data = bytes(1 << 20);
    let mut out = vec![0; data.len()];
    let mut group = c.benchmark_group("aws-chunked 1 MiB");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("limit: memcpy", |b| b.iter(|| out.copy_from_slice(black_box(&data))));
    for (name, mode, signed) in [
        ("signed", AwsChunkedMode::Signed, true),
        ("unsigned trailer", AwsChunkedMode::UnsignedTrailer, false),
    ] {
        let wire = chunked_body(&data, signed);
        group.bench_function(name, |b| b.iter(|| decode(black_box(&wire), mode, &mut out)));
    }
    group.finish();
}

fn digests(c: &mut Criterion) {
    let data = bytes(BLOCK_BYTES);
    let mut out = vec![0; BLOCK_BYTES];
    let mut group = c.benchmark_group("digest of 256 KiB");
    group.throughput(Throughput::Bytes(BLOCK_BYTES as u64));
    group.bench_function("limit: memcpy", |b| b.iter(|| out.copy_from_slice(black_box(&data))));
    group.bench_function("md5", |b| b.iter(|| md5(black_box(&data))));
    group.bench_function("sha256", |b| b.iter(|| sha256(black_box(&data))));
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
    ] {
        let plan = DigestPlan { checksums: ChecksumSet::default().with(algorithm), ..DigestPlan::default() };
        group.bench_function(format!("{algorithm:?}"), |b| {
            b.iter(|| {
                let mut digests = BodyDigests::new(plan);
                digests.update(black_box(&data));
                digests.finish()
            });
        });
    }
    group.finish();
}

/// Several bodies at once: where a pass of lanes overtakes one body after the other.
fn lanes(c: &mut Criterion) {
    let mut group = c.benchmark_group("lanes by bodies");
    for bodies in [1usize, 2, 4, 8] {
        let data: Vec<Vec<u8>> =
            (0..bodies).map(|body| bytes(CHUNK_BYTES + body)[..CHUNK_BYTES].to_vec()).collect();
        let parts: Vec<Chunk> = data.iter().map(|body| Chunk::from(Bytes::copy_from_slice(body))).collect();
        group.throughput(Throughput::Bytes((bodies * CHUNK_BYTES) as u64));
        let mut out = vec![0; CHUNK_BYTES];
        group.bench_function(BenchmarkId::new("limit: memcpy", bodies), |b| {
            b.iter(|| data.iter().for_each(|block| out.copy_from_slice(black_box(block))));
        });
        for (name, payload_sha256) in [("md5", false), ("md5 and sha256", true)] {
            let plan = DigestPlan { md5: true, payload_sha256, ..DigestPlan::default() };
            group.bench_function(BenchmarkId::new(format!("{name}, each alone"), bodies), |b| {
                let mut states: Vec<BodyDigests> = (0..bodies).map(|_| BodyDigests::new(plan)).collect();
                b.iter(|| {
                    states.iter_mut().zip(&data).for_each(|(state, block)| state.update(black_box(block)))
                });
            });
        }
        for kernel in Kernel::all() {
            let mut together = Together::new(kernel, bodies);
            group.bench_function(BenchmarkId::new(format!("{kernel:?}"), bodies), |b| {
                b.iter(|| together.update(black_box(&parts)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, framing, digests, lanes);

fn main() {
    let began = SystemTime::now();
    benches();
    table::print(began);
}
