//! The gRPC stream between the planes without what stands behind it: commits in, results out, as node and authority speak it.
//!
//! `cargo bench -p holdfast-benches --bench stream [-- --seconds N]`. A server in a process of its own answers every mutation
//! at once. Limit: the same bytes as plain frames over TCP, answered by frames of the same length.

#![allow(clippy::print_stdout, reason = "tables for a person")]

mod echo;
mod frames;

use bytes::Bytes;
use clap::Parser;
use holdfast_benches::s3bench::cost;
use holdfast_benches::served::{self, Served};
use holdfast_benches::table::{self, Row, Table};
use holdfast_common::wire::{self, mutation::Op};
use prost::Message as _;
use std::time::Instant;

/// Sweeps message sizes over the commit stream.
#[derive(Debug, Parser)]
#[command(name = "stream")]
struct Options {
    /// Measured time of each row
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only whether it runs
    #[arg(long)]
    test: bool,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the server: of gRPC, or of bare frames
    #[arg(long, hide = true, value_enum)]
    serve: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Grpc,
    Frames,
}

/// Items of a message, and messages in flight: an idle node, a busy one, a flood.
const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 32), (16, 4), (64, 4), (512, 4)];

/// What some mutations took, both ends apart.
struct Took {
    rows: f64,
    wall_s: f64,
    server_s: f64,
    client_s: f64,
}

fn main() {
    let options = Options::parse();
    match options.serve {
        Some(Kind::Grpc) => echo::serve(),
        Some(Kind::Frames) => frames::serve(),
        None => measure(&options),
    }
}

fn measure(options: &Options) {
    let seconds = if options.test { 0.05 } else { options.seconds };
    let grpc = Served::start(["--serve", "grpc"]).expect("the server's process");
    let frames = Served::start(["--serve", "frames"]).expect("the server's process");
    let mut rows = Vec::new();
    for (items, window) in SHAPES {
        let up = up(items);
        let down = down(&up).encode_to_vec();
        let own = observed(&grpc, || echo::flood(grpc.address, &up, window, seconds), items);
        let frame = up.encode_to_vec();
        let bare =
            observed(&frames, || frames::flood(frames.address, &frame, down.len(), window, seconds), items);
        rows.extend(report(&format!("{items} a message, {window} in flight"), &own, &bare));
    }
    table::print_all(&[Table { title: "commit stream, rows of a small PUT".into(), rows }]);
}

/// `flood` gives how many messages were answered.
fn observed(server: &Served, flood: impl FnOnce() -> u64, items: usize) -> Took {
    let roots = [("server".to_owned(), server.pid()), ("client".to_owned(), std::process::id())];
    let (before, began) = (cost::cpu(&roots), Instant::now());
    let messages = flood();
    let wall_s = began.elapsed().as_secs_f64();
    let after = cost::cpu(&roots);
    let spent = |role: &str| after[role].since(&before[role]).total_s();
    Took {
        rows: messages as f64 * items as f64,
        wall_s,
        server_s: spent("server"),
        client_s: spent("client"),
    }
}

fn report(shape: &str, own: &Took, bare: &Took) -> Vec<Row> {
    let us = |seconds: f64, took: &Took| seconds * 1e6 / took.rows;
    vec![
        Row::beside(
            format!("{shape}: authority's end, CPU"),
            (us(own.server_s, own), "us/row"),
            ("TCP frames", us(bare.server_s, bare)),
        ),
        Row::beside(
            format!("{shape}: node's end, CPU"),
            (us(own.client_s, own), "us/row"),
            ("TCP frames", us(bare.client_s, bare)),
        ),
        Row::beside(
            format!("{shape}: time between rows"),
            (us(own.wall_s, own), "us"),
            ("TCP frames", us(bare.wall_s, bare)),
        ),
    ]
}

/// A message of puts as a node sends them.
fn up(items: usize) -> wire::CommitUp {
    let put = |number: usize| {
        let op_id = Bytes::copy_from_slice(&(number as u128).to_be_bytes());
        let blob = wire::Blob {
            op_id: op_id.clone(),
            size: 4096,
            coding: Some(wire::Coding { scheme: 1, data: 1, parity: 2, piece_bytes: 262_144 }),
            placement_id: 1,
            proven: 7,
            class_id: 1,
            ..wire::Blob::default()
        };
        let part = wire::Part { blob: Some(blob), md5: op_id.clone(), ..wire::Part::default() };
        let put = wire::PutObject {
            size: 4096,
            etag: "0123456789abcdef0123456789abcdef".into(),
            meta: Some(wire::ObjectMeta {
                content_type: "application/octet-stream".into(),
                ..wire::ObjectMeta::default()
            }),
            manifest: Some(wire::Manifest { parts: vec![part], ..wire::Manifest::default() }),
            ..wire::PutObject::default()
        };
        wire::Mutation {
            op_id,
            bucket_id: 1,
            bucket_revision: 1,
            key: Bytes::from(format!("some/prefix/object-{number:08}")),
            tenant_id: 1,
            access_key_id: "HFEXAMPLEEXAMPLEEXAM".into(),
            op: Some(Op::Put(put)),
            ..wire::Mutation::default()
        }
    };
    wire::CommitUp { session_id: Bytes::from_static(&[7; 16]), items: (0..items).map(put).collect() }
}

/// The answer to all of it.
fn down(up: &wire::CommitUp) -> wire::CommitDown {
    let result = |(seq, item): (u64, &wire::Mutation)| wire::MutationResult {
        op_id: item.op_id.clone(),
        seq,
        outcome: Some(wire::mutation_result::Outcome::Committed(wire::Committed {
            modified_ms: 1_700_000_000_000,
            bucket_id: item.bucket_id,
            ..wire::Committed::default()
        })),
    };
    wire::CommitDown { results: (1..).zip(&up.items).map(result).collect() }
}
