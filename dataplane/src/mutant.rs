//! Bugs on purpose, to see that the simulation has teeth: only with feature `mutants`, and there only the chosen one.
//!
//! `crate::mutant!("name")` is where a bug of that name would live: `false`, for nothing, without the feature.

/// Every bug there is, in the order of DESIGN 4.4's promises that each breaks.
pub const ALL: [&str; 20] = [
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

    /// Brings a bug of [`super::ALL`] to life on this thread, or none.
    pub fn choose(name: Option<&'static str>) {
        assert!(name.is_none_or(|name| super::ALL.contains(&name)), "no bug is called {name:?}");
        CHOSEN.set(name);
    }

    #[must_use]
    pub fn is_chosen(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_chosen};
