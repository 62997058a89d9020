//! Deletion jobs: the fragments of blobs that nobody references any more.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use holdfast_common::id::OpId;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::{self, job::Kind};

use super::{Agent, Trouble, report};
use crate::drives::Drives as _;
use crate::env::Env;
use crate::limits::{AGENT_DELETES_AT_ONCE, AGENT_DELETES_LEASED, AGENT_POLL};

impl<E: Env> Agent<E> {
    /// One lease of deletions, done and reported. Says when to ask again.
    pub(super) async fn delete_jobs(&self) -> Result<Duration, Trouble> {
        let (jobs, _) = self.lease(AGENT_DELETES_LEASED, 0).await?;
        let full = jobs.len() == AGENT_DELETES_LEASED as usize;
        let reports: Vec<wire::JobReport> = stream::iter(jobs)
            .filter_map(|job| async move { job.blob })
            .filter_map(|blob| async move { Some((OpId::from_wire(&blob.op_id)?, blob)) })
            .map(|(op, blob)| self.delete(op, blob))
            .buffer_unordered(AGENT_DELETES_AT_ONCE)
            .collect()
            .await;
        let done = reports.iter().any(|report| report.outcome() == Outcome::Done);
        self.report(reports).await?;
        Ok(if full && done { Duration::ZERO } else { AGENT_POLL })
    }

    async fn delete(&self, op: OpId, blob: wire::Blob) -> wire::JobReport {
        let outcome = self.try_delete(op, &blob).await;
        match &outcome {
            Ok(()) => self.progress.deleted.add(1),
            Err(_) => self.progress.deletes_later.add(1),
        }
        match outcome {
            Ok(()) => report(Kind::Delete, op, Outcome::Done, 0, String::new()),
            Err(why) => report(Kind::Delete, op, Outcome::Later, 0, why),
        }
    }

    /// `Err`: why it must wait. A blob that may lie on other nodes is gone only when every node has said so that may come back (a
    /// repair may have put fragments anywhere) and none of the drives that it was put on is away from its node.
    async fn try_delete(&self, op: OpId, blob: &wire::Blob) -> Result<(), String> {
        let everywhere = self.is_everywhere(blob);
        if self.state.pins.is_pinned(op) && !crate::mutant!("delete-pinned-blobs") {
            return Err("it is being read".to_owned());
        }
        let _claim = self.claim(op).ok_or("it is being repaired or moved")?;
        let errors = match everywhere {
            true => self.drives.delete_everywhere(op).await,
            false => self.drives.delete_blob(op).await,
        };
        self.remember_deleted(op);
        let fleet = self.fleet();
        if let Some((backend, error)) = errors.iter().find(|(backend, _)| !fleet.gone.contains(backend)) {
            return Err(format!("backend {backend}: {error}"));
        }
        let abroad = || {
            let homes = self.state.view().placements.get(&blob.placement_id).cloned();
            fleet.silent_home(homes.as_deref()).filter(|_| everywhere)
        };
        match fleet.silent.first().copied().or_else(abroad) {
            Some(backend) => Err(format!("backend {backend} is away")),
            None => Ok(()),
        }
    }
}
