//! What all workers of a run look at: the options, the contents, the names, and the phase that is going on.

use super::choice::Choice;
use super::content::Contents;
use super::options::{Op, RunOptions};
use super::sizes::Sizes;
use super::stream;
use super::target::Target;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) options: RunOptions,
    pub(super) contents: Contents,
    /// Of one part; empty unless parts are sent.
    pub(super) part_contents: Contents,
    pub(super) choice: Choice,
    loaded_prefix: String,
    /// Tells the new names of this run from those of others.
    run: u64,
    /// Numbers given to new names so far.
    pub(super) named: AtomicU64,
}

impl Shared {
    pub(super) fn new(target: Target, options: RunOptions) -> Self {
        let chunked = stream::is_chunked(options.payload);
        let part = if options.op == Op::Multipart { options.part_size } else { 0 };
        let none = || Contents::new(&Sizes::Fixed(0), false);
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self {
            // what a multipart upload holds is made of parts
            contents: if part > 0 { none() } else { Contents::new(&options.size, chunked) },
            part_contents: Contents::new(&Sizes::Fixed(part), chunked),
            choice: Choice::new(options.access, options.keys),
            // names need no percent-encoding
            loaded_prefix: format!(
                "{}/{}/",
                options.prefix,
                options.size.to_string().replace([':', ','], "_")
            ),
            target,
            options,
            run,
            named: AtomicU64::new(0),
        }
    }

    /// Name of a key that is put before the run.
    pub(super) fn loaded_name(&self, number: u64) -> String {
        format!("{}{number:010}", self.loaded_prefix)
    }

    pub(super) fn loaded_prefix(&self) -> &str {
        &self.loaded_prefix
    }

    /// Name of a key that the run itself puts.
    pub(super) fn new_name(&self, number: u64) -> String {
        format!("{}/run-{}/{number:010}", self.options.prefix, self.run)
    }
}

/// What the workers do until it is over.
pub(super) struct Phase {
    pub(super) work: Work,
    /// Operations count when they end in `from..until`.
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) schedule: Option<Schedule>,
    /// Numbers of loaded keys handed out, where each is used once.
    taken: AtomicU64,
    /// Operations that ended well, for the progress line.
    done: AtomicU64,
    working: AtomicUsize,
    /// When the first worker found no key left to take.
    used_up: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Put each loaded key once.
    Load,
    /// What `--op` says, until the time is over or the keys are.
    Measure,
}

impl Phase {
    pub(super) fn new(work: Work, options: &RunOptions, workers: usize) -> Self {
        let start = Instant::now();
        // Deletes use keys up: a warm-up would take those of the window.
        let warmup = if options.op == Op::Delete { Duration::ZERO } else { options.warmup };
        let (from, until) = match work {
            Work::Load => (start, start + Duration::from_secs(365 * 24 * 3600)),
            Work::Measure => (start + warmup, start + warmup + options.duration),
        };
        let schedule = options.rate.filter(|_| work == Work::Measure);
        Self {
            work,
            from,
            until,
            schedule: schedule.map(|rate| Schedule { rate, start, given: AtomicU64::new(0) }),
            taken: AtomicU64::new(0),
            done: AtomicU64::new(0),
            working: AtomicUsize::new(workers),
            used_up: Mutex::new(None),
        }
    }

    /// The next loaded key that nobody took, below `keys`.
    pub(super) fn take(&self, keys: u64) -> Option<u64> {
        let number = Some(self.taken.fetch_add(1, Relaxed)).filter(|number| *number < keys);
        if number.is_none() {
            self.used_up.lock().expect("nobody panics with it").get_or_insert_with(Instant::now);
        }
        number
    }

    pub(super) fn count_done(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// A worker has nothing more to do.
    pub(super) fn leave(&self) {
        self.working.fetch_sub(1, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.working.load(Relaxed) == 0
    }

    /// When the measured time ended: at `until`, or before, when the keys were used up.
    pub(super) fn end(&self) -> Instant {
        self.used_up.lock().expect("nobody panics with it").map_or(self.until, |at| at.min(self.until))
    }
}

/// The open loop's moments: operation `i` is due at `start + i / rate`, whoever is free takes it, and its latency counts
/// from when it was due. A server that stalls makes the operations behind it late, and all of that is seen.
pub(super) struct Schedule {
    rate: f64,
    start: Instant,
    given: AtomicU64,
}

impl Schedule {
    pub(super) fn next(&self) -> Instant {
        let slot = self.given.fetch_add(1, Relaxed);
        self.start + Duration::from_secs_f64(slot as f64 / self.rate)
    }

    /// Operations that were due before `until` and that no connection was free for.
    pub(super) fn never_sent(&self, until: Instant) -> u64 {
        let due = (until - self.start).as_secs_f64() * self.rate;
        (due as u64).saturating_sub(self.given.load(Relaxed))
    }
}
