//! `s3bench capacity`: what so many nodes and such a database hold for a mix of operations, and what is full first.
//!
//! What an operation costs comes from saved runs (`s3bench --json`, `suite --out`): CPU of each plane, flushes, bytes that
//! drives and database were given, commits per batch. What there is comes from the command line. Nothing is assumed but that costs per operation stay what they were and that load spreads evenly
//! over nodes; `--check RUN` says how far that was from the truth for a run that the costs were not taken from.

mod check;
mod costs;
mod holds;
mod saved;

use super::failure::Stop;
use super::options::Op;
use super::sizes::parse_size;
use clap::Args;
use costs::{Cost, Costs};
use holds::{Have, Holds};
use std::path::PathBuf;

#[derive(Args, Clone, Debug)]
pub struct CapacityOptions {
    /// Saved runs to take costs from: JSON of single runs or of `suite`
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Shares of the load: operation:bytes=share
    #[arg(long, default_value = "get:64KiB=45,put:64KiB=15,delete:64KiB=10,head:64KiB=30", value_parser = parse_load)]
    mix: Load,
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// CPU cores of a node
    #[arg(long, default_value_t = 2)]
    cores: u32,
    /// CPU cores of the control plane's machine; not said: it runs on the nodes
    #[arg(long)]
    control_cores: Option<u32>,
    /// CPU cores of the database's machine; not said: it runs on the nodes
    #[arg(long)]
    database_cores: Option<u32>,
    /// Flushes a second that a node's devices do together
    #[arg(long)]
    drive_flushes: Option<f64>,
    /// MB/s that a node's drives write together
    #[arg(long)]
    drive_write_mb: Option<f64>,
    /// MB/s that a node's drives read together
    #[arg(long)]
    drive_read_mb: Option<f64>,
    /// MB/s of a node's network, each way
    #[arg(long)]
    network_mb: Option<f64>,
    /// Flushes a second of the database's log device
    #[arg(long)]
    database_flushes: Option<f64>,
    /// MB/s that the database's disk writes
    #[arg(long)]
    database_write_mb: Option<f64>,
    /// Commits in a database transaction; not said: as many as the busiest saved run had
    #[arg(long)]
    batch: Option<f64>,
    /// How full anything may be
    #[arg(long, default_value_t = 0.7)]
    full: f64,
    /// Predict these runs instead, and say how far off the prediction is
    #[arg(long, num_args = 1..)]
    check: Vec<PathBuf>,
}

/// Operations with their bytes and shares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load(pub(super) Vec<(Op, u64, f64)>);

impl Load {
    /// Mean cost of an operation of this load.
    fn cost(&self, costs: &Costs, batch: Option<f64>) -> Result<Cost, String> {
        let total: f64 = self.0.iter().map(|(_, _, share)| share).sum();
        let mut sum = Cost::default();
        for (op, bytes, share) in &self.0 {
            sum.add(&costs.of(*op, *bytes, batch)?, share / total);
        }
        Ok(sum)
    }
}

fn parse_load(text: &str) -> Result<Load, String> {
    let mut shares = Vec::new();
    for item in text.split(',') {
        let wanted = || format!("`{item}` is not operation:bytes=share, for example put:64KiB=15");
        let (what, share) = item.split_once('=').ok_or_else(wanted)?;
        let (op, bytes) = what.split_once(':').ok_or_else(wanted)?;
        let op = <Op as clap::ValueEnum>::from_str(op, true)?;
        let share: f64 = share.parse().map_err(|_| wanted())?;
        if !(share.is_finite() && share > 0.0) || op == Op::Mixed {
            return Err(wanted());
        }
        shares.push((op, parse_size(bytes)?, share));
    }
    Ok(Load(shares))
}

/// The table.
pub(super) fn run(options: &CapacityOptions) -> Result<String, Stop> {
    let costs = Costs::of_runs(&saved::read_all(&options.runs)?);
    if !options.check.is_empty() {
        return check::text(&costs, &saved::read_all(&options.check)?).map_err(Stop::Options);
    }
    let batch = options.batch.or(costs.batch_max());
    let cost = options.mix.cost(&costs, batch).map_err(Stop::Options)?;
    let holds = Holds::of(&cost, &options.have()).map_err(Stop::Options)?;
    Ok(holds.text(batch))
}

impl CapacityOptions {
    fn have(&self) -> Have {
        let nodes = f64::from(self.nodes);
        let of_nodes = |one: Option<f64>, unit: f64| one.map(|one| one * unit * nodes);
        Have {
            node_cores: nodes * f64::from(self.cores),
            control_cores: self.control_cores.map(f64::from),
            database_cores: self.database_cores.map(f64::from),
            drive_flushes: of_nodes(self.drive_flushes, 1.0),
            drive_written: of_nodes(self.drive_write_mb, 1e6),
            drive_read: of_nodes(self.drive_read_mb, 1e6),
            network: of_nodes(self.network_mb, 1e6),
            database_flushes: self.database_flushes,
            database_written: self.database_write_mb.map(|mb| mb * 1e6),
            full: self.full,
        }
    }
}

/// Three significant digits, no exponent.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_names_operations_bytes_and_shares() {
        let load = parse_load("get:4KiB=45,put:1MiB=5").expect("a load");
        assert_eq!(load, Load(vec![(Op::Get, 4096, 45.0), (Op::Put, 1 << 20, 5.0)]));
        for wrong in ["get=45", "get:4KiB", "get:4KiB=0", "mixed:4KiB=1", "fetch:4KiB=1", "get:4KiB=-1"] {
            assert!(parse_load(wrong).is_err(), "{wrong}");
        }
    }
}
