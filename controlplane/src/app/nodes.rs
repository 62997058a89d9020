//! Nodes as an administrator sees and directs them: listed, emptied, thrown out.
//!
//! A revocation is done when it can no longer be contradicted: the node's certificate is not renewed and its hello refused,
//! its session has ended, what it had under way has come to its end, and every live node knows it.

use std::collections::HashMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::drives::DrainInfo;
use super::sessions::SessionFacts;
use super::sessions::wait::Acknowledgement;
use super::{AdminError, Authority, config};
use crate::limits::REVOKE_DRAIN;
use crate::store::backend::{BackendRow, Intent};
use crate::store::enrolled_node::{self, NodeRecord};
use crate::store::{Client, StoreError, backend, node};

/// One node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeInfo {
    pub node_id: String,
    pub name: String,
    pub region: String,
    pub build: String,
    /// `joined` (no hello yet), `active`, `draining`, `drained` (nothing is left on it), `revoked`.
    pub state: String,
    pub connected: bool,
    /// It may show records of its cache.
    pub lease_live: bool,
    /// It may believe the keys, policies and buckets that it knows; without, it serves nobody.
    pub access_live: bool,
    pub first_seen_ms: Option<u64>,
    pub last_seen_ms: Option<u64>,
    /// End of the last certificate of the cluster's authority; null: it has an operator's, or none.
    pub certificate_until_ms: Option<u64>,
    pub revoked_ms: Option<u64>,
    /// Numbers of its backends.
    pub backends: Vec<u32>,
    /// While it is being emptied.
    pub drain: Option<DrainInfo>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainNodeRequest {
    /// Take a drain back, of the node and of all its drives.
    pub cancel: bool,
}

/// What a revocation took.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevokedNode {
    pub node_id: String,
    pub name: String,
    /// Nodes that acknowledged.
    pub acknowledged: u32,
    /// Nodes that did not, whose access lease ran out instead; the revoked one among them.
    pub expired: u32,
    pub waited_ms: u64,
}

impl Authority {
    /// All nodes, those that have joined and not said hello included.
    pub async fn list_nodes(&self) -> Result<Vec<NodeInfo>, AdminError> {
        let client = self.inner.store.client().await?;
        let records = enrolled_node::records(&client).await?;
        Ok(self.node_infos(&client, records).await?)
    }

    /// One node, by its id or its name.
    pub async fn node_info(&self, node: &str) -> Result<NodeInfo, AdminError> {
        let client = self.inner.store.client().await?;
        let record = find(&client, node).await?;
        Ok(self.node_infos(&client, vec![record]).await?.remove(0))
    }

    /// Takes all drives of a node out of new placements and has it move what is there to other nodes, or takes that back.
    /// Returns when every live node knows.
    pub async fn drain_node(&self, node: &str, asked: DrainNodeRequest) -> Result<NodeInfo, AdminError> {
        let (node_id, waits) = {
            let _order = self.inner.configuration.lock().await;
            self.must_lead().await?;
            let client = self.inner.store.client().await?;
            let record = find(&client, node).await?;
            if record.revoked_ms.is_some() {
                return Err(AdminError::Conflict(format!(
                    "node {} ({}) is revoked",
                    record.name, record.node_id
                )));
            }
            node::drain(&client, record.node_id, !asked.cancel).await?;
            let backends = backend::intend_node(&client, record.node_id, !asked.cancel).await?;
            let mut waits = self.publish_backends(backends.iter().map(config::of_backend).collect());
            waits.extend(self.publish_node(&client, record.node_id).await?);
            self.must_lead_still(&client).await?;
            tracing::info!(node = %record.name, node_id = %record.node_id, cancel = asked.cancel, "node drain asked for");
            (record.node_id, waits)
        };
        self.everybody_knows(waits).await?;
        self.node_info(&node_id.to_string()).await
    }

    /// Throws a node out: no hello, no commit and no renewal of it succeeds any more. Returns when every live node has
    /// acknowledged, or its access lease ran out, that of the revoked one too. Twice is harmless; there is no way back but to
    /// join anew. An id that is not known is thrown out before it comes.
    pub async fn revoke_node(&self, node: &str) -> Result<RevokedNode, AdminError> {
        let began = Instant::now();
        let inner = &self.inner;
        let (record, waits) = {
            let _order = inner.configuration.lock().await;
            self.must_lead().await?;
            let client = inner.store.client().await?;
            let record = match (find(&client, node).await, Uuid::try_parse(node)) {
                // Its row may have been lost with a history, and its certificate is good.
                (Err(AdminError::NotFound(_)), Ok(node_id)) => {
                    enrolled_node::revoke_unknown(&client, node_id).await?;
                    find(&client, node).await?
                }
                (found, _) => found?,
            };
            enrolled_node::revoke(&client, record.node_id).await?;
            node::revoke(&client, record.node_id).await?;
            inner.sessions.revoke(record.node_id);
            tracing::warn!(node = %record.name, node_id = %record.node_id, "a node was revoked");
            let waits = self.publish_node(&client, record.node_id).await?;
            // Where another leads, the node may have a session there that was begun before this was written.
            self.must_lead_still(&client).await?;
            (record, waits)
        };
        // What was under way when the session ended is decided one way or the other, and nothing comes after it.
        if !inner.settles(inner.sessions.assigned(), REVOKE_DRAIN).await {
            return Err(AdminError::Unavailable(
                "commits that were under way have not come to an end; the node is revoked, ask again to be sure that it has ended"
                    .into(),
            ));
        }
        let (acknowledged, late) = self.everybody_knows(waits).await?;
        for (session, ordinal) in &late {
            inner.sessions.hold_queries(*session, *ordinal);
        }
        Ok(RevokedNode {
            node_id: record.node_id.to_string(),
            name: record.name,
            acknowledged,
            expired: u32::try_from(late.len()).unwrap_or(u32::MAX),
            waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Tells every session how a node is now. Callers hold the configuration lock.
    async fn publish_node(&self, client: &Client, node_id: Uuid) -> Result<Vec<Acknowledgement>, StoreError> {
        // One that never said hello is nobody's peer.
        Ok(node::peer(client, node_id).await?.map(|row| self.publish_peer(&row)).unwrap_or_default())
    }

    async fn node_infos(
        &self,
        client: &Client,
        records: Vec<NodeRecord>,
    ) -> Result<Vec<NodeInfo>, StoreError> {
        let sessions: HashMap<Uuid, SessionFacts> =
            self.inner.sessions.facts().into_iter().map(|facts| (facts.node_id, facts)).collect();
        let backends = backend::all(client).await?;
        let info = |record: NodeRecord| {
            let session = sessions.get(&record.node_id);
            let is_its = |backend: &&BackendRow| backend.node_id == Some(record.node_id);
            let its: Vec<&BackendRow> = backends.iter().filter(is_its).collect();
            let state = state(&record, &its).to_owned();
            NodeInfo {
                node_id: record.node_id.to_string(),
                drain: (state == "draining").then(|| self.drain_of(&its)),
                state,
                name: record.name,
                region: record.region,
                build: record.build,
                connected: session.is_some_and(|facts| facts.connected),
                lease_live: session.is_some_and(|facts| facts.lease_live),
                access_live: session.is_some_and(|facts| facts.access_live),
                first_seen_ms: record.first_seen_ms,
                last_seen_ms: record.last_seen_ms,
                certificate_until_ms: record.certificate_until_ms,
                revoked_ms: record.revoked_ms,
                backends: its.iter().map(|backend| backend.id).collect(),
            }
        };
        Ok(records.into_iter().map(info).collect())
    }
}

fn state<'a>(record: &'a NodeRecord, drives: &[&BackendRow]) -> &'a str {
    let is_empty = |drive: &&BackendRow| matches!(drive.intent, Some(Intent::Drained | Intent::Replaced));
    match (record.revoked_ms, &record.wanted) {
        (Some(_), _) => "revoked",
        (None, Some(wanted)) if wanted == "draining" && drives.iter().all(is_empty) => "drained",
        (None, Some(wanted)) => wanted,
        (None, None) => "joined",
    }
}

async fn find(client: &Client, node: &str) -> Result<NodeRecord, AdminError> {
    let id = Uuid::try_parse(node).ok();
    let records = enrolled_node::records(client).await?;
    let is = |record: &NodeRecord| id.map_or(record.name == node, |id| record.node_id == id);
    let mut found: Vec<NodeRecord> = records.into_iter().filter(is).collect();
    // A host that was revoked and joined anew has its name from before.
    if found.iter().any(|record| record.revoked_ms.is_none()) {
        found.retain(|record| record.revoked_ms.is_none());
    }
    match (found.pop(), found.is_empty()) {
        (Some(record), true) => Ok(record),
        (Some(_), false) => Err(AdminError::Conflict(format!(
            "several nodes are called {node}: name one by its id; `node list` shows them"
        ))),
        (None, _) => Err(AdminError::NotFound(format!(
            "there is no node {node}; `node list` shows their ids and names"
        ))),
    }
}
