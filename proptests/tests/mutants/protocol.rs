//! Bugs of sessions, leases, caches, leaders and commits: each makes some history of the simulated cluster impossible.

use holdfast_common::mutant;
use holdfast_proptests::cluster::run::{Plot, Setting, run};

use super::hunt::hunt_all;

/// Seeds until a bug counts as missed; one seed is one history, and the latest that one needs is 11.
const SEEDS_MAX: u64 = 60;

/// The trouble that a bug needs, where chance alone seldom makes it.
const PLOTS: [(&str, Plot); 9] = [
    ("commit-without-fence", Plot::LateBatch),
    ("outcome-unknown-is-refused", Plot::DeafNode),
    ("answer-reads-after-the-term", Plot::OldLeader),
    ("lease-beyond-the-term", Plot::OldLeader),
    ("term-on-a-clock-that-stops", Plot::Asleep),
    ("give-back-before-the-leases-end", Plot::Farewell),
    ("lease-from-the-answer", Plot::LateAnswers),
    ("lease-kept-across-sessions", Plot::LateWelcome),
    ("wait-for-connected-sessions-only", Plot::LostSession),
];

fn found(name: &'static str, seed: u64) -> Option<String> {
    let plot = PLOTS.iter().find(|(bug, _)| *bug == name).map(|(_, plot)| *plot);
    let setting = plot.map_or(Setting::of(seed), |plot| Setting::of(seed).with(plot));
    run(setting).err().map(|failure| failure.what)
}

#[test]
fn every_protocol_mutant_is_caught() {
    let missed = hunt_all(mutant::PROTOCOL.into_iter(), SEEDS_MAX, found);
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}
