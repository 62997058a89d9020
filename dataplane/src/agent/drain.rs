//! Draining: what a drive holds is moved to others, fragment by fragment, until nothing is left on it.
//!
//! A fragment moves only to a drive that holds no other fragment of its blob: a drain never makes a blob less safe than it
//! was. What no drive may take is counted as stuck, and waits for one.
//!
//! A fragment of a blob over nodes goes to another drive of this node, which is as good a place; where there is none, or the
//! node itself is to be emptied, it is said to be missing, and the repair that follows puts it on another node. Of a blob of this
//! node's drives the same is said once the node is to be emptied, and the repair brings all of it to the drives of one
//! other node ([`super::relocate`]).

use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_common::wire::{self, DrainWant};

use super::fleet::Fleet;
use super::seat::TooNarrow;
use super::stock::Stock;
use super::{Agent, Claim, Trouble};
use crate::drives::{Drives as _, Held};
use crate::env::Env;
use crate::limits::{AGENT_DEFICITS_BATCH, AGENT_POLL, AGENT_RETELL, AGENT_SURVEY_PAGE, AGENT_TOLD_MAX};
use crate::rt::Rt as _;

/// What a pass over one drive found and did.
struct Pass {
    began: Instant,
    left_pieces: u64,
    left_bytes: u64,
    stuck_pieces: u64,
    /// Why one of those is.
    narrow: Option<TooNarrow>,
    moved_bytes: u64,
    /// What other nodes may take, not told yet.
    deficits: Vec<wire::Deficit>,
}

impl Pass {
    fn stuck(&mut self, held: Held, narrow: Option<TooNarrow>) {
        self.stuck_pieces += u64::from(held.pieces);
        self.narrow = narrow.or(self.narrow);
    }
}

impl<E: Env> Agent<E> {
    /// One pass over each draining drive. Says when the next is due.
    pub(super) async fn drain(&self) -> Result<Duration, Trouble> {
        let fleet = self.fleet();
        for backend in fleet.here.iter().filter(|backend| !fleet.draining.contains(backend)) {
            self.progress.drain_over(*backend);
        }
        for backend in fleet.draining {
            self.drain_drive(backend).await?;
        }
        Ok(AGENT_POLL)
    }

    async fn drain_drive(&self, backend: BackendId) -> Result<(), Trouble> {
        let (left_pieces, left_bytes) = self.count(backend).await?;
        let mut pass = Pass {
            began: E::Rt::now(),
            left_pieces,
            left_bytes,
            stuck_pieces: 0,
            narrow: None,
            moved_bytes: 0,
            deficits: Vec::new(),
        };
        self.show(backend, &pass);
        self.progress.drain_counted(backend);
        let mut after: Option<FragmentId> = None;
        loop {
            let page = self.drives.survey(backend, after, AGENT_SURVEY_PAGE).await?;
            let Some(last) = page.last() else { return self.tell(pass.deficits).await };
            after = Some(last.fragment);
            for held in page {
                self.go_on()?;
                if !self.fleet().draining.contains(&backend) {
                    return Ok(()); // the administrator thought better of it
                }
                self.drain_fragment(backend, held, &mut pass).await?;
                if pass.deficits.len() == AGENT_DEFICITS_BATCH {
                    self.tell(std::mem::take(&mut pass.deficits)).await?;
                }
                self.show(backend, &pass);
            }
        }
    }

    async fn drain_fragment(&self, from: BackendId, held: Held, pass: &mut Pass) -> Result<(), Trouble> {
        let op = held.fragment.blob;
        // What is not settled yet may still be on its way; the next pass comes by.
        if !self.reaper.is_settled(op, self.number()) {
            return Ok(());
        }
        if self.is_told(op) {
            return Ok(()); // its repair comes, or has left it for a while
        }
        let Some(claim) = self.claim(op) else { return Ok(()) };
        let all = self.drives.find(op).await?;
        if !all.iter().any(|(at, now)| *at == from && now.fragment == held.fragment) {
            pass.left_pieces = pass.left_pieces.saturating_sub(held.pieces.into());
            pass.left_bytes = pass.left_bytes.saturating_sub(held.bytes);
            return Ok(()); // deleted meanwhile
        }
        let stock = match Stock::of(&*self.drives, op, None, all).await {
            Ok(stock) => stock,
            Err(why) => {
                tracing::warn!(blob = %op, %from, %why, "a fragment cannot be moved");
                pass.stuck(held, None);
                return Ok(());
            }
        };
        let fleet = self.fleet();
        if stock.spans {
            return self.drain_spread(from, held, stock, pass, claim).await;
        }
        if fleet.leaving {
            // The repair wants it.
            drop(claim);
            return self.drain_seated(&fleet, held, &stock, pass);
        }
        let Some(target) = self.roomy(&fleet, &stock, held.fragment.index, &[]) else {
            let (needs, there) = (stock.indexes().count(), fleet.writable.len());
            pass.stuck(held, Some(TooNarrow { want: DrainWant::Drives, needs, there }));
            return Ok(());
        };
        self.drain_to(&stock, (from, held), target, pass).await
    }

    async fn drain_to(
        &self,
        stock: &Stock,
        (from, held): (BackendId, Held),
        target: BackendId,
        pass: &mut Pass,
    ) -> Result<(), Trouble> {
        let (op, index) = (stock.op, held.fragment.index);
        let moved = self.rewrite(stock, &[(index, target)]).await?;
        if moved.proven == 0 {
            tracing::warn!(blob = %op, %from, %target, why = ?moved.trouble, "a fragment was not moved");
            return Ok(());
        }
        self.progress.moved.add(1);
        self.progress.moved_bytes.add(moved.bytes);
        pass.moved_bytes += moved.bytes;
        pass.left_pieces = pass.left_pieces.saturating_sub(held.pieces.into());
        pass.left_bytes = pass.left_bytes.saturating_sub(held.bytes);
        Ok(())
    }

    /// `stock` is what this node holds.
    async fn drain_spread(
        &self,
        from: BackendId,
        held: Held,
        mut stock: Stock,
        pass: &mut Pass,
        claim: Claim<'_>,
    ) -> Result<(), Trouble> {
        let fleet = self.fleet();
        // Any other drive of this node that holds nothing of it; there is none once the node is to be emptied.
        let holds = |backend: &BackendId| stock.held.iter().any(|(at, _)| at == backend);
        let target = self.roomiest(fleet.writable.iter().copied().filter(|backend| !holds(backend)));
        stock.held = self.holders(stock.op, true).await?;
        let index = held.fragment.index;
        if let Some(target) = target {
            return self.drain_to(&stock, (from, held), target, pass).await;
        }
        drop(claim);
        if self.roomy(&fleet, &stock, index, &[]).is_none() {
            let (needs, there) = (stock.indexes().count(), fleet.nodes_writable());
            pass.stuck(held, Some(TooNarrow { want: DrainWant::Nodes, needs, there }));
            return Ok(());
        }
        let reason = format!("it lies on backend {from}, which is to be emptied");
        self.will_tell(&stock, index, reason, pass);
        Ok(())
    }

    /// `stock` is what this node holds of a blob of its own drives.
    fn drain_seated(&self, fleet: &Fleet, held: Held, stock: &Stock, pass: &mut Pass) -> Result<(), Trouble> {
        if let Err(narrow) = self.seat(fleet, stock) {
            pass.stuck(held, Some(narrow));
            return Ok(());
        }
        // The first is said for all: it is no less safe than it was.
        let first = stock.indexes().next().unwrap_or(0);
        self.will_tell(stock, first, "its node is to be emptied".to_owned(), pass);
        Ok(())
    }

    fn will_tell(&self, stock: &Stock, index: u8, reason: String, pass: &mut Pass) {
        self.remember_told(stock.op);
        pass.deficits.push(wire::Deficit { blob: Some(stock.to_wire()), missing: 1 << index, reason });
    }

    /// It was said not long ago that it is to go elsewhere.
    fn is_told(&self, op: OpId) -> bool {
        self.told.borrow().get(&op).is_some_and(|at| E::Rt::now().duration_since(*at) < AGENT_RETELL)
    }

    fn remember_told(&self, op: OpId) {
        let (mut told, now) = (self.told.borrow_mut(), E::Rt::now());
        if told.len() >= AGENT_TOLD_MAX {
            told.retain(|_, at| now.duration_since(*at) < AGENT_RETELL);
        }
        if told.len() < AGENT_TOLD_MAX {
            told.insert(op, now);
        }
    }

    async fn count(&self, backend: BackendId) -> Result<(u64, u64), Trouble> {
        let (mut pieces, mut bytes, mut after) = (0, 0, None);
        loop {
            let page = self.drives.survey(backend, after, AGENT_SURVEY_PAGE).await?;
            let Some(last) = page.last() else { return Ok((pieces, bytes)) };
            after = Some(last.fragment);
            for held in page {
                pieces += u64::from(held.pieces);
                bytes += held.bytes;
            }
            self.go_on()?;
        }
    }

    fn show(&self, backend: BackendId, pass: &Pass) {
        let seconds = E::Rt::now().duration_since(pass.began).as_secs_f64();
        self.progress.edit(backend, |work| {
            work.drain_left_pieces = pass.left_pieces;
            work.drain_left_bytes = pass.left_bytes;
            work.drain_stuck_pieces = pass.stuck_pieces;
            let narrow =
                pass.narrow.map(|TooNarrow { want, needs, there }| (want, needs as u64, there as u64));
            let (want, wanted, there) = narrow.unwrap_or_default();
            (work.drain_wanted, work.drain_there) = (wanted, there);
            work.set_drain_wants(want);
            work.bytes_per_second = (pass.moved_bytes as f64 / seconds.max(0.001)) as u64;
        });
    }
}
