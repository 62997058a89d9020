//! The figures that a release reports: PUT and GET of small, middling and large objects in one go.

use super::failure::Stop;
use super::options::{Mix, Op, RunOptions, SuiteOptions};
use super::report::{Report, human_size};
use super::run;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// One row: operation, bytes, connections, keys that reads choose from.
struct Row {
    op: Op,
    size: u64,
    concurrency: usize,
    keys: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const ROWS: [Row; 6] = [
    Row { op: Op::Put, size: 4 * KIB, concurrency: 32, keys: 1 },
    Row { op: Op::Get, size: 4 * KIB, concurrency: 32, keys: 2000 },
    Row { op: Op::Put, size: MIB, concurrency: 8, keys: 1 },
    Row { op: Op::Get, size: MIB, concurrency: 8, keys: 256 },
    Row { op: Op::Put, size: 64 * MIB, concurrency: 4, keys: 1 },
    Row { op: Op::Get, size: 64 * MIB, concurrency: 4, keys: 8 },
];

#[derive(Serialize)]
struct Suite {
    rows: Vec<Report>,
}

/// Runs the rows one after the other; the text is a table and then JSON, or JSON alone.
pub(super) fn run(options: &SuiteOptions) -> Result<String, Stop> {
    let chosen =
        |row: &&Row| options.only.is_empty() || options.only.iter().any(|part| row.name().contains(part));
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(chosen) {
        eprintln!("s3bench: {}", row.name());
        rows.push(run::run(&row.options(options))?);
    }
    let table = table(&rows);
    let json = serde_json::to_string_pretty(&Suite { rows }).expect("reports are plain JSON") + "\n";
    if let Some(path) = &options.out {
        std::fs::write(path, &json)?;
    }
    Ok(if options.json {
        json
    } else if options.out.is_some() {
        table
    } else {
        format!("{table}\n{json}")
    })
}

impl Row {
    /// As `--only` names it: `put 4KiB`.
    fn name(&self) -> String {
        format!("{} {}", self.op.name(), human_size(self.size).replace(' ', ""))
    }

    fn options(&self, suite: &SuiteOptions) -> RunOptions {
        RunOptions {
            target: suite.target.clone(),
            op: self.op,
            size: self.size,
            concurrency: self.concurrency,
            threads: 1,
            // large objects end seldom: a window must hold enough of them
            duration: suite.duration * if self.size >= 64 * MIB { 2 } else { 1 },
            warmup: suite.warmup,
            keys: self.keys,
            no_preload: false,
            overwrite: false,
            keep: false,
            payload: suite.payload,
            range_size: 64 * KIB,
            part_size: 8 * MIB,
            mix: Mix(Vec::new()),
            verify_every: 16,
            rate: None,
            timeout: Duration::from_secs(60),
            prefix: "s3bench-suite".to_owned(),
            json: false,
        }
    }
}

fn table(rows: &[Report]) -> String {
    let mut out = String::from(
        "| row | conn | ops/s | MB/s | p50 ms | p99 ms | ops/CPU-s | MB/CPU-s | CPU cores | RSS MiB | commits/batch | flushes/op | errors |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for report in rows {
        let server = report.server.as_ref();
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let cells = [
            format!("{} {}", report.op.name().to_uppercase(), human_size(report.size_bytes)),
            report.concurrency.to_string(),
            format!("{:.1}", report.all.operations_per_s),
            format!("{:.1}", report.all.bytes_per_s / 1e6),
            format!("{:.2}", report.all.latency_us.p50 as f64 / 1e3),
            format!("{:.2}", report.all.latency_us.p99 as f64 / 1e3),
            figure(server.map(|server| server.operations_per_cpu_s), 1),
            figure(server.map(|server| server.bytes_per_cpu_s / 1e6), 1),
            figure(server.map(|server| server.cpu_s / report.seconds), 2),
            figure(server.map(|server| (server.rss_peak_bytes >> 20) as f64), 0),
            figure(report.commits_per_batch(), 2),
            figure(report.flushes_per_operation(), 2),
            report.errors.values().sum::<u64>().to_string(),
        ];
        writeln!(out, "| {} |", cells.join(" | ")).expect("a String takes all");
    }
    out
}
