//! One core's appends to one drive: what waits together is written together.
//!
//! Pieces queue up while a write is in flight; the next write takes them all, up to a bound: small ones encoded back to
//! back into one aligned buffer, large ones each from its own, all at once. One such batch at a time: 1 MiB comes within 5 %
//! of the device (MEASURED.md A2), and order between a piece and what follows it needs no thought.

mod batch;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use holdfast_protocol::record::{Entry, SegmentRole, record_bytes, table_bytes};
use tokio::sync::oneshot;

use super::drive::Drive;
use super::flush::{Ticket, io as io_error};
use super::keeper::{Job, Seal, Taken};
use super::{DriveError, Piece, Receipt, segment};
use crate::index::{DriveIndex, Key, Location};
use crate::limits::{APPEND_QUEUE_BYTES_MAX, APPEND_WAITERS_MAX, BATCH_BYTES, WRITE_STALL};
use crate::rt::{DiskFile, OpenOptions, Rt};
pub use batch::piece_buffer;
use batch::{Batch, Records, bytes_of};

/// A core's end of one drive.
pub(super) struct Writer<R: Rt> {
    pub(super) drive: Arc<Drive>,
    index: Arc<DriveIndex>,
    queue: RefCell<VecDeque<Waiting>>,
    queued_bytes: Cell<usize>,
    room_wanted: RefCell<VecDeque<oneshot::Sender<()>>>,
    pub(super) running: Cell<bool>,
    /// Who waits for the write in flight.
    in_flight: RefCell<Vec<oneshot::Sender<Result<(), DriveError>>>>,
    /// When it began.
    pub(super) writing_since: Cell<Option<Instant>>,
    pub(super) watched: Cell<bool>,
    open: RefCell<Option<Rc<OpenSegment<R>>>>,
}

enum Waiting {
    Piece(Box<Piece>, oneshot::Sender<Result<(), DriveError>>),
    /// Resolves when everything before it is done.
    Barrier(oneshot::Sender<()>),
}

/// The segment being appended to.
struct OpenSegment<R: Rt> {
    taken: Taken,
    file: Rc<R::File>,
    at: Cell<u32>,
    entries: RefCell<Vec<Entry>>,
    /// The device's ticket when one flush covers all, else its own.
    ticket: Arc<Ticket>,
    covered: bool,
    /// Failed flushes when it was opened.
    since: Receipt,
    /// A write failed: nothing more goes in, but what was written before is still flushed through it.
    spoiled: Cell<bool>,
}

impl<R: Rt> Writer<R> {
    pub(super) fn new(drive: Arc<Drive>, index: Arc<DriveIndex>) -> Rc<Self> {
        Rc::new(Self {
            drive,
            index,
            queue: RefCell::default(),
            queued_bytes: Cell::new(0),
            room_wanted: RefCell::default(),
            running: Cell::new(false),
            in_flight: RefCell::default(),
            writing_since: Cell::new(None),
            watched: Cell::new(false),
            open: RefCell::new(None),
        })
    }

    pub(super) async fn append(self: &Rc<Self>, piece: Piece) -> Result<Receipt, DriveError> {
        // What came from elsewhere may be anything.
        record_bytes(piece.payload.len(), piece.fields.len())
            .map_err(|error| DriveError::Io { step: "append", error: error.to_string() })?;
        self.room().await?;
        let receipt = self.drive.device.receipt();
        let (done, answered) = oneshot::channel();
        self.queued_bytes.set(self.queued_bytes.get() + piece.payload.len());
        self.queue.borrow_mut().push_back(Waiting::Piece(Box::new(piece), done));
        self.kick();
        answered.await.unwrap_or(Err(DriveError::Failed))?;
        Ok(receipt)
    }

    /// Waits until the queue is below its bound.
    async fn room(&self) -> Result<(), DriveError> {
        loop {
            if self.drive.failed() {
                return Err(DriveError::Failed);
            }
            if self.queued_bytes.get() < APPEND_QUEUE_BYTES_MAX {
                return Ok(());
            }
            let stalled = self.writing_since.get().is_some_and(|since| R::now() - since > WRITE_STALL);
            let (wake, woken) = oneshot::channel();
            {
                let mut waiters = self.room_wanted.borrow_mut();
                if stalled || waiters.len() >= APPEND_WAITERS_MAX {
                    return Err(DriveError::Busy);
                }
                waiters.push_back(wake);
            }
            let _ = woken.await;
        }
    }

    /// Resolves when all that was appended before has been written or has failed.
    pub(super) async fn barrier(self: &Rc<Self>) {
        if self.drive.failed() {
            return;
        }
        let (done, passed) = oneshot::channel();
        self.queue.borrow_mut().push_back(Waiting::Barrier(done));
        self.kick();
        let _ = passed.await;
    }

    pub(super) async fn flush(self: &Rc<Self>, first: Receipt) -> Result<(), DriveError> {
        if self.drive.failed() {
            return Err(DriveError::Failed);
        }
        let open = self.open.borrow().clone().filter(|_| !crate::mutant!("skip-flush"));
        if let Some(open) = open {
            self.watch();
            let began = R::now();
            let flushed = open.ticket.flush::<R>(Rc::clone(&open.file)).await;
            self.drive.paces.flushed(self.drive.slot, R::now() - began, R::now());
            flushed.inspect_err(|error| self.drive.note_flush_error(error))?;
        }
        if self.drive.device.receipt() == first {
            Ok(())
        } else {
            Err(DriveError::Io {
                step: "flush",
                error: "a flush of the device failed since the append".into(),
            })
        }
    }

    /// Seals the open segment early and gives the rest of it back.
    pub(super) async fn close(self: &Rc<Self>) {
        self.barrier().await;
        let open = self.open.borrow_mut().take();
        if let Some(open) = open {
            self.retire(&open, true).await;
        }
    }

    fn kick(self: &Rc<Self>) {
        if !self.running.replace(true) {
            R::spawn(Rc::clone(self).run());
            self.watch();
        }
    }

    /// The flush that writes of now wait for.
    pub(super) fn ticket(&self) -> Option<Arc<Ticket>> {
        self.open.borrow().as_ref().map(|open| Arc::clone(&open.ticket))
    }

    /// The drive has failed, and what is under way may never come back: everyone who waits is told.
    pub(super) fn give_up(&self) {
        for done in self.in_flight.take() {
            let _ = done.send(Err(DriveError::Failed));
        }
        let queue = self.queue.take();
        for waiting in queue {
            match waiting {
                Waiting::Piece(piece, done) => {
                    self.queued_bytes.set(self.queued_bytes.get() - piece.payload.len());
                    let _ = done.send(Err(DriveError::Failed));
                }
                Waiting::Barrier(done) => {
                    let _ = done.send(());
                }
            }
        }
        self.wake_all();
    }

    async fn run(self: Rc<Self>) {
        loop {
            let batch = self.gather();
            if batch.is_empty() {
                self.running.set(false);
                return;
            }
            let bytes: usize = batch.iter().map(|piece| piece.payload.len()).sum();
            self.writing_since.set(Some(R::now()));
            let result = self.write(batch).await;
            self.writing_since.set(None);
            if let Err(error) = &result {
                self.drive.note_error(error);
            } else {
                self.drive.note_success();
            }
            for done in self.in_flight.take() {
                // Who dropped the append no longer wants to know.
                let _ = done.send(result.clone());
            }
            self.give_room(bytes);
        }
    }

    fn give_room(&self, bytes: usize) {
        let left = self.queued_bytes.get() - bytes;
        self.queued_bytes.set(left);
        if left < APPEND_QUEUE_BYTES_MAX {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        for waiter in self.room_wanted.borrow_mut().drain(..) {
            let _ = waiter.send(());
        }
    }

    /// What the next write carries: the pieces at the head of the queue that fit, without those nobody waits for. Who waits
    /// for them is in flight now.
    fn gather(&self) -> Batch {
        let (mut batch, mut bytes) = (Batch::new(), 0);
        let mut queue = self.queue.borrow_mut();
        while let Some(next) = queue.pop_front() {
            match next {
                Waiting::Barrier(done) if batch.is_empty() => {
                    let _ = done.send(());
                }
                Waiting::Piece(piece, done) if done.is_closed() => {
                    self.queued_bytes.set(self.queued_bytes.get() - piece.payload.len());
                }
                Waiting::Piece(piece, done) => {
                    let size = bytes_of(&piece);
                    if !batch.is_empty() && bytes + size > BATCH_BYTES {
                        queue.push_front(Waiting::Piece(piece, done));
                        break;
                    }
                    bytes += size;
                    batch.push(piece);
                    self.in_flight.borrow_mut().push(done);
                }
                barrier @ Waiting::Barrier(_) => {
                    queue.push_front(barrier);
                    break;
                }
            }
        }
        batch
    }

    async fn write(&self, batch: Batch) -> Result<(), DriveError> {
        if self.drive.failed() {
            return Err(DriveError::Failed);
        }
        let need = batch::padded(&batch);
        let open = self.segment_for(need, batch.len()).await?;
        let Taken { number, generation, .. } = open.taken;
        let place = self.drive.place(number, generation, open.at.get());
        let Records { writes, entries } = batch::records(batch, place);
        let (began, count) = (R::now(), writes.len());
        let writes = writes.into_iter().map(|(buf, at)| open.file.write_at(buf, u64::from(at)));
        let written = join_all(writes).await;
        if let Some(error) = written.into_iter().find_map(|(done, _)| done.err()) {
            // Nothing is known about the sectors; a walk at the next start finds what is whole.
            open.spoiled.set(true);
            return Err(io_error("write", &error));
        }
        if self.drive.failed() {
            // It was given up meanwhile, and its deletes no longer wait for it.
            return Err(DriveError::Failed);
        }
        self.count(&open, &entries, (count, need), R::now() - began);
        open.at.set(open.at.get() + u32::try_from(need).expect("within a segment"));
        let located =
            entries.iter().map(|e| (Key::new(e.fragment, e.row), Location::new(number, generation, e)));
        let located = located.collect();
        open.entries.borrow_mut().extend(entries);
        self.index.insert(self.drive.slot, located).await;
        Ok(())
    }

    fn count(
        &self,
        open: &OpenSegment<R>,
        entries: &[Entry],
        (writes, bytes): (usize, usize),
        took: std::time::Duration,
    ) {
        self.drive.paces.wrote(self.drive.slot, took, R::now());
        let stats = &self.drive.stats;
        stats.writes.add(writes as u64);
        stats.writes_unzeroed.add(if open.taken.zeroed { 0 } else { writes as u64 });
        stats.bytes_written.add(bytes as u64);
        stats.write_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        stats.pieces_appended.add(entries.len() as u64);
        stats.payload_bytes_appended.add(entries.iter().map(|entry| u64::from(entry.payload_len)).sum());
    }

    /// The open segment if `need` bytes and `records` table entries fit and no flush failed in its time, else a new one.
    async fn segment_for(&self, need: usize, records: usize) -> Result<Rc<OpenSegment<R>>, DriveError> {
        let current = self.open.borrow().clone();
        if let Some(open) = &current {
            let table = table_bytes(open.entries.borrow().len() + records);
            let fits = (open.at.get() as usize + need + table) as u64 <= self.drive.segment_bytes;
            if fits && !open.spoiled.get() && open.since == self.drive.device.receipt() {
                return Ok(Rc::clone(open));
            }
        }
        let next = self.take().await?;
        if let Some(old) = current {
            let flush_failed = old.since != self.drive.device.receipt();
            if !flush_failed && (!old.covered || !next.covered) {
                // The next flush would not cover what still stands unflushed in the old one.
                let flushed = old.ticket.flush::<R>(Rc::clone(&old.file)).await;
                flushed.inspect_err(|error| self.drive.note_flush_error(error)).ok();
            }
            self.retire(&old, false).await;
        }
        *self.open.borrow_mut() = Some(Rc::clone(&next));
        Ok(next)
    }

    async fn take(&self) -> Result<Rc<OpenSegment<R>>, DriveError> {
        let drive = &self.drive;
        let (answer, answered) = oneshot::channel();
        drive.keeper.send_async(Job::Take(answer)).await.map_err(|_| DriveError::Failed)?;
        let taken = answered.await.unwrap_or(Err(DriveError::Failed))?;
        let options = OpenOptions { direct: drive.direct, write: true, ..OpenOptions::default() };
        let file = R::File::open(&segment::path_of(drive.path(), taken.number), options).await;
        let file = Rc::new(file.map_err(|error| io_error("open a segment", &error))?);
        let zeroed = taken.zeroed || crate::mutant!("flush-covers-unzeroed");
        let covered = zeroed && drive.direct && drive.device.any_file_covers;
        let ticket = if covered { Arc::clone(&drive.device.ticket) } else { drive.device.file_ticket() };
        Ok(Rc::new(OpenSegment {
            taken,
            file,
            at: Cell::new(segment::RECORDS_AT),
            entries: RefCell::default(),
            ticket,
            covered,
            since: drive.device.receipt(),
            spoiled: Cell::new(false),
        }))
    }

    /// Hands a segment to the keeper for sealing. One that saw a failed flush is left as it is: its seal would have to
    /// try that flush again. So is one of a failed drive, whose keeper may hang.
    async fn retire(&self, open: &OpenSegment<R>, cut: bool) {
        if open.since != self.drive.device.receipt() || self.drive.failed() {
            return;
        }
        let Taken { number, generation, .. } = open.taken;
        let entries = open.entries.take();
        let used = u64::from(open.at.get());
        let seal = Seal { number, generation, role: SegmentRole::Pieces, entries, used, cut };
        // A keeper that has stopped leaves it to the next start.
        let _ = self.drive.keeper.send_async(Job::Seal(seal)).await;
    }
}
