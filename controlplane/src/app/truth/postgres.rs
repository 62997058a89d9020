//! The truth in PostgreSQL: a connection each time, and the statements of `store`.

use bytes::Bytes;
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::{Asked, Configuration, Context, Failure, Postgres, Truth};
use crate::app::commit::now_ms;
use crate::app::commit::transaction::{apply, gather};
use crate::plan::decide::Facts;
use crate::plan::writes::Writes;
use crate::store::authority::Taken;
use crate::store::changelog::Changed;
use crate::store::head::Line;
use crate::store::node::{Entered, NodeRow};
use crate::store::version::VersionRow;
use crate::store::{
    StoreError, access_key, authority, backend, bucket, changelog, head, node, tenant, version,
};

#[tonic::async_trait]
impl Truth for Postgres {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn fresh_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn keeps_drives(&self) -> bool {
        true
    }

    async fn take(&self, holder: &str, term_ms: u64, force: bool) -> Result<Option<Taken>, StoreError> {
        authority::take(&self.0.reserved().await?, holder, term_ms, force).await
    }

    async fn renew(&self, epoch: u64, term_ms: u64) -> Result<bool, StoreError> {
        authority::renew(&self.0.reserved().await?, epoch, term_ms).await
    }

    async fn release(&self, epoch: u64, leases_ms: u64) -> Result<(), StoreError> {
        authority::release(&self.0.reserved().await?, epoch, leases_ms).await
    }

    async fn holder(&self) -> Result<(u64, String), StoreError> {
        authority::holder(&self.0.client().await?).await
    }

    async fn last_seq(&self, epoch: u64) -> Result<Option<u64>, StoreError> {
        authority::last_seq(&self.0.client().await?, epoch).await
    }

    async fn enter(
        &self,
        node: &NodeRow,
        session_id: Uuid,
        epoch: u64,
    ) -> Result<Option<Entered>, StoreError> {
        node::enter(&self.0.client().await?, node, session_id, epoch).await
    }

    async fn leave(&self, session_id: Uuid) -> Result<(), StoreError> {
        node::leave(&self.0.client().await?, session_id).await
    }

    async fn open_ops(&self, node_id: Uuid, oldest: Option<Uuid>, count: u64) -> Result<(), StoreError> {
        node::open_ops(&self.0.client().await?, node_id, oldest, count).await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        let client = self.0.client().await?;
        Ok(Configuration {
            keys: access_key::all(&client).await?,
            buckets: bucket::all(&client).await?,
            backends: backend::all(&client).await?,
            placements: backend::placements(&client).await?,
            tenants: tenant::all(&client).await?,
        })
    }

    async fn changed_since(&self, since: u64, rows_max: i64) -> Result<Option<Vec<Changed>>, StoreError> {
        changelog::since(&self.0.client().await?, since, rows_max).await
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
