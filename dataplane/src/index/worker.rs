//! The worker: the only writer of the store, the reader of what is not in memory, the keeper of the counts.
//!
//! It runs in a thread of its own, or, in a simulation, as a task; then whoever must not wait for that task (a keeper, a
//! recovery, a stop) does its work himself on the spot. Both ways call the same [`Worker::turn`].

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_common::id::{FragmentId, OpId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::overlay::Overlay;
use super::search::{self, Page};
use super::store::Store;
use super::tally::{Life, Tally};
use super::{IndexError, Key, Location, Moved, OnEmpty};
use crate::drives::Held;
use crate::limits::{INDEX_BATCH_MAX, INDEX_COUNT_STEP};

type Answer<T> = oneshot::Sender<Result<T, IndexError>>;

/// What the worker is asked.
pub(super) enum Job {
    Insert { slot: usize, entries: Vec<(Key, Location)> },
    Remove { slot: usize, fragment: FragmentId, rows: u32 },
    Read { slot: usize, key: Key, answer: Answer<Option<Location>> },
    Find { blob: OpId, answer: Answer<Vec<(usize, Held)>> },
    Survey { slot: usize, after: Option<FragmentId>, max: usize, answer: Answer<Vec<Held>> },
    Entries { slot: usize, from: Key, max: usize, answer: Answer<Page> },
    Swap { slot: usize, moves: Vec<Moved>, answer: flume::Sender<Result<Vec<bool>, IndexError>> },
    Sealed { slot: usize, life: Life },
    ReportEmpty(OnEmpty),
    Checkpoint(Option<flume::Sender<Result<(), IndexError>>>),
    Stop,
}

/// Counts of all drives, read by anyone, changed by the worker.
pub(super) type Tallies = Arc<Vec<Mutex<Tally>>>;

pub(super) struct Worker {
    store: Arc<dyn Store>,
    overlay: Arc<Overlay>,
    tallies: Tallies,
    /// Inserts that were gathered, by slot.
    gathered: Vec<BTreeMap<Key, Location>>,
    on_empty: Option<OnEmpty>,
    dirty: bool,
    /// The store refused a write: from then on it lacks something, and no checkpoint may say otherwise.
    broken: Option<IndexError>,
    stopped: bool,
}

impl Worker {
    pub(super) fn new(
        store: Arc<dyn Store>,
        slots: usize,
        overlay: Arc<Overlay>,
    ) -> Result<Self, IndexError> {
        let tallies = (0..slots).map(|slot| {
            let tally = Tally::restored(&store.checkpoint(slot)?);
            // Its counts are good for this start only.
            store.set_checkpoint(slot, &tally.encode(false))?;
            Ok(Mutex::new(tally))
        });
        let tallies = Arc::new(tallies.collect::<Result<_, IndexError>>()?);
        let gathered = vec![BTreeMap::new(); slots];
        let (on_empty, dirty, broken, stopped) = (None, false, None, false);
        Ok(Self { store, overlay, tallies, gathered, on_empty, dirty, broken, stopped })
    }

    pub(super) fn tallies(&self) -> Tallies {
        Arc::clone(&self.tallies)
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Serves `first` and a number of those that wait behind it. What was asked is in the store when this returns.
    pub(super) fn turn(&mut self, first: Option<Job>, inbox: &flume::Receiver<Job>) {
        for job in first.into_iter().chain(inbox.try_iter().take(INDEX_BATCH_MAX)) {
            self.serve(job);
        }
        self.settle();
        self.tell_empty();
    }

    fn serve(&mut self, job: Job) {
        if !matches!(job, Job::Insert { .. }) {
            self.settle();
        }
        // Who dropped the other end of an answer no longer wants to know.
        match job {
            Job::Insert { slot, entries } => self.gather(slot, entries),
            Job::Remove { slot, fragment, rows } => self.remove(slot, fragment, rows),
            Job::Read { slot, key, answer } => {
                let _ = answer.send(self.store.get(slot, &key));
            }
            Job::Find { blob, answer } => {
                let _ =
                    answer.send(self.whole().and_then(|store| search::find(store, self.tallies.len(), blob)));
            }
            Job::Survey { slot, after, max, answer } => {
                let _ = answer.send(self.whole().and_then(|store| search::survey(store, slot, after, max)));
            }
            Job::Entries { slot, from, max, answer } => {
                let _ = answer.send(search::entries(&*self.store, slot, from, max));
            }
            Job::Swap { slot, moves, answer } => {
                let _ = answer.send(self.swap(slot, &moves));
            }
            Job::Sealed { slot, life } => {
                self.dirty = true;
                self.tallies[slot].lock().seal(life);
            }
            Job::ReportEmpty(tell) => self.on_empty = Some(tell),
            Job::Checkpoint(done) => {
                let made = self.checkpoint(false);
                if let Some(done) = done {
                    let _ = done.send(made);
                }
            }
            Job::Stop => {
                self.stopped = true;
                // Logged where it failed; the next start reads more of the drives.
                let _ = self.checkpoint(true);
            }
        }
    }

    /// The store, if it lacks nothing that was put in.
    fn whole(&self) -> Result<&dyn Store, IndexError> {
        self.broken.clone().map_or(Ok(&*self.store), Err)
    }

    fn gather(&mut self, slot: usize, entries: Vec<(Key, Location)>) {
        for (key, location) in entries {
            let held = self.gathered[slot].entry(key).or_insert(location);
            if location.generation >= held.generation {
                *held = location;
            }
        }
    }

    /// Writes what was gathered. Of two locations of one piece the one in the younger life stays: a copy that compaction
    /// made is always in a younger one.
    fn settle(&mut self) {
        for slot in 0..self.gathered.len() {
            if self.gathered[slot].is_empty() {
                continue;
            }
            let entries: Vec<_> = std::mem::take(&mut self.gathered[slot]).into_iter().collect();
            let written = self.supersede(slot, &entries);
            if self.took(written) {
                self.overlay.settle(slot, &entries);
            }
            // Else the overlay keeps what the store refused, so reads go on.
        }
    }

    fn supersede(&self, slot: usize, entries: &[(Key, Location)]) -> Result<(), IndexError> {
        let mut changes = Vec::with_capacity(entries.len());
        for (key, location) in entries {
            let old = self.store.get(slot, key)?;
            if old.is_none_or(|old| old != *location && location.generation >= old.generation) {
                changes.push((*key, old, Some(*location)));
            }
        }
        self.write(slot, &changes)
    }

    /// Writes changes (key, old, new) and counts them.
    fn write(
        &self,
        slot: usize,
        changes: &[(Key, Option<Location>, Option<Location>)],
    ) -> Result<(), IndexError> {
        if changes.is_empty() {
            return Ok(());
        }
        let news: Vec<_> = changes.iter().map(|(key, _, new)| (*key, *new)).collect();
        self.store.write(slot, &news)?;
        let mut tally = self.tallies[slot].lock();
        for (key, old, new) in changes {
            tally.changed(key, old.as_ref(), new.as_ref());
        }
        Ok(())
    }

    /// Notes a refusal.
    fn took(&mut self, written: Result<(), IndexError>) -> bool {
        let Err(error) = written else { return true };
        tracing::error!(%error, "the drive index cannot be written; restart after making room for it");
        self.broken = Some(error);
        false
    }

    fn remove(&mut self, slot: usize, fragment: FragmentId, rows: u32) {
        let mut changes = Vec::new();
        let scanned = self.store.scan(slot, &Key::new(fragment, 0), &mut |key, location| {
            let ours = key.fragment() == fragment && key.row() < rows;
            if ours {
                changes.push((key, Some(location), None));
            }
            ours
        });
        let written = scanned.and_then(|()| self.write(slot, &changes));
        if self.took(written) {
            self.overlay.settle_removal(slot, fragment);
        }
        self.dirty = true;
    }

    /// Compare and set: an entry that is no longer where a move began stays as it is.
    fn swap(&mut self, slot: usize, moves: &[Moved]) -> Result<Vec<bool>, IndexError> {
        self.whole()?;
        let (mut done, mut changes) = (Vec::with_capacity(moves.len()), Vec::new());
        for Moved { key, from, to } in moves {
            let same = self.store.get(slot, key)? == Some(*from);
            done.push(same);
            if same {
                changes.push((*key, Some(*from), Some(*to)));
            }
        }
        let written = self.write(slot, &changes);
        self.dirty = true;
        if let Err(error) = &written {
            self.took(Err(error.clone()));
        }
        written.map(|()| done)
    }

    /// Whether entries are still to be counted.
    pub(super) fn counting(&self) -> bool {
        self.tallies.iter().any(|tally| tally.lock().uncounted_from().is_some())
    }

    /// Counts a stretch of entries. False when it cannot.
    pub(super) fn count_some(&mut self) -> bool {
        for (slot, tally) in self.tallies.iter().enumerate() {
            let Some(from) = tally.lock().uncounted_from() else { continue };
            match search::entries(&*self.store, slot, from, INDEX_COUNT_STEP) {
                Ok(page) => tally.lock().count(&page.entries, page.next),
                Err(error) => {
                    tracing::error!(%error, "the drive index cannot be read; space is not given back before a restart");
                    return false;
                }
            }
            self.dirty = true;
            break;
        }
        self.tell_empty();
        true
    }

    /// Reports lives that hold nothing any more. No checkpoint is needed first: removals are durable in the delete log,
    /// which every start applies again.
    fn tell_empty(&mut self) {
        let Some(tell) = &self.on_empty else { return };
        for (slot, tally) in self.tallies.iter().enumerate() {
            let emptied = tally.lock().take_emptied();
            emptied.into_iter().for_each(|(segment, generation)| tell(slot, segment, generation));
        }
    }

    /// A checkpoint if something is not in the last one.
    pub(super) fn tick(&mut self) {
        if self.dirty {
            // Logged where it failed.
            let _ = self.checkpoint(false);
        }
    }

    /// Makes the store durable together with which lives it covers.
    fn checkpoint(&mut self, last: bool) -> Result<(), IndexError> {
        self.whole()?;
        self.dirty = false;
        for (slot, tally) in self.tallies.iter().enumerate() {
            let note = tally.lock().encode(last);
            self.store.set_checkpoint(slot, &note).inspect_err(|error| {
                tracing::error!(%error, "no checkpoint of the drive index; the next start reads more of the drives");
            })?;
        }
        Ok(())
    }
}
