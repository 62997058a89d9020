//! `cluster_ca`: the cluster's own authority, its key sealed. One row, made once; only how its key is sealed changes.

use super::access_key::SealedSecret;
use super::{Client, StoreError, Transaction};

/// Certificate (DER) and sealed key (PKCS #8).
#[derive(Clone, Debug)]
pub struct ClusterCaRow {
    pub certificate: Vec<u8>,
    pub key: SealedSecret,
}

pub async fn read(client: &Client) -> Result<Option<ClusterCaRow>, StoreError> {
    let row = client
        .query_opt("SELECT certificate, key_sealed, key_nonce, key_version FROM cluster_ca", &[])
        .await?;
    Ok(row.map(|row| ClusterCaRow {
        certificate: row.get(0),
        key: SealedSecret { ciphertext: row.get(1), nonce: row.get(2), version: row.get(3) },
    }))
}

/// Keeps the first: of two processes that start at once both then read the same.
pub async fn insert(client: &Client, row: &ClusterCaRow) -> Result<(), StoreError> {
    client
        .execute(
            "INSERT INTO cluster_ca (certificate, key_sealed, key_nonce, key_version) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            &[&row.certificate, &row.key.ciphertext, &row.key.nonce, &row.key.version],
        )
        .await?;
    Ok(())
}

/// The key as it lies here, held until the transaction ends.
pub async fn sealed(work: &Transaction<'_>) -> Result<Option<SealedSecret>, StoreError> {
    let text = "SELECT key_sealed, key_nonce, key_version FROM cluster_ca FOR UPDATE";
    let row = work.query_opt(text, &[]).await?;
    Ok(row.map(|row| SealedSecret { ciphertext: row.get(0), nonce: row.get(1), version: row.get(2) }))
}

pub async fn reseal(work: &Transaction<'_>, key: &SealedSecret) -> Result<(), StoreError> {
    work.execute(
        "UPDATE cluster_ca SET key_sealed = $1, key_nonce = $2, key_version = $3",
        &[&key.ciphertext, &key.nonce, &key.version],
    )
    .await?;
    Ok(())
}
