//! The index thread: the only writer of RocksDB, the reader of what is not in memory, the keeper of live counts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use holdfast_common::id::FragmentId;
use rocksdb::{DB, Direction, IteratorMode, WriteBatch, WriteOptions};
use tokio::sync::oneshot;

use super::overlay::Overlay;
use super::{IndexError, Key, Location, OnEmpty};
use crate::limits::{INDEX_BATCH_MAX, INDEX_CHECKPOINT_EVERY};

/// What the thread is asked.
pub(super) enum Job {
    Insert { slot: usize, entries: Vec<(Key, Location)> },
    Remove { slot: usize, fragment: FragmentId, rows: u32 },
    Read { slot: usize, key: Key, answer: oneshot::Sender<Result<Option<Location>, IndexError>> },
    Sealed { slot: usize, segment: u32, generation: u32 },
    ReportEmpty(OnEmpty),
    Checkpoint(Option<flume::Sender<()>>),
    Stop,
}

/// A life of a segment.
type Life = (u32, u32);

/// What is known of one drive.
#[derive(Default)]
struct Tally {
    /// Living pieces per life. A life restored from a checkpoint counts what lived then.
    live: HashMap<Life, i64>,
    sealed: HashSet<Life>,
    emptied: Vec<Life>,
}

pub(super) struct Worker {
    db: Arc<DB>,
    names: Vec<String>,
    overlay: Arc<Overlay>,
    tallies: Vec<Tally>,
    batch: WriteBatch,
    batched: Vec<(usize, Vec<(Key, Location)>)>,
    on_empty: Option<OnEmpty>,
    dirty: bool,
    checkpointed: Instant,
}

impl Worker {
    pub(super) fn new(db: Arc<DB>, names: Vec<String>, overlay: Arc<Overlay>) -> Result<Self, IndexError> {
        let tallies = names.iter().map(|name| Ok(Tally::restored(read_checkpoint(&db, name)?)));
        let tallies = tallies.collect::<Result<_, IndexError>>()?;
        let batch = WriteBatch::default();
        let (batched, checkpointed) = (Vec::new(), Instant::now());
        Ok(Self { db, names, overlay, tallies, batch, batched, on_empty: None, dirty: false, checkpointed })
    }

    pub(super) fn run(mut self, inbox: &flume::Receiver<Job>) {
        loop {
            let first = match inbox.recv_timeout(INDEX_CHECKPOINT_EVERY) {
                Ok(job) => Some(job),
                Err(flume::RecvTimeoutError::Timeout) => None,
                Err(flume::RecvTimeoutError::Disconnected) => Some(Job::Stop),
            };
            let more = inbox.try_iter().take(INDEX_BATCH_MAX).collect::<Vec<_>>();
            let mut stop = false;
            for job in first.into_iter().chain(more) {
                stop |= matches!(job, Job::Stop);
                self.serve(job);
            }
            self.settle();
            self.tell_empty();
            if stop || (self.dirty && self.checkpointed.elapsed() >= INDEX_CHECKPOINT_EVERY) {
                self.checkpoint();
            }
            if stop {
                return;
            }
        }
    }

    fn serve(&mut self, job: Job) {
        match job {
            Job::Insert { slot, entries } => self.insert(slot, entries),
            Job::Remove { slot, fragment, rows } => {
                self.settle();
                self.remove(slot, fragment, rows);
                self.overlay.settle_removal(slot, fragment);
            }
            Job::Read { slot, key, answer } => {
                self.settle();
                // Who dropped the other end no longer wants to know.
                let _ = answer.send(self.read(slot, &key));
            }
            Job::Sealed { slot, segment, generation } => {
                self.dirty = true;
                let tally = &mut self.tallies[slot];
                tally.sealed.insert((segment, generation));
                tally.look_at((segment, generation));
            }
            Job::ReportEmpty(tell) => self.on_empty = Some(tell),
            Job::Checkpoint(done) => {
                self.settle();
                self.checkpoint();
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            Job::Stop => {}
        }
    }

    fn insert(&mut self, slot: usize, entries: Vec<(Key, Location)>) {
        let Self { db, names, batch, tallies, .. } = self;
        let family = db.cf_handle(&names[slot]).expect("opened with the database");
        for (key, location) in &entries {
            batch.put_cf(family, key.as_bytes(), location.to_bytes());
            *tallies[slot].live.entry((location.segment, location.generation)).or_default() += 1;
        }
        self.batched.push((slot, entries));
    }

    /// Writes what was gathered. RocksDB's own log is off: the drives are the log.
    fn settle(&mut self) {
        if self.batched.is_empty() {
            return;
        }
        if let Err(error) = self.db.write_opt(std::mem::take(&mut self.batch), &unlogged()) {
            // The overlay keeps what RocksDB refused, so reads go on; memory grows until an operator acts.
            tracing::error!(%error, "the drive index cannot be written; restart after making room for it");
            self.batched.clear();
            return;
        }
        for (slot, entries) in self.batched.drain(..) {
            self.overlay.settle(slot, &entries);
        }
    }

    fn remove(&mut self, slot: usize, fragment: FragmentId, rows: u32) {
        let family = self.db.cf_handle(&self.names[slot]).expect("opened with the database");
        let start = Key::new(fragment, 0);
        let mut batch = WriteBatch::default();
        let found = self.db.iterator_cf(family, IteratorMode::From(start.as_bytes(), Direction::Forward));
        for (key, value) in found.map_while(Result::ok) {
            let Some(key) = Key::parse(&key).filter(|key| key.fragment() == fragment && key.row() < rows)
            else {
                break;
            };
            batch.delete_cf(family, key.as_bytes());
            if let Some(location) = Location::parse(&value) {
                let life = (location.segment, location.generation);
                *self.tallies[slot].live.entry(life).or_default() -= 1;
                self.tallies[slot].look_at(life);
            }
        }
        if let Err(error) = self.db.write_opt(batch, &unlogged()) {
            tracing::error!(%error, "the drive index cannot be written; restart after making room for it");
        }
        self.dirty = true;
    }

    fn read(&self, slot: usize, key: &Key) -> Result<Option<Location>, IndexError> {
        let family = self.db.cf_handle(&self.names[slot]).expect("opened with the database");
        let found = self.db.get_pinned_cf(family, key.as_bytes())?;
        Ok(found.and_then(|bytes| Location::parse(&bytes)))
    }

    /// Reports lives that hold nothing any more. No checkpoint is needed first: removals are durable in the delete log,
    /// which every start applies again.
    fn tell_empty(&mut self) {
        if self.on_empty.is_none() || self.tallies.iter().all(|tally| tally.emptied.is_empty()) {
            return;
        }
        let emptied: Vec<Vec<Life>> =
            self.tallies.iter_mut().map(|tally| std::mem::take(&mut tally.emptied)).collect();
        for (tally, lives) in self.tallies.iter_mut().zip(&emptied) {
            for life in lives {
                tally.live.remove(life);
                tally.sealed.remove(life);
            }
        }
        self.dirty = true;
        let tell = self.on_empty.as_ref().expect("looked at above");
        for (slot, lives) in emptied.into_iter().enumerate() {
            lives.into_iter().for_each(|(segment, generation)| tell(slot, segment, generation));
        }
    }

    /// Makes RocksDB durable, then writes down which lives that covers.
    fn checkpoint(&mut self) {
        self.checkpointed = Instant::now();
        self.dirty = false;
        let result = self.names.iter().zip(&self.tallies).try_for_each(|(name, tally)| {
            let family = self.db.cf_handle(name).expect("opened with the database");
            self.db.flush_cf(family)?;
            let mut synced = WriteOptions::default();
            synced.set_sync(true);
            self.db.put_opt(checkpoint_key(name), tally.encode(), &synced)
        });
        if let Err(error) = result {
            tracing::error!(%error, "no checkpoint of the drive index; the next start reads more of the drives");
        }
    }
}

impl Tally {
    fn restored(live: HashMap<Life, i64>) -> Self {
        let sealed = live.keys().copied().collect();
        let emptied = live.iter().filter(|(_, count)| **count <= 0).map(|(life, _)| *life).collect();
        Self { live, sealed, emptied }
    }

    fn look_at(&mut self, life: Life) {
        let empty = self.live.get(&life).is_none_or(|count| *count <= 0);
        if empty && self.sealed.contains(&life) && !self.emptied.contains(&life) {
            self.emptied.push(life);
        }
    }

    /// Version u8, then (segment u32, generation u32, living pieces u64) of every sealed life, little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![CHECKPOINT_VERSION];
        for life in &self.sealed {
            out.extend(life.0.to_le_bytes());
            out.extend(life.1.to_le_bytes());
            out.extend(self.live.get(life).copied().unwrap_or(0).to_le_bytes());
        }
        out
    }
}

const CHECKPOINT_VERSION: u8 = 1;

/// Sealed lives of one drive at its last checkpoint, with their living pieces. One of another version counts as none.
pub(super) fn read_checkpoint(db: &DB, name: &str) -> Result<HashMap<Life, i64>, IndexError> {
    let bytes = db.get(checkpoint_key(name))?.unwrap_or_default();
    let Some((&CHECKPOINT_VERSION, lives)) = bytes.split_first() else { return Ok(HashMap::new()) };
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
    let lives = lives.chunks_exact(16).map(|life| {
        let count = i64::from_le_bytes(life[8..].try_into().expect("8 bytes"));
        ((word(&life[..4]), word(&life[4..8])), count)
    });
    Ok(lives.collect())
}

fn checkpoint_key(name: &str) -> String {
    format!("checkpoint/{name}")
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
