//! Commit sequences: assigned in memory by the leader, in ranges, one per batch.

use std::collections::BTreeSet;
use std::ops::Range;

/// A sequence is `epoch << 40 | n`: a later epoch is always later, and an epoch holds 10^12 commits.
pub const EPOCH_SHIFT: u32 = 40;

/// Epochs lie below this: sequences stay positive 64-bit integers, as PostgreSQL has them.
pub const EPOCHS: u64 = (1 << 23) - 1;

/// The least epoch that begins at a moment, seconds since 1970: one more every ten minutes. Whatever a database has forgotten, it
/// does not use the number of an epoch again that began more than ten minutes before.
#[must_use]
pub fn epoch_of(unix_seconds: u64) -> u64 {
    unix_seconds.saturating_sub(FIRST_SECOND) / 600
}

/// The first of 2026.
const FIRST_SECOND: u64 = 1_767_225_600;

/// Who has which numbers, and how far all are settled.
#[derive(Debug, Default)]
pub struct Sequence {
    assigned: u64,
    open: BTreeSet<u64>,
}

impl Sequence {
    /// Begins an epoch; everything before it is settled.
    #[must_use]
    pub fn of_epoch(epoch: u64) -> Self {
        Self { assigned: epoch << EPOCH_SHIFT, open: BTreeSet::new() }
    }

    /// Numbers for a batch. They stay open until [`Self::settle`].
    pub fn assign(&mut self, count: usize) -> Range<u64> {
        assert!(count > 0, "a batch has items");
        let first = self.assigned + 1;
        self.assigned += count as u64;
        assert!(
            self.assigned >> EPOCH_SHIFT == first >> EPOCH_SHIFT,
            "an epoch ran out of sequences at {first}"
        );
        self.open.insert(first);
        first..self.assigned + 1
    }

    /// Every number of the batch is now committed or will never be. A range of an earlier epoch is ignored.
    pub fn settle(&mut self, range: &Range<u64>) {
        self.open.remove(&range.start);
    }

    /// The highest number with all below it settled.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        if crate::mutant!("watermark-counts-open-batches") {
            return self.assigned;
        }
        self.open.first().map_or(self.assigned, |first| first - 1)
    }

    /// The highest number given out.
    #[must_use]
    pub fn assigned(&self) -> u64 {
        self.assigned
    }
}

#[cfg(test)]
mod tests {
    use super::{EPOCH_SHIFT, Sequence};

    #[test]
    fn watermark_waits_for_the_oldest_batch() {
        let mut sequence = Sequence::of_epoch(3);
        let base = 3 << EPOCH_SHIFT;
        let a = sequence.assign(2);
        let b = sequence.assign(3);
        assert_eq!((a.clone(), b.clone()), (base + 1..base + 3, base + 3..base + 6));
        assert_eq!(sequence.watermark(), base);
        sequence.settle(&b);
        assert_eq!(sequence.watermark(), base);
        sequence.settle(&a);
        assert_eq!(sequence.watermark(), base + 5);
        sequence.settle(&(7..9));
        assert_eq!(sequence.watermark(), sequence.assigned());
    }
}
