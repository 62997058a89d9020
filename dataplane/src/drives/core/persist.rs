//! Making durable what somebody else appended.
//!
//! A flush of this core covers what this core wrote. A fragment that came late, or before this process began, stands in
//! segments of others; each of their files is flushed by itself, whoever has it open to write.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_common::id::FragmentId;

use super::super::drive::Drive;
use super::super::flush::io as io_error;
use super::super::watch::patiently;
use super::super::{DriveError, Receipt};
use super::CoreDrives;
use super::read::look_up_failed;
use crate::index::{Key, Life};
use crate::rt::{DiskFile, Rt};

impl<R: Rt> CoreDrives<R> {
    pub(super) async fn persist_rows(
        &self,
        drive: &Arc<Drive>,
        id: FragmentId,
        rows: u32,
    ) -> Result<(), DriveError> {
        whole(drive)?;
        let mut lives = BTreeSet::new();
        for row in 0..rows {
            let found = self.engine.index.lookup(drive.slot, Key::new(id, row)).await;
            let location = found.map_err(|error| look_up_failed(&error))?.ok_or(DriveError::NotFound)?;
            lives.insert(location.life());
        }
        for life in lives {
            let flushed = patiently::<R, _>(drive, self.flush_segment(drive, life)).await;
            flushed.ok_or(DriveError::Failed)??;
        }
        whole(drive)
    }

    async fn flush_segment(&self, drive: &Drive, life: Life) -> Result<(), DriveError> {
        if drive.failed() {
            return Err(DriveError::Failed);
        }
        let _pin = self.pins[drive.slot].pin(life);
        let file = self.file(drive, life.0).await.map_err(|error| io_error("open a segment", &error))?;
        file.fdatasync().await.map_err(|error| {
            drive.device.note_failure();
            let error = io_error("flush", &error);
            drive.note_flush_error(&error);
            error
        })
    }
}

/// After a flush that failed nobody knows what the device dropped, and no other flush tells.
fn whole(drive: &Drive) -> Result<(), DriveError> {
    match drive.device.receipt() == Receipt::after(0) {
        true => Ok(()),
        false => Err(DriveError::Io { step: "flush", error: "one of the device has failed".into() }),
    }
}
