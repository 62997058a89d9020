//! A blob of which everything is there, and not as it should lie: copies too many, or two fragments on one drive.
//!
//! Copies too many are left by a repair that was cut off, and by a drive that came back after its fragments were made
//! again. One goes only after the copy that stays was read whole.

use holdfast_common::id::{BackendId, FragmentId};

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
            copies.len() == 1 && !stock.has_sibling(copies[0].0, index)
        };
        if stock.indexes().all(|index| lies_well(&stock, index)) {
            return Ok(());
        }
        let Some(_claim) = self.claim(stock.op) else { return Ok(()) };
        for index in stock.indexes() {
            self.go_on()?;
            if stock.copies(index).len() > 1 {
                self.drop_copies(&stock, index).await?;
                stock.held = self.drives.find(stock.op).await?;
            }
            let crowded = stock.copies(index).iter().any(|(backend, _)| stock.has_sibling(*backend, index));
            if let Some(target) = self.roomy(fleet, &stock, index, &[]).filter(|_| crowded) {
                let moved = self.rewrite(&stock, &[(index, target)]).await?;
                self.progress.moved.add(moved.proven.count_ones().into());
                self.progress.moved_bytes.add(moved.bytes);
                stock.held = self.drives.find(stock.op).await?;
            }
        }
        Ok(())
    }

    async fn drop_copies(&self, stock: &Stock, index: u8) -> Result<(), Trouble> {
        let copies = stock.copies(index);
        let best = |(_, held): &&(BackendId, Held)| (stock.is_whole(held), held.fragment.attempt);
        let Some((home, kept)) = copies.iter().max_by_key(best).copied() else { return Ok(()) };
        if !stock.is_whole(&kept) || self.read_whole(stock, home, kept.fragment).await.is_err() {
            return Ok(());
        }
        // A later attempt that is not whole stays: its name must not be given again.
        let older = |held: &Held| held.fragment.attempt < kept.fragment.attempt;
        for (backend, held) in copies.into_iter().filter(|(_, held)| older(held)) {
            self.go_on()?;
            tracing::debug!(blob = %stock.op, index, %backend, "a copy too many of a fragment goes");
            self.forget(backend, held.fragment, held.last_row + 1).await;
        }
        Ok(())
    }

    async fn read_whole(&self, stock: &Stock, backend: BackendId, id: FragmentId) -> Result<(), DriveError> {
        for row in 0..stock.pieces(id.index) {
            let len = stock.layout.stored_len(row, id.index);
            self.pay(len.into()).await;
            let read = self.drives.read_here(backend, id, row).await?;
            if read.payload_len != len {
                return Err(DriveError::Rotten("a piece of another length than its blob says"));
            }
        }
        Ok(())
    }
}
