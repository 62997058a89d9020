//! A blob of one node's drives that lies, or may lie, on several nodes: all of it is brought to the drives of one.
//!
//! That is how a node is emptied: its agent says of such a blob that a fragment is missing where it should be, and whoever
//! leases the repair, as a rule the same agent, writes every fragment to another node. A fragment is deleted where it was
//! only after it was read back where it goes; until then every reader finds one or the other. What was cut off in
//! between lies on two nodes, is found by asking all of them, and is brought together by the next repair.

use holdfast_common::wire::job_report::Outcome;

use super::fleet::Fleet;
use super::seat::{TooNarrow, sits_on};
use super::stock::Stock;
use super::{Agent, Trouble};
use crate::env::Env;

impl<E: Env> Agent<E> {
    /// Whether every fragment lies where it belongs, once.
    ///
    /// # Errors
    /// No node has room for all of it.
    pub(super) fn is_settled_on_one(&self, fleet: &Fleet, stock: &Stock) -> Result<bool, TooNarrow> {
        let seat = self.seat(fleet, stock)?;
        let sits = |index| stock.copies(index).len() == 1 && sits_on(fleet, stock, &seat, index).is_some();
        Ok(stock.indexes().all(sits))
    }

    /// Brings a blob that the caller has claimed to the drives of `stock.seat`, which has room for it, and makes anew what is
    /// nowhere. As `try_repair`: outcome, what of `missing` is left, a sentence.
    pub(super) async fn relocate(
        &self,
        fleet: &Fleet,
        stock: &Stock,
        missing: u64,
    ) -> Result<(Outcome, u64, String), Trouble> {
        let seat = stock.seat.as_deref().unwrap_or_default();
        let mut left = stock.indexes().fold(0, |bits, index| bits | 1 << index);
        for index in stock.indexes() {
            let Some((at, held)) = sits_on(fleet, stock, seat, index) else { continue };
            // What somebody missed has to be read; copies elsewhere go only after the one that stays was.
            let doubted = missing >> index & 1 == 1;
            if doubted && self.read_whole(stock, at, held.fragment).await.is_err() {
                continue;
            }
            if stock.copies(index).len() > 1 {
                self.drop_copies(stock, index, |_| true).await?;
            }
            left &= !(1 << index);
        }
        let wanted: Vec<u8> = stock.indexes().filter(|index| left >> index & 1 == 1).collect();
        let targets = self.seats(fleet, stock, seat, &wanted);
        if targets.len() < wanted.len() {
            let why = format!("{} of {} fragments find a drive on {seat}", targets.len(), wanted.len());
            return Ok((Outcome::Later, missing, why));
        }
        let moved = self.rewrite(stock, &targets).await?;
        left &= !moved.proven;
        self.progress.moved.add(moved.proven.count_ones().into());
        self.progress.moved_bytes.add(moved.bytes);
        match (left, moved.lost) {
            (0, _) => Ok((Outcome::Done, 0, String::new())),
            (_, true) => Ok((Outcome::Lost, missing, moved.trouble.unwrap_or_default())),
            _ => Ok((Outcome::Later, missing, moved.trouble.unwrap_or_default())),
        }
    }
}
