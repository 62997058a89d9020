//! `join_token`: invitations to become a node. Of the secret there is only a hash, so the database invites nobody.

use uuid::Uuid;

use super::{Client, StoreError, Transaction, ms, unsigned};

/// An invitation.
#[derive(Clone, Debug)]
pub struct JoinTokenRow {
    pub secret_hash: Vec<u8>,
    pub expires_ms: u64,
    pub expired: bool,
    pub used_ms: Option<u64>,
    /// What the administrator calls the node; empty: the node says.
    pub node_name: String,
    /// The node that it has made.
    pub node_id: Option<Uuid>,
}

/// Returns when it expires, unix milliseconds.
pub async fn insert(
    client: &Client,
    token_id: &[u8],
    secret_hash: &[u8],
    node_name: &str,
    seconds: u32,
) -> Result<u64, StoreError> {
    let row = client
        .query_one(
            concat!(
                "INSERT INTO join_token (token_id, secret_hash, node_name, expires_at)
                 VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second') RETURNING ",
                ms!("expires_at")
            ),
            &[&token_id, &secret_hash, &node_name, &f64::from(seconds)],
        )
        .await?;
    Ok(unsigned(row.get(0)))
}

pub async fn by_id(work: &Transaction<'_>, token_id: &[u8]) -> Result<Option<JoinTokenRow>, StoreError> {
    let row = work
        .query_opt(
            concat!(
                "SELECT secret_hash, ",
                ms!("expires_at"),
                ", expires_at <= clock_timestamp(), ",
                ms!("used_at"),
                ", node_name, node_id FROM join_token WHERE token_id = $1"
            ),
            &[&token_id],
        )
        .await?;
    Ok(row.map(|row| JoinTokenRow {
        secret_hash: row.get(0),
        expires_ms: unsigned(row.get(1)),
        expired: row.get(2),
        used_ms: row.get::<_, Option<i64>>(3).map(unsigned),
        node_name: row.get(4),
        node_id: row.get(5),
    }))
}

/// Spends it; false: it is spent or over, perhaps since a moment ago. Of two that spend it at once one waits for the other here.
pub async fn spend(work: &Transaction<'_>, token_id: &[u8], node_id: Uuid) -> Result<bool, StoreError> {
    let changed = work
        .execute(
            "UPDATE join_token SET used_at = clock_timestamp(), node_id = $2
             WHERE token_id = $1 AND used_at IS NULL AND expires_at > clock_timestamp()",
            &[&token_id, &node_id],
        )
        .await?;
    Ok(changed == 1)
}

/// Forgets those that ended this long ago: until then a refusal can say why.
pub async fn forget(client: &Client, days: u32) -> Result<(), StoreError> {
    client
        .execute(
            "DELETE FROM join_token WHERE expires_at < clock_timestamp() - $1 * interval '1 day'",
            &[&f64::from(days)],
        )
        .await?;
    Ok(())
}
