//! No drives: objects of this simulation have no bytes.

use std::ops::Range;

use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_dataplane::drives::{
    DriveError, DriveStatus, Drives, Held, Piece, PieceFacts, PieceRead, Receipt, Verified, VerifyCursor,
};

pub(super) struct NoDrives;

impl Drives for NoDrives {
    async fn append(&self, _: BackendId, _: Piece) -> Result<Receipt, DriveError> {
        Err(DriveError::NotFound)
    }

    async fn flush(&self, _: BackendId, _: Receipt) -> Result<(), DriveError> {
        Err(DriveError::NotFound)
    }

    async fn read(
        &self,
        _: BackendId,
        _: FragmentId,
        _: u32,
        _: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        Err(DriveError::NotFound)
    }

    async fn read_here(&self, _: BackendId, _: FragmentId, _: u32) -> Result<PieceRead, DriveError> {
        Err(DriveError::NotFound)
    }

    async fn persist(&self, _: BackendId, _: FragmentId, _: u32) -> Result<(), DriveError> {
        Err(DriveError::NotFound)
    }

    async fn delete(&self, _: BackendId, _: FragmentId, _: u32) -> Result<(), DriveError> {
        Err(DriveError::NotFound)
    }

    async fn delete_blob(&self, _: OpId) -> Vec<(BackendId, DriveError)> {
        Vec::new()
    }

    async fn find(&self, _: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        Ok(Vec::new())
    }

    async fn survey(&self, _: BackendId, _: Option<FragmentId>, _: usize) -> Result<Vec<Held>, DriveError> {
        Ok(Vec::new())
    }

    async fn facts(&self, _: BackendId, _: FragmentId, _: u32) -> Result<PieceFacts, DriveError> {
        Err(DriveError::NotFound)
    }

    async fn verify(&self, _: BackendId, _: VerifyCursor, _: u64) -> Result<Verified, DriveError> {
        Err(DriveError::NotFound)
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        Vec::new()
    }
}
