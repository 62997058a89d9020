//! `candidate`: the control planes on this database, and which of them nodes reach.

use super::{Client, StoreError, signed};

/// Says that it is here, and where administrators find it.
pub async fn seen(client: &Client, holder: &str, admin_url: &str) -> Result<(), StoreError> {
    client
        .execute(
            "INSERT INTO candidate (holder, admin_url) VALUES ($1, $2)
             ON CONFLICT (holder) DO UPDATE SET admin_url = excluded.admin_url, seen_at = clock_timestamp()",
            &[&holder, &admin_url],
        )
        .await?;
    Ok(())
}

/// A node asked this follower for the leader.
pub async fn node_heard(client: &Client, holder: &str) -> Result<(), StoreError> {
    client
        .execute(
            "INSERT INTO candidate (holder, node_heard_at) VALUES ($1, clock_timestamp())
             ON CONFLICT (holder) DO UPDATE SET seen_at = clock_timestamp(), node_heard_at = clock_timestamp()",
            &[&holder],
        )
        .await?;
    Ok(())
}

/// Whether another than `holder` heard a node within the last `ms`.
pub async fn node_heard_elsewhere(client: &Client, holder: &str, ms: u64) -> Result<bool, StoreError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM candidate WHERE holder <> $1
                 AND node_heard_at > clock_timestamp() - $2 * interval '1 millisecond')",
            &[&holder, &(signed(ms) as f64)],
        )
        .await?;
    Ok(row.get(0))
}

/// Where administrators find it; `None`: it has not said.
pub async fn admin_url(client: &Client, holder: &str) -> Result<Option<String>, StoreError> {
    let row = client
        .query_opt("SELECT admin_url FROM candidate WHERE holder = $1 AND admin_url <> ''", &[&holder])
        .await?;
    Ok(row.map(|row| row.get(0)))
}
