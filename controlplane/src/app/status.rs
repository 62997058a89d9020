//! What `status` shows.

use std::collections::HashMap;

use super::{AdminError, Authority, BackendStatus, NodeStatus, Status};
use crate::store::{access_key, authority, backend, bucket, freed, job, node, tenant};

impl Authority {
    pub(super) async fn status_inner(&self) -> Result<Status, AdminError> {
        let inner = &self.inner;
        let client = inner.store.client().await?;
        let (epoch, holder) = authority::holder(&client).await?;
        let repairs = job::counts(&client).await?;
        Ok(Status {
            cluster_id: inner.cluster_id.to_string(),
            leader: inner.sessions.leading().is_some(),
            epoch,
            holder,
            watermark: inner.sessions.watermark(),
            seq_assigned: inner.sessions.assigned(),
            tenants: tenant::all(&client).await?.len() as u64,
            keys: access_key::all(&client).await?.iter().filter(|row| row.revoked_ms.is_none()).count()
                as u64,
            buckets: bucket::all(&client).await?.len() as u64,
            repairs_open: repairs.waiting + repairs.leased,
            repairs_failed: repairs.failed,
            freed_backlog: freed::backlog(&client).await?.0,
            history_lost: inner.history_lost.load(std::sync::atomic::Ordering::Relaxed),
            nodes: self.nodes(node::all(&client).await?),
            backends: backend::all(&client).await?.into_iter().map(backend_status).collect(),
        })
    }

    fn nodes(&self, rows: Vec<node::NodeRow>) -> Vec<NodeStatus> {
        let sessions: HashMap<_, _> =
            self.inner.sessions.facts().into_iter().map(|facts| (facts.node_id, facts)).collect();
        rows.into_iter()
            .map(|row| {
                let session = sessions.get(&row.node_id);
                NodeStatus {
                    node_id: row.node_id.to_string(),
                    name: row.name,
                    region: row.region,
                    build: row.build,
                    connected: session.is_some_and(|facts| facts.connected),
                    lease_live: session.is_some_and(|facts| facts.lease_live),
                    access_live: session.is_some_and(|facts| facts.access_live),
                    ordinal_sent: session.map_or(0, |facts| facts.ordinal_sent),
                    ordinal_acknowledged: session.map_or(0, |facts| facts.ordinal_acknowledged),
                    last_seen_ms: row.last_seen_ms,
                }
            })
            .collect()
    }
}

fn backend_status(row: backend::BackendRow) -> BackendStatus {
    BackendStatus {
        backend_id: row.id,
        state: row.shown_state().to_owned(),
        kind: row.kind,
        node_id: row.node_id.map(|id| id.to_string()).unwrap_or_default(),
        label: row.label,
        capacity_bytes: row.capacity_bytes,
        free_bytes: row.free_bytes,
    }
}
