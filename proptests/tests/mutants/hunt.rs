//! Hunts bugs: chooses one, runs seeds until one of them finds something, and says which got away.

use std::time::Instant;

use holdfast_common::mutant;
use holdfast_proptests::sim::explore::{Bound, log_if_asked};

/// Hunts each, or the one that HOLDFAST_SIM_MUTANT names, with this many seeds; gives the missed. `attempt` runs one seed of
/// a bug, and says what it found.
pub(crate) fn hunt_all(
    names: impl Iterator<Item = &'static str>,
    seeds: u64,
    attempt: impl Fn(&'static str, u64) -> Option<String>,
) -> Vec<&'static str> {
    log_if_asked();
    let only = std::env::var("HOLDFAST_SIM_MUTANT").ok();
    if only.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mut missed = Vec::new();
    for name in names.filter(|name| only.as_deref().is_none_or(|only| only == *name)) {
        let (began, first) = (Instant::now(), Bound::first());
        mutant::choose(Some(name));
        let found = (first..first + seeds).find_map(|seed| attempt(name, seed).map(|what| (seed, what)));
        mutant::choose(None);
        match found {
            Some((seed, what)) => println!("{name}: seed {seed}, {:?}: {what}", began.elapsed()),
            None => {
                println!("{name}: MISSED in {:?}", began.elapsed());
                missed.push(name);
            }
        }
    }
    if only.is_none() {
        // Who asserts that nothing was missed is heard again.
        drop(std::panic::take_hook());
    }
    missed
}
