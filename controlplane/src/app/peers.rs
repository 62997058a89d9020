//! Nodes as the others know them: told to every session when one enters, or is to be emptied.

use holdfast_common::wire;
use uuid::Uuid;

use super::sessions::wait::Acknowledgement;
use super::{Authority, config};
use crate::store::StoreError;
use crate::store::node::{Entered, NodeRow, PeerRow};

impl Authority {
    /// Registers a node that says hello. The others hear of it before it has its welcome. `None`: it is revoked.
    pub(super) async fn enter(
        &self,
        row: &NodeRow,
        peer_addr: &str,
        session_id: Uuid,
    ) -> Result<Option<Entered>, StoreError> {
        let inner = &self.inner;
        let _order = inner.configuration.lock().await;
        let entered = inner.truth.enter(row, peer_addr, session_id, inner.sessions.epoch()).await?;
        if let Some(Entered { peer, changed, .. }) = &entered {
            if *changed {
                tracing::info!(node = %peer.name, number = peer.number, addr = %peer.addr, "a node is made known");
            }
            // Also when nothing about it is new: who could not reach it tries again.
            self.publish_peer(peer);
        }
        Ok(entered)
    }

    /// Tells every session how a node is now. Callers hold the configuration lock.
    pub(crate) fn publish_peer(&self, row: &PeerRow) -> Vec<Acknowledgement> {
        let upsert = wire::ConfigSnapshot { peers: vec![config::of_peer(row)], ..Default::default() };
        self.inner.sessions.publish_config(wire::ConfigChange { upsert: Some(upsert), ..Default::default() })
    }
}
