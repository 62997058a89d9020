//! What each node has of one core: how many connections, and how much it asks over all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use uuid::Uuid;

use super::super::load::Load;
use crate::limits::{PEER_BYTES_MAX_PER_NODE, PEER_CONNECTIONS_MAX_PER_NODE, PEER_REQUESTS_MAX};

/// The nodes with a connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Askers(Rc<RefCell<HashMap<Uuid, Asker>>>);

struct Asker {
    connections: usize,
    load: Load,
}

impl Askers {
    /// Counts a connection of a node; `None`: it has too many.
    pub(super) fn enter(&self, node: Uuid) -> Option<Guest> {
        let mut askers = self.0.borrow_mut();
        let requests = PEER_CONNECTIONS_MAX_PER_NODE * PEER_REQUESTS_MAX;
        let asker = askers
            .entry(node)
            .or_insert_with(|| Asker { connections: 0, load: Load::new(requests, PEER_BYTES_MAX_PER_NODE) });
        if asker.connections >= PEER_CONNECTIONS_MAX_PER_NODE {
            return None;
        }
        asker.connections += 1;
        Some(Guest { node, load: asker.load.clone(), askers: self.clone() })
    }
}

/// One connection, counted until it is dropped.
pub(super) struct Guest {
    node: Uuid,
    /// Of all connections of its node.
    pub(super) load: Load,
    askers: Askers,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut askers = self.askers.0.borrow_mut();
        let left = askers.get_mut(&self.node).map(|asker| {
            asker.connections -= 1;
            asker.connections
        });
        if left == Some(0) {
            askers.remove(&self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_so_many_connections_and_the_others_have_theirs() {
        let (askers, greedy, other) = (Askers::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let mut guests: Vec<Guest> =
            (0..PEER_CONNECTIONS_MAX_PER_NODE).map(|_| askers.enter(greedy).unwrap()).collect();
        assert!(askers.enter(greedy).is_none());
        assert!(askers.enter(other).is_some());
        guests.pop();
        assert!(askers.enter(greedy).is_some(), "one has gone");
        drop(guests);
        assert!(askers.0.borrow().is_empty(), "who has gone is forgotten");
    }
}
