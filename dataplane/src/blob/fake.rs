//! Drives in memory whose faults a test chooses. They keep the contract of [`Drives`] and nothing else of the real ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::{BackendId, DriveId, FragmentId, OpId};
use holdfast_protocol::record::tlv;

use crate::drives::{
    DriveError, DriveState, DriveStatus, Drives, Everywhere, Held, Piece, PieceFacts, PieceRead, Receipt,
    Verified, VerifyCursor,
};
use crate::rt::epoll::EpollRt;
use crate::rt::{AlignedBuf, Chunk, Rt};

/// What is wrong with one backend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Appends of this row and later ones are refused.
    pub(crate) append_fails_from: Option<u32>,
    pub(crate) flush_fails: bool,
    pub(crate) append_delay: Duration,
    pub(crate) flush_delay: Duration,
    pub(crate) read_delay: Duration,
    pub(crate) missing: bool,
    /// Pieces of rows where `row % n == r` are rotten.
    pub(crate) rotten: Option<(u32, u32)>,
    /// Reads give a byte too few, as if another blob's piece lay there.
    pub(crate) short: bool,
    pub(crate) delete_fails: bool,
    /// Pieces of this attempt and later ones are rotten.
    pub(crate) rotten_from_attempt: Option<u8>,
}

/// One piece.
#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    fields: Bytes,
    facts: PieceFacts,
}

/// See [`FakeDrives::only_with`].
type Leave = Box<dyn Fn(OpId) -> bool>;

#[derive(Default)]
struct State {
    pieces: BTreeMap<(u32, FragmentId, u32), Stored>,
    /// Names that were deleted, by drive: never written again.
    deleted: BTreeSet<(u32, FragmentId, u32)>,
    /// Drives that say how they are.
    states: BTreeMap<u32, DriveState>,
    /// Whose a drive is; without a word, everybody's own.
    nodes: BTreeMap<u32, &'static str>,
    /// Which node looks at the drives.
    me: &'static str,
    /// Nodes that do not answer the others.
    silent: BTreeSet<&'static str>,
    /// Whether a blob may be written on other nodes now; `None`: any.
    leave: Option<Leave>,
    durable: BTreeMap<(u32, FragmentId, u32), bool>,
    faults: BTreeMap<u32, Faults>,
    reads: Vec<(u32, u32)>,
    bytes_out: usize,
    bytes_out_max: usize,
    flushes: usize,
}

#[derive(Default)]
pub(crate) struct FakeDrives(RefCell<State>);

impl FakeDrives {
    pub(crate) fn break_drive(&self, backend: u32, faults: Faults) {
        self.0.borrow_mut().faults.insert(backend, faults);
    }

    pub(crate) fn heal(&self) {
        self.0.borrow_mut().faults.clear();
    }

    /// From now on the drive says how it is; `None`: it is not there any more, with all it held.
    pub(crate) fn set_state(&self, backend: u32, drive: Option<DriveState>) {
        let mut state = self.0.borrow_mut();
        match drive {
            Some(drive) => state.states.insert(backend, drive),
            None => state.states.remove(&backend),
        };
    }

    /// The drive is replaced by an empty one.
    pub(crate) fn wipe(&self, backend: u32) {
        let mut state = self.0.borrow_mut();
        state.pieces.retain(|(at, ..), _| *at != backend);
        state.deleted.retain(|(at, ..)| *at != backend);
    }

    /// What was never flushed is gone, on every drive.
    pub(crate) fn lose_power(&self) {
        let State { pieces, durable, .. } = &mut *self.0.borrow_mut();
        durable.retain(|_, durable| *durable);
        pieces.retain(|key, _| durable.contains_key(key));
    }

    /// Every piece that `select` names is gone.
    pub(crate) fn lose(&self, select: impl Fn(u32, FragmentId, u32) -> bool) {
        self.0.borrow_mut().pieces.retain(|(at, id, row), _| !select(*at, *id, *row));
    }

    /// Pieces of a drive, for surveys: it must be there.
    fn held(&self, backend: u32) -> Vec<Held> {
        let mut all: BTreeMap<FragmentId, Held> = BTreeMap::new();
        for ((at, id, row), piece) in &self.0.borrow().pieces {
            if *at == backend {
                let held = all.entry(*id).or_insert(Held { fragment: *id, last_row: 0, pieces: 0, bytes: 0 });
                held.last_row = held.last_row.max(*row);
                held.pieces += 1;
                held.bytes += piece.bytes.len() as u64;
            }
        }
        all.into_values().collect()
    }

    /// The drive is this node's, which is seen by others as far as [`FakeDrives::silence`] lets them.
    pub(crate) fn set_node(&self, backend: u32, node: &'static str) {
        self.0.borrow_mut().nodes.insert(backend, node);
    }

    /// Another node looks.
    pub(crate) fn look_from(&self, node: &'static str) {
        self.0.borrow_mut().me = node;
    }

    pub(crate) fn silence(&self, node: &'static str, silent: bool) {
        let mut state = self.0.borrow_mut();
        if silent {
            state.silent.insert(node)
        } else {
            state.silent.remove(node)
        };
    }

    /// From now on other nodes' drives write and delete only of blobs that `leave` allows, as their tickets do.
    pub(crate) fn only_with(&self, leave: impl Fn(OpId) -> bool + 'static) {
        self.0.borrow_mut().leave = Some(Box::new(leave));
    }

    fn may_write(&self, backend: BackendId, blob: OpId) -> Result<(), DriveError> {
        self.answers(backend)?;
        let state = self.0.borrow();
        let allowed = state.is_own(backend.0) || state.leave.as_ref().is_none_or(|leave| leave(blob));
        if allowed { Ok(()) } else { Err(DriveError::Failed) }
    }

    fn is_there(&self, backend: u32) -> bool {
        let state = self.0.borrow();
        state.states.is_empty() || state.states.contains_key(&backend)
    }

    /// Drives of the node that looks.
    fn backends(&self) -> Vec<u32> {
        let state = self.0.borrow();
        state.states.keys().copied().filter(|backend| state.is_own(*backend)).collect()
    }

    /// Drives of all nodes that answer it.
    fn everywhere(&self) -> Vec<u32> {
        let state = self.0.borrow();
        state.states.keys().copied().filter(|backend| state.answers(*backend)).collect()
    }

    fn answers(&self, backend: BackendId) -> Result<(), DriveError> {
        if self.0.borrow().answers(backend.0) { Ok(()) } else { Err(DriveError::Failed) }
    }

    fn find_on(&self, backends: Vec<u32>, blob: OpId) -> Vec<(BackendId, Held)> {
        let of = |backend: u32| self.held(backend).into_iter().map(move |held| (BackendId(backend), held));
        backends.into_iter().flat_map(of).filter(|(_, held)| held.fragment.blob == blob).collect()
    }

    async fn delete_from(&self, backends: Vec<u32>, blob: OpId) -> Vec<(BackendId, DriveError)> {
        let mut errors = Vec::new();
        for backend in backends.into_iter().map(BackendId) {
            let held = self.held(backend.0).into_iter().filter(|held| held.fragment.blob == blob);
            for held in held.collect::<Vec<_>>() {
                if let Err(error) = self.delete(backend, held.fragment, u32::MAX).await {
                    errors.push((backend, error));
                    break;
                }
            }
        }
        errors
    }

    async fn read_piece(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        self.answers(backend)?;
        let faults = self.faults(backend);
        self.0.borrow_mut().reads.push((backend.0, row));
        pause(faults.read_delay).await;
        if faults.rotten.is_some_and(|(n, r)| row % n == r)
            || faults.rotten_from_attempt.is_some_and(|attempt| id.attempt >= attempt)
        {
            return Err(DriveError::Rotten("by the test's wish"));
        }
        let there = !faults.missing && self.is_there(backend.0);
        let state = self.0.borrow();
        let piece = state.pieces.get(&(backend.0, id, row)).filter(|_| there).ok_or(DriveError::NotFound)?;
        let piece = &piece.bytes;
        let end = (range.end as usize).min(piece.len()) - usize::from(faults.short);
        let bytes = Chunk::from(AlignedBuf::copy_of(&piece[(range.start as usize).min(end)..end]));
        Ok(PieceRead { bytes, payload_len: piece.len() as u32 })
    }

    /// Pieces stored on all backends, or on one.
    pub(crate) fn stored(&self, backend: Option<u32>) -> usize {
        self.0.borrow().pieces.keys().filter(|(b, ..)| backend.is_none_or(|wanted| wanted == *b)).count()
    }

    pub(crate) fn is_durable(&self, backend: u32) -> bool {
        let state = self.0.borrow();
        state.durable.iter().filter(|((b, ..), _)| *b == backend).all(|(_, durable)| *durable)
    }

    /// (backend, row) of every read since the last call.
    pub(crate) fn reads(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.0.borrow_mut().reads)
    }

    pub(crate) fn bytes_out_max(&self) -> usize {
        self.0.borrow().bytes_out_max
    }

    pub(crate) fn flushes(&self) -> usize {
        self.0.borrow().flushes
    }

    fn faults(&self, backend: BackendId) -> Faults {
        self.0.borrow().faults.get(&backend.0).copied().unwrap_or_default()
    }
}

impl State {
    fn is_own(&self, backend: u32) -> bool {
        self.nodes.get(&backend).is_none_or(|node| *node == self.me)
    }

    fn answers(&self, backend: u32) -> bool {
        self.is_own(backend) || !self.nodes.get(&backend).is_some_and(|node| self.silent.contains(node))
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
        self.may_write(backend, piece.id.blob)?;
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
        assert!(!state.deleted.contains(&key), "a deleted name is written again: {key:?}");
        let Piece { coding, class_id, blob_size, fields, payload, .. } = piece;
        let payload_len = payload.len() as u32;
        let facts = PieceFacts { coding, class_id, blob_size, payload_len };
        let stored = Stored { bytes: payload.to_vec(), fields, facts };
        assert!(state.pieces.insert(key, stored).is_none(), "written twice: {key:?}");
        state.durable.insert(key, false);
        Ok(Receipt::after(0))
    }

    async fn flush(&self, backend: BackendId, _: Receipt) -> Result<(), DriveError> {
        self.answers(backend)?;
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
        let read = self.read_piece(backend, id, row, range.clone()).await;
        if !matches!(read, Err(DriveError::NotFound | DriveError::Failed)) {
            return read;
        }
        for other in self.everywhere() {
            for held in self.held(other) {
                if (held.fragment.blob, held.fragment.index) == (id.blob, id.index) {
                    let read = self.read_piece(BackendId(other), held.fragment, row, range.clone()).await;
                    if read.is_ok() {
                        return read;
                    }
                }
            }
        }
        read
    }

    async fn read_here(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceRead, DriveError> {
        self.read_piece(backend, id, row, 0..u32::MAX).await
    }

    async fn persist(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        pause(Duration::ZERO).await;
        self.answers(backend)?;
        if self.faults(backend).flush_fails {
            return Err(DriveError::Failed);
        }
        let mut state = self.0.borrow_mut();
        for row in 0..rows {
            *state.durable.get_mut(&(backend.0, id, row)).ok_or(DriveError::NotFound)? = true;
        }
        Ok(())
    }

    async fn delete(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        pause(Duration::ZERO).await;
        self.may_write(backend, id.blob)?;
        if self.faults(backend).delete_fails {
            return Err(DriveError::Failed);
        }
        let gone =
            |(at, piece, row): &(u32, FragmentId, u32)| (*at, *piece) == (backend.0, id) && *row < rows;
        let mut state = self.0.borrow_mut();
        let names: Vec<_> = state.pieces.keys().filter(|key| gone(key)).copied().collect();
        state.deleted.extend(names);
        state.pieces.retain(|key, _| !gone(key));
        state.durable.retain(|key, _| !gone(key));
        Ok(())
    }

    async fn delete_blob(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        self.delete_from(self.backends(), blob).await
    }

    async fn find(&self, blob: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        pause(Duration::ZERO).await;
        Ok(self.find_on(self.backends(), blob))
    }

    async fn find_everywhere(&self, blob: OpId) -> Result<Everywhere, DriveError> {
        pause(Duration::ZERO).await;
        let held = self.find_on(self.everywhere(), blob);
        let state = self.0.borrow();
        let silent = state.silent.iter().filter(|node| **node != state.me).map(|node| (*node).into());
        Ok(Everywhere { held, silent: silent.collect() })
    }

    async fn delete_everywhere(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        let all: Vec<u32> = self.0.borrow().states.keys().copied().collect();
        let silent = all.iter().map(|backend| BackendId(*backend)).filter(|id| self.answers(*id).is_err());
        let mut errors: Vec<_> = silent.map(|backend| (backend, DriveError::Failed)).collect();
        errors.extend(self.delete_from(self.everywhere(), blob).await);
        errors
    }

    fn reachable(&self) -> Vec<BackendId> {
        let state = self.0.borrow();
        let takes = |(backend, drive): &(&u32, &DriveState)| {
            !state.is_own(**backend) && state.answers(**backend) && **drive == DriveState::Active
        };
        state.states.iter().filter(takes).map(|(backend, _)| BackendId(*backend)).collect()
    }

    async fn survey(
        &self,
        backend: BackendId,
        after: Option<FragmentId>,
        max: usize,
    ) -> Result<Vec<Held>, DriveError> {
        pause(Duration::ZERO).await;
        if !self.is_there(backend.0) {
            return Err(DriveError::NotFound);
        }
        let held = self.held(backend.0).into_iter();
        Ok(held.filter(|held| after.is_none_or(|after| held.fragment > after)).take(max).collect())
    }

    async fn facts(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceFacts, DriveError> {
        pause(Duration::ZERO).await;
        self.answers(backend)?;
        let state = self.0.borrow();
        state.pieces.get(&(backend.0, id, row)).map(|piece| piece.facts).ok_or(DriveError::NotFound)
    }

    async fn manifest(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> Result<Option<Bytes>, DriveError> {
        pause(Duration::ZERO).await;
        let state = self.0.borrow();
        let piece = state.pieces.get(&(backend.0, id, row)).ok_or(DriveError::NotFound)?;
        let head = tlv::RECOVERY_MANIFEST.to_le_bytes();
        Ok(piece.fields.starts_with(&head).then(|| piece.fields.slice(4..)))
    }

    async fn verify(&self, backend: BackendId, _: VerifyCursor, _: u64) -> Result<Verified, DriveError> {
        let mut verified = Verified::default();
        let pieces: Vec<_> =
            self.0.borrow().pieces.keys().filter(|(at, ..)| *at == backend.0).copied().collect();
        for (_, id, row) in pieces {
            verified.records += 1;
            match self.read_piece(backend, id, row, 0..u32::MAX).await {
                Ok(piece) => verified.bytes += u64::from(piece.payload_len),
                Err(error) => verified.bad.push((id, row, error)),
            }
        }
        Ok(verified)
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        let state = self.0.borrow();
        let status = |(backend, state): (&u32, &DriveState)| DriveStatus {
            drive: DriveId([*backend as u8; 16]),
            backend: Some(BackendId(*backend)),
            label: format!("/drive{backend}"),
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 39,
            state: state.clone(),
        };
        state.states.iter().filter(|(backend, _)| state.is_own(**backend)).map(status).collect()
    }
}
