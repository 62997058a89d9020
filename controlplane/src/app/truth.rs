//! What leadership, sessions, commits and lookups want of the outside: the rows, the wall clock, and random names.
//!
//! PostgreSQL is the truth ([`Postgres`]). The simulation of `proptests` puts a model of it here, with the same fence
//! and the same unique op ids, so that everything above runs as it is. Administration, background work, uploads and versions
//! ask `store` directly; a simulation does without them.

mod postgres;

use std::collections::BTreeSet;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire;
use uuid::Uuid;

pub use crate::app::commit::transaction::{Context, Failure};
pub use crate::app::sessions::access::Owed;
use crate::plan::decide::Facts;
use crate::plan::writes::Writes;
use crate::store::access_key::AccessKeyRow;
use crate::store::authority::Claim;
use crate::store::backend::BackendRow;
use crate::store::bucket::BucketRow;
use crate::store::changelog::Changed;
use crate::store::cluster::History;
use crate::store::head::Line;
use crate::store::node::{Entered, NodeRow, PeerRow};
use crate::store::tenant::TenantRow;
use crate::store::version::VersionRow;
use crate::store::{Store, StoreError};

/// Everything that a node is told when it joins.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    pub keys: Vec<AccessKeyRow>,
    pub buckets: Vec<BucketRow>,
    pub backends: Vec<BackendRow>,
    pub placements: Vec<(u32, Vec<u32>)>,
    pub tenants: Vec<TenantRow>,
    pub peers: Vec<PeerRow>,
}

/// Leadership that was taken, and what was found there at once.
#[derive(Clone, Debug)]
pub struct Taken {
    pub epoch: u64,
    /// As `store::lineage::timeline`.
    pub timeline: u32,
    pub history: History,
    /// Whether the commit that was asked about is there.
    pub has_remembered: bool,
    /// What earlier leaders granted beyond their terms.
    pub owed: Owed,
}

/// A mutation with its op id.
pub type Asked<'a> = (OpId, &'a wire::Mutation);

/// See the module. Each method is one round trip or a few, each of which may be lost before or after it was carried out.
#[tonic::async_trait]
pub trait Truth: Send + Sync + 'static {
    /// Milliseconds since 1970, as this process believes.
    fn now_ms(&self) -> u64;

    /// Milliseconds since boot, counting suspend.
    fn boottime_ms(&self) -> u64;

    /// A name that nobody has had.
    fn fresh_id(&self) -> Uuid;

    /// Whether nodes' drives are written down there.
    fn keeps_drives(&self) -> bool;

    /// As `store::authority::take`; also says whether the commit `remembered` is there (0: none is asked about).
    async fn take(&self, claim: Claim<'_>, remembered: u64) -> Result<Option<Taken>, StoreError>;

    /// As `store::lineage::has_lagging_standby`.
    async fn has_lagging_standby(&self) -> bool;

    /// Prolongs the term; false when another took over. Access leases granted within it reach up to `owed_ms` from now; 0: no
    /// further than the term.
    async fn renew(&self, epoch: u64, term_ms: u64, owed_ms: u64) -> Result<bool, StoreError>;

    /// Gives leadership back: it may be taken as soon as the last lease has run out.
    async fn release(&self, epoch: u64, leases_ms: u64) -> Result<(), StoreError>;

    /// Epoch and name of who leads, by the row.
    async fn holder(&self) -> Result<(u64, String), StoreError>;

    /// A node asked this follower, `holder`, for the leader.
    async fn node_heard(&self, holder: &str) -> Result<(), StoreError>;

    /// Whether another than `holder` heard a node within the last `ms`.
    async fn node_heard_elsewhere(&self, holder: &str, ms: u64) -> Result<bool, StoreError>;

    /// Whether this database has the commit `seq` of an epoch that has ended.
    async fn has(&self, seq: u64) -> Result<bool, StoreError>;

    /// Remembers that commits are missing, until an administrator accepts it.
    async fn lose_history(&self) -> Result<(), StoreError>;

    async fn is_revoked(&self, node_id: Uuid) -> Result<bool, StoreError>;

    /// Registers a node and its session. `None`: the node is revoked. Callers hold the configuration lock.
    async fn enter(
        &self,
        node: &NodeRow,
        peer_addr: &str,
        session_id: Uuid,
        epoch: u64,
    ) -> Result<Option<Entered>, StoreError>;

    async fn leave(&self, session_id: Uuid) -> Result<(), StoreError>;

    /// Remembers the oldest op id the session's node may still commit.
    async fn open_ops(&self, session_id: Uuid, oldest: Option<Uuid>, count: u64) -> Result<(), StoreError>;

    async fn configuration(&self) -> Result<Configuration, StoreError>;

    /// Everything cached that changed after `since`, oldest first; `None`: too much, or trimmed.
    async fn changed_since(&self, since: u64, rows_max: i64) -> Result<Option<Vec<Changed>>, StoreError>;

    /// Of these placements, those that exist.
    async fn known_placements(&self, asked: &BTreeSet<u32>) -> Result<Vec<u32>, StoreError>;

    /// The rows that a batch is decided by. With `again` every item's recorded outcome is among them.
    async fn facts(&self, items: &[Asked<'_>], again: bool) -> Result<Facts, Failure>;

    /// Writes a batch at once, or nothing of it: only while `context.epoch` leads, and no op id twice.
    async fn commit(&self, writes: Writes, context: Context) -> Result<(), Failure>;

    /// Current versions of many keys, delete markers too.
    async fn current(&self, keys: &[(u64, Bytes)]) -> Result<Vec<VersionRow>, StoreError>;

    /// Versions by bucket, key and stored id, current or not.
    async fn named(&self, names: &[(u64, Bytes, String)]) -> Result<Vec<VersionRow>, StoreError>;

    /// Up to `rows` objects with `from <= key < until`, bytewise.
    async fn range(&self, bucket: u64, from: &[u8], until: &[u8], rows: i64)
    -> Result<Vec<Line>, StoreError>;
}

/// PostgreSQL, and the system's clock.
pub struct Postgres(pub Store);
