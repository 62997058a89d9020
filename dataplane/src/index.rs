//! The drive index: where on which drive each piece stands. RocksDB, one column family per drive, never synced.
//!
//! It may be deleted at any time: a start rebuilds it from the drives, and with it in place reads only what came after
//! its last checkpoint. New entries are visible at once through an overlay in memory; one worker carries them
//! into RocksDB in batches and counts what lives in each segment. A core never blocks here: a read that would touch a
//! disk goes to that worker.

pub mod key;

mod memory;
mod overlay;
mod rocks;
mod run;
mod search;
mod store;
mod tally;
mod worker;

use std::collections::HashSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use holdfast_common::id::{DriveId, FragmentId, OpId};
pub use key::{Key, Location};
pub use memory::MemoryStore;
use overlay::{Found, Overlay};
use parking_lot::Mutex;
use run::Inline;
pub use search::Page;
use store::{Cached, Store};
pub use tally::{Life, Living};
use tokio::sync::oneshot;
use worker::{Job, Tallies, Worker};

use crate::drives::Held;
use crate::limits::INDEX_QUEUE_MAX;
use crate::rt::Rt;

/// What the index could not do: the store's sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[error("drive index: {0}")]
pub struct IndexError(pub String);

/// Told when every piece of a sealed segment is gone: (drive's slot, segment, generation).
pub type OnEmpty = Box<dyn Fn(usize, u32, u32) + Send>;

/// A piece that has a second copy now.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub key: Key,
    pub from: Location,
    pub to: Location,
}

/// The index of all drives of this process, shared by its cores.
pub struct DriveIndex {
    store: Arc<dyn Store>,
    overlay: Arc<Overlay>,
    tallies: Tallies,
    jobs: flume::Sender<Job>,
    runner: Runner,
}

/// Who runs the worker.
enum Runner {
    Thread(Mutex<Option<std::thread::JoinHandle<()>>>),
    Inline(Inline),
}

impl std::fmt::Debug for DriveIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DriveIndex({} drives)", self.tallies.len())
    }
}

impl DriveIndex {
    /// Opens or creates the index in directory `path`, with a worker thread; `drives` in order of their slots.
    ///
    /// # Errors
    /// RocksDB's.
    pub fn open(path: &Path, drives: &[DriveId]) -> Result<Self, IndexError> {
        Self::start(Arc::new(rocks::Rocks::open(path, drives)?), drives.len(), |worker, inbox| {
            let thread = std::thread::Builder::new().name("drive-index".into());
            let thread = thread.spawn(move || run::thread(worker, &inbox));
            let thread = thread.map_err(|error| IndexError(format!("its thread does not start: {error}")))?;
            Ok(Runner::Thread(Mutex::new(Some(thread))))
        })
    }

    /// An index in memory, without a thread: spawn [`DriveIndex::task`] on the one there is. Calls that would wait for the
    /// worker do its work themselves.
    ///
    /// # Errors
    /// The store's.
    pub fn in_memory(store: &MemoryStore, drives: &[DriveId]) -> Result<Self, IndexError> {
        let run = |worker, inbox| Ok(Runner::Inline(Inline::new(worker, inbox)));
        Self::start(Arc::new(store.of(drives)), drives.len(), run)
    }

    fn start(
        store: Arc<dyn Store>,
        slots: usize,
        run: impl FnOnce(Worker, flume::Receiver<Job>) -> Result<Runner, IndexError>,
    ) -> Result<Self, IndexError> {
        let overlay = Arc::new(Overlay::default());
        let (jobs, inbox) = flume::bounded(INDEX_QUEUE_MAX);
        let worker = Worker::new(Arc::clone(&store), slots, Arc::clone(&overlay))?;
        let tallies = worker.tallies();
        Ok(Self { store, overlay, tallies, jobs, runner: run(worker, inbox)? })
    }

    /// The worker of an index in memory, until it is stopped; of another index nothing.
    pub fn task<R: Rt>(&self) -> impl Future<Output = ()> + 'static {
        let inline = match &self.runner {
            Runner::Inline(inline) => Some(inline.clone()),
            Runner::Thread(_) => None,
        };
        async move {
            if let Some(inline) = inline {
                inline.run::<R>().await;
            }
        }
    }

    /// Who is told of segments that became empty. From then on they are reported, those found so far too.
    pub fn report_empty(&self, tell: OnEmpty) {
        self.send(Job::ReportEmpty(tell));
    }

    /// Sealed segments of a drive whose entries were all durable at the last checkpoint: (segment, generation).
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint(&self, slot: usize) -> Result<HashSet<Life>, IndexError> {
        Ok(tally::Checkpoint::parse(&self.store.checkpoint(slot)?).lives.into_keys().collect())
    }

    /// Adds entries; they are visible when this is called, not only when it resolves. Of two locations of one piece the
    /// one in the younger life stays.
    pub async fn insert(&self, slot: usize, entries: Vec<(Key, Location)>) {
        self.overlay.insert(slot, &entries);
        // The worker lives as long as this does; a closed channel means shutdown, and the drives hold everything.
        let _ = self.jobs.send_async(Job::Insert { slot, entries }).await;
    }

    /// As [`DriveIndex::insert`], from a thread that may block.
    pub fn insert_blocking(&self, slot: usize, entries: Vec<(Key, Location)>) {
        self.overlay.insert(slot, &entries);
        self.send(Job::Insert { slot, entries });
    }

    /// Takes rows `0..rows` of a fragment out. Blocks when the queue is full.
    pub fn remove(&self, slot: usize, fragment: FragmentId, rows: u32) {
        self.overlay.remove(slot, fragment);
        self.send(Job::Remove { slot, fragment, rows });
    }

    /// Every entry of this life of a segment has been inserted, and none will follow.
    pub fn sealed(&self, slot: usize, segment: u32, generation: u32) {
        self.send(Job::Sealed { slot, life: (segment, generation) });
    }

    /// A life has ended: its space was given back.
    pub fn ended(&self, slot: usize, life: Life) {
        self.tallies[slot].lock().end(life);
    }

    /// The file of a life that the checkpoint covers is not there. If something should live in it, that is lost.
    pub fn missing(&self, slot: usize, life: Life) {
        self.tallies[slot].lock().miss(life);
    }

    /// What should live in lives whose file was not there at the start.
    #[must_use]
    pub fn lost(&self, slot: usize) -> Living {
        self.tallies[slot].lock().lost()
    }

    /// Sealed lives of a drive with what lives in them; `None` while that is being counted after a crash.
    #[must_use]
    pub fn lives(&self, slot: usize) -> Option<Vec<(Life, Living)>> {
        self.tallies[slot].lock().sealed()
    }

    /// What lives on a drive; while it is being counted, what was counted so far.
    #[must_use]
    pub fn living(&self, slot: usize) -> Living {
        self.tallies[slot].lock().total()
    }

    /// Where a piece stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn lookup(&self, slot: usize, key: Key) -> Result<Option<Location>, IndexError> {
        match self.overlay.find(slot, &key) {
            Found::At(location) => return Ok(Some(location)),
            Found::Gone => return Ok(None),
            Found::Unknown => {}
        }
        match self.store.get_cached(slot, &key)? {
            Cached::Known(found) => Ok(found),
            Cached::Unknown => self.ask(|answer| Job::Read { slot, key, answer }).await,
        }
    }

    /// Every fragment of a blob on any drive, with the drive's slot.
    ///
    /// # Errors
    /// The store's, or that it lacks something.
    pub async fn find(&self, blob: OpId) -> Result<Vec<(usize, Held)>, IndexError> {
        self.ask(|answer| Job::Find { blob, answer }).await
    }

    /// At most `max` fragments of a drive behind `after`, in order; none at the end.
    ///
    /// # Errors
    /// The store's, or that it lacks something.
    pub async fn survey(
        &self,
        slot: usize,
        after: Option<FragmentId>,
        max: usize,
    ) -> Result<Vec<Held>, IndexError> {
        self.ask(|answer| Job::Survey { slot, after, max, answer }).await
    }

    /// At most `max` entries of a drive from `from` on, in order.
    ///
    /// # Errors
    /// The store's.
    pub async fn entries(&self, slot: usize, from: Key, max: usize) -> Result<Page, IndexError> {
        self.ask(|answer| Job::Entries { slot, from, max, answer }).await
    }

    /// Points entries to their new copies, each only if it still points to the old one; says which did. Blocks.
    ///
    /// # Errors
    /// The store's; then none was moved.
    pub fn swap(&self, slot: usize, moves: Vec<Moved>) -> Result<Vec<bool>, IndexError> {
        self.wait(|answer| Job::Swap { slot, moves, answer })
    }

    /// Where a piece stands, for a thread that may block.
    ///
    /// # Errors
    /// The store's.
    pub fn stands(&self, slot: usize, key: &Key) -> Result<Option<Location>, IndexError> {
        match self.overlay.find(slot, key) {
            Found::At(location) => Ok(Some(location)),
            Found::Gone => Ok(None),
            Found::Unknown => self.store.get(slot, key),
        }
    }

    /// All entries of one life, in order of their keys; reads the whole index of the drive. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn entries_of(&self, slot: usize, life: Life) -> Result<Vec<(Key, Location)>, IndexError> {
        let mut found = Vec::new();
        self.store.scan(slot, &Key::FIRST, &mut |key, location| {
            if location.life() == life {
                found.push((key, location));
            }
            true
        })?;
        Ok(found)
    }

    /// What lives in one life, as far as that is counted.
    #[must_use]
    pub fn living_in(&self, slot: usize, life: Life) -> Living {
        self.tallies[slot].lock().living(life)
    }

    /// Whether certainly nothing lives in a sealed life.
    #[must_use]
    pub fn is_empty(&self, slot: usize, life: Life) -> bool {
        let tally = self.tallies[slot].lock();
        tally.uncounted_from().is_none() && tally.living(life).pieces == 0
    }

    /// As [`DriveIndex::checkpoint_now`], without waiting: the answer comes later.
    #[must_use]
    pub fn begin_checkpoint(&self) -> flume::Receiver<Result<(), IndexError>> {
        let (done, answer) = flume::bounded(1);
        self.send(Job::Checkpoint(Some(done)));
        answer
    }

    /// Waits until everything sent before is in the store, and makes it durable.
    ///
    /// # Errors
    /// The store's; then the checkpoint before is still the last.
    pub fn checkpoint_now(&self) -> Result<(), IndexError> {
        self.wait(|done| Job::Checkpoint(Some(done)))
    }

    /// Ends the worker after a last checkpoint.
    pub fn stop(&self) {
        self.send(Job::Stop);
        match &self.runner {
            Runner::Inline(inline) => {
                inline.pump();
                // For its task, which may wait and would not notice.
                self.send(Job::Stop);
            }
            Runner::Thread(thread) => {
                if let Some(thread) = thread.lock().take() {
                    let _ = thread.join();
                }
            }
        }
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, IndexError>>) -> Job,
    ) -> Result<T, IndexError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.jobs.send_async(job(answer)).await;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn wait<T>(
        &self,
        job: impl FnOnce(flume::Sender<Result<T, IndexError>>) -> Job,
    ) -> Result<T, IndexError> {
        let (answer, answered) = flume::bounded(1);
        self.send(job(answer));
        if let Runner::Inline(inline) = &self.runner {
            inline.pump();
        }
        answered.recv().unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) {
        if let Runner::Inline(inline) = &self.runner
            && self.jobs.is_full()
        {
            inline.pump();
        }
        // Closed only after `stop`: then the drives hold everything.
        let _ = self.jobs.send(job);
    }
}

fn stopped() -> IndexError {
    IndexError("it has stopped".into())
}

/// Dropping an index in memory is a crash: nothing is written any more.
impl Drop for DriveIndex {
    fn drop(&mut self) {
        if matches!(self.runner, Runner::Thread(_)) {
            self.stop();
        }
    }
}

#[cfg(test)]
mod tests;
