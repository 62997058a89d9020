//! What makes a cached record showable (DESIGN 3.2), and nothing else: slots, record lease and floor. The link thread raises,
//! cores ask.

use crate::sync::{AtomicU64, Ordering};

pub(crate) struct Freshness {
    /// `slots[hash(bucket, key)]` is the highest invalidated sequence of any key that hashes there.
    slots: Box<[AtomicU64]>,
    /// CLOCK_BOOTTIME milliseconds until which cached answers may be served; 0: no lease.
    lease_until_ms: AtomicU64,
    /// The same of the last lease that was given up, no later than then; 0: none was.
    given_up_ms: AtomicU64,
    /// Records older than this are unusable, whatever their slot says (a cache that could not be brought forward).
    floor: AtomicU64,
}

impl Freshness {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            lease_until_ms: AtomicU64::new(0),
            given_up_ms: AtomicU64::new(0),
            floor: AtomicU64::new(0),
        }
    }

    /// The slot of a key's hash.
    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.slots[usize::try_from(hash % self.slots.len() as u64).expect("slots fit memory")]
    }

    /// May what was read at `as_of` be shown now? Call it *after* it was fetched from wherever it was cached, with a clock
    /// that was read within the request.
    ///
    /// `unchanged_to`: a store that carries out every invalidation knows more than a slot, which other keys raise too: all
    /// invalidations up to there were carried out before the entry was fetched, and it was still there. 0: not known.
    ///
    /// The lease is asked first: a new one is given after floor and slots were raised, so who sees it sees those. The other
    /// way round a record could pass the old floor, and then the new lease.
    pub(crate) fn usable(&self, hash: u64, as_of: u64, unchanged_to: u64, boottime_ms: u64) -> bool {
        self.lease_live(boottime_ms) && self.was_usable(hash, as_of, unchanged_to)
    }

    /// Was what was read at `as_of` true until [`Self::told_until_ms`], as far as this node will ever know? Arguments and the
    /// time to call it as of [`Self::usable`]; that the lease has run out since is the caller's business.
    pub(crate) fn was_usable(&self, hash: u64, as_of: u64, unchanged_to: u64) -> bool {
        as_of >= self.floor.load(Ordering::Acquire) && self.not_overtaken(hash, as_of.max(unchanged_to))
    }

    /// No change after `as_of` is known of this key.
    pub(crate) fn not_overtaken(&self, hash: u64, as_of: u64) -> bool {
        as_of >= self.slot(hash).load(Ordering::SeqCst) || crate::mutant!("slot-check-dropped")
    }

    /// Nothing cached before `seq` of this key may be shown from now on.
    pub(crate) fn raise(&self, hash: u64, seq: u64) {
        self.slot(hash).fetch_max(seq, Ordering::SeqCst);
    }

    pub(crate) fn lease_live(&self, boottime_ms: u64) -> bool {
        boottime_ms < self.lease_until_ms.load(Ordering::Acquire)
    }

    pub(crate) fn lease_extend(&self, until_ms: u64) {
        self.lease_until_ms.fetch_max(until_ms, Ordering::AcqRel);
    }

    /// Ends the lease now; returns what it was, for who may take it back.
    pub(crate) fn lease_drop(&self, boottime_ms: u64) -> u64 {
        let until_ms = self.lease_until_ms.swap(0, Ordering::AcqRel);
        self.given_up_ms.fetch_max(until_ms.min(boottime_ms), Ordering::AcqRel);
        until_ms
    }

    /// Until when no commit was shown to anybody of which this node was not told; 0: it never had a lease.
    pub(crate) fn told_until_ms(&self, boottime_ms: u64) -> u64 {
        let lease = self.lease_until_ms.load(Ordering::Acquire).min(boottime_ms);
        lease.max(self.given_up_ms.load(Ordering::Acquire))
    }

    pub(crate) fn floor_raise(&self, watermark: u64) {
        self.floor.fetch_max(watermark, Ordering::AcqRel);
    }
}
