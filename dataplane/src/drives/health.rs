//! Whether a drive takes new fragments: what went wrong on it so far, and what that makes of it (how fast it is: [`pace`]).
//!
//! [`pace`]: super::pace
//!
//! Reads and writes are counted apart, because a drive that still serves its reads from the page cache may have lost its
//! writes long ago. Failed flushes are never forgotten. A drive that failed stays readable, and comes back by a restart.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::drive::Drive;
use super::{DriveError, DriveState};
use crate::limits::{DRIVE_ERRORS_MAX, KEEPER_RETRY};

/// What a drive's operations came to.
#[derive(Debug)]
pub(super) struct Health {
    state: Mutex<DriveState>,
    /// When the file system last said that it is full.
    full_at: Mutex<Option<Instant>>,
    /// In a row, since the last that succeeded.
    failed_reads: AtomicU32,
    failed_writes: AtomicU32,
}

impl Default for Health {
    fn default() -> Self {
        let (failed_reads, failed_writes) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { state: Mutex::new(DriveState::Active), full_at: Mutex::default(), failed_reads, failed_writes }
    }
}

impl Drive {
    #[must_use]
    pub fn state(&self) -> DriveState {
        self.health.state.lock().clone()
    }

    pub(super) fn failed(&self) -> bool {
        matches!(*self.health.state.lock(), DriveState::Failed(_))
    }

    /// Takes the drive out of the write set, for good: it comes back by a restart.
    pub(super) fn fail(&self, sentence: String) {
        let mut state = self.health.state.lock();
        if !matches!(*state, DriveState::Failed(_)) {
            tracing::error!(drive = %self.id(), path = %self.path().display(), reason = %sentence, "a drive left the write set");
            *state = DriveState::Failed(sentence);
        }
    }

    /// Full or no longer full; a failed drive stays failed.
    pub(super) fn set_full(&self, full: bool) {
        let mut state = self.health.state.lock();
        match (&*state, full) {
            (DriveState::Active, true) => *state = DriveState::Full,
            (DriveState::Full, false) => *state = DriveState::Active,
            _ => return,
        }
        tracing::warn!(drive = %self.id(), path = %self.path().display(), full, "a drive's room changed");
    }

    /// Whether it said so a moment ago; its free bytes may tell another story (a quota, no more inodes).
    pub(super) fn was_full(&self) -> bool {
        self.health.full_at.lock().is_some_and(|at| self.host().now().duration_since(at) < KEEPER_RETRY)
    }

    /// Slow or no longer slow; only a drive that is otherwise well can be.
    pub(super) fn set_slow(&self, slow: Option<String>) {
        let mut state = self.health.state.lock();
        *state = match (&*state, slow) {
            (DriveState::Active, Some(sentence)) => {
                tracing::warn!(drive = %self.id(), path = %self.path().display(), reason = %sentence, "a drive is left alone");
                DriveState::Slow(sentence)
            }
            (DriveState::Slow(_), None) => {
                tracing::warn!(drive = %self.id(), path = %self.path().display(), "a drive that was slow is well again");
                DriveState::Active
            }
            _ => return,
        };
    }

    /// Counts a failed write, or another operation without which nothing can be written; too many in a row and the drive
    /// is out.
    pub(super) fn note_error(&self, error: &DriveError) {
        self.warn(error);
        match error {
            DriveError::Full => {
                *self.health.full_at.lock() = Some(self.host().now());
                self.set_full(true);
            }
            DriveError::ReadOnly => self.fail(
                "its file system has become read-only; `dmesg` says why; restart once it can be written"
                    .into(),
            ),
            DriveError::Failed => {}
            _ => self.count(&self.health.failed_writes, error),
        }
    }

    pub(super) fn note_success(&self) {
        reset(&self.health.failed_writes);
    }

    /// Counts a read, if it got as far as the drive.
    pub(super) fn note_read<T>(&self, read: &Result<T, DriveError>) {
        match read {
            Ok(_) => reset(&self.health.failed_reads),
            Err(error @ DriveError::Io { .. }) => {
                self.warn(error);
                self.count(&self.health.failed_reads, error);
            }
            Err(_) => {}
        }
    }

    /// After a failed flush, which its device has counted once, however many waited for it.
    pub(super) fn note_flush_error(&self, error: &DriveError) {
        self.warn(error);
        let failures = self.device.receipt().failures();
        if failures >= u64::from(DRIVE_ERRORS_MAX) {
            self.fail(format!("{failures} flushes of its device failed, the last: {error}"));
        }
    }

    fn warn(&self, error: &DriveError) {
        self.stats.errors.add(1);
        tracing::warn!(drive = %self.id(), path = %self.path().display(), %error, "a drive's operation failed");
    }

    fn count(&self, failed: &AtomicU32, error: &DriveError) {
        if failed.fetch_add(1, Ordering::AcqRel) + 1 >= DRIVE_ERRORS_MAX {
            self.fail(format!("{DRIVE_ERRORS_MAX} operations in a row failed, the last: {error}"));
        }
    }
}

fn reset(failed: &AtomicU32) {
    if failed.load(Ordering::Relaxed) != 0 {
        failed.store(0, Ordering::Release);
    }
}
