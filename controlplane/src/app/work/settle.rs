//! What became of op ids whose fragments a node found: the reaper's half of the commit (DESIGN 3.1).
//!
//! An op id that has no row in the changelog gets one, `abandoned`, under the unique index that commits insert under and
//! behind the same epoch row. Whoever is first wins, and the other reads it: a commit that comes later is refused, so a
//! node may delete what is answered `ABANDONED` whatever its clock says and however long an upload takes.
//!
//! An op id says whose it is. A node knows what it has open itself; of other nodes' op ids only those count as closed that
//! are below the oldest their node has open, as it said last (`node.oldest_op`); those of no node (number 0) and of revoked
//! ones only below the oldest of all, and those of a number beyond all on record never. The others stay `OPEN`. A node that
//! is revoked and gone has nothing open any more.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{Refusal, Refused, SettleOps, SettledOps};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::limits::OP_AGE_MS_MAX;
use crate::plan::refuse_for_now;
use crate::store::changelog::Kind;
use crate::store::node::OpenFrom;
use crate::store::{StoreError, Transaction, authority, changelog, job, node};

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
        return kept(authority, &work, asked, trimmed_before).await;
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
    let open = open_from(authority, &work, node_id).await?;
    let told = |op_id: &&OpId| known(op_id) && !open.may_be_committed(**op_id);
    let mut unknown: Vec<Uuid> = op_ids.iter().flatten().filter(told).map(|op_id| op_id.uuid()).collect();
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
        None if op_id.is_some_and(|op_id| known(&op_id) && open.may_be_committed(op_id)) => Verdict::Open,
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
    let verdicts = verdicts.into_iter().map(i32::from).collect();
    Ok(SettledOps { verdicts, others_open_from: open.others_from() })
}

/// While history is lost: which of them have no row although they should. What is under way at a node that is here is not
/// lost; one that is not here finds the outcome when it comes.
async fn kept(
    authority: &Authority,
    work: &Transaction<'_>,
    asked: &SettleOps,
    trimmed_before: Uuid,
) -> Result<SettledOps, Refused> {
    let connected: Vec<Uuid> = authority.inner.sessions.facts().iter().map(|facts| facts.node_id).collect();
    let mut nodes = node::open_from(work).await?;
    nodes.retain(|node| connected.contains(&node.node_id));
    let under_way = |op_id: &OpId| {
        let maker = nodes.iter().find(|node| node.number == op_id.node());
        maker.and_then(|maker| maker.oldest).is_some_and(|oldest| op_id.uuid() >= oldest)
    };
    let op_ids: Vec<Option<OpId>> = asked.op_ids.iter().map(|id| OpId::from_wire(id)).collect();
    let mut names: Vec<Uuid> = op_ids.iter().flatten().map(|op_id| op_id.uuid()).collect();
    names.sort_unstable();
    names.dedup();
    let rows = changelog::kinds(work, &names).await?;
    let now_ms = now_ms();
    let lost = |op_id: &OpId| {
        let told = op_id.unix_ms() + OP_AGE_MS_MAX >= now_ms && op_id.uuid() >= trimmed_before;
        told && !rows.contains_key(&op_id.uuid()) && !under_way(op_id)
    };
    let verdict = |op_id: &Option<OpId>| match op_id {
        Some(op_id) if lost(op_id) => Verdict::Unknown,
        _ => Verdict::Keep,
    };
    let verdicts = op_ids.iter().map(verdict).map(i32::from).collect();
    Ok(SettledOps { verdicts, others_open_from: Bytes::new() })
}

/// What nodes may commit yet: a revoked one until its session is over.
async fn open_from(authority: &Authority, work: &Transaction<'_>, asker: Uuid) -> Result<Open, StoreError> {
    let connected: Vec<Uuid> = authority.inner.sessions.facts().iter().map(|facts| facts.node_id).collect();
    let mut nodes = node::open_from(work).await?;
    let highest = nodes.iter().map(|node| node.number).max().unwrap_or(0);
    nodes.retain(|node| !node.revoked || connected.contains(&node.node_id));
    Ok(Open { asker, nodes, highest })
}

/// What other nodes than the one that asks may still commit.
struct Open {
    asker: Uuid,
    nodes: Vec<OpenFrom>,
    /// The highest number that was ever given to a node.
    highest: u16,
}

impl Open {
    fn others(&self) -> impl Iterator<Item = &OpenFrom> {
        self.nodes.iter().filter(|node| node.node_id != self.asker)
    }

    /// Whether some node other than the asker may still commit it. The asker names only what it has closed itself.
    fn may_be_committed(&self, op_id: OpId) -> bool {
        let open = |node: &OpenFrom| node.oldest.is_none_or(|oldest| op_id.uuid() >= oldest);
        match self.nodes.iter().find(|node| node.number == op_id.node()) {
            Some(maker) if maker.node_id == self.asker => false,
            Some(maker) => open(maker),
            None if op_id.node() <= self.highest => self.others().any(open),
            // Numbers are given one after the other and stay: the row of that node was lost, and with it what it commits.
            None => true,
        }
    }

    /// As `SettledOps.others_open_from`.
    fn others_from(&self) -> Bytes {
        let oldest: Option<Vec<Uuid>> = self.others().map(|node| node.oldest).collect();
        let Some(oldest) = oldest else { return Bytes::new() };
        let least = oldest.into_iter().min().unwrap_or(Uuid::max());
        Bytes::copy_from_slice(least.as_bytes())
    }
}

/// What is never going to be committed needs no repair.
fn within_abandoned(op_ids: &[Option<OpId>], verdicts: &[Verdict]) -> Vec<Uuid> {
    let abandoned = op_ids.iter().zip(verdicts).filter(|(_, verdict)| **verdict == Verdict::Abandoned);
    abandoned.filter_map(|(op_id, _)| Some((*op_id)?.uuid())).collect()
}
