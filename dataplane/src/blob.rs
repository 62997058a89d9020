//! Blobs over drives: bytes in, fragments on drives, and the way back, with a fixed number of rows in memory.
//!
//! [`BlobWriter`] cuts, codes and appends while the next bytes arrive, and ends with what is durable. [`BlobReader`] gives
//! verified bytes in order and hides what is lost as long as the code can. Both hand every drive operation to a task of its
//! own: a drive's operation never depends on the request that asked for it being still there.

mod mailbox;
mod read;
mod row;
mod rows;
mod sweep;
mod write;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{Coders, Coding, CodingError, CpuFeatures, Layout, Scheme};
use holdfast_protocol::placement::Placement;
use holdfast_protocol::record::{PieceCoding, PieceScheme};

pub use read::{BlobReader, RepairNote};
pub use write::BlobWriter;

use crate::drives::{DriveError, Drives};
use crate::rt::Rt;

/// One core's way to blobs: its drives and its coders. Cheap to clone.
pub struct Blobs<D, R> {
    drives: Rc<D>,
    coders: Rc<Coders>,
    runtime: PhantomData<fn() -> R>,
}

/// What is going to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewBlob {
    pub op_id: OpId,
    pub attempt: u8,
    /// 0 is the node's own class, until the blob is placed.
    pub class_id: u32,
    /// Bytes, where the client said so. Holding it to its word is done here too. Where it did not, the last row's
    /// pieces alone carry the size.
    pub size: Option<u64>,
}

/// What was written and is durable on the write quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobWritten {
    pub op_id: OpId,
    pub attempt: u8,
    pub class_id: u32,
    pub size: u64,
    pub coding: Coding,
    /// Fragment i is on `backends[i]`.
    pub backends: Vec<BackendId>,
    /// Bit i: fragment i is durable. Missing bits are for repair.
    pub proven: u64,
}

impl BlobWritten {
    /// The row's form; `placement_id` is the interned id of `backends`.
    #[must_use]
    pub fn to_wire(&self, placement_id: u32) -> wire::Blob {
        wire::Blob {
            op_id: self.op_id.to_wire(),
            size: self.size,
            coding: Some(self.coding.to_wire()),
            placement_id,
            proven: self.proven,
            attempt: self.attempt.into(),
            class_id: self.class_id,
            ..Default::default()
        }
    }
}

/// Why a blob could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Too few fragments could be made durable; nothing of the blob is kept.
    #[error("only {possible} fragments can be written, {need} are needed: {}", list(causes))]
    NoQuorum { need: usize, possible: usize, causes: Vec<(BackendId, DriveError)> },
    /// The drives did not take a row in time, though none refused it.
    #[error("drives are too slow: {done} of {need} fragments written in time")]
    TooSlow { need: usize, done: usize },
    /// More or fewer bytes than announced.
    #[error("{got} bytes, announced were {announced}")]
    WrongSize { announced: u64, got: u64 },
    /// A class beyond what 2^32 rows hold.
    #[error("a blob of {size} bytes has too many rows")]
    TooLarge { size: u64 },
    #[error("row {row} cannot be read: {have} of {need} pieces; {}", list(causes))]
    Unreadable { row: u32, have: usize, need: usize, causes: Vec<(BackendId, DriveError)> },
    /// The record of the blob makes no sense to this version.
    #[error("the blob's record is malformed: {0}")]
    Coding(#[from] CodingError),
    #[error("the blob's record is malformed: {0}")]
    Record(&'static str),
}

fn list(causes: &[(BackendId, DriveError)]) -> String {
    let lines: Vec<String> =
        causes.iter().map(|(backend, error)| format!("backend {backend}: {error}")).collect();
    lines.join("; ")
}

impl<D: Drives, R: Rt> Blobs<D, R> {
    #[must_use]
    pub fn new(drives: Rc<D>, coders: Rc<Coders>) -> Self {
        Self { drives, coders, runtime: PhantomData }
    }

    /// Begins a blob where `placement` says.
    #[must_use]
    pub fn write(&self, blob: NewBlob, placement: &Placement) -> BlobWriter<D, R> {
        BlobWriter::new(self.clone(), blob, placement)
    }

    /// Reads bytes `range` of `blob`, whose fragments are on `backends` in order.
    ///
    /// # Errors
    /// A record that makes no sense; no drive is asked yet.
    pub fn read(
        &self,
        blob: &wire::Blob,
        backends: &[BackendId],
        range: Range<u64>,
    ) -> Result<BlobReader<D, R>, BlobError> {
        BlobReader::new(self.clone(), blob, backends, range)
    }

    /// Forgets all fragments of a blob; for what the authority said is nobody's. Every drive is tried.
    ///
    /// # Errors
    /// A malformed record, or the first drive's error with its backend: the same call later does the rest.
    pub async fn delete(&self, blob: &wire::Blob, backends: &[BackendId]) -> Result<(), BlobError> {
        let known = Known::parse(blob, backends)?;
        let rows = known.layout.rows().ok_or(BlobError::TooLarge { size: blob.size })?;
        let mut causes = Vec::new();
        for (index, backend) in backends.iter().enumerate() {
            let id = FragmentId { blob: known.op_id, index: index as u8, attempt: known.attempt };
            match self.drives.delete(*backend, id, rows).await {
                Ok(()) | Err(DriveError::NotFound) => {}
                Err(error) => causes.push((*backend, error)),
            }
        }
        let (need, possible) = (backends.len(), backends.len() - causes.len());
        if causes.is_empty() { Ok(()) } else { Err(BlobError::NoQuorum { need, possible, causes }) }
    }
}

impl<D, R> Clone for Blobs<D, R> {
    fn clone(&self) -> Self {
        Self { drives: self.drives.clone(), coders: self.coders.clone(), runtime: PhantomData }
    }
}

/// A blob's record, checked.
struct Known {
    op_id: OpId,
    attempt: u8,
    layout: Layout,
}

impl Known {
    fn parse(blob: &wire::Blob, backends: &[BackendId]) -> Result<Self, BlobError> {
        let coding = Coding::from_wire(blob.coding.as_ref())?;
        if backends.len() != coding.fragments() {
            return Err(BlobError::Record(
                "the placement has another number of backends than the coding fragments",
            ));
        }
        let layout = Layout::new(coding, blob.size);
        layout.rows().ok_or(BlobError::TooLarge { size: blob.size })?;
        Ok(Self {
            op_id: OpId::from_wire(&blob.op_id).ok_or(BlobError::Record("the op id is not one"))?,
            attempt: u8::try_from(blob.attempt)
                .map_err(|_| BlobError::Record("the attempt is beyond 255"))?,
            layout,
        })
    }
}

/// As the record on the drive says it.
pub(crate) fn piece_coding(coding: Coding) -> PieceCoding {
    PieceCoding {
        scheme: match coding.scheme() {
            Scheme::Copies => PieceScheme::Copies,
            Scheme::ReedSolomon => PieceScheme::ReedSolomon,
        },
        data: coding.data() as u8,
        parity: coding.parity() as u8,
        piece_bytes: coding.piece_bytes(),
    }
}

/// What this CPU offers the coders.
#[must_use]
pub fn cpu_features() -> CpuFeatures {
    #[cfg(target_arch = "x86_64")]
    {
        let haswell = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        CpuFeatures { haswell, vector: is_x86_feature_detected!("ssse3") }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let neon = cfg!(target_arch = "aarch64");
        CpuFeatures { haswell: neon, vector: neon }
    }
}
