//! The drives of this node: pieces of blobs appended to segments, made durable by shared flushes, read back verified.
//!
//! A process opens its drives once ([`Engine::open`]); every core then takes a [`CoreDrives`] handle with its own open
//! segments. What the rest of the data plane sees is the trait [`Drives`]. How a segment lives is in
//! [`segment`]; how durability is shared between cores in [`flush`]; how a start finds everything again in [`recovery`].
//!
//! Large pieces have no slots of their own (DESIGN 4.4 thought of them): `cargo bench -p holdfast-benches --bench drives --
//! slots` appended pieces of 256 KiB, 8 a flush, through segments at 341 and 366 MB/s, beside 329 and 367 MB/s for bare
//! writes into slots, one at a time (no record, no checksum). So slots would win nothing by being slots. What is left
//! to win is depth: bare writes, 8 in flight, came to 600 MB/s, and a core has one batch in flight per drive. (Both runs on a
//! busy machine, with only our own crates optimised: the ratios count, and want a second look on a quiet one.)

pub mod drive;
pub mod flush;
pub mod format;
pub mod host;
pub mod segment;
pub mod stats;

mod budget;
mod collect;
mod compact;
mod core;
mod delete_log;
mod engine;
mod health;
mod keeper;
mod pace;
mod pins;
mod recovery;
mod watch;
mod writer;

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use holdfast_common::id::{BackendId, DriveId, FragmentId, OpId};
pub use holdfast_protocol::record::PieceCoding;

pub use self::core::CoreDrives;
pub use self::engine::{Engine, EngineConfig, Opened, Starter};
pub use self::writer::piece_buffer;
use crate::rt::Chunk;

/// One core's view of the drives. Cheap handle; futures are `!Send`, and each may be dropped at any time.
pub trait Drives: 'static {
    /// Appends one piece; resolves when its bytes are written, *not yet durable*. The [`Receipt`] is what
    /// [`Drives::flush`] wants: of several appends to one backend keep the first.
    ///
    /// # Errors
    /// `Full`, `Failed`, `Busy` (the drive hangs and its queue is at its bound), `Io`, `NotFound` (no such backend here).
    fn append(&self, backend: BackendId, piece: Piece) -> impl Future<Output = Result<Receipt, DriveError>>;

    /// Makes durable every piece whose `append` on this core to `backend` resolved before this call, and none less:
    /// if any flush of the device failed since `first`, this fails too, whatever happened later.
    ///
    /// # Errors
    /// `Io` or `Failed`; never try again, count the fragment as lost.
    fn flush(&self, backend: BackendId, first: Receipt) -> impl Future<Output = Result<(), DriveError>>;

    /// Reads bytes `range` of the payload of one piece; every byte returned was verified against its block's checksum.
    /// The range is cut at the payload's end. When the backend does not have it, or not whole, any other drive of this node
    /// is asked, and any other attempt of the same fragment.
    ///
    /// # Errors
    /// The backend's own: `NotFound`, `Rotten`, `Io`, `Failed`.
    fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> impl Future<Output = Result<PieceRead, DriveError>>;

    /// A whole piece from this very drive and attempt, verified: for proving that it is there.
    ///
    /// # Errors
    /// `NotFound`, `Rotten`, `Io`.
    fn read_here(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> impl Future<Output = Result<PieceRead, DriveError>>;

    /// Makes durable pieces `0..rows` of a fragment, as the index has them: what another core appended, another node had
    /// appended, or a process before this one.
    ///
    /// # Errors
    /// `NotFound` (one is not there), `Io` or `Failed`: also when any flush of the device has failed in this process, which may
    /// have been theirs. Then they may be gone after a crash, and are to be written anew.
    fn persist(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>>;

    /// Forgets pieces `0..rows` of a fragment, durably. Works on a full drive; what is not there is no error.
    ///
    /// # Errors
    /// `Io`, `Failed`, `NotFound` (no such backend here).
    fn delete(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>>;

    /// As [`Drives::delete`], of what was made again elsewhere. On a drive of another node nothing goes at once: that node looks
    /// itself which of its copies another takes the place of, and deletes those.
    ///
    /// # Errors
    /// As [`Drives::delete`].
    fn supersede(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>> {
        self.delete(backend, id, rows)
    }

    /// Forgets every fragment of a blob, of every index and attempt, on every drive of this node, durably. What is not
    /// there is no error; each drive that could not is named (`u32::MAX`: one without a number yet), and the same call
    /// later does the rest.
    fn delete_blob(&self, blob: OpId) -> impl Future<Output = Vec<(BackendId, DriveError)>>;

    /// Every fragment of a blob that any drive of this node has in its index.
    ///
    /// # Errors
    /// When an index cannot be read: nothing may then be concluded from what is missing.
    fn find(&self, blob: OpId) -> impl Future<Output = Result<Vec<(BackendId, Held)>, DriveError>>;

    /// One page, at most `max`, of the fragments that a drive's index holds, in order of their names, behind `after`.
    /// Empty at the end.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    fn survey(
        &self,
        backend: BackendId,
        after: Option<FragmentId>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Held>, DriveError>>;

    /// What the record of one piece says of itself, read from this very drive.
    ///
    /// # Errors
    /// `NotFound`, `Rotten`, `Io`.
    fn facts(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> impl Future<Output = Result<PieceFacts, DriveError>>;

    /// The sealed recovery manifest in the record of one piece, read from this very drive. `None`: it has none; only pieces of a
    /// blob's last row do.
    ///
    /// # Errors
    /// `NotFound`, `Rotten`, `Io`.
    fn manifest(
        &self,
        _backend: BackendId,
        _id: FragmentId,
        _row: u32,
    ) -> impl Future<Output = Result<Option<Bytes>, DriveError>> {
        std::future::ready(Ok(None))
    }

    /// Re-reads living records of sealed segments from the device, in the order they stand, up to about `bytes_max`, and
    /// says which are not what was written. Start a pass with the default cursor.
    ///
    /// # Errors
    /// `NotFound`, `Failed`, `Io` (of the walk itself; an unreadable record is a finding, not an error).
    fn verify(
        &self,
        backend: BackendId,
        from: VerifyCursor,
        bytes_max: u64,
    ) -> impl Future<Output = Result<Verified, DriveError>>;

    /// As [`Drives::find`], on every node that can be asked. What is of nodes that cannot be asked is in `silent`, by
    /// node id: nothing may be concluded from what is missing there.
    ///
    /// # Errors
    /// When an index of this node cannot be read.
    fn find_everywhere(&self, blob: OpId) -> impl Future<Output = Result<Everywhere, DriveError>> {
        async move { Ok(Everywhere { held: self.find(blob).await?, silent: Vec::new() }) }
    }

    /// As [`Drives::delete_blob`], on every node that the view knows and that is not revoked. A node that did not answer is named with each
    /// of its backends.
    fn delete_everywhere(&self, blob: OpId) -> impl Future<Output = Vec<(BackendId, DriveError)>> {
        self.delete_blob(blob)
    }

    /// Backends of other nodes that take new fragments now, as far as this node can reach them.
    fn reachable(&self) -> Vec<BackendId> {
        Vec::new()
    }

    /// Tries at once, within a bound, to reach the nodes that were not reached, and returns when one more is. False: that is
    /// over, or was tried just now.
    fn look_again(&self) -> impl Future<Output = bool> {
        std::future::ready(false)
    }

    /// Every drive with its state, for placement and for reports to the authority.
    fn statuses(&self) -> Vec<DriveStatus>;

    /// Backends that take new fragments now.
    fn writable(&self) -> Vec<BackendId> {
        let writable = self.statuses().into_iter().filter(|status| status.state == DriveState::Active);
        writable.filter_map(|status| status.backend).collect()
    }
}

/// A shared handle is a handle.
impl<D: Drives> Drives for std::rc::Rc<D> {
    fn append(&self, backend: BackendId, piece: Piece) -> impl Future<Output = Result<Receipt, DriveError>> {
        (**self).append(backend, piece)
    }

    fn flush(&self, backend: BackendId, first: Receipt) -> impl Future<Output = Result<(), DriveError>> {
        (**self).flush(backend, first)
    }

    fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> impl Future<Output = Result<PieceRead, DriveError>> {
        (**self).read(backend, id, row, range)
    }

    fn read_here(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> impl Future<Output = Result<PieceRead, DriveError>> {
        (**self).read_here(backend, id, row)
    }

    fn persist(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>> {
        (**self).persist(backend, id, rows)
    }

    fn delete(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>> {
        (**self).delete(backend, id, rows)
    }

    fn supersede(
        &self,
        backend: BackendId,
        id: FragmentId,
        rows: u32,
    ) -> impl Future<Output = Result<(), DriveError>> {
        (**self).supersede(backend, id, rows)
    }

    fn delete_blob(&self, blob: OpId) -> impl Future<Output = Vec<(BackendId, DriveError)>> {
        (**self).delete_blob(blob)
    }

    fn find(&self, blob: OpId) -> impl Future<Output = Result<Vec<(BackendId, Held)>, DriveError>> {
        (**self).find(blob)
    }

    fn survey(
        &self,
        backend: BackendId,
        after: Option<FragmentId>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Held>, DriveError>> {
        (**self).survey(backend, after, max)
    }

    fn facts(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> impl Future<Output = Result<PieceFacts, DriveError>> {
        (**self).facts(backend, id, row)
    }

    fn manifest(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> impl Future<Output = Result<Option<Bytes>, DriveError>> {
        (**self).manifest(backend, id, row)
    }

    fn verify(
        &self,
        backend: BackendId,
        from: VerifyCursor,
        bytes_max: u64,
    ) -> impl Future<Output = Result<Verified, DriveError>> {
        (**self).verify(backend, from, bytes_max)
    }

    fn find_everywhere(&self, blob: OpId) -> impl Future<Output = Result<Everywhere, DriveError>> {
        (**self).find_everywhere(blob)
    }

    fn delete_everywhere(&self, blob: OpId) -> impl Future<Output = Vec<(BackendId, DriveError)>> {
        (**self).delete_everywhere(blob)
    }

    fn reachable(&self) -> Vec<BackendId> {
        (**self).reachable()
    }

    fn look_again(&self) -> impl Future<Output = bool> {
        (**self).look_again()
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        (**self).statuses()
    }

    fn writable(&self) -> Vec<BackendId> {
        (**self).writable()
    }
}

/// One piece on its way to a drive: one row of one fragment.
#[derive(Clone, Debug)]
pub struct Piece {
    pub id: FragmentId,
    pub row: u32,
    pub coding: PieceCoding,
    pub class_id: u32,
    /// Bytes of the whole blob; 0 when not known yet.
    pub blob_size: u64,
    /// Further fields of its record, encoded (`record::put_tlv`); empty: none.
    pub fields: Bytes,
    /// A span of a buffer that several pieces may share: whole copies, and the data pieces of one row, need no copy.
    pub payload: Chunk,
}

/// Verified bytes of a piece: exactly the range asked for.
#[derive(Clone, Debug)]
pub struct PieceRead {
    pub bytes: Chunk,
    /// Payload bytes of the whole piece.
    pub payload_len: u32,
}

/// A fragment as an index holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub fragment: FragmentId,
    /// The highest row that is there, and how many are.
    pub last_row: u32,
    pub pieces: u32,
    /// Their records, bytes.
    pub bytes: u64,
}

/// What all nodes hold of a blob, as far as they answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Everywhere {
    pub held: Vec<(BackendId, Held)>,
    /// Nodes that did not answer, by id.
    pub silent: Vec<std::sync::Arc<str>>,
}

/// What a piece's record says of the blob it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceFacts {
    pub coding: PieceCoding,
    pub class_id: u32,
    /// 0: the writer did not know it yet.
    pub blob_size: u64,
    pub payload_len: u32,
}

/// How far a pass of [`Drives::verify`] has come: segment, then record, and behind the last segment the pieces whose
/// segment is gone, by name and row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyCursor {
    pub segment: u32,
    pub offset: u32,
    pub lost: Option<(FragmentId, u32)>,
}

/// A stretch of a verification.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Where to go on; `None`: the pass is over.
    pub next: Option<VerifyCursor>,
    /// Bytes read, and bytes that the pass has still before it, about.
    pub bytes: u64,
    pub bytes_left: u64,
    pub records: u64,
    /// Living pieces whose bytes are not what was written, or cannot be read, or whose segment is gone.
    pub bad: Vec<(FragmentId, u32, DriveError)>,
}

/// Proof of when an append began, in flushes of its device that had failed by then. Opaque; the lesser is the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// The connection to another node that the append went over; 0: this node's own drive.
    connection: u64,
    failures: u64,
}

impl Receipt {
    /// The receipt of an append that began when `failures` flushes of its device had failed; for whoever implements
    /// [`Drives`].
    #[must_use]
    pub fn after(failures: u64) -> Self {
        Self { connection: 0, failures }
    }

    /// The same of an append that another node did. Connections are numbered from 1 in the order they are made.
    #[must_use]
    pub fn over(connection: u64, failures: u64) -> Self {
        Self { connection, failures }
    }

    #[must_use]
    pub fn connection(self) -> u64 {
        self.connection
    }

    #[must_use]
    pub fn failures(self) -> u64 {
        self.failures
    }
}

/// What a drive could not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// No such backend on this node, or no such piece on it.
    #[error("not found")]
    NotFound,
    /// The bytes are there and are not what was written.
    #[error("rotten: {0}")]
    Rotten(&'static str),
    /// The device or file system refused.
    #[error("{step}: {error}")]
    Io { step: &'static str, error: String },
    /// No room for new fragments; deleting still works.
    #[error("full")]
    Full,
    /// Its file system is mounted read-only.
    #[error("read-only")]
    ReadOnly,
    /// The drive has left the write set.
    #[error("failed")]
    Failed,
    /// Its queue is at its bound and it does not move.
    #[error("busy")]
    Busy,
}

/// Whether a drive takes new fragments, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveState {
    Active,
    Full,
    /// Far slower than its siblings, with the sentence for the operator; read as ever, and tried until it is well.
    Slow(String),
    /// With the sentence for the operator.
    Failed(String),
}

/// One drive as reports and metrics show it.
#[derive(Clone, Debug)]
pub struct DriveStatus {
    pub drive: DriveId,
    /// `None` until the authority has numbered it ([`Engine::bind`]).
    pub backend: Option<BackendId>,
    /// Its path, for people.
    pub label: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
    pub state: DriveState,
}

#[cfg(test)]
mod tests;
