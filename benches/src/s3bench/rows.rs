//! The rows that every release and every comparison measures, as data.

use super::choice::Access;
use super::options::{Mix, Op, Payload, RunOptions, TargetOptions};
use super::report::human_size;
use super::sizes::Sizes;
use clap::ValueEnum;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// One row: what is done, to objects of how many bytes, over how many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) op: Op,
    /// Bytes of an object; of a listing, of each object listed.
    pub(crate) size: u64,
    /// Connections, each with one operation in flight.
    pub(crate) concurrency: usize,
    /// Objects that are there before: reads choose from them, deletes use them up, a listing walks them.
    pub(crate) keys: u64,
    pub(crate) payload: Payload,
    /// The measured time is the asked one times this: large objects end seldom, and a window must hold enough of them.
    pub(crate) windows: u32,
    pub(crate) part_of: Part,
}

/// Why a row is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Six rows that show most of it.
    Short,
    /// What the matrix has besides.
    Matrix,
    /// Run for the resident memory that they take.
    Memory,
}

/// Which rows a suite runs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// PUT and GET of 4 KiB, 1 MiB and 64 MiB
    Short,
    /// The whole matrix: those, HEAD, DELETE, LIST, ranges, multipart, 64 KiB, mixed, streaming trailer
    All,
    /// 64 concurrent transfers of 64 MiB each way, for the memory that they take
    Memory,
}

impl Rows {
    pub(crate) fn includes(self, row: &Row) -> bool {
        match self {
            Self::Short => row.part_of == Part::Short,
            Self::All => row.part_of != Part::Memory,
            Self::Memory => row.part_of == Part::Memory,
        }
    }
}

const fn row(op: Op, size: u64, concurrency: usize, keys: u64, part_of: Part) -> Row {
    let windows = if size >= 64 * MIB { 2 } else { 1 };
    Row { op, size, concurrency, keys, payload: Payload::Signed, windows, part_of }
}

/// All rows, in the order in which they are run: what reads the same objects stands together.
pub(crate) const ROWS: [Row; 17] = [
    row(Op::Put, 4 * KIB, 32, 1, Part::Short),
    row(Op::Get, 4 * KIB, 32, 20_000, Part::Short),
    row(Op::Head, 4 * KIB, 32, 20_000, Part::Matrix),
    row(Op::Put, 64 * KIB, 16, 1, Part::Matrix),
    row(Op::Get, 64 * KIB, 16, 2_000, Part::Matrix),
    row(Op::Mixed, 64 * KIB, 16, 2_000, Part::Matrix),
    row(Op::Put, MIB, 8, 1, Part::Short),
    Row { payload: Payload::Trailer, ..row(Op::Put, MIB, 8, 1, Part::Matrix) },
    row(Op::Get, MIB, 8, 256, Part::Short),
    row(Op::Put, 64 * MIB, 4, 1, Part::Short),
    row(Op::Multipart, 64 * MIB, 4, 1, Part::Matrix),
    row(Op::Get, 64 * MIB, 4, 8, Part::Short),
    row(Op::Range, 16 * MIB, 16, 32, Part::Matrix),
    row(Op::Delete, 4 * KIB, 32, 20_000, Part::Matrix),
    // a listing reads no bodies: small ones are there sooner
    row(Op::List, 100, 4, 100_000, Part::Matrix),
    row(Op::Put, 64 * MIB, 64, 1, Part::Memory),
    row(Op::Get, 64 * MIB, 64, 8, Part::Memory),
];

impl Row {
    /// A row that is not of the matrix.
    pub(super) fn of(op: Op, size: u64, concurrency: usize, keys: u64, payload: Payload) -> Self {
        Self { payload, ..row(op, size, concurrency, keys, Part::Matrix) }
    }

    /// `put 1MiB trailer c=8`: operation, size, payload where it is not signed, connections.
    pub(crate) fn name(&self) -> String {
        let size = human_size(self.size).replace(' ', "");
        let payload = match self.payload {
            Payload::Signed => String::new(),
            other => format!(" {}", other.name()),
        };
        format!("{} {size}{payload} c={}", self.op.name(), self.concurrency)
    }

    /// True when each word of `filter` is one of the name's: `put 1MiB`, `64MiB`.
    pub(crate) fn is_named(&self, filter: &str) -> bool {
        let name = self.name();
        filter.split_whitespace().all(|wanted| name.split(' ').any(|word| word == wanted))
    }

    /// A run of the row, measured for `duration` (times the row's windows) after `warmup`.
    pub(crate) fn options(&self, target: &TargetOptions, warmup: Duration, duration: Duration) -> RunOptions {
        RunOptions {
            target: target.clone(),
            op: self.op,
            size: Sizes::Fixed(self.size),
            access: Access::Uniform,
            concurrency: self.concurrency,
            threads: 1,
            duration: duration * self.windows,
            warmup,
            keys: self.keys,
            no_preload: false,
            overwrite: false,
            keep: false,
            payload: self.payload,
            range_size: 64 * KIB,
            part_size: 8 * MIB,
            mix: Mix::of_the_matrix(),
            verify_every: 16,
            rate: None,
            timeout: Duration::from_secs(60),
            prefix: "s3bench-suite".to_owned(),
            json: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: BTreeSet<String> = ROWS.iter().map(Row::name).collect();
        assert_eq!(names.len(), ROWS.len());
        assert!(names.contains("put 1MiB trailer c=8") && names.contains("get 4KiB c=32"));
    }

    #[test]
    fn the_matrix_is_whole() {
        let of = |rows: Rows| ROWS.iter().filter(|row| rows.includes(row)).count();
        assert_eq!((of(Rows::Short), of(Rows::All), of(Rows::Memory)), (6, 15, 2));
        let named = |filter: &str| ROWS.iter().filter(|row| row.is_named(filter)).count();
        assert_eq!((named("put 4KiB"), named("4KiB"), named("1MiB trailer"), named("KiB")), (1, 4, 1, 0));
        for op in Op::value_variants() {
            assert!(ROWS.iter().any(|row| row.op == *op), "{} has no row", op.name());
        }
        for row in &ROWS {
            assert!(row.op.needs_keys() == (row.keys > 1), "{}", row.name());
        }
    }
}
