//! Writing a blob: rows are assembled where they are written from, coded, and appended to all drives at once.
//!
//! A fragment that fails is left out from then on; the blob goes on while its write quorum can still be met. Success means
//! *durable on the quorum*; dropping the writer at any other time deletes whatever had reached a drive.

use std::any::Any;
use std::time::Instant;

use bytes::Bytes;
use holdfast_common::id::{BackendId, FragmentId};
use holdfast_protocol::erasure::{Layout, Scheme};
use holdfast_protocol::placement::{CLASS_NODES, Placement};
use holdfast_protocol::quorum::{Tally, Verdict};

use super::mailbox::Mailbox;
use super::row::RowBuf;
use super::sweep::Sweep;
use super::{BlobError, BlobWritten, Blobs, NewBlob, piece_coding};
use crate::drives::{DriveError, Drives, Piece, Receipt};
use crate::limits::{
    BLOB_LAGGARD_WAIT, BLOB_LAGGARD_WAIT_SPARELESS, BLOB_QUORUM_WAIT, BLOB_ROWS_IN_FLIGHT, BLOB_TICK,
};
use crate::rt::{Chunk, Rt, within};

/// What a task of the writer reports.
pub(super) enum Event {
    Appended { row: u32, index: u8, result: Result<Receipt, DriveError> },
    Flushed { index: u8, result: Result<(), DriveError> },
}

/// One fragment on its way.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// Appends that have not come back.
    pub(super) out: u32,
    /// Rows up to the last one handed to the drive; 0: nothing.
    pub(super) rows: u32,
    /// The oldest receipt; `None`: nothing needs a flush.
    receipt: Option<Receipt>,
    flushing: bool,
    /// An append or flush was refused: what is on the drive is of no use.
    pub(super) broken: bool,
}

/// A blob being written. Dropping it unfinished is `abort`.
pub struct BlobWriter<D: Drives, R: Rt> {
    blobs: Blobs<D, R>,
    blob: NewBlob,
    placement: Placement,
    /// With the announced size; without one every row counts as full until the end.
    layout: Option<Layout>,
    pushed: u64,
    /// Number of the row that is assembled, which is also how many were submitted.
    row: u32,
    assembling: Option<RowBuf>,
    tally: Tally,
    progress: Vec<Progress>,
    /// Per submitted row: its number and the fragments whose append is out.
    in_flight: Vec<(u32, u64)>,
    causes: Vec<(BackendId, DriveError)>,
    mailbox: Mailbox<Event>,
    finishing: bool,
    /// The last row waits for the fields that it is to carry.
    awaits_fields: bool,
    /// What is submitted now is the last row.
    ending: bool,
    /// Of the last row's records.
    fields: Bytes,
    /// Kept until nothing of the blob is on its way to a drive any more.
    hold: Option<Box<dyn Any>>,
}

impl<D: Drives, R: Rt> BlobWriter<D, R> {
    pub(super) fn new(blobs: Blobs<D, R>, blob: NewBlob, placement: &Placement) -> Self {
        let fragments = placement.coding.fragments();
        assert_eq!(placement.backends.len(), fragments, "backends of {:?}", placement.coding);
        let mut tally = Tally::new(fragments, placement.quorum);
        let mut causes = Vec::new();
        for index in (0..fragments as u8).filter(|i| placement.writable & (1 << i) == 0) {
            tally.failed(index);
            causes.push((placement.backends[usize::from(index)], DriveError::Failed));
        }
        Self {
            blobs,
            blob,
            placement: placement.clone(),
            layout: blob.size.map(|size| Layout::new(placement.coding, size)),
            pushed: 0,
            row: 0,
            assembling: None,
            tally,
            progress: vec![Progress::default(); fragments],
            in_flight: Vec::with_capacity(BLOB_ROWS_IN_FLIGHT),
            causes,
            mailbox: Mailbox::new(),
            finishing: false,
            awaits_fields: false,
            ending: false,
            fields: Bytes::new(),
            hold: None,
        }
    }

    /// Keeps `hold` until nothing of the blob is on its way to or from a drive, also after an abort.
    #[must_use]
    pub fn holding(mut self, hold: Box<dyn Any>) -> Self {
        self.hold = Some(hold);
        self
    }

    /// Holds the last row back until [`BlobWriter::finish_with`] says which fields its records carry.
    #[must_use]
    pub fn awaiting_fields(mut self) -> Self {
        self.awaits_fields = true;
        self
    }

    /// Takes the blob's next bytes; waits while two rows are under way. After an error nothing helps but dropping it.
    ///
    /// # Errors
    /// More bytes than announced, no quorum possible any more, or drives too slow.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), BlobError> {
        self.pushed += bytes.len() as u64;
        if let Some(announced) = self.blob.size.filter(|size| self.pushed > *size) {
            return Err(BlobError::WrongSize { announced, got: self.pushed });
        }
        while !bytes.is_empty() {
            if self.assembling.as_ref().is_some_and(RowBuf::is_full) {
                self.submit_row()?;
            }
            if self.assembling.is_none() {
                self.wait_for_rows(BLOB_ROWS_IN_FLIGHT - 1).await?;
                self.assembling = Some(self.new_row());
            }
            let row = self.assembling.as_mut().expect("was just made");
            bytes = &bytes[row.fill(bytes)..];
            // Of a blob whose size is not known a full row may be the last: its pieces are to carry the size.
            if row.is_full() && self.layout.is_some() && !(self.awaits_fields && self.is_last_row()) {
                self.submit_row()?;
            }
        }
        Ok(())
    }

    fn is_last_row(&self) -> bool {
        self.layout.and_then(|layout| layout.rows()).is_some_and(|rows| self.row + 1 == rows)
    }

    /// What will have been written once it is finished; nothing of it is proven yet.
    #[must_use]
    pub fn planned(&self) -> BlobWritten {
        BlobWritten {
            op_id: self.blob.op_id,
            attempt: self.blob.attempt,
            class_id: self.blob.class_id,
            size: self.pushed,
            coding: self.placement.coding,
            backends: self.placement.backends.clone(),
            proven: 0,
        }
    }

    /// As [`BlobWriter::finish`]; the records of the last row carry `fields`, a run of TLVs.
    ///
    /// # Errors
    /// As `finish`.
    pub async fn finish_with(mut self, fields: Bytes) -> Result<BlobWritten, BlobError> {
        self.fields = fields;
        self.finish().await
    }

    /// Writes what is left, makes it durable on the quorum, and waits for late drives within bounds.
    ///
    /// # Errors
    /// As `push`; then nothing of the blob is kept.
    pub async fn finish(mut self) -> Result<BlobWritten, BlobError> {
        if let Some(announced) = self.blob.size.filter(|size| self.pushed != *size) {
            return Err(BlobError::WrongSize { announced, got: self.pushed });
        }
        self.blob.size = Some(self.pushed);
        self.ending = true;
        if self.assembling.is_some() {
            self.submit_row()?;
        }
        self.finishing = true;
        for index in 0..self.progress.len() as u8 {
            self.flush_if_complete(index);
        }
        self.wait(Self::unproven, 0).await?;
        // Of a blob over nodes a repair may have found what came late whole, and counts on it: that goes only once a later
        // attempt is there, by the repair's hand.
        let select: fn(&Progress) -> bool =
            if self.blob.class_id == CLASS_NODES { |_| false } else { |progress| progress.broken };
        self.sweep(select);
        Ok(BlobWritten { proven: self.tally.proven(), ..self.planned() })
    }

    /// Gives the blob up; what reached a drive is deleted in the background.
    pub fn abort(self) {}

    fn new_row(&self) -> RowBuf {
        let coding = self.placement.coding;
        match self.layout {
            Some(layout) => RowBuf::new(coding, layout.row_len(self.row)),
            None => RowBuf::new(coding, coding.row_bytes()),
        }
    }

    /// Codes the assembled row and hands its pieces to the drives that are still in.
    fn submit_row(&mut self) -> Result<(), BlobError> {
        let Some(row) = self.assembling.take() else { return Ok(()) };
        let coding = self.placement.coding;
        let pieces = match coding.scheme() {
            Scheme::Copies => row.into_copies(coding),
            Scheme::ReedSolomon => {
                row.into_pieces(coding, &*self.blobs.coders.coder(coding.data(), coding.parity()))
            }
        };
        let number = self.row;
        self.row = number.checked_add(1).ok_or(BlobError::TooLarge { size: self.pushed })?;
        let mut out = 0u64;
        for (index, payload) in pieces.into_iter().enumerate() {
            if !payload.is_empty() && !self.tally.is_failed(index as u8) {
                out |= 1 << index;
                self.append(number, index as u8, payload);
            }
        }
        self.in_flight.push((number, out));
        Ok(())
    }

    fn append(&mut self, row: u32, index: u8, payload: Chunk) {
        // The only row of its blob waits for nothing else before its flush: one task does both.
        let only = self.layout.is_some_and(|layout| layout.rows() == Some(1));
        let progress = &mut self.progress[usize::from(index)];
        progress.out += 1;
        progress.rows = row + 1;
        progress.flushing = only;
        let piece = Piece {
            id: self.fragment(index),
            row,
            coding: piece_coding(self.placement.coding),
            class_id: self.blob.class_id,
            blob_size: self.blob.size.unwrap_or(0),
            fields: if self.ending { self.fields.clone() } else { Bytes::new() },
            payload,
        };
        let (drives, backend) = (self.blobs.drives.clone(), self.placement.backends[usize::from(index)]);
        let sender = self.mailbox.sender();
        R::spawn(async move {
            let result = drives.append(backend, piece).await;
            let receipt = result.as_ref().ok().copied().filter(|_| only);
            sender.send(Event::Appended { row, index, result });
            if let Some(receipt) = receipt {
                let result = drives.flush(backend, receipt).await;
                sender.send(Event::Flushed { index, result });
            }
        });
    }

    fn fragment(&self, index: u8) -> FragmentId {
        FragmentId { blob: self.blob.op_id, index, attempt: self.blob.attempt }
    }

    /// At the end: a fragment whose appends are all back is flushed without waiting for the others.
    fn flush_if_complete(&mut self, index: u8) {
        let progress = &mut self.progress[usize::from(index)];
        if !self.finishing || progress.out > 0 || progress.flushing || self.tally.is_failed(index) {
            return;
        }
        let Some(receipt) = progress.receipt else {
            self.tally.succeeded(index); // it has no bytes
            return;
        };
        progress.flushing = true;
        let (drives, backend) = (self.blobs.drives.clone(), self.placement.backends[usize::from(index)]);
        let sender = self.mailbox.sender();
        R::spawn(async move {
            let result = drives.flush(backend, receipt).await;
            sender.send(Event::Flushed { index, result });
        });
    }

    /// Waits until at most `rows` submitted rows are out.
    async fn wait_for_rows(&mut self, rows: usize) -> Result<(), BlobError> {
        self.wait(Self::oldest_row, rows).await
    }

    /// Fragments whose append of the oldest row is out, while more than `rows` rows are.
    fn oldest_row(&self, rows: usize) -> u64 {
        if self.in_flight.len() <= rows { 0 } else { self.in_flight.first().map_or(0, |(_, out)| *out) }
    }

    /// Fragments that are neither durable nor failed.
    fn unproven(&self, _: usize) -> u64 {
        if crate::mutant!("acknowledge-before-quorum") {
            return 0;
        }
        self.tally.laggards().fold(0, |bits, i| bits | 1 << i)
    }

    /// Takes reports until nothing is `late`; past their time late fragments are cut off, or the blob fails.
    async fn wait(&mut self, late: fn(&Self, usize) -> u64, argument: usize) -> Result<(), BlobError> {
        let (began, mut enough_since) = (R::now(), None);
        loop {
            while let Some(event) = self.mailbox.take() {
                self.handle(event);
            }
            if self.tally.verdict() == Verdict::Impossible {
                return Err(self.no_quorum());
            }
            let out = late(self, argument);
            if out == 0 {
                return Ok(());
            }
            let done = self.tally.possible() - out.count_ones() as usize;
            self.check_time(out, done, began, &mut enough_since)?;
            if let Some(event) = within::<R, _>(self.mailbox.next(), BLOB_TICK).await {
                self.handle(event);
            }
        }
    }

    fn check_time(
        &mut self,
        out: u64,
        done: usize,
        began: Instant,
        enough_since: &mut Option<Instant>,
    ) -> Result<(), BlobError> {
        let now = R::now();
        if done < self.tally.quorum() {
            let patient = now.duration_since(began) < BLOB_QUORUM_WAIT;
            return if patient {
                Ok(())
            } else {
                Err(BlobError::TooSlow { need: self.tally.quorum(), done })
            };
        }
        let spare = self.tally.quorum() > self.placement.coding.data();
        let wait = if spare { BLOB_LAGGARD_WAIT } else { BLOB_LAGGARD_WAIT_SPARELESS };
        if now.duration_since(*enough_since.get_or_insert(now)) >= wait {
            (0..self.progress.len() as u8).filter(|i| out & (1 << i) != 0).for_each(|i| self.cut_off(i));
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Appended { row, index, result } => {
                if let Some((_, out)) = self.in_flight.iter_mut().find(|(number, _)| *number == row) {
                    *out &= !(1 << index);
                }
                let progress = &mut self.progress[usize::from(index)];
                progress.out -= 1;
                match result {
                    Ok(receipt) => {
                        progress.receipt = Some(progress.receipt.map_or(receipt, |r| r.min(receipt)))
                    }
                    Err(error) => self.break_off(index, error),
                }
                self.flush_if_complete(index);
            }
            Event::Flushed { index, result: Ok(()) } => self.tally.succeeded(index),
            Event::Flushed { index, result: Err(error) } => self.break_off(index, error),
        }
        self.in_flight.retain(|(_, out)| *out != 0);
    }

    /// A late fragment. With all its rows on the drive only the proof is missing, and repair may find it later.
    fn cut_off(&mut self, index: u8) {
        let progress = &mut self.progress[usize::from(index)];
        progress.broken |= !self.finishing || progress.out > 0;
        self.fail(index, DriveError::Busy);
    }

    fn break_off(&mut self, index: u8, error: DriveError) {
        self.progress[usize::from(index)].broken = true;
        self.fail(index, error);
    }

    /// From now on the fragment is left out.
    fn fail(&mut self, index: u8, error: DriveError) {
        if !self.tally.is_failed(index) {
            self.causes.push((self.placement.backends[usize::from(index)], error));
        }
        self.tally.failed(index);
        self.in_flight.iter_mut().for_each(|(_, out)| *out &= !(1 << index));
        self.in_flight.retain(|(_, out)| *out != 0);
    }

    fn no_quorum(&self) -> BlobError {
        BlobError::NoQuorum {
            need: self.tally.quorum(),
            possible: self.tally.possible(),
            causes: self.causes.clone(),
        }
    }

    /// Deletes, in the background, the fragments that `select` names; the writer reports nothing any more.
    fn sweep(&mut self, select: fn(&Progress) -> bool) {
        let chosen: Vec<u8> = (0..self.progress.len() as u8)
            .filter(|i| self.progress[usize::from(*i)].rows > 0 && select(&self.progress[usize::from(*i)]))
            .collect();
        let mailbox = std::mem::replace(&mut self.mailbox, Mailbox::new());
        let progress = std::mem::take(&mut self.progress);
        if !chosen.is_empty() {
            let fragments =
                chosen.into_iter().map(|i| (self.fragment(i), self.placement.backends[usize::from(i)]));
            let sweep = Sweep {
                drives: self.blobs.drives.clone(),
                fragments: fragments.collect(),
                progress,
                mailbox,
                hold: self.hold.take(),
            };
            R::spawn(sweep.run());
        }
    }
}

impl<D: Drives, R: Rt> Drop for BlobWriter<D, R> {
    fn drop(&mut self) {
        self.sweep(|_| true);
    }
}
