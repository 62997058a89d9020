//! Deletions and repairs: leased to nodes, reported by them, and repairs that nodes themselves find necessary.
//!
//! A placement may lie on the drives of several nodes. A job goes to any one of them and to one at a time; what that node says
//! of a blob it says of all of them, and puts off what a silent one keeps it from doing. Where all of those nodes are revoked it
//! goes to any node: what a node held that was emptied before lies on others.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::{Blob, Deficit, Job, JobReport, Jobs, LeaseJobs};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::limits::{JOB_DETAIL_BYTES_MAX, JOB_LEASE_MS, LEASE_DELETES_MAX, LEASE_REPAIRS_MAX};
use crate::plan::redundancy;
use crate::store::job::Report;
use crate::store::{StoreError, backend, freed, job};

/// Renews leases, and leases what is due. While history is lost nothing is deleted: what the lost rows said of it is not known.
pub(super) async fn lease(
    authority: &Authority,
    node_id: Uuid,
    asked: &LeaseJobs,
) -> Result<Jobs, StoreError> {
    let inner = &authority.inner;
    let client = inner.store.client().await?;
    let renew: Vec<Uuid> = asked.renew.iter().filter_map(|id| OpId::from_wire(id)).map(OpId::uuid).collect();
    let renewed = match renew.is_empty() {
        true => vec![],
        false => job::renew(&client, node_id, &renew, JOB_LEASE_MS).await?,
    };
    let renewed = renewed.iter().map(|subject| Bytes::copy_from_slice(subject.as_bytes())).collect();
    let backends = backend::of_node(&client, node_id).await?;
    let mut items = Vec::new();
    let deletes = asked.deletes_max.min(LEASE_DELETES_MAX);
    if deletes > 0 && !inner.history_lost.load(Ordering::Relaxed) {
        let leased = freed::lease(&client, node_id, &backends, deletes, JOB_LEASE_MS).await?;
        items.extend(leased.into_iter().map(|leased| Job {
            kind: Kind::Delete.into(),
            blob: Some(leased.blob),
            missing: 0,
            attempts: leased.attempts,
        }));
    }
    let repairs = asked.repairs_max.min(LEASE_REPAIRS_MAX);
    if repairs > 0 {
        let leased = job::lease(&client, node_id, &backends, repairs, JOB_LEASE_MS).await?;
        items.extend(leased.into_iter().map(|leased| Job {
            kind: Kind::Repair.into(),
            blob: Some(leased.blob),
            missing: leased.missing,
            attempts: leased.attempts,
        }));
    }
    Ok(Jobs { items, lease_ms: JOB_LEASE_MS, renewed })
}

/// Reports, sorted by what has to be written for them.
#[derive(Default)]
struct Sorted<'a> {
    deleted: Vec<Uuid>,
    put_off: Vec<(Uuid, &'a str)>,
    repaired: Vec<Report<'a>>,
    lost: Vec<Report<'a>>,
}

impl<'a> Sorted<'a> {
    /// The last report about a blob counts; nonsense is passed over.
    fn of(items: &'a [JobReport]) -> Self {
        let mut last: HashMap<(i32, Uuid), &JobReport> = HashMap::new();
        for item in items {
            if let Some(op_id) = OpId::from_wire(&item.op_id) {
                last.insert((item.kind, op_id.uuid()), item);
            }
        }
        let mut sorted = Self::default();
        for ((_, subject), item) in last {
            let detail = sentence(&item.detail);
            let report = |missing| Report { subject, missing, detail };
            match (item.kind(), item.outcome()) {
                (Kind::Delete, Outcome::Done) => sorted.deleted.push(subject),
                (Kind::Delete, Outcome::Later | Outcome::Lost) => sorted.put_off.push((subject, detail)),
                (Kind::Repair, Outcome::Done) => sorted.repaired.push(report(item.missing)),
                // Who could not do anything says nothing about it: all of it is still missing.
                (Kind::Repair, Outcome::Later) if item.missing == 0 => sorted.repaired.push(report(u64::MAX)),
                (Kind::Repair, Outcome::Later) => sorted.repaired.push(report(item.missing)),
                (Kind::Repair, Outcome::Lost) => sorted.lost.push(report(item.missing)),
                (Kind::Unspecified, _) | (_, Outcome::Unspecified) => {
                    tracing::warn!(op = %subject, "a node reports a job without its kind or outcome");
                }
            }
        }
        sorted
    }
}

/// PostgreSQL's text cannot hold NUL, and a sentence has an end.
fn sentence(detail: &str) -> &str {
    let detail = detail.split('\0').next().unwrap_or_default();
    &detail[..detail.floor_char_boundary(JOB_DETAIL_BYTES_MAX)]
}

/// Writes down what came of leased jobs.
pub(super) async fn report(
    authority: &Authority,
    node_id: Uuid,
    items: &[JobReport],
) -> Result<(), StoreError> {
    let sorted = Sorted::of(items);
    let metrics = &authority.inner.metrics;
    let mut client = authority.inner.store.client().await?;
    let work = client.transaction().await?;
    let deleted = match sorted.deleted.is_empty() {
        true => Vec::new(),
        false => freed::deleted(&work, node_id, &sorted.deleted).await?,
    };
    if !deleted.is_empty() {
        // A node may have found a fragment missing while another of its tasks deleted them all. Of what was not leased to it
        // to delete it has no say: repairs of that stay.
        let forget = work.prepare_cached(job::FORGET).await?;
        work.execute(&forget, &[&deleted]).await?;
    }
    if !sorted.put_off.is_empty() {
        let (op_ids, details): (Vec<Uuid>, Vec<&str>) = sorted.put_off.into_iter().unzip();
        freed::put_off(&work, node_id, &op_ids, &details).await?;
    }
    let repaired =
        if sorted.repaired.is_empty() { 0 } else { job::repaired(&work, node_id, &sorted.repaired).await? };
    let lost = if sorted.lost.is_empty() { vec![] } else { job::lost(&work, node_id, &sorted.lost).await? };
    work.commit().await?;
    metrics.deletions.inc_by(deleted.len() as u64);
    metrics.repairs.inc_by(repaired);
    metrics.repairs_lost.inc_by(lost.len() as u64);
    for report in sorted.lost.iter().filter(|report| lost.contains(&report.subject)) {
        tracing::error!(
            blob = %report.subject, node = %node_id, detail = report.detail,
            "BYTES ARE LOST: fewer fragments are left than the code needs; bring back the drives that held them"
        );
    }
    Ok(())
}

/// Makes repairs of what a node found missing or rotten.
pub(super) async fn found_missing(
    authority: &Authority,
    node_id: Uuid,
    items: Vec<Deficit>,
) -> Result<(), StoreError> {
    let mut merged: HashMap<OpId, (Blob, u64)> = HashMap::new();
    for Deficit { blob, missing, reason } in items {
        let Some(blob) = blob else { continue };
        let missing = missing & redundancy::all(&blob);
        let Some(op_id) = OpId::from_wire(&blob.op_id).filter(|_| missing != 0) else { continue };
        tracing::debug!(blob = %op_id, node = %node_id, missing = format!("{missing:#b}"), reason, "fragments are missing");
        let row = merged.entry(op_id).or_insert((blob, 0));
        row.1 |= missing;
    }
    if merged.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Blob, u64)> = merged.into_values().collect();
    tracing::info!(node = %node_id, blobs = rows.len(), "a node has found fragments missing");
    let mut client = authority.inner.store.client().await?;
    let work = client.transaction().await?;
    job::found_missing(&work, node_id, &rows, now_ms()).await?;
    Ok(work.commit().await?)
}
