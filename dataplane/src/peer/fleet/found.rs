//! What searches on all nodes came to, remembered for a moment: the next row of a fragment is where the last one was, or as
//! much nowhere.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use holdfast_common::id::{BackendId, FragmentId, OpId};

use crate::limits::{PEER_MISS, PEER_MISSES_MAX, PEER_MOVED, PEER_MOVED_MAX};

/// By blob and index, whatever the attempt. One core's.
#[derive(Default)]
pub(super) struct Found {
    /// No node has it, until then.
    misses: RefCell<HashMap<(OpId, u8), Instant>>,
    moved: RefCell<HashMap<(OpId, u8), Moved>>,
}

/// Where a fragment is that is not where it should be.
struct Moved {
    at: BackendId,
    id: FragmentId,
    until: Instant,
}

impl Found {
    pub(super) fn is_missed(&self, id: FragmentId, now: Instant) -> bool {
        self.misses.borrow().get(&(id.blob, id.index)).is_some_and(|until| now < *until)
    }

    /// Nobody has it: a drive that is gone is asked for every row of every object on it.
    pub(super) fn miss(&self, id: FragmentId, now: Instant) {
        let mut misses = self.misses.borrow_mut();
        if misses.len() >= PEER_MISSES_MAX {
            misses.retain(|_, until| now < *until);
        }
        if misses.len() < PEER_MISSES_MAX {
            misses.insert((id.blob, id.index), now + PEER_MISS);
        }
    }

    /// Where it was found last.
    pub(super) fn moved(&self, id: FragmentId, now: Instant) -> Option<(BackendId, FragmentId)> {
        let moved = self.moved.borrow();
        let Moved { at, id, until } = moved.get(&(id.blob, id.index))?;
        (now < *until).then_some((*at, *id))
    }

    pub(super) fn is_any_moved(&self) -> bool {
        !self.moved.borrow().is_empty()
    }

    /// `id` was asked for and `found` read.
    pub(super) fn remember(&self, id: FragmentId, at: BackendId, found: FragmentId, now: Instant) {
        let mut moved = self.moved.borrow_mut();
        if moved.len() >= PEER_MOVED_MAX {
            moved.retain(|_, moved| now < moved.until);
        }
        if moved.len() < PEER_MOVED_MAX {
            moved.insert((id.blob, id.index), Moved { at, id: found, until: now + PEER_MOVED });
        }
    }

    /// It is not there any more.
    pub(super) fn forget(&self, id: FragmentId) {
        self.moved.borrow_mut().remove(&(id.blob, id.index));
    }
}
