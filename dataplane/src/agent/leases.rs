//! Leases of jobs: asked for, and renewed for as long as a repair goes on.
//!
//! A lease is the right to write on other nodes: their tickets end with it. A repair of many gigabytes outlasts it, so when
//! less than a third is left another is asked for. Who has lost his lease stops and deletes nothing: another may already
//! count on what was written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use holdfast_common::id::OpId;
use holdfast_common::wire::{self, work_answer, work_request};

use super::{Agent, Trouble};
use crate::env::Env;
use crate::limits::AGENT_RENEW_AGAIN;
use crate::rt::Rt as _;

/// How long jobs are this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) until: Instant,
    /// When to ask for more.
    renew: Instant,
}

impl Term {
    /// Counted from when it was asked for.
    fn new(asked: Instant, length: Duration) -> Self {
        Self { until: asked + length, renew: asked + length * 2 / 3 }
    }
}

/// The jobs under way that were leased, by their blobs; `None`: lost.
#[derive(Default)]
pub(super) struct Leases(RefCell<HashMap<OpId, Option<Term>>>);

impl Leases {
    /// The job about `blob` begins; it ends when what is returned is dropped.
    pub(super) fn begin(&self, blob: OpId, term: Term) -> Working<'_> {
        self.0.borrow_mut().insert(blob, Some(term));
        Working { leases: self, blob }
    }

    /// Whether there was a lease and it was lost.
    pub(super) fn is_lost(&self, blob: OpId) -> bool {
        self.0.borrow().get(&blob).is_some_and(Option::is_none)
    }

    fn set(&self, blob: OpId, term: Option<Term>) {
        if let Some(known) = self.0.borrow_mut().get_mut(&blob) {
            *known = term;
        }
    }
}

/// See [`Leases::begin`].
pub(super) struct Working<'a> {
    leases: &'a Leases,
    blob: OpId,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.leases.0.borrow_mut().remove(&self.blob);
    }
}

impl<E: Env> Agent<E> {
    /// Jobs, and how long they are ours.
    pub(super) async fn lease(
        &self,
        deletes_max: u32,
        repairs_max: u32,
    ) -> Result<(Vec<wire::Job>, Term), Trouble> {
        let lease = wire::LeaseJobs { deletes_max, repairs_max, ..Default::default() };
        let (jobs, term) = self.ask_for_jobs(lease).await?;
        Ok((jobs.items, term))
    }

    async fn ask_for_jobs(&self, lease: wire::LeaseJobs) -> Result<(wire::Jobs, Term), Trouble> {
        let asked = E::Rt::now();
        match self.ask(work_request::What::Lease(lease)).await? {
            work_answer::What::Jobs(jobs) => {
                let term = Term::new(asked, Duration::from_millis(jobs.lease_ms));
                Ok((jobs, term))
            }
            _ => Err(Trouble::Protocol),
        }
    }

    /// Whether work on a blob may go on: always where it takes no lease. Renews one that is about to run out.
    pub(super) async fn keep_lease(&self, blob: OpId) -> bool {
        let held = self.leases.0.borrow().get(&blob).copied();
        let Some(held) = held else { return true };
        let Some(term) = held else { return false };
        let now = E::Rt::now();
        if now < term.renew {
            return true;
        }
        self.leases.set(blob, Some(Term { renew: term.until.min(now + AGENT_RENEW_AGAIN), ..term }));
        let renewal = wire::LeaseJobs { renew: vec![blob.to_wire()], ..Default::default() };
        match self.ask_for_jobs(renewal).await {
            Ok((jobs, term)) if jobs.renewed.iter().any(|id| **id == blob.0) => {
                self.leases.set(blob, Some(term));
                return true;
            }
            Ok(_) => tracing::debug!(%blob, "a job is not leased to this node any more"),
            // The authority is away for a moment; what is left of the lease holds.
            Err(_) if E::Rt::now() < term.until => return true,
            Err(trouble) => tracing::debug!(%blob, %trouble, "a lease ran out and could not be renewed"),
        }
        self.leases.set(blob, None);
        false
    }
}
