//! `access_key`: who may sign. The secret lies sealed; only `app/vault` opens it.

use super::{Client, StoreError, Transaction, ms, signed, unsigned};

#[derive(Clone, Debug)]
pub struct AccessKeyRow {
    pub access_key_id: String,
    pub name: String,
    pub tenant_id: u64,
    pub secret: SealedSecret,
    pub bucket_ids: Option<Vec<u64>>,
    pub permissions: Vec<i32>,
    pub signed_not_before: u32,
    pub revision: u64,
    pub root: bool,
    pub created_ms: u64,
    pub revoked_ms: Option<u64>,
}

/// AES-256-GCM ciphertext under master key `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    pub ciphertext: Vec<u8>,
    pub nonce: Vec<u8>,
    pub version: i32,
}

const COLUMNS: &str = concat!(
    "access_key_id, name, tenant_id, secret_sealed, secret_nonce, key_version, bucket_ids, permissions,
     signed_not_before, revision, root, ",
    ms!("created_at"),
    ", ",
    ms!("revoked_at")
);

fn read(row: &tokio_postgres::Row) -> AccessKeyRow {
    AccessKeyRow {
        access_key_id: row.get(0),
        name: row.get(1),
        tenant_id: unsigned(row.get(2)),
        secret: SealedSecret { ciphertext: row.get(3), nonce: row.get(4), version: row.get(5) },
        bucket_ids: row.get::<_, Option<Vec<i64>>>(6).map(|ids| ids.into_iter().map(unsigned).collect()),
        permissions: row.get(7),
        signed_not_before: u32::try_from(row.get::<_, i32>(8)).unwrap_or(0),
        revision: unsigned(row.get(9)),
        root: row.get(10),
        created_ms: unsigned(row.get(11)),
        revoked_ms: row.get::<_, Option<i64>>(12).map(unsigned),
    }
}

/// A row of an id that must be new; `None`: it is taken.
pub async fn insert(client: &Client, key: &AccessKeyRow) -> Result<Option<AccessKeyRow>, StoreError> {
    let bucket_ids: Option<Vec<i64>> =
        key.bucket_ids.as_ref().map(|ids| ids.iter().map(|id| signed(*id)).collect());
    let text = format!(
        "INSERT INTO access_key (access_key_id, name, tenant_id, secret_sealed, secret_nonce, key_version, bucket_ids,
             permissions, root) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (access_key_id) DO NOTHING RETURNING {COLUMNS}"
    );
    let row = client
        .query_opt(
            &text,
            &[
                &key.access_key_id,
                &key.name,
                &signed(key.tenant_id),
                &key.secret.ciphertext,
                &key.secret.nonce,
                &key.secret.version,
                &bucket_ids,
                &key.permissions,
                &key.root,
            ],
        )
        .await?;
    Ok(row.as_ref().map(read))
}

/// Gives a root key another secret, and life.
pub async fn replace_secret(client: &Client, id: &str, secret: &SealedSecret) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE access_key SET secret_sealed = $2, secret_nonce = $3, key_version = $4, revoked_at = NULL,
                 revision = revision + 1 WHERE access_key_id = $1",
            &[&id, &secret.ciphertext, &secret.nonce, &secret.version],
        )
        .await?;
    Ok(())
}

pub async fn by_id(client: &Client, id: &str) -> Result<Option<AccessKeyRow>, StoreError> {
    let row = client
        .query_opt(&format!("SELECT {COLUMNS} FROM access_key WHERE access_key_id = $1"), &[&id])
        .await?;
    Ok(row.as_ref().map(read))
}

pub async fn all(client: &Client) -> Result<Vec<AccessKeyRow>, StoreError> {
    let rows = client
        .query(&format!("SELECT {COLUMNS} FROM access_key ORDER BY created_at, access_key_id"), &[])
        .await?;
    Ok(rows.iter().map(read).collect())
}

/// Revocation is monotone: the first time stands.
pub async fn revoke(client: &Client, id: &str) -> Result<bool, StoreError> {
    let changed = client
        .execute(
            "UPDATE access_key SET revoked_at = coalesce(revoked_at, clock_timestamp()), revision = revision + 1
             WHERE access_key_id = $1",
            &[&id],
        )
        .await?;
    Ok(changed == 1)
}

/// Nothing signed before this day (yyyymmdd) counts any more; a later one stands. `None`: there is no such key, or it is revoked.
pub async fn revoke_signatures(
    client: &Client,
    id: &str,
    before: u32,
) -> Result<Option<AccessKeyRow>, StoreError> {
    let text = format!(
        "UPDATE access_key SET signed_not_before = greatest(signed_not_before, $2), revision = revision + 1
         WHERE access_key_id = $1 AND revoked_at IS NULL RETURNING {COLUMNS}"
    );
    let before = i32::try_from(before).expect("yyyymmdd fits");
    Ok(client.query_opt(&text, &[&id, &before]).await?.as_ref().map(read))
}

/// Every secret as it lies here, held until the transaction ends.
pub async fn sealed(work: &Transaction<'_>) -> Result<Vec<(String, SealedSecret)>, StoreError> {
    let text = "SELECT access_key_id, secret_sealed, secret_nonce, key_version FROM access_key FOR UPDATE";
    let sealed = |row: &tokio_postgres::Row| SealedSecret {
        ciphertext: row.get(1),
        nonce: row.get(2),
        version: row.get(3),
    };
    Ok(work.query(text, &[]).await?.iter().map(|row| (row.get(0), sealed(row))).collect())
}

/// The same secret under another master key: nobody need be told.
pub async fn reseal(work: &Transaction<'_>, id: &str, secret: &SealedSecret) -> Result<(), StoreError> {
    work.execute(
        "UPDATE access_key SET secret_sealed = $2, secret_nonce = $3, key_version = $4 WHERE access_key_id = $1",
        &[&id, &secret.ciphertext, &secret.nonce, &secret.version],
    )
    .await?;
    Ok(())
}
