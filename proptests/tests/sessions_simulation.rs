//! Sessions, leases, caches, leaders and commits of several nodes and control planes in the simulated world: what clients
//! saw is linearisable per key.
//!
//! Bounded here; HOLDFAST_SIM_SECONDS and HOLDFAST_SIM_SEEDS ask for more, HOLDFAST_SIM_SEED for others:
//! `HOLDFAST_SIM_SECONDS=20000 cargo test --release -p holdfast-proptests --test sessions_simulation whatever -- --nocapture`.
//! A history takes about 0.2 s of one core (15 s of the world's time, 850 operations) where this repository's crates are not
//! optimised: 10^5 are five and a half hours of one core, or less on several, each with seeds of its own.
//! `HOLDFAST_SIM_SEED=17 HOLDFAST_SIM_SEEDS=1 HOLDFAST_SIM_LOG=info` tells what happened in one, by the world's clock.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use holdfast_proptests::cluster::run::{Plot, Setting, run};
use holdfast_proptests::sim::explore::{Bound, log_if_asked};

#[test]
fn one_seed_is_one_history() {
    log_if_asked();
    for seed in 0..20 {
        let setting = Setting::of(seed);
        let setting = Setting { length_ms: setting.length_ms.min(12_000), ..setting };
        let (once, twice) = (run(setting), run(setting));
        assert_eq!(once.expect("holds"), twice.expect("holds"), "seed {seed}");
    }
}

#[test]
fn without_trouble_everything_is_answered() {
    log_if_asked();
    let setting =
        Setting { trouble_ms: 0, length_ms: 9_000, nodes: 3, controls: 2, plot: None, ..Setting::of(1) };
    let (summary, _) = run(setting).expect("holds");
    println!("no trouble: {summary:?}");
    assert!(summary.operations > 80, "{summary:?}");
    assert!(summary.acknowledged * 10 > summary.operations * 7, "{summary:?}");
}

#[test]
fn every_plot_is_survived() {
    log_if_asked();
    let (first, seeds) = (Bound::first(), Bound::from_environment(2, 0).seeds);
    for plot in Plot::ALL {
        for seed in first..first + seeds {
            let setting = Setting::of(seed).with(plot);
            run(setting).unwrap_or_else(|failure| panic!("seed {seed}, {setting:?}: {failure:?}"));
        }
    }
}

#[test]
fn whatever_goes_wrong_what_clients_see_is_linearisable() {
    log_if_asked();
    let bound = Bound::from_environment(100_000, 30);
    let (began, first) = (Instant::now(), Bound::first());
    let (mut histories, mut operations, mut acknowledged, mut unknown) = (0, 0, 0, 0);
    let seeds = (first..).take(usize::try_from(bound.seeds).unwrap_or(usize::MAX));
    for seed in seeds.take_while(|_| began.elapsed() < bound.time) {
        match run(Setting::of(seed)) {
            Ok((summary, _)) => {
                histories += 1;
                operations += summary.operations;
                acknowledged += summary.acknowledged;
                unknown += summary.unknown;
            }
            Err(failure) => panic!("seed {seed}, {:?}: {failure:?}", Setting::of(seed)),
        }
    }
    println!(
        "{histories} histories from seed {first}: {operations} operations, {acknowledged} answered, {unknown} unknown, in {:?}",
        began.elapsed()
    );
    assert!(histories > 0);
}
