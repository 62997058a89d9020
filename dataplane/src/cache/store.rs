//! RocksDB behind the cache: a writer thread that batches, a reader thread for what is not in memory, and reads that
//! never block a core.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rocksdb::{Cache, DB, Options, ReadOptions, ReadTier, WriteBatch, WriteOptions};

use super::entry::{Cached, record_key};
use crate::limits;
use crate::link::state::key_hash;
use crate::rocks::tables;

const META_STATE: &[u8] = b"m/state";

/// What the last run left: zeros when the cache is new or was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub applied: u64,
    pub acknowledged: u64,
    /// Buckets with records here.
    pub interest: Vec<u64>,
}

/// What was found, and how far it is vouched for.
#[derive(Clone, Debug)]
pub struct Stored {
    pub cached: Cached,
    /// Every invalidation up to here had been carried out before this was read, so it is the key's state up to here: exact,
    /// where a slot of the invalidation array also tells of other keys.
    pub unchanged_to: u64,
}

enum Write {
    Fill { bucket_id: u64, key: Bytes, cached: Cached },
    Evict { keys: Vec<(u64, Bytes, u64)>, watermark: u64, state: Recovered },
    Clear(Recovered),
    Stop,
}

/// The write side; any thread. Never blocks: a fill that finds the queue full is dropped (a cache may forget).
#[derive(Clone)]
pub struct CacheWriter {
    queue: flume::Sender<Write>,
    recovered: Arc<Recovered>,
    fills_dropped: Arc<AtomicU64>,
}

/// The read side of one core.
#[derive(Clone)]
pub struct CacheReader {
    store: Store,
    far: flume::Sender<FarRead>,
}

/// The database, and the watermark up to which invalidations have been carried out in it.
#[derive(Clone)]
struct Store {
    db: Arc<DB>,
    evicted_to: Arc<AtomicU64>,
}

struct FarRead {
    key: Vec<u8>,
    reply: tokio::sync::oneshot::Sender<Option<Stored>>,
}

/// Opens (or makes) the cache in `dir` and starts its two threads.
///
/// # Errors
/// A sentence for the operator. A cache that RocksDB calls corrupt is deleted and begun anew: it loses nothing.
pub fn open(dir: &Path) -> Result<(CacheReader, CacheWriter), String> {
    let db = match DB::open(&options(), dir) {
        Ok(db) => db,
        // Another process has it, or had it a moment ago: nothing is wrong with what is in it.
        Err(held) if held.to_string().contains("lock") => {
            return Err(format!(
                "the metadata cache in {} is in use: {held}; stop who holds it",
                dir.display()
            ));
        }
        Err(first) => {
            tracing::warn!(%first, dir = %dir.display(), "the metadata cache does not open; starting with an empty one");
            DB::destroy(&Options::default(), dir).ok();
            DB::open(&options(), dir).map_err(|error| {
                format!(
                    "the metadata cache in {} does not open: {error}; check that the directory is writable and its disk not full",
                    dir.display()
                )
            })?
        }
    };
    let db = Arc::new(db);
    let recovered = Arc::new(recovered(&db));
    let (queue, writes) = flume::bounded(limits::CACHE_WRITES_QUEUED);
    let (far, far_reads) = flume::bounded::<FarRead>(limits::CACHE_READS_QUEUED);
    // What is in the database stands as of the watermark that was stored with it.
    let store = Store { db, evicted_to: Arc::new(AtomicU64::new(recovered.applied)) };
    let writer = CacheWriter { queue, recovered, fills_dropped: Arc::default() };
    spawn("cache-writer", {
        let store = store.clone();
        move || write_loop(&store, &writes)
    })?;
    spawn("cache-reader", {
        let store = store.clone();
        move || read_loop(&store, &far_reads)
    })?;
    Ok((CacheReader { store, far }, writer))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| format!("no thread for {name}: {error}; raise the limit on processes (ulimit -u)"))
}

fn options() -> Options {
    let table = tables(&Cache::new_lru_cache(limits::CACHE_BLOCK_CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(limits::CACHE_WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_max_open_files(64);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options
}

fn recovered(db: &DB) -> Recovered {
    db.get(META_STATE).ok().flatten().and_then(|bytes| Recovered::decode(&bytes)).unwrap_or_default()
}

impl Recovered {
    fn encode(&self) -> Vec<u8> {
        let words = [self.applied, self.acknowledged].into_iter().chain(self.interest.iter().copied());
        words.flat_map(u64::to_be_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words =
            bytes.chunks_exact(8).map(|word| u64::from_be_bytes(word.try_into().expect("8 bytes")));
        Some(Self { applied: words.next()?, acknowledged: words.next()?, interest: words.collect() })
    }
}

impl CacheWriter {
    /// For a node without a cache: everything is forgotten at once.
    #[must_use]
    pub fn nowhere() -> Self {
        let (queue, _) = flume::bounded(0);
        Self { queue, recovered: Arc::default(), fills_dropped: Arc::default() }
    }

    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    pub fn fill(&self, bucket_id: u64, key: Bytes, cached: Cached) {
        if self.queue.try_send(Write::Fill { bucket_id, key, cached }).is_err() {
            self.fills_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes what was overtaken and stores how far invalidations have been applied, in one batch. With `keys` every
    /// invalidation of this session up to `watermark` has been given. Called by the link thread only, which may wait: an
    /// eviction is never dropped.
    pub(crate) fn evict(&self, keys: Vec<(u64, Bytes, u64)>, watermark: u64, state: Recovered) {
        let _ = self.queue.send(Write::Evict { keys, watermark, state });
    }

    pub(crate) fn clear(&self, state: Recovered) {
        let _ = self.queue.send(Write::Clear(state));
    }

    /// Fills that found the queue full since the start.
    #[must_use]
    pub fn fills_dropped(&self) -> u64 {
        self.fills_dropped.load(Ordering::Relaxed)
    }

    /// Writes what is queued and flushes; the process may exit after it.
    pub fn stop(&self) {
        let _ = self.queue.send(Write::Stop);
        let deadline = std::time::Instant::now() + limits::CACHE_STOP_DEADLINE;
        while !self.queue.is_disconnected() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl CacheReader {
    /// What the cache holds of a key; the caller must still ask whether it is usable.
    pub async fn find(&self, bucket_id: u64, key: &[u8]) -> Option<Stored> {
        let key = record_key(bucket_id, key);
        let mut near = ReadOptions::default();
        near.set_read_tier(ReadTier::BlockCache);
        match self.store.find(&key, &near) {
            Ok(found) => found,
            // Not in memory: RocksDB answers `Incomplete`. The reader thread may wait for the disk, a core may not.
            Err(_) => {
                let (reply, answer) = tokio::sync::oneshot::channel();
                self.far.try_send(FarRead { key, reply }).ok()?;
                answer.await.ok().flatten()
            }
        }
    }
}

impl Store {
    /// The watermark is read first: what was carried out before it is not found any more.
    fn find(&self, key: &[u8], options: &ReadOptions) -> Result<Option<Stored>, rocksdb::Error> {
        let unchanged_to = self.evicted_to.load(Ordering::Acquire);
        let found = self.db.get_pinned_opt(key, options)?;
        Ok(found.and_then(|bytes| Some(Stored { cached: Cached::decode(&bytes)?, unchanged_to })))
    }
}

fn read_loop(store: &Store, reads: &flume::Receiver<FarRead>) {
    for read in reads {
        let _ = read.reply.send(store.find(&read.key, &ReadOptions::default()).ok().flatten());
    }
}

/// One batch for whatever has gathered. `fresh` remembers what this run filled, so that the invalidation of our own
/// commit does not throw away the entry it just made; forgetting (it is bounded) only costs a lookup.
///
/// `evicted` remembers what was evicted, and `evicted_floor` what was forgotten of that: an answer that was asked before
/// an eviction and comes after it is not stored. [`Stored::unchanged_to`] rests on that, and a restart, which forgets slots.
fn write_loop(store: &Store, writes: &flume::Receiver<Write>) {
    let mut fresh: HashMap<u64, u64> = HashMap::new();
    let mut evicted: HashMap<u64, u64> = HashMap::new();
    let mut evicted_to = store.evicted_to.load(Ordering::Acquire);
    let mut evicted_floor = evicted_to;
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    let mut stop = false;
    while !stop {
        let Ok(first) = writes.recv() else { break };
        if matches!(first, Write::Fill { .. }) && writes.is_empty() {
            // Nobody waits for a fill, and others that come meanwhile need not wake this thread again.
            std::thread::sleep(limits::CACHE_GATHER);
        }
        let mut batch = WriteBatch::default();
        for write in std::iter::once(first).chain(writes.try_iter().take(limits::CACHE_BATCH_ITEMS)) {
            match write {
                Write::Fill { bucket_id, key, cached } => {
                    let hash = key_hash(bucket_id, &key);
                    let overtaken = evicted.get(&hash).is_some_and(|seq| cached.as_of < *seq);
                    if overtaken || cached.as_of < evicted_floor {
                        continue;
                    }
                    if fresh.len() >= limits::CACHE_FRESH_MAX {
                        fresh.clear();
                    }
                    fresh.insert(hash, cached.as_of);
                    batch.put(record_key(bucket_id, &key), cached.encode());
                }
                Write::Evict { keys, watermark, state } => {
                    evicted_to = watermark;
                    for (bucket_id, key, seq) in keys {
                        let hash = key_hash(bucket_id, &key);
                        if evicted.len() >= limits::CACHE_FRESH_MAX {
                            evicted_floor = evicted.values().copied().fold(evicted_floor, u64::max);
                            evicted.clear();
                        }
                        let latest = evicted.entry(hash).or_insert(0);
                        *latest = seq.max(*latest);
                        if fresh.get(&hash).is_none_or(|as_of| *as_of < seq) {
                            fresh.remove(&hash);
                            batch.delete(record_key(bucket_id, &key));
                        }
                    }
                    batch.put(META_STATE, state.encode());
                }
                Write::Clear(state) => {
                    fresh.clear();
                    evicted.clear();
                    // Not the higher of both: after lost history watermarks begin anew, below what was.
                    (evicted_to, evicted_floor) = (state.applied, state.applied);
                    batch.clear();
                    batch.delete_range(b"r".as_slice(), b"s".as_slice());
                    batch.put(META_STATE, state.encode());
                }
                Write::Stop => stop = true,
            }
        }
        if let Err(error) = store.db.write_opt(batch, &unlogged) {
            tracing::error!(%error, "the metadata cache cannot be written; it is ignored from here on");
            // Entries that stay behind are harmless while this process lives (their slots were raised), and the stored
            // watermark stays behind with them, so the next start replays from before this batch.
            return;
        }
        store.evicted_to.store(evicted_to, Ordering::Release);
    }
    if let Err(error) = store.db.flush() {
        tracing::warn!(%error, "the metadata cache was not flushed; the next start begins with an older one");
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Known;
    use super::*;

    fn find_now(reader: &CacheReader, key: &[u8]) -> Option<u64> {
        let found = reader.store.find(&record_key(1, key), &ReadOptions::default());
        found.expect("reads").map(|stored| stored.cached.as_of)
    }

    #[test]
    fn a_restart_finds_entries_and_watermark_but_nothing_evicted() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = |name: &'static str| Bytes::from_static(name.as_bytes());
        {
            let (_reader, writer) = open(dir.path()).expect("opens");
            assert_eq!(*writer.recovered(), Recovered::default());
            for (name, as_of) in [("old", 5), ("own", 7), ("kept", 6)] {
                writer.fill(1, key(name), Cached { as_of, known: Known::Absent });
            }
            let state = Recovered { applied: 7, acknowledged: 7, interest: vec![1] };
            writer.evict(vec![(1, key("old"), 6), (1, key("own"), 7)], 7, state);
            // An answer from before the eviction that comes after it.
            writer.fill(1, key("old"), Cached { as_of: 5, known: Known::Absent });
            writer.stop();
        }
        // The threads of the first one let go of the database a moment after they have stopped.
        let again = std::iter::repeat_with(|| open(dir.path()))
            .take(100)
            .inspect(|opened| {
                if opened.is_err() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            })
            .find(Result::is_ok);
        let (reader, writer) = again.expect("let go in time").expect("opens again");
        assert_eq!(writer.recovered().applied, 7);
        assert_eq!(writer.recovered().interest, vec![1]);
        assert_eq!(find_now(&reader, b"old"), None);
        assert_eq!(find_now(&reader, b"own"), Some(7), "the invalidation of the commit that filled it");
        assert_eq!(find_now(&reader, b"kept"), Some(6));
        writer.clear(Recovered::default());
        writer.stop();
        assert_eq!(find_now(&reader, b"kept"), None);
    }

    #[test]
    fn what_other_keys_raised_does_not_count_against_a_record() {
        let dir = tempfile::tempdir().expect("a directory");
        let (reader, writer) = open(dir.path()).expect("opens");
        let key = Bytes::from_static(b"k");
        let evict = |name: &'static [u8], seq| {
            let state = Recovered { applied: seq, acknowledged: 0, interest: vec![1] };
            writer.evict(vec![(1, Bytes::from_static(name), seq)], seq, state);
            while reader.store.evicted_to.load(Ordering::Acquire) < seq {
                std::thread::yield_now();
            }
        };
        writer.fill(1, key.clone(), Cached { as_of: 5, known: Known::Absent });
        evict(b"other", 9);
        let stored = reader.store.find(&record_key(1, &key), &ReadOptions::default());
        let stored = stored.expect("reads").expect("it was not evicted");
        assert_eq!((stored.cached.as_of, stored.unchanged_to), (5, 9));
        evict(b"k", 12);
        assert_eq!(find_now(&reader, &key), None);
        writer.stop();
    }
}
