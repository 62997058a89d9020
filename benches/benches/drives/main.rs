//! The storage engine on real drives: what its thresholds were chosen by, and what a start costs.
//!
//! `cargo bench -p holdfast-benches --bench drives -- copies|segments|slots|reads|startup [--dir DIR] [--pieces N]`; without a name all of
//! them, small. Drives are directories under `--dir` (the working directory's file system unless said), every write is flushed
//! before it counts, and what is compared takes turns within one run.

#![allow(clippy::print_stdout, reason = "tables for a person")]

mod slots;
mod sweep;

use std::path::PathBuf;

use clap::Parser;

/// Sweeps over the storage engine. Figures are for a person; nothing is asserted but that what was stored is there.
#[derive(Debug, Parser)]
#[command(name = "drives")]
struct Options {
    /// What to measure; everything when none is named.
    what: Option<What>,
    /// Where the drives are made, in a directory that is removed at the end.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Fragments on the drive whose start is timed.
    #[arg(long, default_value_t = 1_000_000)]
    pieces: u32,
    /// Rounds that the compared ones take in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only whether it runs.
    #[arg(long)]
    test: bool,
    /// What `cargo bench` says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Whole copies against an erasure code, by object size.
    Copies,
    /// Segment sizes: append rate and how long a start takes.
    Segments,
    /// Large pieces through segments beside bare writes into slots of one file.
    Slots,
    /// Reads through the page cache and past it.
    Reads,
    /// A start with many fragments: after a clean stop, after a kill, and without the index.
    Startup,
}

fn main() {
    let options = Options::parse();
    let pieces = if options.test { 2_000 } else { options.pieces };
    let (rounds, objects) = if options.test { (1, 64) } else { (options.rounds, 2_000) };
    let wanted = |what| options.what.is_none_or(|named| named == what);
    let dir = tempfile::Builder::new().prefix("drives-bench-").tempdir_in(&options.dir);
    let dir = dir.unwrap_or_else(|error| panic!("{}: {error}", options.dir.display()));
    if wanted(What::Copies) {
        sweep::copies(dir.path(), rounds, objects);
    }
    if wanted(What::Segments) {
        sweep::segments(dir.path(), rounds, objects);
    }
    if wanted(What::Slots) {
        slots::slots(dir.path(), rounds, objects);
    }
    if wanted(What::Reads) {
        slots::reads(dir.path(), rounds, objects);
    }
    if wanted(What::Startup) {
        sweep::startup(dir.path(), pieces);
    }
}
