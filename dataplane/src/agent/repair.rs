//! Repair jobs: fragments that are missing or rotten are made again on healthy drives, and read back before it is said.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use holdfast_common::id::{BackendId, OpId};
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::{self, job::Kind};
use holdfast_protocol::placement::spread_hash;

use super::fleet::Fleet;
use super::stock::{Stock, Unknown};
use super::{Agent, Trouble, report};
use crate::drives::Drives as _;
use crate::env::Env;
use crate::limits::{AGENT_POLL, AGENT_REPAIRS_AT_ONCE, AGENT_REPAIRS_LEASED};
use crate::rt::Rt as _;

impl<E: Env> Agent<E> {
    /// One lease of repairs; each is reported when it ends. Says when to ask again.
    pub(super) async fn repair_jobs(&self) -> Result<Duration, Trouble> {
        let (jobs, term) = self.lease(0, AGENT_REPAIRS_LEASED).await?;
        let full = jobs.len() == AGENT_REPAIRS_LEASED as usize;
        let outcomes: Vec<Result<bool, Trouble>> = stream::iter(jobs)
            .map(|job| async move {
                // What could not be begun in time is somebody's again.
                let op = job.blob.as_ref().and_then(|blob| OpId::from_wire(&blob.op_id));
                let Some(op) = op.filter(|_| E::Rt::now() < term.until) else { return Ok(false) };
                // Another job of this node may be at it, under a lease of its own.
                let _working = (!self.is_claimed(op)).then(|| self.leases.begin(op, term));
                let Some(report) = self.repair(&job).await? else { return Ok(false) };
                let done = report.outcome() == Outcome::Done;
                self.report(vec![report]).await?;
                Ok(done)
            })
            .buffer_unordered(AGENT_REPAIRS_AT_ONCE)
            .collect()
            .await;
        let mut done = false;
        for outcome in outcomes {
            done |= outcome?;
        }
        Ok(if full && done { Duration::ZERO } else { AGENT_POLL })
    }

    /// `None`: it is not for this lease to say (the same blob is being worked on, or the op id is none).
    pub(super) async fn repair(&self, job: &wire::Job) -> Result<Option<wire::JobReport>, Trouble> {
        let Some(blob) = &job.blob else { return Ok(None) };
        let Some(op) = OpId::from_wire(&blob.op_id) else { return Ok(None) };
        let Some(_claim) = self.claim(op) else { return Ok(None) };
        let (outcome, missing, detail) = self.try_repair(op, blob, job.missing).await?;
        match outcome {
            Outcome::Done => {}
            Outcome::Lost => self.progress.lost.add(1),
            _ => self.progress.repairs_later.add(1),
        }
        if outcome != Outcome::Done {
            tracing::warn!(blob = %op, missing, %detail, ?outcome, "a blob could not be repaired");
        }
        Ok(Some(report(Kind::Repair, op, outcome, missing, detail)))
    }

    /// What is left to say: outcome, fragments that are still missing, a sentence.
    async fn try_repair(
        &self,
        op: OpId,
        blob: &wire::Blob,
        missing: u64,
    ) -> Result<(Outcome, u64, String), Trouble> {
        let everywhere = self.is_everywhere(blob);
        let held = match self.holders(op, everywhere).await {
            Ok(held) => held,
            Err(error) => return Ok((Outcome::Later, missing, format!("a drive's index: {error}"))),
        };
        let fleet = self.fleet();
        let silent = fleet.is_silent(everywhere);
        let mut stock = match Stock::of(&*self.drives, op, Some(blob), held).await {
            Ok(stock) => stock,
            Err(Unknown::Nowhere) if self.was_deleted(op) => return Ok((Outcome::Done, 0, String::new())),
            Err(Unknown::Nowhere) if !silent => {
                return Ok((Outcome::Lost, missing, Unknown::Nowhere.to_string()));
            }
            Err(why) => return Ok((Outcome::Later, missing, why.to_string())),
        };
        stock.everywhere |= everywhere;
        if stock.everywhere && !stock.spans {
            match self.seat(&fleet, &stock) {
                Ok(seat) => {
                    stock.seat = Some(seat);
                    return self.relocate(&fleet, &stock, missing).await;
                }
                // What is there stays where it is; what is nowhere goes where most of it is.
                Err(_) => stock.seat = self.seat_of_most(&fleet, &stock),
            }
        }
        // A fragment without bytes is never missing.
        let mut left = stock.indexes().fold(0, |bits, index| bits | 1 << index) & missing;
        if stock.everywhere {
            left &= !self.there_after_all(&fleet, &stock, left).await;
        }
        self.drop_leftovers(&mut stock, left).await;
        let (targets, homeless) = self.targets(&stock, blob.placement_id, left);
        let rewritten = self.rewrite(&stock, &targets).await?;
        left &= !rewritten.proven;
        self.progress.repaired.add(rewritten.proven.count_ones().into());
        self.progress.repaired_bytes.add(rewritten.bytes);
        if left == 0 {
            tracing::debug!(blob = %op, fragments = rewritten.proven.count_ones(), "a blob is whole again");
            return Ok((Outcome::Done, 0, String::new()));
        }
        let outcome = if rewritten.lost { Outcome::Lost } else { Outcome::Later };
        let homeless = || format!("no drive takes fragment {}", homeless.trailing_zeros());
        Ok((outcome, left, rewritten.trouble.unwrap_or_else(homeless)))
    }

    /// Of the fragments `wanted` of a blob over nodes, those that are whole where they should lie, durable and every piece read: their
    /// node is back. Where no better place is to be had, any place will do.
    async fn there_after_all(&self, fleet: &Fleet, stock: &Stock, wanted: u64) -> u64 {
        let mut there = 0;
        for index in stock.indexes().filter(|index| wanted >> index & 1 == 1) {
            // One that does not span comes here when no node has room for all of it.
            let nowhere_better = !stock.spans || self.roomy(fleet, stock, index, &[]).is_none();
            let state = |backend| self.state.view().backends.get(&backend).map(|known| known.state.clone());
            let lies_well = |backend: BackendId| {
                !fleet.has_sibling(stock, backend, index)
                    && state(backend.0).is_some_and(|state| matches!(state.as_str(), "active" | "full"))
            };
            for (backend, held) in stock.copies(index) {
                if stock.is_whole(&held)
                    && (nowhere_better || lies_well(backend))
                    && self.read_whole(stock, backend, held.fragment).await.is_ok()
                {
                    there |= 1 << index;
                    break;
                }
            }
        }
        there
    }

    /// A drive for each fragment of `wanted`, and those that none takes.
    fn targets(&self, stock: &Stock, placement_id: u32, wanted: u64) -> (Vec<(u8, BackendId)>, u64) {
        let fleet = self.fleet();
        let homes = self.state.view().placements.get(&placement_id).cloned();
        let (mut targets, mut homeless) = (Vec::new(), 0);
        for index in stock.indexes().filter(|index| wanted >> index & 1 == 1) {
            let home =
                homes.as_ref().and_then(|homes| homes.get(usize::from(index))).map(|id| BackendId(*id));
            let home = home.filter(|home| fleet.takers(stock).contains(home));
            // Over nodes home is no better than another place once a sibling has moved in.
            let free = |home: &BackendId| !stock.everywhere || is_free(&fleet, stock, index, *home, &targets);
            let target = home
                .filter(free)
                .or_else(|| self.roomy(&fleet, stock, index, &targets))
                .or_else(|| self.crowded(&fleet, stock, index, &targets));
            match target {
                Some(target) => targets.push((index, target)),
                None => homeless |= 1 << index,
            }
        }
        (targets, homeless)
    }

    /// The drive with the most room among those without a sibling of this fragment, this node's first: what room others have
    /// is not known here, and they are taken in the blob's own order.
    pub(super) fn roomy(
        &self,
        fleet: &Fleet,
        stock: &Stock,
        index: u8,
        taken: &[(u8, BackendId)],
    ) -> Option<BackendId> {
        let free = |backend: &BackendId| is_free(fleet, stock, index, *backend, taken);
        let takers: Vec<BackendId> = fleet.takers(stock).into_iter().filter(free).collect();
        let own = takers.iter().copied().filter(|backend| fleet.here.contains(backend));
        if let Some(own) = self.roomiest(own) {
            return Some(own);
        }
        let turn = spread_hash(stock.op) % takers.len().max(1) as u64;
        takers.get(turn as usize).copied()
    }

    /// Of these drives of this node the one with the most room.
    pub(super) fn roomiest(&self, backends: impl Iterator<Item = BackendId>) -> Option<BackendId> {
        let statuses = self.drives.statuses();
        let room = |backend: &BackendId| {
            statuses.iter().find(|status| status.backend == Some(*backend)).map(|status| status.free_bytes)
        };
        backends.max_by_key(room)
    }

    /// No other drive is left, and none is about to come back: the one with the fewest siblings. Never for what is whole on a
    /// drive that is to be emptied: there it is safer.
    fn crowded(
        &self,
        fleet: &Fleet,
        stock: &Stock,
        index: u8,
        taken: &[(u8, BackendId)],
    ) -> Option<BackendId> {
        let leaves = |backend: &BackendId| {
            let view = self.state.view();
            view.backends.get(&backend.0).is_some_and(|known| known.state == "draining")
        };
        let is_safe = stock.copies(index).iter().any(|(at, held)| stock.is_whole(held) && leaves(at));
        if is_safe || fleet.is_waiting(stock) {
            return None;
        }
        let on_it = |backend: &BackendId| {
            stock.held.iter().filter(|(at, _)| at == backend).count()
                + taken.iter().filter(|(_, target)| target == backend).count()
        };
        let siblings = |backend: &BackendId| (fleet.company(stock, *backend, taken), on_it(backend));
        fleet.takers(stock).into_iter().min_by_key(siblings)
    }
}

/// No other fragment of the blob shares this drive, or its node where that counts, nor is about to.
fn is_free(fleet: &Fleet, stock: &Stock, index: u8, backend: BackendId, taken: &[(u8, BackendId)]) -> bool {
    !fleet.has_sibling(stock, backend, index)
        && !taken.iter().any(|(_, target)| fleet.is_together(stock, *target, backend))
}
