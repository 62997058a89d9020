//! Saved runs, as far as costs are in them. What another version added is passed over.

use crate::s3bench::cost::{DeviceBytes, Spent};
use crate::s3bench::failure::Stop;
use crate::s3bench::metrics::{COMMIT_BATCH_ITEMS, DRIVE_FLUSHES, Values};
use crate::s3bench::options::Op;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The authority's own batches: one transaction each (`controlplane/src/metrics.rs`).
const CONTROL_BATCH_ITEMS: &str = "holdfast_control_batch_items";

/// One run.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Saved {
    pub(super) op: Op,
    pub(super) size_bytes: u64,
    pub(super) concurrency: usize,
    pub(super) operations: u64,
    operations_per_s: f64,
    bytes_per_s: f64,
    #[serde(default)]
    pub(super) by_operation: BTreeMap<Op, Part>,
    server: Option<Server>,
    #[serde(default)]
    metrics: Values,
}

/// A mixed run's share of one operation.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Part {
    pub(super) operations: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Server {
    cpu_by_role: BTreeMap<String, Spent>,
    #[serde(default)]
    device_bytes_by_role: BTreeMap<String, DeviceBytes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Suite { rows: Vec<Saved> },
    Many(Vec<Saved>),
    One(Box<Saved>),
}

/// Who spends: processes by the role that `holdfast dev` gives them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plane {
    Node,
    Control,
    Database,
}

impl Plane {
    fn of(role: &str) -> Self {
        match role {
            _ if role.contains("postgres") => Self::Database,
            _ if role.contains("control") || role.contains("supervisor") => Self::Control,
            _ => Self::Node,
        }
    }
}

/// Runs of all files.
///
/// # Errors
/// When a file is none, or holds runs without server CPU.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Saved>, Stop> {
    let mut all = Vec::new();
    for path in paths {
        let refuse = |cause: String| Stop::Options(format!("{}: {cause}", path.display()));
        let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let runs = parse(&text).map_err(refuse)?;
        all.extend(runs);
    }
    Ok(all)
}

pub(super) fn parse(text: &[u8]) -> Result<Vec<Saved>, String> {
    let file = serde_json::from_slice(text).map_err(|_| "not the JSON of a saved run".to_owned())?;
    let runs = match file {
        File::Suite { rows } | File::Many(rows) => rows,
        File::One(run) => vec![*run],
    };
    match runs.iter().find(|run| run.server.is_none() || run.operations == 0) {
        Some(run) => Err(format!(
            "the {} run has no server CPU: measure with --data-dir or --pids, long enough for some operations",
            run.op.name()
        )),
        None => Ok(runs),
    }
}

impl Saved {
    /// Microseconds of CPU that a plane spent on an operation.
    pub(super) fn cpu_us(&self, plane: Plane) -> f64 {
        let roles = self.server.iter().flat_map(|server| &server.cpu_by_role);
        let of_plane = roles.filter(|(role, _)| Plane::of(role) == plane);
        self.per_operation(of_plane.map(|(_, spent)| spent.total_s() * 1e6).sum())
    }

    /// Bytes that a plane had devices write and read for an operation.
    pub(super) fn device_bytes(&self, plane: Plane) -> (f64, f64) {
        let roles = self.server.iter().flat_map(|server| &server.device_bytes_by_role);
        let of_plane = roles.filter(|(role, _)| Plane::of(role) == plane).map(|(_, bytes)| bytes);
        let (written, read) = of_plane.fold((0, 0), |sum, one| (sum.0 + one.written, sum.1 + one.read));
        (self.per_operation(written as f64), self.per_operation(read as f64))
    }

    /// Of bodies, as they were moved: a range's, not its object's.
    pub(super) fn body_bytes(&self) -> f64 {
        self.bytes_per_s / self.operations_per_s
    }

    pub(super) fn drive_flushes(&self) -> f64 {
        self.per_operation(self.metrics.get(DRIVE_FLUSHES).copied().unwrap_or(0.0))
    }

    /// Rows committed and transactions, per operation.
    pub(super) fn commits(&self) -> (f64, f64) {
        let of = |name: &str| {
            let value = |part: &str| self.metrics.get(&format!("{name}_{part}")).copied();
            Some((value("sum")?, value("count")?))
        };
        let (rows, batches) = of(CONTROL_BATCH_ITEMS).or(of(COMMIT_BATCH_ITEMS)).unwrap_or_default();
        (self.per_operation(rows), self.per_operation(batches))
    }

    /// Commits of a transaction; `None` where nothing was committed.
    pub(super) fn batch(&self) -> Option<f64> {
        let (rows, batches) = self.commits();
        (batches > 0.0).then(|| rows / batches)
    }

    fn per_operation(&self, whole: f64) -> f64 {
        whole / self.operations as f64
    }
}
