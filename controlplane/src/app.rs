//! What the control plane can do, one function per verb: the [`Authority`] is its handle for gRPC, REST and the CLI.
//!
//! Cheap to clone; every clone is the same authority. Administration verbs live here as types and signatures and in
//! `app/*` as bodies; commits are in `app/commit`, reads in `app/query`, what nodes are told in `app/sessions`.

use std::sync::Arc;

use holdfast_common::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Handle of the authority.
#[derive(Clone)]
pub struct Authority {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {}

/// Why an administrator's request was not done; each carries one sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    #[error("this control plane is not the leader{}", .leader.as_ref().map(|l| format!("; ask {l}")).unwrap_or_default())]
    NotLeader { leader: Option<String> },
    #[error("the database cannot be asked: {0}")]
    Unavailable(String),
}

/// What a key may do in the buckets of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    Read,
    Write,
    Admin,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TenantInfo {
    pub tenant_id: u64,
    pub name: String,
    /// 64 hex digits: the owner id in S3 answers.
    pub canonical_id: String,
    pub created_ms: u64,
}

/// A key to be made. `tenant` is a name and defaults to `root`; `buckets` are names, `None` is the whole tenant and an
/// empty list nothing; no permissions means read and write.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    pub name: String,
    #[serde(default)]
    pub tenant: Option<String>,
    #[serde(default)]
    pub buckets: Option<Vec<String>>,
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// A key that was just made: the only time its secret is shown.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    pub key: KeyInfo,
    pub secret_access_key: Secret,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyInfo {
    pub access_key_id: String,
    pub name: String,
    pub tenant_id: u64,
    pub tenant: String,
    /// Ids of the buckets in scope; `null`: the whole tenant.
    pub bucket_ids: Option<Vec<u64>>,
    /// Names of those that still exist.
    pub buckets: Option<Vec<String>>,
    pub permissions: Vec<Permission>,
    pub created_ms: u64,
    pub revoked_ms: Option<u64>,
}

/// What a revocation took.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revoked {
    pub access_key_id: String,
    /// Sessions that acknowledged.
    pub acknowledged: u32,
    /// Sessions that did not, whose lease ran out instead.
    pub expired: u32,
    pub waited_ms: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BucketInfo {
    pub bucket_id: u64,
    pub name: String,
    pub tenant_id: u64,
    pub region: String,
    pub created_ms: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    pub cluster_id: String,
    pub leader: bool,
    pub epoch: u64,
    pub holder: String,
    pub watermark: u64,
    pub seq_assigned: u64,
    pub tenants: u64,
    pub keys: u64,
    pub buckets: u64,
    pub history_lost: bool,
    pub nodes: Vec<NodeStatus>,
    pub backends: Vec<BackendStatus>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeStatus {
    pub node_id: String,
    pub name: String,
    pub region: String,
    /// Version, coder and whatever else the node says of itself.
    pub build: String,
    pub connected: bool,
    pub lease_live: bool,
    pub ordinal_sent: u64,
    pub ordinal_acknowledged: u64,
    pub last_seen_ms: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackendStatus {
    pub backend_id: u32,
    pub kind: String,
    pub node_id: String,
    pub label: String,
    pub state: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}

impl Authority {
    /// Makes a tenant; the name is unique.
    pub async fn create_tenant(&self, name: &str) -> Result<TenantInfo, AdminError> {
        let _ = name;
        Err(AdminError::Unavailable("being written".into()))
    }

    pub async fn list_tenants(&self) -> Result<Vec<TenantInfo>, AdminError> {
        Err(AdminError::Unavailable("being written".into()))
    }

    /// Makes an access key. Returns when every live session knows it.
    pub async fn create_key(&self, new: NewKey) -> Result<CreatedKey, AdminError> {
        let _ = new;
        Err(AdminError::Unavailable("being written".into()))
    }

    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, AdminError> {
        Err(AdminError::Unavailable("being written".into()))
    }

    /// Ends a key. Returns when every live session has acknowledged, or its lease ran out. Twice is harmless.
    pub async fn revoke_key(&self, access_key_id: &str) -> Result<Revoked, AdminError> {
        let _ = access_key_id;
        Err(AdminError::Unavailable("being written".into()))
    }

    /// Installs the root key (tenant `root`, everything allowed). Idempotent; a changed secret replaces the old one.
    pub async fn ensure_root_key(&self, access_key_id: &str, secret: &Secret) -> Result<(), AdminError> {
        let _ = (access_key_id, secret);
        Err(AdminError::Unavailable("being written".into()))
    }

    pub async fn list_buckets(&self) -> Result<Vec<BucketInfo>, AdminError> {
        Err(AdminError::Unavailable("being written".into()))
    }

    pub async fn status(&self) -> Result<Status, AdminError> {
        Err(AdminError::Unavailable("being written".into()))
    }

    /// True when this process leads and its term is live: what `/readyz` says.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        false
    }

    /// Prometheus text of this process.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        String::new()
    }
}
