//! One core's handle on all drives: routes to its writers, reads, searches and verifies.

mod find;
mod persist;
mod places;
mod read;
mod verify;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::id::{BackendId, FragmentId, OpId};

use self::places::Places;
use self::read::{Files, look_up_failed};
use super::engine::Engine;
use super::pins::Pins;
use super::writer::Writer;
use super::{
    DriveError, DriveStatus, Drives, Held, Piece, PieceFacts, PieceRead, Receipt, Verified, VerifyCursor,
};
use crate::index::Key;
use crate::rt::Rt;

/// The drives as one core uses them.
pub struct CoreDrives<R: Rt> {
    engine: Arc<Engine>,
    /// By slot.
    writers: Vec<Rc<Writer<R>>>,
    files: RefCell<Files<R>>,
    places: RefCell<Places>,
    /// By slot: what this core reads.
    pins: Vec<Arc<Pins>>,
}

impl<R: Rt> CoreDrives<R> {
    pub(super) fn new(engine: Arc<Engine>) -> Rc<Self> {
        let writers =
            engine.drives.iter().map(|drive| Writer::new(Arc::clone(drive), Arc::clone(&engine.index)));
        let writers = writers.collect();
        let pins = engine.drives.iter().map(|drive| drive.pins.join()).collect();
        let (files, places) = (RefCell::new(Files::new()), RefCell::new(Places::new()));
        Rc::new(Self { engine, writers, files, places, pins })
    }

    /// Waits for what is queued and seals this core's segments. Nothing may be appended afterwards.
    pub async fn close(&self) {
        for writer in &self.writers {
            writer.close().await;
        }
    }

    fn writer(&self, backend: BackendId) -> Result<&Rc<Writer<R>>, DriveError> {
        self.writers.iter().find(|writer| writer.drive.backend() == Some(backend)).ok_or(DriveError::NotFound)
    }
}

impl<R: Rt> Drives for CoreDrives<R> {
    async fn append(&self, backend: BackendId, piece: Piece) -> Result<Receipt, DriveError> {
        self.writer(backend)?.append(piece).await
    }

    async fn flush(&self, backend: BackendId, first: Receipt) -> Result<(), DriveError> {
        self.writer(backend)?.flush(first).await
    }

    async fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let drive = self.writer(backend).map(|writer| &writer.drive);
        let error = match &drive {
            Ok(drive) => match self.read_remembered(drive, Key::new(id, row), &range).await {
                Err(error) => error,
                read => return read,
            },
            Err(error) => error.clone(),
        };
        let slot = drive.ok().map(|drive| drive.slot);
        for (slot, key) in self.elsewhere(slot, id, row).await {
            let read = self.read_piece(&self.engine.drives[slot], key, &range).await;
            if read.is_ok() {
                return read;
            }
        }
        Err(error)
    }

    async fn read_here(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceRead, DriveError> {
        self.read_piece(&self.writer(backend)?.drive, Key::new(id, row), &(0..u32::MAX)).await
    }

    async fn persist(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        self.persist_rows(&self.writer(backend)?.drive, id, rows).await
    }

    async fn delete(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        let writer = self.writer(backend)?;
        // Behind whatever of this fragment is still on its way.
        if !crate::mutant!("delete-overtakes-append") {
            writer.barrier().await;
        }
        let slot = writer.drive.slot;
        self.places.borrow_mut().forget(slot, id);
        self.deleted(slot, self.ask_delete(slot, id, rows).await?).await
    }

    async fn delete_blob(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        self.forget_blob(blob).await
    }

    async fn find(&self, blob: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        self.find_blob(blob).await
    }

    async fn survey(
        &self,
        backend: BackendId,
        after: Option<FragmentId>,
        max: usize,
    ) -> Result<Vec<Held>, DriveError> {
        let slot = self.writer(backend)?.drive.slot;
        self.engine.index.survey(slot, after, max).await.map_err(|error| look_up_failed(&error))
    }

    async fn facts(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceFacts, DriveError> {
        self.read_facts(&self.writer(backend)?.drive, Key::new(id, row)).await
    }

    async fn manifest(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> Result<Option<Bytes>, DriveError> {
        self.read_manifest(&self.writer(backend)?.drive, Key::new(id, row)).await
    }

    async fn verify(
        &self,
        backend: BackendId,
        from: VerifyCursor,
        bytes_max: u64,
    ) -> Result<Verified, DriveError> {
        self.verify_drive(&self.writer(backend)?.drive, from, bytes_max).await
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        self.engine.statuses()
    }

    fn writable(&self) -> Vec<BackendId> {
        let active = self.engine.drives.iter().filter(|drive| drive.state() == super::DriveState::Active);
        active.filter_map(|drive| drive.backend()).collect()
    }
}
