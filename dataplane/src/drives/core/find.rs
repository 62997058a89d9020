//! What this node holds of a blob, page by page of a drive, and forgetting a blob everywhere.

use holdfast_common::id::{BackendId, FragmentId, OpId};
use tokio::sync::oneshot;

use super::super::keeper::{Delete, Job};
use super::super::watch::patiently;
use super::super::{DriveError, Held};
use super::CoreDrives;
use super::read::look_up_failed;
use crate::rt::Rt;

/// What a drive without a number is called in answers that name drives.
const UNNUMBERED: BackendId = BackendId(u32::MAX);

impl<R: Rt> CoreDrives<R> {
    pub(super) async fn find_blob(&self, blob: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        let found = self.engine.index.find(blob).await.map_err(|error| look_up_failed(&error))?;
        let named = found.into_iter().map(|(slot, held)| {
            let drive = &self.engine.drives[slot];
            let unnumbered =
                || DriveError::Io { step: "find", error: format!("drive {} has no number yet", drive.id()) };
            Ok((drive.backend().ok_or_else(unnumbered)?, held))
        });
        named.collect()
    }

    pub(super) async fn forget_blob(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        for writer in &self.writers {
            // Behind whatever of it is still on its way from this core.
            if !crate::mutant!("delete-overtakes-append") {
                writer.barrier().await;
            }
        }
        let name = |slot: usize| self.engine.drives[slot].backend().unwrap_or(UNNUMBERED);
        let found = match self.engine.index.find(blob).await {
            Ok(found) => found,
            Err(error) => {
                let all = 0..self.engine.drives.len();
                return all.map(|slot| (name(slot), look_up_failed(&error))).collect();
            }
        };
        // All at once, so that a drive writes them as one batch.
        let mut waiting = Vec::with_capacity(found.len());
        for (slot, held) in found {
            self.places.borrow_mut().forget(slot, held.fragment);
            // Every row, also one that was written and never seen by the index.
            waiting.push((slot, self.ask_delete(slot, held.fragment, u32::MAX).await));
        }
        let mut failed: Vec<(BackendId, DriveError)> = Vec::new();
        for (slot, answered) in waiting {
            let done = match answered {
                Ok(answered) => self.deleted(slot, answered).await,
                Err(error) => Err(error),
            };
            match done {
                Err(error) if failed.iter().all(|(known, _)| *known != name(slot)) => {
                    failed.push((name(slot), error));
                }
                _ => {}
            }
        }
        failed
    }

    /// Asks a drive's keeper to forget rows `0..rows` of a fragment; the answer says when that is durable.
    pub(super) async fn ask_delete(
        &self,
        slot: usize,
        fragment: FragmentId,
        rows: u32,
    ) -> Result<oneshot::Receiver<Result<(), DriveError>>, DriveError> {
        let (done, answered) = oneshot::channel();
        let job = Job::Delete(Delete { fragment, rows, done });
        let drive = &self.engine.drives[slot];
        let sent = patiently::<R, _>(drive, drive.keeper.send_async(job)).await;
        sent.ok_or(DriveError::Failed)?.map_err(|_| DriveError::Failed)?;
        Ok(answered)
    }

    /// The answer to [`CoreDrives::ask_delete`].
    pub(super) async fn deleted(
        &self,
        slot: usize,
        answered: oneshot::Receiver<Result<(), DriveError>>,
    ) -> Result<(), DriveError> {
        let answer = patiently::<R, _>(&self.engine.drives[slot], answered).await;
        answer.ok_or(DriveError::Failed)?.unwrap_or(Err(DriveError::Failed))
    }
}
