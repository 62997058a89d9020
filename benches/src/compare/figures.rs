//! What is kept of one turn: the figures of `s3bench`'s report that comparisons are made of.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One turn's figures. Rates are over the measured window.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) operations: u64,
    pub(super) operations_per_s: f64,
    /// Of bodies.
    pub(super) bytes_per_s: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// By name; what failed is not among the operations.
    pub(super) errors: BTreeMap<String, u64>,
    /// Reads whose bytes were compared.
    pub(super) verified: u64,
    /// The load generator used up its core: the wall figures are its own.
    pub(super) client_is_the_limit: bool,
    /// CPU and memory of all processes of the system; absent where their ids are not known.
    pub(super) server: Option<Cost>,
}

#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cost {
    pub(super) cpu_s: f64,
    pub(super) operations_per_cpu_s: f64,
    pub(super) cpu_s_by_role: BTreeMap<String, f64>,
    /// Highest sampled sum of resident sizes; shared pages count once per process.
    pub(super) rss_peak_bytes: u64,
    /// Proportional sizes at the end: shared pages count once.
    pub(super) pss_bytes: u64,
}

impl Figures {
    /// Reads a report as `s3bench --json` prints it; `None` if a figure is missing.
    pub(super) fn of(report: &Value) -> Option<Self> {
        let number = |name: &str| report[name].as_f64();
        let errors = serde_json::from_value(report["errors"].clone()).ok()?;
        Some(Self {
            operations: report["operations"].as_u64()?,
            operations_per_s: number("operations_per_s")?,
            bytes_per_s: number("bytes_per_s")?,
            p50_us: report["latency_us"]["p50"].as_u64()?,
            p99_us: report["latency_us"]["p99"].as_u64()?,
            errors,
            verified: report["verified"].as_u64()?,
            client_is_the_limit: report["client_is_the_limit"].as_bool()?,
            server: Cost::of(&report["server"]),
        })
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl Cost {
    fn of(server: &Value) -> Option<Self> {
        let by_role = server["cpu_by_role"].as_object()?;
        let seconds = |spent: &Value| Some(spent["user_s"].as_f64()? + spent["system_s"].as_f64()?);
        let memory = server["memory_by_role"].as_object()?;
        Some(Self {
            cpu_s: server["cpu_s"].as_f64()?,
            operations_per_cpu_s: server["operations_per_cpu_s"].as_f64()?,
            // `weed 4711`: the number says nothing afterwards
            cpu_s_by_role: by_role
                .iter()
                .filter_map(|(role, spent)| Some((role.split(' ').next()?.to_owned(), seconds(spent)?)))
                .collect(),
            rss_peak_bytes: server["rss_peak_bytes"].as_u64()?,
            pss_bytes: memory.values().filter_map(|role| role["pss_bytes"].as_u64()).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_gives_its_figures_and_none_is_made_up() {
        let report = json!({
            "operations": 10, "operations_per_s": 5.0, "bytes_per_s": 20480.0, "latency_us": {"p50": 7, "p99": 9},
            "errors": {"503 SlowDown": 2}, "verified": 1, "client_is_the_limit": false,
            "server": {
                "cpu_s": 2.0, "operations_per_cpu_s": 5.0, "rss_peak_bytes": 100,
                "cpu_by_role": {"weed 12": {"user_s": 1.5, "system_s": 0.5}},
                "memory_by_role": {"weed 12": {"pss_bytes": 60}, "x": {"pss_bytes": 4}},
            },
        });
        let figures = Figures::of(&report).expect("figures");
        let cost = figures.server.clone().expect("a cost");
        assert_eq!((figures.error_count(), cost.cpu_s_by_role["weed"], cost.pss_bytes), (2, 2.0, 64));
        let mut unseen = report.clone();
        unseen["server"] = Value::Null;
        assert_eq!(Figures::of(&unseen).expect("figures").server, None);
        unseen["operations"] = Value::Null;
        assert_eq!(Figures::of(&unseen), None);
    }
}
