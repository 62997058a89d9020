//! While history is lost: what the drives hold and the authority has no row of is proposed to it, with the recovery manifest
//! that the fragments carry. Nothing is deleted meanwhile, so every pass may say the same again; a drive that comes back is
//! heard of in the next.

use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::{BackendId, OpId};
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{self, work_answer, work_request};

use super::stock::Stock;
use super::walk::{Found, Walk};
use super::{Agent, Trouble};
use crate::drives::Held;
use crate::env::Env;
use crate::limits::{
    AGENT_HEADER_COST_BYTES, AGENT_POLL, AGENT_PROPOSALS_BATCH, AGENT_PROPOSE_BACK_MS, AGENT_SETTLE_BATCH,
};
use crate::rt::Rt as _;

impl<E: Env> Agent<E> {
    /// One pass. Says when the next is due.
    pub(super) async fn propose(&self) -> Result<Duration, Trouble> {
        let period = self.settings.reap_period;
        let view = self.state.view();
        if !view.ready || !view.history_lost {
            return Ok(period.min(AGENT_POLL));
        }
        let fleet = self.fleet();
        if fleet.here.is_empty() {
            return Ok(period.min(AGENT_POLL));
        }
        let (bound, _) = self.state.ops.oldest(E::Rt::unix_ms());
        let from = OpId::new(E::Rt::unix_ms().saturating_sub(AGENT_PROPOSE_BACK_MS), [0; 10]);
        let mut walk = Walk::new(&self.drives, &fleet.here, Some(from));
        let (mut batch, mut proposed) = (Vec::new(), 0);
        while let Some(found) = walk.next().await?.filter(|(op, _)| *op < bound) {
            batch.push(found);
            if batch.len() == AGENT_SETTLE_BATCH {
                proposed += self.propose_unknown(std::mem::take(&mut batch)).await?;
            }
            self.go_on()?;
        }
        proposed += self.propose_unknown(batch).await?;
        // What a drive holds that is away will be heard of when it is back.
        self.say(Vec::new(), fleet.silent.is_empty()).await?;
        tracing::info!(proposed, "the drives were searched for lost rows");
        Ok(period)
    }

    /// Asks which of them have no row, and proposes those.
    async fn propose_unknown(&self, batch: Vec<Found>) -> Result<usize, Trouble> {
        if batch.is_empty() {
            return Ok(0);
        }
        let op_ids = batch.iter().map(|(op, _)| op.to_wire()).collect();
        let settle = wire::SettleOps { op_ids, settled_to: Bytes::new() };
        let answer = self.ask(work_request::What::Settle(settle)).await?;
        let work_answer::What::Settled(settled) = answer else { return Err(Trouble::Protocol) };
        if settled.verdicts.len() != batch.len() {
            return Err(Trouble::Protocol);
        }
        let (mut items, mut proposed) = (Vec::new(), 0);
        for (found, verdict) in batch.into_iter().zip(settled.verdicts()) {
            if verdict == Verdict::Unknown {
                items.push(self.proposal(found).await);
                proposed += 1;
            }
            if items.len() == AGENT_PROPOSALS_BATCH {
                self.say(std::mem::take(&mut items), false).await?;
            }
            self.go_on()?;
        }
        if !items.is_empty() {
            self.say(items, false).await?;
        }
        Ok(proposed)
    }

    /// What the drives say of a blob. One without a manifest is a part of an upload, or others have the manifest.
    async fn proposal(&self, (op, mut held): Found) -> wire::Proposal {
        held.sort_by_key(|(_, held)| Reverse(held.last_row));
        let sealed = self.manifest_of(&held, None).await.unwrap_or_default();
        self.pay(AGENT_HEADER_COST_BYTES).await;
        let stock = Stock::of(&*self.drives, op, None, held.clone()).await;
        let fragment = |(backend, held): &(BackendId, Held)| {
            let whole = stock.as_ref().is_ok_and(|stock| stock.is_whole(held));
            wire::FoundFragment { index: held.fragment.index.into(), backend_id: backend.0, whole }
        };
        let fragments = held.iter().map(fragment).collect();
        wire::Proposal { op_id: op.to_wire(), sealed, fragments }
    }

    async fn say(&self, items: Vec<wire::Proposal>, finished: bool) -> Result<(), Trouble> {
        self.ask(work_request::What::Proposals(wire::Proposals { items, finished })).await?;
        Ok(())
    }
}
