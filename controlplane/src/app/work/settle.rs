//! What became of op ids whose fragments a node found: the reaper's half of the commit (DESIGN 3.1).
//!
//! An op id that has no row in the changelog gets one, `abandoned`, under the unique index that commits insert under and
//! behind the same epoch row. Whoever is first wins, and the other reads it: a commit that comes later is refused, so a
//! node may delete what is answered `ABANDONED` whatever its clock says and however long an upload takes.
//!
//! A node asks about op ids of its own that it has closed. Once nodes hold each other's fragments an op id has to say
//! whose it is, or only ids below the oldest that *any* node still has open (`node.oldest_op`) may be asked about.

use std::sync::atomic::Ordering;

use holdfast_common::id::OpId;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{Refusal, Refused, SettleOps, SettledOps};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::limits::OP_AGE_MS_MAX;
use crate::plan::refuse_for_now;
use crate::store::changelog::Kind;
use crate::store::{StoreError, authority, changelog, job, node};

/// Settles them, and remembers how far the node has come.
pub(super) async fn settle(
    authority: &Authority,
    node_id: Uuid,
    epoch: u64,
    asked: &SettleOps,
) -> Result<SettledOps, Refused> {
    let inner = &authority.inner;
    let mut client = inner.store.client().await?;
    let work = client.transaction().await.map_err(StoreError::from)?;
    let Some(trimmed_before) = authority::fence(&work, epoch).await? else {
        inner.step_down.notify_one();
        return Err(refuse_for_now(Refusal::NotLeader, "another control plane leads"));
    };
    // What the lost rows said is not known: nobody's bytes are garbage until people have looked.
    if inner.history_lost.load(Ordering::Relaxed) {
        return Ok(all(asked, Verdict::Keep));
    }
    let now_ms = now_ms();
    // Beyond the horizon a missing row says nothing. The horizon is where commits are refused by the clock, and where
    // the changelog was in fact trimmed, should a clock have been wrong.
    let known = |op_id: &OpId| op_id.unix_ms() + OP_AGE_MS_MAX >= now_ms && op_id.uuid() >= trimmed_before;
    let op_ids: Vec<Option<OpId>> = asked.op_ids.iter().map(|id| OpId::from_wire(id)).collect();
    let mut names: Vec<Uuid> = op_ids.iter().flatten().map(|op_id| op_id.uuid()).collect();
    names.sort_unstable();
    names.dedup();
    // Most are committed, and looking costs a third of an insert that finds its row there.
    let mut kinds = changelog::kinds(&work, &names).await?;
    let mut unknown: Vec<Uuid> =
        op_ids.iter().flatten().filter(|op_id| known(op_id)).map(|op_id| op_id.uuid()).collect();
    unknown.retain(|op_id| !kinds.contains_key(op_id));
    unknown.sort_unstable();
    unknown.dedup();
    let mut abandoned = 0;
    if !unknown.is_empty() {
        abandoned = changelog::abandon(&work, &unknown, epoch).await?;
        kinds.extend(changelog::kinds(&work, &unknown).await?);
    }
    let verdict = |op_id: &Option<OpId>| match op_id.and_then(|op_id| kinds.get(&op_id.uuid())) {
        Some(kind) if *kind == Kind::Abandoned as i16 => Verdict::Abandoned,
        Some(_) => Verdict::Committed,
        None => Verdict::Keep,
    };
    let verdicts: Vec<Verdict> = op_ids.iter().map(verdict).collect();
    if abandoned > 0 {
        work.execute(job::FORGET, &[&within_abandoned(&op_ids, &verdicts)])
            .await
            .map_err(StoreError::from)?;
    }
    if let Some(settled_to) = OpId::from_wire(&asked.settled_to) {
        node::settled(&work, node_id, settled_to.uuid()).await?;
    }
    work.commit().await.map_err(StoreError::from)?;
    inner.metrics.abandoned.inc_by(abandoned);
    if abandoned > 0 {
        tracing::info!(node = %node_id, abandoned, asked = asked.op_ids.len(), "operations that came to nothing");
    }
    Ok(SettledOps { verdicts: verdicts.into_iter().map(i32::from).collect() })
}

fn all(asked: &SettleOps, verdict: Verdict) -> SettledOps {
    SettledOps { verdicts: vec![verdict.into(); asked.op_ids.len()] }
}

/// What is never going to be committed needs no repair.
fn within_abandoned(op_ids: &[Option<OpId>], verdicts: &[Verdict]) -> Vec<Uuid> {
    let abandoned = op_ids.iter().zip(verdicts).filter(|(_, verdict)| **verdict == Verdict::Abandoned);
    abandoned.filter_map(|(op_id, _)| Some((*op_id)?.uuid())).collect()
}
