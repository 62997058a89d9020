//! The calculator: a cost per operation, what there is, and the operations per second at which something is full.

use super::costs::{Cost, Resource};
use super::digits;
use std::fmt::Write;

/// What there is of each resource, all nodes together; `None`: not said, so it bounds nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Have {
    pub(super) node_cores: f64,
    /// `None`: it runs on the nodes' cores.
    pub(super) control_cores: Option<f64>,
    pub(super) database_cores: Option<f64>,
    pub(super) drive_flushes: Option<f64>,
    pub(super) drive_written: Option<f64>,
    pub(super) drive_read: Option<f64>,
    pub(super) network: Option<f64>,
    pub(super) database_flushes: Option<f64>,
    pub(super) database_written: Option<f64>,
    /// How much of anything may be used, of 1.
    pub(super) full: f64,
}

impl Have {
    /// Per second.
    fn of(&self, resource: Resource) -> Option<f64> {
        match resource {
            Resource::NodeCpu => Some(self.node_cores * 1e6),
            Resource::ControlCpu => self.control_cores.map(|cores| cores * 1e6),
            Resource::DatabaseCpu => self.database_cores.map(|cores| cores * 1e6),
            Resource::DriveFlushes => self.drive_flushes,
            Resource::DriveWritten => self.drive_written,
            Resource::DriveRead => self.drive_read,
            Resource::Network => self.network,
            Resource::DatabaseFlushes => self.database_flushes,
            Resource::DatabaseWritten => self.database_written,
        }
    }

    /// Planes without cores of their own spend those of the nodes.
    fn needs(&self, cost: &Cost, resource: Resource) -> f64 {
        let shared = |cores: Option<f64>, plane| if cores.is_none() { cost.of(plane) } else { 0.0 };
        let guests = shared(self.control_cores, Resource::ControlCpu)
            + shared(self.database_cores, Resource::DatabaseCpu);
        cost.of(resource) + if resource == Resource::NodeCpu { guests } else { 0.0 }
    }
}

/// One resource's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) resource: Resource,
    pub(super) per_operation: f64,
    pub(super) there_is: Option<f64>,
    /// Operations per second at which it is full.
    pub(super) holds: Option<f64>,
}

/// The answer, the first to be full first.
#[derive(Clone, Debug)]
pub(super) struct Holds {
    pub(super) operations_per_s: f64,
    pub(super) lines: Vec<Line>,
}

impl Holds {
    /// # Errors
    /// When nothing that is said to be there is used.
    pub(super) fn of(cost: &Cost, have: &Have) -> Result<Self, String> {
        let mut lines: Vec<Line> = Resource::ALL
            .into_iter()
            .map(|resource| {
                let (per_operation, there_is) = (have.needs(cost, resource), have.of(resource));
                let holds =
                    there_is.filter(|_| per_operation > 0.0).map(|there| there * have.full / per_operation);
                Line { resource, per_operation, there_is, holds }
            })
            .collect();
        let rank = |line: &Line| line.holds.unwrap_or(f64::INFINITY);
        lines.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        let first = lines[0].holds.ok_or("the load uses nothing that was said to be there")?;
        Ok(Self { operations_per_s: first, lines })
    }

    pub(super) fn text(&self, batch: Option<f64>) -> String {
        let first = self.lines[0].resource.name().split(',').next().unwrap_or_default();
        let mut out = format!("{:.0} operations/s; {first} is full first", self.operations_per_s);
        if let Some(batch) = batch {
            let _ = write!(out, "; {} commits a transaction", digits(batch));
        }
        out += "\n\n| resource | per operation | there is, per second | full at operations/s | used then |\n|---|--:|--:|--:|--:|\n";
        for line in &self.lines {
            let or_dash = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), digits);
            let used = line.there_is.map(|there| line.per_operation * self.operations_per_s / there * 100.0);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                line.resource.name(),
                digits(line.per_operation),
                or_dash(line.there_is),
                or_dash(line.holds),
                used.map_or_else(|| "-".to_owned(), |used| format!("{used:.0} %")),
            );
        }
        out
    }
}
