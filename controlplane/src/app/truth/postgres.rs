//! The truth in PostgreSQL: a connection each time, and the statements of `store`.

use std::collections::BTreeSet;

use bytes::Bytes;
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::{Asked, Configuration, Context, Failure, Postgres, Taken, Truth};
use crate::app::commit::now_ms;
use crate::app::commit::transaction::{apply, gather};
use crate::plan::decide::Facts;
use crate::plan::writes::Writes;
use crate::store::authority::Claim;
use crate::store::changelog::Changed;
use crate::store::head::Line;
use crate::store::node::{Entered, NodeRow};
use crate::store::version::VersionRow;
use crate::store::{
    StoreError, access_key, authority, backend, bucket, candidate, changelog, cluster, enrolled_node, head,
    lineage, node, tenant, version,
};

#[tonic::async_trait]
impl Truth for Postgres {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn boottime_ms(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
    }

    fn fresh_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn keeps_drives(&self) -> bool {
        true
    }

    /// All on one connection: what is found is of the server that leadership was taken on.
    async fn take(&self, claim: Claim<'_>, remembered: u64) -> Result<Option<Taken>, StoreError> {
        let mut client = self.0.reserved().await?;
        let timeline = lineage::timeline(&client).await?;
        let Some((epoch, owed)) = authority::take(&mut client, claim).await? else { return Ok(None) };
        let history = cluster::history(&client).await?;
        let has_remembered = remembered == 0 || authority::has(&client, remembered).await?;
        Ok(Some(Taken { epoch, timeline, history, has_remembered, owed }))
    }

    async fn has_lagging_standby(&self) -> bool {
        match self.0.reserved().await {
            Ok(client) => lineage::has_lagging_standby(&client).await,
            Err(_) => false,
        }
    }

    async fn renew(&self, epoch: u64, term_ms: u64, owed_ms: u64) -> Result<bool, StoreError> {
        authority::renew(&self.0.reserved().await?, epoch, term_ms, owed_ms).await
    }

    async fn release(&self, epoch: u64, leases_ms: u64) -> Result<(), StoreError> {
        authority::release(&self.0.reserved().await?, epoch, leases_ms).await
    }

    async fn holder(&self) -> Result<(u64, String), StoreError> {
        authority::holder(&self.0.client().await?).await
    }

    async fn node_heard(&self, holder: &str) -> Result<(), StoreError> {
        candidate::node_heard(&self.0.client().await?, holder).await
    }

    async fn node_heard_elsewhere(&self, holder: &str, ms: u64) -> Result<bool, StoreError> {
        candidate::node_heard_elsewhere(&self.0.reserved().await?, holder, ms).await
    }

    async fn has(&self, seq: u64) -> Result<bool, StoreError> {
        authority::has(&self.0.client().await?, seq).await
    }

    async fn lose_history(&self) -> Result<(), StoreError> {
        cluster::lose_history(&self.0.reserved().await?).await
    }

    async fn is_revoked(&self, node_id: Uuid) -> Result<bool, StoreError> {
        enrolled_node::is_revoked(&self.0.client().await?, node_id).await
    }

    /// On a reserved connection: of the others, all may be held by those who wait for the caller's lock.
    async fn enter(
        &self,
        node: &NodeRow,
        peer_addr: &str,
        session_id: Uuid,
        epoch: u64,
    ) -> Result<Option<Entered>, StoreError> {
        node::enter(&mut self.0.reserved().await?, node, peer_addr, session_id, epoch).await
    }

    async fn leave(&self, session_id: Uuid) -> Result<(), StoreError> {
        node::leave(&self.0.client().await?, session_id).await
    }

    async fn open_ops(&self, session_id: Uuid, oldest: Option<Uuid>, count: u64) -> Result<(), StoreError> {
        node::open_ops(&self.0.client().await?, session_id, oldest, count).await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        let client = self.0.client().await?;
        Ok(Configuration {
            keys: access_key::all(&client).await?,
            buckets: bucket::all(&client).await?,
            backends: backend::all(&client).await?,
            placements: backend::placements(&client).await?,
            tenants: tenant::all(&client).await?,
            peers: node::peers(&client).await?,
        })
    }

    async fn changed_since(&self, since: u64, rows_max: i64) -> Result<Option<Vec<Changed>>, StoreError> {
        changelog::since(&self.0.client().await?, since, rows_max).await
    }

    async fn known_placements(&self, asked: &BTreeSet<u32>) -> Result<Vec<u32>, StoreError> {
        backend::known_placements(&self.0.reserved().await?, asked).await
    }

    async fn facts(&self, items: &[Asked<'_>], again: bool) -> Result<Facts, Failure> {
        gather::facts(&self.0.reserved().await?, items, again).await
    }

    async fn commit(&self, writes: Writes, context: Context) -> Result<(), Failure> {
        apply::all(self.0.reserved().await?, writes, context).await
    }

    async fn current(&self, keys: &[(u64, Bytes)]) -> Result<Vec<VersionRow>, StoreError> {
        version::current(&self.0.client().await?, keys).await
    }

    async fn named(&self, names: &[(u64, Bytes, String)]) -> Result<Vec<VersionRow>, StoreError> {
        version::named(&self.0.client().await?, names).await
    }

    async fn range(
        &self,
        bucket: u64,
        from: &[u8],
        until: &[u8],
        rows: i64,
    ) -> Result<Vec<Line>, StoreError> {
        head::range(&self.0.client().await?, bucket, from, until, rows).await
    }
}
