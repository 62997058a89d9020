//! `holdfast admin recover`: what the fragments say of lost rows is shown, committed, or given up.
//!
//! Rows come back through the commit path under their own op ids, in the order of these, so that a commit whose answer was
//! lost, a second run and a node's own late retry all find the one outcome. Nothing newer is overwritten: `apply` looks at
//! what the changelog has of the key, and the commit itself at what stands there then (`PutObject.recovered`).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Instant;

use holdfast_common::id::OpId;
use holdfast_common::wire::answer::Answer as Body;
use holdfast_common::wire::{self, Refusal, mutation_result};
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::commit::Work;
use super::query::placement;
use super::{AdminError, Authority};
use crate::limits::{RECOVERY_APPLY, RECOVERY_BATCH_MAX, RECOVERY_SHOWN_MAX};
use crate::plan::recovery as plan;
use crate::store::bucket::BucketRow;
use crate::store::recovery::{self, Fragment, Outcome, Proposal};
use crate::store::{Client, backend, bucket};

/// What can come back of a lost history, and what has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recovery {
    pub history_lost: bool,
    /// Nodes there are, and those that have looked through all their drives.
    pub nodes: u64,
    pub nodes_walked: u64,
    /// Rows that wait for `apply`.
    pub proposed: u64,
    pub recovered: u64,
    /// Something newer stands there.
    pub skipped: u64,
    /// These cannot be committed, or not yet; `apply` tries them again.
    pub refused: u64,
    /// Proposals that no node of this cluster sealed, since this process started.
    pub forged: u64,
    /// The first of those that are not recovered.
    pub objects: Vec<LostObject>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LostObject {
    pub op_id: String,
    pub bucket: String,
    pub key: String,
    pub size_bytes: u64,
    /// When its op id was made: about when it was written.
    pub written_ms: u64,
    /// proposed, skipped, refused
    pub state: String,
    /// Why it was skipped or refused.
    pub reason: String,
}

type Settled = (Uuid, Outcome, String);

impl Authority {
    /// What nodes have proposed.
    pub async fn recovery(&self) -> Result<Recovery, AdminError> {
        self.must_lead().await?;
        self.recovery_shown().await
    }

    /// The same between two epochs, as at the end of [`Self::accept_history`].
    pub(crate) async fn recovery_shown(&self) -> Result<Recovery, AdminError> {
        let client = self.inner.store.client().await?;
        let counts = recovery::counts(&client).await?;
        let first = recovery::first(&client, RECOVERY_SHOWN_MAX).await?;
        Ok(Recovery {
            history_lost: self.inner.history_lost.load(Ordering::Relaxed),
            nodes: counts.nodes,
            nodes_walked: counts.nodes_walked,
            proposed: counts.proposed,
            recovered: counts.recovered,
            skipped: counts.skipped,
            refused: counts.refused,
            forged: self.inner.metrics.recovery_forged.get(),
            objects: first.iter().map(LostObject::of).collect(),
        })
    }

    /// Commits what waits, for a while; `proposed` of the answer is what is left. Without `more` it begins with what was
    /// refused before.
    pub async fn recovery_apply(&self, more: bool) -> Result<Recovery, AdminError> {
        self.must_lead().await?;
        if !self.inner.history_lost.load(Ordering::Relaxed) {
            return Err(AdminError::Conflict("no history is lost: there is nothing to recover".into()));
        }
        let client = self.inner.store.client().await?;
        if !more {
            recovery::retry_refused(&client).await?;
        }
        let began = Instant::now();
        while began.elapsed() < RECOVERY_APPLY {
            let some = recovery::waiting(&client, RECOVERY_BATCH_MAX).await?;
            if some.is_empty() {
                break;
            }
            let settled = self.recover_some(&client, &some).await?;
            recovery::settle(&client, &settled).await?;
        }
        drop(client);
        self.recovery().await
    }

    async fn recover_some(&self, client: &Client, some: &[Proposal]) -> Result<Vec<Settled>, AdminError> {
        let buckets: HashMap<u64, BucketRow> =
            bucket::all(client).await?.into_iter().map(|row| (row.id, row)).collect();
        let op_ids: Vec<Uuid> = some.iter().map(|lost| lost.op_id).collect();
        let found = recovery::fragments(client, &op_ids).await?;
        let keys: BTreeSet<(u64, Vec<u8>)> =
            some.iter().map(|lost| (lost.manifest.bucket_id, lost.manifest.key.to_vec())).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let oldest = op_ids.iter().min().copied().unwrap_or_default();
        let changed = recovery::changed_since(client, oldest, &keys).await?;
        let existing: BTreeSet<u32> = backend::all(client).await?.iter().map(|row| row.id).collect();
        let (mut settled, mut mutations) = (Vec::new(), Vec::new());
        for lost in some {
            let key = (lost.manifest.bucket_id, lost.manifest.key.to_vec());
            let newer = changed.get(&key).is_some_and(|op_id| *op_id > lost.op_id);
            let found = found.get(&lost.op_id).map_or(&[][..], Vec::as_slice);
            match self.mutation_of(client, lost, buckets.get(&key.0), newer, found, &existing).await? {
                Ok(mutation) => mutations.push(mutation),
                Err((outcome, reason)) => settled.push((lost.op_id, outcome, reason)),
            }
        }
        settled.extend(self.commit_all(mutations).await?);
        Ok(settled)
    }

    /// The mutation that brings a row back, or why none does.
    async fn mutation_of(
        &self,
        client: &Client,
        lost: &Proposal,
        bucket: Option<&BucketRow>,
        newer: bool,
        found: &[Fragment],
        existing: &BTreeSet<u32>,
    ) -> Result<Result<wire::Mutation, (Outcome, String)>, AdminError> {
        let refused = |reason: String| Ok(Err((Outcome::Refused, reason)));
        let manifest = &lost.manifest;
        let name = &manifest.bucket_name;
        let same = |row: &&BucketRow| row.name == *name && row.tenant_id == manifest.bucket_tenant_id;
        if bucket.filter(same).is_none() {
            return refused(format!("the bucket {name} (id {}) does not exist any more", manifest.bucket_id));
        }
        if newer {
            return Ok(Err((Outcome::Skipped, "the key was written or deleted since".into())));
        }
        let coding = plan::blob_of(manifest).and_then(|blob| blob.coding);
        let (Some(coding), Some(op_id)) = (coding, OpId::from_wire(lost.op_id.as_bytes())) else {
            return refused("its manifest makes no sense to this version".into());
        };
        let proven = plan::proven(found);
        if proven.count_ones() < coding.data.max(1) {
            let (have, need) = (proven.count_ones(), coding.data);
            return refused(format!("{have} of its fragments are here and it needs {need}; is a node away?"));
        }
        let fragments = (coding.data + coding.parity) as usize;
        let Some(list) = plan::placement(fragments, &manifest.backends, found, existing) else {
            return refused(format!("it has {fragments} fragments and there are fewer backends"));
        };
        let (body, pending) = placement(self, client, None, list).await?;
        for known in pending {
            // Gone: everyone knows.
            let _ = known.wait_for(|known| known).await;
        }
        match body {
            Body::Placement(placement) => {
                let mutation = plan::mutation(op_id, manifest, placement.placement_id, proven);
                Ok(mutation.ok_or((Outcome::Refused, "its manifest makes no sense to this version".into())))
            }
            _ => refused("its fragments cannot be placed".into()),
        }
    }

    /// Commits them, in their order where they are of one key.
    async fn commit_all(&self, mutations: Vec<wire::Mutation>) -> Result<Vec<Settled>, AdminError> {
        let (reply, mut results) = mpsc::unbounded_channel();
        let asked = mutations.len();
        for mutation in mutations {
            let work = Work { mutation, session: Uuid::nil(), reply: reply.clone() };
            if !self.committer.submit(work).await {
                return Err(AdminError::Unavailable("the control plane is stopping".into()));
            }
        }
        drop(reply);
        let mut settled = Vec::new();
        while let Some(result) = results.recv().await {
            let Some(op_id) = OpId::from_wire(&result.op_id) else { continue };
            let (outcome, reason) = match result.outcome {
                Some(mutation_result::Outcome::Committed(_)) => (Outcome::Recovered, String::new()),
                Some(mutation_result::Outcome::Refused(refused)) if refused.retryable => {
                    return Err(AdminError::Unavailable(format!("{}; try again", refused.detail)));
                }
                Some(mutation_result::Outcome::Refused(refused)) => match refused.reason() {
                    Refusal::PreconditionFailed => (Outcome::Skipped, refused.detail),
                    _ => (Outcome::Refused, refused.detail),
                },
                None => (Outcome::Refused, "a result without an outcome".into()),
            };
            settled.push((op_id.uuid(), outcome, reason));
        }
        if settled.len() < asked {
            return Err(AdminError::Unavailable("some rows were not answered; try again".into()));
        }
        Ok(settled)
    }
}

impl LostObject {
    fn of(lost: &Proposal) -> Self {
        Self {
            op_id: lost.op_id.to_string(),
            bucket: lost.manifest.bucket_name.clone(),
            key: String::from_utf8_lossy(&lost.manifest.key).into_owned(),
            size_bytes: lost.manifest.size,
            written_ms: OpId(*lost.op_id.as_bytes()).unix_ms(),
            state: format!("{:?}", lost.outcome).to_lowercase(),
            reason: lost.reason.clone(),
        }
    }
}
