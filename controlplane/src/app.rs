//! What the control plane can do, one function per verb: the [`Authority`] is its handle for gRPC, REST and the CLI.
//!
//! Cheap to clone; every clone is the same authority. Administration verbs live here as types and signatures and in
//! `app/*` as bodies; commits are in `app/commit`, reads in `app/query`, what nodes are told in `app/sessions`.

pub mod buckets;
pub mod commit;
mod config;
pub mod drives;
pub mod enrol;
pub(crate) mod history;
mod keys;
pub mod nodes;
mod peers;
pub mod pki;
pub(crate) mod query;
mod rates;
pub mod recovery;
pub mod redundancy;
pub(crate) mod references;
pub mod sequence;
pub mod session;
pub mod sessions;
mod status;
mod tenants;
pub mod truth;
pub mod vault;
pub mod work;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use holdfast_common::secret::Secret;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::limits::CHANGE_KNOWN;
use crate::metrics::Metrics;
use crate::store::{Client, Store, StoreError, authority, candidate};
use commit::Committer;
pub(crate) use rates::Rates;
use sessions::Sessions;
use sessions::access::Lengths;
use sessions::wait::{self, Acknowledgement};
use truth::Truth;
use vault::Vault;

/// Handle of the authority.
#[derive(Clone)]
pub struct Authority {
    pub(crate) inner: Arc<Inner>,
    pub(crate) committer: Committer,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    /// Where leadership, sessions, commits and lookups go.
    pub(crate) truth: Arc<dyn Truth>,
    pub(crate) vault: Vault,
    /// What the keys of recovery manifests are made from.
    pub(crate) manifest_root: Secret,
    pub(crate) sessions: Sessions,
    pub(crate) metrics: Metrics,
    pub(crate) cluster_id: Uuid,
    pub(crate) regions: Vec<String>,
    /// Names this process to others.
    pub(crate) holder: String,
    pub(crate) lengths: Lengths,
    pub(crate) delete_delay_ms: u64,
    /// Changes of configuration are made and published one after the other.
    pub(crate) configuration: tokio::sync::Mutex<()>,
    /// Rung when a commit met another leader's epoch.
    pub(crate) step_down: Notify,
    /// A node remembers commits that this database lacks: nothing is reaped.
    pub(crate) history_lost: AtomicBool,
    /// What is remembered of it and of earlier ones counts no more; 0: everything counts.
    pub(crate) history_accepted_epoch: AtomicU64,
    /// The highest commit of this process that the database has confirmed.
    pub(crate) confirmed: AtomicU64,
    /// The highest epoch that anybody remembers; the next one of this process lies above it.
    pub(crate) epoch_remembered: AtomicU64,
    /// Nodes that remembered a later epoch and were believed, and when.
    pub(crate) ahead_believed: Mutex<HashMap<Uuid, tokio::time::Instant>>,
    /// Where administrators find this process; empty: not said.
    pub(crate) admin_url: OnceLock<String>,
    pub(crate) stamped_ms: AtomicU64,
    /// Placements that not every node knows yet.
    pub(crate) placing: Mutex<HashMap<u32, sessions::signal::Receiver<bool>>>,
    /// Placements that commits may name.
    pub(crate) placements: commit::placements::Known,
    /// How many tickets each node was given lately.
    pub(crate) tickets: Rates,
    /// How many lists of backends each node has made lately.
    pub(crate) placements_made: Rates,
    /// How nodes become ours.
    pub(crate) enrolment: enrol::Enrolment,
    /// What nodes said last of their drives.
    pub(crate) reports: drives::Reports,
}

impl Inner {
    /// The clock that Last-Modified is stamped from: never backwards within a process.
    pub(crate) fn stamp_ms(&self, now_ms: u64) -> u64 {
        self.stamped_ms.fetch_max(now_ms, Ordering::AcqRel).max(now_ms)
    }

    /// Waits until nothing is in flight, at most this long.
    pub(crate) async fn drain(&self, at_most: std::time::Duration) {
        self.settles(self.sessions.assigned(), at_most).await;
    }

    /// Waits until every commit up to this number is decided, at most this long; false: some are not.
    pub(crate) async fn settles(&self, seq: u64, at_most: std::time::Duration) -> bool {
        let until = tokio::time::Instant::now() + at_most;
        while self.sessions.watermark() < seq {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        true
    }

    /// Another process to be asked instead, when it said where it is.
    pub(crate) fn elsewhere(&self, holder: String) -> Option<String> {
        (holder.starts_with("http") && holder != self.holder).then_some(holder)
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

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
/// empty list nothing; no permissions means read and write, and for the whole tenant
/// admin too, which contains both.
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
    /// First day (YYYY-MM-DD, UTC) whose signatures count; `null`: every day of the last week.
    pub signed_not_before: Option<String>,
    pub created_ms: u64,
    pub revoked_ms: Option<u64>,
}

/// What a revocation took.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revoked {
    pub access_key_id: String,
    /// Sessions that acknowledged.
    pub acknowledged: u32,
    /// Sessions that did not, whose access lease ran out instead.
    pub expired: u32,
    pub waited_ms: u64,
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
    /// Blobs that miss fragments.
    pub repairs_open: u64,
    /// Blobs with fewer fragments than their code needs: bytes are lost unless a drive comes back.
    pub repairs_failed: u64,
    /// Blobs and manifests whose bytes wait to be deleted.
    pub freed_backlog: u64,
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
    pub access_live: bool,
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
        self.create_tenant_inner(name).await
    }

    pub async fn list_tenants(&self) -> Result<Vec<TenantInfo>, AdminError> {
        self.list_tenants_inner().await
    }

    /// Makes an access key. Returns when every live session knows it.
    pub async fn create_key(&self, new: NewKey) -> Result<CreatedKey, AdminError> {
        self.create_key_inner(new).await
    }

    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, AdminError> {
        self.list_keys_inner().await
    }

    /// Ends a key. Returns when every live session has acknowledged, or its access lease ran out. Twice is harmless.
    pub async fn revoke_key(&self, access_key_id: &str) -> Result<Revoked, AdminError> {
        self.revoke_key_inner(access_key_id).await
    }

    /// Ends what a key signed on days before this one (YYYY-MM-DD, UTC); days that were ended stay so. Returns as
    /// [`Self::revoke_key`] does.
    pub async fn revoke_signatures(&self, access_key_id: &str, before: &str) -> Result<Revoked, AdminError> {
        self.revoke_signatures_inner(access_key_id, before).await
    }

    /// Installs the root key (tenant `root`, everything allowed). Idempotent; a changed secret replaces the old one.
    pub async fn ensure_root_key(&self, access_key_id: &str, secret: &Secret) -> Result<(), AdminError> {
        self.ensure_root_key_inner(access_key_id, secret).await
    }

    pub async fn status(&self) -> Result<Status, AdminError> {
        self.status_inner().await
    }

    /// True when this process leads and its term is live: what `/readyz` says.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.inner.sessions.leading().is_some()
    }

    /// Prometheus text of this process.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let metrics = &self.inner.metrics;
        let sessions = self.inner.sessions.facts();
        metrics
            .sessions
            .set(sessions.iter().filter(|facts| facts.connected).count().try_into().unwrap_or(i64::MAX));
        metrics.leading.set(i64::from(self.is_leading()));
        metrics.epoch.set(self.inner.sessions.epoch());
        metrics.watermark.set(self.inner.sessions.watermark());
        metrics.text()
    }

    /// Refuses with the leader's address when this process does not lead.
    pub(crate) async fn must_lead(&self) -> Result<(), AdminError> {
        if self.is_leading() {
            return Ok(());
        }
        let client = self.inner.store.client().await?;
        let (_, holder) = authority::holder(&client).await?;
        let Some(leader) = self.inner.elsewhere(holder) else {
            return Err(AdminError::NotLeader { leader: None });
        };
        let leader = candidate::admin_url(&client, &leader).await?.unwrap_or(leader);
        Err(AdminError::NotLeader { leader: Some(leader) })
    }

    /// Refuses when another has taken over since [`Self::must_lead`]: its nodes may not have been told of what was written.
    pub(crate) async fn must_lead_still(&self, client: &Client) -> Result<(), AdminError> {
        if authority::stands(client, self.inner.sessions.epoch()).await? {
            return Ok(());
        }
        Err(AdminError::Unavailable(
            "another control plane took over meanwhile; the change may be half done, try again".into(),
        ))
    }

    /// Waits until every node knows of a change, or can no longer go by what was before; returns what [`wait::each`] does.
    pub(crate) async fn everybody_knows(
        &self,
        waits: Vec<Acknowledgement>,
    ) -> Result<(u32, Vec<(Uuid, u64)>), AdminError> {
        tokio::time::timeout(CHANGE_KNOWN, wait::each(waits)).await.map_err(|_| {
            AdminError::Unavailable(
                "the change is made, but a node that does not answer may go by what was before until its access lease has \
                 run out (`access_lease_ms`); see `node list`, and ask again to wait on"
                    .into(),
            )
        })
    }

    /// Says where administrators find this process, so that others can send them here.
    pub async fn announce(&self, admin_url: String) {
        let _ = self.inner.admin_url.set(admin_url);
        self.say_here().await;
    }

    /// Puts this process among those that may lead.
    pub(crate) async fn say_here(&self) {
        let url = self.inner.admin_url.get().map_or("", String::as_str);
        let said = match self.inner.store.client().await {
            Ok(client) => candidate::seen(&client, &self.inner.holder, url).await,
            Err(error) => Err(error),
        };
        if let Err(error) = said {
            tracing::debug!(%error, "the database was not told that this control plane is here");
        }
    }
}
