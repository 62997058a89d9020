//! The keeper: one thread (or, in a simulator, task) per drive for everything about segments that blocks.
//!
//! It hands out segments with a fresh generation, zeroes spare ones in the background, seals those that cores have
//! filled, and writes deletes into segments of its own. A core never waits for the file system's metadata, only, once
//! per segment, for an answer from here.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{Entry, SegmentHeader, SegmentRole, SegmentState};
use tokio::sync::oneshot;

use super::collect::Collector;
use super::compact::Compactor;
use super::delete_log::DeleteLog;
use super::drive::{Drive, Phase};
use super::flush::io as io_error;
use super::host::HostFile;
use super::{DriveError, DriveState, segment};
use crate::index::{DriveIndex, Life};
use crate::limits::{
    DELETES_GATHER, DELETES_PER_BATCH_MAX, KEEPER_IDLE_BY, KEEPER_REST, KEEPER_RETRY, SEGMENTS_KEPT,
    SEGMENTS_READY, SLOW_TRY_BYTES, SLOW_TRY_EVERY,
};
use crate::rt::{AlignedBuf, OpenOptions, Rt, receive_within};

/// What the keeper is asked.
#[derive(Debug)]
pub(super) enum Job {
    Take(oneshot::Sender<Result<Taken, DriveError>>),
    Seal(Seal),
    Delete(Delete),
    /// Every piece of a sealed segment is gone.
    Recycle {
        segment: u32,
        generation: u32,
    },
    Stop,
}

/// A segment whose life has begun, for one core to append to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub number: u32,
    pub generation: u32,
    pub zeroed: bool,
}

/// A segment that its core is done with.
#[derive(Debug)]
pub(super) struct Seal {
    pub number: u32,
    pub generation: u32,
    pub role: SegmentRole,
    pub entries: Vec<Entry>,
    /// Where its last record's sector ends.
    pub used: u64,
    /// Left early: give the rest of its space back.
    pub cut: bool,
}

/// A fragment to forget.
#[derive(Debug)]
pub(super) struct Delete {
    pub fragment: FragmentId,
    pub rows: u32,
    pub done: oneshot::Sender<Result<(), DriveError>>,
}

/// What recovery found, where the keeper starts.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Segments without records: number and whether they were zeroed.
    pub free: Vec<(u32, bool)>,
    pub next_number: u32,
    pub next_generation: u32,
}

/// Its state.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) drive: Arc<Drive>,
    pub(super) index: Arc<DriveIndex>,
    /// Zeroed, waiting for a life.
    ready: VecDeque<u32>,
    /// Free but not known to be zeroed.
    raw: VecDeque<u32>,
    zeroing: Option<Zeroing>,
    next_number: u32,
    next_generation: u32,
    /// After a failed attempt to make room: not before this.
    retry_at: Instant,
    look_at: Instant,
    try_at: Instant,
    deletes: DeleteLog,
    /// Deletes of the next batch, which is written at `gather_until`.
    gathered: Vec<Delete>,
    gather_until: Instant,
    compactor: Compactor,
    collector: Collector,
    /// Of logs of deletes that were sealed since the start: the first generation that began after that.
    deletes_bounds: HashMap<Life, u32>,
    first_generation: u32,
    next_look: Instant,
    /// When compaction goes on, and by when something is done for it even if jobs never end.
    next_step: Instant,
    idle_by: Instant,
}

/// A segment being written over with zeros.
#[derive(Debug)]
struct Zeroing {
    number: u32,
    file: Box<dyn HostFile>,
    at: u64,
}

impl Keeper {
    pub(super) fn new(drive: Arc<Drive>, index: Arc<DriveIndex>, found: Found) -> Self {
        let (ready, raw): (Vec<_>, Vec<_>) = found.free.into_iter().partition(|(_, zeroed)| *zeroed);
        let now = drive.host().now();
        Self {
            drive,
            index,
            ready: ready.into_iter().map(|(number, _)| number).collect(),
            raw: raw.into_iter().map(|(number, _)| number).collect(),
            zeroing: None,
            next_number: found.next_number,
            next_generation: found.next_generation,
            retry_at: now,
            look_at: now,
            try_at: now,
            deletes: DeleteLog::default(),
            gathered: Vec::new(),
            gather_until: now,
            compactor: Compactor::new(now),
            collector: Collector::new(now),
            deletes_bounds: HashMap::new(),
            first_generation: found.next_generation,
            next_look: now,
            next_step: now,
            idle_by: now,
        }
    }

    /// Serves jobs on a thread of its own until told to stop.
    pub(super) fn run(mut self, jobs: &flume::Receiver<Job>) {
        let mut wait = Some(Duration::ZERO);
        while let Some(patience) = wait {
            wait = match jobs.recv_timeout(patience) {
                Ok(job) => self.turn(Some(job)),
                Err(flume::RecvTimeoutError::Timeout) => self.turn(None),
                Err(flume::RecvTimeoutError::Disconnected) => self.turn(Some(Job::Stop)),
            };
        }
    }

    /// As [`Keeper::run`], in a task between others. What blocks, blocks them: for simulators.
    pub(super) async fn run_on<R: Rt>(mut self, jobs: flume::Receiver<Job>) {
        let mut wait = Some(Duration::ZERO);
        while let Some(patience) = wait {
            let job = next_job::<R>(&jobs, patience).await;
            wait = self.turn(job);
        }
    }

    /// Serves a job, or, when none came in time, does what waits for a quiet moment. Says how long to wait for the next
    /// job at most; `None`: it is over.
    fn turn(&mut self, job: Option<Job>) -> Option<Duration> {
        self.drive.turns.add(1);
        let quiet = job.is_none();
        match job {
            Some(Job::Stop) => {
                self.write_deletes();
                self.close();
                return None;
            }
            Some(Job::Delete(delete)) => self.gather(delete),
            Some(job) => self.serve(job),
            None => {}
        }
        if self.now() >= self.look_at {
            self.look_at = self.now() + KEEPER_REST;
            self.look();
        }
        if !self.gathered.is_empty() {
            let left = self.gather_until.saturating_duration_since(self.now());
            if !left.is_zero() && self.gathered.len() < DELETES_PER_BATCH_MAX {
                return Some(left);
            }
            self.write_deletes();
        } else if quiet || self.now() >= self.idle_by {
            self.idle();
        }
        let busy = self.zeroing.is_some() || self.wants_spare();
        Some(if busy {
            Duration::ZERO
        } else {
            self.next_step.min(self.next_look).saturating_duration_since(self.now()).min(KEEPER_REST)
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.drive.host().now()
    }

    fn serve(&mut self, job: Job) {
        match job {
            Job::Take(answer) => {
                let taken = self.take(SegmentRole::Pieces);
                if let Err(error) = &taken {
                    self.drive.note_error(error);
                }
                // A core that has gone leaves an empty segment behind; the next start frees it.
                let _ = answer.send(taken);
            }
            Job::Seal(seal) => self.seal(seal),
            Job::Recycle { segment, generation } => self.compactor.vacated((segment, generation)),
            Job::Delete(_) | Job::Stop => unreachable!("served by turn"),
        }
    }

    /// Begins a life for new pieces or for deletes.
    pub(super) fn take(&mut self, role: SegmentRole) -> Result<Taken, DriveError> {
        let pieces = role == SegmentRole::Pieces;
        if pieces && self.drive.failed() {
            return Err(DriveError::Failed);
        }
        if pieces && self.is_there() && self.is_full() {
            return Err(DriveError::Full);
        }
        self.begin(role, !pieces)
    }

    /// Begins a life for copies of living pieces. They give back more room than they take, so a full drive has it too.
    pub(super) fn take_for_copies(&mut self) -> Result<Taken, DriveError> {
        self.begin(SegmentRole::Pieces, false)
    }

    /// Begins a life: from the pool, of which `last` may take the last one, else on a segment made for it.
    fn begin(&mut self, role: SegmentRole, last: bool) -> Result<Taken, DriveError> {
        if !self.is_there() {
            return Err(DriveError::Failed);
        }
        let (number, zeroed) = match self.take_pooled(last) {
            Some(found) => found,
            None => (self.create()?, false),
        };
        let generation = self.next_generation;
        if !crate::mutant!("generation-not-bumped") {
            self.next_generation = generation.checked_add(1).ok_or(DriveError::Failed)?;
        }
        let begin = || -> io::Result<()> {
            let file = self.drive.segment_file(number)?;
            segment::write_header(&*file, &self.life(number, generation, role, zeroed))
        };
        begin().map_err(|error| io_error("begin a segment", &error))?;
        self.drive.set_segment(number, generation, Phase::Open, role, self.drive.segment_bytes);
        self.drive.stats.segments_taken.add(1);
        Ok(Taken { number, generation, zeroed })
    }

    /// A free segment and whether it is zeroed.
    fn take_pooled(&mut self, last: bool) -> Option<(u32, bool)> {
        if !last && self.pooled() <= SEGMENTS_KEPT {
            return None;
        }
        let ready = self.ready.pop_front().map(|number| (number, true));
        ready.or_else(|| self.raw.pop_front().map(|number| (number, false)))
    }

    /// Free segments.
    fn pooled(&self) -> usize {
        self.ready.len() + self.raw.len()
    }

    /// Whether the drive's directory is still the one that was opened; if not, the drive has failed, and nothing must be
    /// created where it was.
    fn is_there(&self) -> bool {
        let there = self.drive.still_mounted();
        if !there {
            let sentence = "its directory is no longer the one that was opened: is the drive still mounted?";
            self.drive.fail(sentence.into());
        }
        there
    }

    /// Whether one more segment of pieces would touch the reserve.
    fn is_full(&self) -> bool {
        !self.has_room(if self.pooled() > SEGMENTS_KEPT { 0 } else { self.drive.segment_bytes })
    }

    /// Whether so many bytes leave the reserve alone.
    fn has_room(&self, bytes: u64) -> bool {
        let space = self.drive.ask_space();
        space.free >= space.reserve().saturating_add(bytes)
    }

    fn create(&mut self) -> Result<u32, DriveError> {
        let number = self.next_number;
        self.next_number = number.checked_add(1).ok_or(DriveError::Failed)?;
        segment::create(self.drive.host(), self.drive.path(), number, self.drive.segment_bytes)
            .map_err(|error| io_error("create a segment", &error))?;
        Ok(number)
    }

    pub(super) fn seal(&mut self, seal: Seal) {
        let Seal { number, generation, role, entries, used, cut } = seal;
        let sealed = self.drive.segment_file(number).and_then(|file| {
            let place = self.drive.place(number, generation, 0);
            segment::seal(&*file, place, entries, used, cut)
        });
        match sealed {
            Ok(bytes) => {
                if role == SegmentRole::Deletes {
                    self.deletes_bounds.insert((number, generation), self.next_generation);
                }
                self.drive.set_segment(number, generation, Phase::Sealed, role, bytes);
                if role == SegmentRole::Pieces {
                    self.index.sealed(self.drive.slot, number, generation);
                }
            }
            Err(error) => {
                // Its flush may be what failed. Unsealed it is found by a walk.
                self.drive.device.note_failure();
                self.drive.note_error(&io_error("seal a segment", &error));
            }
        }
    }

    /// Gives the space of a segment without living records back. The highest number and generation stay, so that
    /// neither is ever handed out twice.
    /// False: not now.
    pub(super) fn recycle(&mut self, (number, generation): Life) -> bool {
        let current = self.drive.segments.lock().get(&number).copied();
        let ours =
            current.is_some_and(|found| found.generation == generation && found.phase == Phase::Sealed);
        if !ours {
            return true;
        }
        if number + 1 == self.next_number || generation + 1 == self.next_generation {
            return false;
        }
        let reusable = || -> io::Result<Option<Box<dyn HostFile>>> {
            let file = self.drive.segment_file(number)?;
            let zeroed = segment::header_of(&*file)?.is_some_and(|header| header.zeroed);
            let whole = file.size()? == self.drive.segment_bytes;
            Ok((zeroed && whole && self.ready.len() < SEGMENTS_READY).then_some(file))
        };
        let done = match reusable() {
            Ok(Some(file)) => self.free(&*file, number, generation),
            Ok(None) => self.remove(number),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => self.drive.stats.segments_recycled.add(1),
            Err(error) => self.drive.note_error(&io_error("recycle a segment", &error)),
        }
        true
    }

    fn free(&mut self, file: &dyn HostFile, number: u32, generation: u32) -> io::Result<()> {
        self.write_free(file, number, generation, true)?;
        let bytes = self.drive.segment_bytes;
        self.drive.set_segment(number, generation, Phase::Free, SegmentRole::Pieces, bytes);
        self.ready.push_back(number);
        Ok(())
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        // Cut first: cores may hold it open for reading, and its blocks are wanted back now.
        self.drive.segment_file(number)?.set_len(0)?;
        self.drive.host().remove_file(&segment::path_of(self.drive.path(), number))?;
        self.drive.segments.lock().remove(&number);
        Ok(())
    }

    fn write_free(&self, file: &dyn HostFile, number: u32, generation: u32, zeroed: bool) -> io::Result<()> {
        let life = self.life(number, generation, SegmentRole::Pieces, zeroed);
        segment::write_header(file, &SegmentHeader { state: SegmentState::Free, ..life })
    }

    /// A header for a life that begins now.
    fn life(&self, number: u32, generation: u32, role: SegmentRole, zeroed: bool) -> SegmentHeader {
        let (bytes, now) = (self.drive.segment_bytes, self.drive.host().unix_ms());
        segment::life(self.drive.id(), number, generation, bytes, role, zeroed, now)
    }

    fn wants_spare(&self) -> bool {
        self.ready.len() < SEGMENTS_READY && self.now() >= self.retry_at && !self.drive.failed()
    }

    /// Finds out by itself what would otherwise be found out by an append that fails.
    fn look(&mut self) {
        if !self.drive.failed() && self.is_there() {
            self.drive.set_full(self.is_full() || self.drive.was_full());
        }
        if matches!(self.drive.state(), DriveState::Slow(_)) && self.now() >= self.try_at {
            self.try_at = self.now() + SLOW_TRY_EVERY;
            if let Err(error) = self.try_again() {
                self.drive.note_error(&io_error("try a slow drive", &error));
            }
        }
    }

    /// Writes and flushes zeros in a free segment, where they change nothing, to see how long that takes now.
    fn try_again(&mut self) -> io::Result<()> {
        let Some(number) = self.ready.front().or(self.raw.front()).copied() else { return Ok(()) };
        let began = self.now();
        let file = self.open_to_zero(number)?;
        file.write_all_at(&AlignedBuf::zeroed(SLOW_TRY_BYTES), u64::from(segment::RECORDS_AT))?;
        file.sync_data()?;
        let now = self.now();
        if self.drive.paces.is_well(self.drive.slot, now - began, now) {
            self.drive.set_slow(None);
        }
        Ok(())
    }

    /// A chunk of zeros, or a step of compaction.
    fn idle(&mut self) {
        self.idle_by = self.now() + KEEPER_IDLE_BY;
        let now = self.now();
        if self.zeroing.is_none() && !self.wants_spare() && now >= self.next_step.min(self.next_look) {
            if self.next_look < self.next_step {
                self.collect();
            } else {
                self.compact();
            }
            return;
        }
        if let Err(error) = self.zero_on() {
            self.retry_at = self.now() + KEEPER_RETRY;
            if error != DriveError::Full {
                self.drive.note_error(&error);
            }
        }
    }

    fn zero_on(&mut self) -> Result<(), DriveError> {
        let Some(zeroing) = self.zeroing.take() else {
            if self.wants_spare() {
                self.zeroing = Some(self.begin_zeroing()?);
            }
            return Ok(());
        };
        let number = zeroing.number;
        let zeroed = self.zero_more(zeroing);
        zeroed.map_err(|error| {
            // It holds nothing, and would come back at the next start only.
            let _ = self.remove(number);
            io_error("zero a segment", &error)
        })
    }

    fn zero_more(&mut self, mut zeroing: Zeroing) -> io::Result<()> {
        match segment::zero_chunk(&*zeroing.file, zeroing.at, self.drive.segment_bytes)? {
            Some(next) => zeroing.at = next,
            None => return self.free(&*self.drive.segment_file(zeroing.number)?, zeroing.number, 0),
        }
        self.zeroing = Some(zeroing);
        Ok(())
    }

    fn begin_zeroing(&mut self) -> Result<Zeroing, DriveError> {
        let new_bytes = if self.raw.is_empty() { self.drive.segment_bytes } else { 0 };
        if !self.has_room(new_bytes) || !self.is_there() {
            return Err(DriveError::Full);
        }
        let number = self.raw.pop_front().map_or_else(|| self.create(), Ok)?;
        let file = self.open_to_zero(number).map_err(|error| io_error("zero a segment", &error))?;
        Ok(Zeroing { number, file, at: u64::from(segment::RECORDS_AT) })
    }

    fn open_to_zero(&self, number: u32) -> io::Result<Box<dyn HostFile>> {
        let options = OpenOptions { direct: self.drive.direct, write: true, ..OpenOptions::default() };
        self.drive.host().open(&segment::path_of(self.drive.path(), number), options)
    }

    fn gather(&mut self, delete: Delete) {
        if self.gathered.is_empty() {
            self.gather_until = self.now() + DELETES_GATHER;
        }
        self.gathered.push(delete);
    }

    /// Writes the gathered deletes as one batch and answers.
    fn write_deletes(&mut self) {
        let batch = std::mem::take(&mut self.gathered);
        if batch.is_empty() {
            return;
        }
        let mut log = std::mem::take(&mut self.deletes);
        log.write(self, batch);
        self.deletes = log;
    }

    fn compact(&mut self) {
        let now = self.now();
        let mut compactor = std::mem::replace(&mut self.compactor, Compactor::new(now));
        self.next_step = self.now() + compactor.step(self);
        self.compactor = compactor;
    }

    fn collect(&mut self) {
        let now = self.now();
        let mut collector = std::mem::replace(&mut self.collector, Collector::new(now));
        self.next_look = now + collector.step(self);
        self.collector = collector;
    }

    /// Writes deletes again that are still needed.
    pub(super) fn keep_deletes(&mut self, deletes: &[(FragmentId, u32)]) -> Result<(), DriveError> {
        let mut log = std::mem::take(&mut self.deletes);
        let kept = log.keep(self, deletes);
        self.deletes = log;
        kept
    }

    /// A segment whose life has this generation or a later one holds nothing of what a sealed log deletes.
    pub(super) fn deletes_bound(&self, log: Life) -> u32 {
        self.deletes_bounds.get(&log).copied().unwrap_or(self.first_generation)
    }

    fn close(&mut self) {
        let now = self.now();
        let mut compactor = std::mem::replace(&mut self.compactor, Compactor::new(now));
        compactor.close(self);
        if let Some(seal) = self.deletes.close() {
            self.seal(seal);
        }
    }
}

/// The next job, `None` when none came within `patience`. The other tasks of the core have a turn first.
async fn next_job<R: Rt>(jobs: &flume::Receiver<Job>, patience: Duration) -> Option<Job> {
    R::yield_now().await;
    match jobs.try_recv() {
        Ok(job) => return Some(job),
        Err(flume::TryRecvError::Disconnected) => return Some(Job::Stop),
        Err(flume::TryRecvError::Empty) if patience.is_zero() => return None,
        Err(flume::TryRecvError::Empty) => {}
    }
    match receive_within::<R, _>(jobs, patience).await {
        Ok(job) => Some(job),
        Err(flume::RecvTimeoutError::Timeout) => None,
        Err(flume::RecvTimeoutError::Disconnected) => Some(Job::Stop),
    }
}
