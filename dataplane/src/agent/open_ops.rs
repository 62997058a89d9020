//! The op ids of this node: they only grow, and the open ones are known, so that the reaper asks about no other.
//!
//! "Grow" is meant of the time part, whatever the clock does: an id's milliseconds are never below those of an earlier
//! id, nor of a bound that was given out ([`OpenOps::oldest`], `Welcome.settled_to`). Within a millisecond the random bits
//! order ids, so a bound is the lowest id of its millisecond and every id of that millisecond lies above it.
//!
//! What this process was told is committed it remembers too, up to a bound: the reaper need not ask what it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_common::id::OpId;
use parking_lot::Mutex;

use crate::limits::COMMITTED_REMEMBERED;

/// Shared by all cores and the link thread.
#[derive(Debug, Default)]
pub struct OpenOps(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Milliseconds that the next id has at least.
    next_ms: u64,
    /// How many hold each open id.
    open: BTreeMap<OpId, u32>,
    /// As the authority said last: ids below it are settled.
    settled_to: Option<OpId>,
    committed: BTreeSet<OpId>,
}

impl OpenOps {
    /// An id below every one that is open or will ever be made, and how many are open.
    #[must_use]
    pub fn oldest(&self, unix_ms: u64) -> (OpId, usize) {
        let mut state = self.0.lock();
        let ms = match state.open.first_key_value() {
            Some((oldest, _)) => oldest.unix_ms(),
            None => {
                let ms = unix_ms.max(state.next_ms);
                state.next_ms = ms + 1;
                ms
            }
        };
        (OpId::new(ms, [0; 10]), state.open.len())
    }

    /// The authority's word that everything below `bound` is settled: no id at or below it is made from now on.
    pub fn settled(&self, bound: OpId) {
        let mut state = self.0.lock();
        state.next_ms = state.next_ms.max(bound.unix_ms() + 1);
        state.settled_to = Some(bound);
    }

    /// `None`: nothing was ever settled.
    #[must_use]
    pub fn settled_to(&self) -> Option<OpId> {
        self.0.lock().settled_to
    }

    /// What was said so far of settled and committed ids holds no longer.
    pub fn history_lost(&self) {
        let mut state = self.0.lock();
        state.settled_to = None;
        state.committed.clear();
    }

    /// The authority has answered that `op` is committed.
    pub fn committed(&self, op: OpId) {
        let mut state = self.0.lock();
        if state.committed.len() < COMMITTED_REMEMBERED {
            state.committed.insert(op);
        }
    }

    /// True: the authority has said so. False says nothing.
    #[must_use]
    pub fn is_committed(&self, op: OpId) -> bool {
        self.0.lock().committed.contains(&op)
    }

    /// Nobody asks about ids below `bound` any more.
    pub fn forget_committed(&self, bound: OpId) {
        let mut state = self.0.lock();
        let kept = state.committed.split_off(&bound);
        let gone = std::mem::replace(&mut state.committed, kept);
        drop(state);
        drop(gone);
    }

    fn begin(&self, unix_ms: u64, random: [u8; 10], node: u16) -> OpId {
        let mut state = self.0.lock();
        state.next_ms = state.next_ms.max(unix_ms);
        let op = OpId::of_node(state.next_ms, random, node);
        *state.open.entry(op).or_default() += 1;
        op
    }
}

/// An op id that may still be committed, or whose fragments may still be on their way. Open until its last clone is gone.
#[derive(Debug)]
pub struct OpenOp {
    op: OpId,
    ops: Arc<OpenOps>,
}

impl OpenOp {
    /// `node`: the number that the authority gave this node.
    #[must_use]
    pub fn begin(ops: &Arc<OpenOps>, unix_ms: u64, random: [u8; 10], node: u16) -> Self {
        Self { op: ops.begin(unix_ms, random, node), ops: Arc::clone(ops) }
    }

    /// Another hold on an id that is open; `None` when it is not.
    #[must_use]
    pub fn hold(ops: &Arc<OpenOps>, op: OpId) -> Option<Self> {
        *ops.0.lock().open.get_mut(&op)? += 1;
        Some(Self { op, ops: Arc::clone(ops) })
    }

    #[must_use]
    pub fn id(&self) -> OpId {
        self.op
    }
}

impl Drop for OpenOp {
    fn drop(&mut self) {
        let mut state = self.ops.0.lock();
        let holds = state.open.get_mut(&self.op).expect("open as long as somebody holds it");
        *holds -= 1;
        if *holds == 0 {
            state.open.remove(&self.op);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_only_grow_whatever_the_clock_does() {
        let ops = Arc::new(OpenOps::default());
        let late = OpenOp::begin(&ops, 9_000, [0xff; 10], 1).id();
        let after_the_jump = OpenOp::begin(&ops, 100, [0; 10], 1).id();
        assert_eq!((after_the_jump.unix_ms(), after_the_jump.node()), (late.unix_ms(), 1));
        ops.settled(OpId::new(20_000, [0xff; 10]));
        assert!(OpenOp::begin(&ops, 9_001, [0; 10], 1).id() > OpId::new(20_000, [0xff; 10]));
    }

    #[test]
    fn nothing_open_and_nothing_to_come_is_below_the_bound() {
        let ops = Arc::new(OpenOps::default());
        let (none_open, count) = ops.oldest(5_000);
        assert_eq!(count, 0);
        let first = OpenOp::begin(&ops, 4_000, [0; 10], 1);
        assert!(first.id() > none_open);
        // Another one begun in the same millisecond with lower random bits.
        let high = OpenOp::begin(&ops, 6_000, [0xff; 10], 1);
        drop(first);
        let (bound, count) = ops.oldest(6_000);
        let low = OpenOp::begin(&ops, 6_000, [0; 10], 1);
        assert!(low.id() >= bound && high.id() >= bound && count == 1);
    }

    #[test]
    fn what_is_committed_is_known_up_to_a_bound_and_until_nobody_asks() {
        let ops = OpenOps::default();
        let op = |n: usize| OpId::new(n as u64, [0; 10]);
        (0..=COMMITTED_REMEMBERED).for_each(|n| ops.committed(op(n)));
        assert!(ops.is_committed(op(0)) && ops.is_committed(op(COMMITTED_REMEMBERED - 1)));
        assert!(!ops.is_committed(op(COMMITTED_REMEMBERED)));
        ops.forget_committed(op(7));
        assert!(!ops.is_committed(op(6)) && ops.is_committed(op(7)));
        ops.committed(op(COMMITTED_REMEMBERED));
        assert!(ops.is_committed(op(COMMITTED_REMEMBERED)));
    }

    #[test]
    fn an_id_is_open_until_its_last_holder_is_gone() {
        let ops = Arc::new(OpenOps::default());
        let op = OpenOp::begin(&ops, 1, [1; 10], 1);
        let sweep = OpenOp::hold(&ops, op.id()).unwrap();
        drop(op);
        assert_eq!(ops.oldest(9), (OpId::new(1, [0; 10]), 1));
        let id = sweep.id();
        drop(sweep);
        assert_eq!(ops.oldest(9).1, 0);
        assert!(OpenOp::hold(&ops, id).is_none());
    }
}
