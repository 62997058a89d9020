//! How good the model is: runs predicted from other runs, beside what they cost.
//!
//! A prediction is given the run's operations and the commits per transaction that formed; everything else comes from the
//! other runs.

use super::costs::{Cost, Costs, Resource};
use super::digits;
use super::saved::Saved;
use super::{Load, Op};
use crate::s3bench::report::human_size;
use std::fmt::Write;

/// What is compared: costs that a run measures, the CPU of all planes last.
const COMPARED: [Resource; 7] = [
    Resource::NodeCpu,
    Resource::ControlCpu,
    Resource::DatabaseCpu,
    Resource::DriveFlushes,
    Resource::DriveWritten,
    Resource::DatabaseFlushes,
    Resource::DatabaseWritten,
];

/// What an operation of the run should have cost.
///
/// # Errors
/// When one of its operations was never measured alone.
pub(super) fn predicted(costs: &Costs, run: &Saved) -> Result<Cost, String> {
    let load = match run.op {
        Op::Mixed => {
            run.by_operation.iter().map(|(op, part)| (*op, run.size_bytes, part.operations as f64)).collect()
        }
        op => vec![(op, run.size_bytes, 1.0)],
    };
    Load(load).cost(costs, run.batch())
}

/// Microseconds of all planes.
pub(super) fn cpu_us(cost: &Cost) -> f64 {
    cost.of(Resource::NodeCpu) + cost.of(Resource::ControlCpu) + cost.of(Resource::DatabaseCpu)
}

pub(super) fn text(costs: &Costs, runs: &[Saved]) -> Result<String, String> {
    let mut out =
        "| run | per operation | predicted | measured | ratio |\n|---|---|--:|--:|--:|\n".to_owned();
    for run in runs {
        let (predicted, measured) = (predicted(costs, run)?, Cost::measured(run));
        let name = format!("{} {} c={}", run.op.name(), human_size(run.size_bytes), run.concurrency);
        let mut line = |what: &str, predicted: f64, measured: f64| {
            let ratio = if measured > 0.0 { format!("{:.2}", predicted / measured) } else { "-".to_owned() };
            let _ =
                writeln!(out, "| {name} | {what} | {} | {} | {ratio} |", digits(predicted), digits(measured));
        };
        for resource in COMPARED {
            line(resource.name(), predicted.of(resource), measured.of(resource));
        }
        line("CPU of all planes, us", cpu_us(&predicted), cpu_us(&measured));
    }
    Ok(out)
}
