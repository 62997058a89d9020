//! `node` and `session`: which data planes there are, how they name each other, and whose leases may still run.

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

/// A node as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    pub node_id: Uuid,
    pub name: String,
    /// `host:port` of its fragments; empty: it keeps them to itself.
    pub addr: String,
    pub number: u16,
    /// `active`, `draining` or `revoked`.
    pub state: String,
    /// It was to be emptied once: blobs whose rows name its drives may lie on other nodes.
    pub scattered: bool,
}

impl PeerRow {
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.state == "revoked"
    }
}

const PEER: &str =
    "node_id, name, peer_addr, number, CASE WHEN revoked_at IS NULL THEN state ELSE 'revoked' END, scattered";

fn peer_of(row: &tokio_postgres::Row) -> PeerRow {
    PeerRow {
        node_id: row.get(0),
        name: row.get(1),
        addr: row.get(2),
        number: u16::try_from(row.get::<_, i32>(3)).unwrap_or(0),
        state: row.get(4),
        scattered: row.get(5),
    }
}

/// What is on record of a node that enters.
#[derive(Clone, Debug)]
pub struct Entered {
    pub peer: PeerRow,
    /// The others do not know it as it is now.
    pub changed: bool,
    /// Its op ids below this have been settled.
    pub settled_to: Option<Uuid>,
}

/// Registers the node and its session, and ends its earlier ones; at its first time the node gets its number. What an
/// earlier process of it said of its open op ids is forgotten. `None`: the node is revoked.
pub async fn enter(
    client: &mut Client,
    node: &NodeRow,
    peer_addr: &str,
    session_id: Uuid,
    epoch: u64,
) -> Result<Option<Entered>, StoreError> {
    let work = client.transaction().await?;
    let known = format!("SELECT {PEER} FROM node WHERE node_id = $1 FOR UPDATE");
    let before = work.query_opt(&known, &[&node.node_id]).await?.as_ref().map(peer_of);
    if before.is_none() {
        // Two nodes that enter for the first time at once take their numbers one after the other.
        work.execute("SELECT 1 FROM cluster FOR UPDATE", &[]).await?;
    }
    let enters = format!(
        "INSERT INTO node (node_id, name, region, build, peer_addr, number)
         SELECT $1, $2, $3, $4, $5, coalesce(max(number), 0) + 1 FROM node
         ON CONFLICT (node_id) DO UPDATE SET name = excluded.name, region = excluded.region,
             build = excluded.build, peer_addr = excluded.peer_addr, last_seen = clock_timestamp(),
             oldest_op = NULL, open_ops = 0
         RETURNING {PEER}, settled_to"
    );
    let row =
        work.query_one(&enters, &[&node.node_id, &node.name, &node.region, &node.build, &peer_addr]).await?;
    let entered = Entered { peer: peer_of(&row), changed: false, settled_to: row.get(6) };
    if entered.peer.is_revoked() {
        return Ok(None);
    }
    work.execute(
        "UPDATE session SET ended_at = clock_timestamp() WHERE node_id = $1 AND ended_at IS NULL",
        &[&node.node_id],
    )
    .await?;
    work.execute(
        "INSERT INTO session (session_id, node_id, shard, epoch) VALUES ($1, $2, $3, $4)",
        &[&session_id, &node.node_id, &SHARD, &signed(epoch)],
    )
    .await?;
    work.commit().await?;
    Ok(Some(Entered { changed: before.as_ref() != Some(&entered.peer), ..entered }))
}

/// Every node there ever was.
pub async fn peers(client: &Client) -> Result<Vec<PeerRow>, StoreError> {
    let statement = client.prepare_cached(&format!("SELECT {PEER} FROM node ORDER BY number")).await?;
    Ok(client.query(&statement, &[]).await?.iter().map(peer_of).collect())
}

/// One node; `None`: it never said hello.
pub async fn peer(client: &Client, node_id: Uuid) -> Result<Option<PeerRow>, StoreError> {
    let statement = client.prepare_cached(&format!("SELECT {PEER} FROM node WHERE node_id = $1")).await?;
    Ok(client.query_opt(&statement, &[&node_id]).await?.as_ref().map(peer_of))
}

/// What a node may still commit, as it said last.
#[derive(Clone, Copy, Debug)]
pub struct OpenFrom {
    pub node_id: Uuid,
    pub number: u16,
    /// It has no op id below this open and makes none; `None`: it has not said yet.
    pub oldest: Option<Uuid>,
    pub revoked: bool,
}

/// Of every node there ever was.
pub async fn open_from(work: &Transaction<'_>) -> Result<Vec<OpenFrom>, StoreError> {
    let statement =
        work.prepare_cached("SELECT node_id, number, oldest_op, revoked_at IS NOT NULL FROM node").await?;
    let of = |row: &tokio_postgres::Row| OpenFrom {
        node_id: row.get(0),
        number: u16::try_from(row.get::<_, i32>(1)).unwrap_or(0),
        oldest: row.get(2),
        revoked: row.get(3),
    };
    Ok(work.query(&statement, &[]).await?.iter().map(of).collect())
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

/// Remembers the oldest op id the node may still commit; reapers of all nodes go by it. What an ended session says does
/// not count: the node has begun anew since.
pub async fn open_ops(
    client: &Client,
    session_id: Uuid,
    oldest: Option<Uuid>,
    count: u64,
) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE node n SET oldest_op = $2, open_ops = $3, last_seen = clock_timestamp() FROM session s
             WHERE s.session_id = $1 AND s.ended_at IS NULL AND n.node_id = s.node_id",
            &[&session_id, &oldest, &signed(count)],
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

/// Revocation is monotone: the first time stands, and what of access leases could run then.
pub async fn revoke(client: &Client, node_id: Uuid) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE node SET revoked_at = coalesce(revoked_at, clock_timestamp()), access_until = CASE WHEN revoked_at IS NULL
                 THEN (SELECT access_until FROM authority WHERE shard = $2) ELSE access_until END
             WHERE node_id = $1",
            &[&node_id, &SHARD],
        )
        .await?;
    Ok(())
}

/// Notes what an administrator wants of a node. Callers hold the configuration lock.
pub async fn drain(client: &Client, node_id: Uuid, draining: bool) -> Result<(), StoreError> {
    let state = if draining { "draining" } else { "active" };
    let text = "UPDATE node SET state = $2, scattered = scattered OR $3 WHERE node_id = $1";
    client.execute(text, &[&node_id, &state, &draining]).await?;
    Ok(())
}
