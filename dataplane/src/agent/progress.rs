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
    drives: Mutex<HashMap<BackendId, wire::DriveWork>>,
}

impl Progress {
    /// What this agent knows of a drive's work: scrub and drain.
    #[must_use]
    pub fn drive(&self, backend: BackendId) -> wire::DriveWork {
        self.drives.lock().get(&backend).cloned().unwrap_or_default()
    }

    pub(super) fn edit(&self, backend: BackendId, edit: impl FnOnce(&mut wire::DriveWork)) {
        edit(self.drives.lock().entry(backend).or_default());
    }
}
