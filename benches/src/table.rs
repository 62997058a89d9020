//! The table that a bench ends with: `stage | figure | limit | ratio`, ready to be pasted into a document.
//!
//! Criterion keeps its estimates as JSON; those written since this program began are read back and set beside the limit of
//! their group. Benches that measure several processes make their rows themselves.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A function of this name's beginning is what its group is held against.
const LIMIT: &str = "limit";

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub stage: String,
    /// With its unit.
    pub figure: String,
    /// What it faces, with its unit; empty where there is none.
    pub limit: String,
    /// How many times the limit's cost the stage has.
    pub ratio: Option<f64>,
}

/// Lines under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub title: String,
    pub rows: Vec<Row>,
}

impl Row {
    /// A stage beside its limit, both as cost of the same unit of work.
    #[must_use]
    pub fn beside(stage: impl Into<String>, (cost, unit): (f64, &str), limit: (&str, f64)) -> Self {
        Self {
            stage: stage.into(),
            figure: format!("{} {unit}", digits(cost)),
            limit: format!("{}: {} {unit}", limit.0, digits(limit.1)),
            ratio: (limit.1 > 0.0).then(|| cost / limit.1),
        }
    }

    /// A figure that faces no limit.
    #[must_use]
    pub fn alone(stage: impl Into<String>, figure: f64, unit: &str) -> Self {
        let figure = format!("{} {unit}", digits(figure));
        Self { stage: stage.into(), figure, limit: String::new(), ratio: None }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n\n| stage | figure | limit | ratio |\n|---|--:|--:|--:|", self.title)?;
        for Row { stage, figure, limit, ratio } in &self.rows {
            let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| digits(ratio) + "x");
            let limit = if limit.is_empty() { "-" } else { limit };
            writeln!(f, "| {stage} | {figure} | {limit} | {ratio} |")?;
        }
        Ok(())
    }
}

/// Three significant digits, no exponent.
#[must_use]
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Prints the tables of [`of_criterion`].
pub fn print(began: SystemTime) {
    print_all(&of_criterion(began));
}

/// Prints tables on standard output; a closed pipe (`| head`) is no reason to fail.
pub fn print_all(tables: &[Table]) {
    let text: String = tables.iter().map(Table::to_string).collect();
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// What criterion wrote since `began`, one table per group, in the order of measuring. Empty after `--test`.
#[must_use]
pub fn of_criterion(began: SystemTime) -> Vec<Table> {
    let mut found = Vec::new();
    if let Some(directory) = criterion_directory() {
        collect(&directory, began, &mut found);
    }
    found.sort_by_key(|one| one.written);
    let mut tables: Vec<Table> = Vec::new();
    for one in &found {
        let title = &one.benchmark.group_id;
        if !tables.iter().any(|table| table.title == *title) {
            let group: Vec<&Measured> =
                found.iter().filter(|other| other.benchmark.group_id == *title).collect();
            tables.push(Table { title: title.clone(), rows: rows(&group) });
        }
    }
    tables
}

/// Where criterion writes: said by its variables, else beside the directory of this program.
fn criterion_directory() -> Option<PathBuf> {
    let named = std::env::var_os("CRITERION_HOME").map(PathBuf::from);
    let target = std::env::var_os("CARGO_TARGET_DIR").map(|target| PathBuf::from(target).join("criterion"));
    let program = std::env::current_exe().ok()?;
    let beside = program.ancestors().map(|above| above.join("criterion")).find(|path| path.is_dir());
    named.or(target.filter(|path| path.is_dir())).or(beside)
}

struct Measured {
    benchmark: Benchmark,
    /// Median of an iteration.
    nanoseconds: f64,
    written: SystemTime,
}

/// `new/benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    /// What an iteration works through: `{"Bytes": n}`, `{"Elements": n}`.
    throughput: Option<BTreeMap<String, u64>>,
}

/// `new/estimates.json`.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

fn collect(directory: &Path, began: SystemTime, found: &mut Vec<Measured>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("new") => found.extend(measured(&path, began)),
            _ if path.is_dir() => collect(&path, began, found),
            _ => {}
        }
    }
}

fn measured(directory: &Path, began: SystemTime) -> Option<Measured> {
    let estimates = directory.join("estimates.json");
    let written = fs::metadata(&estimates).ok()?.modified().ok()?;
    if written < began {
        return None;
    }
    let benchmark = serde_json::from_slice(&fs::read(directory.join("benchmark.json")).ok()?).ok()?;
    let estimates: Estimates = serde_json::from_slice(&fs::read(estimates).ok()?).ok()?;
    Some(Measured { benchmark, nanoseconds: estimates.median.point_estimate, written })
}

impl Measured {
    fn name(&self) -> &str {
        self.benchmark.function_id.as_deref().unwrap_or_default()
    }

    fn stage(&self) -> String {
        match &self.benchmark.value_str {
            Some(value) => format!("{}, {value}", self.name()),
            None => self.name().to_owned(),
        }
    }

    /// Nanoseconds per byte, element or iteration.
    fn cost(&self) -> f64 {
        self.nanoseconds / self.through("Bytes").or(self.through("Elements")).unwrap_or(1) as f64
    }

    fn through(&self, unit: &str) -> Option<u64> {
        self.benchmark.throughput.as_ref()?.get(unit).copied()
    }

    fn figure(&self) -> String {
        match self.through("Bytes") {
            Some(bytes) => {
                format!("{} ({} GB/s)", time(self.nanoseconds), digits(bytes as f64 / self.nanoseconds))
            }
            None if self.through("Elements").is_some() => format!("{} each", time(self.cost())),
            None => time(self.nanoseconds),
        }
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        _ if nanoseconds < 1e3 => format!("{} ns", digits(nanoseconds)),
        _ if nanoseconds < 1e6 => format!("{} us", digits(nanoseconds / 1e3)),
        _ => format!("{} ms", digits(nanoseconds / 1e6)),
    }
}

/// Every stage of a group beside the limit of its own value, or the group's only one.
fn rows(group: &[&Measured]) -> Vec<Row> {
    let limits: Vec<&Measured> = group.iter().filter(|one| one.name().starts_with(LIMIT)).copied().collect();
    let stages = group.iter().filter(|one| !one.name().starts_with(LIMIT));
    let row = |stage: &&Measured| {
        let same = limits.iter().find(|limit| limit.benchmark.value_str == stage.benchmark.value_str);
        let limit = same.or(limits.first().filter(|_| limits.len() == 1));
        let text = |limit: &&Measured| {
            format!("{}: {}", limit.name()[LIMIT.len()..].trim_matches([':', ' ']), limit.figure())
        };
        Row {
            stage: stage.stage(),
            figure: stage.figure(),
            limit: limit.map(text).unwrap_or_default(),
            ratio: limit.map(|limit| stage.cost() / limit.cost()),
        }
    };
    stages.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(directory: &Path, id: (&str, &str, &str), throughput: &str, nanoseconds: f64) {
        let (group, function, value) = id;
        let new = directory.join(group).join(function.replace(' ', "_")).join(value).join("new");
        fs::create_dir_all(&new).expect("a directory");
        let value = if value.is_empty() { "null".to_owned() } else { format!("\"{value}\"") };
        let benchmark = format!(
            "{{\"group_id\":\"{group}\",\"function_id\":\"{function}\",\"value_str\":{value},\"throughput\":{throughput},\"title\":\"t\"}}"
        );
        fs::write(new.join("benchmark.json"), benchmark).expect("written");
        let estimates = format!("{{\"median\":{{\"point_estimate\":{nanoseconds},\"standard_error\":0.0}}}}");
        fs::write(new.join("estimates.json"), estimates).expect("written");
    }

    #[test]
    fn a_stage_stands_beside_the_limit_of_its_value() {
        let directory = tempfile::tempdir().expect("a directory");
        let bytes = "{\"Bytes\":4096}";
        bench(directory.path(), ("g", "limit: memcpy", "4096"), bytes, 100.0);
        bench(directory.path(), ("g", "encode", "4096"), bytes, 250.0);
        bench(directory.path(), ("g", "limit: memcpy", "64"), "{\"Bytes\":64}", 2.0);
        bench(directory.path(), ("h", "place", ""), "null", 1500.0);
        let mut found = Vec::new();
        collect(directory.path(), SystemTime::UNIX_EPOCH, &mut found);
        let (g, h): (Vec<&Measured>, Vec<&Measured>) =
            found.iter().partition(|one| one.benchmark.group_id == "g");
        let expected = Row {
            stage: "encode, 4096".into(),
            figure: "250 ns (16.4 GB/s)".into(),
            limit: "memcpy: 100 ns (41.0 GB/s)".into(),
            ratio: Some(2.5),
        };
        assert_eq!(rows(&g), [expected]);
        let table = Table { title: "h".into(), rows: rows(&h) }.to_string();
        assert!(table.contains("| place | 1.50 us | - | - |"), "{table}");
        let mut none = Vec::new();
        collect(directory.path(), SystemTime::now() + std::time::Duration::from_secs(60), &mut none);
        assert!(none.is_empty(), "what is older than the run is not its own");
    }
}
