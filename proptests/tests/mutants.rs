//! The simulation has teeth: each bug that the data plane can be built with is found within a bounded number of seeds,
//! and without one nothing is.
//!
//! `cargo test -p holdfast-proptests --features mutants --test mutants`: only the data plane and this crate are built again.
#![cfg(feature = "mutants")]
#![allow(clippy::print_stdout)]

#[path = "mutants/hunt.rs"]
mod hunt;
#[path = "mutants/protocol.rs"]
mod protocol;

use std::time::{Duration, Instant};

use holdfast_common::mutant;
use holdfast_proptests::sim::disk::Outage;
use holdfast_proptests::sim::explore::{Bound, log_if_asked, machine};
use holdfast_proptests::sim::named;
use holdfast_proptests::sim::program::{Taste, generate};
use holdfast_proptests::sim::run::{Failure, Setting, run};

use hunt::hunt_all;

/// Seeds until a bug counts as missed; the latest that one needed so far was 32.
const SEEDS_MAX: u64 = 400;

/// Bugs that no run has caught for certain yet, each with what hides it: hunted by hand, not in every test run.
const ELUSIVE: [(&str, &str); 6] = [
    (
        "retry-failed-flush",
        "takes a flush that fails and a power loss before the scrub has repaired the fragment, twice",
    ),
    ("flush-covers-unzeroed", "takes a power loss between one flush and the next on three drives at once"),
    (
        "header-not-flushed",
        "caught once in 66 seeds; two more drives must lose their header in the same power loss",
    ),
    (
        "generation-not-bumped",
        "an old life's records are those of deleted fragments, and deletes win over them",
    ),
    (
        "recycle-before-checkpoint",
        "takes an index that comes back older than the recycling, on three drives at once",
    ),
    ("delete-overtakes-append", "the sweep waits for its appends by itself, and what is left over is reaped"),
];

/// Every kind of trouble in turn, so that one hunt fits all bugs.
fn attempt(seed: u64) -> Result<(), Failure> {
    // Every other one is a program that goes for what chance takes long to find.
    let points = u32::try_from(seed * 31 % 700).expect("small");
    let outage = if seed.is_multiple_of(4) { Outage::Process } else { Outage::Power };
    let named = match seed % 10 {
        1 => Some(named::five_hour_upload()),
        3 => Some(named::slow_reader()),
        5 | 9 => Some(named::compaction(points, outage)),
        7 => Some(named::repair_on_a_liar()),
        _ => None,
    };
    let taste = Taste {
        steps: 50,
        large: seed.is_multiple_of(8),
        crashes: seed % 10 != 4,
        faults: seed.is_multiple_of(4),
    };
    let setting = Setting {
        seed,
        machine: machine(seed),
        bad_disk: (seed % 4) as usize,
        reclaim: true,
        ..Setting::default()
    };
    run(&named.unwrap_or_else(|| generate(seed / 2, taste)), setting).map(drop)
}

fn is_elusive(name: &str) -> bool {
    ELUSIVE.iter().any(|(elusive, _)| *elusive == name)
}

fn found(_name: &'static str, seed: u64) -> Option<String> {
    attempt(seed).err().map(|failure| failure.what)
}

#[test]
fn every_mutant_is_caught() {
    let names = mutant::STORAGE.into_iter().filter(|name| !is_elusive(name));
    let missed = hunt_all(names, SEEDS_MAX, found);
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
#[ignore = "these have not been caught for certain; see ELUSIVE"]
fn elusive_mutants_are_caught() {
    let names = mutant::STORAGE.into_iter().filter(|name| is_elusive(name));
    let missed = hunt_all(names, SEEDS_MAX, found);
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
fn without_a_mutant_nothing_is_found() {
    log_if_asked();
    let bound = Bound { seeds: 40, time: Duration::from_secs(30) };
    let bound = Bound::from_environment(bound.seeds, bound.time.as_secs());
    let began = Instant::now();
    let seeds = (Bound::first()..).take(usize::try_from(bound.seeds).unwrap_or(usize::MAX));
    for seed in seeds.take_while(|_| began.elapsed() < bound.time) {
        attempt(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
    }
}
