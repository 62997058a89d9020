//! What a node says of its drives: written down, kept for the figures, and told to everyone where it changes something.

use std::collections::HashMap;

use holdfast_common::wire;
use uuid::Uuid;

use crate::app::commit::now_ms;
use crate::app::{Authority, config};
use crate::limits::{DRAIN_SETTLE_MS, DRIVE_WORDS_MAX, DRIVES_IN_CLUSTER_MAX, DRIVES_MAX};
use crate::store::backend::{self, BackendRow, DriveSaid, Intent};
use crate::store::{Client, StoreError, job};

impl Authority {
    /// Writes a node's drives down and tells everyone of those that changed.
    pub(crate) async fn drives_said(
        &self,
        client: &Client,
        node_id: Uuid,
        region: &str,
        drives: &[wire::Drive],
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let _order = inner.configuration.lock().await;
        let before: HashMap<u32, BackendRow> =
            backend::all(client).await?.into_iter().map(|row| (row.id, row)).collect();
        let (mut changed, mut fresh) = (Vec::new(), Vec::new());
        for drive in drives.iter().take(DRIVES_MAX) {
            let Ok(drive_id) = Uuid::from_slice(&drive.drive_id) else { continue };
            let drive = &wire::Drive {
                label: printable(&drive.label),
                state: printable(&drive.state),
                ..drive.clone()
            };
            let known = before.values().any(|row| row.drive_id == Some(drive_id));
            if !known && !may_add(&before, node_id, &fresh) {
                tracing::error!(node = %node_id, %drive_id, "a node names more drives than a node or a cluster may have");
                continue;
            }
            fresh.extend((!known).then_some(drive_id));
            let said = DriveSaid {
                drive_id,
                node_id,
                label: drive.label.clone(),
                state: drive_state(&drive.state).to_owned(),
                region: region.to_owned(),
                capacity_bytes: drive.capacity_bytes,
                free_bytes: drive.free_bytes,
            };
            let Some(row) = backend::upsert_drive(client, &said).await? else {
                let owner =
                    before.values().find(|row| row.drive_id == Some(drive_id)).and_then(|row| row.node_id);
                let owner = owner.unwrap_or_default();
                tracing::error!(
                    node = %node_id, %owner, %drive_id, label = drive.label,
                    "a node names a drive of another one, which has not said that it is missing; if it was moved for good, revoke \
                     the other: `holdfast admin node revoke`"
                );
                continue;
            };
            let was = before.get(&row.id);
            if was.is_some_and(|was| was.state != "active") && row.state == "active" {
                let revived = job::revive(client, row.id).await?;
                tracing::info!(backend = row.id, label = row.label, revived, "a drive is back");
            }
            let row = drain_ended(client, row, drive.work.as_ref()).await?;
            // Shown when all that follows from it is written down.
            inner.reports.0.lock().insert(drive_id, (drive.clone(), now_ms()));
            if was.is_none_or(|was| was.revision != row.revision) {
                changed.push(config::of_backend(&row));
            }
        }
        // A node says all its drives each time: what it did not find at its start is gone, or not mounted.
        let said: Vec<Uuid> =
            drives.iter().filter_map(|drive| Uuid::from_slice(&drive.drive_id).ok()).collect();
        for row in backend::missing(client, node_id, &said).await? {
            tracing::warn!(backend = row.id, label = row.label, node = %node_id, "a drive is missing");
            changed.push(config::of_backend(&row));
        }
        if !changed.is_empty() {
            self.publish_backends(changed);
        }
        Ok(())
    }

    pub(crate) async fn drives_reported(
        &self,
        node_id: Uuid,
        region: &str,
        drives: &[wire::Drive],
    ) -> Result<(), StoreError> {
        if !self.inner.truth.keeps_drives() {
            return Ok(());
        }
        let client = self.inner.store.client().await?;
        self.drives_said(&client, node_id, region, drives).await
    }
}

/// Whether a node may bring one more drive, beside those that are known and those that are `fresh`.
fn may_add(known: &HashMap<u32, BackendRow>, node_id: Uuid, fresh: &[Uuid]) -> bool {
    let its = known.values().filter(|row| row.node_id == Some(node_id)).count();
    its + fresh.len() < DRIVES_MAX && known.len() + fresh.len() < DRIVES_IN_CLUSTER_MAX
}

/// What a node says in words, for people: short, and without control characters.
fn printable(said: &str) -> String {
    said.chars().filter(|char| !char.is_control()).take(DRIVE_WORDS_MAX).collect()
}

/// A drive being drained that holds nothing is drained; a drained one that holds something was written to by who did
/// not know yet, and is drained again.
async fn drain_ended(
    client: &Client,
    row: BackendRow,
    work: Option<&wire::DriveWork>,
) -> Result<BackendRow, StoreError> {
    let Some(work) = work.filter(|_| row.state == "active" || row.state == "full") else { return Ok(row) };
    let empty = work.pieces == 0 && work.drain_left_pieces == 0;
    match row.intent {
        Some(Intent::Draining) if empty => match backend::drained(client, row.id, DRAIN_SETTLE_MS).await? {
            Some(drained) => {
                tracing::info!(backend = row.id, label = row.label, "a drive is drained");
                Ok(drained)
            }
            None => Ok(row),
        },
        Some(Intent::Drained) if !empty => {
            tracing::warn!(
                backend = row.id,
                label = row.label,
                pieces = work.pieces,
                "a drained drive holds pieces"
            );
            backend::intend(client, row.id, Some(Intent::Draining)).await
        }
        _ => Ok(row),
    }
}

/// States that placement knows; a node says more than that in words.
fn drive_state(said: &str) -> &'static str {
    match said.split(':').next().unwrap_or_default().trim() {
        "active" => "active",
        "full" => "full",
        "missing" => "missing",
        _ => "failed",
    }
}
