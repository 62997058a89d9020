//! Who holds what of a blob: this node's drives, and where a blob may lie on other nodes theirs too.

use holdfast_common::id::{BackendId, OpId};
use holdfast_common::wire;
use holdfast_protocol::placement::CLASS_NODES;

use super::Agent;
use crate::drives::{DriveError, Drives as _, Held};
use crate::env::Env;
use crate::rt::Rt as _;

impl<E: Env> Agent<E> {
    /// Whether other nodes than this may hold fragments of a blob: by its class, because a drive has moved between nodes, or
    /// because one that it was on was to be emptied.
    pub(super) fn is_everywhere(&self, blob: &wire::Blob) -> bool {
        let view = self.state.view();
        let scattered = |node: &str| view.peers.get(node).is_some_and(|peer| peer.scattered);
        let abroad = |id: &u32| {
            let backend = view.backends.get(id);
            backend.is_some_and(|backend| *backend.node_id != *self.settings.node_id)
        };
        let moved = match view.placements.get(&blob.placement_id) {
            Some(homes) => scattered(&self.settings.node_id) || homes.iter().any(abroad),
            None => view.peers.keys().any(|node| scattered(node)),
        };
        blob.class_id == CLASS_NODES || moved
    }

    /// Every fragment that anybody holds of it. Nodes that did not answer are remembered as silent.
    pub(super) async fn holders(
        &self,
        op: OpId,
        everywhere: bool,
    ) -> Result<Vec<(BackendId, Held)>, DriveError> {
        if !everywhere {
            return self.drives.find(op).await;
        }
        let all = self.drives.find_everywhere(op).await?;
        self.silence.borrow_mut().heard(&all.silent, E::Rt::now());
        Ok(all.held)
    }

    /// Asks the other nodes about a blob that nobody has, to see who answers: how long a node has been silent is known only
    /// when it is asked all along.
    pub(super) async fn probe(&self) -> Result<(), DriveError> {
        let view = self.state.view();
        let other = |peer: &wire::Peer| {
            *peer.node_id != *self.settings.node_id && peer.state != "revoked" && !peer.addr.is_empty()
        };
        if !view.peers.values().any(|peer| other(peer)) {
            self.silence.borrow_mut().heard(&[], E::Rt::now());
            return Ok(());
        }
        // Its own, by its number, so that it may ask: no id that is made has this time.
        self.holders(OpId::of_node(1, [0; 10], view.node_number), true).await.map(drop)
    }
}
