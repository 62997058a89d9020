//! What background work has done, for the operator: counters for metrics, and each drive's part in reports.

use std::collections::HashMap;

use holdfast_common::id::BackendId;
use holdfast_common::wire;
use parking_lot::Mutex;

use crate::drives::stats::Count;

/// Shared by the agent, the link thread and the scrape.
#[derive(Debug, Default)]
pub struct Progress {
    /// Blobs deleted because nobody references them.
    pub deleted: Count,
    /// Deletions put off: pinned, or a drive is away.
    pub deletes_later: Count,
    /// Blobs deleted because they came to nothing.
    pub reaped: Count,
    /// Op ids of which the authority could not tell; nothing was done.
    pub kept: Count,
    /// Fragments brought back and read back.
    pub repaired: Count,
    pub repaired_bytes: Count,
    /// Repairs that did not bring everything back.
    pub repairs_later: Count,
    /// Blobs of which too little is left.
    pub lost: Count,
    /// Fragments moved off draining or crowded drives.
    pub moved: Count,
    pub moved_bytes: Count,
    /// Fragments found missing or rotten.
    pub deficits: Count,
    pub scrubbed_bytes: Count,
    drives: Mutex<HashMap<BackendId, DriveProgress>>,
}

/// One drive's part.
#[derive(Clone, Debug, Default)]
struct DriveProgress {
    work: wire::DriveWork,
    /// Since it is draining, what it holds was counted.
    drain_counted: bool,
}

impl Progress {
    /// What this agent knows of a drive's work: scrub and drain. A draining drive is not said to be empty before it was
    /// counted.
    #[must_use]
    pub fn drive(&self, backend: BackendId, draining: bool) -> wire::DriveWork {
        let DriveProgress { mut work, drain_counted } =
            self.drives.lock().get(&backend).cloned().unwrap_or_default();
        if draining && !drain_counted {
            work.drain_left_pieces = work.drain_left_pieces.max(1);
        }
        work
    }

    pub(super) fn edit(&self, backend: BackendId, edit: impl FnOnce(&mut wire::DriveWork)) {
        edit(&mut self.drives.lock().entry(backend).or_default().work);
    }

    pub(super) fn drain_counted(&self, backend: BackendId) {
        self.drives.lock().entry(backend).or_default().drain_counted = true;
    }

    /// It is not draining: what was said of an earlier drain no longer holds.
    pub(super) fn drain_over(&self, backend: BackendId) {
        let mut drives = self.drives.lock();
        let drive = drives.entry(backend).or_default();
        let (left, stuck) = (&mut drive.work.drain_left_pieces, &mut drive.work.drain_stuck_pieces);
        (*left, *stuck, drive.work.drain_left_bytes, drive.work.bytes_per_second) = (0, 0, 0, 0);
        (drive.work.drain_wants, drive.work.drain_wanted, drive.work.drain_there) = (0, 0, 0);
        drive.drain_counted = false;
    }
}
