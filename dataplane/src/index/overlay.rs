//! What is not yet in RocksDB: read first, so that an entry is visible from the moment it is made.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use holdfast_common::id::FragmentId;

use super::{Key, Location};
use crate::sync::Mutex;

const SHARDS: usize = 16;

/// Sharded by fragment, so that a fragment's entries and its removal are under one lock.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<(usize, Key), Location>,
    gone: HashMap<(usize, FragmentId), u32>,
}

/// What the overlay knows of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    At(Location),
    Gone,
    Unknown,
}

impl Overlay {
    fn shard(&self, fragment: FragmentId) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(fragment);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("below 16")]
    }

    /// Of two locations of one piece the one in the younger life is kept.
    pub(super) fn insert(&self, slot: usize, entries: &[(Key, Location)]) {
        for (key, location) in entries {
            let mut shard = self.shard(key.fragment()).lock();
            let held = shard.entries.entry((slot, *key)).or_insert(*location);
            if location.generation >= held.generation {
                *held = *location;
            }
        }
    }

    pub(super) fn remove(&self, slot: usize, fragment: FragmentId) {
        *self.shard(fragment).lock().gone.entry((slot, fragment)).or_default() += 1;
    }

    pub(super) fn find(&self, slot: usize, key: &Key) -> Found {
        let shard = self.shard(key.fragment()).lock();
        if shard.gone.contains_key(&(slot, key.fragment())) {
            return Found::Gone;
        }
        shard.entries.get(&(slot, *key)).map_or(Found::Unknown, |location| Found::At(*location))
    }

    /// The entries are in RocksDB now.
    pub(super) fn settle(&self, slot: usize, entries: &[(Key, Location)]) {
        for (key, location) in entries {
            let mut shard = self.shard(key.fragment()).lock();
            if shard.entries.get(&(slot, *key)) == Some(location) {
                shard.entries.remove(&(slot, *key));
            }
        }
    }

    /// The removal is in RocksDB now.
    pub(super) fn settle_removal(&self, slot: usize, fragment: FragmentId) {
        let mut shard = self.shard(fragment).lock();
        if let Some(count) = shard.gone.get_mut(&(slot, fragment)) {
            *count -= 1;
            if *count == 0 {
                shard.gone.remove(&(slot, fragment));
            }
        }
    }
}
