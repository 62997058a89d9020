//! The matrix's rows, which `s3bench` holds as data, as turns of a comparison.

use super::error::CompareError;
use super::options::Plan;
use crate::limits::{COMPARE_DELETE_KEYS, COMPARE_FIRST_READS, COMPARE_FIRST_WRITES};
use crate::s3bench::options::{Cli as S3bench, Op, Payload, RunOptions};
use crate::s3bench::rows::{Part, ROWS, Row as Measured};
use clap::Parser;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Row(Measured);

/// What `--quick` runs: PUT, GET, HEAD and DELETE in one row.
pub(super) const QUICK: Row = Row(Measured {
    op: Op::Mixed,
    size: 4096,
    concurrency: 4,
    keys: 50,
    payload: Payload::Signed,
    windows: 1,
    part_of: Part::Short,
});

/// Rows with the same data share a start of the systems, and what was put for the first of them.
#[derive(PartialEq, Eq)]
pub(super) struct Data {
    reads: bool,
    size: u64,
    /// Deletes and listings want their keys for themselves.
    alone: Option<Op>,
}

impl Row {
    /// Rows with all words of one of the filters in their names; without filters the matrix, and with `memory` its memory rows.
    pub(super) fn chosen(filters: &[String], memory: bool) -> Result<Vec<Self>, CompareError> {
        let chosen = |row: &&Measured| match filters {
            [] => (row.part_of == Part::Memory) == memory,
            filters => filters.iter().any(|filter| row.is_named(filter)),
        };
        let rows: Vec<Self> = ROWS.iter().filter(chosen).copied().map(Self).collect();
        if rows.is_empty() {
            return Err(CompareError::Options(format!(
                "--rows {}: no row is called so; see --list-rows",
                filters.join(",")
            )));
        }
        Ok(rows)
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().copied().map(Self)
    }

    pub(super) fn name(&self) -> String {
        self.0.name()
    }

    pub(super) fn data(&self) -> Data {
        let op = self.0.op;
        let alone = matches!(op, Op::Delete | Op::List) || self.0.part_of == Part::Memory;
        Data { reads: op.needs_keys(), size: self.0.size, alone: alone.then_some(op) }
    }

    /// Operations per server CPU-second that are wanted, as a multiple of the best peer's (issue 4).
    pub(super) fn wanted(&self) -> Option<f64> {
        let Measured { op, size, part_of, .. } = self.0;
        match (op, size) {
            _ if part_of == Part::Memory => None,
            (Op::Get | Op::Head, 4096) => Some(8.0),
            (Op::Put, 4096) => Some(4.0),
            (Op::List, _) => Some(2.0),
            (Op::Delete | Op::Mixed | Op::Range, _) => Some(3.0),
            (Op::Get, _) if size >= 1 << 20 => Some(3.0),
            (Op::Put | Op::Multipart, _) if size >= 1 << 20 => Some(2.5),
            _ => None,
        }
    }

    /// The same by hand, without target and lengths.
    pub(super) fn command(&self) -> String {
        let options = self.options();
        let keys = if options.op.needs_keys() { format!(" --keys {}", options.keys) } else { String::new() };
        let (op, payload) = (options.op.name(), options.payload.name());
        format!(
            "s3bench --op {op} --size {} --concurrency {}{keys} --payload {payload}",
            self.0.size, self.0.concurrency
        )
    }

    /// Memory is looked at once: it does not vary as rates do, and 64 uploads of 64 MiB take some stores minutes.
    pub(super) fn rounds(&self, plan: &Plan) -> u32 {
        if self.0.part_of == Part::Memory { 1 } else { plan.rounds }
    }

    /// A turn's run: the keys are there, and what it writes stays until the row is over.
    pub(super) fn turn(&self, plan: &Plan, round: u32) -> RunOptions {
        let options = self.options();
        RunOptions {
            duration: plan.duration * self.0.windows,
            warmup: plan.warmup,
            no_preload: options.op.needs_keys(),
            prefix: self.prefix(round),
            ..options
        }
    }

    /// A run before the turns: it puts the keys, reads them for a moment (what one store wrote past the page cache another still
    /// has there), and makes each system do for the first time what only the first operation costs (a bucket's
    /// volumes, prepared statements). Nobody reads its figures.
    pub(super) fn load(&self, round: u32) -> RunOptions {
        let options = self.options();
        let op = if self.uses_keys_up() { Op::Head } else { options.op };
        RunOptions {
            op,
            duration: if self.0.op.needs_keys() { COMPARE_FIRST_READS } else { COMPARE_FIRST_WRITES },
            warmup: Duration::ZERO,
            // the first operation, not the most at once
            concurrency: options.concurrency.min(32),
            prefix: self.prefix(round),
            ..options
        }
    }

    fn options(&self) -> RunOptions {
        let nothing_yet = S3bench::parse_from(["s3bench"]).run.target;
        let options = self.0.options(&nothing_yet, Duration::ZERO, Duration::ZERO);
        let keys = if self.uses_keys_up() { COMPARE_DELETE_KEYS } else { options.keys };
        RunOptions { keep: true, keys, ..options }
    }

    /// Deletes use their keys up, so that each round has its own.
    pub(super) fn uses_keys_up(&self) -> bool {
        self.0.op == Op::Delete
    }

    /// What it asks depends on how writes are made durable.
    pub(super) fn writes(&self) -> bool {
        matches!(self.0.op, Op::Put | Op::Multipart | Op::Delete | Op::Mixed)
    }

    fn prefix(&self, round: u32) -> String {
        if self.uses_keys_up() { format!("compare-{round}") } else { "compare".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_finds_what_the_load_before_it_put() {
        let plan = Plan { rounds: 3, duration: Duration::from_secs(3), warmup: Duration::from_secs(1) };
        for row in Row::all().chain([QUICK]) {
            let (turn, load) = (row.turn(&plan, 2), row.load(2));
            assert!(
                turn.keep && load.keep && turn.prefix == load.prefix && turn.keys == load.keys,
                "{}",
                row.name()
            );
            assert_eq!(turn.no_preload, turn.op.needs_keys(), "{}", row.name());
            assert!(!load.no_preload && turn.duration >= plan.duration, "{}", row.name());
        }
        let delete = Row::all().find(Row::uses_keys_up).expect("a row");
        assert_ne!(delete.turn(&plan, 1).prefix, delete.turn(&plan, 2).prefix);
    }

    #[test]
    fn rows_that_share_data_stand_together_and_have_as_many_keys() {
        let rows: Vec<Row> = Row::all().collect();
        for row in &rows {
            let same: Vec<usize> =
                (0..rows.len()).filter(|other| rows[*other].data() == row.data()).collect();
            assert!(same.windows(2).all(|pair| pair[1] == pair[0] + 1), "{}", row.name());
            assert!(same.iter().all(|other| rows[*other].0.keys == row.0.keys), "{}", row.name());
            assert!(same.len() == 1 || !row.uses_keys_up(), "{}", row.name());
        }
    }

    #[test]
    fn rows_are_chosen_by_the_words_of_their_names() {
        let names = |filters: &[&str], memory| -> Vec<String> {
            let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
            Row::chosen(&filters, memory).expect("rows").iter().map(Row::name).collect()
        };
        assert_eq!(names(&["put 4KiB", "list"], false), ["put 4KiB c=32", "list 100B c=4"]);
        assert_eq!(names(&[], false).len() + names(&[], true).len(), ROWS.len());
        assert!(names(&[], true).iter().all(|name| name.ends_with("c=64")));
        assert!(Row::chosen(&["nothing".to_owned()], false).is_err());
    }

    #[test]
    fn what_the_issue_wants_of_each_row() {
        let wanted = |name: &str| Row::all().find(|row| row.name() == name).expect("a row").wanted();
        assert_eq!((wanted("get 4KiB c=32"), wanted("put 4KiB c=32")), (Some(8.0), Some(4.0)));
        assert_eq!((wanted("get 64KiB c=16"), wanted("mixed 64KiB c=16")), (None, Some(3.0)));
        assert_eq!((wanted("put 64MiB c=4"), wanted("put 64MiB c=64")), (Some(2.5), None));
    }
}
