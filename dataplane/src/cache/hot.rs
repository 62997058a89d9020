//! Records a core met lately, in its own memory: the common GET asks nobody.
//!
//! Legal under the same check as every cached record (`NodeState::usable`), so nothing here needs invalidating.

use std::collections::HashMap;

use bytes::Bytes;

use super::entry::Cached;
use crate::limits;

/// A bounded map with second-chance eviction; one per core, not shared.
pub struct HotRecords {
    entries: HashMap<(u64, Bytes), Slot>,
    /// Keys in the order the clock hand visits them.
    ring: Vec<(u64, Bytes)>,
    hand: usize,
    entries_max: usize,
}

struct Slot {
    cached: Cached,
    met_again: bool,
}

impl Default for HotRecords {
    fn default() -> Self {
        Self::with_capacity(limits::CACHE_HOT_RECORDS_PER_CORE)
    }
}

impl HotRecords {
    #[must_use]
    pub fn with_capacity(entries_max: usize) -> Self {
        assert!(entries_max > 0, "a map of nothing");
        Self { entries: HashMap::new(), ring: Vec::new(), hand: 0, entries_max }
    }

    pub fn find(&mut self, bucket_id: u64, key: &Bytes) -> Option<Cached> {
        let slot = self.entries.get_mut(&(bucket_id, key.clone()))?;
        slot.met_again = true;
        Some(slot.cached.clone())
    }

    /// Keeps what is newer: an answer that was overtaken on its way does not replace the later one.
    pub fn keep(&mut self, bucket_id: u64, key: Bytes, cached: Cached) {
        let name = (bucket_id, key);
        if let Some(slot) = self.entries.get_mut(&name) {
            if slot.cached.as_of <= cached.as_of {
                slot.cached = cached;
            }
            return;
        }
        if self.ring.len() < self.entries_max {
            self.ring.push(name.clone());
        } else {
            let place = self.make_room();
            self.ring[place] = name.clone();
        }
        self.entries.insert(name, Slot { cached, met_again: false });
    }

    /// Evicts one entry and says whose place in the ring is free.
    fn make_room(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.ring.len();
            let name = &self.ring[place];
            match self.entries.get_mut(name) {
                Some(slot) if slot.met_again => slot.met_again = false,
                _ => {
                    self.entries.remove(&self.ring[place].clone());
                    return place;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Known;
    use super::*;

    fn cached(as_of: u64) -> Cached {
        Cached { as_of, known: Known::Absent }
    }

    #[test]
    fn stays_within_its_bound_and_keeps_what_is_met_again() {
        let mut hot = HotRecords::with_capacity(4);
        for i in 0..4u8 {
            hot.keep(1, Bytes::copy_from_slice(&[i]), cached(1));
        }
        assert!(hot.find(1, &Bytes::from_static(&[0])).is_some());
        for i in 4..7u8 {
            hot.keep(1, Bytes::copy_from_slice(&[i]), cached(1));
        }
        assert!(hot.find(1, &Bytes::from_static(&[0])).is_some(), "met again, so it stays");
        assert!(hot.find(1, &Bytes::from_static(&[1])).is_none());
        assert_eq!(hot.entries.len(), 4);
    }

    #[test]
    fn an_overtaken_answer_does_not_replace_a_later_one() {
        let mut hot = HotRecords::with_capacity(4);
        let key = Bytes::from_static(b"k");
        hot.keep(1, key.clone(), cached(9));
        hot.keep(1, key.clone(), cached(5));
        assert_eq!(hot.find(1, &key).map(|c| c.as_of), Some(9));
    }
}
