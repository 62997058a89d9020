//! The real engine and the real operations in the simulated world, against the model.
//!
//! Bounded here; HOLDFAST_SIM_SECONDS and HOLDFAST_SIM_SEEDS ask for more, HOLDFAST_SIM_SEED for one seed again.
#![allow(clippy::print_stdout)]

use holdfast_proptests::sim::disk::Outage;
use holdfast_proptests::sim::explore::{
    Bound, Explored, Found, every_crash, log_if_asked, machine, sequences,
};
use holdfast_proptests::sim::named;
use holdfast_proptests::sim::program::{Step, Taste, generate};
use holdfast_proptests::sim::run::{Setting, run};

fn setting(seed: u64) -> Setting {
    Setting { seed, machine: machine(seed), bad_disk: (seed % 4) as usize, ..Setting::default() }
}

#[track_caller]
fn tell(name: &str, explored: Result<Explored, Box<Found>>) {
    match explored {
        Ok(explored) => println!("{name}: {explored:?}"),
        Err(found) => panic!("{name}: {found}"),
    }
}

#[test]
fn one_seed_is_one_history() {
    log_if_asked();
    let taste = Taste { steps: 40, large: false, crashes: true, faults: true };
    for seed in 0..4 {
        let program = generate(seed, taste);
        let once = run(&program, setting(seed)).map(|report| (report.trace, report.points));
        let twice = run(&program, setting(seed)).map(|report| (report.trace, report.points));
        assert_eq!(once.expect("runs"), twice.expect("runs"), "seed {seed}");
    }
}

#[test]
fn sequences_without_trouble_are_answered_and_right() {
    let taste = Taste { steps: 40, large: true, crashes: false, faults: false };
    tell("no trouble", sequences(Bound::from_environment(6, 20), taste, setting));
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    let taste = Taste { steps: 50, large: true, crashes: true, faults: false };
    tell("crashes", sequences(Bound::from_environment(60, 20), taste, setting));
}

#[test]
fn one_bad_disk_and_crashes_lose_nothing_that_was_acknowledged() {
    let taste = Taste { steps: 50, large: true, crashes: true, faults: true };
    tell("faults", sequences(Bound::from_environment(60, 20), taste, setting));
}

#[test]
fn answers_of_the_authority_that_are_lost_leave_it_one_way_or_the_other() {
    let taste = Taste { steps: 50, large: false, crashes: true, faults: false };
    let setting = |seed| Setting { unreliable: (10, 10), ..setting(seed) };
    tell("lost answers", sequences(Bound::from_environment(40, 10), taste, setting));
}

#[test]
fn a_crash_at_every_io_point_of_a_sequence_loses_nothing_that_was_acknowledged() {
    let taste = Taste { steps: 14, large: false, crashes: false, faults: false };
    tell("every crash", every_crash(Bound::from_environment(2, 30), taste, setting));
}

fn holds(name: &str, program: &[Step]) {
    for seed in 0..2 {
        let setting = Setting { reclaim: true, ..setting(seed) };
        run(program, setting).unwrap_or_else(|failure| panic!("{name}, seed {seed}: {failure:?}"));
    }
}

#[test]
fn a_five_hour_upload_is_nobodys_garbage() {
    holds("five-hour upload", &named::five_hour_upload());
}

#[test]
fn a_slow_reader_keeps_what_is_deleted_meanwhile() {
    holds("slow reader", &named::slow_reader());
}

#[test]
fn a_crash_in_the_middle_of_compaction_loses_nothing() {
    holds("compaction", &named::compaction(150, Outage::Power));
}

#[test]
fn a_drive_that_loses_writes_is_not_called_repaired() {
    holds("repair", &named::repair_on_a_liar());
}

#[test]
fn a_drive_that_is_gone_keeps_nobody_busy() {
    holds("drive gone", &named::idle_with_a_drive_gone());
}
