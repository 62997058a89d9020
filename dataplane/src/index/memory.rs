//! The index in memory, for simulations: what no checkpoint made durable is lost at a crash, wholly or in part.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_common::id::DriveId;
use parking_lot::Mutex;

use super::store::{Cached, Store};
use super::{IndexError, Key, Location};

type Changes = Vec<(Key, Option<Location>)>;

/// Sorted maps behind a handle: clones see the same entries.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<DriveId, Drive>>>);

#[derive(Clone, Debug, Default)]
struct Drive {
    entries: BTreeMap<Key, Location>,
    durable: BTreeMap<Key, Location>,
    /// Writes since the last checkpoint, in order.
    since: Vec<Changes>,
    note: Vec<u8>,
}

impl MemoryStore {
    /// What a start after a crash finds: the last checkpoint of each drive, and of the writes since then the first few,
    /// as many as `kept(drive, how_many_there_are)` says. A database that flushes when it likes leaves any number.
    #[must_use]
    pub fn crashed(&self, mut kept: impl FnMut(DriveId, usize) -> usize) -> Self {
        let held = self.0.lock();
        let drives = held.iter().map(|(id, drive)| {
            let mut entries = drive.durable.clone();
            for changes in &drive.since[..kept(*id, drive.since.len()).min(drive.since.len())] {
                apply(&mut entries, changes);
            }
            let durable = entries.clone();
            (*id, Drive { durable, entries, since: Vec::new(), note: drive.note.clone() })
        });
        Self(Arc::new(Mutex::new(drives.collect())))
    }

    /// The store as an index uses it; `drives` in order of their slots.
    pub(super) fn of(&self, drives: &[DriveId]) -> View {
        View { store: self.clone(), drives: drives.to_vec() }
    }
}

/// The drives of one index.
pub(super) struct View {
    store: MemoryStore,
    drives: Vec<DriveId>,
}

impl View {
    fn with<T>(&self, slot: usize, look: impl FnOnce(&mut Drive) -> T) -> Result<T, IndexError> {
        Ok(look(self.store.0.lock().entry(self.drives[slot]).or_default()))
    }
}

fn apply(entries: &mut BTreeMap<Key, Location>, changes: &[(Key, Option<Location>)]) {
    for (key, change) in changes {
        match change {
            Some(location) => entries.insert(*key, *location),
            None => entries.remove(key),
        };
    }
}

impl Store for View {
    fn get(&self, slot: usize, key: &Key) -> Result<Option<Location>, IndexError> {
        self.with(slot, |drive| drive.entries.get(key).copied())
    }

    fn get_cached(&self, slot: usize, key: &Key) -> Result<Cached, IndexError> {
        self.get(slot, key).map(Cached::Known)
    }

    fn scan(
        &self,
        slot: usize,
        from: &Key,
        visit: &mut dyn FnMut(Key, Location) -> bool,
    ) -> Result<(), IndexError> {
        self.with(slot, |drive| {
            let _ = drive.entries.range(from..).all(|(key, location)| visit(*key, *location));
        })
    }

    fn write(&self, slot: usize, changes: &[(Key, Option<Location>)]) -> Result<(), IndexError> {
        self.with(slot, |drive| {
            apply(&mut drive.entries, changes);
            drive.since.push(changes.to_vec());
        })
    }

    fn checkpoint(&self, slot: usize) -> Result<Vec<u8>, IndexError> {
        self.with(slot, |drive| drive.note.clone())
    }

    fn set_checkpoint(&self, slot: usize, note: &[u8]) -> Result<(), IndexError> {
        self.with(slot, |drive| {
            for changes in std::mem::take(&mut drive.since) {
                apply(&mut drive.durable, &changes);
            }
            drive.note = note.to_vec();
        })
    }
}
