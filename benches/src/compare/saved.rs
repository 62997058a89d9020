//! `compare.json`: every turn of every row, and where it came from. The tables are made of it alone.

use super::error::{CompareError, at};
use super::figures::Figures;
use super::machine::Origin;
use super::ratio::Spread;
use super::rows::Row;
use super::system::Durable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// By name; those that could not be had are here too, with the reason.
    pub(super) systems: BTreeMap<String, SystemNote>,
    pub(super) rows: Vec<RowResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SystemNote {
    pub(super) version: String,
    pub(super) setup: String,
    pub(super) durable: Durable,
    /// Why it takes no part.
    pub(super) missing: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RowResult {
    pub(super) name: String,
    /// What each turn ran, without target and credentials.
    pub(super) command: String,
    /// Nothing in it has to be flushed.
    pub(super) reads_only: bool,
    pub(super) wanted: Option<f64>,
    pub(super) origin: Origin,
    pub(super) rounds: u32,
    /// In the order in which they ran.
    pub(super) turns: Vec<Turn>,
    /// Systems that read as another does, and were not asked themselves.
    pub(super) reads_like: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) round: u32,
    pub(super) system: String,
    pub(super) figures: Option<Figures>,
    /// Why there are none.
    pub(super) failed: Option<String>,
    /// Cores that the systems which waited used during the turn, all together.
    pub(super) others_cores: f64,
    /// They had not come to rest before it.
    pub(super) others_busy: bool,
}

impl RowResult {
    /// Systems in the order of their first turns.
    pub(super) fn systems(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for turn in &self.turns {
            if !names.contains(&turn.system.as_str()) {
                names.push(&turn.system);
            }
        }
        names
    }

    /// A figure of a system by round.
    pub(super) fn by_round(
        &self,
        system: &str,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let of = |round: u32| {
            let turn = self.turns.iter().find(|turn| turn.round == round && turn.system == system)?;
            figure(turn.figures.as_ref()?)
        };
        (1..=self.rounds).map(of).collect()
    }

    pub(super) fn spread(&self, system: &str, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.by_round(system, figure).into_iter().flatten())
    }
}

impl Saved {
    /// Nothing, when the file is not there.
    pub(super) fn read(path: &Path) -> Result<Self, CompareError> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|cause| CompareError::Saved { path: path.to_owned(), cause: cause.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => at(format!("read {}", path.display()), Err(error)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), CompareError> {
        if let Some(dir) = path.parent() {
            at(format!("make {}", dir.display()), std::fs::create_dir_all(dir))?;
        }
        let text = serde_json::to_string_pretty(self).expect("figures are plain JSON") + "\n";
        at(format!("write {}", path.display()), std::fs::write(path, text))
    }

    /// A newer result takes the older one's place; rows stand in the order of the matrix.
    pub(super) fn put(&mut self, result: RowResult) {
        self.rows.retain(|row| row.name != result.name);
        self.rows.push(result);
        self.rows.sort_by_key(|row| place(&row.name));
    }
}

fn place(name: &str) -> usize {
    Row::all().position(|row| row.name() == name).unwrap_or(usize::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::figures::Cost;

    /// A turn of so many operations per second and per CPU-second.
    pub(crate) fn turn(round: u32, system: &str, per_s: f64, per_cpu_s: f64) -> Turn {
        let server = Cost {
            cpu_s: 1.0,
            operations_per_cpu_s: per_cpu_s,
            rss_peak_bytes: 100 << 20,
            ..Cost::default()
        };
        let figures =
            Figures { operations: 100, operations_per_s: per_s, server: Some(server), ..Figures::default() };
        let (failed, others_cores, others_busy) = (None, 0.01, false);
        Turn { round, system: system.to_owned(), figures: Some(figures), failed, others_cores, others_busy }
    }

    pub(crate) fn result(name: &str, turns: Vec<Turn>) -> RowResult {
        RowResult {
            name: name.to_owned(),
            command: "s3bench --op put".to_owned(),
            reads_only: false,
            wanted: Some(4.0),
            origin: Origin { commit: "abc1234".to_owned(), cores: 2, ..Origin::default() },
            rounds: 2,
            turns,
            reads_like: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_newer_rows_replace() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("new/compare.json");
        assert!(Saved::read(&path).expect("nothing yet").rows.is_empty());
        let mut saved = Saved::default();
        saved.put(result("get 4KiB c=32", vec![turn(1, "a", 1.0, 1.0)]));
        saved.put(result("put 4KiB c=32", vec![turn(1, "a", 1.0, 1.0)]));
        saved.put(result("get 4KiB c=32", vec![turn(1, "a", 2.0, 1.0), turn(2, "a", 4.0, 1.0)]));
        saved.write(&path).expect("written");
        let read = Saved::read(&path).expect("read");
        assert_eq!(read.rows, saved.rows);
        assert_eq!(
            read.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
            ["put 4KiB c=32", "get 4KiB c=32"]
        );
        let spread = read.rows[1].spread("a", |figures| Some(figures.operations_per_s)).expect("two rounds");
        assert_eq!((spread.median, spread.min, spread.max), (3.0, 2.0, 4.0));
        std::fs::write(&path, "{").expect("written");
        assert!(Saved::read(&path).expect_err("broken").to_string().contains("compare.json"));
    }
}
