//! What repairs that were cut off have left half-written.

use holdfast_common::id::BackendId;

use super::Agent;
use super::stock::Stock;
use crate::env::Env;

impl<E: Env> Agent<E> {
    /// Drops what earlier tries have left of these fragments, each of which may be as large as the fragment. Only who has the
    /// job does so: nobody else is writing. Of each fragment the longest stays, because its rows may be left nowhere else
    /// by now, and one piece of the latest attempt, which keeps its name from being given again.
    pub(super) async fn drop_leftovers(&self, stock: &mut Stock, wanted: u64) {
        for index in stock.indexes().filter(|index| wanted >> index & 1 == 1) {
            let copies = stock.copies(index);
            let latest = copies.iter().map(|(_, held)| held.fragment.attempt).max();
            let leftovers = copies.into_iter().filter(|(_, held)| stock.is_leftover(held));
            for (backend, held) in leftovers.skip(1).collect::<Vec<_>>() {
                let last = Some(held.fragment.attempt) == latest;
                let rows = if last { held.last_row } else { held.last_row + 1 };
                tracing::debug!(blob = %stock.op, index, %backend, rows, "what a repair left half-written goes");
                self.forget(backend, held.fragment, rows).await;
                if !last {
                    stock.held.retain(|kept| *kept != (backend, held));
                }
            }
        }
    }

    /// The same on this node's drives, for a repair of another node, which may be at it: so the latest attempt stays as it is.
    pub(super) async fn drop_own_leftovers(&self, stock: &Stock, is_own: impl Fn(BackendId) -> bool) {
        for index in stock.indexes() {
            let copies = stock.copies(index);
            let latest = copies.iter().map(|(_, held)| held.fragment.attempt).max();
            let leftovers = copies.into_iter().filter(|(_, held)| stock.is_leftover(held));
            for (backend, held) in leftovers.skip(1).collect::<Vec<_>>() {
                if is_own(backend) && Some(held.fragment.attempt) != latest {
                    tracing::debug!(blob = %stock.op, index, %backend, "what another node left half-written goes");
                    self.forget(backend, held.fragment, held.last_row + 1).await;
                }
            }
        }
    }
}
