//! `enrolled_node`: nodes that the cluster's authority gave a certificate, whether they have said hello yet or not; and nodes as
//! an administrator sees them, which are those together with `node`.

use uuid::Uuid;

use super::{Client, StoreError, Transaction, ms, signed, unsigned};

/// A node as an administrator sees it.
#[derive(Clone, Debug)]
pub struct NodeRecord {
    pub node_id: Uuid,
    /// What it was invited as, else what it calls itself.
    pub name: String,
    pub region: String,
    pub build: String,
    /// `active` or `draining`; `None`: it has not said hello yet.
    pub wanted: Option<String>,
    pub revoked_ms: Option<u64>,
    pub first_seen_ms: Option<u64>,
    pub last_seen_ms: Option<u64>,
    /// End of the last certificate of this cluster's authority; `None`: it has an operator's, or none.
    pub certificate_until_ms: Option<u64>,
}

const RECORD: &str = concat!(
    "SELECT node_id, coalesce(e.name, n.name), coalesce(n.region, ''), coalesce(n.build, ''), n.state, ",
    ms!("coalesce(n.revoked_at, e.revoked_at)"),
    ", ",
    ms!("n.first_seen"),
    ", ",
    ms!("n.last_seen"),
    ", ",
    ms!("e.certificate_until"),
    " FROM node n FULL JOIN enrolled_node e USING (node_id)"
);

fn read(row: &tokio_postgres::Row) -> NodeRecord {
    let ms = |column: usize| row.get::<_, Option<i64>>(column).map(unsigned);
    NodeRecord {
        node_id: row.get(0),
        name: row.get(1),
        region: row.get(2),
        build: row.get(3),
        wanted: row.get(4),
        revoked_ms: ms(5),
        first_seen_ms: ms(6),
        last_seen_ms: ms(7),
        certificate_until_ms: ms(8),
    }
}

pub async fn records(client: &Client) -> Result<Vec<NodeRecord>, StoreError> {
    let rows = client.query(&format!("{RECORD} ORDER BY 2, node_id"), &[]).await?;
    Ok(rows.iter().map(read).collect())
}

/// Notes a node that has joined.
pub async fn insert(
    work: &Transaction<'_>,
    node_id: Uuid,
    name: &str,
    certificate_until_unix: u64,
) -> Result<(), StoreError> {
    work.execute(
        "INSERT INTO enrolled_node (node_id, name, certificate_until) VALUES ($1, $2, to_timestamp($3))",
        &[&node_id, &name, &(signed(certificate_until_unix) as f64)],
    )
    .await?;
    Ok(())
}

/// Notes a renewed certificate. False: the node is revoked, or never joined.
pub async fn renewed(
    client: &Client,
    node_id: Uuid,
    certificate_until_unix: u64,
) -> Result<bool, StoreError> {
    let changed = client
        .execute(
            "UPDATE enrolled_node SET certificate_until = to_timestamp($2)
             WHERE node_id = $1 AND revoked_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM node WHERE node_id = $1 AND revoked_at IS NOT NULL)",
            &[&node_id, &(signed(certificate_until_unix) as f64)],
        )
        .await?;
    Ok(changed == 1)
}

/// Revocation is monotone: the first time stands.
pub async fn revoke(client: &Client, node_id: Uuid) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE enrolled_node SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE node_id = $1",
            &[&node_id],
        )
        .await?;
    Ok(())
}

/// Notes a node that is thrown out before anything is known of it.
pub async fn revoke_unknown(client: &Client, node_id: Uuid) -> Result<(), StoreError> {
    client
        .execute(
            "INSERT INTO enrolled_node (node_id, name, certificate_until, revoked_at)
             VALUES ($1, 'unknown', clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING",
            &[&node_id],
        )
        .await?;
    Ok(())
}

/// Whether a node is revoked, be it here or in `node`.
pub async fn is_revoked(client: &Client, node_id: Uuid) -> Result<bool, StoreError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM enrolled_node WHERE node_id = $1 AND revoked_at IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM node WHERE node_id = $1 AND revoked_at IS NOT NULL)",
            &[&node_id],
        )
        .await?;
    Ok(row.get(0))
}
