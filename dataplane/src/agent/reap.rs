//! Reaping: what was written and never committed is deleted, on the authority's word alone (DESIGN 3.1).
//!
//! The bound is taken before the drives are surveyed: below it no op id is open and none will be made, so whatever the
//! drives hold there is committed, or can be made `abandoned` for good. How far that has come is told to the authority
//! only when every drive of the node was walked and every deletion was answered; in between it is kept in memory, so
//! that a drive that is away costs a restart some questions again and nothing else.
//!
//! What this process was told is committed is not asked about: the authority's word was given once, and stands.

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
    /// Everything below it on the drives that are here was asked about.
    asked_to: Cell<Option<OpId>>,
    /// Abandoned blobs that some drive could not delete yet.
    undeleted: RefCell<BTreeSet<OpId>>,
}

impl Reaper {
    /// Blobs below it that the drives hold are committed.
    pub(super) fn asked_to(&self) -> Option<OpId> {
        self.asked_to.get()
    }
}

impl<E: Env> Agent<E> {
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
            self.reaper.asked_to.set(None);
            self.state.ops.history_lost();
            return Ok(period);
        }
        let (mut bound, _) = self.state.ops.oldest(E::Rt::unix_ms());
        if crate::mutant!("reap-open-ops") {
            bound = OpId::new(E::Rt::unix_ms() + 1, [0; 10]);
        }
        let fleet = self.fleet();
        if fleet.here.is_empty() {
            return Ok(period.min(AGENT_POLL));
        }
        let again: Vec<OpId> = self.reaper.undeleted.borrow().iter().copied().collect();
        self.delete_abandoned(again).await;
        let from = self.reaper.asked_to.get().or(self.state.ops.settled_to());
        let mut walk = Walk::new(&self.drives, &fleet.here, from);
        let mut batch = Vec::new();
        while let Some((op, _)) = walk.next().await?.filter(|(op, _)| *op < bound) {
            let known = self.state.ops.is_committed(op) && !crate::mutant!("reap-without-asking");
            if !known {
                batch.push(op);
            }
            if batch.len() == AGENT_SETTLE_BATCH {
                self.settle(std::mem::take(&mut batch)).await?;
            }
            self.go_on()?;
        }
        if !batch.is_empty() {
            self.settle(batch).await?;
        }
        self.reaper.asked_to.set(Some(bound));
        self.state.ops.forget_committed(bound);
        let waits = !fleet.silent.is_empty() || !self.reaper.undeleted.borrow().is_empty();
        if !waits && self.state.ops.settled_to().is_none_or(|known| known < bound) {
            let settle = wire::SettleOps { op_ids: Vec::new(), settled_to: bound.to_wire() };
            self.ask(work_request::What::Settle(settle)).await?;
            self.state.ops.settled(bound);
        }
        Ok(period)
    }

    /// Asks about op ids in ascending order and deletes what came to nothing.
    async fn settle(&self, ops: Vec<OpId>) -> Result<(), Trouble> {
        let op_ids = ops.iter().map(|op| op.to_wire()).collect();
        let settle = wire::SettleOps { op_ids, settled_to: Bytes::new() };
        let answer = self.ask(work_request::What::Settle(settle)).await?;
        let work_answer::What::Settled(settled) = answer else { return Err(Trouble::Protocol) };
        if settled.verdicts.len() != ops.len() {
            return Err(Trouble::Protocol);
        }
        let told = |wanted: Verdict| {
            let pairs = ops.iter().zip(settled.verdicts().map(|verdict| match verdict {
                Verdict::Committed if crate::mutant!("reap-without-asking") => Verdict::Abandoned,
                verdict => verdict,
            }));
            pairs.filter(move |(_, verdict)| *verdict == wanted).map(|(op, _)| *op)
        };
        self.progress.kept.add(told(Verdict::Keep).count() as u64);
        let abandoned: Vec<OpId> = told(Verdict::Abandoned).collect();
        self.delete_abandoned(abandoned).await;
        if self.reaper.undeleted.borrow().len() > AGENT_UNDELETED_MAX {
            return Err(Trouble::Drives("too many fragments cannot be deleted"));
        }
        self.reaper.asked_to.set(ops.last().map(|last| successor(*last)));
        Ok(())
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
