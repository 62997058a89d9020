//! The node's metadata cache: records of objects, in RocksDB, so that a GET needs no answer from the authority.
//!
//! Deleting it loses nothing. An entry carries the watermark it was read at (`as_of`); whether it may be shown is decided
//! by [`crate::link::state::NodeState::usable`] alone, so eviction can be lazy: an entry that was overtaken is unusable
//! from the moment its slot was raised and is removed later by the writer thread.
//!
//! What makes it survive a restart: evictions and the applied watermark are one RocksDB batch, and RocksDB keeps a prefix
//! of batches even without its log. So everything invalidated up to the stored watermark is gone from the stored entries,
//! and the authority sends the invalidations after it again.

pub mod entry;
pub mod hot;
mod store;

pub use entry::{Cached, Known};
pub use hot::HotRecords;
pub use store::{CacheReader, CacheWriter, Recovered, Stored, open};
