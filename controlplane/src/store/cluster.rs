//! `cluster`: the one row that says which deployment this database is.

use uuid::Uuid;

use super::{Client, StoreError};

/// Reads the row, and makes it on the first start, together with the tenant `root`.
pub async fn ensure(client: &Client, fresh: Uuid, root_canonical_id: &str) -> Result<Uuid, StoreError> {
    client.execute("INSERT INTO cluster (cluster_id) VALUES ($1) ON CONFLICT DO NOTHING", &[&fresh]).await?;
    client
        .execute(
            "INSERT INTO tenant (name, canonical_id) VALUES ('root', $1) ON CONFLICT DO NOTHING",
            &[&root_canonical_id],
        )
        .await?;
    Ok(client.query_one("SELECT cluster_id FROM cluster", &[]).await?.get(0))
}
