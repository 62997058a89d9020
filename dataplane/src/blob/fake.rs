//! Drives in memory whose faults a test chooses. They keep the contract of [`Drives`] and nothing else of the real ones.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use holdfast_common::id::{BackendId, FragmentId, OpId};

use crate::drives::{
    DriveError, DriveStatus, Drives, Held, Piece, PieceFacts, PieceRead, Receipt, Verified, VerifyCursor,
};
use crate::rt::epoll::EpollRt;
use crate::rt::{AlignedBuf, Chunk, Rt};

/// What is wrong with one backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Appends of this row and later ones are refused.
    pub(super) append_fails_from: Option<u32>,
    pub(super) flush_fails: bool,
    pub(super) append_delay: Duration,
    pub(super) flush_delay: Duration,
    pub(super) read_delay: Duration,
    pub(super) missing: bool,
    /// Pieces of rows where `row % n == r` are rotten.
    pub(super) rotten: Option<(u32, u32)>,
    /// Reads give a byte too few, as if another blob's piece lay there.
    pub(super) short: bool,
}

#[derive(Default)]
struct State {
    pieces: BTreeMap<(u32, FragmentId, u32), Vec<u8>>,
    durable: BTreeMap<(u32, FragmentId, u32), bool>,
    faults: BTreeMap<u32, Faults>,
    reads: Vec<(u32, u32)>,
    bytes_out: usize,
    bytes_out_max: usize,
    flushes: usize,
}

#[derive(Default)]
pub(super) struct FakeDrives(RefCell<State>);

impl FakeDrives {
    pub(super) fn break_drive(&self, backend: u32, faults: Faults) {
        self.0.borrow_mut().faults.insert(backend, faults);
    }

    pub(super) fn heal(&self) {
        self.0.borrow_mut().faults.clear();
    }

    /// Pieces stored on all backends, or on one.
    pub(super) fn stored(&self, backend: Option<u32>) -> usize {
        self.0.borrow().pieces.keys().filter(|(b, ..)| backend.is_none_or(|wanted| wanted == *b)).count()
    }

    pub(super) fn is_durable(&self, backend: u32) -> bool {
        let state = self.0.borrow();
        state.durable.iter().filter(|((b, ..), _)| *b == backend).all(|(_, durable)| *durable)
    }

    /// (backend, row) of every read since the last call.
    pub(super) fn reads(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.0.borrow_mut().reads)
    }

    pub(super) fn bytes_out_max(&self) -> usize {
        self.0.borrow().bytes_out_max
    }

    pub(super) fn flushes(&self) -> usize {
        self.0.borrow().flushes
    }

    fn faults(&self, backend: BackendId) -> Faults {
        self.0.borrow().faults.get(&backend.0).copied().unwrap_or_default()
    }
}

async fn pause(delay: Duration) {
    match delay.is_zero() {
        true => EpollRt::yield_now().await,
        false => EpollRt::sleep(delay).await,
    }
}

impl Drives for FakeDrives {
    async fn append(&self, backend: BackendId, piece: Piece) -> Result<Receipt, DriveError> {
        let faults = self.faults(backend);
        {
            let mut state = self.0.borrow_mut();
            state.bytes_out += piece.payload.len();
            state.bytes_out_max = state.bytes_out_max.max(state.bytes_out);
        }
        pause(faults.append_delay).await;
        let mut state = self.0.borrow_mut();
        state.bytes_out -= piece.payload.len();
        if faults.append_fails_from.is_some_and(|row| piece.row >= row) {
            return Err(DriveError::Full);
        }
        let key = (backend.0, piece.id, piece.row);
        assert!(!piece.payload.is_empty(), "an empty piece is not stored: {key:?}");
        assert!(state.pieces.insert(key, piece.payload.to_vec()).is_none(), "written twice: {key:?}");
        state.durable.insert(key, false);
        Ok(Receipt::after(0))
    }

    async fn flush(&self, backend: BackendId, _: Receipt) -> Result<(), DriveError> {
        let faults = self.faults(backend);
        let covered: Vec<_> =
            self.0.borrow().pieces.keys().filter(|(b, ..)| *b == backend.0).copied().collect();
        pause(faults.flush_delay).await;
        let mut state = self.0.borrow_mut();
        state.flushes += 1;
        if faults.flush_fails {
            return Err(DriveError::Failed);
        }
        covered.into_iter().for_each(|key| {
            state.durable.insert(key, true);
        });
        Ok(())
    }

    async fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let faults = self.faults(backend);
        self.0.borrow_mut().reads.push((backend.0, row));
        pause(faults.read_delay).await;
        if faults.rotten.is_some_and(|(n, r)| row % n == r) {
            return Err(DriveError::Rotten("by the test's wish"));
        }
        let state = self.0.borrow();
        let piece = state
            .pieces
            .get(&(backend.0, id, row))
            .filter(|_| !faults.missing)
            .ok_or(DriveError::NotFound)?;
        let end = (range.end as usize).min(piece.len()) - usize::from(faults.short);
        let bytes = Chunk::from(AlignedBuf::copy_of(&piece[(range.start as usize).min(end)..end]));
        Ok(PieceRead { bytes, payload_len: piece.len() as u32 })
    }

    async fn delete(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        pause(Duration::ZERO).await;
        let mut state = self.0.borrow_mut();
        for row in 0..rows {
            state.pieces.remove(&(backend.0, id, row));
            state.durable.remove(&(backend.0, id, row));
        }
        Ok(())
    }

    async fn delete_blob(&self, _: OpId) -> Vec<(BackendId, DriveError)> {
        unreachable!("blobs do not ask for it")
    }

    async fn find(&self, _: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        unreachable!("blobs do not ask for it")
    }

    async fn survey(&self, _: BackendId, _: Option<FragmentId>, _: usize) -> Result<Vec<Held>, DriveError> {
        unreachable!("blobs do not ask for it")
    }

    async fn facts(&self, _: BackendId, _: FragmentId, _: u32) -> Result<PieceFacts, DriveError> {
        unreachable!("blobs do not ask for it")
    }

    async fn verify(&self, _: BackendId, _: VerifyCursor, _: u64) -> Result<Verified, DriveError> {
        unreachable!("blobs do not ask for it")
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        Vec::new()
    }
}
