//! The drive index: where on which drive each piece stands. RocksDB, one column family per drive, never synced.
//!
//! It may be deleted at any time: a start rebuilds it from the drives, and with it in place reads only what came after
//! its last checkpoint. New entries are visible at once through an overlay in memory; one thread carries them
//! into RocksDB in batches. A core never blocks here: a read that would touch a disk goes to that thread.

pub mod key;

mod overlay;
mod thread;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_common::id::{DriveId, FragmentId};
pub use key::{Key, Location};
use overlay::{Found, Overlay};
use parking_lot::Mutex;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, Options, ReadOptions, ReadTier};
use thread::{Job, Worker};
use tokio::sync::oneshot;

use crate::limits::{INDEX_CACHE_BYTES, INDEX_FILES_MAX, INDEX_QUEUE_MAX, INDEX_WRITE_BUFFER_BYTES};

/// What the index could not do: RocksDB's sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[error("drive index: {0}")]
pub struct IndexError(pub String);

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

/// Told when every piece of a sealed segment is gone: (drive's slot, segment, generation).
pub type OnEmpty = Box<dyn Fn(usize, u32, u32) + Send>;

/// The index of all drives of this process, shared by its cores.
pub struct DriveIndex {
    db: Arc<DB>,
    names: Vec<String>,
    overlay: Arc<Overlay>,
    jobs: flume::Sender<Job>,
    worker: Mutex<Option<std::thread::JoinHandle<()>>>,
    path: PathBuf,
}

impl std::fmt::Debug for DriveIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DriveIndex({})", self.path.display())
    }
}

impl DriveIndex {
    /// Opens or creates the index in `path`; `drives` in order of their slots.
    ///
    /// # Errors
    /// RocksDB's.
    pub fn open(path: &Path, drives: &[DriveId]) -> Result<Self, IndexError> {
        std::fs::create_dir_all(path).map_err(|error| IndexError(format!("{}: {error}", path.display())))?;
        let options = options();
        let names: Vec<String> = drives.iter().map(|drive| format!("drive-{drive}")).collect();
        let mut families = DB::list_cf(&options, path).unwrap_or_default();
        families.extend(names.iter().filter(|name| !families.contains(name)).cloned().collect::<Vec<_>>());
        let cache = Cache::new_lru_cache(INDEX_CACHE_BYTES);
        let families =
            families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, family_options(&cache)));
        let db = Arc::new(DB::open_cf_descriptors(&options, path, families)?);
        let overlay = Arc::new(Overlay::default());
        let (jobs, inbox) = flume::bounded(INDEX_QUEUE_MAX);
        let worker = Worker::new(Arc::clone(&db), names.clone(), Arc::clone(&overlay))?;
        let thread = std::thread::Builder::new().name("drive-index".into()).spawn(move || worker.run(&inbox));
        let thread = thread.map_err(|error| IndexError(format!("its thread does not start: {error}")))?;
        Ok(Self { db, names, overlay, jobs, worker: Mutex::new(Some(thread)), path: path.to_owned() })
    }

    /// Who is told of segments that became empty. From then on they are reported, those found so far too.
    pub fn report_empty(&self, tell: OnEmpty) {
        self.send(Job::ReportEmpty(tell));
    }

    /// Sealed segments of a drive whose entries were all durable at the last checkpoint: (segment, generation).
    ///
    /// # Errors
    /// RocksDB's.
    pub fn checkpoint(&self, slot: usize) -> Result<HashSet<(u32, u32)>, IndexError> {
        let live = thread::read_checkpoint(&self.db, &self.names[slot])?;
        Ok(live.into_keys().collect())
    }

    /// Adds entries; they are visible when this is called, not only when it resolves.
    pub async fn insert(&self, slot: usize, entries: Vec<(Key, Location)>) {
        self.overlay.insert(slot, &entries);
        // The thread lives as long as this does; a closed channel means shutdown, and the drives hold everything.
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
        self.send(Job::Sealed { slot, segment, generation });
    }

    /// Where a piece stands.
    ///
    /// # Errors
    /// RocksDB's.
    pub async fn lookup(&self, slot: usize, key: Key) -> Result<Option<Location>, IndexError> {
        match self.overlay.find(slot, &key) {
            Found::At(location) => return Ok(Some(location)),
            Found::Gone => return Ok(None),
            Found::Unknown => {}
        }
        let mut memory_only = ReadOptions::default();
        memory_only.set_read_tier(ReadTier::BlockCache);
        let family = self.db.cf_handle(&self.names[slot]).expect("opened with the database");
        match self.db.get_pinned_cf_opt(family, key.as_bytes(), &memory_only) {
            Ok(found) => Ok(found.and_then(|bytes| Location::parse(&bytes))),
            Err(error) if error.kind() == rocksdb::ErrorKind::Incomplete => {
                let (answer, answered) = oneshot::channel();
                let _ = self.jobs.send_async(Job::Read { slot, key, answer }).await;
                answered.await.unwrap_or_else(|_| Err(IndexError("it has stopped".into())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until everything sent before is in RocksDB, and writes a checkpoint.
    pub fn checkpoint_now(&self) {
        let (done, wait) = flume::bounded(1);
        self.send(Job::Checkpoint(Some(done)));
        let _ = wait.recv();
    }

    /// Ends the thread after a last checkpoint.
    pub fn stop(&self) {
        self.send(Job::Stop);
        if let Some(worker) = self.worker.lock().take() {
            let _ = worker.join();
        }
    }

    fn send(&self, job: Job) {
        // Closed only after `stop`: then the drives hold everything.
        let _ = self.jobs.send(job);
    }
}

impl Drop for DriveIndex {
    fn drop(&mut self) {
        self.stop();
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(2 * INDEX_WRITE_BUFFER_BYTES);
    options.set_max_open_files(INDEX_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(INDEX_WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options
}

#[cfg(test)]
mod tests;
