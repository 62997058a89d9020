//! Bugs of sessions, leases, caches, leaders and commits: each makes some history of the simulated cluster impossible.

use std::time::Instant;

use holdfast_common::mutant;
use holdfast_proptests::cluster::run::{Setting, run};
use holdfast_proptests::sim::explore::{Bound, log_if_asked};

/// Seeds until a bug counts as missed.
const SEEDS_MAX: u64 = 150;

/// Bugs that this many seeds have not caught, each with what hides it.
const ELUSIVE: [(&str, &str); 0] = [];

fn hunt(name: &'static str) -> Option<(u64, String)> {
    let first = Bound::first();
    mutant::choose(Some(name));
    let found = (first..first + SEEDS_MAX)
        .find_map(|seed| run(Setting::of(seed)).err().map(|failure| (seed, failure.what)));
    mutant::choose(None);
    found
}

/// Hunts each; gives the missed.
fn hunt_all(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    log_if_asked();
    let only = std::env::var("HOLDFAST_SIM_MUTANT").ok();
    let mut missed = Vec::new();
    for name in names.filter(|name| only.as_deref().is_none_or(|only| only == *name)) {
        let began = Instant::now();
        match hunt(name) {
            Some((seed, what)) => println!("{name}: seed {seed}, {:?}: {what}", began.elapsed()),
            None => {
                println!("{name}: MISSED in {:?}", began.elapsed());
                missed.push(name);
            }
        }
    }
    missed
}

fn is_elusive(name: &str) -> bool {
    ELUSIVE.iter().any(|(elusive, _)| *elusive == name)
}

#[test]
fn every_protocol_mutant_is_caught() {
    let missed = hunt_all(mutant::PROTOCOL.into_iter().filter(|name| !is_elusive(name)));
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
#[ignore = "these have not been caught for certain; see ELUSIVE"]
fn elusive_protocol_mutants_are_caught() {
    let missed = hunt_all(mutant::PROTOCOL.into_iter().filter(|name| is_elusive(name)));
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}
