//! Blobs that other nodes read: each is pinned here for a while from its last read, so that no deletion takes it away from
//! its reader.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use holdfast_common::id::OpId;
use uuid::Uuid;

use crate::agent::{PinSet, Pins};
use crate::limits::PEER_PINS_MAX;

/// The pins of other nodes on one core.
pub(super) struct Leases {
    pins: Arc<Pins>,
    held: RefCell<HashMap<(Uuid, OpId), Lease>>,
}

struct Lease {
    until: Instant,
    _pins: PinSet,
}

impl Leases {
    pub(super) fn new(pins: Arc<Pins>) -> Self {
        Self { pins, held: RefCell::default() }
    }

    /// `asker` reads `blob`; at least `until` it stays. False: there are too many such pins.
    pub(super) fn pin(&self, asker: Uuid, blob: OpId, until: Instant) -> bool {
        let mut held = self.held.borrow_mut();
        if let Some(lease) = held.get_mut(&(asker, blob)) {
            lease.until = lease.until.max(until);
            return true;
        }
        if held.len() >= PEER_PINS_MAX {
            return false;
        }
        let mut pins = PinSet::for_another(&self.pins);
        pins.add(&blob.0);
        held.insert((asker, blob), Lease { until, _pins: pins });
        true
    }

    /// `asker` has read it.
    pub(super) fn unpin(&self, asker: Uuid, blob: OpId) {
        self.held.borrow_mut().remove(&(asker, blob));
    }

    /// Forgets those that are over.
    pub(super) fn sweep(&self, now: Instant) {
        self.held.borrow_mut().retain(|_, lease| lease.until > now);
    }

    /// Whether anybody here or elsewhere reads it.
    pub(super) fn is_pinned(&self, blob: OpId) -> bool {
        self.pins.is_pinned(blob)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pin_lasts_until_its_reader_lets_go_or_says_no_more() {
        let pins = Arc::<Pins>::default();
        let leases = Leases::new(Arc::clone(&pins));
        let (now, blob) = (Instant::now(), OpId::new(1, [1; 10]));
        let later = |seconds| now + Duration::from_secs(seconds);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(leases.pin(one, blob, later(10)) && leases.pin(other, blob, later(20)));
        leases.pin(one, blob, later(5));
        leases.sweep(later(9));
        leases.unpin(other, blob);
        assert!(pins.is_pinned(blob), "a renewal never shortens");
        leases.sweep(later(10));
        assert!(!pins.is_pinned(blob));
        for n in 0..PEER_PINS_MAX as u64 {
            assert!(leases.pin(one, OpId::new(n, [2; 10]), later(1)));
        }
        assert!(!leases.pin(one, blob, later(1)), "there is a bound");
    }
}
