//! Which drives of other nodes take new fragments, for all cores of this node.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_common::id::BackendId;
use parking_lot::RwLock;

/// By node, as it said last; a node that cannot be reached has none.
#[derive(Debug, Default)]
pub(in super::super) struct Reach(RwLock<HashMap<Arc<str>, Vec<BackendId>>>);

impl Reach {
    pub(in super::super) fn set(&self, node: &Arc<str>, backends: Vec<BackendId>) {
        self.0.write().insert(Arc::clone(node), backends);
    }

    /// A connection to it is over, or none came to be.
    pub(in super::super) fn lost(&self, node: &str) {
        self.0.write().remove(node);
    }

    /// Forgets nodes that are not to be dealt with any more.
    pub(in super::super) fn keep(&self, known: impl Fn(&str) -> bool) {
        self.0.write().retain(|node, _| known(node));
    }

    /// Whether it answered last that some of its drives take fragments. One that has just begun knows none of their numbers.
    pub(in super::super) fn has(&self, node: &str) -> bool {
        self.0.read().get(node).is_some_and(|backends| !backends.is_empty())
    }

    pub(in super::super) fn all(&self) -> Vec<BackendId> {
        self.0.read().values().flatten().copied().collect()
    }
}
