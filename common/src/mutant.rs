//! Bugs on purpose, to see that the simulations have teeth: only with feature `mutants`, and there only the chosen one.
//!
//! `mutant!("name")` is where a bug of that name would live: `false`, for nothing, in a crate without the feature.

/// Bugs of a node's storage, in the order of DESIGN 4.4's promises that each breaks.
pub const STORAGE: [&str; 20] = [
    "skip-flush",
    "retry-failed-flush",
    "acknowledge-before-quorum",
    "flush-covers-unzeroed",
    "new-segment-not-in-directory",
    "header-not-flushed",
    "generation-not-bumped",
    "seal-table-missing-last",
    "skip-block-checksum",
    "wrong-stripe-length",
    "delete-not-logged",
    "delete-overtakes-append",
    "recovery-ignores-deletes",
    "reap-without-asking",
    "reap-open-ops",
    "repair-without-read-back",
    "delete-pinned-blobs",
    "move-before-flush",
    "recycle-before-checkpoint",
    "stale-index-after-move",
];

/// Bugs of the protocol between nodes, authority and database, in the order of DESIGN 3.1 and 3.2.
pub const PROTOCOL: [&str; 20] = [
    "commit-without-fence",
    "watermark-counts-open-batches",
    "retry-without-recorded-outcome",
    "outcome-unknown-is-refused",
    "answer-reads-after-the-term",
    "lease-beyond-the-term",
    "term-on-a-clock-that-stops",
    "give-back-before-the-leases-end",
    "acknowledge-before-the-last-session",
    "release-before-acknowledgements",
    "reveal-pending",
    "wait-for-connected-sessions-only",
    "replay-skipped",
    "interest-not-recorded",
    "slot-check-dropped",
    "negative-entry-without-as-of",
    "lease-from-the-answer",
    "lease-kept-across-sessions",
    "acknowledge-before-applying",
    "joined-lookup-shown",
];

/// Whether the bug of that name is in this build and was chosen.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {{
        #[cfg(feature = "mutants")]
        let chosen = $crate::mutant::is_chosen($name);
        #[cfg(not(feature = "mutants"))]
        let chosen = false;
        chosen
    }};
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Brings a bug to life on this thread, or none.
    pub fn choose(name: Option<&'static str>) {
        let known = |name| super::STORAGE.contains(&name) || super::PROTOCOL.contains(&name);
        assert!(name.is_none_or(known), "no bug is called {name:?}");
        CHOSEN.set(name);
    }

    #[must_use]
    pub fn is_chosen(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_chosen};
