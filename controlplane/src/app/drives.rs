//! Drives as an administrator sees and directs them: listed with what their nodes last said, drained, declared gone.
//!
//! A decision stands in the backend's row beside what the node says, rides the configuration stream to every node, and is
//! done when each live one has acknowledged it. The moving and rebuilding is the nodes' work; here are its figures.

mod progress;
mod report;

use std::collections::HashMap;

use holdfast_common::wire;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::progress::DrainInfo;
use super::sessions::wait;
use super::{AdminError, Authority, config};
use crate::app::commit::now_ms;
use crate::store::backend::{self, BackendRow, Intent};
use crate::store::job::{self, OpenOn};
use crate::store::{Client, StoreError, node};

/// What nodes said last of their drives, by drive, and when (unix milliseconds). In memory: a new leader has them again
/// within one report.
#[derive(Default)]
pub struct Reports(Mutex<HashMap<Uuid, (wire::Drive, u64)>>);

impl Reports {
    fn of(&self, drive_id: Option<Uuid>) -> Option<(wire::Drive, u64)> {
        self.0.lock().get(&drive_id?).cloned()
    }
}

/// One drive.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DriveInfo {
    pub backend_id: u32,
    pub drive_id: String,
    pub node_id: String,
    pub node: String,
    /// Its path on the node.
    pub label: String,
    /// `draining`, `drained`, `replaced` when an administrator said so, else what the node says.
    pub state: String,
    /// What the node says: `active`, `full`, `failed: ...`, `missing`.
    pub reported_state: String,
    /// The node is here now; else the figures are its last.
    pub connected: bool,
    pub reported_ms: Option<u64>,
    pub capacity_bytes: u64,
    pub used_bytes: u64,
    pub free_bytes: u64,
    /// Living fragments' pieces.
    pub pieces: u64,
    pub live_bytes: u64,
    /// What their segments take on the drive.
    pub segment_bytes: u64,
    /// Failed operations since the node's start.
    pub errors: u64,
    /// Pieces found rotten or missing since the node's start.
    pub rotten: u64,
    pub scrub: ScrubInfo,
    /// While the drive is being drained.
    pub drain: Option<DrainInfo>,
}

/// How far the scrubber is.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ScrubInfo {
    /// Finished passes.
    pub passes: u64,
    /// Of the running pass; null: none is running.
    pub started_ms: Option<u64>,
    pub done_bytes: u64,
    pub total_bytes: u64,
    /// Of the last pass; null: there was none.
    pub finished_ms: Option<u64>,
    /// When the running pass will be done if it goes on as it has; null: cannot be told.
    pub estimated_end_ms: Option<u64>,
}

/// One drive, and what its absence or rot has left to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DriveStatus {
    #[serde(flatten)]
    pub drive: DriveInfo,
    /// Repairs waiting or under way of fragments whose place is this drive.
    pub repairs_open: u64,
    /// Repairs that found too few fragments.
    pub repairs_failed: u64,
    /// Blobs with a place on this drive that have fewer fragments than they should, wherever those are missing.
    pub blobs_below_desired: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainRequest {
    /// Take a drain back: the drive gets new fragments again.
    pub cancel: bool,
    /// Even where too few drives remain to hold each fragment of a blob apart: what has nowhere to go stays until a drive
    /// is added.
    pub force: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplaceRequest {
    /// Even though the drive answers.
    pub force: bool,
}

/// What decisions and figures of one drive need.
struct Known {
    rows: Vec<BackendRow>,
    nodes: HashMap<Uuid, String>,
    connected: HashMap<Uuid, bool>,
}

impl Authority {
    /// All drives.
    pub async fn list_drives(&self) -> Result<Vec<DriveInfo>, AdminError> {
        let client = self.inner.store.client().await?;
        let known = self.known(&client).await?;
        Ok(known.rows.iter().map(|row| self.info(&known, row)).collect())
    }

    /// One drive, by the backend's number or the drive's id.
    pub async fn drive_status(&self, drive: &str) -> Result<DriveStatus, AdminError> {
        let client = self.inner.store.client().await?;
        let known = self.known(&client).await?;
        let row = find(&known, drive)?;
        let OpenOn { missing, failed, below } = job::open_on(&client, row.id).await?;
        Ok(DriveStatus {
            drive: self.info(&known, row),
            repairs_open: missing,
            repairs_failed: failed,
            blobs_below_desired: below,
        })
    }

    /// Takes a drive out of new placements and has its node move what is there, or takes that back. Returns when every
    /// live node knows.
    pub async fn drain_drive(&self, drive: &str, asked: DrainRequest) -> Result<DriveStatus, AdminError> {
        let waits = {
            let _order = self.inner.configuration.lock().await;
            self.must_lead().await?;
            let client = self.inner.store.client().await?;
            let known = self.known(&client).await?;
            let row = find(&known, drive)?;
            match (asked.cancel, row.intent) {
                (_, Some(Intent::Replaced)) => return Err(AdminError::Conflict(already_replaced(row))),
                (true, None) | (false, Some(Intent::Draining | Intent::Drained)) => Vec::new(),
                (true, Some(_)) => self.decide(&client, row, None).await?,
                (false, None) => {
                    let width = backend::widest_with(&client, row.id).await?;
                    room_without(&known, row, width, asked.force)?;
                    self.decide(&client, row, Some(Intent::Draining)).await?
                }
            }
        };
        self.everybody_knows(waits).await?;
        self.drive_status(drive).await
    }

    /// Declares a drive gone for good: nobody waits for it any more, and what it held is rebuilt elsewhere at once.
    /// Returns when every live node knows. There is no way back: the drive comes again under another id.
    pub async fn replace_drive(&self, drive: &str, asked: ReplaceRequest) -> Result<DriveStatus, AdminError> {
        let waits = {
            let _order = self.inner.configuration.lock().await;
            self.must_lead().await?;
            let client = self.inner.store.client().await?;
            let known = self.known(&client).await?;
            let row = find(&known, drive)?;
            let answers = known.is_connected(row) && matches!(row.state.as_str(), "active" | "full");
            let empty = row.intent == Some(Intent::Drained);
            if row.intent == Some(Intent::Replaced) {
                Vec::new()
            } else if answers && !empty && !asked.force {
                return Err(AdminError::Conflict(format!(
                    "backend {} ({}) is {} and its node is connected: drain it instead, or say --force to give up what it holds",
                    row.id, row.label, row.state
                )));
            } else {
                self.decide(&client, row, Some(Intent::Replaced)).await?
            }
        };
        self.everybody_knows(waits).await?;
        self.drive_status(drive).await
    }

    /// How far the drain of a node is: of its drives that are to be emptied.
    pub(super) fn drain_of(&self, drives: &[&BackendRow]) -> DrainInfo {
        let draining = drives.iter().filter(|row| row.intent == Some(Intent::Draining));
        DrainInfo::sum(draining.map(|row| {
            let work = self.inner.reports.of(row.drive_id).and_then(|(drive, _)| drive.work);
            // Without a word of its node nothing is known to have moved.
            work.map_or(DrainInfo { left_pieces: 1, ..DrainInfo::default() }, |work| DrainInfo::of(&work))
        }))
    }

    async fn decide(
        &self,
        client: &Client,
        row: &BackendRow,
        intent: Option<Intent>,
    ) -> Result<Vec<wait::Acknowledgement>, StoreError> {
        let was = row.shown_state();
        let row = backend::intend(client, row.id, intent).await?;
        tracing::info!(
            backend = row.id, drive = ?row.drive_id, label = row.label, was, now = row.shown_state(),
            "an administrator has decided about a drive"
        );
        Ok(self.publish_backends(vec![config::of_backend(&row)]))
    }

    pub(super) fn publish_backends(&self, backends: Vec<wire::Backend>) -> Vec<wait::Acknowledgement> {
        let upsert = wire::ConfigSnapshot { backends, ..Default::default() };
        self.inner.sessions.publish_config(wire::ConfigChange { upsert: Some(upsert), ..Default::default() })
    }

    async fn known(&self, client: &Client) -> Result<Known, StoreError> {
        let facts = self.inner.sessions.facts();
        Ok(Known {
            rows: backend::all(client).await?,
            nodes: node::all(client).await?.into_iter().map(|row| (row.node_id, row.name)).collect(),
            connected: facts.into_iter().map(|facts| (facts.node_id, facts.connected)).collect(),
        })
    }

    fn info(&self, known: &Known, row: &BackendRow) -> DriveInfo {
        let report = self.inner.reports.of(row.drive_id);
        let reported_ms = report.as_ref().map(|(_, at)| *at);
        let drive = report.map(|(drive, _)| drive).unwrap_or_default();
        // In more words, unless it has been silent about the drive since.
        let said = Some(drive.state).filter(|said| said.starts_with(&row.state));
        let work = drive.work.unwrap_or_default();
        DriveInfo {
            backend_id: row.id,
            drive_id: row.drive_id.map(|id| id.to_string()).unwrap_or_default(),
            node_id: row.node_id.map(|id| id.to_string()).unwrap_or_default(),
            node: row.node_id.and_then(|id| known.nodes.get(&id).cloned()).unwrap_or_default(),
            label: row.label.clone(),
            state: row.shown_state().to_owned(),
            reported_state: said.unwrap_or_else(|| row.state.clone()),
            connected: known.is_connected(row),
            reported_ms,
            capacity_bytes: row.capacity_bytes,
            used_bytes: row.capacity_bytes.saturating_sub(row.free_bytes),
            free_bytes: row.free_bytes,
            pieces: work.pieces,
            live_bytes: work.live_bytes,
            segment_bytes: work.segment_bytes,
            errors: work.errors,
            rotten: work.rotten,
            scrub: scrub(&work, now_ms()),
            drain: (row.intent == Some(Intent::Draining)).then(|| DrainInfo::of(&work)),
        }
    }
}

impl Known {
    fn is_connected(&self, row: &BackendRow) -> bool {
        row.node_id.and_then(|id| self.connected.get(&id)).copied().unwrap_or(false)
    }
}

fn find<'a>(known: &'a Known, drive: &str) -> Result<&'a BackendRow, AdminError> {
    let number: Option<u32> = drive.parse().ok();
    let id = Uuid::try_parse(drive).ok();
    let is = |row: &&BackendRow| number == Some(row.id) || (id.is_some() && row.drive_id == id);
    known.rows.iter().find(is).ok_or_else(|| {
        AdminError::NotFound(format!(
            "there is no drive {drive}; `drive list` shows the numbers of backends and the ids of drives"
        ))
    })
}

fn already_replaced(row: &BackendRow) -> String {
    format!(
        "backend {} ({}) was replaced; the drive may come back only as a new one, on an empty directory",
        row.id, row.label
    )
}

/// A drain never puts two fragments of a blob on one drive, so as many must remain as the widest blob is spread over.
fn room_without(known: &Known, row: &BackendRow, width: usize, force: bool) -> Result<(), AdminError> {
    let remains = |other: &&BackendRow| {
        other.id != row.id
            && other.node_id == row.node_id
            && other.intent.is_none()
            && other.state == "active"
    };
    let remain = known.rows.iter().filter(remains).count();
    if remain == 0 {
        return Err(AdminError::Conflict(format!(
            "no active drive of the node would remain to take what is on backend {} ({})",
            row.id, row.label
        )));
    }
    if remain < width && !force {
        return Err(AdminError::Conflict(format!(
            "blobs on backend {} ({}) are spread over {width} drives and {remain} would remain: add a drive first, or say \
             --force to begin all the same: what has nowhere to go stays until there is one",
            row.id, row.label
        )));
    }
    Ok(())
}

fn scrub(work: &wire::DriveWork, now_ms: u64) -> ScrubInfo {
    let some = |ms: u64| Some(ms).filter(|ms| *ms > 0);
    let started_ms = some(work.scrub_started_ms);
    let left = work.scrub_total_bytes.saturating_sub(work.scrub_done_bytes);
    let estimated_end_ms = started_ms.filter(|_| work.scrub_done_bytes > 0).map(|started| {
        let took = u128::from(now_ms.saturating_sub(started));
        let more = took * u128::from(left) / u128::from(work.scrub_done_bytes);
        now_ms.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    });
    ScrubInfo {
        passes: work.scrub_pass,
        started_ms,
        done_bytes: work.scrub_done_bytes,
        total_bytes: work.scrub_total_bytes,
        finished_ms: some(work.scrub_finished_ms),
        estimated_end_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::scrub;
    use holdfast_common::wire::DriveWork;

    #[test]
    fn a_pass_is_expected_to_go_on_as_it_has() {
        let work = DriveWork {
            scrub_started_ms: 1000,
            scrub_done_bytes: 25,
            scrub_total_bytes: 100,
            ..Default::default()
        };
        assert_eq!(scrub(&work, 2000).estimated_end_ms, Some(5000));
        assert_eq!(scrub(&DriveWork::default(), 5).estimated_end_ms, None);
    }
}
