//! `node` and `session`: which data planes there are, and whose leases may still run.

use uuid::Uuid;

use super::{Client, StoreError, Transaction, ms, signed, unsigned};
use crate::store::authority::SHARD;

#[derive(Clone, Debug)]
pub struct NodeRow {
    pub node_id: Uuid,
    pub name: String,
    pub region: String,
    pub build: String,
    pub last_seen_ms: u64,
}

/// What is on record of a node that enters.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// Its op ids below this have been settled.
    pub settled_to: Option<Uuid>,
}

/// Registers the node and its session, and ends its earlier ones. `None`: the node is revoked.
pub async fn enter(
    client: &Client,
    node: &NodeRow,
    session_id: Uuid,
    epoch: u64,
) -> Result<Option<Entered>, StoreError> {
    let row = client
        .query_one(
            "INSERT INTO node (node_id, name, region, build) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node_id) DO UPDATE SET name = excluded.name, region = excluded.region,
                 build = excluded.build, last_seen = clock_timestamp()
             RETURNING revoked_at IS NULL, settled_to",
            &[&node.node_id, &node.name, &node.region, &node.build],
        )
        .await?;
    if !row.get::<_, bool>(0) {
        return Ok(None);
    }
    client
        .execute(
            "UPDATE session SET ended_at = clock_timestamp() WHERE node_id = $1 AND ended_at IS NULL",
            &[&node.node_id],
        )
        .await?;
    client
        .execute(
            "INSERT INTO session (session_id, node_id, shard, epoch) VALUES ($1, $2, $3, $4)",
            &[&session_id, &node.node_id, &SHARD, &signed(epoch)],
        )
        .await?;
    Ok(Some(Entered { settled_to: row.get(1) }))
}

/// Remembers how far the node's op ids are settled; never goes back.
pub async fn settled(work: &Transaction<'_>, node_id: Uuid, settled_to: Uuid) -> Result<(), StoreError> {
    work.execute(
        "UPDATE node SET settled_to = greatest(settled_to, $2) WHERE node_id = $1",
        &[&node_id, &settled_to],
    )
    .await?;
    Ok(())
}

pub async fn leave(client: &Client, session_id: Uuid) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE session SET ended_at = clock_timestamp() WHERE session_id = $1 AND ended_at IS NULL",
            &[&session_id],
        )
        .await?;
    Ok(())
}

/// Remembers the oldest op id the node may still commit; the reaper reads it.
pub async fn open_ops(
    client: &Client,
    node_id: Uuid,
    oldest: Option<Uuid>,
    count: u64,
) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE node SET oldest_op = $2, open_ops = $3, last_seen = clock_timestamp() WHERE node_id = $1",
            &[&node_id, &oldest, &signed(count)],
        )
        .await?;
    Ok(())
}

pub async fn all(client: &Client) -> Result<Vec<NodeRow>, StoreError> {
    let rows = client
        .query(
            concat!(
                "SELECT node_id, name, region, build, ",
                ms!("last_seen"),
                " FROM node ORDER BY name, node_id"
            ),
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| NodeRow {
            node_id: row.get(0),
            name: row.get(1),
            region: row.get(2),
            build: row.get(3),
            last_seen_ms: unsigned(row.get(4)),
        })
        .collect())
}

/// Revocation is monotone: the first time stands.
pub async fn revoke(client: &Client, node_id: Uuid) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE node SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE node_id = $1",
            &[&node_id],
        )
        .await?;
    Ok(())
}

/// Notes what an administrator wants of a node. Callers hold the configuration lock.
pub async fn drain(client: &Client, node_id: Uuid, draining: bool) -> Result<(), StoreError> {
    let state = if draining { "draining" } else { "active" };
    client.execute("UPDATE node SET state = $2 WHERE node_id = $1", &[&node_id, &state]).await?;
    Ok(())
}
