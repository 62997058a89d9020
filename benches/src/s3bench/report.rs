//! What a run found, as JSON with stable names and as text for people.

use super::cost::{DeviceBytes, Memory, Spent};
use super::metrics::{COMMIT_BATCH_ITEMS, DRIVE_FLUSHES, Values};
use super::options::{Op, Payload};
use super::record::{Counts, Record};
use super::run::Observation;
use super::shared::Shared;
use crate::limits::CLIENT_BOUND_SHARE;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One run. Rates are over the measured window; bytes are those of bodies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) endpoint: String,
    pub(crate) op: Op,
    /// Of an object; of a distribution its mean.
    pub(crate) size_bytes: u64,
    /// As `--size` takes it.
    #[serde(default)]
    pub(crate) sizes: String,
    /// How reads chose among the keys.
    #[serde(default)]
    pub(crate) access: String,
    pub(crate) concurrency: usize,
    pub(crate) payload: Payload,
    /// Of the open loop.
    pub(crate) rate: Option<f64>,
    /// Due in the window, and no connection was free for it.
    pub(crate) never_sent: u64,
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) all: Rates,
    /// Of a mixed run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) by_operation: BTreeMap<Op, Rates>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) verified: u64,
    pub(crate) server: Option<Server>,
    pub(crate) client_cpu_s: f64,
    /// The client used up its threads: the figures are its own, not the server's.
    pub(crate) client_is_the_limit: bool,
    pub(crate) metrics: Values,
    /// Why what was written is still there.
    pub(crate) leftovers: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rates {
    pub(crate) operations: u64,
    pub(crate) operations_per_s: f64,
    pub(crate) bytes_per_s: f64,
    pub(crate) latency_us: Latency,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) max: u64,
    /// Microseconds by percentile (`"99.9"`), as far as there were enough operations to have one above it.
    #[serde(default)]
    pub(crate) percentiles: BTreeMap<String, u64>,
}

/// Costs of the server's processes over the window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) cpu_s: f64,
    pub(crate) operations_per_cpu_s: f64,
    pub(crate) bytes_per_cpu_s: f64,
    pub(crate) cpu_by_role: BTreeMap<String, Spent>,
    pub(crate) rss_peak_bytes: u64,
    pub(crate) memory_by_role: BTreeMap<String, Memory>,
    #[serde(default)]
    pub(crate) device_bytes_by_role: BTreeMap<String, DeviceBytes>,
}

/// The percentiles of [`Latency::percentiles`]. Their text sorts like the numbers.
const PERCENTILES: [&str; 13] =
    ["10", "25", "50", "75", "90", "95", "97.5", "99", "99.5", "99.9", "99.95", "99.99", "99.999"];

impl Report {
    pub(super) fn of(shared: &Shared, record: &Record, seen: Observation) -> Self {
        let options = &shared.options;
        let total = record.total();
        // of anything but a mix, the whole says it already
        let parts = record.operations.iter().filter(|_| options.op == Op::Mixed);
        let by_operation = parts.map(|(op, counts)| (*op, Rates::of(counts, seen.seconds))).collect();
        Self {
            endpoint: shared.target.endpoint.clone(),
            op: options.op,
            size_bytes: options.size.mean(),
            sizes: options.size.to_string(),
            access: options.access.to_string(),
            concurrency: options.concurrency,
            payload: options.payload,
            rate: options.rate,
            never_sent: seen.never_sent,
            seconds: seen.seconds,
            all: Rates::of(&total, seen.seconds),
            by_operation,
            errors: record.errors.clone(),
            verified: record.verified,
            server: Server::of(&total, &seen),
            client_cpu_s: seen.client_cpu_s,
            client_is_the_limit: seen.client_cpu_s
                > CLIENT_BOUND_SHARE * seen.seconds * options.threads as f64,
            metrics: seen.metrics,
            leftovers: None,
        }
    }

    pub(super) fn with_leftovers(self, leftovers: Option<String>) -> Self {
        Self { leftovers, ..self }
    }

    /// Commits per batch that the data plane sent, from its own counters.
    pub(crate) fn commits_per_batch(&self) -> Option<f64> {
        let sum = self.metrics.get(&format!("{COMMIT_BATCH_ITEMS}_sum"))?;
        Some(sum / self.metrics.get(&format!("{COMMIT_BATCH_ITEMS}_count"))?)
    }

    /// Device flushes per operation, all drives together.
    pub(crate) fn flushes_per_operation(&self) -> Option<f64> {
        let flushes = self.metrics.get(DRIVE_FLUSHES)?;
        (self.all.operations > 0).then(|| flushes / self.all.operations as f64)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain JSON") + "\n"
    }

    pub(crate) fn to_table(&self) -> String {
        let mut out = format!(
            "{} {}, access {}, {} connections, {:.1} s, payload {}, {}\n",
            self.op.name(),
            self.sizes,
            self.access,
            self.concurrency,
            self.seconds,
            self.payload.name(),
            self.endpoint
        );
        self.put_rates(&mut out);
        self.put_server(&mut out);
        self.put_remarks(&mut out);
        out
    }

    /// As tables and plots call it: operation, sizes, payload of what is written where it is not signed, connections.
    pub(crate) fn row_name(&self) -> String {
        let sizes = if self.sizes.is_empty() { human_size(self.size_bytes) } else { self.sizes.clone() };
        let payload = match self.payload {
            Payload::Signed => String::new(),
            other => format!(" {}", other.name()),
        };
        format!("{} {}{payload} c={}", self.op.name(), sizes.replace(' ', ""), self.concurrency)
    }

    fn put_rates(&self, out: &mut String) {
        let errors: u64 = self.errors.values().sum();
        let all = &self.all;
        line(
            out,
            "operations",
            format!(
                "{:.1}/s, {:.1} MB/s, {} in all, {errors} errors, {} verified",
                all.operations_per_s,
                all.bytes_per_s / 1e6,
                all.operations,
                self.verified
            ),
        );
        line(out, "latency ms", all.latency_us.text());
        for (op, rates) in &self.by_operation {
            line(
                out,
                &format!("  {}", op.name()),
                format!("{:.1}/s  {}", rates.operations_per_s, rates.latency_us.text()),
            );
        }
        if let Some(rate) = self.rate {
            line(
                out,
                "open loop",
                format!("{rate}/s were due, latency counts from then; {} never sent", self.never_sent),
            );
        }
        for (name, count) in &self.errors {
            line(out, "error", format!("{count} x {name}"));
        }
    }

    fn put_server(&self, out: &mut String) {
        let Some(server) = &self.server else { return };
        line(
            out,
            "server CPU",
            format!(
                "{:.2} s ({:.2} cores): {:.0} operations, {:.1} MB per CPU-second",
                server.cpu_s,
                server.cpu_s / self.seconds,
                server.operations_per_cpu_s,
                server.bytes_per_cpu_s / 1e6
            ),
        );
        for (role, spent) in &server.cpu_by_role {
            let memory = server.memory_by_role.get(role).cloned().unwrap_or_default();
            line(
                out,
                &format!("  {role}"),
                format!(
                    "user {:.2} s, system {:.2} s; MiB: peak RSS {}, PSS {}, highest ever {}",
                    spent.user_s,
                    spent.system_s,
                    mib(memory.rss_peak_bytes),
                    mib(memory.pss_bytes),
                    mib(memory.hwm_bytes)
                ),
            );
        }
        if let Some(commits) = self.commits_per_batch() {
            line(out, "commits", format!("{commits:.2} per batch"));
        }
        if let Some(flushes) = self.flushes_per_operation() {
            line(out, "flushes", format!("{flushes:.3} per operation"));
        }
    }

    fn put_remarks(&self, out: &mut String) {
        line(out, "client CPU", format!("{:.2} cores", self.client_cpu_s / self.seconds));
        if self.client_is_the_limit {
            line(
                out,
                "remark",
                "the client is the limit: give it more --threads or another machine".to_owned(),
            );
        }
        if self.all.operations == 0 {
            line(out, "remark", "no operation ended in the window: is --duration long enough?".to_owned());
        }
        if let Some(cause) = &self.leftovers {
            line(out, "remark", format!("what was written could not be removed: {cause}"));
        }
    }
}

impl Rates {
    fn of(counts: &Counts, seconds: f64) -> Self {
        let latency = &counts.latency;
        Self {
            operations: counts.count,
            operations_per_s: counts.count as f64 / seconds,
            bytes_per_s: counts.bytes as f64 / seconds,
            latency_us: Latency::of(latency),
        }
    }
}

impl Latency {
    fn of(latency: &Histogram<u64>) -> Self {
        // 99.9 % of 1000 leaves one above it, and a little less in floating point
        let supported = |share: &f64| (1.0 - share) * latency.len() as f64 > 1.0 - 1e-6;
        let percentiles = PERCENTILES.into_iter().filter_map(|percentile| {
            let share = percentile.parse::<f64>().ok()? / 100.0;
            Some(share)
                .filter(supported)
                .map(|share| (percentile.to_owned(), latency.value_at_quantile(share)))
        });
        Self {
            p50: latency.value_at_quantile(0.5),
            p90: latency.value_at_quantile(0.9),
            p99: latency.value_at_quantile(0.99),
            p99_9: latency.value_at_quantile(0.999),
            max: latency.max(),
            percentiles: percentiles.collect(),
        }
    }

    /// Percentile and microseconds, rising.
    pub(crate) fn curve(&self) -> Vec<(f64, u64)> {
        let number = |text: &String| text.parse::<f64>().ok();
        let mut curve: Vec<(f64, u64)> =
            self.percentiles.iter().filter_map(|(text, us)| Some((number(text)?, *us))).collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve
    }

    fn text(&self) -> String {
        let ms = |us: u64| us as f64 / 1000.0;
        let Self { p50, p90, p99, p99_9, max, .. } = *self;
        format!(
            "p50 {:.3}, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3}",
            ms(p50),
            ms(p90),
            ms(p99),
            ms(p99_9),
            ms(max)
        )
    }
}

impl Server {
    fn of(total: &Counts, seen: &Observation) -> Option<Self> {
        let cpu_s: f64 = seen.cpu.values().map(Spent::total_s).sum();
        // the clock's tick is 10 ms; less than that is no figure
        (cpu_s > 0.0).then(|| Self {
            cpu_s,
            operations_per_cpu_s: total.count as f64 / cpu_s,
            bytes_per_cpu_s: total.bytes as f64 / cpu_s,
            cpu_by_role: seen.cpu.clone(),
            rss_peak_bytes: seen.memory.values().map(|memory| memory.rss_peak_bytes).sum(),
            memory_by_role: seen.memory.clone(),
            device_bytes_by_role: seen.device_bytes.clone(),
        })
    }
}

pub(super) fn line(out: &mut String, name: &str, text: String) {
    writeln!(out, "  {name:<14} {text}").expect("a String takes all");
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

pub(crate) fn human_size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_survive_the_file_and_only_those_exist_that_something_lies_above() {
        let mut histogram = Histogram::new(3).expect("three digits");
        (1..=1000u64).for_each(|us| histogram.record(us).expect("in range"));
        let latency = Latency::of(&histogram);
        let text = serde_json::to_string(&latency).expect("plain JSON");
        let curve = serde_json::from_str::<Latency>(&text).expect("the same").curve();
        let expected = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9];
        assert_eq!(curve.iter().map(|(percentile, _)| *percentile).collect::<Vec<_>>(), expected);
        for (percentile, us) in curve {
            assert!((us as f64 - percentile * 10.0).abs() <= 1.0, "{percentile}: {us}");
        }
    }

    #[test]
    fn runs_saved_before_percentiles_were_are_read() {
        let text = r#"{"p50": 1, "p90": 2, "p99": 3, "p99_9": 4, "max": 5}"#;
        assert!(serde_json::from_str::<Latency>(text).expect("a latency").curve().is_empty());
    }
}
