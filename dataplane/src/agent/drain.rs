//! Draining: what a drive holds is moved to others, fragment by fragment, until nothing is left on it.
//!
//! A fragment moves only to a drive that holds no other fragment of its blob: a drain never makes a blob less safe than it
//! was. What no drive may take is counted as stuck, and waits for one.
//!
//! A fragment of a blob over nodes goes to another drive of this node, which is as good a place; where there is none it is
//! said to be missing, and the repair that follows puts it on another node.

use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, FragmentId};
use holdfast_common::wire;

use super::stock::Stock;
use super::{Agent, Trouble};
use crate::drives::{Drives as _, Held};
use crate::env::Env;
use crate::limits::{AGENT_POLL, AGENT_SURVEY_PAGE};
use crate::rt::Rt as _;

/// What a pass over one drive found and did.
struct Pass {
    began: Instant,
    left_pieces: u64,
    left_bytes: u64,
    stuck_pieces: u64,
    moved_bytes: u64,
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
        let mut pass = Pass { began: E::Rt::now(), left_pieces, left_bytes, stuck_pieces: 0, moved_bytes: 0 };
        self.show(backend, &pass);
        self.progress.drain_counted(backend);
        let mut after: Option<FragmentId> = None;
        loop {
            let page = self.drives.survey(backend, after, AGENT_SURVEY_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.fragment);
            for held in page {
                self.go_on()?;
                if !self.fleet().draining.contains(&backend) {
                    return Ok(()); // the administrator thought better of it
                }
                self.drain_fragment(backend, held, &mut pass).await?;
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
        let Some(_claim) = self.claim(op) else { return Ok(()) };
        let all = self.drives.find(op).await?;
        if !all.iter().any(|(at, now)| *at == from && now.fragment == held.fragment) {
            pass.left_pieces = pass.left_pieces.saturating_sub(held.pieces.into());
            pass.left_bytes = pass.left_bytes.saturating_sub(held.bytes);
            return Ok(()); // deleted meanwhile
        }
        let stock = match Stock::of(&*self.drives, op, None, all).await {
            Ok(stock) if stock.spans => return self.drain_spread(from, held, stock, pass).await,
            Ok(stock) => stock,
            Err(why) => {
                tracing::warn!(blob = %op, %from, %why, "a fragment cannot be moved");
                pass.stuck_pieces += u64::from(held.pieces);
                return Ok(());
            }
        };
        let Some(target) = self.roomy(&self.fleet(), &stock, held.fragment.index, &[]) else {
            pass.stuck_pieces += u64::from(held.pieces);
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
    ) -> Result<(), Trouble> {
        let fleet = self.fleet();
        // Any other drive of this node that holds nothing of it.
        let holds = |backend: &BackendId| stock.held.iter().any(|(at, _)| at == backend);
        let target = self.roomiest(fleet.writable.iter().copied().filter(|backend| !holds(backend)));
        stock.held = self.holders(stock.op, true).await?;
        let index = held.fragment.index;
        if let Some(target) = target {
            return self.drain_to(&stock, (from, held), target, pass).await;
        }
        pass.stuck_pieces += u64::from(held.pieces);
        if self.roomy(&fleet, &stock, index, &[]).is_some() {
            let reason = format!("it lies on backend {from}, which is to be emptied");
            let blob = Some(stock.to_wire());
            self.tell(vec![wire::Deficit { blob, missing: 1 << index, reason }]).await?;
        }
        Ok(())
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
            work.bytes_per_second = (pass.moved_bytes as f64 / seconds.max(0.001)) as u64;
        });
    }
}
