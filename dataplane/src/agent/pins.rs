//! Which blobs are being read, so that none is deleted under its reader.
//!
//! A deletion comes minutes after the last reference is gone, so a pin taken when the record was looked up is in time. The
//! table is in shards because every GET of every core takes and leaves a pin.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_common::id::OpId;
use holdfast_protocol::placement::spread_hash;
use parking_lot::Mutex;

const SHARDS: usize = 64;

/// Blobs and how many read each.
#[derive(Debug)]
pub struct Pins([Mutex<HashMap<OpId, u32>>; SHARDS]);

impl Default for Pins {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Pins {
    fn shard(&self, blob: OpId) -> &Mutex<HashMap<OpId, u32>> {
        &self.0[spread_hash(blob) as usize % SHARDS]
    }

    #[must_use]
    pub fn is_pinned(&self, blob: OpId) -> bool {
        self.shard(blob).lock().contains_key(&blob)
    }
}

/// The pins of one reader, left when it is dropped.
#[derive(Debug)]
pub struct PinSet {
    pins: Arc<Pins>,
    blobs: Vec<OpId>,
}

impl PinSet {
    #[must_use]
    pub fn new(pins: &Arc<Pins>) -> Self {
        Self { pins: Arc::clone(pins), blobs: Vec::new() }
    }

    /// Pins one more; an id that is none has no blob to lose.
    pub fn add(&mut self, op_id: &[u8]) {
        if let Some(blob) = OpId::from_wire(op_id) {
            *self.pins.shard(blob).lock().entry(blob).or_default() += 1;
            self.blobs.push(blob);
        }
    }
}

impl Drop for PinSet {
    fn drop(&mut self) {
        for blob in &self.blobs {
            let mut shard = self.pins.shard(*blob).lock();
            let readers = shard.get_mut(blob).expect("pinned as long as somebody reads");
            *readers -= 1;
            if *readers == 0 {
                shard.remove(blob);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_pinned_until_its_last_reader_has_gone() {
        let (pins, blob) = (Arc::new(Pins::default()), OpId::new(1, [1; 10]));
        let (mut one, mut other) = (PinSet::new(&pins), PinSet::new(&pins));
        one.add(&blob.0);
        other.add(&blob.0);
        other.add(b"no op id");
        drop(one);
        assert!(pins.is_pinned(blob));
        drop(other);
        assert!(!pins.is_pinned(blob));
    }
}
