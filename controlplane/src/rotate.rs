//! `holdfast-controlplane rotate-master-key`: everything that is sealed in the database is opened with the old master key and
//! sealed with the new one, in one transaction. While it runs nobody can lead, and while somebody leads it does not run.

use holdfast_common::secret::Secret;

use crate::app::pki::CA_SEALED_AS;
use crate::app::vault::{DoesNotOpen, MANIFEST_ROOT, Vault};
use crate::server::{Database, StartError};
use crate::store::access_key::SealedSecret;
use crate::store::{Store, StoreError, access_key, authority, cluster, cluster_ca};

/// What was sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub access_keys: usize,
    /// The key of the cluster's authority.
    pub authority: bool,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("a master key has 32 bytes; make one with `openssl rand -hex 32`")]
    Length,
    #[error("the old and the new master key are the same")]
    Same,
    #[error(
        "the control plane {0} leads; stop all control planes, wait some seconds for its last lease, and run this again"
    )]
    Leads(String),
    #[error("{0}; nothing was changed")]
    DoesNotOpen(#[from] DoesNotOpen),
    #[error("the database cannot be changed: {0}; nothing was changed")]
    Store(#[from] StoreError),
}

impl From<tokio_postgres::Error> for RotateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Seals everything anew. Every key, revoked ones too, must open with the old one.
///
/// # Errors
/// [`RotateError`]; nothing was changed then.
pub async fn rotate(database: &Database, old: &Secret, new: &Secret) -> Result<Rotated, RotateError> {
    let (from, to) = match (Vault::new(old), Vault::new(new)) {
        (Some(from), Some(to)) if old.expose() != new.expose() => (from, to),
        (Some(_), Some(_)) => return Err(RotateError::Same),
        _ => return Err(RotateError::Length),
    };
    let anew =
        |name: &str, sealed: &SealedSecret| from.open(name, sealed).map(|secret| to.seal(name, &secret));
    let store = Store::connect(database).await?;
    let mut client = store.client().await?;
    let work = client.transaction().await?;
    if let Some(holder) = authority::hold(&work).await? {
        return Err(RotateError::Leads(holder));
    }
    let keys = access_key::sealed(&work).await?;
    for (id, secret) in &keys {
        access_key::reseal(&work, id, &anew(id, secret)?).await?;
    }
    let ca = cluster_ca::sealed(&work).await?;
    if let Some(key) = &ca {
        cluster_ca::reseal(&work, &anew(CA_SEALED_AS, key)?).await?;
    }
    if let Some(root) = cluster::sealed_manifest_root(&work).await? {
        cluster::reseal_manifest_root(&work, &anew(MANIFEST_ROOT, &root)?).await?;
    }
    work.commit().await?;
    Ok(Rotated { access_keys: keys.len(), authority: ca.is_some() })
}
