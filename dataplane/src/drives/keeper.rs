//! The keeper: one thread per drive for everything about segments that blocks.
//!
//! It hands out segments with a fresh generation, zeroes spare ones in the background, seals those that cores have
//! filled, and writes deletes into segments of its own. A core never waits for the file system's metadata, only, once
//! per segment, for an answer from here.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{Entry, SegmentHeader, SegmentRole, SegmentState};
use tokio::sync::oneshot;

use super::delete_log::DeleteLog;
use super::drive::{Drive, Phase};
use super::flush::io as io_error;
use super::{DriveError, segment};
use crate::index::DriveIndex;
use crate::limits::{DELETES_GATHER, DELETES_PER_BATCH_MAX, SEGMENTS_READY};

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

/// The thread's state.
pub(super) struct Keeper {
    pub(super) drive: Arc<Drive>,
    pub(super) index: Arc<DriveIndex>,
    /// Zeroed, waiting for a life.
    ready: VecDeque<u32>,
    /// Free but not known to be zeroed.
    raw: VecDeque<u32>,
    zeroing: Option<(u32, u64)>,
    next_number: u32,
    next_generation: u32,
    /// After a failed attempt to make room: not before this.
    retry_at: Instant,
    deletes: DeleteLog,
}

impl Keeper {
    pub(super) fn new(drive: Arc<Drive>, index: Arc<DriveIndex>, found: Found) -> Self {
        let (ready, raw): (Vec<_>, Vec<_>) = found.free.into_iter().partition(|(_, zeroed)| *zeroed);
        Self {
            drive,
            index,
            ready: ready.into_iter().map(|(number, _)| number).collect(),
            raw: raw.into_iter().map(|(number, _)| number).collect(),
            zeroing: None,
            next_number: found.next_number,
            next_generation: found.next_generation,
            retry_at: Instant::now(),
            deletes: DeleteLog::default(),
        }
    }

    /// Serves jobs until told to stop; idle time goes into zeroing.
    pub(super) fn run(mut self, jobs: &flume::Receiver<Job>) {
        loop {
            let busy = self.zeroing.is_some() || self.wants_spare();
            let wait = if busy { Duration::ZERO } else { Duration::from_secs(1) };
            match jobs.recv_timeout(wait) {
                Ok(Job::Stop) | Err(flume::RecvTimeoutError::Disconnected) => return self.close(),
                Ok(Job::Delete(first)) => {
                    if self.delete_many(first, jobs) {
                        return self.close();
                    }
                }
                Ok(job) => self.serve(job),
                Err(flume::RecvTimeoutError::Timeout) => self.idle(),
            }
        }
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
            Job::Recycle { segment, generation } => self.recycle(segment, generation),
            Job::Delete(_) | Job::Stop => unreachable!("served by run"),
        }
    }

    /// Begins a life: from the pool, else on a segment made for it.
    pub(super) fn take(&mut self, role: SegmentRole) -> Result<Taken, DriveError> {
        if !self.drive.root.still_mounted() {
            self.drive.fail(
                "its directory is no longer the one that was opened: is the drive still mounted?".into(),
            );
            return Err(DriveError::Failed);
        }
        if role == SegmentRole::Pieces && self.below_reserve() {
            return Err(DriveError::Full);
        }
        let (number, zeroed) = match self.ready.pop_front() {
            Some(number) => (number, true),
            None => (self.raw.pop_front().map_or_else(|| self.create(), Ok)?, false),
        };
        let generation = self.next_generation;
        self.next_generation = generation.checked_add(1).ok_or(DriveError::Failed)?;
        let begin = || -> io::Result<()> {
            let file = segment::open(self.drive.path(), number)?;
            let bytes = self.drive.segment_bytes;
            segment::write_header(
                &file,
                &segment::life(self.drive.id(), number, generation, bytes, role, zeroed),
            )
        };
        begin().map_err(|error| io_error("begin a segment", &error))?;
        self.drive.set_segment(number, generation, Phase::Open);
        self.drive.stats.segments_taken.add(1);
        Ok(Taken { number, generation, zeroed })
    }

    fn below_reserve(&self) -> bool {
        let space = self.drive.space();
        let pooled = !self.ready.is_empty() || !self.raw.is_empty();
        let wanted = if pooled { 0 } else { self.drive.segment_bytes };
        space.free < space.reserve().saturating_add(wanted)
    }

    fn create(&mut self) -> Result<u32, DriveError> {
        let number = self.next_number;
        self.next_number = number.checked_add(1).ok_or(DriveError::Failed)?;
        segment::create(self.drive.path(), number, self.drive.segment_bytes)
            .map_err(|error| io_error("create a segment", &error))?;
        Ok(number)
    }

    pub(super) fn seal(&mut self, seal: Seal) {
        let Seal { number, generation, role, entries, used, cut } = seal;
        let sealed = segment::open(self.drive.path(), number).and_then(|file| {
            let place = self.drive.place(number, generation, 0);
            segment::seal(&file, place, entries, used, cut)
        });
        match sealed {
            Ok(_) => {
                self.drive.set_segment(number, generation, Phase::Sealed);
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
    fn recycle(&mut self, number: u32, generation: u32) {
        let current = self.drive.segments.lock().get(&number).copied();
        let ours =
            current.is_some_and(|found| found.generation == generation && found.phase == Phase::Sealed);
        if !ours || number + 1 == self.next_number || generation + 1 == self.next_generation {
            return;
        }
        let reusable = || -> io::Result<Option<std::fs::File>> {
            let file = segment::open(self.drive.path(), number)?;
            let zeroed = segment::header_of(&file)?.is_some_and(|header| header.zeroed);
            let whole = file.metadata()?.len() == self.drive.segment_bytes;
            Ok((zeroed && whole && self.ready.len() < SEGMENTS_READY).then_some(file))
        };
        let done = match reusable() {
            Ok(Some(file)) => self.free(&file, number, generation),
            Ok(None) => self.remove(number),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => self.drive.stats.segments_recycled.add(1),
            Err(error) => self.drive.note_error(&io_error("recycle a segment", &error)),
        }
    }

    fn free(&mut self, file: &std::fs::File, number: u32, generation: u32) -> io::Result<()> {
        self.write_free(file, number, generation, true)?;
        self.drive.set_segment(number, generation, Phase::Free);
        self.ready.push_back(number);
        Ok(())
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        // Cut first: cores may hold it open for reading, and its blocks are wanted back now.
        segment::open(self.drive.path(), number)?.set_len(0)?;
        std::fs::remove_file(segment::path_of(self.drive.path(), number))?;
        self.drive.segments.lock().remove(&number);
        Ok(())
    }

    fn write_free(&self, file: &std::fs::File, number: u32, generation: u32, zeroed: bool) -> io::Result<()> {
        let bytes = self.drive.segment_bytes;
        let life = segment::life(self.drive.id(), number, generation, bytes, SegmentRole::Pieces, zeroed);
        segment::write_header(file, &SegmentHeader { state: SegmentState::Free, ..life })
    }

    fn wants_spare(&self) -> bool {
        self.ready.len() < SEGMENTS_READY && Instant::now() >= self.retry_at && !self.drive.failed()
    }

    /// A second or a chunk of zeros at a time.
    fn idle(&mut self) {
        if self.drive.state() == super::DriveState::Full && !self.below_reserve() {
            self.drive.set_full(false);
        }
        if let Err(error) = self.zero_on() {
            self.retry_at = Instant::now() + Duration::from_secs(10);
            self.zeroing = None;
            if error != DriveError::Full {
                self.drive.note_error(&error);
            }
        }
    }

    fn zero_on(&mut self) -> Result<(), DriveError> {
        let Some((number, at)) = self.zeroing else {
            if self.wants_spare() {
                if self.below_reserve() || !self.drive.root.still_mounted() {
                    return Err(DriveError::Full);
                }
                let number = self.raw.pop_front().map_or_else(|| self.create(), Ok)?;
                self.zeroing = Some((number, u64::from(segment::RECORDS_AT)));
            }
            return Ok(());
        };
        let (bytes, root) = (self.drive.segment_bytes, self.drive.path());
        let next = segment::zero_chunk(root, number, at, bytes, self.drive.direct);
        if let Some(next) = next.map_err(|error| io_error("zero a segment", &error))? {
            self.zeroing = Some((number, next));
            return Ok(());
        }
        self.zeroing = None;
        segment::open(root, number)
            .and_then(|file| self.write_free(&file, number, 0, true))
            .map_err(|error| io_error("zero a segment", &error))?;
        self.drive.set_segment(number, 0, Phase::Free);
        self.ready.push_back(number);
        Ok(())
    }

    /// Gathers deletes, writes them as one batch and answers. Other jobs that came in between are served after it;
    /// says whether one of them was to stop.
    fn delete_many(&mut self, first: Delete, jobs: &flume::Receiver<Job>) -> bool {
        let until = Instant::now() + DELETES_GATHER;
        let (mut batch, mut others) = (vec![first], Vec::new());
        while batch.len() < DELETES_PER_BATCH_MAX {
            match jobs.recv_deadline(until) {
                Ok(Job::Delete(delete)) => batch.push(delete),
                // A core waits for it: not behind a flush.
                Ok(job @ Job::Take(_)) => self.serve(job),
                Ok(Job::Stop) => {
                    others.push(Job::Stop);
                    break;
                }
                Ok(job) => others.push(job),
                Err(_) => break,
            }
        }
        let mut log = std::mem::take(&mut self.deletes);
        log.write(self, batch);
        self.deletes = log;
        let mut stop = false;
        for job in others {
            match job {
                Job::Stop => stop = true,
                job => self.serve(job),
            }
        }
        stop
    }

    fn close(mut self) {
        if let Some(seal) = self.deletes.close() {
            self.seal(seal);
        }
    }
}
