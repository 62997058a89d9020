//! How a machine becomes a node: an administrator's invitation is spent, once, for a certificate; a node renews its own.
//!
//! Any control plane may do it, leader or not: what decides is one row, in one transaction.

use std::time::Duration;

use bytes::Bytes;
use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_common::wire;
use ring::digest;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::pki::{Issued, Pki, PkiError};
use super::{AdminError, Authority};
use crate::app::commit::now_ms;
use crate::limits::{INVITE_SECONDS, INVITE_SECONDS_MAX, JOIN_TOKENS_KEPT_DAYS, NAME_BYTES_MAX};
use crate::store::join_token::{self, JoinTokenRow};
use crate::store::{StoreError, enrolled_node};

/// What this process needs to make nodes.
pub struct Enrolment {
    pub pki: Pki,
    /// Where nodes ask: `https://host:port`.
    pub control: Vec<String>,
    /// Life of a node's certificate.
    pub node_certificate: Duration,
    pub listener: Listener,
}

/// What nodes see of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// No TLS, on loopback: nobody has a certificate.
    Plain,
    /// A certificate of the cluster's own authority.
    Cluster,
    /// A certificate of the operator's, who also makes those of nodes.
    Operator,
}

/// Asks for a token. `name`: what the node is called, unless it says itself; `expires_seconds`: an hour unless said.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InviteRequest {
    pub name: String,
    pub expires_seconds: Option<u32>,
}

/// A token, shown this once.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub token: Secret,
    pub expires_ms: u64,
    /// Hex: what the token pins.
    pub ca_sha256: String,
}

/// Why there is no certificate; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error(
        "this cluster did not give this join token, or has long forgotten it; have another made with `holdfast admin node invite`"
    )]
    Unknown,
    #[error("the join token ended {ended}; have another made with `holdfast admin node invite`")]
    Expired { ended: String },
    #[error(
        "the join token was used {used}, by node {node}; each is good once, have another made with `holdfast admin node invite`"
    )]
    Used { used: String, node: Uuid },
    #[error(
        "this node is revoked, or did not join this cluster; to let the machine in again, remove DATA_DIR/identity and join with a new token"
    )]
    Revoked,
    #[error("this control plane serves nodes without TLS and gives no certificates; set `grpc_tls = true`")]
    NoTls,
    #[error(transparent)]
    Pki(PkiError),
    #[error("the database cannot be asked: {0}")]
    Store(#[from] StoreError),
}

impl From<PkiError> for Refusal {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::Request(why) => Self::Malformed(why),
            other => Self::Pki(other),
        }
    }
}

impl Authority {
    /// Makes a token that makes one node.
    pub async fn invite(&self, asked: InviteRequest) -> Result<Invitation, AdminError> {
        let inner = &self.inner;
        let enrolment = &inner.enrolment;
        match enrolment.listener {
            Listener::Cluster => {}
            Listener::Plain => return Err(AdminError::Conflict(Refusal::NoTls.to_string())),
            Listener::Operator => {
                return Err(AdminError::Conflict(format!(
                    "this control plane shows nodes a certificate of yours (`grpc_tls_cert_file`): give the node one of the same \
                     authority with the URI holdfast://{}/node/UUID among its alternative names, or remove the grpc_tls_* keys \
                     to have the cluster's own authority make them",
                    inner.cluster_id
                )));
            }
        }
        let seconds = asked.expires_seconds.unwrap_or(INVITE_SECONDS);
        if seconds == 0 || seconds > INVITE_SECONDS_MAX {
            return Err(AdminError::Invalid(format!(
                "a token is good for 1 to {INVITE_SECONDS_MAX} seconds"
            )));
        }
        if asked.name.len() > NAME_BYTES_MAX || asked.name.chars().any(char::is_control) {
            return Err(AdminError::Invalid(format!(
                "a node's name has at most {NAME_BYTES_MAX} printable bytes"
            )));
        }
        let (token_id, secret) =
            (inner.vault.random::<16>(), Secret::new(inner.vault.random::<32>().to_vec()));
        let client = inner.store.client().await?;
        join_token::forget(&client, JOIN_TOKENS_KEPT_DAYS).await?;
        let hash = sha256(secret.expose());
        let expires_ms = join_token::insert(&client, &token_id, &hash, &asked.name, seconds).await?;
        let token = JoinToken {
            cluster: inner.cluster_id,
            token_id,
            secret,
            ca_sha256: enrolment.pki.ca_sha256(),
            expires_unix: expires_ms / 1000,
            control: enrolment.control.clone(),
        };
        let ca_sha256 = hex::encode(token.ca_sha256);
        Ok(Invitation { token: token.to_text(), expires_ms, ca_sha256 })
    }

    /// Spends a token for a certificate that names a new node.
    ///
    /// # Errors
    /// [`Refusal`]; a request that is malformed spends nothing.
    pub async fn join(&self, asked: &wire::JoinRequest) -> Result<wire::NodeCertificate, Refusal> {
        let inner = &self.inner;
        if inner.enrolment.listener == Listener::Plain {
            return Err(Refusal::NoTls);
        }
        if asked.node_name.len() > NAME_BYTES_MAX || asked.node_name.chars().any(char::is_control) {
            return Err(Refusal::Malformed("the node's name is too long or not printable"));
        }
        let node_id = uuid::Builder::from_random_bytes(inner.vault.random()).into_uuid();
        let mut client = inner.store.client().await?;
        let work = client.transaction().await.map_err(StoreError::from)?;
        let row = join_token::by_id(&work, &asked.token_id).await?;
        let row = row.filter(|row| equal(&row.secret_hash, &sha256(&asked.token_secret)));
        let row = row.ok_or(Refusal::Unknown)?;
        good(&row)?;
        let issued = self.issue(node_id, &asked.csr_der)?;
        if !join_token::spend(&work, &asked.token_id, node_id).await? {
            let row = join_token::by_id(&work, &asked.token_id).await?.ok_or(Refusal::Unknown)?;
            return Err(good(&row).err().unwrap_or(Refusal::Unknown));
        }
        let name = if row.node_name.is_empty() { &asked.node_name } else { &row.node_name };
        enrolled_node::insert(&work, node_id, name, issued.not_after).await?;
        work.commit().await.map_err(StoreError::from)?;
        tracing::info!(%node_id, node = %name, "a node has joined the cluster");
        Ok(self.certificate(node_id, &issued))
    }

    /// The next certificate of a node that proved that it has the last one.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn renew_certificate(
        &self,
        node_id: Uuid,
        asked: &wire::RenewRequest,
    ) -> Result<wire::NodeCertificate, Refusal> {
        let issued = self.issue(node_id, &asked.csr_der)?;
        let client = self.inner.store.client().await?;
        if !enrolled_node::renewed(&client, node_id, issued.not_after).await? {
            return Err(Refusal::Revoked);
        }
        tracing::info!(%node_id, not_after = issued.not_after, "a node's certificate was renewed");
        Ok(self.certificate(node_id, &issued))
    }

    fn issue(&self, node_id: Uuid, request: &[u8]) -> Result<Issued, PkiError> {
        let enrolment = &self.inner.enrolment;
        enrolment.pki.node(node_id, request, now_ms() / 1000, enrolment.node_certificate)
    }

    fn certificate(&self, node_id: Uuid, issued: &Issued) -> wire::NodeCertificate {
        wire::NodeCertificate {
            node_id: node_id.to_string(),
            cluster_id: Bytes::copy_from_slice(self.inner.cluster_id.as_bytes()),
            certificate_der: Bytes::copy_from_slice(&issued.certificate),
            ca_der: Bytes::copy_from_slice(self.inner.enrolment.pki.ca()),
            not_after_ms: issued.not_after * 1000,
        }
    }
}

/// Spent goes before over: who tries it twice learns that.
fn good(row: &JoinTokenRow) -> Result<(), Refusal> {
    if let Some(used) = row.used_ms {
        return Err(Refusal::Used { used: when(used), node: row.node_id.unwrap_or_default() });
    }
    if row.expired {
        return Err(Refusal::Expired { ended: when(row.expires_ms) });
    }
    Ok(())
}

fn when(ms: u64) -> String {
    let stamp = i64::try_from(ms / 1000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    stamp.map_or_else(|| format!("{ms} ms after 1970"), |stamp| format!("at {stamp}"))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Looks at every byte. What is compared are hashes, so even a leak of time would tell nothing of the secret.
fn equal(a: &[u8], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
    a.len() == b.len() && differing == 0
}
