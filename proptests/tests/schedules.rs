//! What cores, link thread and index thread share, walked through by schedule: shuttle decides at every lock, atomic and
//! answer who goes on. The files under test are the data plane's own, compiled here with shuttle's `sync`.
//!
//! Shuttle and not loom: the sharing is by locks and channels around async code, whose schedules are too many to walk
//! through all; shuttle has an executor for it, and draws schedules (random, and PCT with few preemptions).

// What these files say to each other is not all said here.
#![allow(dead_code, unreachable_pub)]

/// The seeded bugs of the data plane; `HOLDFAST_SCHEDULES_MUTANT` turns one on, and must make a test fail.
macro_rules! mutant {
    ($name:literal) => {
        std::env::var("HOLDFAST_SCHEDULES_MUTANT").is_ok_and(|on| on == $name)
    };
}
pub(crate) use mutant;

#[path = "../../dataplane/src/link/freshness.rs"]
mod freshness;

#[path = "schedules/cached.rs"]
mod cached;
#[path = "schedules/drives.rs"]
mod drives;
#[path = "schedules/index.rs"]
mod index;
#[path = "schedules/rt.rs"]
mod rt;
#[path = "schedules/sync.rs"]
mod sync;

/// Schedules drawn for each property, half of them random and half PCT. `HOLDFAST_SCHEDULES` says another number.
const SCHEDULES: usize = 4_000;

fn explore(property: impl Fn() + Send + Sync + Copy + 'static) {
    let asked = std::env::var("HOLDFAST_SCHEDULES").ok().and_then(|number| number.parse().ok());
    let each = asked.unwrap_or(SCHEDULES) / 2;
    shuttle::check_random(property, each);
    shuttle::check_pct(property, each, 3);
}
