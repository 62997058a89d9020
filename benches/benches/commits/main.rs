//! Batches of commits into a real PostgreSQL, through the authority as it runs: what a row costs by the size of its batch.
//!
//! `cargo bench -p holdfast-benches --bench commits [-- --seconds N --batches 1,8,64,512]`. The authority serves in a process of
//! its own, so CPU is told apart: control plane, PostgreSQL (all its processes), and the client, which is not counted.
//! Limits: the least statement that stores as many rows (two columns by `UNNEST`, one connection), and
//! a bare `fdatasync` of as many bytes of log on the same file system. fsync is on throughout.

#![allow(clippy::print_stdout, reason = "tables for a person")]

mod limits;
#[allow(dead_code, reason = "shared with the authority's tests, which use all of it")]
#[path = "../../../controlplane/tests/authority/node.rs"]
mod node;
#[allow(dead_code, reason = "shared with the authority's tests, which use all of it")]
#[path = "../../../controlplane/tests/authority/rig.rs"]
mod rig;

use clap::Parser;
use holdfast_benches::s3bench::cost;
use holdfast_benches::served::{self, Served};
use holdfast_benches::table::{self, Row, Table};
use holdfast_common::secret::Secret;
use holdfast_controlplane::server::{self, Database, DatabaseTls, Lengths, Settings};
use node::Node;
use rig::Db;
use std::time::Instant;

/// Sweeps batch sizes over the authority's commit path.
#[derive(Debug, Parser)]
#[command(name = "commits")]
struct Options {
    /// Measured time of each batch size
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rows that are sent together and awaited together
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,512")]
    batches: Vec<usize>,
    /// Only whether it runs
    #[arg(long)]
    test: bool,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the authority over this database
    #[arg(long, hide = true)]
    serve: Option<String>,
}

/// What some rows took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) rows: f64,
    pub(crate) batches: f64,
    pub(crate) wall_s: f64,
    pub(crate) postgres_s: f64,
    pub(crate) control_s: f64,
    pub(crate) wal_bytes: f64,
}

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    match &options.serve {
        Some(url) => serve(&runtime, url),
        None => runtime.block_on(measure(&options)),
    }
}

/// The authority's process: answers each question with the sum and count of its batches.
fn serve(runtime: &tokio::runtime::Runtime, url: &str) {
    let url = Secret::from(url.to_owned());
    let settings = Settings {
        database: Database { url, tls: DatabaseTls::Auto, ca_file: None, connections_max: 12 },
        master_key: Secret::new(vec![42; 32]),
        grpc_listen: "127.0.0.1:0".parse().expect("an address"),
        grpc_tls: None,
        regions: vec!["us-east-1".into()],
        holder: String::new(),
        lengths: Lengths { lease_ms: 5000, access_ms: 5000 },
        delete_delay_ms: 60_000,
        dev: true,
    };
    let running = runtime.block_on(server::start(settings)).expect("the authority starts");
    let answer = |_: &str| {
        let text = running.authority.metrics_text();
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map_or("0", str::trim).to_owned()
        };
        format!(
            "{} {}",
            value("holdfast_control_batch_items_sum"),
            value("holdfast_control_batch_items_count")
        )
    };
    served::until_nobody_asks(running.grpc_addr, answer).expect("the conversation goes on");
    runtime.block_on(running.stop());
}

async fn measure(options: &Options) {
    let seconds = if options.test { 0.05 } else { options.seconds };
    let db = Db::fresh().await;
    let url = db.address().url;
    let url = url.expose_str().expect("text");
    let postgres = limits::postmaster(&db).await;
    let mut authority = Served::start(["--serve", url]).expect("the authority's process");
    db.place().await;
    let node = Node::join(authority.address).await;
    let bucket = node.bucket("b").await;
    let bare = limits::Bare::new(&db).await;
    let roots = [("postgres".to_owned(), postgres.pid), ("control".to_owned(), authority.pid())];
    let mut rows = Vec::new();
    for &batch in &options.batches {
        let own = commits(&node, &mut authority, &db, (bucket, batch, seconds), &roots).await;
        let least = bare.insert(&db, batch, seconds, &roots).await;
        let log_bytes = own.wal_bytes / own.rows * batch as f64;
        let flush_s = limits::flush_s(&postgres.directory, log_bytes as usize, seconds.min(0.5));
        rows.extend(report(batch, &own, &least, flush_s));
    }
    table::print_all(&[Table { title: "commits into PostgreSQL, fsync on".into(), rows }]);
}

/// Puts of new keys, `batch` at a time, after half a second that warms connections, plans and pages.
async fn commits(
    node: &Node,
    authority: &mut Served,
    db: &Db,
    (bucket, batch, seconds): (u64, usize, f64),
    roots: &[(String, u32)],
) -> Took {
    let first = puts(node, (bucket, batch), 0, seconds.min(0.5)).await;
    let before = Observed::now(authority, db, roots).await;
    let began = Instant::now();
    let end = puts(node, (bucket, batch), first, seconds).await;
    let wall_s = began.elapsed().as_secs_f64();
    Observed::now(authority, db, roots).await.since(&before, (end - first) as f64, wall_s)
}

/// Puts keys from number `first` on and says which number is next.
async fn puts(node: &Node, (bucket, batch): (u64, usize), first: usize, seconds: f64) -> usize {
    let (began, mut number) = (Instant::now(), first);
    while number == first || began.elapsed().as_secs_f64() < seconds {
        let keys = (number..number + batch).map(|n| format!("{batch}/{n:010}"));
        let puts = keys.map(|key| node::put(bucket, &key, "0123456789abcdef0123456789abcdef"));
        for wait in node.send(puts.collect()) {
            node::outcome(wait.await.expect("an answer")).expect("committed");
        }
        number += batch;
    }
    number
}

/// Counters at a moment.
struct Observed {
    postgres_s: f64,
    control_s: f64,
    batches: f64,
    wal_bytes: f64,
}

impl Observed {
    async fn now(authority: &mut Served, db: &Db, roots: &[(String, u32)]) -> Self {
        let spent = cost::cpu(roots);
        let said = authority.ask("batches").expect("an answer");
        let batches = said.split_whitespace().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0.0);
        let wal_bytes = limits::wal_bytes(db).await;
        Self {
            postgres_s: spent["postgres"].total_s(),
            control_s: spent["control"].total_s(),
            batches,
            wal_bytes,
        }
    }

    fn since(&self, before: &Self, rows: f64, wall_s: f64) -> Took {
        Took {
            rows,
            batches: self.batches - before.batches,
            wall_s,
            postgres_s: self.postgres_s - before.postgres_s,
            control_s: self.control_s - before.control_s,
            wal_bytes: self.wal_bytes - before.wal_bytes,
        }
    }
}

fn report(batch: usize, own: &Took, least: &Took, flush_s: f64) -> Vec<Row> {
    let us = |seconds: f64, count: f64| seconds * 1e6 / count;
    let round = own.wall_s / (own.rows / batch as f64) * 1e6;
    vec![
        Row::beside(
            format!("{batch} at a time: PostgreSQL CPU"),
            (us(own.postgres_s, own.rows), "us/row"),
            ("bare UNNEST", us(least.postgres_s, least.rows)),
        ),
        Row::alone(format!("{batch} at a time: control plane CPU"), us(own.control_s, own.rows), "us/row"),
        Row::beside(
            format!("{batch} at a time: round trip"),
            (round, "us"),
            ("write + fdatasync of its log", flush_s * 1e6),
        ),
        Row::alone(
            format!("{batch} at a time: rows per transaction"),
            own.rows / own.batches.max(1.0),
            "rows",
        ),
        Row::beside(
            format!("{batch} at a time: log"),
            (own.wal_bytes / own.rows, "B/row"),
            ("bare UNNEST", least.wal_bytes / least.rows),
        ),
    ]
}
