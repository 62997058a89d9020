//! The figures that a release reports: rows of the matrix, one after the other, as one table.

use super::failure::Stop;
use super::options::SuiteOptions;
use super::report::Report;
use super::rows::{ROWS, Row};
use super::run;
use serde::Serialize;
use std::fmt::Write;
use std::io::IsTerminal;

#[derive(Serialize)]
struct Suite {
    rows: Vec<Report>,
}

/// Runs the rows one after the other; the text is a table and then JSON, or JSON alone.
pub(super) fn run(options: &SuiteOptions) -> Result<String, Stop> {
    let chosen = |row: &&Row| match &options.only[..] {
        [] => options.rows.includes(row),
        only => only.iter().any(|filter| row.is_named(filter)),
    };
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(chosen) {
        if !std::io::stderr().is_terminal() {
            eprintln!("s3bench: {}", row.name());
        }
        rows.push(run::run(&row.options(&options.target, options.warmup, options.duration))?);
    }
    if rows.is_empty() {
        return Err(Stop::Options(format!("no row is named so; there are: {}", names())));
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

fn names() -> String {
    ROWS.iter().map(Row::name).collect::<Vec<_>>().join(", ")
}

fn table(rows: &[Report]) -> String {
    let mut out = String::from(
        "| row | ops/s | MB/s | p50 ms | p99 ms | ops/CPU-s | MB/CPU-s | CPU cores | RSS MiB | commits/batch | flushes/op | errors |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for report in rows {
        let server = report.server.as_ref();
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let cells = [
            report.row_name(),
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
