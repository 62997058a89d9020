//! Which blobs are being read, so that none is deleted under its reader.
//!
//! A deletion comes minutes after the last reference is gone, so a pin taken when the record was looked up is in time. The
//! table is in shards because every GET of every core takes and leaves a pin.
//!
//! A blob over nodes is deleted by any of them, so who reads it for long asks the others to keep it as well ([`Pins::lasting`]),
//! parts that it has not come to yet too.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_common::id::OpId;
use holdfast_common::wire;
use holdfast_protocol::placement::{CLASS_NODES, spread_hash};
use parking_lot::Mutex;

const SHARDS: usize = 64;

/// Blobs and who reads each.
#[derive(Debug)]
pub struct Pins([Mutex<HashMap<OpId, Pinned>>; SHARDS]);

/// How many read a blob: for clients of this node, and for other nodes. Apart, because a node that asks another to keep a blob for
/// its readers must not do so for the sake of that very node, or both would for ever.
#[derive(Debug, Default)]
struct Pinned {
    here: u32,
    elsewhere: u32,
    /// Of a blob over nodes that is read here.
    placement_id: Option<u32>,
    /// It was there when somebody asked what lasts.
    seen: bool,
}

impl Default for Pins {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Pins {
    fn shard(&self, blob: OpId) -> &Mutex<HashMap<OpId, Pinned>> {
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
        self.shard(blob).lock().get(&blob).is_some_and(|pinned| pinned.here > 0)
    }

    /// Up to `max` blobs over nodes that were pinned by readers of this node when this was called last and still are, with
    /// their placements: a reader that is done by then is nobody else's concern.
    pub fn lasting(&self, max: usize) -> Vec<(OpId, u32)> {
        let mut lasting = Vec::new();
        for shard in &self.0 {
            for (blob, pinned) in shard.lock().iter_mut().filter(|(_, pinned)| pinned.here > 0) {
                let placement_id = pinned.placement_id.filter(|_| lasting.len() < max);
                if std::mem::replace(&mut pinned.seen, true) {
                    lasting.extend(placement_id.map(|placement_id| (*blob, placement_id)));
                }
            }
        }
        lasting
    }
}

/// The pins of one reader, left when it is dropped.
#[derive(Debug)]
pub struct PinSet {
    pins: Arc<Pins>,
    blobs: Vec<OpId>,
    elsewhere: bool,
}

impl Pinned {
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

    /// Pins a blob that this node is to read; one over nodes on the others too, if it takes that long.
    pub fn add_blob(&mut self, blob: &wire::Blob) {
        self.add(&blob.op_id);
        if let Some(op) = OpId::from_wire(&blob.op_id).filter(|_| blob.class_id == CLASS_NODES) {
            self.pins.shard(op).lock().entry(op).or_default().placement_id = Some(blob.placement_id);
        }
    }
}

impl Drop for PinSet {
    fn drop(&mut self) {
        for blob in &self.blobs {
            let mut shard = self.pins.shard(*blob).lock();
            let pinned = shard.get_mut(blob).expect("pinned as long as somebody reads");
            *pinned.of(self.elsewhere) -= 1;
            if pinned.here + pinned.elsewhere == 0 {
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

    #[test]
    fn of_blobs_over_nodes_those_that_are_still_read_last() {
        let (pins, op) = (Arc::new(Pins::default()), |n: u8| OpId::new(n.into(), [n; 10]));
        let blob = |n: u8, class_id| wire::Blob {
            op_id: op(n).to_wire(),
            class_id,
            placement_id: n.into(),
            ..Default::default()
        };
        let (mut long, mut short) = (PinSet::new(&pins), PinSet::new(&pins));
        [blob(1, CLASS_NODES), blob(2, CLASS_NODES + 1)].iter().for_each(|blob| long.add_blob(blob));
        short.add_blob(&blob(3, CLASS_NODES));
        long.add(&op(4).0);
        assert!(pins.lasting(9).is_empty(), "they have only begun");
        drop(short);
        assert_eq!(pins.lasting(9), [(op(1), 1)]);
        assert!(pins.lasting(0).is_empty());
        drop(long);
        assert!(pins.lasting(9).is_empty());
    }
}
