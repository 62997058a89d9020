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
pub struct Pins([Mutex<HashMap<OpId, Readers>>; SHARDS]);

/// How many read a blob: for clients of this node, and for other nodes. Apart, because a node that asks another to keep a blob for
/// its readers must not do so for the sake of that very node, or both would for ever.
#[derive(Clone, Copy, Debug, Default)]
struct Readers {
    here: u32,
    elsewhere: u32,
}

impl Default for Pins {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Pins {
    fn shard(&self, blob: OpId) -> &Mutex<HashMap<OpId, Readers>> {
        &self.0[spread_hash(blob) as usize % SHARDS]
    }

    /// Somebody reads it, here or on another node.
    #[must_use]
    pub fn is_pinned(&self, blob: OpId) -> bool {
        self.shard(blob).lock().contains_key(&blob)
    }

    /// A client of this node reads it.
    #[must_use]
    pub fn is_read_here(&self, blob: OpId) -> bool {
        self.shard(blob).lock().get(&blob).is_some_and(|readers| readers.here > 0)
    }
}

/// The pins of one reader, left when it is dropped.
#[derive(Debug)]
pub struct PinSet {
    pins: Arc<Pins>,
    blobs: Vec<OpId>,
    elsewhere: bool,
}

impl Readers {
    fn of(&mut self, elsewhere: bool) -> &mut u32 {
        if elsewhere { &mut self.elsewhere } else { &mut self.here }
    }
}

impl PinSet {
    #[must_use]
    pub fn new(pins: &Arc<Pins>) -> Self {
        Self { pins: Arc::clone(pins), blobs: Vec::new(), elsewhere: false }
    }

    /// For a reader on another node.
    #[must_use]
    pub fn for_another(pins: &Arc<Pins>) -> Self {
        Self { pins: Arc::clone(pins), blobs: Vec::new(), elsewhere: true }
    }

    /// Pins one more; an id that is none has no blob to lose.
    pub fn add(&mut self, op_id: &[u8]) {
        if let Some(blob) = OpId::from_wire(op_id) {
            *self.pins.shard(blob).lock().entry(blob).or_default().of(self.elsewhere) += 1;
            self.blobs.push(blob);
        }
    }
}

impl Drop for PinSet {
    fn drop(&mut self) {
        for blob in &self.blobs {
            let mut shard = self.pins.shard(*blob).lock();
            let readers = shard.get_mut(blob).expect("pinned as long as somebody reads");
            *readers.of(self.elsewhere) -= 1;
            if readers.here + readers.elsewhere == 0 {
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
        let mut elsewhere = PinSet::for_another(&pins);
        elsewhere.add(&blob.0);
        assert!(pins.is_read_here(blob));
        drop(other);
        assert!(pins.is_pinned(blob) && !pins.is_read_here(blob));
        drop(elsewhere);
        assert!(!pins.is_pinned(blob));
    }
}
