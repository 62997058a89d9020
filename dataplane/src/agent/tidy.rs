//! A blob of which everything is there, and not as it should lie: copies too many, or two fragments on one drive or node.
//!
//! Copies too many are left by a repair that was cut off, and by a drive or node that came back after its fragments were
//! made again; those on other nodes a repair always leaves, and tells their nodes. One goes only after the copy that stays was
//! flushed and read whole, and one that is whole itself only when it is the same byte for byte: that a later attempt is right is
//! the word of the node that wrote it.
//!
//! Of a blob that spreads over nodes each node puts right what is its own, without leave from anybody: it drops its copies
//! too many. To move a fragment to another node takes a lease, so that one node does it: it is said to be missing where it
//! should be, and the repair that follows finds it in the wrong place.

use holdfast_common::id::{BackendId, FragmentId, OpId};

use super::fleet::Fleet;
use super::stock::Stock;
use super::{Agent, Trouble};
use crate::drives::{DriveError, Drives as _, Held};
use crate::env::Env;

impl<E: Env> Agent<E> {
    /// Brings a blob to one copy of each fragment, each on a drive of its own, as far as there are drives.
    pub(super) async fn tidy(&self, fleet: &Fleet, mut stock: Stock) -> Result<(), Trouble> {
        let lies_well = |stock: &Stock, index: u8| {
            let copies = stock.copies(index);
            copies.len() == 1 && !fleet.has_sibling(stock, copies[0].0, index)
        };
        if stock.indexes().all(|index| lies_well(&stock, index)) {
            return Ok(());
        }
        let Some(_claim) = self.claim(stock.op) else { return Ok(()) };
        for index in stock.indexes() {
            self.go_on()?;
            if stock.copies(index).len() > 1 {
                self.drop_copies(&stock, index, |_| true).await?;
                stock.held = self.drives.find(stock.op).await?;
            }
            let crowded =
                stock.copies(index).iter().any(|(backend, _)| fleet.has_sibling(&stock, *backend, index));
            if let Some(target) = self.roomy(fleet, &stock, index, &[]).filter(|_| crowded) {
                let moved = self.rewrite(&stock, &[(index, target)]).await?;
                self.progress.moved.add(moved.proven.count_ones().into());
                self.progress.moved_bytes.add(moved.bytes);
                stock.held = self.drives.find(stock.op).await?;
            }
        }
        Ok(())
    }

    /// The same for what this node holds of a blob over nodes, all of which have answered. Returns the fragments that share
    /// this node with another and could lie on a node of their own.
    pub(super) async fn tidy_own(&self, fleet: &Fleet, stock: &Stock) -> Result<u64, Trouble> {
        let own = |backend: BackendId| fleet.here.contains(&backend);
        let mut crowded = 0u64;
        for index in stock.indexes() {
            self.go_on()?;
            let copies = stock.copies(index);
            if copies.len() > 1 && copies.iter().any(|(backend, _)| own(*backend)) {
                let Some(_claim) = self.claim(stock.op) else { return Ok(0) };
                self.drop_copies(stock, index, own).await?;
            } else if let [(backend, _)] = copies[..]
                && own(backend)
                && fleet.has_sibling(stock, backend, index)
                && self.roomy(fleet, stock, index, &[]).is_some()
            {
                crowded |= 1 << index;
            }
        }
        // One of them may stay.
        Ok(if crowded.count_ones() > 1 { crowded & (crowded - 1) } else { crowded })
    }

    /// Drops this node's copies of what another node says to have made again. False: another task is at it.
    pub(super) async fn tidy_superseded(&self, op: OpId) -> Result<bool, Trouble> {
        let here = self.fleet().here;
        let held = self.drives.find(op).await?;
        let Ok(mut stock) = Stock::of(&*self.drives, op, None, held).await else { return Ok(true) };
        let Some(_claim) = self.claim(op) else { return Ok(false) };
        stock.held = self.holders(op, true).await?;
        for index in stock.indexes().filter(|index| stock.copies(*index).len() > 1) {
            self.drop_copies(&stock, index, |backend| here.contains(&backend)).await?;
        }
        self.drop_own_leftovers(&stock, |backend| here.contains(&backend)).await;
        Ok(true)
    }

    pub(super) async fn drop_copies(
        &self,
        stock: &Stock,
        index: u8,
        may_go: impl Fn(BackendId) -> bool,
    ) -> Result<(), Trouble> {
        let copies = stock.copies(index);
        let Some((home, kept)) = stock.best(index) else { return Ok(()) };
        if !stock.is_whole(&kept) || self.read_whole(stock, home, kept.fragment).await.is_err() {
            return Ok(());
        }
        // A later attempt that is not whole stays: its name must not be given again.
        let goes = |(at, held): &(BackendId, Held)| {
            *at != home && held.fragment.attempt == kept.fragment.attempt
                || held.fragment.attempt < kept.fragment.attempt
        };
        for (backend, held) in copies.into_iter().filter(|copy| goes(copy) && may_go(copy.0)) {
            self.go_on()?;
            if stock.is_whole(&held)
                && !self.may_replace(stock, (home, kept.fragment), (backend, held.fragment)).await
            {
                continue;
            }
            tracing::debug!(blob = %stock.op, index, %backend, "a copy too many of a fragment goes");
            self.forget(backend, held.fragment, held.last_row + 1).await;
        }
        Ok(())
    }

    /// Whether the first copy of a fragment says nothing else than the second, wherever that can be read.
    async fn may_replace(
        &self,
        stock: &Stock,
        (home, kept): (BackendId, FragmentId),
        (backend, old): (BackendId, FragmentId),
    ) -> bool {
        for row in 0..stock.pieces(kept.index) {
            self.pay(2 * u64::from(stock.layout.stored_len(row, kept.index))).await;
            let Ok(new) = self.drives.read_here(home, kept, row).await else { return false };
            // Rotten: the other is better.
            let Ok(old) = self.drives.read_here(backend, old, row).await else { continue };
            if new.bytes[..] != old.bytes[..] {
                tracing::warn!(
                    blob = %stock.op, index = kept.index, %home, %backend, row,
                    "two copies of a fragment differ; both stay, and the node that wrote the later one is to be looked at"
                );
                return false;
            }
        }
        true
    }

    /// Makes a copy durable, wherever it came from, and reads every piece of it.
    ///
    /// # Errors
    /// What is wrong with it: it does not count.
    pub(super) async fn read_whole(
        &self,
        stock: &Stock,
        backend: BackendId,
        id: FragmentId,
    ) -> Result<(), DriveError> {
        // A late append, or a repair that was cut off, may have left it unflushed.
        self.drives.persist(backend, id, stock.pieces(id.index)).await?;
        for row in 0..stock.pieces(id.index) {
            let len = stock.layout.stored_len(row, id.index);
            self.pay(len.into()).await;
            if !self.keep_lease(stock.op).await {
                return Err(DriveError::Busy);
            }
            let read = self.drives.read_here(backend, id, row).await?;
            if read.payload_len != len {
                return Err(DriveError::Rotten("a piece of another length than its blob says"));
            }
        }
        Ok(())
    }
}
