//! Reaping: what was written and never committed is deleted, on the authority's word alone (DESIGN 3.1).
//!
//! The bound is taken before the drives are surveyed: below it no op id is open and none will be made, so whatever the
//! drives hold there is committed, or can be made `abandoned` for good. How far that has come is told to the authority
//! only when every drive of the node was walked and every deletion was answered; in between it is kept in memory, so
//! that a drive that is away costs a restart some questions again and nothing else.
//!
//! What this process was told is committed is not asked about: the authority's word was given once, and stands.
//!
//! The drives hold fragments of other nodes' blobs too. Of those only what is below the oldest op id that any node has open
//! is asked about, which the authority knows from the nodes' reports; a node that is away holds that bound where it was,
//! until it comes back or is revoked. Own op ids do not wait for that.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use holdfast_common::id::OpId;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{self, work_answer, work_request};

use super::walk::{Walk, successor};
use super::{Agent, Trouble};
use crate::drives::Drives as _;
use crate::env::Env;
use crate::limits::{AGENT_DELETES_AT_ONCE, AGENT_POLL, AGENT_SETTLE_BATCH, AGENT_UNDELETED_MAX};
use crate::rt::Rt as _;

#[derive(Default)]
pub(super) struct Reaper {
    /// This node's own op ids below it that are on the drives that are here were asked about.
    own_to: Cell<Option<OpId>>,
    /// And all op ids below it.
    all_to: Cell<Option<OpId>>,
    /// Abandoned blobs that some drive could not delete yet.
    undeleted: RefCell<BTreeSet<OpId>>,
}

/// Up to where op ids are closed, as it was before the drives were looked at.
#[derive(Clone, Copy)]
struct Bounds {
    /// This node's number.
    number: u16,
    /// Of its own.
    own: OpId,
    /// Of all nodes; `None`: not known now.
    all: Option<OpId>,
}

impl Bounds {
    fn is_closed(&self, op: OpId) -> bool {
        let bound = if op.node() == self.number { Some(self.own) } else { self.all };
        bound.is_some_and(|bound| op < bound)
    }
}

impl Reaper {
    /// A pass has come through.
    pub(super) fn has_asked(&self) -> bool {
        self.own_to.get().is_some()
    }

    /// What the drives hold of it is committed. `number` is this node's.
    pub(super) fn is_settled(&self, op: OpId, number: u16) -> bool {
        let to = if op.node() == number { self.own_to.get() } else { self.all_to.get() };
        to.is_some_and(|to| op < to)
    }

    /// What was settled counts no more.
    fn forget(&self) {
        self.own_to.set(None);
        self.all_to.set(None);
    }

    /// Everything below `to` that is closed was asked about.
    fn advance(&self, to: OpId, bounds: Bounds) {
        self.own_to.set(self.own_to.get().max(Some(to.min(bounds.own))));
        if let Some(all) = bounds.all {
            self.all_to.set(self.all_to.get().max(Some(to.min(all))));
        }
    }
}

impl<E: Env> Agent<E> {
    /// This node's number, which stands in the op ids it makes.
    pub(super) fn number(&self) -> u16 {
        self.state.view().node_number
    }

    /// One pass. Says when the next is due.
    pub(super) async fn reap(&self) -> Result<Duration, Trouble> {
        let period = self.settings.reap_period;
        let view = self.state.view();
        if !view.ready {
            return Ok(period.min(AGENT_POLL));
        }
        // A blob without a row may be one whose row was lost.
        if view.history_lost {
            // What was settled and committed there was so in the rows that are lost.
            self.reaper.forget();
            self.state.ops.history_lost();
            return Ok(period);
        }
        let fleet = self.fleet();
        if fleet.here.is_empty() {
            return Ok(period.min(AGENT_POLL));
        }
        let mut bounds = self.bounds().await?;
        let again: Vec<OpId> = self.reaper.undeleted.borrow().iter().copied().collect();
        self.delete_abandoned(again).await;
        let from = self.reaper.all_to.get().or(self.state.ops.settled_to());
        let mut walk = Walk::new(&self.drives, &fleet.here, from);
        let mut batch = Vec::new();
        while let Some((op, _)) = walk.next().await?.filter(|(op, _)| *op < bounds.own) {
            let known = self.state.ops.is_committed(op) && !crate::mutant!("reap-without-asking");
            if bounds.is_closed(op) && !self.reaper.is_settled(op, bounds.number) && !known {
                batch.push(op);
            }
            if batch.len() == AGENT_SETTLE_BATCH {
                bounds = self.settle(std::mem::take(&mut batch), bounds).await?;
            }
            self.go_on()?;
        }
        if !batch.is_empty() {
            bounds = self.settle(batch, bounds).await?;
        }
        self.reaper.advance(bounds.own, bounds);
        self.state.ops.forget_committed(bounds.own);
        let waits = !fleet.silent.is_empty() || !self.reaper.undeleted.borrow().is_empty();
        if let Some(bound) = bounds.all.filter(|_| !waits)
            && self.state.ops.settled_to().is_none_or(|known| known < bound)
        {
            let settle = wire::SettleOps { op_ids: Vec::new(), settled_to: bound.to_wire() };
            self.ask(work_request::What::Settle(settle)).await?;
            self.state.ops.settled(bound);
        }
        Ok(period)
    }

    /// Taken before the drives are looked at: what is closed then was there then.
    async fn bounds(&self) -> Result<Bounds, Trouble> {
        let (mut own, _) = self.state.ops.oldest(E::Rt::unix_ms());
        if crate::mutant!("reap-open-ops") {
            own = OpId::new(E::Rt::unix_ms() + 1, [0; 10]);
        }
        let settled = self.ask_settled(Vec::new()).await?;
        // All ones, where there is no other node, is no op id.
        let others = <[u8; 16]>::try_from(&*settled.others_open_from).ok().map(OpId);
        Ok(Bounds { number: self.number(), own, all: others.map(|others| others.min(own)) })
    }

    async fn ask_settled(&self, op_ids: Vec<Bytes>) -> Result<wire::SettledOps, Trouble> {
        let asked = op_ids.len();
        let settle = wire::SettleOps { op_ids, settled_to: Bytes::new() };
        let answer = self.ask(work_request::What::Settle(settle)).await?;
        let work_answer::What::Settled(settled) = answer else { return Err(Trouble::Protocol) };
        if settled.verdicts.len() == asked { Ok(settled) } else { Err(Trouble::Protocol) }
    }

    /// Asks about op ids in ascending order and deletes what came to nothing. What another node may still commit after all
    /// bounds the pass: the next one asks again.
    async fn settle(&self, ops: Vec<OpId>, mut bounds: Bounds) -> Result<Bounds, Trouble> {
        let settled = self.ask_settled(ops.iter().map(|op| op.to_wire()).collect()).await?;
        let told = |wanted: Verdict| {
            let pairs = ops.iter().zip(settled.verdicts().map(|verdict| match verdict {
                Verdict::Committed if crate::mutant!("reap-without-asking") => Verdict::Abandoned,
                verdict => verdict,
            }));
            pairs.filter(move |(_, verdict)| *verdict == wanted).map(|(op, _)| *op)
        };
        if let Some(open) = told(Verdict::Open).next() {
            bounds.all = bounds.all.map(|all| all.min(open));
        }
        self.progress.kept.add(told(Verdict::Keep).count() as u64);
        let abandoned: Vec<OpId> = told(Verdict::Abandoned).collect();
        self.delete_abandoned(abandoned).await;
        if self.reaper.undeleted.borrow().len() > AGENT_UNDELETED_MAX {
            return Err(Trouble::Drives("too many fragments cannot be deleted"));
        }
        if let Some(last) = ops.last() {
            self.reaper.advance(successor(*last), bounds);
        }
        Ok(bounds)
    }

    async fn delete_abandoned(&self, ops: Vec<OpId>) {
        let delete = |op: OpId| async move { (op, self.drives.delete_blob(op).await) };
        let mut deletions = stream::iter(ops).map(delete).buffer_unordered(AGENT_DELETES_AT_ONCE);
        while let Some((op, errors)) = deletions.next().await {
            if errors.is_empty() {
                self.progress.reaped.add(1);
                self.reaper.undeleted.borrow_mut().remove(&op);
                tracing::debug!(blob = %op, "fragments of what was never committed are deleted");
            } else {
                tracing::warn!(blob = %op, ?errors, "fragments of what was never committed stay for now");
                self.reaper.undeleted.borrow_mut().insert(op);
            }
        }
    }
}
