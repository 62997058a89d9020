//! The cost model: what one operation of so many bytes takes of each resource.
//!
//! Two shapes, each the simplest that the measurements bear. What a node does to bytes (its CPU, its drives, its network) is
//! a line between the measured sizes. What a commit costs the authority and the database does not depend on bytes but on
//! how many commits share a transaction: `per row + per transaction / commits in it`, by least squares over all runs of
//! an operation, each weighted by its operations.

use super::saved::{Plane, Saved};
use crate::s3bench::options::Op;
use std::collections::BTreeMap;

/// What can be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// Microseconds.
    NodeCpu,
    ControlCpu,
    DatabaseCpu,
    DriveFlushes,
    /// Bytes.
    DriveWritten,
    DriveRead,
    Network,
    DatabaseFlushes,
    DatabaseWritten,
}

impl Resource {
    pub(super) const ALL: [Self; 9] = [
        Self::NodeCpu,
        Self::ControlCpu,
        Self::DatabaseCpu,
        Self::DriveFlushes,
        Self::DriveWritten,
        Self::DriveRead,
        Self::Network,
        Self::DatabaseFlushes,
        Self::DatabaseWritten,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NodeCpu => "node CPU, us",
            Self::ControlCpu => "control plane CPU, us",
            Self::DatabaseCpu => "database CPU, us",
            Self::DriveFlushes => "drive flushes",
            Self::DriveWritten => "drives written, bytes",
            Self::DriveRead => "drives read, bytes",
            Self::Network => "network, bytes",
            Self::DatabaseFlushes => "database flushes",
            Self::DatabaseWritten => "database written, bytes",
        }
    }

    /// Depends on commits sharing a transaction, not on bytes.
    fn is_of_commits(self) -> bool {
        matches!(self, Self::ControlCpu | Self::DatabaseCpu | Self::DatabaseFlushes | Self::DatabaseWritten)
    }
}

/// Amounts of all resources.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost([f64; Resource::ALL.len()]);

impl Cost {
    pub(super) fn of(&self, resource: Resource) -> f64 {
        self.0[resource as usize]
    }

    fn set(&mut self, resource: Resource, amount: f64) {
        self.0[resource as usize] = amount;
    }

    /// `times` an operation of `other` more.
    pub(super) fn add(&mut self, other: &Self, times: f64) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, one)| *sum += one * times);
    }

    /// What an operation of a saved run took.
    pub(super) fn measured(run: &Saved) -> Self {
        let (drive_written, drive_read) = run.device_bytes(Plane::Node);
        let mut cost = Self::default();
        for (resource, amount) in [
            (Resource::NodeCpu, run.cpu_us(Plane::Node)),
            (Resource::ControlCpu, run.cpu_us(Plane::Control)),
            (Resource::DatabaseCpu, run.cpu_us(Plane::Database)),
            (Resource::DriveFlushes, run.drive_flushes()),
            (Resource::DriveWritten, drive_written),
            (Resource::DriveRead, drive_read),
            (Resource::Network, run.body_bytes()),
            (Resource::DatabaseFlushes, run.commits().1),
            (Resource::DatabaseWritten, run.device_bytes(Plane::Database).0),
        ] {
            cost.set(resource, amount);
        }
        cost
    }
}

/// One saved run as a point.
#[derive(Clone, Copy, Debug)]
struct Point {
    bytes: u64,
    batch: Option<f64>,
    weight: f64,
    cost: Cost,
}

/// Points by operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs(BTreeMap<Op, Vec<Point>>);

impl Costs {
    /// Mixed runs tell nothing of one operation and are passed over.
    pub(super) fn of_runs(runs: &[Saved]) -> Self {
        let mut points: BTreeMap<Op, Vec<Point>> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.op != Op::Mixed) {
            let cost = Cost::measured(run);
            let point =
                Point { bytes: run.size_bytes, batch: run.batch(), weight: run.operations as f64, cost };
            points.entry(run.op).or_default().push(point);
        }
        points.values_mut().for_each(|points| points.sort_by_key(|point| point.bytes));
        Self(points)
    }

    /// Of the busiest run.
    pub(super) fn batch_max(&self) -> Option<f64> {
        self.0.values().flatten().filter_map(|point| point.batch).reduce(f64::max)
    }

    /// What an operation costs where `batch` commits share a transaction (`None`: as measured).
    ///
    /// # Errors
    /// When no saved run is of this operation.
    pub(super) fn of(&self, op: Op, bytes: u64, batch: Option<f64>) -> Result<Cost, String> {
        let points = self.0.get(&op).ok_or_else(|| {
            format!("no saved run is of {}: measure one with `s3bench --op {0} --json`", op.name())
        })?;
        let mut cost = Cost::default();
        for resource in Resource::ALL {
            let amount = if resource.is_of_commits() {
                by_batch(points, resource, batch)
            } else {
                by_size(points, resource, bytes as f64)
            };
            cost.set(resource, amount);
        }
        Ok(cost)
    }
}

/// On the line between the nearest measured sizes. Beyond the largest it goes on with the last slope, from a single size in
/// proportion; below the smallest nothing gets cheaper.
fn by_size(points: &[Point], resource: Resource, bytes: f64) -> f64 {
    let mut sizes: Vec<(f64, f64)> = Vec::new();
    for same in points.chunk_by(|a, b| a.bytes == b.bytes) {
        sizes.push((same[0].bytes as f64, mean(same, resource)));
    }
    let above = sizes.iter().position(|(size, _)| *size >= bytes);
    let (from, to) = match above {
        Some(0) => return sizes[0].1,
        Some(at) => (sizes[at - 1], sizes[at]),
        None if sizes.len() == 1 => return sizes[0].1 * (bytes / sizes[0].0.max(1.0)).max(1.0),
        None => (sizes[sizes.len() - 2], sizes[sizes.len() - 1]),
    };
    from.1 + (to.1 - from.1) * (bytes - from.0) / (to.0 - from.0)
}

fn mean(points: &[Point], resource: Resource) -> f64 {
    let weight: f64 = points.iter().map(|point| point.weight).sum();
    points.iter().map(|point| point.cost.of(resource) * point.weight).sum::<f64>() / weight
}

/// `per row + per transaction / batch`. Where all runs had about the same batch, or the line would promise less than
/// nothing, their mean.
fn by_batch(points: &[Point], resource: Resource, batch: Option<f64>) -> f64 {
    let flat = mean(points, resource);
    let Some(batch) = batch else { return flat };
    let committing: Vec<(f64, f64, f64)> = points
        .iter()
        .filter_map(|point| Some((1.0 / point.batch?, point.cost.of(resource), point.weight)))
        .collect();
    let weight: f64 = committing.iter().map(|(_, _, w)| w).sum();
    let x = committing.iter().map(|(x, _, w)| x * w).sum::<f64>() / weight;
    let y = committing.iter().map(|(_, y, w)| y * w).sum::<f64>() / weight;
    let spread = committing.iter().map(|(at, _, w)| w * (at - x).powi(2)).sum::<f64>() / weight;
    let slope =
        committing.iter().map(|(at, cost, w)| w * (at - x) * (cost - y)).sum::<f64>() / weight / spread;
    let at = y + slope * (1.0 / batch - x);
    // a hundredth of a transaction's share of a commit is noise, not a second point
    if spread.sqrt() > 0.01 && slope > 0.0 && at > 0.0 { at } else { flat }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bytes: u64, batch: Option<f64>, node_us: f64, database_us: f64) -> Point {
        let mut cost = Cost::default();
        cost.set(Resource::NodeCpu, node_us);
        cost.set(Resource::DatabaseCpu, database_us);
        Point { bytes, batch, weight: 100.0, cost }
    }

    #[test]
    fn bytes_follow_the_line_between_sizes() {
        let points =
            [point(1000, None, 10.0, 0.0), point(1000, None, 20.0, 0.0), point(3000, None, 35.0, 0.0)];
        let at = |bytes| by_size(&points, Resource::NodeCpu, bytes);
        assert_eq!([at(1.0), at(1000.0), at(2000.0), at(5000.0)], [15.0, 15.0, 25.0, 55.0]);
        assert_eq!(by_size(&points[2..], Resource::NodeCpu, 6000.0), 70.0);
    }

    #[test]
    fn a_transaction_is_shared_by_its_commits() {
        // 40 us a row and 200 us a transaction
        let of = |batch: f64| point(4096, Some(batch), 0.0, 40.0 + 200.0 / batch);
        let points = [of(2.0), of(10.0), of(20.0)];
        let at = |batch| by_batch(&points, Resource::DatabaseCpu, Some(batch));
        assert!((at(5.0) - 80.0).abs() < 1e-9 && (at(50.0) - 44.0).abs() < 1e-9);
        assert_eq!(by_batch(&points[..1], Resource::DatabaseCpu, Some(50.0)), 140.0, "one batch is no line");
        let reads = [point(4096, None, 0.0, 3.0)];
        assert_eq!(by_batch(&reads, Resource::DatabaseCpu, Some(50.0)), 3.0);
    }
}
