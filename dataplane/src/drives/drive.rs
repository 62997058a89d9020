//! One drive as everything in the process shares it: identity, health, space, segments, counters.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_common::id::{BackendId, DriveId, FragmentId};
use holdfast_protocol::record::{Place, SegmentRole};
use parking_lot::Mutex;

use super::flush::Device;
use super::format::DriveRoot;
use super::health::Health;
use super::host::{Host, HostFile, Space};
use super::keeper::Job;
use super::pace::Paces;
use super::pins::AllPins;
use super::stats::{Count, DriveStats};
use super::{DriveError, DriveStatus, segment};
use crate::index::Life;
use crate::limits::VERIFY_FINDINGS_MAX;

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
    pub(super) pins: AllPins,
    /// Rotten pieces that were found in passing.
    pub(super) findings: Mutex<Vec<(FragmentId, u32, DriveError)>>,
    /// 0: not numbered yet; else the backend's id + 1.
    backend: AtomicU64,
    pub(super) health: Health,
    pub(super) paces: Arc<Paces>,
    /// Of its keeper: one that stands still while somebody waits for it hangs.
    pub(super) turns: Count,
    /// As it was when it was last asked for.
    space: Mutex<Space>,
}

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub generation: u32,
    pub phase: Phase,
    pub role: SegmentRole,
    /// Of its file.
    pub bytes: u64,
}

impl Segment {
    /// Whether it holds records that count.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Sealed)
    }
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
        let space = host.space(&root.path).unwrap_or_default();
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
            pins: AllPins::default(),
            findings: Mutex::default(),
            backend: AtomicU64::new(0),
            health: Health::default(),
            paces: setup.paces,
            turns: Count::default(),
            space: Mutex::new(space),
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

    pub(super) fn set_segment(
        &self,
        number: u32,
        generation: u32,
        phase: Phase,
        role: SegmentRole,
        bytes: u64,
    ) {
        self.segments.lock().insert(number, Segment { generation, phase, role, bytes });
    }

    /// One whose header cannot be read.
    pub(super) fn set_unknown(&self, number: u32) {
        self.set_segment(number, 0, Phase::Unknown, SegmentRole::Pieces, self.segment_bytes);
    }

    /// What a sealed life of pieces takes; `None` when it is not there as one.
    pub(super) fn sealed_bytes(&self, (number, generation): Life) -> Option<u64> {
        let found = self.segments.lock().get(&number).copied()?;
        let ours = found.generation == generation && found.phase == Phase::Sealed;
        (ours && found.role == SegmentRole::Pieces).then_some(found.bytes)
    }

    /// What all segments take that hold something.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let segments = self.segments.lock();
        segments.values().filter(|segment| segment.holds()).map(|segment| segment.bytes).sum()
    }

    /// Whether a read of this life is under way on any core.
    pub(super) fn pinned(&self, life: Life) -> bool {
        self.pins.have(life)
    }

    /// Notes a piece found rotten in passing, for the next verification to tell.
    pub(super) fn found_rotten(&self, fragment: FragmentId, row: u32, error: DriveError) {
        tracing::warn!(drive = %self.id(), ?fragment, row, %error, "a piece is rotten");
        self.stats.rotten.add(1);
        let mut findings = self.findings.lock();
        // More are found again by the verification itself.
        if findings.len() < VERIFY_FINDINGS_MAX {
            findings.push((fragment, row, error));
        }
    }

    /// Whether this life of a segment is there, open or sealed.
    pub(super) fn is_there(&self, (number, generation): (u32, u32)) -> bool {
        let found = self.segments.lock().get(&number).copied();
        found.is_some_and(|found| found.generation == generation && found.holds())
    }

    /// Capacity and free bytes of its file system as they were a moment ago: cores do not ask a disk that may hang.
    #[must_use]
    pub fn space(&self) -> Space {
        *self.space.lock()
    }

    /// The same as they are now. Blocks.
    pub(super) fn ask_space(&self) -> Space {
        if let Ok(found) = self.host.space(self.path()) {
            *self.space.lock() = found;
        }
        self.space()
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
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub segment_bytes: u64,
    pub direct: bool,
    pub paces: Arc<Paces>,
}
