//! Many seeds, crashes at every I/O point, and failures made small enough to read.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::disk::Outage;
use super::node::Machine;
use super::program::{Step, Taste, generate};
use super::run::{Failure, Report, Setting, run};
use crate::cluster::process::here;

/// How much a test explores.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub seeds: u64,
    pub time: Duration,
}

impl Bound {
    /// `seeds` unless HOLDFAST_SIM_SEEDS says otherwise, within `seconds` unless HOLDFAST_SIM_SECONDS does.
    #[must_use]
    pub fn from_environment(seeds: u64, seconds: u64) -> Self {
        let asked = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
        let (more_seeds, more_seconds) = (asked("HOLDFAST_SIM_SEEDS"), asked("HOLDFAST_SIM_SECONDS"));
        // Who asks for one alone means it.
        let seeds = more_seeds.unwrap_or(if more_seconds.is_some() { u64::MAX } else { seeds });
        let seconds = more_seconds.unwrap_or(if more_seeds.is_some() { 24 * 3600 } else { seconds });
        Self { seeds, time: Duration::from_secs(seconds) }
    }

    /// The first seed: HOLDFAST_SIM_SEED, to see one failure again.
    #[must_use]
    pub fn first() -> u64 {
        std::env::var("HOLDFAST_SIM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// What was explored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    pub seeds: u64,
    pub runs: u64,
    pub crashes: u64,
    pub points: u64,
    pub answered: u64,
    pub refused: u64,
    pub deleted: u64,
    pub abandoned: u64,
    pub repaired: u64,
}

impl Explored {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.crashes += report.crashes;
        self.points += report.points;
        self.answered += report.answered;
        self.refused += report.refused;
        self.deleted += report.tally.deleted;
        self.abandoned += report.tally.abandoned;
        self.repaired += report.tally.repaired.len() as u64;
    }
}

/// A failure that was made small: what to do, and what then happens.
#[derive(Clone, Debug)]
pub struct Found {
    pub setting: Setting,
    pub program: Vec<Step>,
    pub failure: Failure,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut steps = String::new();
        for step in &self.program {
            write!(steps, "\n    Step::{step:?},")?;
        }
        write!(
            f,
            "{}\n  at step {}\n  {:?}\n  program:{steps}",
            self.failure.what, self.failure.step, self.setting
        )
    }
}

/// HOLDFAST_SIM_LOG=debug (or any filter of `tracing`) shows what a run does, on standard error.
pub fn log_if_asked() {
    if let Ok(filter) = std::env::var("HOLDFAST_SIM_LOG") {
        let log =
            tracing_subscriber::fmt().with_env_filter(filter).with_timer(Here).with_writer(std::io::stderr);
        // Another test may have been first.
        let _ = log.try_init();
    }
}

/// In the simulated cluster, what a line's time is: the world's, and whose line it is.
struct Here;

impl FormatTime for Here {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        here().map_or(Ok(()), |(now_ms, place)| write!(out, "{now_ms:>6} ms, {place:>3}:"))
    }
}

/// Machines differ from seed to seed: one device that flushes for all, one each, and file systems that flush file by file.
#[must_use]
pub fn machine(seed: u64) -> Machine {
    let (shared_device, covers) = [(true, true), (false, true), (true, false)][(seed % 3) as usize];
    Machine { shared_device, covers, ..Machine::default() }
}

/// Runs a program for each seed.
///
/// # Errors
/// The first failure, shrunk.
pub fn sequences(
    bound: Bound,
    taste: Taste,
    setting: impl Fn(u64) -> Setting,
) -> Result<Explored, Box<Found>> {
    let (began, mut explored) = (Instant::now(), Explored::default());
    let first = Bound::first();
    for seed in first..first.saturating_add(bound.seeds) {
        if began.elapsed() > bound.time {
            break;
        }
        let (program, setting) = (generate(seed, taste), setting(seed));
        let report = run(&program, setting).map_err(|failure| Box::new(shrink(program, setting, failure)))?;
        explored.seeds += 1;
        explored.add(&report);
    }
    Ok(explored)
}

/// Runs a program for each seed once, and then again with a crash at each of its I/O points.
///
/// # Errors
/// The first failure, shrunk.
pub fn every_crash(
    bound: Bound,
    taste: Taste,
    setting: impl Fn(u64) -> Setting,
) -> Result<Explored, Box<Found>> {
    let (began, mut explored) = (Instant::now(), Explored::default());
    let first = Bound::first();
    for seed in first..first.saturating_add(bound.seeds) {
        let (program, setting) = (generate(seed, taste), setting(seed));
        let small = |setting: Setting| {
            let program = program.clone();
            move |failure| Box::new(shrink(program, setting, failure))
        };
        let points = run(&program, setting).map_err(small(setting))?.points;
        for point in 0..points {
            if began.elapsed() > bound.time {
                return Ok(explored);
            }
            let outage = if (point + seed).is_multiple_of(4) { Outage::Process } else { Outage::Power };
            let setting = Setting { crash: Some((point, outage)), ..setting };
            let report = run(&program, setting).map_err(small(setting))?;
            explored.add(&report);
        }
        explored.seeds += 1;
    }
    Ok(explored)
}

/// Tries to make a failing program shorter, within a bound: it must still fail, not in the same words.
fn shrink(program: Vec<Step>, setting: Setting, failure: Failure) -> Found {
    const TRIES_MAX: usize = 400;
    let until = Instant::now() + Duration::from_secs(60);
    let mut best = Found { setting, program, failure };
    best.program.truncate(best.failure.step + 1);
    let mut tries = 0;
    let mut chunk = best.program.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < best.program.len() && tries < TRIES_MAX && Instant::now() < until {
            let mut shorter = best.program.clone();
            shorter.drain(at..(at + chunk).min(shorter.len()));
            tries += 1;
            match fails(&shorter, &best) {
                Some(failure) => (best.program, best.failure) = (shorter, failure),
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    best
}

/// Whether a program still fails; where a crash stands among its I/O points may shift, so some others are tried.
fn fails(program: &[Step], like: &Found) -> Option<Failure> {
    let Some((point, outage)) = like.setting.crash else { return run(program, like.setting).err() };
    let at = |point| Setting { crash: Some((point, outage)), ..like.setting };
    run(program, at(point)).err()
}
