//! Counters of one drive, read by metrics and by tests that hold the engine to its promises.

use std::sync::atomic::{AtomicU64, Ordering};

/// Plain counts since the process started.
#[derive(Debug, Default)]
pub struct DriveStats {
    pub pieces_appended: Count,
    pub payload_bytes_appended: Count,
    /// Writes to segments; pieces per write is the batch size.
    pub writes: Count,
    pub bytes_written: Count,
    /// Writes to segments that were not zeroed yet, whose flush costs file-system metadata.
    pub writes_unzeroed: Count,
    pub write_micros: Count,
    pub pieces_read: Count,
    pub bytes_read: Count,
    pub read_micros: Count,
    pub rotten: Count,
    pub deletes: Count,
    pub errors: Count,
    pub segments_taken: Count,
    pub segments_recycled: Count,
    /// Segments that compaction emptied, and bytes of copies it wrote for that.
    pub segments_compacted: Count,
    pub bytes_moved: Count,
    /// Deletes that no segment needed any more.
    pub deletes_dropped: Count,
    /// As compaction saw it last: what sealed segments of pieces take, and how much of that is garbage.
    pub sealed_bytes: Gauge,
    pub garbage_bytes: Gauge,
}

/// Counters of one device's flushes.
#[derive(Debug, Default)]
pub struct FlushStats {
    pub flushes: Count,
    /// Callers who shared them.
    pub callers: Count,
    pub micros: Count,
    pub failures: Count,
}

/// A figure that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
