//! What a run counted.

use super::failure::Failure;
use super::options::Op;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Counts of one worker, or of all together.
#[derive(Default)]
pub(super) struct Record {
    pub(super) operations: BTreeMap<Op, Counts>,
    /// Failures by name.
    pub(super) errors: BTreeMap<String, u64>,
    /// Reads whose bytes were compared, and keys listed.
    pub(super) verified: u64,
}

pub(super) struct Counts {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Microseconds, three digits.
    pub(super) latency: Histogram<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { count: 0, bytes: 0, latency: Histogram::new(3).expect("three digits are allowed") }
    }
}

impl Record {
    pub(super) fn success(&mut self, op: Op, bytes: u64, took: Duration) {
        let counts = self.operations.entry(op).or_default();
        counts.count += 1;
        counts.bytes += bytes;
        // In nanoseconds / 1000, rounded up: 0 would read as "nothing".
        let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        counts.latency.record(micros.max(1)).expect("the histogram grows");
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        *self.errors.entry(failure.name()).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        for (op, counts) in other.operations {
            let sum = self.operations.entry(op).or_default();
            sum.count += counts.count;
            sum.bytes += counts.bytes;
            sum.latency.add(&counts.latency).expect("the histogram grows");
        }
        for (name, count) in other.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.verified += other.verified;
    }

    pub(super) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.operations.values() {
            total.count += counts.count;
            total.bytes += counts.bytes;
            total.latency.add(&counts.latency).expect("the histogram grows");
        }
        total
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}
