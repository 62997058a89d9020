//! Locks, atomics and answers of what threads share, named in one place.
//!
//! `proptests/tests/schedules.rs` compiles the files that use them (flush tickets, the index's overlay, the freshness of cached
//! records) with shuttle's instead, and walks through the schedules of their threads.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::sync::oneshot;
