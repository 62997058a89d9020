//! How fast a drive's background work goes: a budget of bytes read and written, small while others use the drive.

use std::time::{Duration, Instant};

use super::stats::DriveStats;
use crate::limits::{COMPACT_BYTES_PER_SECOND, COMPACT_BYTES_PER_SECOND_BUSY, COMPACT_PAUSE_MAX};

/// A budget that fills up with time, to a tenth of a second's worth at most.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes that may be moved now; below zero: moved ahead of time.
    left: i64,
    filled: Instant,
    /// The drive's operations when that was.
    operations: u64,
    busy: bool,
    urgent: bool,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: 0, filled: now, operations: 0, busy: false, urgent: false }
    }

    /// Whether space is wanted more than quiet.
    pub(super) fn set_urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// So many bytes were read or written.
    pub(super) fn took(&mut self, bytes: u64) {
        self.left -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// How long to wait before the next step; `None`: not at all.
    pub(super) fn wait(&mut self, now: Instant, stats: &DriveStats) -> Option<Duration> {
        let since = now.saturating_duration_since(self.filled);
        if since >= Duration::from_millis(10) || self.left > 0 {
            let operations = stats.writes.value() + stats.pieces_read.value();
            self.busy = operations != self.operations;
            (self.operations, self.filled) = (operations, now);
            let rate = self.rate();
            let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
            self.left = self.left.saturating_add(rate.saturating_mul(micros) / 1_000_000).min(rate / 10);
        }
        if self.left > 0 {
            return None;
        }
        let micros = u64::try_from(-self.left).unwrap_or(0) * 1_000_000 / self.rate().unsigned_abs() + 1000;
        Some(Duration::from_micros(micros).min(COMPACT_PAUSE_MAX))
    }

    fn rate(&self) -> i64 {
        if self.busy && !self.urgent { COMPACT_BYTES_PER_SECOND_BUSY } else { COMPACT_BYTES_PER_SECOND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes moved in ten seconds in steps of a MiB, while `busy` says whether others use the drive.
    fn moved(busy: bool, urgent: bool) -> i64 {
        let (start, stats) = (Instant::now(), DriveStats::default());
        let mut budget = Budget::new(start);
        budget.set_urgent(urgent);
        let (mut now, mut moved) = (start, 0);
        while now < start + Duration::from_secs(10) {
            match budget.wait(now, &stats) {
                Some(wait) => now += wait,
                None => {
                    budget.took(1 << 20);
                    moved += 1 << 20;
                    now += Duration::from_micros(100);
                }
            }
            stats.writes.add(u64::from(busy));
        }
        moved
    }

    #[test]
    fn a_drive_in_use_is_left_alone_unless_space_is_wanted() {
        for (busy, urgent, rate) in [
            (false, false, COMPACT_BYTES_PER_SECOND),
            (true, false, COMPACT_BYTES_PER_SECOND_BUSY),
            (true, true, COMPACT_BYTES_PER_SECOND),
        ] {
            let moved = moved(busy, urgent);
            let (least, most) = (rate * 8, rate * 10 + rate / 10 + (2 << 20));
            assert!((least..=most).contains(&moved), "{busy} {urgent}: {moved} not in {least}..={most}");
        }
    }
}
