//! `tenant`: who owns keys and buckets.

use super::{Client, StoreError, ms, unsigned};

#[derive(Clone, Debug)]
pub struct TenantRow {
    pub id: u64,
    pub name: String,
    pub canonical_id: String,
    pub created_ms: u64,
}

fn read(row: &tokio_postgres::Row) -> TenantRow {
    TenantRow {
        id: unsigned(row.get(0)),
        name: row.get(1),
        canonical_id: row.get(2),
        created_ms: unsigned(row.get(3)),
    }
}

/// `None`: the name is taken.
pub async fn insert(
    client: &Client,
    name: &str,
    canonical_id: &str,
) -> Result<Option<TenantRow>, StoreError> {
    let row = client
        .query_opt(
            concat!(
                "INSERT INTO tenant (name, canonical_id) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING
                 RETURNING id, name, canonical_id, ",
                ms!("created_at")
            ),
            &[&name, &canonical_id],
        )
        .await?;
    Ok(row.as_ref().map(read))
}

pub async fn all(client: &Client) -> Result<Vec<TenantRow>, StoreError> {
    let rows = client
        .query(concat!("SELECT id, name, canonical_id, ", ms!("created_at"), " FROM tenant ORDER BY id"), &[])
        .await?;
    Ok(rows.iter().map(read).collect())
}

pub async fn by_name(client: &Client, name: &str) -> Result<Option<TenantRow>, StoreError> {
    let row = client
        .query_opt(
            concat!("SELECT id, name, canonical_id, ", ms!("created_at"), " FROM tenant WHERE name = $1"),
            &[&name],
        )
        .await?;
    Ok(row.as_ref().map(read))
}
