//! Bugs of sessions, leases, caches, leaders and commits: each makes some history of the simulated cluster impossible.

use std::time::Instant;

use holdfast_common::mutant;
use holdfast_proptests::cluster::run::{Setting, run};
use holdfast_proptests::sim::explore::{Bound, log_if_asked};

/// Seeds until a bug counts as missed.
const SEEDS_MAX: u64 = 150;

/// Bugs that this many seeds have not caught, each with what hides it.
const ELUSIVE: [(&str, &str); 8] = [
    (
        "commit-without-fence",
        "takes a batch of the old leader that comes a term later, of a node that has not sent it again",
    ),
    (
        "outcome-unknown-is-refused",
        "caught at seed 39 once, and not always: takes a commit that waits for twenty seconds",
    ),
    ("answer-reads-after-the-term", "takes an old leader that reaches the database and still has a node"),
    ("lease-beyond-the-term", "takes a node that hears the old leader's last lease, and not its goodbye"),
    ("give-back-before-the-leases-end", "no control plane is stopped gently here"),
    ("lease-from-the-answer", "takes an answer that is as late as the lease is long, and silence after it"),
    ("lease-kept-across-sessions", "takes a write and a read within the few milliseconds of a welcome"),
    ("wait-for-connected-sessions-only", "caught at seed 12 once, and not always"),
];

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
