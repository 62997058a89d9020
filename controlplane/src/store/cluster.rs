//! `cluster`: the one row that says which deployment this database is.

use uuid::Uuid;

use super::access_key::SealedSecret;
use super::{Client, StoreError, Transaction, signed, unsigned};

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

/// What the keys of recovery manifests are made from; `fresh` is what is kept when there is none yet.
pub async fn manifest_root(client: &Client, fresh: &SealedSecret) -> Result<SealedSecret, StoreError> {
    client
        .execute(
            "UPDATE cluster SET manifest_root_sealed = $1, manifest_root_nonce = $2, manifest_root_key_version = $3
             WHERE manifest_root_sealed IS NULL",
            &[&fresh.ciphertext, &fresh.nonce, &fresh.version],
        )
        .await?;
    let row = client
        .query_one(
            "SELECT manifest_root_sealed, manifest_root_nonce, manifest_root_key_version FROM cluster",
            &[],
        )
        .await?;
    Ok(SealedSecret { ciphertext: row.get(0), nonce: row.get(1), version: row.get(2) })
}

/// The root of recovery manifests as it lies here, held until the transaction ends. `None`: no control plane that makes one
/// has run on this database.
pub async fn sealed_manifest_root(work: &Transaction<'_>) -> Result<Option<SealedSecret>, StoreError> {
    let text = "SELECT manifest_root_sealed, manifest_root_nonce, manifest_root_key_version FROM cluster
         WHERE manifest_root_sealed IS NOT NULL FOR UPDATE";
    let row = work.query_opt(text, &[]).await?;
    Ok(row.map(|row| SealedSecret { ciphertext: row.get(0), nonce: row.get(1), version: row.get(2) }))
}

pub async fn reseal_manifest_root(work: &Transaction<'_>, root: &SealedSecret) -> Result<(), StoreError> {
    work.execute(
        "UPDATE cluster SET manifest_root_sealed = $1, manifest_root_nonce = $2, manifest_root_key_version = $3",
        &[&root.ciphertext, &root.nonce, &root.version],
    )
    .await?;
    Ok(())
}

/// What is known of lost commits.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Some are missing, and nobody has accepted that yet.
    pub lost: bool,
    /// What is remembered of this epoch and of earlier ones counts no more. 0: everything counts.
    pub accepted_epoch: u64,
}

pub async fn history(client: &Client) -> Result<History, StoreError> {
    let row = client
        .query_one("SELECT history_lost_at IS NOT NULL, history_accepted_epoch FROM cluster", &[])
        .await?;
    Ok(History { lost: row.get(0), accepted_epoch: unsigned(row.get(1)) })
}

/// Remembers that commits are missing, until [`history_accepted`].
pub async fn lose_history(client: &Client) -> Result<(), StoreError> {
    client
        .execute("UPDATE cluster SET history_lost_at = coalesce(history_lost_at, clock_timestamp())", &[])
        .await?;
    Ok(())
}

/// An administrator knows of it; what is left is the truth.
pub async fn history_accepted(work: &Transaction<'_>, epoch: u64) -> Result<(), StoreError> {
    work.execute("UPDATE cluster SET history_lost_at = NULL, history_accepted_epoch = $1", &[&signed(epoch)])
        .await?;
    Ok(())
}
