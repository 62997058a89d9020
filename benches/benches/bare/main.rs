//! The bare runtime as the limit of GET and PUT: the data plane's own event loop and sockets, answering from memory.
//!
//! `cargo bench -p holdfast-benches --bench bare [-- --data-dir DIR]`. One core of `dataplane::rt` parses nothing but what
//! HTTP needs, proves nothing, reads no drive. With the data directory of a running `holdfast dev`, that system and the bare
//! runtime take turns, and the table shows how many times the bare runtime's CPU a request costs (all processes of the system).
//! `s3bench` is the client of both.

#![allow(clippy::print_stdout, reason = "tables for a person")]

mod server;

use clap::Parser;
use holdfast_benches::served::Served;
use holdfast_benches::table::{self, Row, Table};
use std::path::PathBuf;
use std::process::Command;

/// Requests per CPU-second of the bare runtime, and of a running system beside it.
#[derive(Debug, Parser)]
#[command(name = "bare")]
struct Options {
    /// Data directory of a running `holdfast dev` to hold against it
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measured time of each run
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Runs of each; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rows whose name contains one of these, for example `get,64MiB`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only whether it runs
    #[arg(long)]
    test: bool,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Serve bodies of this many bytes
    #[arg(long, hide = true)]
    serve: Option<u64>,
}

/// Operation, size, connections, keys that reads choose from.
type Case = (&'static str, u64, usize, u64);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const CASES: [Case; 6] = [
    ("get", 4 * KIB, 32, 2000),
    ("get", MIB, 8, 64),
    ("get", 64 * MIB, 4, 8),
    ("put", 4 * KIB, 32, 1),
    ("put", MIB, 8, 1),
    ("put", 64 * MIB, 4, 1),
];

fn main() {
    let options = Options::parse();
    match options.serve {
        Some(bytes) => server::serve(bytes),
        None => measure(&options),
    }
}

fn measure(options: &Options) {
    let (seconds, rounds) = if options.test { (0.2, 1) } else { (options.seconds, options.rounds) };
    let chosen = |case: &&Case| {
        options.only.is_empty()
            || options.only.iter().any(|part| name(case).to_lowercase().contains(&part.to_lowercase()))
    };
    let mut rows = Vec::new();
    for case in CASES.iter().filter(chosen) {
        let bare = Served::start(["--serve", &case.1.to_string()]).expect("the server's process");
        let (mut own, mut least) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            if let Some(dir) = &options.data_dir {
                own.push(cpu_us(case, seconds, &["--data-dir".into(), dir.display().to_string()]));
            }
            least.push(cpu_us(case, seconds, &at(&bare)));
        }
        let least = median(least);
        rows.push(match own.is_empty() {
            true => Row::alone(name(case), least, "us of server CPU"),
            false => Row::beside(name(case), (median(own), "us of server CPU"), ("bare runtime", least)),
        });
    }
    table::print_all(&[Table { title: "requests beside the bare runtime".into(), rows }]);
}

fn name(case: &Case) -> String {
    let (op, bytes, connections, _) = case;
    let size = if *bytes < MIB { format!("{}KiB", bytes / KIB) } else { format!("{}MiB", bytes / MIB) };
    format!("{} {size} c={connections}", op.to_uppercase())
}

/// The bare server takes any signature, has every key, and keeps nothing.
fn at(bare: &Served) -> Vec<String> {
    let (endpoint, pid) = (format!("http://{}", bare.address), bare.pid().to_string());
    let arguments = ["--endpoint", &endpoint, "--pids", &pid, "--access-key", "any", "--secret-key", "any"];
    let reads = ["--no-preload", "--keep", "--verify-every", "0"];
    arguments.into_iter().chain(reads).map(str::to_owned).collect()
}

/// Microseconds of server CPU per operation of one run.
fn cpu_us((op, bytes, connections, keys): &Case, seconds: f64, target: &[String]) -> f64 {
    let run = Command::new(env!("CARGO_BIN_EXE_s3bench"))
        .args(["--op", op, "--size", &bytes.to_string(), "--concurrency", &connections.to_string()])
        .args([
            "--keys",
            &keys.to_string(),
            "--duration",
            &format!("{seconds}s"),
            "--warmup",
            "500ms",
            "--json",
        ])
        .args(target)
        .output()
        .expect("s3bench runs");
    let report: serde_json::Value = serde_json::from_slice(&run.stdout)
        .unwrap_or_else(|_| panic!("s3bench: {}", String::from_utf8_lossy(&run.stderr)));
    assert_eq!(report["errors"].as_object().map(serde_json::Map::len), Some(0), "{}", report["errors"]);
    // A run too short for one tick of the clock has no figure.
    let rate = report["server"]["operations_per_cpu_s"].as_f64().unwrap_or(f64::NAN);
    1e6 / rate
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
