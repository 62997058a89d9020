//! Buckets as an administrator sees them, and the one thing about them that is an administrator's: for how long nodes that cannot
//! ask show what they have cached.
//!
//! It is committed like whatever else is told to a bucket: in order with it, in the changelog, and known to every node before it
//! is answered.

use std::time::Duration;

use holdfast_common::id::OpId;
use holdfast_common::wire::{self, configure_bucket::Change, mutation::Op, mutation_result::Outcome};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::commit::Work;
use super::{AdminError, Authority};
use crate::limits::{CHANGE_KNOWN, STALE_READS_MS_MAX};
use crate::store::bucket::{self, BucketRow};

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BucketInfo {
    pub bucket_id: u64,
    pub name: String,
    pub tenant_id: u64,
    pub region: String,
    pub created_ms: u64,
    /// For how long a node that cannot ask shows what it has cached; 0: not at all.
    pub stale_reads_seconds: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StaleReadsRequest {
    /// 0 to 86,400; 0: not at all.
    pub seconds: u64,
}

impl From<BucketRow> for BucketInfo {
    fn from(row: BucketRow) -> Self {
        Self {
            bucket_id: row.id,
            name: row.name,
            tenant_id: row.tenant_id,
            region: row.region,
            created_ms: row.created_ms,
            stale_reads_seconds: row.stale_reads_ms / 1000,
        }
    }
}

impl Authority {
    pub async fn list_buckets(&self) -> Result<Vec<BucketInfo>, AdminError> {
        let client = self.inner.store.client().await?;
        Ok(bucket::all(&client).await?.into_iter().map(Into::into).collect())
    }

    /// Says for how long nodes that cannot ask show what they have cached of a bucket. Returns when every live node knows.
    pub async fn stale_reads(&self, name: &str, asked: StaleReadsRequest) -> Result<BucketInfo, AdminError> {
        self.must_lead().await?;
        let ms = asked.seconds.saturating_mul(1000);
        if ms > STALE_READS_MS_MAX {
            let most = Duration::from_millis(STALE_READS_MS_MAX).as_secs();
            return Err(AdminError::Invalid(format!("stale reads last 0 to {most} seconds")));
        }
        let row = self.bucket_named(name).await?;
        let op_id = OpId::of_node(self.inner.truth.now_ms(), self.inner.vault.random(), 0);
        let configure = wire::ConfigureBucket { change: Some(Change::StaleReadsMs(ms)) };
        let mutation = wire::Mutation {
            op_id: op_id.to_wire(),
            bucket_id: row.id,
            tenant_id: row.tenant_id,
            op: Some(Op::ConfigureBucket(configure)),
            ..Default::default()
        };
        self.commit_own(mutation).await?;
        self.bucket_named(name).await.map(Into::into)
    }

    async fn bucket_named(&self, name: &str) -> Result<BucketRow, AdminError> {
        let client = self.inner.store.client().await?;
        let found = bucket::all(&client).await?.into_iter().find(|row| row.name == name);
        found.ok_or_else(|| {
            AdminError::NotFound(format!("there is no bucket {name}; `list-buckets` shows their names"))
        })
    }

    async fn commit_own(&self, mutation: wire::Mutation) -> Result<(), AdminError> {
        let (reply, mut results) = mpsc::unbounded_channel();
        if !self.committer.submit(Work { mutation, session: Uuid::nil(), reply }).await {
            return Err(AdminError::Unavailable("the control plane is stopping".into()));
        }
        let answered = tokio::time::timeout(CHANGE_KNOWN, results.recv()).await.map_err(|_| {
            AdminError::Unavailable(
                "it is not known to every node yet: one that does not answer may hold an access lease; see `node list`".into(),
            )
        })?;
        match answered.and_then(|result| result.outcome) {
            Some(Outcome::Committed(_)) => Ok(()),
            Some(Outcome::Refused(refused)) => {
                Err(AdminError::Unavailable(format!("{}; try again", refused.detail)))
            }
            None => Err(AdminError::Unavailable("it was not answered; try again".into())),
        }
    }
}
