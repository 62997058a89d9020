//! How fast each drive is beside its siblings: one that is far slower for a while is left alone before it hurts.
//!
//! A write waits for its slowest drive, so one sick disk makes every upload slow. No figure is slow by itself (a hard
//! disk's flush is not a flash disk's), so a drive is held against the median of the others, and below a floor nobody
//! minds. A slow drive takes no new fragments, is read as ever, and is tried every now and then; well for long enough, it
//! is back, and each relapse makes that longer. All is decided from times that are handed in: no clock is read here.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::{
    DRIVE_TICK, SLOW_AFTER, SLOW_FACTOR, SLOW_FLOOR, SLOW_RELAPSES_MAX, SLOW_SAMPLE_MAX, SLOW_SIBLINGS_FRESH,
    SLOW_SIBLINGS_MIN, SLOW_WELL_AFTER,
};

/// Paces of all drives of the process, by slot.
#[derive(Debug)]
pub(super) struct Paces(Vec<Mutex<Pace>>);

#[derive(Debug, Default)]
struct Pace {
    write: Average,
    flush: Average,
    sampled: Option<Instant>,
    judged: Option<Instant>,
    /// Slow, or in a slow drive well, without a break since.
    since: Option<Instant>,
    relapses: u32,
}

/// An average in which the last sixteen samples weigh most.
#[derive(Clone, Copy, Debug, Default)]
struct Average(Option<Duration>);

impl Average {
    fn add(&mut self, sample: Duration) {
        let sample = sample.min(SLOW_SAMPLE_MAX);
        self.0 = Some(self.0.map_or(sample, |before| (before * 15 + sample) / 16));
    }

    fn value(self) -> Duration {
        self.0.unwrap_or_default()
    }
}

impl Pace {
    fn value(&self) -> Duration {
        self.write.value() + self.flush.value()
    }

    /// Whether `seen` has been so without a break for `long` now.
    fn lasts(&mut self, seen: bool, now: Instant, long: Duration) -> bool {
        if !seen {
            self.since = None;
            return false;
        }
        let lasts = now.duration_since(*self.since.get_or_insert(now)) >= long;
        if lasts {
            self.since = None;
        }
        lasts
    }
}

impl Paces {
    pub(super) fn new(drives: usize) -> Self {
        Self((0..drives).map(|_| Mutex::default()).collect())
    }

    pub(super) fn wrote(&self, slot: usize, took: Duration, now: Instant) {
        let mut pace = self.0[slot].lock();
        pace.write.add(took);
        pace.sampled = Some(now);
    }

    pub(super) fn flushed(&self, slot: usize, took: Duration, now: Instant) {
        let mut pace = self.0[slot].lock();
        pace.flush.add(took);
        pace.sampled = Some(now);
    }

    /// Looks at a drive that takes fragments, about every [`DRIVE_TICK`]; something of it has been under way for
    /// `under_way`. A sentence when it has been slow for too long.
    pub(super) fn is_slow(&self, slot: usize, under_way: Duration, now: Instant) -> Option<String> {
        let siblings = self.siblings(slot, now)?;
        let mut pace = self.0[slot].lock();
        if pace.judged.is_none_or(|judged| now.duration_since(judged) > 3 * DRIVE_TICK) {
            // Nothing was under way in between.
            pace.since = None;
        }
        pace.judged = Some(now);
        let value = pace.value().max(under_way);
        if !pace.lasts(value > limit(siblings), now, SLOW_AFTER) {
            return None;
        }
        pace.relapses = (pace.relapses + 1).min(SLOW_RELAPSES_MAX);
        Some(format!(
            "slow: a write and its flush take {} ms, those of its siblings {} ms; tried again until it is well",
            value.as_millis(),
            siblings.as_millis()
        ))
    }

    /// A slow drive was tried. Says whether it has been well for long enough.
    pub(super) fn is_well(&self, slot: usize, took: Duration, now: Instant) -> bool {
        let siblings = self.siblings(slot, now).unwrap_or_default();
        let mut pace = self.0[slot].lock();
        let long = SLOW_WELL_AFTER * (1 << pace.relapses.saturating_sub(1));
        let well = pace.lasts(took <= limit(siblings) / 2, now, long);
        if well {
            // What it was says nothing of what it is.
            let relapses = pace.relapses;
            *pace = Pace { relapses, ..Pace::default() };
        }
        well
    }

    /// The median of the others, the upper one of two; `None` when too few were at work lately.
    fn siblings(&self, slot: usize, now: Instant) -> Option<Duration> {
        let others =
            self.0.iter().enumerate().filter(|(other, _)| *other != slot).map(|(_, pace)| pace.lock());
        let fresh = others.filter(|pace| {
            pace.sampled.is_some_and(|sampled| now.saturating_duration_since(sampled) <= SLOW_SIBLINGS_FRESH)
        });
        let mut values: Vec<Duration> = fresh.map(|pace| pace.value()).collect();
        values.sort_unstable();
        (values.len() >= SLOW_SIBLINGS_MIN).then(|| values[values.len() / 2])
    }
}

fn limit(siblings: Duration) -> Duration {
    (siblings * SLOW_FACTOR).max(SLOW_FLOOR)
}

#[cfg(test)]
mod tests;
