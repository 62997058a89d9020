//! One drive as everything in the process shares it: identity, state, space, segments, counters.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use holdfast_common::id::{BackendId, DriveId};
use holdfast_protocol::record::Place;
use parking_lot::Mutex;

use super::flush::Device;
use super::format::DriveRoot;
use super::host::{Host, HostFile, Space};
use super::keeper::Job;
use super::stats::DriveStats;
use super::{DriveError, DriveState, DriveStatus, segment};
use crate::limits::DRIVE_ERRORS_MAX;

/// A drive that is open. What hangs on its directory (lock, keeper) ends with it.
#[derive(Debug)]
pub struct Drive {
    /// Its number in this process, also in the index.
    pub slot: usize,
    pub root: DriveRoot,
    pub device: Arc<Device>,
    pub segment_bytes: u64,
    /// Writes bypass the page cache.
    pub direct: bool,
    pub stats: DriveStats,
    host: Arc<dyn Host>,
    pub(super) keeper: flume::Sender<Job>,
    /// What each segment file is now.
    pub(super) segments: Mutex<HashMap<u32, Segment>>,
    /// 0: not numbered yet; else the backend's id + 1.
    backend: AtomicU64,
    errors_in_a_row: AtomicU32,
    state: Mutex<DriveState>,
    /// Tests cannot fill a disk that others use: it counts as having no free byte.
    #[cfg(test)]
    pretend_full: std::sync::atomic::AtomicBool,
}

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub generation: u32,
    pub phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In the pool.
    Free,
    /// Being appended to.
    Open,
    Sealed,
    /// Its header is unreadable: never touched.
    Unknown,
}

impl Drive {
    pub(super) fn new(
        slot: usize,
        root: DriveRoot,
        device: Arc<Device>,
        setup: Setup,
        host: Arc<dyn Host>,
        keeper: flume::Sender<Job>,
    ) -> Self {
        Self {
            slot,
            root,
            device,
            segment_bytes: setup.segment_bytes,
            direct: setup.direct,
            stats: DriveStats::default(),
            host,
            keeper,
            segments: Mutex::default(),
            backend: AtomicU64::new(0),
            errors_in_a_row: AtomicU32::new(0),
            state: Mutex::new(DriveState::Active),
            #[cfg(test)]
            pretend_full: std::sync::atomic::AtomicBool::new(false),
        }
    }

    #[must_use]
    pub fn id(&self) -> DriveId {
        self.root.drive
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root.path
    }

    pub(super) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// Opens a segment's file, buffered.
    pub(super) fn segment_file(&self, number: u32) -> io::Result<Box<dyn HostFile>> {
        segment::open(self.host(), self.path(), number)
    }

    /// Whether its path still leads to the directory that was opened.
    pub(super) fn still_mounted(&self) -> bool {
        self.root.still_mounted(self.host())
    }

    /// The backend it serves, once the authority has numbered it.
    #[must_use]
    pub fn backend(&self) -> Option<BackendId> {
        let number = self.backend.load(Ordering::Acquire).checked_sub(1)?;
        u32::try_from(number).ok().map(BackendId)
    }

    pub(super) fn bind(&self, backend: BackendId) {
        self.backend.store(u64::from(backend.0) + 1, Ordering::Release);
    }

    pub(super) fn place(&self, segment: u32, generation: u32, offset: u32) -> Place {
        Place { drive: self.id(), segment, generation, offset }
    }

    #[must_use]
    pub fn state(&self) -> DriveState {
        self.state.lock().clone()
    }

    pub(super) fn failed(&self) -> bool {
        matches!(*self.state.lock(), DriveState::Failed(_))
    }

    /// Takes the drive out of the write set, for good: it comes back by a restart.
    pub(super) fn fail(&self, sentence: String) {
        let mut state = self.state.lock();
        if !matches!(*state, DriveState::Failed(_)) {
            tracing::error!(drive = %self.id(), path = %self.path().display(), reason = %sentence, "a drive left the write set");
            *state = DriveState::Failed(sentence);
        }
    }

    /// Full or no longer full; a failed drive stays failed.
    pub(super) fn set_full(&self, full: bool) {
        let mut state = self.state.lock();
        match (&*state, full) {
            (DriveState::Active, true) => *state = DriveState::Full,
            (DriveState::Full, false) => *state = DriveState::Active,
            _ => return,
        }
        tracing::warn!(drive = %self.id(), path = %self.path().display(), full, "a drive's room changed");
    }

    /// Counts a failed operation; too many in a row and the drive is out.
    pub(super) fn note_error(&self, error: &DriveError) {
        self.stats.errors.add(1);
        tracing::warn!(drive = %self.id(), path = %self.path().display(), %error, "a drive's operation failed");
        if *error == DriveError::Full {
            return self.set_full(true);
        }
        if self.errors_in_a_row.fetch_add(1, Ordering::AcqRel) + 1 >= DRIVE_ERRORS_MAX {
            self.fail(format!("{DRIVE_ERRORS_MAX} operations in a row failed, the last: {error}"));
        }
    }

    pub(super) fn note_success(&self) {
        if self.errors_in_a_row.load(Ordering::Relaxed) != 0 {
            self.errors_in_a_row.store(0, Ordering::Release);
        }
    }

    pub(super) fn set_segment(&self, number: u32, generation: u32, phase: Phase) {
        self.segments.lock().insert(number, Segment { generation, phase });
    }

    /// Capacity and free bytes of its file system; zeros when it cannot be asked.
    #[must_use]
    pub fn space(&self) -> Space {
        let found = self.host.space(self.path()).unwrap_or_default();
        #[cfg(test)]
        let found =
            if self.pretend_full.load(Ordering::Relaxed) { Space { free: 0, ..found } } else { found };
        found
    }

    #[cfg(test)]
    pub(super) fn set_full_for_test(&self) {
        self.pretend_full.store(true, Ordering::Relaxed);
        self.set_full(true);
    }

    #[must_use]
    pub fn status(&self) -> DriveStatus {
        let space = self.space();
        DriveStatus {
            drive: self.id(),
            backend: self.backend(),
            label: self.path().display().to_string(),
            capacity_bytes: space.capacity,
            free_bytes: space.free,
            state: self.state(),
        }
    }
}

/// How a drive is used, decided when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub segment_bytes: u64,
    pub direct: bool,
}
