//! Reading a blob: verified bytes in order, one row ahead, whatever is lost as long as enough is left.
//!
//! While all is well a data piece leaves as soon as it is there and nothing is decoded. What was missing or rotten on the way
//! is not the client's concern: it comes out of [`BlobReader::notes`], for repair.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use holdfast_common::id::{BackendId, FragmentId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{Arrival, Fetch, Gather, RowLost, Scheme};
use holdfast_protocol::placement::spread_hash;

use super::mailbox::Mailbox;
use super::rows::RowRead;
use super::{BlobError, Blobs, Known};
use crate::drives::{DriveError, Drives, PieceRead};
use crate::limits::{BLOB_READ_PATIENCE, BLOB_READ_WAIT, BLOB_ROWS_IN_FLIGHT, BLOB_TICK};
use crate::rt::{Chunk, Rt, within};

/// A fragment that was not as it should be: the first thing that was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairNote {
    pub index: u8,
    pub backend: BackendId,
    pub row: u32,
    pub error: DriveError,
}

/// What a task of the reader reports.
pub(super) struct Event {
    row: u32,
    fetch: Fetch,
    result: Result<PieceRead, DriveError>,
}

/// Since when the next bytes are waited for, and since when for the pieces asked for last.
struct Waiting {
    all: Instant,
    others_asked: Instant,
}

/// A range of a blob being read.
pub struct BlobReader<D, R> {
    blobs: Blobs<D, R>,
    known: Known,
    backends: Vec<BackendId>,
    proven: u64,
    range: Range<u64>,
    /// Rows that were not begun yet.
    ahead: Range<u32>,
    open: VecDeque<RowRead>,
    /// Bit i: something was wrong with fragment i, so others are preferred.
    bad: u64,
    notes: Vec<RepairNote>,
    mailbox: Mailbox<Event>,
}

impl<D: Drives, R: Rt> BlobReader<D, R> {
    pub(super) fn new(
        blobs: Blobs<D, R>,
        blob: &wire::Blob,
        backends: &[BackendId],
        range: Range<u64>,
    ) -> Result<Self, BlobError> {
        let known = Known::parse(blob, backends)?;
        let range = range.start.min(blob.size)..range.end.min(blob.size);
        let ahead = known.layout.rows_of(&range);
        Ok(Self {
            blobs,
            known,
            backends: backends.to_vec(),
            proven: blob.proven,
            range,
            ahead,
            open: VecDeque::with_capacity(BLOB_ROWS_IN_FLIGHT),
            bad: 0,
            notes: Vec::new(),
            mailbox: Mailbox::new(),
        })
    }

    /// The next bytes, up to one piece of them; `None` at the end of the range. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When fewer pieces than the code needs can be read in time. Bytes before that point were given and are right.
    pub async fn next(&mut self) -> Result<Option<Chunk>, BlobError> {
        if let Some(chunk) = self.lone().await {
            return Ok(Some(chunk));
        }
        // Only time spent here counts: a client that reads slowly makes no drive late.
        let mut since = Waiting { all: R::now(), others_asked: R::now() };
        loop {
            self.open_rows();
            while let Some(event) = self.mailbox.take() {
                self.handle(event);
            }
            let Some(row) = self.open.front_mut() else { return Ok(None) };
            if let Some(chunk) = row.take_next() {
                return Ok(Some(chunk));
            }
            if row.is_done() {
                self.open.pop_front();
                continue;
            }
            if let Some(lost) = row.lost {
                return Err(self.unreadable(lost));
            }
            self.check_time(&mut since)?;
            if let Some(event) = within::<R, _>(self.mailbox.next(), BLOB_TICK).await {
                self.handle(event);
            }
        }
    }

    /// All of a range that lies in one piece, read without a task and a queue of its own: most small objects.
    /// `None`: it is not so simple, or something was wrong, which the others make up for.
    async fn lone(&mut self) -> Option<Chunk> {
        if self.ahead.len() != 1 || !self.open.is_empty() || self.bad != 0 {
            return None;
        }
        let (row, layout) = (self.ahead.start, self.known.layout);
        let mut spans = layout.spans(row, &self.range);
        let (Some(span), None) = (spans.next(), spans.next()) else { return None };
        let order = self.order(0, false);
        let index = match layout.coding().scheme() {
            Scheme::Copies => *order.first()?,
            Scheme::ReedSolomon => order.into_iter().find(|index| *index == span.index)?,
        };
        let fetch = Fetch { index, within: span.within, zeros: 0 };
        let (drives, backend) = (Rc::clone(&self.blobs.drives), self.backends[usize::from(index)]);
        let id = FragmentId { blob: self.known.op_id, index, attempt: self.known.attempt };
        let read = drives.read(backend, id, row, fetch.within.clone());
        let Some(read) = within::<R, _>(read, BLOB_READ_PATIENCE).await else {
            // Late is not wrong, and no note; but this range is read from others.
            self.bad |= 1 << index;
            return None;
        };
        match whole(&fetch, read) {
            Ok(bytes) => {
                self.ahead.start = self.ahead.end;
                Some(bytes)
            }
            Err(error) => {
                self.note(&fetch, row, error);
                None
            }
        }
    }

    /// What was wrong with fragments so far, one note each: for a repair job.
    #[must_use]
    pub fn notes(&self) -> &[RepairNote] {
        &self.notes
    }

    fn open_rows(&mut self) {
        while self.open.len() < BLOB_ROWS_IN_FLIGHT {
            let Some(row) = self.ahead.next() else { return };
            let order = self.order(0, false);
            let (read, fetches) = self.begin(row, order);
            self.open.push_back(read);
            self.fetch(row, fetches);
        }
    }

    /// Starts a row with the fragments of `order`; when those cannot suffice, with all that were not tried in vain.
    fn begin(&self, row: u32, order: Vec<u8>) -> (RowRead, Vec<Fetch>) {
        let gather = |order| Gather::new(self.known.layout, row, &self.range, order);
        match gather(order).or_else(|_| gather(self.order(0, true))) {
            Ok((gather, fetches)) => (RowRead::new(gather), fetches),
            Err(lost) => (RowRead::lost(row, lost), Vec::new()),
        }
    }

    /// Fragments by preference, without those in `tried`. Data first, so that nothing needs decoding; for copies the start is
    /// spread over them. `desperate`: also those that had something wrong, then those never known to be durable.
    fn order(&self, tried: u64, desperate: bool) -> Vec<u8> {
        let coding = self.known.layout.coding();
        let rank = |i: u8| match (self.proven >> i & 1, self.bad >> i & 1) {
            (1, 0) => 0,
            (1, _) => 1,
            _ => 2,
        };
        let mut order: Vec<u8> = (0..coding.fragments() as u8)
            .filter(|i| tried >> i & 1 == 0 && (desperate || rank(*i) == 0))
            .collect();
        if coding.scheme() == Scheme::Copies && !order.is_empty() {
            let start = spread_hash(self.known.op_id) % order.len() as u64;
            order.rotate_left(start as usize);
        }
        order.sort_by_key(|i| rank(*i));
        order
    }

    fn fetch(&mut self, row: u32, fetches: Vec<Fetch>) {
        for fetch in fetches {
            if let Some(read) = self.open.iter_mut().find(|r| r.row() == row) {
                read.asked(&fetch);
            }
            let id = FragmentId { blob: self.known.op_id, index: fetch.index, attempt: self.known.attempt };
            let (drives, backend) = (self.blobs.drives.clone(), self.backends[usize::from(fetch.index)]);
            let sender = self.mailbox.sender();
            R::spawn(async move {
                let result = match fetch.within.is_empty() {
                    true => Ok(PieceRead { bytes: Chunk::from(bytes::Bytes::new()), payload_len: 0 }),
                    false => drives.read(backend, id, row, fetch.within.clone()).await,
                };
                sender.send(Event { row, fetch, result });
            });
        }
    }

    fn handle(&mut self, event: Event) {
        let Event { row, fetch, result } = event;
        let Some(at) = self.open.iter().position(|r| r.row() == row && r.wants(&fetch)) else { return };
        let arrival = match whole(&fetch, result) {
            Ok(bytes) => Ok(self.open[at].arrived(&fetch, bytes)),
            Err(error) => {
                self.note(&fetch, row, error);
                self.open[at].failed(fetch.index)
            }
        };
        match arrival {
            Ok(Arrival::Wait) => {}
            Ok(Arrival::Fetch(fetches)) => self.fetch(row, fetches),
            Ok(Arrival::Decode) => {
                let coding = self.known.layout.coding();
                let coder = self.blobs.coders.coder(coding.data(), coding.parity());
                self.open[at].decode(&*coder);
            }
            Err(lost) => self.last_resort(at, lost),
        }
    }

    /// The preferred fragments do not suffice for a row: begins it again with every fragment that did not fail in it.
    fn last_resort(&mut self, at: usize, lost: RowLost) {
        let (row, tried) = (self.open[at].row(), self.open[at].tried);
        match Gather::new(self.known.layout, row, &self.range, self.order(tried, true)) {
            Ok((gather, fetches)) => {
                self.open[at].restart(gather);
                self.fetch(row, fetches);
            }
            Err(_) => self.open[at].lost = Some(lost),
        }
    }

    fn note(&mut self, fetch: &Fetch, row: u32, error: DriveError) {
        let index = fetch.index;
        self.bad |= 1 << index;
        if !self.notes.iter().any(|n| n.index == index) {
            self.notes.push(RepairNote { index, backend: self.backends[usize::from(index)], row, error });
        }
    }

    /// What is out for too long is computed from others; much later the read fails.
    fn check_time(&mut self, since: &mut Waiting) -> Result<(), BlobError> {
        let now = R::now();
        let Some(row) = self.open.front_mut() else { return Ok(()) };
        if now.duration_since(since.all) >= BLOB_READ_WAIT {
            let lost = RowLost { row: row.row(), have: 0, need: self.known.layout.coding().data() };
            return Err(self.unreadable(lost));
        }
        if now.duration_since(since.others_asked) >= BLOB_READ_PATIENCE {
            since.others_asked = now; // they may be late too
            let (number, fetches) = (row.row(), row.hurry());
            self.fetch(number, fetches);
        }
        Ok(())
    }

    fn unreadable(&self, lost: RowLost) -> BlobError {
        let causes = self.notes.iter().map(|n| (n.backend, n.error.clone())).collect();
        BlobError::Unreadable { row: lost.row, have: lost.have, need: lost.need, causes }
    }
}

/// A drive that gives another length than the layout says holds another blob's piece or half of one.
fn whole(fetch: &Fetch, read: Result<PieceRead, DriveError>) -> Result<Chunk, DriveError> {
    let bytes = read?.bytes;
    let whole = bytes.len() == fetch.within.len();
    if whole { Ok(bytes) } else { Err(DriveError::Rotten("a piece of another length than its blob says")) }
}
