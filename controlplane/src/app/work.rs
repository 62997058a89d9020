//! Background work of nodes, by polling (`Node.Work`): what to delete and to repair, what came of it, what was found
//! missing, and which op ids came to nothing. Every request may be repeated without harm.
//!
//! Only the leader answers, but only settling needs its epoch: a deletion or a repair that is on record is right to do
//! whoever leads, and leases are rows that two leaders cannot give twice.

mod jobs;
pub(crate) mod pages;
mod proposals;
mod settle;

use holdfast_common::wire::work_answer::What as Answer;
use holdfast_common::wire::work_request::What as Ask;
use holdfast_common::wire::{Noted, Refusal, Refused, WorkAnswer, WorkRequest};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::limits::WORK_ITEMS_MAX;
use crate::plan::{refuse, refuse_for_now};
use crate::store::{StoreError, freed, job};

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        refuse_for_now(Refusal::Unavailable, error.to_string())
    }
}

impl Authority {
    /// Answers a node's request for or about background work.
    pub async fn work(&self, request: WorkRequest) -> WorkAnswer {
        let what = self.answer_work(request).await.unwrap_or_else(|refused| {
            tracing::debug!(detail = %refused.detail, "a request about background work was refused");
            Answer::Refused(refused)
        });
        WorkAnswer { what: Some(what) }
    }

    /// Counts what waits, for the metrics.
    pub async fn count_work(&self) -> Result<(), StoreError> {
        let metrics = &self.inner.metrics;
        let client = self.inner.store.client().await?;
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (backlog, oldest) = freed::backlog(&client).await?;
        let oldest_ms = oldest.map_or(0, |oldest| now_ms().saturating_sub(oldest));
        metrics.freed_backlog.set(gauge(backlog));
        metrics.freed_oldest_seconds.set(gauge(oldest_ms / 1000));
        let counts = job::counts(&client).await?;
        metrics.repairs_waiting.set(gauge(counts.waiting));
        metrics.repairs_leased.set(gauge(counts.leased));
        metrics.repairs_failed.set(gauge(counts.failed));
        Ok(())
    }

    async fn answer_work(&self, request: WorkRequest) -> Result<Answer, Refused> {
        let sessions = &self.inner.sessions;
        let node_id = Uuid::from_slice(&request.session_id).ok().and_then(|id| sessions.node_of(id));
        let node_id = node_id.ok_or_else(|| refuse_for_now(Refusal::Unavailable, "the session has ended"))?;
        let epoch = sessions.leading();
        let epoch = epoch
            .ok_or_else(|| refuse_for_now(Refusal::NotLeader, "this control plane is not the leader"))?;
        match request.what {
            Some(Ask::Lease(asked)) => {
                bounded(asked.renew.len())?;
                Ok(Answer::Jobs(jobs::lease(self, node_id, &asked).await?))
            }
            Some(Ask::Reports(reports)) => {
                bounded(reports.items.len())?;
                jobs::report(self, node_id, &reports.items).await?;
                Ok(Answer::Noted(Noted {}))
            }
            Some(Ask::Settle(asked)) => {
                bounded(asked.op_ids.len())?;
                settle::settle(self, node_id, epoch, &asked).await.map(Answer::Settled)
            }
            Some(Ask::Deficits(found)) => {
                bounded(found.items.len())?;
                jobs::found_missing(self, node_id, found.items).await?;
                Ok(Answer::Noted(Noted {}))
            }
            Some(Ask::Proposals(said)) => {
                bounded(said.items.len())?;
                proposals::take(self, node_id, epoch, &said).await?;
                Ok(Answer::Noted(Noted {}))
            }
            None => Err(refuse(Refusal::Malformed, "a request about nothing")),
        }
    }
}

fn bounded(items: usize) -> Result<(), Refused> {
    if items <= WORK_ITEMS_MAX {
        return Ok(());
    }
    Err(refuse(Refusal::Malformed, format!("a request about work has at most {WORK_ITEMS_MAX} items")))
}
