//! Where a blob of one node's drives belongs: each fragment on a drive of its own, all of them on one node. Once its node is to
//! be emptied that is another.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_common::id::BackendId;
use holdfast_common::wire::DrainWant;
use holdfast_protocol::placement::spread_hash;

use super::Agent;
use super::fleet::Fleet;
use super::stock::Stock;
use crate::drives::Held;
use crate::env::Env;

/// A fragment has nowhere to go: what of a kind it would have to find, and how many of them there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs {needs} {}, {there} are there", what(.want))]
pub(super) struct TooNarrow {
    pub(super) want: DrainWant,
    pub(super) needs: usize,
    pub(super) there: usize,
}

fn what(want: &DrainWant) -> &'static str {
    match want {
        DrainWant::Nodes => "nodes that take fragments",
        DrainWant::DrivesOfOne => "drives of one other node that take fragments",
        DrainWant::Drives | DrainWant::Unspecified => "drives that take fragments",
    }
}

impl<E: Env> Agent<E> {
    /// The node whose drives are to hold this blob: of those that have room for all of it the one that holds the most,
    /// rather this one, else one that the op id chooses. One that holds nothing of it only where some of it must go.
    ///
    /// # Errors
    /// No node has so many drives.
    pub(super) fn seat(&self, fleet: &Fleet, stock: &Stock) -> Result<Arc<str>, TooNarrow> {
        let needs = stock.indexes().count();
        let stays = |at: BackendId| fleet.node_of(at).is_some_and(|node| fleet.staying.contains(node));
        let must_go = stock.held.iter().any(|(at, held)| stock.is_whole(held) && !stays(*at));
        let (mut there, mut fit) = (0, BTreeMap::<(usize, bool), Vec<&Arc<str>>>::new());
        for node in &fleet.staying {
            let sits = |index: &u8| sits_on(fleet, stock, node, *index).is_some();
            let (held, rest): (Vec<u8>, Vec<u8>) = stock.indexes().partition(sits);
            let (held, room) = (held.len(), self.seats(fleet, stock, node, &rest).len());
            there = there.max(held + room);
            if held + room >= needs && (held > 0 || must_go) {
                fit.entry((held, **node == *self.settings.node_id)).or_default().push(node);
            }
        }
        let (_, best) = fit.pop_last().ok_or(TooNarrow { want: DrainWant::DrivesOfOne, needs, there })?;
        Ok(Arc::clone(best[(spread_hash(stock.op) % best.len() as u64) as usize]))
    }

    /// A drive of `node` for each of these fragments, each with nothing of the blob on it but, left by an earlier try, of that
    /// very fragment; as far as there are drives.
    pub(super) fn seats(
        &self,
        fleet: &Fleet,
        stock: &Stock,
        node: &str,
        wanted: &[u8],
    ) -> Vec<(u8, BackendId)> {
        let mut drives = fleet.writable_on(node);
        let turn = (spread_hash(stock.op) % drives.len().max(1) as u64) as usize;
        drives.rotate_left(turn);
        let holds = |drive: BackendId, index: u8| {
            stock.held.iter().any(|(at, held)| *at == drive && held.fragment.index == index)
        };
        let mut seats = Vec::with_capacity(wanted.len());
        // Those with a seat that is no other's choose first.
        for again in [true, false] {
            for index in wanted.iter().copied() {
                let suits = |drive: &BackendId| {
                    holds(*drive, index) == again && !fleet.has_sibling(stock, *drive, index)
                };
                let at = drives.iter().position(suits);
                if let Some(at) = at.filter(|_| !seats.iter().any(|(seated, _)| *seated == index)) {
                    seats.push((index, drives.remove(at)));
                }
            }
        }
        seats
    }

    /// No node has room for all of it: the one among those that stay that holds the most.
    pub(super) fn seat_of_most(&self, fleet: &Fleet, stock: &Stock) -> Option<Arc<str>> {
        let held = |node: &&Arc<str>| {
            stock.held.iter().filter(|(at, _)| fleet.node_of(*at).is_some_and(|owner| owner == *node)).count()
        };
        fleet.staying.iter().filter(|node| held(node) > 0).max_by_key(held).cloned()
    }
}

/// The copy of a fragment that counts, if it is whole on a drive of `node` where no sibling lies.
pub(super) fn sits_on(fleet: &Fleet, stock: &Stock, node: &str, index: u8) -> Option<(BackendId, Held)> {
    let (at, held) = stock.best(index)?;
    let well = stock.is_whole(&held)
        && fleet.node_of(at).is_some_and(|owner| **owner == *node)
        && !fleet.has_sibling(stock, at, index);
    well.then_some((at, held))
}
