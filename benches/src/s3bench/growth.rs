//! What growth costs: the same few rows at a few thousand objects and at a million.

use super::failure::Stop;
use super::options::{Op, Payload, RunOptions, TargetOptions, parse_duration};
use super::report::Report;
use super::rows::Row;
use super::run;
use super::sizes::parse_size;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Far below saturation, so that the latency is the system's and not a queue's.
const CONNECTIONS: usize = 4;
/// Those that put what the rows read.
const FILLERS: usize = 64;
/// Names of what is read start with it.
const READ: &str = "s3bench-growth";

#[derive(Args, Clone, Debug)]
pub struct GrowthOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Objects at each level, ascending; all of them are put before its rows
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    objects: Vec<u64>,
    /// Bytes of an object
    #[arg(long, default_value = "1KiB", value_parser = parse_size)]
    size: u64,
    /// Measured time of each row
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// Also write the JSON to this file
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Level {
    objects: u64,
    rows: Vec<Report>,
}

/// Grows the system level by level and measures PUT, GET and LIST at each; what it wrote stays.
///
/// # Errors
/// Levels that do not ascend; whatever a run fails with.
pub(super) fn run(options: &GrowthOptions) -> Result<String, Stop> {
    if !options.objects.is_sorted_by(|a, b| a < b) || options.objects.is_empty() {
        return Err(Stop::Options("--objects has to ascend".to_owned()));
    }
    let mut levels = Vec::new();
    for &objects in &options.objects {
        fill(options, objects)?;
        let rows = [Op::Get, Op::List, Op::Put].map(|op| measure(options, op, objects));
        let rows = rows.into_iter().collect::<Result<_, _>>()?;
        levels.push(Level { objects, rows });
    }
    if let Some(path) = &options.out {
        std::fs::write(path, serde_json::to_string_pretty(&levels).expect("reports are plain JSON"))?;
    }
    Ok(table(&levels))
}

/// A glance at the objects, for the sake of their being put before it.
fn fill(options: &GrowthOptions, objects: u64) -> Result<(), Stop> {
    let row = Row::of(Op::Head, options.size, FILLERS, objects, Payload::Signed);
    let glance = Duration::from_millis(100);
    let run = RunOptions {
        keep: true,
        prefix: READ.to_owned(),
        ..row.options(&options.target, Duration::ZERO, glance)
    };
    eprintln!("s3bench: putting {objects} objects");
    run::run(&run).map(drop)
}

fn measure(options: &GrowthOptions, op: Op, objects: u64) -> Result<Report, Stop> {
    let row = Row::of(op, options.size, CONNECTIONS, objects, Payload::Signed);
    let run = RunOptions {
        keep: true,
        no_preload: true,
        // A listing walks what was put for the reads; what a PUT row puts stands aside.
        prefix: if op == Op::Put { format!("s3bench-grown-{objects}") } else { READ.to_owned() },
        ..row.options(&options.target, options.warmup, options.duration)
    };
    eprintln!("s3bench: {} at {objects} objects", row.name());
    run::run(&run)
}

fn table(levels: &[Level]) -> String {
    let mut out = String::from(
        "| objects | row | p50 ms | over the first | p99 ms | ops/CPU-s | data plane PSS MiB |\n",
    );
    out.push_str("|---|---|---|---|---|---|---|\n");
    for level in levels {
        for (report, first) in level.rows.iter().zip(&levels[0].rows) {
            let latency = &report.all.latency_us;
            let server = report.server.as_ref();
            let memory = server.and_then(|server| server.memory_by_role.get("dataplane"));
            let dash = || "-".to_owned();
            let cells = [
                level.objects.to_string(),
                report.row_name(),
                format!("{:.2}", latency.p50 as f64 / 1e3),
                format!("{:.2}", latency.p50 as f64 / first.all.latency_us.p50.max(1) as f64),
                format!("{:.2}", latency.p99 as f64 / 1e3),
                server.map_or_else(dash, |server| format!("{:.0}", server.operations_per_cpu_s)),
                memory.map_or_else(dash, |memory| (memory.pss_bytes >> 20).to_string()),
            ];
            writeln!(out, "| {} |", cells.join(" | ")).expect("a String takes all");
        }
    }
    out
}
